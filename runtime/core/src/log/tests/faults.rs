//! Crashes, failing calls and power cuts at every step, on a disk in memory.
//!
//! After each: the log opens unaided, every acknowledged entry is where it was said to be, no index was given twice, a verifier
//! accepts the folder, and no two checkpoints of one size have different roots.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::durable::simulated::{Fault, IO_ERROR, NO_SPACE, SimulatedDisk};
use crate::log::checkpoint::Checkpoint;
use crate::log::tree::Hash;
use crate::log::verify::verify;

/// Where the log lies on the simulated disk.
fn directory() -> PathBuf {
    PathBuf::from("/log")
}

/// A small pseudo-random sequence (SplitMix64): the seed of a failing case is enough to see it again.
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// What was promised so far, by whichever process.
#[derive(Default, Clone)]
struct Promises {
    /// Acknowledged: index to the number in the event.
    entries: BTreeMap<u64, u64>,
    roots: BTreeMap<u64, Hash>,
    next: u64,
}

fn writer(disk: &SimulatedDisk) -> Result<Log, LogError> {
    Log::on_disk(Arc::new(disk.clone()), false, &directory(), ORIGIN, host(1), clock())
}

impl Promises {
    /// Appends a batch; remembers what was acknowledged.
    fn append(&mut self, log: &Log, count: u64) -> bool {
        let numbers: Vec<u64> = (self.next..self.next + count).collect();
        self.next += count;
        let outcomes =
            log.shared.writer().commit(numbers.iter().map(|number| note(*number)).collect(), Vec::new);
        let Ok(outcomes) = outcomes else { return false };
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            let before = self.entries.insert(outcome.unwrap().index, number);
            assert_eq!(before, None, "an index was given twice");
        }
        true
    }

    /// Looks at the checkpoint that stands on the disk now.
    fn look(&mut self, disk: &SimulatedDisk, context: &str) {
        use crate::durable::disk::Disk as _;
        let Ok(Some(bytes)) = disk.read(&directory().join("checkpoint"), 1 << 20) else { return };
        if bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        // Only a power cut leaves an unreadable one, and the next writer replaces it.
        let Ok(checkpoint) = Checkpoint::open(&bytes, &vkey()) else { return };
        let root = *self.roots.entry(checkpoint.size).or_insert(checkpoint.root);
        assert_eq!(root, checkpoint.root, "two checkpoints of size {} ({context})", checkpoint.size);
    }

    /// Everything that must hold of a disk once a writer has opened and closed the log.
    fn check(&mut self, disk: &SimulatedDisk, context: &str) {
        let log = writer(disk).unwrap_or_else(|error| panic!("{context}: does not open: {error}"));
        assert!(self.append(&log, 1), "{context}: does not append");
        log.close().unwrap_or_else(|error| panic!("{context}: does not close: {error}"));
        self.look(disk, context);
        let folder = tempfile::tempdir().unwrap();
        disk.export(&directory(), folder.path()).unwrap();
        let report =
            verify(folder.path(), &vkey(), None).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(report.checkpoint.size >= self.entries.len() as u64, "{context}: entries are missing");
        let reader = reader::LogReader::open(folder.path()).unwrap();
        let found: BTreeMap<u64, u64> = reader
            .entries(0..u64::MAX)
            .map(|item| item.unwrap())
            .map(|(index, bytes)| {
                (index, entry::Entry::parse_unverified(&bytes).unwrap().details["number"].as_u64().unwrap())
            })
            .collect();
        for (index, number) in &self.entries {
            assert_eq!(found.get(index), Some(number), "{context}: acknowledged entry {index}");
        }
    }
}

/// A scripted life of a log: two processes, publishing, rotation. Ends early when the disk fails.
fn script(disk: &SimulatedDisk, promises: &mut Promises, context: &str) -> Result<(), LogError> {
    let first = writer(disk)?;
    promises.append(&first, 3);
    first.publish()?;
    promises.look(disk, context);
    let second = writer(disk)?;
    promises.append(&second, 2);
    promises.append(&first, 1);
    promises.append(&second, 253);
    second.publish()?;
    promises.look(disk, context);
    second.shared.writer().rotate()?;
    promises.append(&first, 2);
    promises.append(&second, 1);
    first.publish()?;
    promises.look(disk, context);
    first.close()?;
    second.close()
}

/// Runs the script with one fault; says how many calls it makes without any.
fn calls_of_the_script() -> u64 {
    let disk = SimulatedDisk::default();
    let mut promises = Promises::default();
    disk.fail_at(u64::MAX, Fault::Killed);
    script(&disk, &mut promises, "no fault").unwrap();
    let calls = disk.calls();
    promises.check(&disk, "no fault");
    calls
}

/// Every call of the script meets `fault`, then the machine goes on, or loses its power. `every` thins the calls out.
fn each_call_meets(fault: Fault, every: u64, seed: u64) -> u64 {
    let calls = calls_of_the_script();
    calls_meet(fault, (seed % every..calls).step_by(in_memory(every)), seed)
}

