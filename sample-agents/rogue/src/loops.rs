//! Never coming to an end.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use kos_sdk::crypto::{self, Algorithm};
use wasip2::clocks::monotonic_clock;

use crate::Attack;
use crate::verdict::Verdict;

/// Longer than any run may take.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("spin", "fuel", spin),
    Attack::new("spin-on-the-clock", "fuel|deadline", spin_on_the_clock),
    Attack::new("hash-storm", "fuel|deadline", hash_storm),
    Attack::new("sleep-for-a-day", "deadline", || {
        thread::sleep(DAY);
        Verdict::Succeeded("slept".to_owned())
    }),
    Attack::new("sleep-in-naps", "deadline", sleep_in_naps),
    Attack::new("wait-for-ever", "deadline", wait_for_ever),
];

fn spin() -> Verdict {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Little computing of its own, much of the host's.
fn spin_on_the_clock() -> Verdict {
    loop {
        black_box(monotonic_clock::now());
    }
}

/// The host computes: little fuel, much time.
fn hash_storm() -> Verdict {
    let data = vec![0; 64 * 1024];
    loop {
        if let Err(error) = crypto::hash(Algorithm::Blake3, &data) {
            return Verdict::Unexpected(error.to_string());
        }
    }
}

fn sleep_in_naps() -> Verdict {
    loop {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits for an instant that lies centuries ahead.
fn wait_for_ever() -> Verdict {
    monotonic_clock::subscribe_instant(u64::MAX).block();
    Verdict::Succeeded("the end of time came".to_owned())
}
