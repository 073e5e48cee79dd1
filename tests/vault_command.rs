//! Secrets in the operator's hands: stored and managed by `kos vault`, and out of reach while a host is locked (I4, I5, I6, I8).

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Conversation, Ended, World, holding, path_text, permissions, poll_until};

/// `kos` did not do it.
const FAILED: i32 = 1;
/// The command line was not understood.
const USAGE: i32 = 2;
/// What must be found nowhere but in the vault.
const MARKER: &str = "open-sesame-4711";
/// What the agent of these tests may do.
const USE: &str = "\"vault.use\" = { scope = [\"api_key/*\"] }";

/// Stores a secret from a file, with further arguments.
fn put(world: &World, id: &str, value: &str, arguments: &[&str]) -> Ended {
    let file = world.write("value", value);
    let ended = world.kos(&[&["vault", "put", id, "--from", path_text(&file)], arguments].concat());
    std::fs::remove_file(file).unwrap();
    ended
}

fn get(world: &World, id: &str) -> String {
    world.kos(&["vault", "get", id]).succeeded().stdout
}

fn names(world: &World, arguments: &[&str]) -> Vec<String> {
    let listed = world.kos(&[&["vault", "list", "--json"], arguments].concat()).succeeded().json();
    let name = |secret: &Value| secret["id"].as_str().expect("a name").to_owned();
    listed.as_array().expect("a list").iter().map(name).collect()
}

/// An agent that uses secrets as it is told, in a host that was started with these arguments.
fn user(world: &World, arguments: &[&str]) -> Conversation {
    let agent = world.granted_with("probe-vault", &permissions(USE));
    Conversation::with(world.kos_run_command().arg(agent).args(arguments))
}

fn is_locked(world: &World) -> bool {
    let listed = world.kos(&["ps", "--json"]).succeeded().json();
    listed[0]["locked"].as_bool().expect("a running host")
}

/// What locked and unlocked the hosts, oldest first.
fn locks(world: &World) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = world.entries_of("system_modification");
    let changes = entries.iter().map(|entry| &entry["details"]);
    changes
        .filter(|details| details["change"] == "lock" || details["change"] == "unlock")
        .map(|details| (text(&details["change"]), text(&details["cause"])))
        .collect()
}

