//! Custody from outside: with the log that its host key signs, among several processes, and through kills (I8).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kos_core::clock::SystemClock;
use kos_core::custody::{self, Answer, Custodian, KeyHandle, KeyName, Request, SlotSpec, Unlock, slot};
use kos_core::home::Home;
use kos_core::log::{Event, EventType, Log, PartyType};
use zeroize::Zeroizing;

const SECRET: [u8; 32] = [0x53; 32];
/// Tells a child process which part it plays, and in which home.
const PART: &str = "KOS_TEST_PART";
const HOME: &str = "KOS_TEST_HOME";
/// How often children are killed in one home, and in all unless `KOS_TEST_KILLS` asks for a long run.
const KILLS: u64 = 25;
/// A number that no other child of the same home has; those of processes come again.
const ROUND: &str = "KOS_TEST_ROUND";

fn secret(bytes: [u8; 32]) -> Unlock {
    Unlock::Secret(Zeroizing::new(bytes.to_vec()))
}

fn spec(bytes: [u8; 32]) -> SlotSpec {
    SlotSpec::Secret { secret: Zeroizing::new(bytes.to_vec()) }
}

fn key(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn open_home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    drop(custody::initialise(&home, &[spec(SECRET)]).unwrap());
    (folder, home)
}

#[test]
fn a_host_key_in_custody_signs_everything_that_a_log_needs() {
    let (_folder, home) = open_home();
    let custodian: Arc<dyn Custodian> = Arc::new(custody::unlock(&home, &secret(SECRET)).unwrap());
    custodian.create(&key("host/host")).unwrap();
    let host = Arc::new(KeyHandle::new(custodian, key("host/host")).unwrap());
    for _ in 0..2 {
        let log = Log::open(&home.log(), "kos.test/log", host.clone(), Arc::new(SystemClock)).unwrap();
        for _ in 0..3 {
            log.append(Event::new(EventType::SystemModification, PartyType::System, "test")).unwrap();
        }
        log.close().unwrap();
    }
}

/// The other half of the tests below: this same program, started as a process of its own. By itself it does nothing.
#[test]
fn child_process() {
    let Some(part) = std::env::var_os(PART) else { return };
    let home = Home::at(PathBuf::from(std::env::var_os(HOME).unwrap()));
    match part.to_str().unwrap() {
        "create-one" => {
            let custodian = custody::unlock(&home, &secret(SECRET)).unwrap();
            say("ready");
            wait_for_parent();
            let is_winner = custodian.create(&key("agent/alice")).is_ok();
            let did = custodian.create_or_load(&key("agent/alice")).unwrap().did;
            say(&format!("{did} {is_winner}"));
        }
        "change-for-ever" => change_for_ever(&home),
        part => panic!("{part}"),
    }
}

/// Makes, rotates and removes keys, adds and removes slots, and says what was acknowledged, until it is killed.
fn change_for_ever(home: &Home) {
    let custodian = custody::unlock(home, &secret(SECRET)).unwrap();
    let round = std::env::var(ROUND).unwrap();
    say("ready");
    for number in 0_u32.. {
        let name = format!("author/key-{round}-{number}");
        say(&format!("made {name} {}", custodian.create(&key(&name)).unwrap().did));
        if number % 3 == 1 {
            say(&format!("changing {name}"));
            match custodian.ask(Request::Rotate { key: key(&name) }).unwrap() {
                Answer::Rotated { public, .. } => say(&format!("made {name} {}", public.did)),
                other => panic!("{other:?}"),
            }
        }
        if number % 3 == 2 {
            say(&format!("changing {name}"));
            custodian.ask(Request::Remove { key: key(&name) }).unwrap();
            say(&format!("removed {name}"));
        }
        let bytes = [u8::try_from(number % 251).unwrap(); 32];
        let info = slot::add(home, &secret(SECRET), spec(bytes)).unwrap();
        say(&format!("slot {}", info.id));
        slot::remove(home, &secret(SECRET), &info.id).unwrap();
    }
}

