//! Counts in files: a process that is killed, a second one, and a clock set back refill nothing.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::permission::marker::CryptoSign;

const SIGN: Capability = Capability::CryptoSign;

/// A gate of a process of its own.
fn gate(directory: &Path, rule: &str, now: u64) -> (Arc<ManualClock>, Gate) {
    let clock = Arc::new(ManualClock::at(at(now)));
    let mut lasting = grant(&[(SIGN, on_condition(&["a"], &[rule]))]);
    lasting.expires = Expiry::Never;
    let ledger = Arc::new(UseLedger::kept_in(directory.to_owned()));
    let gate = Gate::new(effective(&[lasting]), Arc::clone(&clock) as _, Arc::new(|_| {})).sharing(ledger);
    (clock, gate)
}

fn calls(gate: &Gate, most: usize) -> usize {
    (0..most).filter(|_| gate.authorize::<CryptoSign>("a").is_ok()).count()
}

#[test]
fn a_process_that_ends_by_itself_gives_back_what_it_did_not_use() {
    let folder = tempfile::tempdir().unwrap();
    let mut used = 0;
    for round in [1, 300, 7, 2_000] {
        let (_, gate) = gate(folder.path(), "uses<=1000", 2_000);
        used += calls(&gate, round);
    }
    assert_eq!(used, 1_000);
}

#[test]
fn a_process_that_is_killed_at_any_call_refills_nothing_and_forfeits_a_block_at_most() {
    for killed_after in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let (_, killed) = gate(folder.path(), "uses<=1000", 2_000);
        assert_eq!(calls(&killed, killed_after), killed_after);
        // Nothing of its end is run.
        std::mem::forget(killed);
        let (_, next) = gate(folder.path(), "uses<=1000", 2_000);
        let used = killed_after + calls(&next, 2_000);
        assert!((1_000 - 15..=1_000).contains(&used), "{used} after {killed_after}");
    }
}

#[test]
fn two_processes_at_once_use_up_exactly_what_there_is() {
    for rule in ["uses<=640", "rate<=640/1h"] {
        let folder = tempfile::tempdir().unwrap();
        let used = std::thread::scope(|scope| {
            let hosts =
                [(), (), ()].map(|()| scope.spawn(|| calls(&gate(folder.path(), rule, 2_000).1, 1_000)));
            hosts.map(|host| host.join().unwrap()).iter().sum::<usize>()
        });
        assert_eq!(used, 640, "{rule}");
    }
}

#[test]
fn a_rate_is_kept_over_restarts_and_over_a_clock_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let used = |now: u64| calls(&gate(folder.path(), "rate<=3/1m", now).1, 9);
    assert_eq!(used(100_000), 3);
    for now in [100_000, 50_000, 1_500, 159_999] {
        assert_eq!(used(now), 0, "{now}");
    }
    assert_eq!(used(160_000), 3);
}

#[test]
fn no_window_holds_more_than_the_rate_though_blocks_are_used_late() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, gate) = gate(folder.path(), "rate<=200/16s", 2_000);
    let mut made = Vec::new();
    for now in (2_000..80_000).step_by(37) {
        clock.set(at(now));
        if gate.authorize::<CryptoSign>("a").is_ok() {
            made.push(now);
        }
    }
    for start in (2_000..80_000).step_by(100) {
        let within = made.iter().filter(|now| (start..start + 16_000).contains(*now)).count();
        assert!(within <= 200, "{within} from {start}");
    }
    assert!(made.len() > 800, "{}", made.len());
}

#[test]
fn a_damaged_file_allows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(calls(&gate(folder.path(), "uses<=5", 2_000).1, 1), 1);
    let is_count = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let file = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).find(is_count);
    let file = file.unwrap();
    let whole = std::fs::read(&file).unwrap();
    for damage in [&b""[..], b"{}", &whole[..whole.len() - 1], &[&whole[..], b" "].concat(), &[b'x'; 20_000]]
    {
        std::fs::write(&file, damage).unwrap();
        assert_eq!(calls(&gate(folder.path(), "uses<=5", 2_000).1, 9), 0);
    }
    std::fs::write(&file, whole).unwrap();
    assert_eq!(calls(&gate(folder.path(), "uses<=5", 2_000).1, 9), 4);
}
