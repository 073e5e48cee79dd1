//! What lies in the memory of a process that holds keys, before a lock, during it and after (R16).
//!
//! A process of its own holds the keys and this one reads all of its memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]

#[path = "memory/search.rs"]
mod search;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use kos_core::crypto::Signer as _;
use kos_core::custody::{self, Custodian, KeyHandle, KeyName, MacPurpose, Request, SlotSpec, Unlock};
use kos_core::home::Home;
use sha2::{Digest as _, Sha512};

use search::{count, derived, private_halves, root_key};

/// Tells a child process which home to hold the keys of.
const HOME: &str = "KOS_TEST_MEMORY_HOME";
const HOST: &str = "host/default";
const AGENT: &str = "agent/alice";

fn key(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn key_file(home: &Home) -> PathBuf {
    home.root().with_extension("key")
}

/// The other half of the test below: this same program, started as a process of its own. By itself it does nothing.
#[test]
fn child_process() {
    let Some(root) = std::env::var_os(HOME) else { return };
    let home = Home::at(PathBuf::from(root));
    let with = Unlock::KeyFile(key_file(&home));
    let custodian: Arc<dyn Custodian> = Arc::new(custody::unlock(&home, &with).unwrap());
    let host = KeyHandle::new(custodian.clone(), key(HOST)).unwrap();
    let agent = KeyHandle::new(custodian.clone(), key(AGENT)).unwrap();
    let use_keys = || {
        host.sign(b"entry").unwrap();
        agent.sign(b"message").unwrap();
        custodian.mac(MacPurpose::Artifact, b"artifact").unwrap();
        let sealed = kos_core::crypto::seal(&agent.public().agreement_key, b"i", b"a", b"text").unwrap();
        assert_eq!(*agent.open_sealed(b"i", b"a", &sealed).unwrap(), b"text");
    };
    use_keys();
    say_and_wait("unlocked");
    custodian.ask(Request::Lock).unwrap();
    host.sign(b"entry").unwrap();
    say_and_wait("locked");
    custodian.ask(Request::Unlock { with }).unwrap();
    use_keys();
    say_and_wait("unlocked again");
    drop((host, agent, custodian));
    say_and_wait("ended");
}

fn say_and_wait(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("child: {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

#[test]
fn after_a_lock_no_key_but_the_hosts_is_anywhere_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    let made = custody::initialise(&home, &[SlotSpec::KeyFile { path: key_file(&home) }]).unwrap();
    made.create(&key(HOST)).unwrap();
    made.create(&key(AGENT)).unwrap();
    drop(made);
    let (slot_secret, root) = root_key(home.root(), &key_file(&home));
    let artifact_key = derived(None, &root, "kos/mac/artifact/v1", 32);
    let ([host, _], [agent, agreement]) =
        (private_halves(home.root(), &root, HOST), private_halves(home.root(), &root, AGENT));
    let (prefix, clamped) = (Sha512::digest(&agent)[32..].to_vec(), clamped(&agreement));
    let needles = [&slot_secret, &prefix, &clamped, &root, &artifact_key, &agent, &agreement, &host];
    // The first is used once, the next two are what a computation leaves on its stack until a lock.
    let names = ["slot", "Ed25519 prefix", "X25519 clamped", "root", "mac", "agent", "X25519", "host"];
    let [slot, prefix, clamped, kept @ ..] = names;

    let mut holder = Holder::start(&home);
    let found = |pid: u32| -> Vec<&str> {
        let hits = count(pid, &needles.map(Vec::as_slice));
        names.into_iter().zip(hits).filter(|(_, hits)| *hits > 0).map(|(name, _)| name).collect()
    };
    let assert_open = |pid: u32| {
        let mut found = found(pid);
        found.retain(|name| *name != prefix && *name != clamped);
        assert_eq!(found, kept, "and not {slot}");
    };
    holder.expect("unlocked");
    assert_open(holder.child.id());
    holder.go_on();
    holder.expect("locked");
    assert_eq!(found(holder.child.id()), ["host"]);
    holder.go_on();
    holder.expect("unlocked again");
    assert_open(holder.child.id());
    holder.go_on();
    holder.expect("ended");
    assert_eq!(found(holder.child.id()), [""; 0]);
    holder.go_on();
    assert!(holder.child.wait().unwrap().success());
}

/// The X25519 secret as it is multiplied with, which is not how it is kept (RFC 7748, section 5).
fn clamped(secret: &[u8]) -> Vec<u8> {
    let mut bytes = secret.to_vec();
    bytes[0] &= 248;
    bytes[31] = bytes[31] & 127 | 64;
    bytes
}

/// The process that holds the keys.
struct Holder {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Holder {
    fn start(home: &Home) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process", "--nocapture"])
            .env(HOME, home.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Reads until the child has said this, past what the test harness says.
    fn expect(&mut self, said: &str) {
        let mut line = String::new();
        while !line.trim_end().ends_with(&format!("child: {said}")) {
            line.clear();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the child ended before it was {said}");
        }
    }

    fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
