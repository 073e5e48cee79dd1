//! After a lock no key of an agent, and nothing that leads to one, is in the memory of a running host (R16).

#[path = "../runtime/core/tests/memory/search.rs"]
mod search;

use search::{count, derived, private_halves, root_key};

use crate::support::World;

#[test]
fn a_locked_host_has_no_key_in_memory_but_its_own() {
    let world = World::trusting("trusted");
    let rules =
        "\"crypto.sign\" = { scope = [\"*\"] }\n\"identity.self\" = {}\n\"audit.note\" = { scope = [\"*\"] }";
    let agent = world.probe(rules);
    let mut conversation = world.converse(&agent);
    let signature = conversation.ask("sign receipt text");
    let (home, pid) = (world.home(), conversation.id());
    let (slot, root) = root_key(&home, &world.path("root.key"));
    let artifact = derived(None, &root, "kos/mac/artifact/v1", 32);
    let [host, _] = private_halves(&home, &root, "host/default");
    let [seed, agreement] = private_halves(&home, &root, &agent_key(&home));
    let needles = [&slot, &artifact, &agreement, &root, &seed, &host].map(Vec::as_slice);
    let found = || count(pid, &needles).into_iter().map(|hits| hits > 0).collect::<Vec<_>>();

    let before = found();
    assert!(before[3..].iter().all(|found| *found), "what is there is found: {before:?}");
    world.kos(&["vault", "lock"]).succeeded();
    assert_eq!(conversation.ask("sign receipt text"), "unavailable");
    assert_eq!(found(), [false, false, false, false, false, true], "the log goes on");
    world.kos(&["vault", "unlock"]).succeeded();
    assert_eq!(conversation.ask("sign receipt text"), signature);
    conversation.end().succeeded();
}

/// The one key of an agent in a home, by its role and name.
fn agent_key(home: &std::path::Path) -> String {
    let files = std::fs::read_dir(home.join("keys")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut agents =
        names.filter_map(|name| Some(name.strip_suffix(".json")?.strip_prefix("agent-")?.to_owned()));
    format!("agent/{}", agents.next().unwrap())
}
