#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::log::entry::Entry;

const AGENT: &str = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw#notary";

fn config(rule: &str) -> Result<AlertConfig, AlertConfigError> {
    AlertConfig::from_toml(&format!("[sinks.term]\nkind = \"terminal\"\n[rules.one]\n{rule}"))
}

fn watcher(rule: &str) -> Watcher {
    Watcher::new(config(&format!("{rule}\nseverity = \"warning\"\nsinks = [\"term\"]")).unwrap().rules)
}

fn entry(event: &str, at: u64, details: Value) -> Entry {
    serde_json::from_value(json!({
        "actor": { "id": "did:key:x", "type": "agent" }, "details": details, "eventType": event,
        "id": "0", "timestamp": at, "target": { "id": "crypto.sign", "type": "capability" },
    }))
    .unwrap()
}

fn denied(agent: &str, at: u64) -> Entry {
    entry("permission_denied", at, json!({ "agent": agent, "reason": "not-granted", "scope": "s3cret" }))
}

fn raised(watcher: &mut Watcher, entries: &[Entry]) -> Vec<(u64, u64)> {
    let mut alerts = Vec::new();
    for entry in entries {
        alerts.extend(watcher.see(7, entry).into_iter().map(|(_, raised)| (raised.count, raised.held_back)));
    }
    alerts
}

#[test]
fn so_many_within_the_time_are_one_alert_and_the_next_waits_as_long() {
    let rule = "events = [\"permission_denied\"]\ncount = 3\nwithin = \"1m\"";
    let at = |seconds: u64| denied(AGENT, seconds * 1_000);
    assert_eq!(raised(&mut watcher(rule), &[at(0), at(1), at(61), at(62)]), []);
    let burst: Vec<Entry> = [0, 1, 2, 3, 4, 62, 63, 64].map(at).into();
    assert_eq!(raised(&mut watcher(rule), &burst), [(3, 0), (3, 2)]);
    let other = AGENT.replace("notary", "other");
    assert_eq!(raised(&mut watcher(rule), &[at(0), denied(&other, 1), at(2), denied(&other, 3)]), []);
}

#[test]
fn what_an_exit_entry_counts_is_counted_beyond_the_first() {
    let rule = "events = [\"permission_denied\"]\ncapability = \"crypto.sign\"\ncount = 10\nwithin = \"1m\"";
    let denials = json!([
        { "capability": "crypto.sign", "reason": "not-granted", "scope": "x", "count": 10 },
        { "capability": "crypto.hash", "reason": "not-granted", "scope": "x", "count": 90 },
    ]);
    let exit = entry("agent_exit", 1_000, json!({ "agent": AGENT, "outcome": "ok", "denials": denials }));
    assert_eq!(raised(&mut watcher(rule), std::slice::from_ref(&exit)), []);
    assert_eq!(raised(&mut watcher(rule), &[denied(AGENT, 0), exit]), [(10, 0)]);
}

#[test]
fn an_alert_raises_no_alert_and_a_flood_of_agents_is_bounded() {
    let rule = "events = [\"alert\", \"permission_denied\"]\ncount = 1\nwithin = \"1m\"";
    let mut watcher = watcher(rule);
    let own = entry("alert", 0, json!({ "rule": "one" }));
    assert_eq!(raised(&mut watcher, &[own]), []);
    let hosts = entry("alert", 0, json!({ "reason": "altered-artifact" }));
    assert_eq!(raised(&mut watcher, &[hosts]), [(1, 0)]);
    let flood: Vec<Entry> = (0..1_000_u64)
        .map(|number| denied(&AGENT.replace("notary", &format!("a{number}")), number))
        .collect();
    assert_eq!(raised(&mut watcher, &flood).len(), 29);
    let later = raised(&mut watcher, &[denied(AGENT, 200_000)]);
    assert!(later.len() == 1 && later.iter().all(|(_, held_back)| *held_back > 0), "{later:?}");
}

