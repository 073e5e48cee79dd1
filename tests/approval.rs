//! Calls that wait for a person: what is approved is what was shown, once or by a grant, and nothing else (I2, I3, I4, I5).

use serde_json::Value;

use crate::support::{Conversation, World, path_text, permissions, poll_until};

/// A probe whose signatures wait for a person, and which may be started.
const ASKING: &str = "\"crypto.sign\" = { scope = [\"*\", \"!pay*\"], conditions = [\"approval=1m\"] }";

fn world_with(rule: &str) -> (World, std::path::PathBuf, String) {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    let grant = world.grant(
        &probe,
        &permissions(&format!(
            "\"identity.self\" = {{}}\n\"audit.note\" = {{ scope = [\"probe\"] }}\n{rule}"
        )),
    );
    (world, probe, grant)
}

fn questions(world: &World) -> Vec<Value> {
    let listed = world.kos(&["approvals", "--json"]).succeeded().json();
    listed.as_array().expect("a list").clone()
}

/// The one question that is asked, once it is.
#[track_caller]
fn question(world: &World) -> Value {
    poll_until("a question is asked", || questions(world).len() == 1);
    questions(world).remove(0)
}

fn id(question: &Value) -> &str {
    question["question"].as_str().expect("an identifier")
}

#[track_caller]
fn is_signature(answer: &str) {
    assert_eq!(answer.len(), 128, "{answer}");
}

#[test]
fn a_call_waits_and_is_made_once_when_it_is_approved() {
    let (world, probe, grant) = world_with(ASKING);
    let mut agent = world.converse(&probe);
    agent.say("sign receipt x");
    let asked = question(&world);
    assert_eq!(asked["capability"], "crypto.sign");
    assert_eq!(asked["scope"], "receipt");
    assert_eq!(asked["grant"], grant.as_str());
    assert!(asked["agent"].as_str().unwrap().ends_with("#probe"));
    let shown = world.kos(&["approvals"]).succeeded().stdout;
    assert!(shown.contains("\"receipt\"") && shown.contains(id(&asked)), "{shown}");
    world.kos(&["approve", id(&asked)]).succeeded();
    is_signature(&agent.hear());
    // Once is once, and an answer is given once.
    world.kos(&["approve", id(&asked)]).ended_with(1).saying("no call waits");
    agent.say("sign receipt x");
    let again = question(&world);
    assert_ne!(id(&again), id(&asked));
    world.kos(&["deny", id(&again)]).succeeded();
    assert_eq!(agent.hear(), "denied");
    // Nobody is asked until they agree.
    assert_eq!(agent.ask("sign receipt x"), "denied");
    agent.end().succeeded();
    let requested = world.entries_of("permission_request");
    assert_eq!(requested.len(), 2);
    let entries = world.entries();
    let at = |kind: &str, answer: &str| {
        entries.iter().position(|entry| {
            entry["eventType"] == kind
                && entry["target"]["id"] == if answer == "once" { id(&asked) } else { id(&again) }
                && entry["details"]["answer"] == answer
        })
    };
    assert!(at("permission_grant", "once") < at("permission_denied", "deny"));
    let denials = world.denials();
    let reasons: Vec<&str> = denials.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons, ["approval", "approval-refused"], "the answer, and then what it did");
}

#[test]
fn a_call_that_nobody_answers_is_denied_when_its_time_is_over() {
    let (world, probe, _) =
        world_with("\"crypto.sign\" = { scope = [\"*\"], conditions = [\"approval=1s\"] }");
    let ended = world.run(&probe, &["sign", "receipt", "x"]).succeeded();
    assert_eq!(ended.stdout, "denied\n");
    assert_eq!(world.denials(), [("crypto.sign".to_owned(), "approval-timed-out".to_owned())]);
    assert!(questions(&world).is_empty());
}

