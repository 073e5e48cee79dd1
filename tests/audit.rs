//! An agent's notes are in the log, under the topics it was granted and nowhere else (I5, I7).

use crate::support::{World, permissions};

/// What the probe needs besides, to be started.
const BESIDES: &str = "\"identity.self\" = {}\n\"crypto.hash\" = { scope = [\"blake3\"] }\n";

fn rules(note: &str) -> String {
    format!("{BESIDES}\"audit.note\" = {note}")
}

// [granted: audit.note]
#[test]
fn a_note_is_in_the_log_when_the_call_returns() {
    let world = World::trusting("external");
    let probe = world.probe(&rules(r#"{ scope = ["probe", "weather/*"] }"#));
    let mut agent = world.converse(&probe);
    let did = agent.ask("self").split(' ').next().expect("a DID").to_owned();
    for (topic, text) in [("probe", "first"), ("weather/oslo", "rain")] {
        assert_eq!(agent.ask(&format!("note {topic} {text}")), "noted");
        // The agent is still running: the entry was durable before the answer.
        let notes = world.entries_of("agent_note");
        let note = notes.last().expect("the note");
        assert_eq!((&note["target"]["id"], &note["details"]["text"]), (&topic.into(), &text.into()));
        assert_eq!(note["actor"]["id"], *did);
    }
    assert_eq!(agent.ask("note weather/Oslo rain"), "invalid");
    agent.end().succeeded();
    world.kos(&["log", "verify"]).succeeded();
}

// [denied: audit.note]
#[test]
fn a_note_outside_the_granted_topics_is_denied_and_that_is_logged() {
    let world = World::trusting("trusted");
    let probe = world.probe(&rules(r#"{ scope = ["probe", "!probe/secret", "probe/*"] }"#));
    let mut agent = world.converse(&probe);
    for topic in ["system", "probes", "probe/secret", "PROBE"] {
        assert_eq!(agent.ask(&format!("note {topic} text")), "denied", "{topic}");
    }
    assert_eq!(agent.ask("note probe/public text"), "noted");
    agent.end().succeeded();
    let denied = ["scope-not-covered", "denied-by-rule"].map(|why| ("audit.note".to_owned(), why.to_owned()));
    assert_eq!(world.denials(), denied);
    assert_eq!(world.entries_of("agent_note").len(), 1);
}

// [denied: audit.note]
#[test]
fn an_agent_that_may_note_nothing_is_not_started() {
    let world = World::trusting("trusted");
    let probe = world.probe(BESIDES);
    world.run(&probe, &["self"]).ended_with(126).saying("audit.note").saying("kos grant");
    assert!(world.entries_of("agent_launch").is_empty());
}

// [denied: audit.note]
#[test]
fn a_note_is_denied_once_its_rule_has_ended_or_its_grant_is_revoked() {
    let world = World::trusting("trusted");
    let probe = world.probe(&rules(r#"{ scope = ["elsewhere"] }"#));
    let ending = world.grant(&probe, &permissions(r#""audit.note" = { scope = ["brief"], expires = "1s" }"#));
    let lasting = world.grant(&probe, &permissions(r#""audit.note" = { scope = ["lasting"] }"#));
    let mut agent = world.converse(&probe);
    agent.ask_until("note brief text", "denied");
    assert_eq!(agent.ask("note lasting text"), "noted");
    world.kos(&["grants", "revoke", &lasting, &ending]).succeeded();
    let before = world.entries_of("agent_note").len();
    assert_eq!(agent.ask("repeat 7 note lasting text"), "denied 7");
    agent.end().succeeded();
    assert_eq!(world.entries_of("agent_note").len(), before);
    let reasons: Vec<String> = world.denials().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["expired", "scope-not-covered"]);
}

#[test]
fn notes_faster_than_the_agents_rate_are_limited() {
    let world = World::trusting("trusted");
    let text = permissions(&rules(r#"{ scope = ["probe"] }"#));
    let probe = world.granted_with("probe", &format!("{text}[limits]\nnotes-per-minute = \"3\"\n"));
    assert_eq!(
        world.run(&probe, &["repeat", "5", "note", "probe", "x"]).succeeded().stdout,
        "limited 2, ok 3\n"
    );
    assert_eq!(world.entries_of("agent_note").len(), 3);
}
