//! The log through Go's own `sumdb/note` and `sumdb/tlog`, where Go and the Debian package golang-golang-x-mod-dev are installed (I9).
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kos_core::clock::SystemClock;
use kos_core::crypto::SecretKey;
use kos_core::log::{Event, EventType, Log, PartyType};

/// Where Debian puts the sources of Go packages.
const GOPATH: &str = "/usr/share/gocode";

#[test]
fn go_verifies_the_log_at_every_edge_of_a_tile() {
    let sources = Path::new(GOPATH).join("src/golang.org/x/mod/sumdb/tlog");
    if !sources.exists() || Command::new("go").arg("version").output().is_err() {
        println!("NOT RUN: needs `go` and the package golang-golang-x-mod-dev ({GOPATH})");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("verifier");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/go/main.go"))
        .envs([("GO111MODULE", "off"), ("GOPATH", GOPATH), ("GOFLAGS", "")])
        .env("GOCACHE", folder.path().join("cache"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let directory = folder.path().join("log");
    let signer = Arc::new(SecretKey::from_seed(&[1; 32]));
    let log = Log::open(&directory, "example.com/log", signer, Arc::new(SystemClock)).unwrap();
    let verifier_key = log.vkey().to_string();
    let (sender, receiver) = std::sync::mpsc::channel();
    for size in [0, 1, 2, 255, 256, 257, 1_000] {
        for number in log.size().unwrap()..size {
            let sender = sender.clone();
            let event = Event::new(EventType::Alert, PartyType::System, "host").with("number", number);
            log.submit(event, move |outcome| sender.send(outcome.is_ok()).unwrap());
        }
        while log.size().unwrap() < size {
            assert!(receiver.recv().unwrap());
        }
        log.publish().unwrap();
        let verified = Command::new(&program).arg(&directory).arg(&verifier_key).output().unwrap();
        let words = String::from_utf8_lossy(&verified.stdout);
        assert_eq!(
            words,
            format!("verified {size} entries\n"),
            "{}",
            String::from_utf8_lossy(&verified.stderr)
        );
    }
}
