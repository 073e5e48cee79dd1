//! Who broke a service: senders are charged with what their messages do.
//!
//! In scope: how long a sender is refused, from how often its messages broke the service of late. Out of scope: refusing it
//! (`mailbox`), and breaks at the start, which nobody's message caused (`backoff`).
//!
//! Keeps I7: who breaks a service waits for it, and nobody else.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kos_core::id::Did;

use super::backoff::Backoff;
use crate::run::ExitReport;

/// The senders whose messages broke one service.
#[derive(Debug)]
pub(super) struct Charges {
    backoff: Backoff,
    senders: HashMap<Did, Charge>,
}

#[derive(Debug)]
struct Charge {
    in_a_row: u32,
    last: Instant,
}

impl Charges {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, senders: HashMap::new() }
    }

    /// Whether a service that ended so at a message goes on.
    pub(super) fn apply_to(&self, report: &ExitReport) -> bool {
        report.unlogged.is_none() && self.backoff.launches > 0
    }

    /// How long nothing more of the sender is taken whose message broke the service now. None where that is forgiven.
    pub(super) fn charge(&mut self, sender: Did, now: Instant) -> Option<Duration> {
        let healthy = self.backoff.healthy;
        self.senders.retain(|_, charge| now.saturating_duration_since(charge.last) < healthy);
        let charge = self.senders.entry(sender).or_insert(Charge { in_a_row: 0, last: now });
        charge.last = now;
        charge.in_a_row = charge.in_a_row.saturating_add(1);
        let refused = charge.in_a_row.checked_sub(self.backoff.forgiven)?.checked_sub(1)?;
        Some(self.backoff.pause(refused))
    }
}

#[cfg(test)]
mod tests {
    use kos_core::crypto::{SecretKey, Signer as _};

    use super::*;

    fn sender(seed: u8) -> Did {
        SecretKey::from_seed(&[seed; 32]).did()
    }

    #[test]
    fn a_sender_is_refused_longer_each_time_and_others_are_not() {
        let (mut charges, now) = (Charges::new(Backoff::STANDARD), Instant::now());
        let pauses: Vec<_> = (0..6).map(|_| charges.charge(sender(1), now)).collect();
        let expected = [None, None, None, Some(100), Some(200), Some(400)];
        assert_eq!(pauses, expected.map(|pause| pause.map(Duration::from_millis)));
        assert_eq!(charges.charge(sender(2), now), None);
    }

    #[test]
    fn a_minute_without_a_break_is_forgiven_and_forgotten() {
        let (mut charges, now) = (Charges::new(Backoff { forgiven: 0, ..Backoff::STANDARD }), Instant::now());
        assert!(charges.charge(sender(1), now).is_some());
        let later = now + Backoff::STANDARD.healthy;
        assert_eq!(charges.charge(sender(1), later), Some(Backoff::STANDARD.first));
        assert_eq!(charges.senders.len(), 1);
    }
}
