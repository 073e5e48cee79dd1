//! Grants that are narrowed and extended while agents run, and counts that nothing refills (I4, I5, I8).

use crate::support::{World, path_text, permissions, poll_until};

const STARTS: &str = "\"identity.self\" = {}\n\"audit.note\" = { scope = [\"probe\"] }";

fn id(answer: &serde_json::Value) -> String {
    answer["grant"].as_str().expect("a grant").to_owned()
}

#[test]
fn a_grant_is_narrowed_and_extended_for_a_running_agent_and_the_old_one_does_not_come_back() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    world.grant(&probe, &permissions(STARTS));
    let old = world.grant(&probe, &permissions("\"crypto.hash\" = { scope = [\"blake3\", \"sha-512\"] }"));
    let mut agent = world.converse(&probe);
    assert_ne!(agent.ask("hash sha-512 x"), "denied");
    let narrow = |grant: &str, more: &[&str]| {
        let arguments = [&["grants", "narrow", grant, "--json"], more].concat();
        world.kos(&arguments).succeeded().json()
    };
    let answer = narrow(&old, &["--remove", "crypto.hash:sha-512"]);
    assert_eq!(answer["hosts"], 1);
    let narrower = id(&answer);
    assert_eq!(agent.ask("hash sha-512 x"), "denied");
    assert_ne!(agent.ask("hash blake3 x"), "denied");
    // The old file is put back, and even alone it counts for nothing.
    let file = |grant: &str| world.home().join("grants").join(format!("{grant}.json"));
    let old_bytes = std::fs::read(file(&old)).expect("the old grant");
    let extended = world
        .kos(&["grants", "extend", &narrower, "--allow", "crypto.hash:sha-512", "--for", "9d", "--json"])
        .succeeded()
        .json();
    assert_ne!(agent.ask("hash sha-512 x"), "denied");
    agent.end().succeeded();
    std::fs::remove_file(file(&id(&extended))).unwrap();
    std::fs::remove_file(file(&narrower)).unwrap();
    std::fs::write(file(&old), old_bytes).unwrap();
    // Nothing grants the interface any more, so that the agent is not even started.
    world.run(&probe, &["hash", "blake3", "x"]).ended_with(126).saying("crypto.hash");
    let changes: Vec<_> = world
        .entries_of("permission_grant")
        .iter()
        .filter_map(|entry| entry["details"]["change"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(changes, ["narrow", "extend"]);
}

#[test]
fn what_would_widen_is_no_narrowing_and_what_was_replaced_is_not_changed_again() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    let grant = world.grant(
        &probe,
        &permissions("\"crypto.sign\" = { scope = [\"receipt\", \"!pay*\"] }\n\"crypto.open\" = \"deny\""),
    );
    let refused = |arguments: &[&str], why: &str| {
        world.kos(&[&["grants", arguments[0], &grant], &arguments[1..]].concat()).ended_with(1).saying(why);
    };
    refused(&["narrow", "--for", "2d"], "not earlier");
    refused(&["narrow", "--for", "never"], "not earlier");
    refused(&["narrow", "--remove", "crypto.open"], "does not allow");
    refused(&["narrow", "--remove", "crypto.sign:other"], "does not allow");
    refused(&["narrow", "--limit", "memory=1GiB"], "not above");
    refused(&["narrow"], "nothing is to be changed");
    refused(&["extend", "--for", "1h"], "not later");
    refused(&["extend", "--allow", "crypto.open"], "denies");
    let narrower =
        world.kos(&["grants", "narrow", &grant, "--remove", "crypto.sign", "--json"]).succeeded().json();
    let shown = world.kos(&["grants", "show", &id(&narrower)]).succeeded().stdout;
    assert!(shown.contains("!pay*") && !shown.contains("receipt"), "{shown}");
    refused(&["extend", "--for", "9d"], "has taken the place");
    let file = world.home().join("grants").join(format!("{grant}.json"));
    world.kos(&["grant", "--install", path_text(&file)]).ended_with(1);
}

#[test]
fn neither_a_restart_nor_a_second_host_nor_a_kill_nor_a_narrowing_refills_what_was_used() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    world.grant(&probe, &permissions(STARTS));
    let rule =
        "\"crypto.hash\" = { scope = [\"blake3\", \"sha-512\"], conditions = [\"uses<=7\", \"rate<=7/1h\"] }";
    let grant = world.grant(&probe, &permissions(rule));
    let hash = |times: &str| {
        world.run(&probe, &["repeat", times, "hash", "blake3", "x"]).succeeded().stdout.trim_end().to_owned()
    };
    assert_eq!(hash("2"), "ok 2");
    // Two hosts at once share what is left.
    let (mut one, mut two) = (world.converse(&probe), world.converse(&probe));
    assert_ne!(one.ask("hash blake3 x"), "denied");
    assert_ne!(two.ask("hash blake3 x"), "denied");
    two.end().succeeded();
    one.signal("-KILL");
    one.wait();
    world.kos(&["grants", "narrow", &grant, "--remove", "crypto.hash:sha-512"]).succeeded();
    assert_eq!(hash("9"), "denied 6, ok 3");
    assert_eq!(hash("1"), "denied 1");
    let explained = world.kos(&["explain", path_text(&probe), "crypto.hash:blake3"]).ended_with(1);
    assert!(explained.stdout.contains("used up"), "{}", explained.stdout);
}

#[test]
fn a_host_that_does_not_answer_is_named_with_what_holds_then() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    world.grant(&probe, &permissions("\"audit.note\" = { scope = [\"probe\"] }\n\"crypto.open\" = {}"));
    let grant = world.grant(&probe, &permissions("\"identity.self\" = {}"));
    let mut agent = world.converse(&probe);
    assert_ne!(agent.ask("self"), "denied");
    agent.signal("-STOP");
    let told = world.kos(&["grants", "revoke", &grant]);
    agent.signal("-CONT");
    told.ended_with(1).saying("does not answer").saying("go on by what was in force before");
    poll_until("the host reads what waits for it", || agent.ask("self") == "denied");
    agent.end();
}
