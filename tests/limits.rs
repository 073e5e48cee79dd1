//! No agent hurts the host, itself beyond its limits, or a neighbour: every attack of `rogue`, each with its end (I7).

use std::path::Path;
use std::sync::Mutex;

use crate::support::{Ended, World, path_text, sample_folder};

/// What an agent is answered; the run then ends well.
const ANSWERS: [&str; 4] = ["denied", "invalid", "limited", "ok"];
/// Attacks that run side by side; many only wait for their deadline.
const AT_ONCE: usize = 6;

/// The exit status that a run with this outcome is reported with.
fn status_of(outcome: &str) -> i32 {
    match outcome {
        "ok" => 0,
        "error" => 1,
        "deadline" => 124,
        "trap" => 134,
        _ => 137,
    }
}

/// Runs an agent and returns how it ended, with the report that `--json` writes.
fn reported(world: &World, agent: &Path, arguments: &[&str]) -> (Ended, String) {
    let mut command = world.kos_run_command();
    command.arg("--json").arg(agent).arg("--").args(arguments);
    let ended = Ended::of(&mut command);
    let report =
        ended.stderr.lines().last().and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let outcome = report.and_then(|report| report["outcome"].as_str().map(str::to_owned));
    (ended, outcome.unwrap_or_else(|| "none".to_owned()))
}

/// What is wrong with the end of an attack, if anything is.
fn flaw(world: &World, rogue: &Path, name: &str, expected: &str) -> Option<String> {
    let (ended, outcome) = reported(world, rogue, &[name]);
    let is_answer = ANSWERS.contains(&expected);
    let met = if is_answer {
        outcome == "ok" && ended.stdout.lines().last() == Some(&format!("{name}: {expected}"))
    } else {
        expected.split('|').any(|one| one == outcome)
    };
    let said = ended.stdout.lines().last().unwrap_or_default().chars().take(200).collect::<String>();
    (!met || ended.status != status_of(&outcome)).then(|| {
        format!(
            "{name} must end by {expected}, and ended by {outcome} with status {}: {said}\n{}",
            ended.status, ended.stderr
        )
    })
}

#[test]
fn every_attack_of_rogue_meets_its_end() {
    let world = World::trusting("trusted");
    let rogue = world.granted("rogue");
    let listed = world.run(&rogue, &["list"]).succeeded().stdout;
    let attacks: Vec<(&str, &str)> =
        listed.lines().map(|line| line.split_once('\t').expect("a name and its end")).collect();
    assert!(attacks.len() >= 115, "{} attacks", attacks.len());

    let (waiting, flaws) = (Mutex::new(attacks.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((name, expected)) = waiting.lock().unwrap().next() else { return };
                    flaws.lock().unwrap().extend(flaw(&world, &rogue, name, expected));
                }
            });
        }
    });
    let flaws = flaws.into_inner().unwrap();
    assert!(flaws.is_empty(), "{} of {} attacks:\n{}", flaws.len(), attacks.len(), flaws.join("\n"));
    world.kos(&["log", "verify"]).succeeded();
    let exits = world.entries_of("agent_exit");
    assert_eq!(exits.len(), attacks.len() + 1, "one exit for each attack and the listing");
}

#[test]
fn a_component_that_loops_before_its_main_is_ended() {
    let world = World::trusting("trusted");
    let rogue = world.granted("rogue-start");
    assert_eq!(reported(&world, &rogue, &[]).1, "fuel");
}

#[test]
fn components_that_no_compiler_makes_meet_their_end() {
    let world = World::trusting("trusted");
    let manifest = sample_folder("rogue").join("agent.toml");
    let permissions = sample_folder("rogue").join("permissions.toml");
    let mut count = 0;
    for entry in std::fs::read_dir(sample_folder("rogue").join("wat")).expect("the text components") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a text component");
        let expected = text.split('`').nth(1).expect("`;; Must end by` and its word");
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let component =
            world.write(&format!("{name}.wasm"), wat::parse_str(&text).expect("a valid text component"));
        let signed = world.path(&format!("{name}.signed.wasm"));
        let sign = [
            "sign",
            path_text(&component),
            "--manifest",
            path_text(&manifest),
            "--key",
            "alice",
            "-o",
            path_text(&signed),
        ];
        world.kos(&sign).succeeded();
        world.kos(&["grant", path_text(&signed), path_text(&permissions)]).succeeded();
        let (ended, outcome) = reported(&world, &signed, &[]);
        let is_refused_before = text.contains("or refused") && ended.status == 126;
        assert!(
            outcome == expected || is_refused_before,
            "{name} must end by {expected}, and ended by {outcome}: {}",
            ended.stderr
        );
        count += 1;
    }
    assert!(count >= 8, "{count} components");
}

#[test]
fn a_neighbours_end_changes_nothing_for_the_others() {
    let world = World::trusting("trusted");
    let (rogue, hello) = (world.granted("rogue"), world.granted("hello"));
    for attack in ["spin", "sleep-for-a-day", "memory-at-once", "recursion", "output-many-lines"] {
        let mut command = world.kos_run_command();
        command.args([path_text(&rogue), path_text(&hello), "--", attack]);
        let ended = Ended::of(&mut command);
        assert!(ended.stdout.contains("did:key:z6Mk"), "{attack}: {}\n{}", ended.stdout, ended.stderr);
        assert_ne!(ended.status, 0, "{attack}");
        let exits = world.entries_of("agent_exit");
        let last_two: Vec<&str> =
            exits[exits.len() - 2..].iter().filter_map(|exit| exit["details"]["outcome"].as_str()).collect();
        assert!(last_two.contains(&"ok"), "{attack}: {last_two:?}");
    }
}

#[test]
fn a_limit_on_the_command_line_lowers_and_never_raises() {
    let world = World::trusting("trusted");
    let rogue = world.granted("rogue");
    let run = |limit: &str, attack: &str| {
        let mut command = world.kos_run_command();
        command.arg(&rogue).args(["--limit", limit, "--", attack]);
        Ended::of(&mut command)
    };
    run("duration=100ms", "sleep-for-a-day").ended_with(124);
    run("duration=100d", "sleep-for-a-day").ended_with(126).saying("can only be lowered");
    let exits = world.entries_of("agent_exit");
    assert_eq!(exits.len(), 1);
    assert_eq!(exits[0]["details"]["outcome"], "deadline");
}
