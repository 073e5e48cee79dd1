//! An agent learns who it is and what it may do, when that is granted (I2, I4).

use crate::support::{World, permissions};

/// Both calls, and a rule for the interfaces that the probe imports besides.
const BOTH: &str = r#"
"identity.self" = {}
"identity.grants" = {}
"crypto.hash" = { scope = ["blake3", "sha-512"] }
"audit.note" = { scope = ["probe"], conditions = ["uses<=5"] }
"#;

// [granted: identity.self, identity.grants]
#[test]
fn an_agent_is_told_who_it_is_and_what_it_holds() {
    let world = World::trusting("partner");
    let probe = world.probe(BOTH);
    let mut agent = world.converse(&probe);
    let me = agent.ask("self");
    let me: Vec<&str> = me.split(' ').collect();
    let [did, agreement, name, version, author, level] = me.as_slice() else { panic!("{me:?}") };
    assert!(did.starts_with("did:key:z6Mk") && *did != world.author(), "{did}");
    assert!(agreement.starts_with("did:key:z6LS"), "{agreement}");
    assert_eq!([*name, *version, *author, *level], ["probe", "0.1.0", world.author(), "partner"]);
    assert_eq!(
        agent.ask("grants"),
        "audit.note:probe crypto.hash:blake3,sha-512 identity.grants: identity.self:"
    );
    agent.end().succeeded();

    let launch = &world.entries_of("agent_launch")[0];
    assert_eq!(launch["actor"]["id"], **did);
    assert!(world.denials().is_empty());
}

// [denied: identity.self, identity.grants]
#[test]
fn each_call_is_denied_without_its_own_grant() {
    for (granted, missing) in [("self", "grants"), ("grants", "self")] {
        let world = World::trusting("trusted");
        let probe = world.probe(&BOTH.replace(&format!("\"identity.{missing}\" = {{}}"), ""));
        let mut agent = world.converse(&probe);
        assert_ne!(agent.ask(granted), "denied");
        assert_eq!(agent.ask(&format!("repeat 4 {missing}")), "denied 4");
        agent.end().succeeded();
        let capability = format!("identity.{missing}");
        assert_eq!(world.denials(), [(capability.clone(), "not-granted".to_owned())]);
        let exits = world.entries_of("agent_exit");
        let counted = &exits[0]["details"]["denials"];
        assert_eq!((&counted[0]["capability"], &counted[0]["count"]), (&capability.into(), &4.into()));
    }
}

// [denied: identity.self, identity.grants]
#[test]
fn each_call_is_denied_once_its_rule_has_ended() {
    let world = World::trusting("trusted");
    let rules = BOTH.replace("\" = {}", "\" = { expires = \"3s\" }");
    let probe = world.probe(&format!("{rules}\n\"crypto.open\" = {{}}"));
    // What keeps the interface there when the rules have ended before the launch.
    world.grant(&probe, &permissions("\"identity.self\" = { conditions = [\"environment=nowhere\"] }"));
    let mut agent = world.converse(&probe);
    agent.ask_until("self", "denied");
    agent.ask_until("grants", "denied");
    agent.end().succeeded();
    let reasons: Vec<String> = world.denials().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons.last().map(String::as_str), Some("expired"));
}

// [denied: identity.self, identity.grants]
#[test]
fn each_call_is_denied_once_its_grant_is_revoked() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    let grant = world.grant(&probe, &permissions(BOTH));
    let mut agent = world.converse(&probe);
    assert_ne!(agent.ask("self"), "denied");
    assert_ne!(agent.ask("grants"), "denied");
    world.kos(&["grants", "revoke", &grant]).succeeded();
    assert_eq!(agent.ask("self"), "denied");
    assert_eq!(agent.ask("grants"), "denied");
    agent.end().succeeded();
    let denied = ["identity.self", "identity.grants"].map(|name| (name.to_owned(), "not-granted".to_owned()));
    assert_eq!(world.denials(), denied);
}
