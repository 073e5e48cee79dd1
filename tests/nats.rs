//! Messages between hosts over NATS: sealed on the way, handled once, and lost by nobody's end (I5, I8, I9).

mod server;

use std::path::{Path, PathBuf};

use serde_json::Value;

use self::server::{NatsServer, Seen};
use crate::support::{Conversation, World, path_text, permissions, poll_until};

const ASKS_PONG: &str = "\"messaging.send\" = { scope = [\"name:pong/*\"] }\n";
const HEARS_ALL: &str = "\"messaging.receive\" = { scope = [\"*\"] }\n";

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
        let pong_agent = pong.granted_with("pong", &permissions(to_pong));
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
