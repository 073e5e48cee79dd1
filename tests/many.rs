//! Many agents in one host: directories of them.

use std::fs;

use crate::support::{World, agent, path_text};

#[test]
fn of_a_directory_what_is_refused_is_told_and_the_others_run() {
    let world = World::trusting("trusted");
    let (hello, folder) = (world.granted("hello"), world.path("agents"));
    fs::create_dir(&folder).expect("a folder");
    fs::copy(&hello, folder.join("c.wasm")).expect("a copy");
    fs::copy(agent("hello"), folder.join("a.wasm")).expect("a copy");
    fs::copy(world.signed("notary"), folder.join("b.wasm")).expect("a copy");
    fs::write(folder.join("notes.txt"), "no agent").expect("a file");
    let run = world.run(&folder, &[]).ended_with(126);
    assert!(run.stdout.contains("I am hello"), "{}", run.stdout);
    let (unsigned, ungranted) = (run.stderr.find("a.wasm"), run.stderr.find("b.wasm"));
    assert!(unsigned.is_some() && unsigned < ungranted, "{}", run.stderr);
    assert!(!run.stderr.contains("notes.txt") && !run.stderr.contains("c.wasm"), "{}", run.stderr);
    assert_eq!(world.entries_of("agent_launch").len(), 1);

    let both = world.kos_run_command().args([&folder, &folder.join("a.wasm")]).output().expect("its end");
    assert_eq!(both.status.code(), Some(126));
    assert_eq!(world.entries_of("agent_launch").len(), 1, "what is named itself refuses all");

    let empty = world.path("empty");
    fs::create_dir(&empty).expect("a folder");
    world.run(&empty, &[]).ended_with(125).saying(path_text(&empty));
}