#[test]
fn an_approval_for_a_time_or_always_is_a_signed_grant_for_exactly_the_shown_scope() {
    let (world, probe, _) = world_with(ASKING);
    let mut agent = world.converse(&probe);
    agent.say("sign receipt x");
    let asked = question(&world);
    let granted = world.kos(&["approve", id(&asked), "--for", "1h", "--json"]).succeeded().json();
    is_signature(&agent.hear());
    is_signature(&agent.ask("sign receipt x"));
    let grant = granted["grant"].as_str().expect("a grant");
    let shown = world.kos(&["grants", "show", grant]).succeeded().stdout;
    assert!(shown.contains("\"crypto.sign\" = { scope = [\"receipt\"] }"), "{shown}");
    assert!(shown.contains("memory = \"none\""), "{shown}");
    assert!(questions(&world).is_empty());
    // Another scope is another question, and a denied one is none.
    assert_eq!(agent.ask("sign payment x"), "denied");
    agent.say("sign receipt2 x");
    let other = question(&world);
    assert_eq!(other["scope"], "receipt2");
    world.kos(&["approve", id(&other), "--always"]).succeeded();
    is_signature(&agent.hear());
    // What was granted goes as it came.
    world.kos(&["grants", "revoke", grant]).succeeded();
    agent.say("sign receipt x");
    world.kos(&["deny", id(&question(&world))]).succeeded();
    assert_eq!(agent.hear(), "denied");
    agent.end().succeeded();
}

#[test]
fn a_scope_that_would_be_a_pattern_is_approved_once_and_granted_never() {
    let (world, probe, _) = world_with(ASKING);
    let mut agent = world.converse(&probe);
    for scope in ["receipt*", "*", "!receipt"] {
        agent.say(&format!("sign {scope} x"));
        let asked = question(&world);
        assert_eq!(asked["scope"], scope);
        world.kos(&["approve", id(&asked), "--always"]).ended_with(1).saying("cannot be granted");
        world.kos(&["deny", id(&asked)]).succeeded();
        assert_eq!(agent.hear(), "denied");
    }
    // What is invisible, or steers a terminal, is no scope, and nobody is asked.
    for scope in ["rec\u{200b}eipt", "rece\u{456}pt", "receipt\u{1b}[2K", "receipt\u{202e}"] {
        assert_eq!(agent.ask(&format!("sign {scope} x")), "denied", "{scope:?}");
    }
    assert!(questions(&world).is_empty());
    agent.end().succeeded();
    assert_eq!(world.kos(&["grants", "list", "--json"]).succeeded().json().as_array().unwrap().len(), 1);
}

#[test]
fn a_grant_that_is_revoked_while_a_call_waits_ends_the_waiting() {
    let (world, probe, grant) = world_with("");
    let asking = world.grant(&probe, &permissions(ASKING));
    let mut agent = world.converse(&probe);
    agent.say("sign receipt x");
    let asked = question(&world);
    world.kos(&["grants", "revoke", &asking]).succeeded();
    assert_eq!(agent.hear(), "denied");
    world.kos(&["approve", id(&asked)]).ended_with(1).saying("no call waits");
    agent.end().succeeded();
    assert_ne!(grant, asking);
    assert_eq!(world.denials(), [("crypto.sign".to_owned(), "not-granted".to_owned())]);
}

#[test]
fn a_run_that_is_stopped_while_a_call_waits_ends_at_once() {
    let (world, probe, _) = world_with(ASKING);
    let agent = world.converse(&probe);
    let wait = |mut agent: Conversation| {
        agent.say("sign receipt x");
        question(&world);
        world.kos(&["stop", "probe"]).succeeded();
        agent.wait().ended_with(137)
    };
    wait(agent);
    assert!(questions(&world).is_empty());
}

#[test]
fn what_cannot_wait_takes_no_approval() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    for rule in [
        "\"crypto.hash\" = { scope = [\"blake3\"], conditions = [\"approval=1m\"] }",
        "\"messaging.receive\" = { scope = [\"*\"], conditions = [\"approval=1m\"] }",
        "\"crypto.sign\" = { scope = [\"*\"], conditions = [\"approval=2h\"] }",
    ] {
        let file = world.write("p.toml", permissions(rule));
        world.kos(&["grant", path_text(&probe), path_text(&file)]).ended_with(1).saying("approval");
    }
}

#[test]
fn an_explanation_says_that_a_person_is_asked() {
    let (world, probe, grant) = world_with(ASKING);
    let explained =
        world.kos(&["explain", path_text(&probe), "crypto.sign:receipt", "--json"]).ended_with(1).json();
    assert!(explained["because"].as_str().unwrap().contains("asks for an approval"), "{explained}");
    assert!(explained["change"].as_str().unwrap().contains("kos approve"), "{explained}");
    assert!(explained.to_string().contains(&grant));
}
