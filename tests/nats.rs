//! Messages between hosts over NATS: sealed on the way, handled once, and lost by nobody's end (I5, I8, I9).

mod kills;
mod server;
mod way;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::server::NatsServer;
use crate::support::{
    ASKS_PONG, Conversation, HEARS_ALL, World, agent, manifest, path_text, permissions, poll_until,
};

/// `ping` in one home, `pong` in another, and the server between them.
struct Pair {
    ping: World,
    pong: World,
    ping_agent: PathBuf,
    pong_agent: PathBuf,
    server: NatsServer,
}

impl Pair {
    fn new() -> Self {
        Self::granted(HEARS_ALL)
    }

    /// Both know each other; `pong` may do what the rules say.
    fn granted(to_pong: &str) -> Self {
        let (ping, pong) = (World::trusting("trusted"), World::trusting("trusted"));
        let ping_agent = ping.granted_with("ping", &permissions(ASKS_PONG));
        let manifest = manifest("pong").replace("storage = \"none\"", "storage = \"persistent\"");
        let pong_agent = pong.sign(&agent("pong"), &manifest, "alice", "pong.wasm");
        pong.grant(&pong_agent, &format!("{}[resources]\nstorage = \"persistent\"\n", permissions(to_pong)));
        // Each agent's keys are made at its first launch.
        ping.run(&ping_agent, &["nothing"]).succeeded();
        stopped(&pong, pong_conversation(&pong, &pong_agent, &[]));
        introduce(&ping, "ping", &pong);
        introduce(&pong, "pong", &ping);
        Self { ping, pong, ping_agent, pong_agent, server: NatsServer::start() }
    }

    fn start_pong(&self) -> Conversation {
        pong_conversation(&self.pong, &self.pong_agent, &["--nats", &self.server.url()])
    }

    fn start_ping(&self, script: &[&str]) -> Conversation {
        let mut command = self.ping.kos_run_command();
        command.arg(&self.ping_agent).args(["--nats", &self.server.url(), "--"]).args(script);
        Conversation::with(&mut command)
    }

    /// What `pong` was told to keep, oldest first: each message's identifier and its text.
    fn kept(&self) -> Vec<(String, String)> {
        let homes = fs::read_dir(self.pong.home().join("storage")).expect("storage").filter_map(Result::ok);
        let text: String =
            homes.filter_map(|home| fs::read_to_string(home.path().join("kept")).ok()).collect();
        let pair = |line: &str| line.split_once(' ').map(|(id, text)| (id.to_owned(), text.to_owned()));
        text.lines().filter_map(pair).collect()
    }

    /// What `ping` says, line by line.
    fn says(&self, script: &[&str]) -> Vec<String> {
        self.start_ping(script).wait().succeeded().stdout.lines().map(str::to_owned).collect()
    }
}

fn pong_conversation(world: &World, agent: &Path, arguments: &[&str]) -> Conversation {
    let conversation = Conversation::with(world.kos_run_command().arg(agent).args(arguments));
    poll_until("the agent runs", || {
        let runs = world.kos(&["ps", "--json"]).succeeded().json();
        runs.as_array().is_some_and(|runs| !runs.is_empty())
    });
    conversation
}

fn stopped(world: &World, conversation: Conversation) {
    world.kos(&["stop", "--all"]).succeeded();
    conversation.wait();
}

/// Makes an agent of one home known in another, and its author trusted there.
fn introduce(from: &World, name: &str, to: &World) {
    let shown = from.kos(&["agents", "show", name, "--json"]).succeeded();
    let file = to.write("peer.json", &shown.stdout);
    to.kos(&["trust", "add", from.author(), "--level", "trusted"]).succeeded();
    to.kos(&["agents", "add", path_text(&file)]).succeeded();
}

fn rejections(world: &World) -> Vec<String> {
    let text = |entry: &Value| entry["details"]["reason"].as_str().unwrap_or_default().to_owned();
    world.entries_of("message_rejected").iter().map(text).collect()
}

#[test]
fn agents_of_two_homes_ask_and_answer_each_other_through_a_server() {
    let pair = Pair::new();
    let pong = pair.start_pong();
    let said = pair.says(&[
        "until hello request pong echo hello",
        "send pong news rain",
        "request pong refuse x",
        "request pong count x",
    ]);
    assert_eq!(said, ["hello", "sent", "failed invalid: payload", "4"]);
    stopped(&pair.pong, pong);
    assert!(rejections(&pair.pong).is_empty() && rejections(&pair.ping).is_empty());
}