#[test]
fn nothing_that_an_agent_wrote_stands_in_an_alert() {
    let rule = "events = [\"permission_denied\", \"agent_note\", \"agent_exit\"]\ncount = 1\nwithin = \"1s\"";
    let mut watcher = watcher(rule);
    let evil = "s3cret\u{1b}[2J\n<34>1 forged";
    let entries = [
        denied(AGENT, 0),
        entry("permission_denied", 5_000, json!({ "agent": evil, "reason": evil, "launch": evil })),
        entry("agent_note", 9_000, json!({ "text": evil, "reason": "s3cret", "agent": AGENT })),
        entry("agent_exit", 12_000, json!({ "outcome": "trap", "trap": evil, "agent": AGENT })),
    ];
    let mut count = 0;
    for entry in &entries {
        for (_, raised) in watcher.see(1, entry) {
            count += 1;
            let entry = format!("{:?}", raised.to_event("did:key:host"));
            for text in [
                raised.to_syslog("log", 0),
                raised.to_cloud_event("log", 0).to_string(),
                raised.message(),
                entry,
            ] {
                assert!(!text.contains("s3cret") && !text.contains(['\n', '\u{1b}']), "{text}");
            }
        }
    }
    assert_eq!(count, 4);
}

#[test]
fn an_alert_is_a_cloud_event_and_a_line_of_syslog() {
    let mut watcher = watcher("events = [\"permission_denied\"]\ncount = 1\nwithin = \"1s\"");
    let entry = denied(AGENT, 1_795_538_466_531);
    let (_, raised) = watcher.see(41, &entry).remove(0);
    let event = raised.to_cloud_event("kos.test/log", 2);
    for (pointer, value) in [
        ("/specversion", json!("1.0")),
        ("/id", json!("41-one")),
        ("/source", json!("urn:kos:kos.test/log")),
        ("/type", json!(EVENT_TYPE)),
        ("/subject", json!(AGENT)),
        ("/kosdropped", json!(2)),
        ("/data/class_uid", json!(2004)),
        ("/data/type_uid", json!(200_401)),
        ("/data/unmapped/capability", json!("crypto.sign")),
        ("/data/unmapped/reason", json!("not-granted")),
    ] {
        assert_eq!(event.pointer(pointer), Some(&value), "{pointer}");
    }
    assert!(raised.to_syslog("l", 0).starts_with("<84>1 2026-11-24T"), "{}", raised.to_syslog("l", 0));
    assert_eq!(raised.time, Timestamp::from_millis(1_795_538_466_531));
}

#[test]
fn rules_of_our_own_are_read_and_others_strictly() {
    assert_eq!(AlertConfig::standard().unwrap().rules.len(), 7);
    let good = "events = [\"alert\"]\ncount = 1\nwithin = \"1m\"\nseverity = \"warning\"\nsinks = [\"term\"]";
    assert!(config(good).is_ok());
    for (from, to) in [
        ("\"alert\"", "\"alrt\""),
        ("\"alert\"", ""),
        ("count = 1", "count = 0"),
        ("count = 1", "count = 1\nfoo = 1"),
        ("count = 1", "details = { reason = [] }\ncount = 1"),
        ("count = 1", "capability = \"crypto.forge\"\ncount = 1"),
        ("\"1m\"", "\"2d\""),
        ("\"1m\"", "\"soon\""),
        ("warning", "urgent"),
        ("\"term\"", "\"nowhere\""),
        ("[\"term\"]", "[]"),
    ] {
        assert!(config(&good.replace(from, to)).is_err(), "{to}");
    }
    for sink in [
        "kind = \"file\"\npath = \"relative\"",
        "kind = \"webhook\"\nurl = \"http://127.0.0.1/\"",
        "kind = \"webhook\"\nurl = \"https://user@host/\"",
        "kind = \"webhook\"\nurl = \"https://host/a b\"",
        "kind = \"mail\"",
        "kind = \"syslog\"\nport = 514",
    ] {
        assert!(AlertConfig::from_toml(&format!("[sinks.x]\n{sink}")).is_err(), "{sink}");
    }
}
