//! Everything stops at once, whatever it does and whatever is broken, and stays stopped until operators sign (I4, I8, R21).

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::launch::BlockedLog;
use crate::support::{
    HEARS_ALL, KILLED, World, ended, holding, path_text, permissions, poll_until, sample_folder, signal,
};

/// What `kos-run` ends with when it launches nothing.
const REFUSED: i32 = 126;
/// `kos` did not do it.
const FAILED: i32 = 1;
/// What must be found nowhere afterwards.
const MARKER: &str = "open-sesame-4711";

/// The rogue with an hour and more fuel than it burns in one.
fn rogue(world: &World) -> PathBuf {
    let permissions = std::fs::read_to_string(sample_folder("rogue").join("permissions.toml")).unwrap();
    let longer = permissions.replace("duration = \"3s\"", "duration = \"1h\"").replace("\"2G\"", "\"2000G\"");
    world.granted_with("rogue", &longer)
}

fn start(world: &World, agents: &[&Path], arguments: &[&str]) -> Child {
    let mut command = world.kos_run_command();
    command.args(agents).arg("--").args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process that starts")
}

/// A host with one agent that waits for a day, once it runs.
fn sleeping(world: &World) -> Child {
    let host = start(world, &[&rogue(world)], &["sleep-for-a-day"]);
    poll_until("the agent runs", || running(world) == 1);
    host
}

fn running(world: &World) -> usize {
    world.kos(&["ps", "--json"]).succeeded().json().as_array().map_or(0, Vec::len)
}

fn engage(world: &World) -> Value {
    world.kos(&["kill-switch", "--yes", "--reason", "a drill", "--json"]).succeeded().json()
}

fn file(world: &World) -> PathBuf {
    world.home().join("run/kill")
}

#[track_caller]
fn refused(world: &World, agent: &Path) {
    world.run(agent, &["list"]).ended_with(REFUSED).saying("kos kill-switch resume");
}

fn causes(world: &World) -> Vec<String> {
    let entries = world.entries_of("kill_switch");
    let told = entries.iter().filter_map(|entry| entry["details"]["cause"].as_str());
    told.map(str::to_owned).collect()
}

/// A host that saw the file before it was asked may have ended its agents by itself, and is not counted then.
fn at_most(count: &serde_json::Value, most: u64) -> bool {
    count.as_u64().is_some_and(|count| count <= most)
}

