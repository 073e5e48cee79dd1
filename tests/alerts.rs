//! What needs a human's eye reaches one, once, and nothing waits for that.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{World, path_text, poll_until, signal};

/// A rule of one event, told to the sinks `told`.
fn rule(name: &str, event: &str, told: &str) -> String {
    format!(
        "[rules.{name}]\nevents = [\"{event}\"]\ncount = 1\nwithin = \"1s\"\nseverity = \"warning\"\nsinks = [{told}]\n"
    )
}

fn file_sink(name: &str, path: &Path) -> String {
    format!("[sinks.{name}]\nkind = \"file\"\npath = \"{}\"\n", path.display())
}

fn write_rules(world: &World, text: &str) {
    std::fs::write(world.home().join("alerts.toml"), text).expect("the rules");
}

/// The alerts in a file.
fn alerts(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn rules_raised(world: &World) -> Vec<String> {
    let alerts = world.entries_of("alert");
    alerts.iter().filter_map(|entry| Some(entry["details"]["rule"].as_str()?.to_owned())).collect()
}

fn probe(world: &World) -> PathBuf {
    world.probe("\"identity.self\" = {}\n\"audit.note\" = { scope = [\"probe\"] }\n\"crypto.hash\" = { scope = [\"blake3\"] }")
}

/// `kos alerts run`, which is ended when dropped.
struct Following(Child);

impl Following {
    fn begin(world: &World) -> Self {
        let mut command = world.kos_command();
        command.args(["alerts", "run"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process that starts");
        let mut said = std::io::BufReader::new(child.stderr.take().expect("its diagnostics"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).expect("a line");
        assert!(line.contains("following the log"), "{line}");
        Self(child)
    }

    fn end(mut self) {
        signal(&self.0, "-TERM");
        assert!(self.0.wait().expect("its end").success());
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn a_refusal_reaches_a_file_syslog_and_the_log_once() {
    let world = World::trusting("trusted");
    let probe = probe(&world);
    let (file, socket) = (world.path("alerts.jsonl"), world.path("syslog"));
    let syslog = UnixDatagram::bind(&socket).expect("a socket");
    syslog.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let sinks = format!(
        "{}[sinks.system]\nkind = \"syslog\"\npath = \"{}\"\n",
        file_sink("file", &file),
        socket.display()
    );
    write_rules(&world, &format!("{sinks}{}", rule("refusals", "permission_denied", "\"file\", \"system\"")));
    assert_eq!(world.run(&probe, &["sign", "s3cret\u{1b}[2J", "x"]).succeeded().stdout, "denied\n");
    let told = alerts(&file);
    assert_eq!(told.len(), 1, "{told:?}");
    let data = &told[0]["data"];
    assert_eq!((&told[0]["specversion"], &data["class_uid"]), (&"1.0".into(), &2004.into()));
    assert_eq!(data["unmapped"]["capability"], "crypto.sign");
    let mut datagram = [0; 8192];
    let length = syslog.recv(&mut datagram).expect("a datagram");
    let line = std::str::from_utf8(&datagram[..length]).expect("UTF-8");
    assert!(line.starts_with("<84>1 ") && !line.contains(['\n', '\u{1b}']), "{line}");
    assert!(!line.contains("s3cret") && !told[0].to_string().contains("s3cret"));
    assert_eq!(rules_raised(&world), ["refusals"]);
    // Another run looks at nothing again, nor at the alert itself.
    world.run(&probe, &["hash", "blake3", "x"]).succeeded();
    assert_eq!((alerts(&file).len(), rules_raised(&world).len()), (1, 1));
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn entries_that_no_host_saw_are_told_by_the_next() {
    let world = World::trusting("trusted");
    let (probe, file) = (probe(&world), world.path("alerts.jsonl"));
    write_rules(
        &world,
        &format!("{}{}", file_sink("file", &file), rule("trust", "trust_change", "\"file\"")),
    );
    world.run(&probe, &["hash", "blake3", "x"]).succeeded();
    assert!(alerts(&file).is_empty());
    let bob = world.new_author("bob");
    world.kos(&["trust", "add", &bob, "--level", "external"]).succeeded();
    world.run(&probe, &["hash", "blake3", "x"]).succeeded();
    assert_eq!(alerts(&file).len(), 1);
}

#[test]
fn one_follower_sees_the_entries_of_every_host_once() {
    let world = World::trusting("trusted");
    let (probe, file) = (probe(&world), world.path("alerts.jsonl"));
    write_rules(&world, &format!("{}{}", file_sink("file", &file), rule("ends", "agent_exit", "\"file\"")));
    let following = Following::begin(&world);
    for seen in 1..=3 {
        world.run(&probe, &["hash", "blake3", "x"]).succeeded();
        // The rule is quiet for a second of the entries' own time after each alert.
        let told = |data: &Value| {
            data["data"]["count"].as_u64().unwrap() + data["data"]["unmapped"]["heldBack"].as_u64().unwrap()
        };
        poll_until("the end is looked at", || {
            let looked = std::fs::read_to_string(world.home().join("alerts.seen")).unwrap_or_default();
            looked.trim().parse::<usize>().is_ok_and(|looked| looked >= world.entries().len())
        });
        let sum: u64 = alerts(&file).iter().map(told).sum();
        assert!(sum <= seen, "{sum} of {seen}");
    }
    following.end();
    let mut ids: Vec<String> = alerts(&file).iter().map(|alert| alert["id"].to_string()).collect();
    let count = ids.len();
    ids.dedup();
    assert!(count >= 1 && ids.len() == count, "{ids:?}");
    assert_eq!(rules_raised(&world).len(), count);
}

#[test]
fn a_sink_that_never_answers_holds_up_neither_the_log_nor_the_others() {
    let world = World::trusting("trusted");
    let (probe, file, hung) = (probe(&world), world.path("alerts.jsonl"), world.path("hung"));
    // To open a pipe that nobody reads waits for ever.
    assert!(Command::new("mkfifo").arg(&hung).status().expect("mkfifo").success());
    let sinks = format!("{}{}", file_sink("file", &file), file_sink("hung", &hung));
    write_rules(&world, &format!("{sinks}{}", rule("refusals", "permission_denied", "\"hung\", \"file\"")));
    for number in 1..=3 {
        world.run(&probe, &["sign", "payment", "x"]).succeeded();
        let entries = world.entries();
        let kinds: Vec<&str> = entries.iter().filter_map(|entry| entry["eventType"].as_str()).collect();
        for kind in ["agent_launch", "permission_denied", "agent_exit"] {
            assert_eq!(kinds.iter().filter(|found| **found == kind).count(), number, "{kind}");
        }
    }
    assert!(!alerts(&file).is_empty());
    world.kos(&["alerts", "check"]).succeeded();
}

#[test]
fn wrong_secrets_are_told_to_the_log_by_whoever_unlocks_next() {
    let world = World::trusting("trusted");
    let wrong = world.path("wrong.key");
    // With its mode, without which it would not be looked at.
    std::fs::copy(world.path("root.key"), &wrong).expect("a copy");
    let mut bytes = std::fs::read(&wrong).expect("the key");
    let last = bytes.len() / 2;
    bytes[last] ^= 1;
    std::fs::write(&wrong, bytes).expect("another key");
    for _ in 0..3 {
        world.kos(&["vault", "list", "--key-file", path_text(&wrong)]).ended_with(1);
    }
    let file = world.path("alerts.jsonl");
    write_rules(&world, &format!("{}{}", file_sink("file", &file), rule("unlocks", "alert", "\"file\"")));
    // The first follower begins where the log ends; the entry comes as it opens the log.
    world.kos(&["grants", "list"]).succeeded();
    let probe = probe(&world);
    world.run(&probe, &["hash", "blake3", "x"]).succeeded();
    let told = world.entries_of("alert");
    let reasons: Vec<(&Value, &Value)> =
        told.iter().map(|entry| (&entry["details"]["reason"], &entry["details"]["count"])).collect();
    assert_eq!(reasons[0], (&"failed-unlocks".into(), &3.into()));
    assert!(!world.home().join("run/failed-unlocks.json").exists());
    world.run(&probe, &["hash", "blake3", "x"]).succeeded();
    let again = world.entries_of("alert");
    assert_eq!(again.iter().filter(|entry| entry["details"]["rule"].is_null()).count(), 1);
}

#[test]
fn rules_that_are_not_understood_stop_the_host_and_a_test_says_what_arrives() {
    let world = World::trusting("trusted");
    let (probe, file) = (probe(&world), world.path("alerts.jsonl"));
    world.kos(&["alerts", "check"]).succeeded();
    let good = format!("{}{}", file_sink("file", &file), rule("ends", "agent_exit", "\"file\""));
    write_rules(&world, &good.replace("count", "cuont"));
    world.kos(&["alerts", "check"]).ended_with(1).saying("cuont");
    world.run(&probe, &["hash", "blake3", "x"]).ended_with(125).saying("alerts.toml is not understood");
    write_rules(&world, &format!("{good}[sinks.nobody]\nkind = \"syslog\"\npath = \"/nonexistent/log\"\n"));
    let told = world.kos(&["alerts", "test"]).ended_with(1).stdout;
    assert!(told.contains("file: it arrived") && told.contains("nobody: "), "{told}");
    assert_eq!(alerts(&file)[0]["data"]["finding_info"]["title"], "test");
}
