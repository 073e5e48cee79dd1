//! The agent's own directory.

use std::fs;

use super::guests;
use super::world::{Agent, World, eventually, quiet};
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

#[test]
fn a_file_that_is_open_when_storage_is_revoked_is_of_no_more_use() {
    let write = "\"[method]descriptor.write\" (func (param \"self\" (borrow $d)) (param \"buffer\" (list u8)) \
                 (param \"offset\" u64)\n            (result (result u64 (error $error-code))))";
    let sync = "\"[method]descriptor.sync\" (func (param \"self\" (borrow $d)) (result (result (error $error-code))))";
    let again = WRITES.find("            (loop $again").unwrap();
    let (before, after) = (&WRITES[..again], &WRITES[WRITES.find("            (i32.const 0)))").unwrap()..]);
    let code = format!(
        "{before}(loop $again (call $write (local.get $file) (i32.const 240))
            (br_if $again (i32.eqz (i32.load8_u (i32.const 240))))) {after}"
    )
    .replace(write, sync)
    .replace("[method]descriptor.write", "[method]descriptor.sync")
    .replace(
        "\"write\" (func $write (param i32 i32 i32 i64 i32))",
        "\"write\" (func $write (param i32 i32))",
    );
    let world = World::new();
    let agent = Agent { storage: "persistent", ..Agent::of(&code) };
    let grant = world.grant(agent, "[resources]\nstorage = \"persistent\"\n[limits]\nduration = \"5s\"");
    let run = world.launch(agent, quiet()).unwrap();
    let has_file = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().path().join("x").exists();
    eventually("the opening", || fs::read_dir(world.home.storage()).unwrap().any(has_file));
    world.revoke(grant);
    world.host.reload();
    assert_eq!(run.wait().outcome, Outcome::Ok, "the agent saw the refusal");
}