#[test]
fn a_hundred_hostile_agents_of_all_hosts_are_gone_when_the_command_returns() {
    let world = World::trusting("trusted");
    let rogue = rogue(&world);
    let (ping, pong) = (
        world.granted_with("ping", &permissions(HEARS_ALL)),
        world.granted_with("pong", &permissions(HEARS_ALL)),
    );
    // Compiled once, so that the hosts do not do so side by side.
    world.run(&rogue, &["list"]).succeeded();
    let hosts = [
        start(&world, &vec![rogue.as_path(); 34], &["spin"]),
        start(&world, &vec![rogue.as_path(); 33], &["hash-storm"]),
        start(&world, &vec![rogue.as_path(); 32], &["wait-for-ever"]),
        start(&world, &[&pong, &ping], &["until never receive"]),
    ];
    poll_until("all agents run", || running(&world) == 101);
    let told = engage(&world);
    println!("{} agents were stopped in {} ms", told["agents"], told["milliseconds"]);
    assert!(at_most(&told["agents"], 101) && at_most(&told["hosts"], 4), "{told}");
    assert_eq!(told["notStopped"].as_array().map(Vec::len), Some(0));
    assert_eq!(running(&world), 0);
    for host in hosts {
        ended(host).ended_with(KILLED);
    }
    let outcomes = world.outcomes();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "killed").count(), 101, "{outcomes:?}");
    let entries = world.entries_of("kill_switch");
    let sum = entries
        .iter()
        .find(|entry| entry["details"]["hosts"] == told["hosts"])
        .expect("the command's own entry");
    assert_eq!(sum["details"]["agents"], told["agents"]);
    assert_eq!(sum["details"]["reason"], "a drill");
    refused(&world, &rogue);
    assert_eq!(world.kos(&["kill-switch", "status", "--json"]).succeeded().json()["engaged"], true);
    world.kos(&["ps"]).succeeded().saying("kill switch");
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn only_a_signed_release_of_this_very_engagement_lets_agents_run_again() {
    let world = World::trusting("trusted");
    let rogue = rogue(&world);
    engage(&world);
    std::fs::remove_file(file(&world)).unwrap();
    refused(&world, &rogue);

    let older = world.path("older.json");
    world.kos(&["kill-switch", "resume", "-o", path_text(&older)]).succeeded();
    refused(&world, &rogue);
    engage(&world);
    world
        .kos(&["kill-switch", "resume", path_text(&older)])
        .ended_with(FAILED)
        .saying("everything was stopped at");

    // What another home's operators sign counts for nothing here, and no byte of what ours sign may differ.
    let stranger = World::trusting_nobody();
    engage(&stranger);
    let forged = stranger.path("forged.json");
    stranger.kos(&["kill-switch", "resume", "-o", path_text(&forged)]).succeeded();
    world
        .kos(&["kill-switch", "resume", path_text(&forged)])
        .ended_with(FAILED)
        .saying("required signatures");
    let release = world.path("release.json");
    world.kos(&["kill-switch", "resume", "-o", path_text(&release)]).succeeded();
    let whole = std::fs::read_to_string(&release).unwrap();
    std::fs::write(&release, whole.replacen("\"payload\":\"ey", "\"payload\":\"eX", 1)).unwrap();
    world.kos(&["kill-switch", "resume", path_text(&release)]).ended_with(FAILED);
    refused(&world, &rogue);

    std::fs::write(&release, whole).unwrap();
    world.kos(&["kill-switch", "resume", path_text(&release)]).succeeded();
    world.run(&rogue, &["list"]).succeeded();
    world.kos(&["kill-switch", "resume", path_text(&release)]).ended_with(FAILED).saying("not engaged");
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn a_file_that_a_button_puts_there_stops_whatever_is_in_it() {
    let world = World::trusting("trusted");
    let host = sleeping(&world);
    world.write("home/run/kill", [0xff, 0, b'{']);
    ended(host).ended_with(KILLED);
    assert_eq!(causes(&world), ["file"]);
    std::fs::remove_file(file(&world)).unwrap();
    refused(&world, &rogue(&world));
    world.kos(&["kill-switch", "resume"]).succeeded();

    // With no host that could see it, the next one tells the log.
    std::fs::create_dir(file(&world)).unwrap();
    refused(&world, &rogue(&world));
    assert_eq!(causes(&world), ["file", "file"]);
}

#[test]
fn a_signal_to_a_host_stops_the_home() {
    let world = World::trusting("trusted");
    let host = sleeping(&world);
    signal(&host, "-USR2");
    ended(host).ended_with(KILLED);
    assert_eq!(causes(&world), ["signal"]);
    assert_eq!(world.outcomes(), ["killed"]);
    refused(&world, &rogue(&world));
}

#[test]
fn no_key_is_needed_and_a_locked_host_stops_and_logs_it() {
    let world = World::trusting("trusted");
    let rogue = rogue(&world);
    let host = sleeping(&world);
    world.kos(&["vault", "lock"]).succeeded();
    std::fs::rename(world.path("root.key"), world.path("elsewhere.key")).unwrap();
    let told = engage(&world);
    assert!(at_most(&told["agents"], 1), "{told}");
    assert!(told["unlogged"].is_object(), "{told}");
    ended(host).ended_with(KILLED);
    assert_eq!(causes(&world), ["command"]);
    refused(&world, &rogue);
    std::fs::rename(world.path("elsewhere.key"), world.path("root.key")).unwrap();
    std::fs::remove_file(file(&world)).unwrap();
    refused(&world, &rogue);
}

#[test]
fn a_log_that_cannot_be_written_keeps_nothing_running() {
    let world = World::trusting("trusted");
    let host = sleeping(&world);
    let log = world.home().join("log");
    let blocked = BlockedLog::of(&log);
    let told = engage(&world);
    assert!(at_most(&told["agents"], 1) && told["processesEnded"] == 0, "{told}");
    let ended = ended(host);
    drop(blocked);
    assert!(ended.status == 125 || ended.status == KILLED, "{}", ended.status);
    refused(&world, &rogue(&world));
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn a_log_that_another_process_holds_keeps_nothing_running() {
    let world = World::trusting("trusted");
    let host = sleeping(&world);
    let held = kos_core::durable::Lock::exclusive(&world.home().join("log/lock")).unwrap();
    let told = engage(&world);
    assert!(at_most(&told["agents"], 1) && told["processesEnded"] == 0, "{told}");
    assert!(told["unlogged"].is_object(), "{told}");
    drop(held);
    ended(host).ended_with(KILLED);
    assert_eq!(world.outcomes(), ["killed"]);
    refused(&world, &rogue(&world));
}

#[test]
fn a_host_that_does_not_answer_is_ended_with_its_process() {
    let world = World::trusting("trusted");
    let host = sleeping(&world);
    signal(&host, "-STOP");
    assert_eq!(engage(&world)["processesEnded"], 1);
    assert_eq!(ended(host).status, 128 + 9);
    refused(&world, &rogue(&world));
    assert_eq!(world.outcomes(), ["recovered"]);
}

#[test]
fn without_a_terminal_it_is_asked_for_by_an_argument() {
    let world = World::trusting("trusted");
    world.kos(&["kill-switch"]).ended_with(FAILED).saying("--yes");
    world.kos(&["kill-switch", "--yes", "--destroy"]).ended_with(FAILED).saying("--yes-destroy");
    assert!(!file(&world).exists() && world.home().join("slots.json").exists());
    assert!(world.entries_of("kill_switch").is_empty());
}

#[test]
fn what_is_destroyed_is_in_no_file_and_the_log_verifies_without_it() {
    let world = World::trusting("trusted");
    let rogue = rogue(&world);
    let secret = world.write("value", MARKER);
    world.kos(&["vault", "put", "api_key/door", "--from", path_text(&secret)]).succeeded();
    std::fs::remove_file(secret).unwrap();
    world.write("home/storage/kept", MARKER);
    world.write("home/vault/default.json.next", "half a change");
    let slots = std::fs::read(world.home().join("slots.json")).unwrap();
    let host = sleeping(&world);
    world.kos(&["vault", "lock"]).succeeded();
    std::fs::remove_file(world.path("root.key")).unwrap();

    let destroy = ["kill-switch", "--yes", "--destroy", "--with-storage", "--yes-destroy", "--json"];
    let told = world.kos(&destroy).succeeded().json();
    assert_eq!(told["destroyed"]["left"].as_array().map(Vec::len), Some(0), "{told}");
    ended(host).ended_with(KILLED);
    let wrapped = String::from_utf8(slots).unwrap();
    let wrapped = wrapped.split('"').max_by_key(|part| part.len()).expect("a wrapped root key").to_owned();
    for bytes in [MARKER, "half a change", &wrapped, "wrapped"] {
        assert_eq!(holding(&world.home(), bytes.as_bytes()), Vec::<PathBuf>::new(), "{bytes}");
    }
    for directory in ["keys", "vault", "cache", "storage"] {
        assert_eq!(std::fs::read_dir(world.home().join(directory)).unwrap().count(), 0, "{directory}");
    }
    assert!(!world.home().join("slots.json").exists());
    world.kos(&["log", "verify"]).succeeded();
    assert_eq!(world.entries_of("kill_switch")[0]["details"]["destroys"], true);
    refused(&world, &rogue);
}
