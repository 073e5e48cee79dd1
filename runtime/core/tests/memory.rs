//! What lies in the memory of a process that holds keys, before a lock, during it and after (R16).
//!
//! A process of its own holds the keys and this one reads all of its memory. What is looked for is computed here from the
//! files of the home by the documented formats, with HKDF and AES-GCM alone.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use kos_core::crypto::Signer as _;
use kos_core::custody::{self, Custodian, KeyHandle, KeyName, MacPurpose, Request, SlotSpec, Unlock};
use kos_core::home::Home;
use serde_json::Value;
use sha2::Sha512;

/// Tells a child process which home to hold the keys of.
const HOME: &str = "KOS_TEST_MEMORY_HOME";
const HOST: &str = "host/default";
const AGENT: &str = "agent/alice";
/// How much is read at once; more than any secret is longer.
const CHUNK: usize = 1 << 20;

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
    let (slot_secret, root) = root_key(&home);
    let artifact_key = derived(None, &root, "kos/mac/artifact/v1", 32);
    let ([host, _], [agent, agreement]) =
        (private_halves(&home, &root, HOST), private_halves(&home, &root, AGENT));
    let needles = [&slot_secret, &root, &artifact_key, &agent, &agreement, &host];
    let [slot_secret, root, artifact_key, agent, agreement, host] =
        ["slot", "root", "mac", "agent", "x25519", "host"];
    let names = [slot_secret, root, artifact_key, agent, agreement, host];

    let mut holder = Holder::start(&home);
    let found = |pid: u32| -> Vec<&str> {
        let hits = count(pid, &needles.map(Vec::as_slice));
        names.into_iter().zip(hits).filter(|(_, hits)| *hits > 0).map(|(name, _)| name).collect()
    };
    holder.expect("unlocked");
    assert_eq!(found(holder.child.id()), [root, artifact_key, agent, agreement, host]);
    holder.go_on();
    holder.expect("locked");
    assert_eq!(found(holder.child.id()), [host]);
    holder.go_on();
    holder.expect("unlocked again");
    assert_eq!(found(holder.child.id()), [root, artifact_key, agent, agreement, host]);
    holder.go_on();
    holder.expect("ended");
    assert_eq!(found(holder.child.id()), [""; 0]);
    holder.go_on();
    assert!(holder.child.wait().unwrap().success());
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

/// How often each needle is in the readable memory of a process.
fn count(pid: u32, needles: &[&[u8]]) -> Vec<usize> {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let longest = needles.iter().map(|needle| needle.len()).max().unwrap();
    let (mut hits, mut read) = (vec![0; needles.len()], 0_u64);
    let mut chunk = vec![0; CHUNK + longest];
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        // The kernel's own pages in a process are not its memory.
        if !rest.starts_with('r') || rest.ends_with("[vvar]") || rest.ends_with("[vsyscall]") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [mut start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        while start < end {
            let wanted = usize::try_from(end - start).unwrap().min(chunk.len());
            // What cannot be read, such as a guard page, holds nothing.
            let Ok(length @ 1..) = memory.read_at(&mut chunk[..wanted], start) else { break };
            for (hits, needle) in hits.iter_mut().zip(needles) {
                *hits += occurrences(&chunk[..length], needle);
            }
            read += length as u64;
            // The end of a chunk is read again with the next, as a needle may lie across.
            let overlap = if length < wanted || start + length as u64 >= end { 0 } else { longest - 1 };
            start += (length - overlap) as u64;
        }
    }
    assert!(read > 1 << 20, "only {read} bytes of {pid} could be read");
    hits
}

/// As a plain search would find, but fast in a build without optimisation: few places begin as the needle does.
fn occurrences(haystack: &[u8], needle: &[u8]) -> usize {
    let first = u64::from_ne_bytes(needle[..8].try_into().unwrap());
    let starts_so = |window: &&[u8]| u64::from_ne_bytes((*window).try_into().unwrap()) == first;
    let places = haystack.windows(8).enumerate().filter(|(_, window)| starts_so(window));
    places.filter(|(at, _)| haystack[*at..].starts_with(needle)).count()
}

/// The secret of the home's key file, and the root key that it opens.
fn root_key(home: &Home) -> (Vec<u8>, Vec<u8>) {
    let secret = std::fs::read(key_file(home)).unwrap();
    let slots = json(&home.slots_file());
    let slot = &slots["slots"][0];
    let key = derived(Some(&bytes(&slot["salt"])), &secret, "kos/slot-secret/v1", 32);
    let root = unwrapped(&key, slot, "kos/slot/v1", &slot["info"]);
    (secret, root)
}

/// The Ed25519 seed and the X25519 secret in a key's file.
fn private_halves(home: &Home, root: &[u8], key: &str) -> [Vec<u8>; 2] {
    let file = json(&home.keys().join(format!("{}.json", key.replace('/', "-"))));
    let private = unwrapped(root, &file, "kos/key/v1", &file["public"]);
    let (seed, agreement) = private.split_at(32);
    [seed.to_vec(), agreement.to_vec()]
}

fn unwrapped(key: &[u8], holder: &Value, purpose: &str, associated: &Value) -> Vec<u8> {
    let schedule = derived(Some(&bytes(&holder["salt"])), key, purpose, 76);
    assert_eq!(schedule[44..], bytes(&holder["wrapped"]["commitment"]), "the key is the right one");
    let aad = serde_json_canonicalizer::to_vec(associated).unwrap();
    let nonce = Nonce::try_from(&schedule[32..44]).unwrap();
    let ciphertext = bytes(&holder["wrapped"]["ciphertext"]);
    let cipher = Aes256Gcm::new_from_slice(&schedule[..32]).unwrap();
    cipher.decrypt(&nonce, Payload { msg: &ciphertext, aad: &aad }).unwrap()
}

fn derived(salt: Option<&[u8]>, secret: &[u8], purpose: &str, length: usize) -> Vec<u8> {
    let mut output = vec![0; length];
    Hkdf::<Sha512>::new(salt, secret).expand(purpose.as_bytes(), &mut output).unwrap();
    output
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}
