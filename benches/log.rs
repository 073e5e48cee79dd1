//! Durable entries: one at a time, and by 64 threads that share each `fdatasync`, against the entry's own costs: a
//! signature, two hashes, and the `fdatasync`.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and has failed where it cannot go on"
)]

mod ratio;

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use kos_core::clock::SystemClock;
use kos_core::crypto::{SecretKey, Signer as _, pae};
use kos_core::log::{Event, EventType, Log, PartyType};
use ratio::Ratio;
use sha2::{Digest as _, Sha256};

const ROUNDS: usize = 31;
const GROUPS: [u32; 3] = [1, 64, 256];

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let key = Arc::new(SecretKey::generate().unwrap());
    let log =
        Log::open(&folder.path().join("log"), "kos.bench/log", Arc::clone(&key) as _, Arc::new(SystemClock))
            .unwrap();
    let file = tempfile::tempfile_in(folder.path()).unwrap();
    file.write_all_at(&vec![0; 64 << 20], 0).unwrap();
    file.sync_all().unwrap();
    for group in GROUPS {
        let mut end = 0;
        let ours = || {
            let (sender, receiver) = std::sync::mpsc::channel();
            for _ in 0..group {
                let sender = sender.clone();
                log.submit(event(), move |position| sender.send(position).unwrap());
            }
            for _ in 0..group {
                receiver.recv().unwrap().unwrap();
            }
        };
        let limit = || {
            let mut bytes = Vec::new();
            for _ in 0..group {
                let body = [b'e'; 300];
                let signature = key.sign(&pae("application/vnd.kos.entry.v1+json", &body)).unwrap();
                let leaf = Sha256::digest([&body[..], &signature].concat());
                bytes.extend_from_slice(&Sha256::digest([leaf, leaf].concat()));
                bytes.extend_from_slice(&body);
                bytes.extend_from_slice(&signature);
            }
            file.write_all_at(&bytes, end).unwrap();
            file.sync_data().unwrap();
            end += bytes.len() as u64;
        };
        Ratio::measure(ROUNDS, ours, limit).report(
            &format!("durable entries, {group} at a time, each"),
            1.1,
            group,
        );
    }
}

fn event() -> Event {
    Event::new(EventType::Alert, PartyType::System, "bench").with("text", "e".repeat(100))
}
