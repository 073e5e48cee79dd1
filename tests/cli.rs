//! Whatever is wrong is refused in one line with its cause, and nothing is half-done.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{Ended, World, agent, path_text, project};

/// `kos` did not do it.
const FAILED: i32 = 1;
/// The command line was not understood.
const USAGE: i32 = 2;
/// `kos-run` could not do its part.
const HOST_FAILURE: i32 = 125;

/// Every file below a folder with its content, but for the log and the locks.
fn snapshot(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path_text(&path).to_owned();
        if path.is_dir() {
            if !name.ends_with("/log") && !name.ends_with("/run") {
                found.extend(snapshot(&path));
            }
        } else if !name.ends_with("lock") {
            found.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
    found
}

/// A command line, the status it ends with, and words of its diagnostics.
type Case<'a> = (&'a [&'a str], i32, &'a str);

const CASES: [Case<'_>; 43] = [
    (&["key", "new", "a/b"], USAGE, "a/b"),
    (&["key", "new", "Alice"], USAGE, "Alice"),
    (&["key", "new", ""], USAGE, "NAME"),
    (&["key", "new", "alice"], FAILED, "alice"),
    (&["key", "export", "nobody"], FAILED, "kos key list"),
    (&["key", "export", "root/alice"], FAILED, "root"),
    (&["key", "rotate", "operator/default"], FAILED, "governs this home"),
    (&["sign", "core.wasm", "--manifest", "agent.toml", "--key", "alice"], FAILED, "core WebAssembly module"),
    (&["sign", "text.wasm", "--manifest", "agent.toml", "--key", "alice"], FAILED, "not WebAssembly"),
    (&["sign", "hello.wasm", "--manifest", "agent.toml", "--key", "nobody"], FAILED, "kos key new"),
    (
        &["sign", "hello.wasm", "--manifest", "agent.toml", "--key", "operator/default"],
        FAILED,
        "does not sign agents",
    ),
    (
        &["sign", "hello.wasm", "--manifest", "unknown.toml", "--key", "alice"],
        FAILED,
        "line 3, column 1: unknown field `capabilites`",
    ),
    (
        &["sign", "hello.wasm", "--manifest", "typo.toml", "--key", "alice"],
        FAILED,
        "line 4, column 1: `crypto.sgin`",
    ),
    (&["sign", "hello.wasm", "--manifest", "missing.toml", "--key", "alice"], FAILED, "missing.toml"),
    (&["sign", "hello.wasm", "--add", "--key", "alice"], FAILED, "leave out --add"),
    (&["inspect", "missing.wasm"], FAILED, "missing.wasm"),
    (&["trust", "add", "did:key:zzz", "--level", "partner"], USAGE, "did:key:zzz"),
    (&["trust", "add", "did:web:example.org", "--level", "partner"], USAGE, "did:web"),
    (&["trust", "revoke", "sha256:00"], USAGE, "sha256:00"),
    (&["trust", "policy", "external", "--signatures", "0"], FAILED, "signatures"),
    (&["trust", "policy", "external", "--allow", "crypto.*"], FAILED, "partner"),
    (&["trust", "install", "twice.json"], FAILED, "twice.json is no signed document"),
    (&["trust", "install", "loose.json"], FAILED, "loose.json is no signed document"),
    (&["grant", "--install", "twice.json"], FAILED, "twice.json is no signed document"),
    (&["grant", "--install", "text.wasm"], FAILED, "text.wasm is no signed document"),
    (&["grant", "signed.wasm", "--allow", "crypto.sgin:x"], FAILED, "did you mean `crypto.sign`?"),
    (&["grant", "signed.wasm", "--allow", "crypto.sign"], FAILED, "needs a scope"),
    (&["grant", "signed.wasm", "--for", "soon"], FAILED, "soon"),
    (&["grant", "signed.wasm", "--limit", "memory=lots"], FAILED, "lots"),
    (&["grant", "hello.wasm", "--allow", "identity.self"], FAILED, "kos sign"),
    (&["grants", "show", "zzzz"], FAILED, "kos grants list"),
    (&["grants", "revoke", ""], FAILED, "there is no grant"),
    (&["explain", "signed.wasm", "crypto.sgin:x"], FAILED, "is not a capability"),
    (&["explain", "signed.wasm", "crypto.sign"], FAILED, "SCOPE"),
    (&["log", "show", "--type", "agent-launch"], USAGE, "agent_launch"),
    (&["log", "show", "9999"], FAILED, "no entry 9999"),
    (&["stop", "nobody"], FAILED, "kos ps"),
    (&["slot", "remove", "nothing"], FAILED, "kos slot list"),
    (&["slot", "change", "nothing"], FAILED, "kos slot list"),
    (&["vault", "get", "weather"], USAGE, "TYPE/NAME"),
    (&["vault", "get", "api_key/weather"], FAILED, "kos vault list"),
    (&["vault", "put", "password/db", "--from", "missing"], FAILED, "missing"),
    (&["vault", "import", "text.wasm", "--key", "alice"], FAILED, "text.wasm"),
];

#[test]
fn wrong_input_is_refused_in_one_line_and_changes_nothing() {
    let world = World::trusting("trusted");
    let signed = world.signed("hello");
    std::fs::rename(signed, world.path("signed.wasm")).unwrap();
    std::fs::copy(agent("hello"), world.path("hello.wasm")).unwrap();
    world.write("agent.toml", crate::support::manifest("hello"));
    world.write("unknown.toml", "name = \"a\"\nversion = \"0.1.0\"\ncapabilites = {}\n");
    world.write("typo.toml", "name = \"a\"\nversion = \"0.1.0\"\n[capabilities]\n\"crypto.sgin\" = {}\n");
    world.write("core.wasm", b"\0asm\x01\0\0\0");
    world.write("text.wasm", "#!/bin/sh\n");
    let store = std::fs::read_to_string(world.home().join("trust/store.json")).unwrap();
    world.write("twice.json", store.replacen('{', "{\"payloadType\":\"x\",", 1));
    // Base64 with spaces at its end is another text for the same bytes.
    world.write("loose.json", store.replacen("\",\"payloadType\"", " \",\"payloadType\"", 1));
    let before = snapshot(world.path("").as_path());
    for (arguments, status, words) in CASES {
        let ended = world.kos(arguments).ended_with(status).saying(words);
        assert!(ended.stdout.is_empty(), "{arguments:?}: {}", ended.stdout);
        let first = ended.stderr.lines().next().unwrap_or_default();
        assert!(first.starts_with("kos: ") || first.starts_with("error: "), "{arguments:?}: {first}");
        assert!(!ended.stderr.contains('\u{fffd}'), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{arguments:?}: {}", ended.stderr);
        if status == FAILED {
            let error: Vec<&str> = [arguments, &["--json"]].concat();
            let error = world.kos(&error).ended_with(status).stderr;
            let error: serde_json::Value = serde_json::from_str(&error).expect("an error in JSON");
            assert!(error["error"]["what"].is_string(), "{error}");
        }
        let after = snapshot(world.path("").as_path());
        assert!(
            after == before,
            "{arguments:?} changed {:?}",
            after.keys().filter(|name| before.get(*name) != after.get(*name)).collect::<Vec<_>>()
        );
    }
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn a_command_line_of_kos_run_that_is_not_understood_starts_nothing() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    let hello = path_text(&hello);
    let cases: [(&[&str], &str); 7] = [
        (&[], "AGENT.wasm"),
        (&[hello, "--limit", "memory"], "memory"),
        (&[hello, "--limit", "memory=lots"], "lots"),
        (&[hello, "--limit", "memroy=1MiB"], "memroy"),
        (&[hello, "--limit", "memory=1MiB,memory=2MiB"], "memory"),
        (&[hello, hello, "--signature", "x"], "--signature"),
        (&[hello, "--no-such-flag"], "--no-such-flag"),
    ];
    for (arguments, words) in cases {
        let ended = Ended::of(world.kos_run_command().args(arguments)).ended_with(HOST_FAILURE).saying(words);
        assert!(ended.stdout.is_empty());
    }
    assert!(world.entries_of("agent_launch").is_empty());
}

#[test]
fn a_home_that_cannot_be_used_is_named_with_what_helps() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    let both = |words: &[&str]| {
        let mut ended = [world.kos(&["key", "list"]).ended_with(FAILED), world.run(&hello, &[])].into_iter();
        ended.all(|ended| {
            assert!(ended.status != 0 && ended.stdout.is_empty());
            words.iter().all(|word| ended.stderr.contains(word))
        })
    };
    let mode = |mode| std::fs::set_permissions(world.home(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o755);
    assert!(both(&["chmod 700"]));
    mode(0o700);
    for (name, words) in [("slots.json", "slots"), ("host.json", "host.json")] {
        let path = world.home().join(name);
        let whole = std::fs::read(&path).unwrap();
        for altered in [whole[..whole.len() / 2].to_vec(), Vec::new(), [whole.as_slice(), b"{}"].concat()] {
            std::fs::write(&path, altered).unwrap();
            assert!(both(&[words]), "{name}");
        }
        std::fs::write(&path, whole).unwrap();
    }
    let store = world.home().join("trust/store.json");
    let whole = std::fs::read_to_string(&store).unwrap();
    std::fs::write(&store, whole.replacen('{', "{\"payloadType\":\"x\",", 1)).unwrap();
    let ended = world.run(&hello, &[]);
    assert!(ended.status != 0 && ended.stdout.is_empty(), "{}", ended.stderr);
    world.kos(&["trust", "list"]).ended_with(FAILED).saying("trust");
    std::fs::write(&store, whole).unwrap();
    std::fs::rename(world.path("root.key"), world.path("elsewhere.key")).unwrap();
    assert!(both(&["root.key", "--key-file"]));
    std::fs::rename(world.path("elsewhere.key"), world.path("root.key")).unwrap();
    world.run(&hello, &[]).succeeded();

    let mut command = world.kos_command();
    command.env("KOS_HOME", world.path("nothing")).args(["trust", "list"]);
    Ended::of(&mut command).ended_with(FAILED).saying("kos init");
}

#[test]
fn a_passphrase_unlocks_and_a_wrong_one_does_not() {
    let world = World::trusting_nobody();
    let (right, wrong) = (world.write("right", "correct horse\n"), world.write("wrong", "correct house\n"));
    let home = world.path("other");
    let kos = |arguments: &[&str]| Ended::of(world.kos_command().env("KOS_HOME", &home).args(arguments));
    kos(&["init", "--kdf", "board", "--passphrase-file", path_text(&right)]).succeeded();
    kos(&["key", "list", "--passphrase-file", path_text(&right)]).succeeded();
    let before = snapshot(&home);
    kos(&["key", "new", "me", "--passphrase-file", path_text(&wrong)])
        .ended_with(FAILED)
        .saying("cannot be unlocked");
    kos(&["key", "new", "me"]).ended_with(FAILED).saying("--passphrase-file");
    assert!(snapshot(&home) == before);
}

#[test]
fn a_home_is_made_once_and_wholly_or_not_at_all() {
    let world = World::trusting_nobody();
    let key = world.path("root.key");
    let before = snapshot(&world.home());
    world.kos(&["init", "--key-file", path_text(&key)]).ended_with(FAILED).saying("--home DIR");
    assert!(snapshot(&world.home()) == before);

    let fresh = world.path("fresh");
    let init = |arguments: &[&str]| {
        let mut command = world.kos_command();
        command.env("KOS_HOME", &fresh).args(["init", "--key-file", path_text(&key)]).args(arguments);
        Ended::of(&mut command)
    };
    init(&["--threshold", "2"]).ended_with(FAILED).saying("cannot be met");
    assert!(!fresh.exists(), "a home that failed was left");
    init(&["--origin", "two\nlines"]).ended_with(FAILED);
    assert!(!fresh.exists(), "a home that failed was left");
    std::fs::create_dir(&fresh).unwrap();
    std::fs::write(fresh.join("keys"), "somebody's").unwrap();
    init(&[]).ended_with(FAILED).saying("is there already");
    assert_eq!(std::fs::read(fresh.join("keys")).unwrap(), b"somebody's");
    std::fs::remove_dir_all(&fresh).unwrap();
    init(&[]).succeeded();
}

#[test]
fn every_answer_is_there_as_json() {
    let world = World::trusting("trusted");
    let hello = world.granted("hello");
    world.run(&hello, &[]).succeeded();
    let (hello, author) = (path_text(&hello), world.author());
    let grants = world.kos(&["grants", "list", "--json"]).succeeded().json();
    let grant = grants[0]["grant"].as_str().expect("a grant").to_owned();
    let commands: [&[&str]; 22] = [
        &["inspect", hello],
        &["explain", hello, "identity.self"],
        &["key", "list"],
        &["key", "export", "alice"],
        &["trust", "list"],
        &["trust", "explain", author],
        &["trust", "policy"],
        &["trust", "policy", "partner"],
        &["grants", "list", "--all"],
        &["grants", "show", &grant],
        &["log", "verify"],
        &["log", "checkpoint"],
        &["log", "checkpoint", "--vkey-only"],
        &["log", "show", "0"],
        &["log", "export", "copy"],
        &["slot", "list"],
        &["vault", "list"],
        &["vault", "status"],
        &["vault", "lock"],
        &["ps"],
        &["stop", "--all"],
        &["grants", "revoke", &grant],
    ];
    for arguments in commands {
        world.kos(&[arguments, &["--json"]].concat()).succeeded().json();
    }
    for arguments in [["log", "show"], ["log", "tail"]] {
        let shown = world.kos(&[&arguments[..], &["--json"]].concat()).succeeded().stdout;
        assert!(shown.lines().count() > 3);
        assert!(shown.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }
}

#[test]
fn a_missing_log_does_not_verify() {
    let world = World::trusting_nobody();
    let vkey = world.kos(&["log", "checkpoint", "--vkey-only"]).succeeded().stdout;
    let verify =
        |arguments: &[&str]| world.kos(&[&["log", "verify", "--dir", "nothing"], arguments].concat());
    verify(&[]).ended_with(FAILED).saying("--vkey");
    verify(&["--vkey", vkey.trim()]).ended_with(FAILED).saying("nothing");
    verify(&["--vkey", "nonsense"]).ended_with(FAILED).saying("nonsense");
}

#[test]
fn completions_are_there_for_every_usual_shell() {
    let world = World::trusting_nobody();
    for program in ["kos", "kos-run"] {
        for shell in ["bash", "zsh", "fish"] {
            let script = world.kos(&["completions", shell, "--program", program]).succeeded().stdout;
            assert!(script.contains(program) && script.lines().count() > 5, "{shell} {program}");
        }
        let script = world.kos(&["completions", "bash", "--program", program]).succeeded().stdout;
        let script = world.write("script", script);
        Ended::of(Command::new("bash").arg("-n").arg(&script)).succeeded();
    }
}

#[test]
fn a_new_agent_builds_and_runs_as_it_is() {
    let world = World::trusting("trusted");
    let sdk = project().join("guest-sdk");
    world.kos(&["new", "demo", "--sdk", path_text(&sdk)]).succeeded();
    world.kos(&["new", "demo", "--sdk", path_text(&sdk)]).ended_with(FAILED).saying("cannot create demo");
    let folder = world.path("demo");
    // The versions of the workspace, as nothing is downloaded.
    std::fs::copy(project().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--release", "--target", "wasm32-wasip2"]).current_dir(&folder);
    Ended::of(cargo.env("CARGO_TARGET_DIR", world.path("target"))).succeeded();
    let built = world.path("target/wasm32-wasip2/release/demo.wasm");
    let signed = world.path("demo.signed.wasm");
    let manifest = folder.join("agent.toml");
    let sign = ["sign", path_text(&built), "--manifest", path_text(&manifest), "-o", path_text(&signed)];
    world.kos(&sign).succeeded();
    let permissions = folder.join("permissions.toml");
    world.kos(&["grant", path_text(&signed), path_text(&permissions)]).succeeded();
    let ran = world.run(&signed, &[]).succeeded();
    assert!(ran.stdout.starts_with("I am demo 0.1.0"), "{}", ran.stdout);
}
