//! The contract's functions: granted, denied, logged.

use kos_core::crypto::pae;

use super::guests::{self, HASH, IS_ERROR, NOTE, SIGN, expects_error, repeat};
use super::world::{ALL, Agent, World};
use crate::{Outcome, Refusal};

#[test]
fn a_granted_hash_is_the_hash() {
    let expected = blake3::hash(&[b'a'; 64]);
    let first = u32::from_le_bytes(expected.as_bytes()[..4].try_into().unwrap()).cast_signed();
    let body = format!(
        "{HASH} (i32.or {IS_ERROR} (i32.ne (i32.load (i32.load (i32.const 204))) (i32.const {first})))"
    );
    let world = World::new();
    let code = guests::contract(&body);
    let agent = Agent::of(&code).declaring(ALL);
    world.grant(agent, &format!("[capabilities]\n{ALL}"));
    let report = world.run(agent);
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(report.usage.calls, 1);
}

#[test]
fn a_hash_outside_its_scope_is_denied_and_logged_once() {
    let world = World::new();
    let body = format!("{} {}", repeat(5, HASH), expects_error(0));
    let code = guests::contract(&body);
    let agent = Agent::of(&code).declaring(ALL);
    let narrowed =
        ALL.replace("\"crypto.hash\" = { scope = [\"*\"] }", "\"crypto.hash\" = { scope = [\"sha-512\"] }");
    world.grant(agent, &format!("[capabilities]\n{narrowed}"));
    assert_eq!(world.run(agent).outcome, Outcome::Ok);
    let denied = world.entries_of("permission_denied");
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0]["details"]["scope"], "blake3");
    let exit = &world.entries_of("agent_exit")[0];
    assert_eq!(exit["details"]["denials"][0]["count"], 5);
    assert_eq!(exit["details"]["denials"][0]["capability"], "crypto.hash");
}

#[test]
fn what_an_agent_signs_verifies_under_its_own_identifier_and_context() {
    let world = World::new();
    let code = guests::contract(&format!("{SIGN} {IS_ERROR}"));
    let agent = Agent::of(&code).declaring(ALL);
    world.grant(agent, &format!("[capabilities]\n{ALL}"));
    assert_eq!(world.run(agent).outcome, Outcome::Ok);
    let signed = pae("application/vnd.kos.agent.receipt", &[b'a'; 64]);
    assert!(signed.starts_with(b"DSSEv1 33 application/vnd.kos.agent.receipt 64 "));
}

#[test]
fn a_context_that_is_malformed_is_invalid_but_only_where_signing_is_allowed() {
    let sign_data = "(call $sign (i32.const 140) (i32.const 5) (i32.const 0) (i32.const 4) (i32.const 200))";
    for (granted, expected) in [("*", 1), ("receipt", 0)] {
        let world = World::new();
        let code = guests::contract(&format!("{sign_data} {}", expects_error(expected)));
        let agent = Agent::of(&code).declaring(ALL);
        let rules = ALL.replace(
            "\"crypto.sign\" = { scope = [\"*\"] }",
            &format!("\"crypto.sign\" = {{ scope = [\"{granted}\"] }}"),
        );
        world.grant(agent, &format!("[capabilities]\n{rules}"));
        assert_eq!(world.run(agent).outcome, Outcome::Ok, "{granted}");
    }
}

#[test]
fn a_note_is_in_the_log_before_its_answer() {
    let world = World::new();
    let code = guests::contract(&format!("{NOTE} {IS_ERROR}"));
    let agent = Agent::of(&code).declaring(ALL);
    world.grant(agent, &format!("[capabilities]\n{ALL}"));
    assert_eq!(world.run(agent).outcome, Outcome::Ok);
    let entries = world.entries();
    let note = entries.iter().position(|entry| entry["target"]["type"] == "note").unwrap();
    let exit = entries.iter().position(|entry| entry["eventType"] == "agent_exit").unwrap();
    assert!(note < exit);
    assert_eq!(entries[note]["details"]["text"], "a".repeat(64));
    assert_eq!(entries[note]["target"]["id"], "news");
}

#[test]
fn an_interface_without_any_effective_capability_refuses_the_launch_and_names_what_is_missing() {
    let world = World::new();
    let code = guests::contract(&format!("{HASH} {IS_ERROR}"));
    let agent = Agent::of(&code).declaring(ALL);
    world.grant(agent, "[capabilities]\n\"crypto.hash\" = { scope = [\"*\"] }");
    let refusal = world.launch(agent, super::world::quiet()).unwrap_err();
    let Refusal::Missing { missing } = &refusal else { unreachable!("audit is missing: {refusal}") };
    assert_eq!(
        missing.iter().map(|missing| missing.capability.to_string()).collect::<Vec<_>>(),
        ["audit.note"]
    );
    assert_eq!(refusal.exit_status(), 126);
    assert!(refusal.remedy().unwrap().contains("audit.note"));
    let denied = world.entries_of("permission_denied");
    assert_eq!(denied[0]["details"]["reason"], "missing-permission");
    assert!(world.entries_of("agent_launch").is_empty());
}
