//! Messages between agents, and from the operator: granted at both ends, answered once, and in the log where they are rejected (I4, I5,
//! I7, I9).

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{
    ASKS_PONG, Conversation, Ended, HEARS_ALL, World, agent, manifest, permissions, poll_until,
};

/// What `ping` needs besides, to be started.
const BESIDES: &str = "\"messaging.receive\" = { scope = [\"name:nobody/nothing\"] }\n";

/// `ping` with its script and, beside it, `pong`.
struct Pair {
    world: World,
    ping: PathBuf,
    pong: PathBuf,
}

impl Pair {
    fn granted(to_ping: &str, to_pong: &str) -> Self {
        let world = World::trusting("trusted");
        let ping = world.granted_with("ping", &permissions(to_ping));
        let pong = world.granted_with("pong", &permissions(to_pong));
        Self { world, ping, pong }
    }

    fn start(&self, script: &[&str]) -> Conversation {
        start(&self.world, &[&self.pong, &self.ping], script)
    }

    /// What `ping` says, line by line, and the entries of the log after everything was stopped.
    fn says(&self, script: &[&str]) -> (Vec<String>, Vec<Value>) {
        let mut pair = self.start(script);
        let said = script.iter().map(|_| heard(&mut pair)).collect();
        self.world.kos(&["stop", "--all"]).succeeded();
        pair.wait();
        (said, self.world.entries())
    }
}

fn start(world: &World, agents: &[&Path], script: &[&str]) -> Conversation {
    Conversation::with(world.kos_run_command().args(agents).arg("--").args(script))
}

/// The next line, without the name of who says it.
fn heard(conversation: &mut Conversation) -> String {
    let line = conversation.hear();
    line.strip_prefix("[ping] ").unwrap_or(&line).to_owned()
}

/// The exit entry of an agent's run.
fn exit<'a>(entries: &'a [Value], agent: &str) -> &'a Value {
    let is_its = |entry: &&Value| {
        let name = entry["details"]["agent"].as_str().unwrap_or_default();
        entry["eventType"] == "agent_exit" && name.ends_with(&format!("#{agent}"))
    };
    entries.iter().rfind(is_its).expect("its exit")
}

fn rejections(entries: &[Value]) -> Vec<&str> {
    let rejected = entries.iter().filter(|entry| entry["eventType"] == "message_rejected");
    rejected.map(|entry| entry["details"]["reason"].as_str().unwrap_or_default()).collect()
}

fn is_running(world: &World, name: &str) -> bool {
    let runs = world.kos(&["ps", "--json"]).succeeded().json();
    runs.as_array().expect("a list").iter().any(|run| run["name"] == name)
}

/// `kos message send` with a text.
fn tell(world: &World, arguments: &[&str], text: &str) -> Ended {
    let file = world.write("message.txt", text);
    let file = file.to_str().expect("a path in UTF-8");
    world.kos(&[&["message", "send"], arguments, &["--from", file]].concat())
}

