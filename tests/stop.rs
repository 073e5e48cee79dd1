//! Running agents are seen and stopped, and each end is in the log (I5, I8).

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::support::{
    Conversation, KILLED, World, agent, ended, manifest, poll_until, sample_folder, signal,
};

/// An agent of this name that waits for a day.
fn sleeper(world: &World, name: &str) -> PathBuf {
    let manifest = manifest("rogue").replace("name = \"rogue\"", &format!("name = \"{name}\""));
    let sleeper = world.sign(&agent("rogue"), &manifest, "alice", &format!("{name}.wasm"));
    let permissions = std::fs::read_to_string(sample_folder("rogue").join("permissions.toml")).unwrap();
    world.grant(&sleeper, &permissions.replace("duration = \"3s\"", "duration = \"1h\""));
    sleeper
}

/// Starts agents in one host.
fn start(world: &World, agents: &[&Path]) -> Child {
    let mut command = world.kos_run_command();
    command.args(agents).args(["--", "sleep-for-a-day"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process that starts")
}

fn running(world: &World) -> Vec<String> {
    let listed = world.kos(&["ps", "--json"]).succeeded().json();
    let names =
        listed.as_array().expect("a list").iter().map(|run| run["name"].as_str().expect("a name").to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn an_interrupt_stops_every_agent_of_the_host_and_logs_each_end() {
    let world = World::trusting("trusted");
    let (one, two) = (sleeper(&world, "one"), sleeper(&world, "two"));
    for name in ["-INT", "-TERM", "-HUP"] {
        let host = start(&world, &[&one, &two]);
        poll_until("both agents run", || running(&world) == ["one", "two"]);
        signal(&host, name);
        ended(host).ended_with(KILLED);
        assert!(running(&world).is_empty());
    }
    assert_eq!(world.outcomes(), ["killed"; 6]);
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn one_agent_is_stopped_by_name_and_the_others_go_on() {
    let world = World::trusting("trusted");
    let (one, two) = (sleeper(&world, "one"), sleeper(&world, "two"));
    let (both, alone) = (start(&world, &[&one, &two]), start(&world, &[&one]));
    poll_until("all agents run", || running(&world) == ["one", "one", "two"]);
    let stopped = world.kos(&["stop", "one", "--json"]).succeeded().json();
    assert_eq!(stopped["stopped"], 2);
    ended(alone).ended_with(KILLED).saying("was stopped");
    poll_until("the others go on", || running(&world) == ["two"]);
    assert_eq!(world.outcomes(), ["killed"; 2]);
    world.kos(&["stop", "one"]).ended_with(1).saying("not running");

    let runs = world.kos(&["ps", "--json"]).succeeded().json();
    world.kos(&["stop", runs[0]["run"].as_str().expect("a run")]).succeeded();
    ended(both).ended_with(KILLED);
    assert_eq!(world.outcomes(), ["killed"; 3]);
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn a_component_that_is_revoked_while_it_runs_is_stopped() {
    let world = World::trusting("trusted");
    let (one, two) = (sleeper(&world, "one"), sleeper(&world, "two"));
    let host = start(&world, &[&one]);
    poll_until("the agent runs", || running(&world) == ["one"]);
    // Both are the same component under two names.
    let digest = world.kos(&["inspect", two.to_str().expect("a path"), "--json"]).succeeded().json();
    world.kos(&["trust", "revoke", digest["digest"].as_str().expect("a digest")]).succeeded();
    ended(host).ended_with(KILLED);
    assert_eq!(world.outcomes(), ["killed"]);
}

#[test]
fn an_agent_that_waits_for_its_input_is_stopped_as_well() {
    let world = World::trusting("trusted");
    let probe = world.granted("probe");
    let mut agent = world.converse(&probe);
    assert_ne!(agent.ask("self"), "denied");
    world.kos(&["stop", "probe"]).succeeded();
    agent.wait().ended_with(KILLED);

    let mut agent = Conversation::with(world.kos_run_command().arg(&probe).args(["--limit", "duration=1s"]));
    assert_ne!(agent.ask("self"), "denied");
    agent.wait().ended_with(124);
    assert_eq!(world.outcomes(), ["killed", "deadline"]);
}
