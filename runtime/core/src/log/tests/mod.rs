//! The log as a whole, on real folders and on a disk that fails.

mod engagement;
mod faults;
mod forgery;
mod oracles;
mod speed;
mod together;
mod vaults;
mod writing;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::crypto::SecretKey;

pub(super) const ORIGIN: &str = "example.com/log";

pub(super) fn host(seed: u8) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(&[seed; 32]))
}

pub(super) fn vkey() -> Vkey {
    Vkey::new(ORIGIN, host(1).did()).unwrap()
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_000)))
}

/// A log in `directory` without a background thread, so that tests own time.
pub(super) fn open(directory: &Path) -> Result<Log, LogError> {
    Log::on_disk(Arc::new(SystemDisk), false, directory, ORIGIN, host(1), clock())
}

pub(super) fn note(number: u64) -> Event {
    Event::new(EventType::Alert, PartyType::System, "host").with("number", number)
}

/// Appends `count` events in batches, as concurrent callers would.
pub(super) fn fill(log: &Log, count: u64) {
    let mut writer = log.shared.writer();
    let first = writer.state.size();
    let numbers: Vec<u64> = (first..first + count).collect();
    for numbers in numbers.chunks(200) {
        let outcomes = writer.commit(numbers.iter().map(|number| note(*number)).collect(), Vec::new).unwrap();
        for (number, outcome) in numbers.iter().zip(outcomes) {
            assert_eq!(outcome.unwrap().index, *number);
        }
    }
}