#[test]
fn a_secret_is_stored_listed_printed_and_removed() {
    let world = World::trusting_nobody();
    put(&world, "api_key/weather", MARKER, &["--expires", "30d"]).succeeded();
    put(&world, "password/db", "correct horse\n", &[]).succeeded();
    assert_eq!(get(&world, "api_key/weather"), MARKER);
    assert_eq!(get(&world, "password/db"), "correct horse");
    assert_eq!(names(&world, &[]), ["api_key/weather", "password/db"]);
    let listed = world.kos(&["vault", "list", "--json"]).succeeded().json();
    assert_eq!(listed[0]["version"], 1);
    assert!(listed[0]["expiresAt"].is_number() && listed[1]["expiresAt"].is_null(), "{listed}");
    let table = world.kos(&["vault", "list"]).succeeded().stdout;
    assert!(["NAME", "VERSION", "CREATED", "LAST USED", "EXPIRES"].iter().all(|name| table.contains(name)));
    // `b3Blbi1zZXNhbWUtNDcxMQ==` is the marker in base64.
    let printed = world.kos(&["vault", "get", "api_key/weather", "--json"]).succeeded().json();
    assert_eq!(printed["value"], "b3Blbi1zZXNhbWUtNDcxMQ==");
    let status = world.kos(&["vault", "status", "--json"]).succeeded().json();
    assert_eq!(status["environments"], json!([{ "name": "default", "secrets": 2, "generation": 2 }]));
    world.kos(&["vault", "remove", "api_key/weather"]).succeeded();
    world.kos(&["vault", "get", "api_key/weather"]).ended_with(FAILED).saying("kos vault list");
    assert_eq!(names(&world, &[]), ["password/db"]);
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn versions_are_kept_brought_back_and_renamed() {
    let world = World::trusting_nobody();
    let file = world.write("next", "two");
    let rotate = |id: &str| world.kos(&["vault", "rotate", id, "--from", path_text(&file)]);
    rotate("api_key/a").ended_with(FAILED).saying("kos vault list");
    put(&world, "api_key/a", "one", &["--expires", "30d"]).succeeded();
    let first = world.kos(&["vault", "list", "--json"]).succeeded().json();
    rotate("api_key/a").succeeded();
    assert_eq!(get(&world, "api_key/a"), "two");
    let next = world.kos(&["vault", "list", "--json"]).succeeded().json();
    assert_eq!(next[0]["version"], 2);
    assert_eq!(next[0]["expiresAt"], first[0]["expiresAt"], "an end is not lost by the way");
    let versions = || {
        let versions = world.kos(&["vault", "versions", "api_key/a", "--json"]).succeeded().json();
        let numbers = versions.as_array().expect("a list").iter().map(|version| version["version"].as_u64());
        numbers.collect::<Option<Vec<_>>>().expect("numbers")
    };
    assert_eq!(versions(), [2, 1]);
    world.kos(&["vault", "restore", "api_key/a", "1"]).succeeded();
    assert_eq!((get(&world, "api_key/a").as_str(), versions()), ("one", vec![3, 2, 1]));
    world.kos(&["vault", "restore", "api_key/a", "9"]).ended_with(FAILED).saying("kos vault versions");
    world.kos(&["vault", "rotate-key"]).succeeded();
    assert_eq!((get(&world, "api_key/a").as_str(), versions()), ("one", vec![3, 2, 1]));
    world.kos(&["vault", "keep", "0"]).succeeded();
    assert_eq!(versions(), [3]);
    put(&world, "api_key/b", "three", &[]).succeeded();
    let rename = |from: &str, to: &str| world.kos(&["vault", "rename", from, to]);
    rename("api_key/a", "api_key/b").ended_with(FAILED).saying("kos vault remove api_key/b");
    rename("api_key/a", "api_key/c").succeeded();
    assert_eq!(names(&world, &[]), ["api_key/b", "api_key/c"]);
    assert_eq!(get(&world, "api_key/c"), "one");
}

#[test]
fn environments_have_nothing_in_common() {
    let world = World::trusting("trusted");
    put(&world, "api_key/a", "of default", &[]).succeeded();
    put(&world, "api_key/a", "of test", &["--env", "test"]).succeeded();
    put(&world, "api_key/b", "of test alone", &["--env", "test"]).succeeded();
    assert_eq!(get(&world, "api_key/a"), "of default");
    let printed = world.kos(&["vault", "get", "api_key/a", "--env", "test"]).succeeded().stdout;
    assert_eq!(printed, "of test");
    assert_eq!(names(&world, &["--env", "test"]), ["api_key/a", "api_key/b"]);
    assert_eq!(names(&world, &["--env", "nothing"]), Vec::<std::path::PathBuf>::new());
    world.kos(&["vault", "list", "--env", "../default"]).ended_with(USAGE).saying("--env");
    for (arguments, answer) in [(&[][..], "denied"), (&["--env", "test"][..], "")] {
        let mut agent = user(&world, arguments);
        let heard = agent.ask("mac api_key/b abc");
        assert_eq!(heard == "denied", answer == "denied", "{heard}");
        agent.end().succeeded();
    }
}

#[test]
fn a_value_is_of_its_type_or_refused_in_one_line() {
    let world = World::trusting_nobody();
    for (id, value) in [
        ("password/db", "two\nlines"),
        ("jwt/session", "no.token"),
        ("certificate/site", "no certificate"),
        ("api_key/empty", ""),
    ] {
        let ended = put(&world, id, value, &[]).ended_with(FAILED);
        let first = ended.stderr.lines().next().unwrap_or_default();
        assert!(first.starts_with("kos: ") && ended.stdout.is_empty(), "{}", ended.stderr);
    }
    put(&world, "api_key/a", &"x".repeat(64 * 1024 + 1), &[]).ended_with(FAILED).saying("65536");
    put(&world, "api_key/a", "x", &["--expires", "2020-01-31"]).ended_with(FAILED).saying("--expires");
    put(&world, "api_key/a", "x", &["--expires", "soon"]).ended_with(USAGE).saying("soon");
    put(&world, "key/a", "x", &[]).ended_with(USAGE).saying("api_key");
    assert_eq!(names(&world, &[]), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_secret_is_never_an_argument() {
    let world = World::trusting_nobody();
    for arguments in [
        &["vault", "put", "api_key/a", MARKER][..],
        &["vault", "put", "api_key/a", "--value", MARKER],
        &["vault", "put", "api_key/a", "--from"],
        &["vault", "unlock", "--passphrase", MARKER],
    ] {
        world.kos(arguments).ended_with(USAGE);
    }
    world.kos(&["vault", "put", "api_key/a"]).ended_with(FAILED).saying("--from -");
    let mut command = world.kos_command();
    command.args(["vault", "put", "api_key/a", "--from", "-"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(MARKER.as_bytes()).unwrap();
    Ended::from_output("put".to_owned(), child.wait_with_output().unwrap()).succeeded();
    let mut command = world.kos_command();
    let piped = std::fs::File::open(world.write("value", "through a descriptor")).unwrap();
    command.args(["vault", "put", "api_key/b", "--fd", "0"]).stdin(piped);
    Ended::of(&mut command).succeeded();
    assert_eq!(
        (get(&world, "api_key/a").as_str(), get(&world, "api_key/b").as_str()),
        (MARKER, "through a descriptor")
    );
}

#[test]
fn a_secret_is_in_no_file_no_answer_and_no_entry() {
    let world = World::trusting("trusted");
    let said = |ended: Ended| assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(MARKER));
    said(put(&world, "api_key/a", MARKER, &["--json"]).succeeded());
    said(put(&world, "password/p", &format!("{MARKER}\n{MARKER}"), &["--json"]).ended_with(FAILED));
    let agent = world.granted_with("probe-vault", &permissions(USE));
    let mac = Ended::of(world.kos_run_command().arg(&agent).args(["--", "mac", "api_key/a", "abc"]));
    said(mac.succeeded());
    assert_eq!(get(&world, "api_key/a"), MARKER);
    said(world.kos(&["vault", "rename", "api_key/a", "api_key/b", "--json"]).succeeded());
    let hex: String = MARKER.bytes().map(|byte| format!("{byte:02x}")).collect();
    for form in [MARKER, "b3Blbi1zZXNhbWUtNDcxM", &hex] {
        assert_eq!(holding(&world.home(), form.as_bytes()), Vec::<std::path::PathBuf>::new());
    }
    let accesses = world.entries_of("vault_access");
    let operations: Vec<&str> =
        accesses.iter().filter_map(|entry| entry["details"]["operation"].as_str()).collect();
    assert_eq!(operations, ["put", "versions", "mac", "reveal", "rename"]);
    let actors: Vec<&str> = accesses.iter().filter_map(|entry| entry["actor"]["type"].as_str()).collect();
    assert_eq!(actors, ["user", "user", "agent", "user", "user"]);
}

#[test]
fn secrets_travel_under_a_passphrase_or_to_a_key() {
    let (world, other) = (World::trusting_nobody(), World::trusting_nobody());
    put(&world, "api_key/a", "older", &[]).succeeded();
    put(&world, "api_key/a", MARKER, &[]).succeeded();
    put(&world, "password/p", "correct horse", &[]).succeeded();
    let (right, wrong) = (world.write("right", "correct horse\n"), world.write("wrong", "correct house\n"));
    let file = world.path("secrets.json");
    let export = ["vault", "export", "-o", path_text(&file), "--export-passphrase-file", path_text(&right)];
    world.kos(&export).succeeded();
    world.kos(&export).ended_with(FAILED).saying("not overwritten");
    assert_eq!(holding(&world.path(""), MARKER.as_bytes()), Vec::<std::path::PathBuf>::new());
    let import = |arguments: &[&str]| other.kos(&[&["vault", "import"], arguments].concat());
    let by = |passphrase: &Path, environment: &str| {
        let passphrase = path_text(passphrase).to_owned();
        import(&[path_text(&file), "--export-passphrase-file", &passphrase, "--env", environment])
    };
    by(&wrong, "default").ended_with(FAILED).saying("--export-passphrase-file");
    assert_eq!(names(&other, &[]), Vec::<std::path::PathBuf>::new());
    by(&right, "default").succeeded();
    assert_eq!((get(&other, "api_key/a").as_str(), names(&other, &[]).len()), (MARKER, 2));
    by(&right, "default").ended_with(FAILED).saying("already");
    let help = world.kos(&["vault", "export", "--help"]).succeeded().stdout;
    assert!(help.contains("versions go with their secrets"), "{help}");
    other.kos(&["vault", "restore", "api_key/a", "1"]).succeeded();
    assert_eq!(get(&other, "api_key/a"), "older");

    let key = other.kos(&["key", "export", "alice", "--json"]).succeeded().json();
    let key = key["agreementKey"].as_str().expect("an agreement key").to_owned();
    let sealed = world.path("sealed.json");
    world.kos(&["vault", "export", "-o", path_text(&sealed), "--to", &key]).succeeded();
    import(&[path_text(&sealed), "--key", "operator/default", "--env", "sealed"]).ended_with(FAILED);
    import(&[path_text(&sealed), "--key", "alice", "--env", "sealed"]).succeeded();
    assert_eq!(names(&other, &["--env", "sealed"]), ["api_key/a", "password/p"]);
    import(&[path_text(&right), "--key", "alice", "--env", "third"]).ended_with(FAILED);
}

#[test]
fn an_older_vault_is_not_opened() {
    let world = World::trusting("trusted");
    let vault = world.home().join("vault/default.json");
    put(&world, "api_key/a", "one", &[]).succeeded();
    let old = std::fs::read(&vault).unwrap();
    put(&world, "api_key/a", "two", &[]).succeeded();
    let new = std::fs::read(&vault).unwrap();
    let mut agent = user(&world, &[]);
    let mac = agent.ask("mac api_key/a abc");
    assert_eq!(mac.len(), 64, "{mac}");
    std::fs::write(&vault, &old).unwrap();
    world
        .kos(&["vault", "get", "api_key/a"])
        .ended_with(FAILED)
        .saying("older file")
        .saying("put the newest");
    assert_eq!(agent.ask("mac api_key/a abc"), "unavailable");
    put(&world, "api_key/a", "three", &[]).ended_with(FAILED);
    std::fs::remove_file(&vault).unwrap();
    put(&world, "api_key/a", "three", &[]).ended_with(FAILED);
    std::fs::write(&vault, &new).unwrap();
    assert_eq!(agent.ask("mac api_key/a abc"), mac);
    agent.end().succeeded();
    assert_eq!(get(&world, "api_key/a"), "two");
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn a_put_that_is_killed_at_any_time_leaves_the_old_secret_or_the_new() {
    let world = World::trusting_nobody();
    put(&world, "api_key/a", "0", &[]).succeeded();
    let mut present = "0".to_owned();
    for round in 1..=40_u64 {
        let next = round.to_string();
        let file = world.write("next", &next);
        let mut command = world.kos_command();
        command.args(["vault", "put", "api_key/a", "--from", path_text(&file)]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * 3));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = get(&world, "api_key/a");
        assert!(found == present || found == next, "{found} is neither {present} nor {next}");
        present = found;
    }
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn a_locked_host_uses_no_secret_until_it_is_unlocked() {
    let world = World::trusting("trusted");
    put(&world, "api_key/a", "one", &[]).succeeded();
    let mut agent = user(&world, &[]);
    let mac = agent.ask("mac api_key/a abc");
    assert!(!is_locked(&world));
    let locked = world.kos(&["vault", "lock", "--json"]).succeeded().json();
    assert_eq!(locked, json!({ "locked": 1, "runs": 1 }));
    assert_eq!(agent.ask("mac api_key/a abc"), "unavailable");
    assert_eq!(agent.ask("reveal api_key/a"), "denied", "locking tells nothing of what is not granted");
    assert!(is_locked(&world));
    assert!(world.kos(&["ps"]).succeeded().stdout.contains("locked"));
    let wrong = world.write("wrong", "correct house\n");
    world
        .kos(&["vault", "unlock", "--passphrase-file", path_text(&wrong)])
        .ended_with(FAILED)
        .saying("cannot be unlocked");
    assert!(is_locked(&world));
    assert_eq!(agent.ask("mac api_key/a abc"), "unavailable");
    // The key file as a person in the test's folder names it; the host works elsewhere.
    world.kos(&["vault", "unlock", "--key-file", "root.key"]).succeeded();
    assert!(!is_locked(&world));
    assert_eq!(agent.ask("mac api_key/a abc"), mac);
    agent.end().succeeded();
    let text = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(change, cause)| ((*change).to_owned(), (*cause).to_owned())).collect()
    };
    assert_eq!(locks(&world), text(&[("lock", "request"), ("unlock", "")]));
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn a_passphrase_reaches_a_running_host_and_no_file() {
    let world = World::trusting("trusted");
    let passphrase = world.path("passphrase");
    std::fs::write(&passphrase, MARKER).unwrap();
    world.kos(&["slot", "add", "passphrase", "--from", path_text(&passphrase), "--kdf", "board"]).succeeded();
    put(&world, "api_key/a", "one", &[]).succeeded();
    let mut agent = user(&world, &[]);
    assert_eq!(agent.ask("mac api_key/a abc").len(), 64);
    world.kos(&["vault", "lock"]).succeeded();
    assert_eq!(agent.ask("mac api_key/a abc"), "unavailable");
    world.kos(&["vault", "unlock", "--passphrase-file", path_text(&passphrase)]).succeeded();
    assert_eq!(agent.ask("mac api_key/a abc").len(), 64);
    agent.end().succeeded();
    assert_eq!(holding(&world.home(), MARKER.as_bytes()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_signal_and_the_time_lock_a_host_too() {
    let world = World::trusting("trusted");
    put(&world, "api_key/a", "one", &[]).succeeded();
    let mut agent = user(&world, &[]);
    assert_eq!(agent.ask("mac api_key/a abc").len(), 64);
    agent.signal("-USR1");
    agent.ask_until("mac api_key/a abc", "unavailable");
    poll_until("the lock is logged", || locks(&world) == [("lock".to_owned(), "signal".to_owned())]);
    agent.end().succeeded();
    let mut agent = user(&world, &["--lock-after", "1s"]);
    agent.ask("list api_key/a");
    poll_until("the host locks by itself", || is_locked(&world));
    assert_eq!(agent.ask("mac api_key/a abc"), "unavailable");
    poll_until("the lock is logged", || locks(&world).last().is_some_and(|(_, cause)| cause == "idle"));
    agent.end().succeeded();
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn a_passphrase_is_changed_and_the_old_one_opens_nothing() {
    let world = World::trusting_nobody();
    let (old, new) = (world.write("old", "correct horse\n"), world.write("new", "battery staple\n"));
    let add = ["slot", "add", "passphrase", "--from", path_text(&old), "--kdf", "board", "--json"];
    let slot = world.kos(&add).succeeded().json();
    let id = slot["id"].as_str().expect("the slot");
    put(&world, "api_key/a", "one", &[]).succeeded();
    let with = ["--passphrase-file", path_text(&old)];
    let change = ["slot", "change", id, "--from", path_text(&new), "--kdf", "board"];
    world.kos(&[&change[..], &with].concat()).succeeded();
    world.kos(&[&["vault", "get", "api_key/a"][..], &with].concat()).ended_with(FAILED);
    let printed = world.kos(&["vault", "get", "api_key/a", "--passphrase-file", path_text(&new)]);
    assert_eq!(printed.succeeded().stdout, "one");
    world.kos(&["slot", "change", id, "--from", path_text(&new)]).ended_with(FAILED).saying("kos slot list");
}
