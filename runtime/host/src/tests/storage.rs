//! The agent's own directory.

use std::fs;

use super::guests;
use super::world::{Agent, World, quiet};
use crate::Outcome;

/// Opens `x` in its first directory for writing and writes 4,000 bytes to it, again and again, 100 times. Fails when a write fails, or when
/// it has no directory.
const WRITES: &str = include_str!("writes.wat");

fn run(storage: &'static str, limits: &str) -> (World, Outcome) {
    let world = World::new();
    let agent = Agent { storage, ..Agent::of(WRITES) };
    world.grant(agent, &format!("[resources]\nstorage = \"{storage}\"\n{limits}"));
    let outcome = world.run(agent).outcome;
    (world, outcome)
}

#[test]
fn without_storage_there_is_no_directory() {
    assert_eq!(run("none", "").1, Outcome::Error { status: 1 });
}

#[test]
fn a_persistent_directory_remains() {
    let (world, outcome) = run("persistent", "");
    assert_eq!(outcome, Outcome::Ok);
    let directory = fs::read_dir(world.home.storage()).unwrap().map(|entry| entry.unwrap().path());
    let file = directory.filter(|path| path.is_dir()).map(|path| path.join("x")).next().unwrap();
    assert_eq!(fs::metadata(file).unwrap().len(), 400_000);
}

#[test]
fn a_temporary_directory_is_gone_after_the_run() {
    let (world, outcome) = run("temporary", "");
    assert_eq!(outcome, Outcome::Ok);
    assert_eq!(fs::read_dir(world.home.storage()).unwrap().count(), 0);
}

#[test]
fn a_file_does_not_grow_beyond_the_quota() {
    let (world, outcome) = run("persistent", "[limits]\nstorage = \"100KiB\"");
    assert_eq!(outcome, Outcome::Error { status: 1 });
    let mut directories = fs::read_dir(world.home.storage()).unwrap().map(|entry| entry.unwrap().path());
    let file = directories.find(|path| path.is_dir()).unwrap().join("x");
    let length = fs::metadata(file).unwrap().len();
    assert!((90_000..=102_400).contains(&length), "{length}");
}

#[test]
fn a_file_too_many_is_refused() {
    assert_eq!(run("persistent", "[limits]\nfiles = \"0\"").1, Outcome::Error { status: 1 });
}

#[test]
fn an_agent_without_need_of_its_storage_runs_too() {
    let world = World::new();
    let code = guests::main(guests::SUCCEEDS);
    let agent = Agent { storage: "temporary", ..Agent::of(&code) };
    world.grant(agent, "[resources]\nstorage = \"temporary\"");
    assert_eq!(world.launch(agent, quiet()).unwrap().wait().outcome, Outcome::Ok);
}