#[test]
fn of_several_processes_that_make_one_key_at_once_one_wins_and_all_have_it() {
    for _ in 0..5 {
        let (_folder, home) = open_home();
        let mut children: Vec<Process> =
            (0..4).map(|round| Process::start("create-one", &home, round)).collect();
        assert!(children.iter_mut().all(|child| child.line() == Some("ready".to_owned())));
        for child in &mut children {
            child.go();
        }
        let lines: Vec<String> = children.iter_mut().map(|child| child.line().unwrap()).collect();
        let dids: BTreeSet<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(dids.len(), 1, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.ends_with("true")).count(), 1, "{lines:?}");
    }
}

#[test]
fn a_process_killed_at_any_moment_loses_nothing_that_it_acknowledged() {
    let kills: u64 = std::env::var("KOS_TEST_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let mut made = 0;
    for home in 0..kills.div_ceil(KILLS) {
        made += kills_in_one_home(home * KILLS);
    }
    assert!(made > kills / 2, "the children have done something: {made}");
}

/// Kills children of one home, the first at once and each later one after a little longer.
fn kills_in_one_home(first: u64) -> u64 {
    let (_folder, home) = open_home();
    let mut expected = Expected::default();
    for round in first..first + KILLS {
        let mut child = Process::start("change-for-ever", &home, round);
        assert_eq!(child.line(), Some("ready".to_owned()), "round {round}");
        std::thread::sleep(Duration::from_micros(500 + round * 1_733 % 40_000));
        child.kill();
        while let Some(line) = child.line() {
            expected.note(&line);
        }
        expected.check(&home, round);
    }
    expected.made
}

/// What the killed children have acknowledged.
#[derive(Default)]
struct Expected {
    keys: BTreeMap<String, String>,
    changing: Option<String>,
    made: u64,
}

impl Expected {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["made", name, did] => {
                self.keys.insert((*name).to_owned(), (*did).to_owned());
                self.changing = None;
                self.made += 1;
            }
            ["changing", name] => self.changing = Some((*name).to_owned()),
            ["removed", name] => {
                self.keys.remove(*name);
                self.changing = None;
            }
            ["slot", _] => {}
            other => panic!("{other:?}"),
        }
    }

    /// Every acknowledged key is there, unlocked by the first slot; a change under way has happened or has not.
    fn check(&mut self, home: &Home, round: u64) {
        let custodian = custody::unlock(home, &secret(SECRET)).unwrap();
        let there: BTreeMap<String, String> = custodian
            .list()
            .unwrap()
            .into_iter()
            .map(|public| (public.key.to_string(), public.did.to_string()))
            .collect();
        if let Some(name) = self.changing.take() {
            match there.get(&name) {
                Some(did) => self.keys.insert(name, did.clone()),
                None => self.keys.remove(&name),
            };
        }
        for (name, did) in &self.keys {
            assert_eq!(there.get(name), Some(did), "{name} after kill {round}");
        }
        assert!(there.len() <= self.keys.len() + 1, "at most the one that was being made when it was killed");
        self.keys = there;
        let slots = slot::list(home).unwrap();
        assert!((1..=2).contains(&slots.len()), "{slots:?}");
        for added in slots.iter().skip(1) {
            slot::remove(home, &secret(SECRET), &added.id).unwrap();
        }
    }
}

/// A child process that plays one part.
struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Process {
    fn start(part: &str, home: &Home, round: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process", "--nocapture"])
            .env(PART, part)
            .env(HOME, home.root())
            .env(ROUND, round.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next whole line that the child has said, without those of the test harness.
    fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            if !line.ends_with('\n') {
                return None;
            }
            if let Some((_, said)) = line.trim_end().split_once("child: ") {
                return Some(said.to_owned());
            }
        }
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("child: {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn wait_for_parent() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}
