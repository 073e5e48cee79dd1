//! Messages against their limits: one between two agents of a host against one signature and one strict verification, a
//! sealed one against the sum of its primitives; memory of an idle resident agent against a raw instance; and how long a
//! quiet sender waits for its answer, with and without one that floods.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and has failed where it cannot go on"
)]

mod ratio;
mod raw;
mod world;

use std::time::{Duration, Instant};

use kos_core::clock::{Clock as _, SystemClock};
use kos_core::crypto::{self, AgreementSecret, SecretKey, Signer as _, pae};
use kos_core::custody::{self, Custodian, KeyHandle, KeyName, SlotSpec};
use kos_core::home::Home;
use kos_core::id::Did;
use kos_core::message::{Content, Draft, Inbox, MESSAGE_TYPE, SignedMessage};
use kos_host::{Loaded, RunOptions, control};
use ratio::Ratio;
use raw::Raw;
use world::{World, quiet};

const ROUNDS: usize = 31;
/// Messages of one measurement.
const MESSAGES: u32 = 200;
/// Resident agents of one measurement; the host has room for them beside two others.
const AGENTS: u32 = 64;
/// Answers that a quiet sender waits for.
const ANSWERS: usize = 500;
/// More than the flooding agent sends in that time.
const FLOOD: usize = 100_000;
const PATIENCE: Duration = Duration::from_secs(30);
const PAYLOAD: [u8; 64] = [b'x'; 64];

fn main() {
    let (ping, pong) =
        (std::fs::read(raw::agent("ping")).unwrap(), std::fs::read(raw::agent("pong")).unwrap());
    let world = World::new();
    let sends = "\"messaging.send\" = { scope = [\"name:pong/*\"] }\n";
    let ping = world.loaded("ping", &ping, sends);
    let loaded = world.loaded("pong", &pong, "\"messaging.receive\" = { scope = [\"*\"] }\n");
    memory(&world, &loaded, &pong);
    let service = world.host.start(&loaded, quiet()).unwrap();
    between_agents(&world, &ping);
    neighbours(&world, &ping, loaded.did().parse().unwrap());
    service.stopper().stop();
    service.wait();
    sealed();
}

/// Resident memory for each agent that waits.
fn memory(world: &World, loaded: &Loaded, component: &[u8]) {
    let before = resident();
    let agents: Vec<_> = (0..AGENTS).map(|_| world.host.start(loaded, quiet()).unwrap()).collect();
    std::thread::sleep(Duration::from_secs(1));
    let ours = resident().saturating_sub(before) / u64::from(AGENTS);
    for run in agents {
        run.stopper().stop();
        run.wait();
    }
    let raw = Raw::new(component);
    let before = resident();
    let instances: Vec<_> = (0..AGENTS).map(|_| raw.instantiated()).collect();
    let limit = resident().saturating_sub(before) / u64::from(AGENTS);
    drop(instances);
    println!("idle resident agent: {} KiB against {} KiB of a raw instance", ours >> 10, limit >> 10);
}

/// Bytes of memory that this process has resident.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn between_agents(world: &World, ping: &Loaded) {
    let send = format!("send pong echo {}", String::from_utf8_lossy(&PAYLOAD));
    let options = || RunOptions { arguments: vec![send.clone(); MESSAGES as usize], ..quiet() };
    let ours = || world.host.start(ping, options()).unwrap().wait();
    let (key, signed) = (SecretKey::generate().unwrap(), pae(MESSAGE_TYPE, &[b'm'; 400]));
    let bare = || {
        for _ in 0..MESSAGES {
            let signature = key.sign(&signed).unwrap();
            assert!(key.did().verify(&signed, &signature));
        }
    };
    Ratio::measure(ROUNDS, ours, bare).report("message between two agents, whole run", 1.5, MESSAGES);
}

fn neighbours(world: &World, ping: &Loaded, pong: Did) {
    let alone = latencies(world, pong);
    let arguments = vec!["send pong echo flood".to_owned(); FLOOD];
    let flood = world.host.start(ping, RunOptions { arguments, ..quiet() }).unwrap();
    let beside = latencies(world, pong);
    flood.stopper().stop();
    flood.wait();
    println!("answer to a quiet sender, p99: {alone:.2?} alone, {beside:.2?} beside a flood (goal: 2 ×)");
}

/// The 99th percentile of the time until an answer comes, from outside the process's agents.
fn latencies(world: &World, pong: Did) -> Duration {
    let key = SecretKey::generate().unwrap();
    let mut times: Vec<Duration> = (0..ANSWERS)
        .map(|_| {
            let content = Content::request("echo".parse().unwrap(), PAYLOAD.to_vec(), None).unwrap();
            let draft = Draft::new(&key, pong, content, SystemClock.now(), &crypto::random().unwrap());
            let message = SignedMessage::verify(draft.signed().unwrap().into_bytes()).unwrap();
            let start = Instant::now();
            control::deliver(world.home(), &message, PATIENCE).unwrap().unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ANSWERS * 99 / 100]
}

/// A sealed message from its draft to its content, the recipient's key in custody.
fn sealed() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    let slot = SlotSpec::KeyFile { path: folder.path().join("key") };
    let custodian: std::sync::Arc<dyn Custodian> =
        std::sync::Arc::new(custody::initialise(&home, &[slot]).unwrap());
    let name: KeyName = "agent/bench".parse().unwrap();
    custodian.create(&name).unwrap();
    let recipient = KeyHandle::new(custodian, name).unwrap();
    let mut inbox = Inbox::open(&folder.path().join("inbox.json"), recipient.did()).unwrap();
    let sender = SecretKey::generate().unwrap();
    let ours = || {
        let (now, content) =
            (SystemClock.now(), Content::message("t".parse().unwrap(), PAYLOAD.to_vec()).unwrap());
        let draft = Draft::new(&sender, recipient.did(), content, now, &crypto::random().unwrap());
        let message = draft.sealed(&recipient.public().agreement_key).unwrap();
        let message = SignedMessage::verify(message.into_bytes()).unwrap();
        let judged = message.judged(&recipient.did(), now, |_| Ok(())).unwrap();
        inbox.accept(judged).unwrap().open(&recipient).unwrap()
    };
    let secret = AgreementSecret::from_bytes(&[7; 32]);
    let (public, signed) = (secret.agreement_key(), pae(MESSAGE_TYPE, &[b'm'; 400]));
    let bare = || {
        let sealed = crypto::seal(&public, &PAYLOAD, &PAYLOAD, &PAYLOAD).unwrap();
        let signature = sender.sign(&signed).unwrap();
        assert!(sender.did().verify(&signed, &signature));
        crypto::open(&secret, &PAYLOAD, &PAYLOAD, &sealed).unwrap()
    };
    Ratio::measure(ROUNDS * 10, ours, bare).report("sealed message against its primitives", 1.3, 1);
}