#[test]
fn what_is_sent_while_its_recipient_is_away_is_handled_once_when_it_comes_back() {
    let pair = Pair::new();
    stopped(&pair.pong, pair.start_pong());
    let said = pair.says(&["until sent send pong keep a", "send pong keep b", "request pong echo x"]);
    assert_eq!(said, ["sent", "sent", "timed out"]);
    for _ in 0..2 {
        let pong = pair.start_pong();
        poll_until("what waited is handled", || pair.kept().len() >= 2);
        stopped(&pair.pong, pong);
    }
    let texts: Vec<String> = pair.kept().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["a", "b"]);
}

#[test]
fn a_host_waits_for_its_server_and_says_meanwhile_that_nothing_can_be_sent() {
    let pair = Pair::new();
    pair.server.kill();
    let pong = pair.start_pong();
    let mut ping = pair.start_ping(&["send pong keep a", "until sent send pong keep b"]);
    assert_eq!(ping.hear(), "unavailable");
    pair.server.start_again();
    assert_eq!(ping.hear(), "sent");
    ping.wait().succeeded();
    poll_until("what was sent is handled", || !pair.kept().is_empty());
    stopped(&pair.pong, pong);
    assert!(pair.kept().iter().all(|(_, text)| text == "b"), "{:?}", pair.kept());
}

#[test]
fn what_the_recipient_is_not_granted_to_hear_is_rejected_and_not_answered() {
    let pair = Pair::granted("\"messaging.receive\" = { scope = [\"name:ping/echo\"] }\n");
    let pong = pair.start_pong();
    let said = pair.says(&["until hello request pong echo hello", "send pong keep x", "hurry pong keep x"]);
    assert_eq!(said, ["hello", "sent", "timed out"]);
    poll_until("it is rejected", || rejections(&pair.pong) == ["denied"]);
    stopped(&pair.pong, pong);
    assert!(pair.kept().is_empty());
}

#[test]
fn two_processes_of_one_home_reach_each_other_through_a_server() {
    let world = World::trusting("trusted");
    let ping = world.granted_with("ping", &permissions(ASKS_PONG));
    let pong = world.granted_with("pong", &permissions(HEARS_ALL));
    world.run(&ping, &["nothing"]).succeeded();
    let server = NatsServer::start();
    let running = pong_conversation(&world, &pong, &["--nats", &server.url()]);
    let mut command = world.kos_run_command();
    command.arg(&ping).args(["--nats", &server.url(), "--", "until hello request pong echo hello"]);
    assert_eq!(Conversation::with(&mut command).wait().succeeded().stdout, "hello");
    stopped(&world, running);
}

#[test]
fn an_agent_of_another_host_is_known_only_with_a_key_that_it_attested_and_is_logged() {
    let (ours, theirs) = (World::trusting("trusted"), World::trusting("trusted"));
    let pong = theirs.granted_with("pong", &permissions(HEARS_ALL));
    stopped(&theirs, pong_conversation(&theirs, &pong, &[]));
    let shown = theirs.kos(&["agents", "show", "pong", "--json"]).succeeded().json();
    let key = theirs.kos(&["key", "new", "other", "--json"]).succeeded().json();
    let mut altered: Vec<Value> = Vec::new();
    for (field, value) in [("author", &key["did"]), ("name", &"ping".into()), ("surprise", &1.into())] {
        let mut other = shown.clone();
        other[field] = value.clone();
        altered.push(other);
    }
    let mut unattested = shown.clone();
    unattested["attestation"] = format!("{}==", "A".repeat(86)).into();
    altered.push(unattested);
    for other in altered {
        let file = ours.write("peer.json", other.to_string());
        ours.kos(&["agents", "add", path_text(&file)]).ended_with(1);
    }
    let file = ours.write("peer.json", shown.to_string());
    ours.kos(&["agents", "add", path_text(&file)]).succeeded();
    let added = ours.entries_of("system_modification");
    assert_eq!(added.last().expect("an entry")["details"]["change"], "add-peer");
    // Known, and nobody of this home: there is nothing to launch.
    assert_eq!(ours.kos(&["agents", "list", "--json"]).succeeded().json(), Value::Array(Vec::new()));
    ours.kos(&["agents", "remove", "pong"]).succeeded();
    ours.kos(&["agents", "remove", "pong"]).ended_with(1);
}
