//! Authors: how many must sign, which version may run, and a key that follows another (I1, I2).

use std::path::PathBuf;

use crate::support::{World, agent, manifest, path_text, permissions};

/// `kos-run` refused, by signature or by permission.
const REFUSED: i32 = 126;

/// The hello agent in this version, signed by `alice`.
fn hello(world: &World, version: &str) -> PathBuf {
    let manifest = manifest("hello").replace("0.1.0", version);
    world.sign(&agent("hello"), &manifest, "alice", &format!("hello-{version}.wasm"))
}

#[test]
fn a_component_needs_as_many_authors_as_the_policy_says() {
    let world = World::trusting("trusted");
    let bob = world.new_author("bob");
    world.new_author("mallory");
    for level in ["trusted", "partner", "external"] {
        world.kos(&["trust", "policy", level, "--signatures", "2"]).succeeded();
    }
    let hello = world.signed("hello");
    let add = |key: &str| world.kos(&["sign", path_text(&hello), "--add", "--key", key]);
    world.run(&hello, &[]).ended_with(REFUSED).saying("2");
    // Neither the same key again nor a stranger's makes two.
    add("alice");
    world.run(&hello, &[]).ended_with(REFUSED);
    add("mallory").succeeded();
    world.run(&hello, &[]).ended_with(REFUSED);
    add("bob").succeeded();
    world.run(&hello, &[]).ended_with(REFUSED);
    world.kos(&["trust", "add", &bob, "--level", "trusted"]).succeeded();
    world.grant(&hello, &permissions("\"identity.self\" = {}"));
    world.run(&hello, &[]).succeeded();
    let launch = &world.entries_of("agent_launch")[0];
    assert_eq!(launch["details"]["level"], "trusted");
    assert_eq!(launch["details"]["signers"].as_array().map(Vec::len), Some(2));
}

#[test]
fn too_few_authors_for_a_level_lower_the_component_to_the_next() {
    let world = World::trusting("trusted");
    world.kos(&["trust", "policy", "trusted", "--signatures", "2"]).succeeded();
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    assert_eq!(world.entries_of("agent_launch")[0]["details"]["level"], "partner");
}

#[test]
fn an_older_version_than_one_that_has_run_is_refused_unless_a_grant_allows_it() {
    let world = World::trusting("trusted");
    let (older, newer) = (hello(&world, "0.9.0"), hello(&world, "0.10.0"));
    world.grant(&newer, &permissions("\"identity.self\" = {}"));
    world.run(&older, &[]).succeeded();
    world.run(&newer, &[]).succeeded();
    world.run(&older, &[]).ended_with(REFUSED).saying("0.9.0").saying("0.10.0");
    world.run(&newer, &[]).succeeded();
    world.grant(&newer, "expires = \"1d\"\nallow_rollback = true\n");
    world.run(&older, &[]).succeeded();
}

#[test]
fn a_component_is_started_within_its_time_only() {
    let world = World::trusting("trusted");
    let sign = |time: &str| {
        world.sign(&agent("hello"), &format!("{time}\n{}", manifest("hello")), "alice", "timed.wasm")
    };
    let early = sign("not_before = \"2999-01-01\"");
    world.run(&early, &[]).ended_with(REFUSED).saying("2999-01-01");
    let late = world.write(
        "late.toml",
        format!("not_before = \"2019-01-01\"\nexpires = \"2020-01-01\"\n{}", manifest("hello")),
    );
    let signed = world.path("late.wasm");
    let ended = world.kos(&[
        "sign",
        path_text(&agent("hello")),
        "--manifest",
        path_text(&late),
        "--key",
        "alice",
        "-o",
        path_text(&signed),
    ]);
    if ended.status == 0 {
        world.run(&signed, &[]).ended_with(REFUSED).saying("2020-01-01");
    } else {
        assert!(!signed.exists(), "{}", ended.stderr);
    }
}

#[test]
fn a_signature_beside_the_component_is_found_and_covers_every_byte() {
    let world = World::trusting("trusted");
    world.granted("hello");
    let plain = world.path("hello.wasm");
    std::fs::copy(agent("hello"), &plain).unwrap();
    let text = world.write("agent.toml", manifest("hello"));
    let (component, text) = (path_text(&plain), path_text(&text));
    world.kos(&["sign", component, "--manifest", text, "--key", "alice", "--detached"]).succeeded();
    assert!(world.path("hello.wasm.signature").exists());
    assert_eq!(std::fs::read(&plain).unwrap(), std::fs::read(agent("hello")).unwrap(), "it was altered");
    world.run(&plain, &[]).succeeded();
    let mut bytes = std::fs::read(&plain).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&plain, bytes).unwrap();
    world.run(&plain, &[]).ended_with(REFUSED);
}

#[test]
fn a_rotated_key_is_a_new_one_that_both_keys_vouch_for_and_nobody_trusts_yet() {
    let world = World::trusting("trusted");
    let before = world.granted("hello");
    let rotated = world.kos(&["key", "rotate", "alice", "--json"]).succeeded().json();
    let new = rotated["did"].as_str().expect("a DID");
    assert_ne!(new, world.author());
    let statement = std::fs::read_to_string(world.path("alice.rotation.json")).unwrap();
    let statement: serde_json::Value = serde_json::from_str(&statement).unwrap();
    let signers: Vec<&str> = statement["signatures"]
        .as_array()
        .expect("signatures")
        .iter()
        .filter_map(|one| one["keyid"].as_str())
        .collect();
    assert!(signers.contains(&new) && signers.contains(&world.author()), "{signers:?}");

    world.run(&before, &[]).succeeded();
    let after = world.signed("hello");
    world.run(&after, &[]).ended_with(REFUSED).saying("kos trust add");
    world.kos(&["trust", "add", new, "--level", "trusted"]).succeeded();
    world.grant(&after, &permissions("\"identity.self\" = {}"));
    world.run(&after, &[]).succeeded();
}
