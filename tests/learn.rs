//! What a run teaches is enough for the same run, and not a line too much.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{Conversation, Ended, World, path_text, poll_until};

/// A run that learns, and its input.
struct Lesson<'a> {
    world: &'a World,
    agents: &'a [PathBuf],
    arguments: &'a [&'a str],
    input: &'a str,
}

impl Lesson<'_> {
    fn run(&self, options: &[&str]) -> Ended {
        use std::io::Write as _;
        let mut command = self.world.kos_run_command();
        command.args(options).args(self.agents).arg("--").args(self.arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process that starts");
        // An agent that was refused does not read it.
        let _ = child.stdin.take().expect("its input").write_all(self.input.as_bytes());
        Ended::from_output(format!("{command:?}"), child.wait_with_output().expect("a process that ends"))
    }

    fn denials(&self) -> usize {
        self.world.entries_of("permission_denied").len()
    }

    /// Learns, and tries what was learned: whole, and without each of its lines.
    fn teaches_exactly_what_is_needed(&self) -> String {
        let learned = self.world.path("learned.toml");
        self.run(&["--learn", path_text(&learned), "--yes"]).succeeded();
        let text = std::fs::read_to_string(&learned).expect("what was learned");
        std::fs::remove_file(&learned).expect("room for the next lesson");
        assert_eq!(self.denials_with(&text), 0, "{text}");
        let lines: Vec<&str> = text.lines().collect();
        let mut removed = 0;
        for (place, line) in lines.iter().enumerate() {
            let is_scope = line.starts_with("    \"");
            let is_whole_rule = line.starts_with('"') && line.contains('}');
            if !is_scope && !is_whole_rule {
                continue;
            }
            let rest: Vec<&str> = lines
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != place)
                .map(|(_, line)| *line)
                .collect();
            assert!(self.denials_with(&rest.join("\n")) > 0, "without `{line}` of\n{text}");
            removed += 1;
        }
        assert!(removed > 0, "{text}");
        text
    }

    /// How much is denied with exactly these permissions.
    fn denials_with(&self, text: &str) -> usize {
        let file = self.world.write("tried.toml", text);
        let agent = path_text(&self.agents[0]);
        self.world.kos(&["grant", agent, path_text(&file), "--replace"]).succeeded();
        let before = self.denials();
        self.run(&[]);
        self.denials() - before
    }
}

fn exactly(world: &World, sample: &str, arguments: &[&str], input: &str) -> String {
    let agents = [world.signed(sample)];
    Lesson { world, agents: &agents, arguments, input }.teaches_exactly_what_is_needed()
}

#[test]
fn what_is_learned_is_enough_and_each_line_of_it_is_needed() {
    let world = World::trusting("trusted");
    exactly(&world, "hello", &[], "");
    let notary = exactly(&world, "notary", &[], "a document");
    for scope in ["\"blake3\"", "\"sha-512\"", "\"receipt\""] {
        assert!(notary.contains(scope), "{notary}");
    }
    let probe = exactly(&world, "probe", &["sign", "payment", "x"], "");
    assert!(probe.contains("\"payment\"") && !probe.contains('*'), "{probe}");
    assert!(probe.contains("Not used. kos:agent/audit"), "{probe}");
}

#[test]
fn secrets_are_learned_by_name_and_by_use() {
    let world = World::trusting("trusted");
    world.write("secret", "a key of the weather service");
    world.kos(&["vault", "put", "api_key/weather", "--from", "secret"]).succeeded();
    let probe = exactly(&world, "probe-vault", &["mac", "api_key/weather", "x"], "mac api_key/weather x\n");
    assert!(!probe.contains("vault.reveal"), "{probe}");
}

#[test]
fn a_peer_is_learned_with_its_topic() {
    let world = World::trusting("trusted");
    let agents = [world.signed("ping"), world.granted("pong")];
    let learned = world.path("learned.toml");
    let run = Conversation::with(
        world.kos_run_command().args(["--learn", path_text(&learned), "--yes"]).args(&agents),
    );
    poll_until("ping has ended", || {
        world
            .entries_of("agent_exit")
            .iter()
            .any(|entry| entry["details"]["agent"].as_str().is_some_and(|agent| agent.ends_with("#ping")))
    });
    run.signal("-TERM");
    run.wait();
    let text = std::fs::read_to_string(&learned).expect("what was learned");
    assert!(text.contains("\"name:pong/echo\""), "{text}");
    assert!(!text.contains("/*"), "{text}");
}

#[test]
fn a_run_that_learns_says_so_in_the_log_and_leaves_no_grant() {
    let world = World::trusting("trusted");
    let agent = world.signed("notary");
    let agents = [agent.clone()];
    let lesson = Lesson { world: &world, agents: &agents, arguments: &[], input: "x" };
    let learned = world.path("learned.toml");
    lesson.run(&["--learn", path_text(&learned), "--yes"]).succeeded();
    let lent = world.entries_of("permission_grant").remove(0);
    let launch = world.entries_of("agent_launch").remove(0);
    assert_eq!((&lent["details"]["learning"], &launch["details"]["learning"]), (&true.into(), &true.into()));
    assert!(lent["index"].as_u64() < launch["index"].as_u64());
    assert_eq!(launch["details"]["grants"], serde_json::json!([lent["target"]["id"]]));
    let uses = world.entries_of("agent_exit").remove(0)["details"]["learned"].clone();
    let signed = uses.as_array().expect("uses").iter().find(|used| used["capability"] == "crypto.sign");
    assert_eq!(signed.expect("a signature")["wouldBe"], "not-granted");
    // Nothing of it is left: the same agent without a grant is refused.
    world.run(&agent, &[]).ended_with(126).saying("no grant is installed");
    assert_eq!(world.kos(&["grants", "list", "--json"]).succeeded().json(), serde_json::json!([]));
}

#[test]
fn nobody_learns_unasked_unsigned_or_beyond_what_is_declared_trusted_and_not_denied() {
    let world = World::trusting("trusted");
    let keeper = world.signed("notary");
    let learned = world.path("learned.toml");
    let run = |agent: &Path, options: &[&str]| {
        Ended::of(world.kos_run_command().args(["--learn", path_text(&learned)]).args(options).arg(agent))
    };
    run(&keeper, &[]).ended_with(125).saying("--yes");
    run(&crate::support::agent("notary"), &["--yes"]).ended_with(126).saying("not signed");
    world.new_author("mallory");
    run(&world.signed_by("mallory", "notary"), &["--yes"]).ended_with(126);
    assert!(!learned.exists() && world.entries_of("agent_launch").is_empty());
    // What an operator denies stays denied.
    world.grant(&keeper, &crate::support::permissions("\"crypto.sign\" = \"deny\""));
    run(&keeper, &["--yes"]);
    assert!(world.denials().contains(&("crypto.sign".into(), "denied-by-rule".into())));
    // What is there is not written over.
    run(&keeper, &["--yes"]).ended_with(125).saying("is there already");
}