/// `kos message send`, in the background.
fn telling(world: &World, arguments: &[&str]) -> Child {
    let mut command = world.kos_command();
    command.args(["message", "send"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("kos")
}

fn ended(child: Child) -> Ended {
    Ended::from_output("kos message send".into(), child.wait_with_output().expect("its end"))
}

// [granted: messaging.send, messaging.request]
#[test]
fn what_is_granted_at_both_ends_is_delivered_and_answered() {
    let pair = Pair::granted(ASKS_PONG, HEARS_ALL);
    let (said, entries) = pair.says(&[
        "request pong echo hello",
        "send pong news rain",
        "request pong count x",
        "request pong refuse x",
        "request nobody echo x",
        "request pong a*b x",
    ]);
    assert_eq!(said, ["hello", "sent", "3", "failed invalid: payload", "denied", "invalid topic"]);
    let (ping, pong) = (exit(&entries, "ping"), exit(&entries, "pong"));
    assert_eq!((&ping["details"]["usage"]["sent"], &ping["details"]["outcome"]), (&4.into(), &"ok".into()));
    assert_eq!(pong["details"]["usage"]["received"], 4);
    assert_eq!(pong["details"]["usage"]["messages"]["handled"], 3);
    assert!(rejections(&entries).is_empty(), "{entries:?}");
}

// [denied: messaging.send, messaging.request, messaging.receive]
#[test]
fn what_is_not_granted_at_the_sender_is_denied_there() {
    let other = "\"messaging.send\" = { scope = [\"name:pong/other\"] }\n";
    let pair = Pair::granted(other, HEARS_ALL);
    let (said, entries) =
        pair.says(&["request pong echo x", "send pong echo x", "receive", "request pong other x"]);
    assert_eq!((said[0].as_str(), said[1].as_str(), said[3].as_str()), ("denied", "denied", "x"));
    assert!(said[2].starts_with("denied"), "{said:?}");
    let denials = pair.world.denials();
    assert_eq!(denials.len(), 2, "{denials:?}");
    assert_eq!(exit(&entries, "pong")["details"]["usage"]["received"], 1);
}

#[test]
fn what_the_recipient_does_not_accept_looks_like_nobody_and_is_logged_once() {
    let pair = Pair::granted(ASKS_PONG, "\"messaging.receive\" = { scope = [\"name:ping/echo\"] }\n");
    let script = ["request pong news x", "send pong news x", "send pong news x", "request pong echo x"];
    let (said, entries) = pair.says(&script);
    assert_eq!(said, ["unreachable", "unreachable", "unreachable", "x"]);
    assert_eq!(rejections(&entries), ["denied"]);
    let counted = &exit(&entries, "pong")["details"]["rejections"][0];
    assert_eq!((&counted["reason"], &counted["count"]), (&"denied".into(), &3.into()));
}

#[test]
fn a_peer_is_nobody_until_it_runs_and_a_deadline_ends_a_request() {
    let pair = Pair::granted(ASKS_PONG, HEARS_ALL);
    let alone = pair.world.run(&pair.ping, &["request pong echo x"]).succeeded();
    assert_eq!(alone.stdout.trim(), "unreachable");
    let (said, entries) = pair.says(&["hurry pong wait x"]);
    assert_eq!(said, ["timed out"]);
    assert_eq!(exit(&entries, "pong")["details"]["outcome"], "killed");
}

#[test]
fn an_agent_that_waits_for_an_answer_or_a_message_is_stopped_at_once() {
    for waits in ["request pong wait x", "until never receive"] {
        let pair = Pair::granted(&format!("{ASKS_PONG}{HEARS_ALL}"), HEARS_ALL);
        let mut agents = pair.start(&["request pong echo x", waits]);
        assert_eq!(heard(&mut agents), "x");
        // Alone: an end of `pong` would answer the request.
        pair.world.kos(&["stop", "ping"]).succeeded();
        poll_until("the end of the agent", || !is_running(&pair.world, "ping"));
        pair.world.kos(&["stop", "--all"]).succeeded();
        agents.wait();
        assert_eq!(exit(&pair.world.entries(), "ping")["details"]["outcome"], "killed", "{waits}");
    }
}

#[test]
fn a_request_at_which_its_handler_breaks_has_failed_and_the_service_goes_on() {
    let pair = Pair::granted(ASKS_PONG, HEARS_ALL);
    let (said, entries) = pair.says(&["request pong break x", "until hello request pong echo hello"]);
    assert_eq!(said, ["failed ", "hello"]);
    let outcomes: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["eventType"] == "agent_exit")
        .map(|entry| &entry["details"]["outcome"])
        .collect();
    assert!(outcomes.contains(&&"trap".into()), "{outcomes:?}");
}

#[test]
fn a_revoked_grant_is_in_force_on_the_next_message_at_either_end() {
    for (revoked, word) in [("ping", "denied"), ("pong", "unreachable")] {
        let world = World::trusting("trusted");
        let (ping, pong) = (world.signed("ping"), world.signed("pong"));
        world.grant(&ping, &permissions(BESIDES));
        world.grant(&pong, &permissions(BESIDES));
        let asks = world.grant(&ping, &permissions(ASKS_PONG));
        let hears = world.grant(&pong, &permissions(HEARS_ALL));
        let until = format!("until {word} request pong echo x");
        let mut pair = start(&world, &[&pong, &ping], &["request pong echo x", &until]);
        assert_eq!(heard(&mut pair), "x", "{revoked}");
        let grant = if revoked == "ping" { &asks } else { &hears };
        world.kos(&["grants", "revoke", grant]).succeeded();
        assert_eq!(heard(&mut pair), word, "{revoked}");
        world.kos(&["stop", "--all"]).succeeded();
        pair.wait();
    }
}

#[test]
fn a_service_with_an_instance_per_message_keeps_nothing_between_them() {
    let resident = manifest("pong");
    for (manifest, second) in [(resident.replace("resident", "per-message"), "1"), (resident, "2")] {
        let world = World::trusting("trusted");
        let ping = world.granted_with("ping", &permissions(ASKS_PONG));
        let pong = world.sign(&agent("pong"), &manifest, "alice", "pong.wasm");
        world.grant(&pong, &permissions(HEARS_ALL));
        let pair = Pair { world, ping, pong };
        let (said, _) = pair.says(&["request pong count x", "request pong count x"]);
        assert_eq!(said, ["1", second]);
    }
}

#[test]
fn a_full_mailbox_holds_its_sender_back_and_then_says_so() {
    let limits = "\n[limits]\nmailbox = \"1\"\nduration = \"1m\"\n";
    let pair = Pair::granted(ASKS_PONG, &format!("{HEARS_ALL}{limits}"));
    let (said, entries) = pair.says(&["hurry pong wait x", "send pong news 1", "send pong news 2"]);
    assert_eq!(said, ["timed out", "sent", "limited"]);
    assert_eq!(exit(&entries, "pong")["details"]["usage"]["received"], 2);
    assert_eq!(exit(&entries, "ping")["details"]["outcome"], "ok");
}

#[test]
fn an_agent_that_is_granted_messages_while_it_runs_hears_its_answers() {
    let world = World::trusting("trusted");
    let (ping, pong) = (world.signed("ping"), world.granted_with("pong", &permissions(HEARS_ALL)));
    world.grant(&ping, &permissions(""));
    let later = "expires = \"never\"\nnot_before = \"2100-01-01T00:00:00Z\"\n[capabilities]\n";
    world.grant(&ping, &format!("{later}{ASKS_PONG}"));
    let mut pair = start(&world, &[&pong, &ping], &["until hello request pong echo hello"]);
    poll_until("the agent runs", || is_running(&world, "ping"));
    world.grant(&ping, &permissions(ASKS_PONG));
    assert_eq!(heard(&mut pair), "hello");
    world.kos(&["stop", "--all"]).succeeded();
    pair.wait();
}

#[test]
fn who_hangs_up_gives_its_place_to_others() {
    let world = World::trusting("trusted");
    // Room for whatever is delivered before all places are taken.
    let limits = "\n[limits]\nduration = \"1h\"\nmailbox = \"512\"\n";
    let pong = world.granted_with("pong", &permissions(&format!("{HEARS_ALL}{limits}")));
    let service = start(&world, &[&pong], &[]);
    poll_until("the service runs", || is_running(&world, "pong"));
    let waiting: Vec<Child> = (0..16)
        .map(|_| telling(&world, &["pong", "--topic", "wait", "--request", "--timeout", "1h"]))
        .collect();
    let is_delivered = || tell(&world, &["pong", "--topic", "news"], "x").status == 0;
    poll_until("all places are taken", || !is_delivered());
    for mut child in waiting {
        child.kill().expect("its end");
        child.wait().expect("its end");
    }
    poll_until("a place is free again", is_delivered);
    world.kos(&["stop", "pong"]).succeeded();
    service.wait();
}

// [granted: messaging.receive, messaging.reply]
#[test]
fn an_operator_asks_an_agent_that_takes_its_messages_itself() {
    let world = World::trusting("trusted");
    let operator = world.operator();
    let rules = format!("\"messaging.receive\" = {{ scope = [\"{operator}/*\"] }}\n");
    let ping = world.granted_with("ping", &permissions(&rules));
    let mut agent = start(&world, &[&ping], &["until greet receive", "reply hello there"]);
    poll_until("the agent runs", || is_running(&world, "ping"));
    let asked = tell(&world, &["ping", "--topic", "greet", "--request", "--json"], "good day").succeeded();
    assert_eq!(asked.json()["text"], "hello there");
    assert_eq!((heard(&mut agent), heard(&mut agent)), ("greet good day".into(), "replied".into()));
    agent.wait().succeeded();
    let gone = tell(&world, &["ping", "--topic", "greet"], "good day").ended_with(1);
    gone.saying("nobody receives this");
}

// [denied: messaging.reply]
#[test]
fn a_reply_is_denied_when_receiving_was_revoked_meanwhile() {
    let world = World::trusting("trusted");
    let ping = world.signed("ping");
    world.grant(&ping, &permissions(ASKS_PONG));
    let hears = world.grant(&ping, &permissions(HEARS_ALL));
    let script = ["until greet receive", "until denied receive", "reply hello"];
    let mut agent = start(&world, &[&ping], &script);
    poll_until("the agent runs", || is_running(&world, "ping"));
    let asking = telling(&world, &["ping", "--topic", "greet", "--request", "--timeout", "1m"]);
    assert_eq!(heard(&mut agent), "greet ");
    world.kos(&["grants", "revoke", &hears]).succeeded();
    assert!(heard(&mut agent).starts_with("denied"));
    assert!(heard(&mut agent).starts_with("denied"));
    agent.wait().succeeded();
    ended(asking).ended_with(1).saying("did not handle");
}

#[test]
fn an_operator_asks_a_service_and_hears_why_it_did_not_handle_it() {
    let world = World::trusting("trusted");
    let pong = world.granted_with("pong", &permissions(HEARS_ALL));
    let service = start(&world, &[&pong], &[]);
    poll_until("the service runs", || is_running(&world, "pong"));
    let echo = tell(&world, &["pong", "--topic", "echo", "--request"], "a\nb").succeeded();
    assert_eq!(echo.stdout, "a\nb");
    let largest = "x".repeat(512 * 1024);
    let echo = tell(&world, &["pong", "--topic", "echo", "--request"], &largest).succeeded();
    assert_eq!(echo.stdout.len(), largest.len());
    tell(&world, &["pong", "--topic", "echo"], &format!("{largest}x")).ended_with(1).saying("at most");
    tell(&world, &["pong", "--topic", "echo"], "a").succeeded();
    tell(&world, &["pong", "--topic", "refuse", "--request"], "a").ended_with(1).saying("invalid: payload");
    world.kos(&["stop", "pong"]).succeeded();
    service.wait();
    assert_eq!(exit(&world.entries(), "pong")["details"]["usage"]["received"], 4);
}

#[test]
fn agents_are_listed_shown_and_forgotten() {
    let world = World::trusting("trusted");
    let ping = world.granted_with("ping", &permissions(ASKS_PONG));
    assert_eq!(world.kos(&["agents", "list", "--json"]).succeeded().json(), serde_json::json!([]));
    let first = launched(&world, &ping);
    assert_eq!(world.kos(&["agents", "show", "ping", "--json"]).succeeded().json()["identity"]["did"], first);
    world.kos(&["agents", "remove", "ping"]).succeeded();
    world.kos(&["agents", "show", "ping"]).ended_with(1).saying("no agent `ping`");
    assert_ne!(launched(&world, &ping), first);
}

/// The identifier of an agent that was launched.
fn launched(world: &World, ping: &Path) -> Value {
    world.run(ping, &["request pong echo x"]).succeeded();
    let agents = world.kos(&["agents", "list", "--json"]).succeeded().json();
    agents[0]["identity"]["did"].clone()
}