fn calls_meet(fault: Fault, calls: impl Iterator<Item = u64>, seed: u64) -> u64 {
    let mut cases = 0;
    for call in calls {
        let disk = SimulatedDisk::default();
        let mut promises = Promises::default();
        disk.fail_at(call, fault);
        let context = format!("{fault:?} at call {call}");
        let _ = script(&disk, &mut promises, &context);
        assert!(!disk.is_armed(), "{context} was not reached");
        disk.revive();
        let cut = disk.snapshot();
        let mut luck = Luck(seed ^ call);
        let mut went_on = promises.clone();
        went_on.check(&disk, &context);
        disk.cut_power(&mut || luck.next() & 1 == 1);
        went_on.check(&disk, &format!("{context}, some more entries, then a power cut"));
        if luck.below(2) == 0 {
            // One more entry is acknowledged, and nothing is published before the power fails.
            let log = writer(&cut).unwrap();
            assert!(promises.append(&log, 1));
            std::mem::forget(log);
        }
        cut.cut_power(&mut || luck.next() & 1 == 1);
        promises.check(&cut, &format!("{context}, then a power cut"));
        cases += 3;
    }
    cases
}

#[test]
fn a_process_killed_before_any_call_loses_nothing() {
    each_call_meets(Fault::Killed, 19, 1);
}

#[test]
fn a_process_killed_while_it_begins_the_log_leaves_a_log_or_nothing() {
    for seed in 0..4 {
        calls_meet(Fault::Killed, 0..16, seed);
    }
}

#[test]
fn a_call_that_fails_forks_nothing() {
    each_call_meets(Fault::Refused(IO_ERROR), 23, 2);
    each_call_meets(Fault::Refused(NO_SPACE), 47, 3);
}

#[test]
fn a_call_that_fails_and_yet_had_its_effect_forks_nothing() {
    each_call_meets(Fault::Lied(IO_ERROR), 23, 4);
}

#[test]
fn a_synchronisation_that_fails_under_a_dying_process_is_not_built_upon() {
    each_call_meets(Fault::RefusedThenKilled(IO_ERROR), 23, 5);
}

/// Random lives: processes come and go, faults strike, the power fails again and again on one disk.
fn random_life(seed: u64, steps: u64) -> u64 {
    let mut luck = Luck(seed);
    let disk = SimulatedDisk::default();
    let mut promises = Promises::default();
    let mut cuts = 0;
    for step in 0..steps {
        let context = format!("seed {seed}, step {step}");
        let fault = match luck.below(5) {
            2 => Fault::RefusedThenKilled(IO_ERROR),
            0 => Fault::Refused(if luck.below(2) == 0 { IO_ERROR } else { NO_SPACE }),
            1 => Fault::Lied(IO_ERROR),
            _ => Fault::Killed,
        };
        disk.fail_at(luck.below(60), fault);
        let mut logs: Vec<Log> = (0..=luck.below(2)).filter_map(|_| writer(&disk).ok()).collect();
        for _ in 0..luck.below(8) {
            let count = logs.len() as u64;
            let Some(log) = logs.get(in_memory(luck.below(count))) else { break };
            match luck.below(6) {
                0 => drop(log.publish()),
                1 => drop(log.shared.writer().rotate()),
                2 => drop(promises.append(log, 1 + luck.below(120))),
                _ => drop(promises.append(log, 1 + luck.below(3))),
            }
            promises.look(&disk, &context);
        }
        if luck.below(2) == 0 {
            disk.revive();
        } else {
            // Dropping a log publishes: here the process is gone before it could.
            logs.drain(..).for_each(std::mem::forget);
            disk.cut_power(&mut || luck.next() & 1 == 1);
            cuts += 1;
        }
        drop(logs);
        disk.revive();
        promises.look(&disk, &context);
    }
    promises.check(&disk, &format!("seed {seed}, at the end"));
    cuts
}

#[test]
fn a_full_disk_stops_the_log_until_it_is_opened_again() {
    let disk = SimulatedDisk::default();
    let mut promises = Promises::default();
    let log = writer(&disk).unwrap();
    assert!(promises.append(&log, 2));
    // The calls of a batch: lock, two identities, the look behind the end, and the write.
    disk.fail_at(4, Fault::Refused(NO_SPACE));
    assert!(matches!(log.append(note(9)), Err(LogError::Io { action: "write", .. })));
    assert!(matches!(log.append(note(9)), Err(LogError::Poisoned { .. })));
    assert!(matches!(log.publish(), Err(LogError::Poisoned { .. })));
    log.reopen().unwrap();
    assert_eq!(log.append(note(9)).unwrap().index, 2);
    log.close().unwrap();
    promises.check(&disk, "a full disk");
}

#[test]
fn random_lives_with_faults_and_power_cuts_keep_every_promise() {
    let cuts: u64 = (0..12).map(|seed| random_life(seed, 12)).sum();
    assert!(cuts >= 40, "only {cuts} power cuts");
}

/// The long run: `KOS_LOG_LIVES=10000 cargo test -p kos-core --release log::tests::faults::torture -- --ignored --nocapture`.
#[test]
#[ignore = "takes as long as it is told to"]
fn torture() {
    let lives = std::env::var("KOS_LOG_LIVES").ok().and_then(|lives| lives.parse().ok()).unwrap_or(200);
    let mut injections = 0;
    for fault in [
        Fault::Killed,
        Fault::Refused(IO_ERROR),
        Fault::Refused(NO_SPACE),
        Fault::Lied(IO_ERROR),
        Fault::RefusedThenKilled(IO_ERROR),
    ] {
        injections += each_call_meets(fault, 1, lives);
    }
    let cuts: u64 = (1_000..1_000 + lives).map(|seed| random_life(seed, 25)).sum();
    println!("{injections} injections, {cuts} power cuts in {lives} random lives");
}
