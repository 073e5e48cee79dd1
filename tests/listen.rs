//! The operator listens: agents send to the operator's identifier, granted like any other, and are answered.

use std::process::{Child, Stdio};

use crate::support::{Conversation, Ended, World, agent, manifest, permissions, poll_until};

/// `ping` that may need to send to people, granted these rules, with its script.
fn start(world: &World, rules: &str, script: &[&str]) -> Conversation {
    let manifest = manifest("ping").replace("\"name:pong/*\"", "\"name:pong/*\", \"did:key:*\"");
    let ping = world.sign(&agent("ping"), &manifest, "alice", "ping.wasm");
    world.grant(&ping, &permissions(rules));
    Conversation::with(world.kos_run_command().arg(&ping).arg("--").args(script))
}

fn listen(world: &World, arguments: &[&str]) -> Child {
    let mut command = world.kos_command();
    command.args(["message", "listen"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kos")
}

fn ended(child: Child) -> Ended {
    Ended::from_output("kos message listen".into(), child.wait_with_output().expect("its end"))
}

fn is_running(world: &World) -> bool {
    world.kos(&["ps", "--json"]).succeeded().json().as_array().is_some_and(|runs| !runs.is_empty())
}

#[test]
fn an_operator_hears_agents_and_answers_their_requests() {
    let world = World::trusting("trusted");
    let operator = world.operator();
    let send = format!("until sent send {operator} news/rain wet \u{1b}[31mand windy");
    let script =
        [send.as_str(), &format!("send {operator} other x"), &format!("request {operator} news/ask go?")];
    let rules = format!("\"messaging.send\" = {{ scope = [\"{operator}/*\"] }}\n");
    let mut ping = start(&world, &rules, &script);
    poll_until("the agent runs", || is_running(&world));
    let listener = listen(&world, &["--topic", "news/", "--count", "2", "--reply", "go"]);
    assert_eq!([ping.hear(), ping.hear(), ping.hear()], ["sent", "sent", "go"]);
    let heard = ended(listener).succeeded();
    let lines: Vec<&str> = heard.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("ping news/rain: wet ") && !lines[0].contains('\u{1b}'), "{lines:?}");
    assert_eq!(lines[1], "ping news/ask: go?");
    ping.wait().succeeded();
}

#[test]
fn a_message_to_an_operator_is_denied_without_a_grant_and_reaches_nobody_while_nobody_listens() {
    let world = World::trusting("trusted");
    let operator = world.operator();
    let rules = format!("\"messaging.send\" = {{ scope = [\"{operator}/news\"] }}\n");
    let script = [format!("send {operator} other x"), format!("send {operator} news x")];
    let mut ping = start(&world, &rules, &[&script[0], &script[1]]);
    assert_eq!([ping.hear(), ping.hear()], ["denied", "unreachable"]);
    ping.wait().succeeded();
    let nobody = ended(listen(&world, &[])).ended_with(1);
    nobody.saying("no host is running").saying("kos-run");
}

#[test]
fn what_an_operator_hears_is_whole_as_json() {
    let world = World::trusting("trusted");
    let operator = world.operator();
    let rules = format!("\"messaging.send\" = {{ scope = [\"{operator}/*\"] }}\n");
    let script = format!("until sent send {operator} news rain");
    let ping = start(&world, &rules, &[&script]);
    poll_until("the agent runs", || is_running(&world));
    let heard = ended(listen(&world, &["--count", "1", "--json"])).succeeded().json();
    assert_eq!(
        (&heard["name"], &heard["topic"], &heard["text"]),
        (&"ping".into(), &"news".into(), &"rain".into())
    );
    assert_eq!((&heard["body"], &heard["request"]), (&"cmFpbg==".into(), &false.into()));
    ping.wait().succeeded();
}
