//! What a run was and did is handed out, and checked by whoever has pinned the log's key (I9).

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ended, World, path_text};

/// The receipt does not hold.
const FAILED: i32 = 1;

fn receipt(world: &World, run: &str) -> Value {
    world.kos(&["receipt", run]).succeeded().json()
}

/// Checks a receipt where there is no home.
fn verify(world: &World, receipt: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kos"));
    command.env_clear().env("HOME", "/nonexistent").current_dir(world.path(""));
    Ended::of(command.args(["receipt", "verify", path_text(receipt)]).args(arguments))
}

#[test]
fn a_receipt_convinces_without_home_and_log() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    let run = &world.runs("agent_exit")[0];
    let file = world.path("run.receipt");
    world.kos(&["receipt", run, "-o", path_text(&file)]).succeeded();
    let (key, component) = (world.verifier_key(), path_text(&hello));
    let told =
        verify(&world, &file, &["--vkey", &key, "--component", component, "--json"]).succeeded().json();
    assert_eq!((&told["run"], &told["outcome"]), (&run.as_str().into(), &"ok".into()));
    assert_eq!(told["component"], world.kos(&["inspect", component, "--json"]).succeeded().json()["digest"]);
    assert!(told["manifest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{told}");
    assert_eq!(told["grants"].as_array().map(Vec::len), Some(1));
    assert!(told["usage"]["fuel"].as_u64().is_some_and(|fuel| fuel > 0));
    let other = world.signed("notary");
    verify(&world, &file, &["--vkey", &key, "--component", path_text(&other)])
        .ended_with(FAILED)
        .saying("another component");
    verify(&world, &file, &[]).ended_with(FAILED);
    world.kos(&["receipt", "nobody"]).ended_with(FAILED).saying("knows no run");
}

#[test]
fn a_receipt_that_was_put_together_or_altered_is_refused_with_its_reason() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    world.run(&hello, &[]).succeeded();
    let runs = world.runs("agent_exit");
    let (one, two) = (receipt(&world, &runs[0]), receipt(&world, &runs[1]));
    let key = world.verifier_key();
    let check = |receipt: &Value, key: &str| {
        let file = world.write("run.receipt", serde_json::to_vec(receipt).unwrap());
        verify(&world, &file, &["--vkey", key])
    };
    check(&one, &key).succeeded();
    let altered = |change: &dyn Fn(&mut Value)| {
        let mut receipt = one.clone();
        change(&mut receipt);
        receipt
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    for (receipt, reason) in [
        (altered(&|receipt| receipt["run"] = two["run"].clone()), "the run differs"),
        (altered(&|receipt| receipt["exit"] = two["exit"].clone()), "the run differs"),
        (altered(&|receipt| receipt["exit"] = one["launch"].clone()), "the kind of the second differs"),
        (
            altered(&|receipt| receipt["exit"]["proof"] = two["exit"]["proof"].clone()),
            "exit entry is not proven",
        ),
        (
            altered(&|receipt| {
                receipt["exit"]["entry"] = text(&one["exit"]["entry"]).replace("\"ok\"", "\"trap\"").into();
            }),
            "exit entry is not proven",
        ),
        (
            altered(&|receipt| {
                receipt["launch"]["entry"] =
                    text(&one["launch"]["entry"]).replacen("sha256:", "sha256:0", 1).into();
            }),
            "launch entry is not proven",
        ),
        (altered(&|receipt| receipt["type"] = "application/vnd.kos.receipt.v2+json".into()), "not a receipt"),
        (altered(&|receipt| receipt["more"] = true.into()), "not a receipt"),
    ] {
        check(&receipt, &key).ended_with(FAILED).saying(reason);
    }
    let stranger = World::trusting("trusted");
    check(&one, &stranger.verifier_key()).ended_with(FAILED).saying("not proven");
    let of_stranger = stranger.granted("hello");
    stranger.run(&of_stranger, &[]).succeeded();
    let of_stranger = receipt(&stranger, &stranger.runs("agent_exit")[0]);
    check(&of_stranger, &key).ended_with(FAILED).saying("not proven");
    check(&altered(&|receipt| receipt["launch"] = of_stranger["launch"].clone()), &key)
        .ended_with(FAILED)
        .saying("launch entry is not proven");
}
