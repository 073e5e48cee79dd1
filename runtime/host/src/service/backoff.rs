//! Whether a service that has ended is launched again, and when.
//!
//! In scope: the decision, from how the run ended and how long it lasted. Out of scope: carrying it out (`supervisor`).

use std::time::Duration;

use crate::outcome::Outcome;
use crate::run::ExitReport;

/// The pause before the first new launch.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// A service that lasts so long is well: what it breaks of then is not what broke it before.
const HEALTHY: Duration = Duration::from_secs(60);

/// New launches in a row. One that breaks at each of them breaks at the next as well.
const LAUNCHES: u32 = 10;

/// Messages of one sender that break a service by mistake.
const FORGIVEN: u32 = 3;

/// How a service that broke is launched again: at once, where a message broke it; after a pause, where nobody's did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause before the first new launch; each further one is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// After a run that lasted so long, the count begins anew.
    pub healthy: Duration,
    /// How many new launches in a row there are. With none, nothing that broke is launched again.
    pub launches: u32,
    /// How many messages of one sender may break it in a row before more of that sender are refused.
    pub forgiven: u32,
}

impl Backoff {
    /// What holds where nobody says anything.
    pub const STANDARD: Self =
        Self { first: FIRST, longest: LONGEST, healthy: HEALTHY, launches: LAUNCHES, forgiven: FORGIVEN };
}

impl Backoff {
    /// The pause after so many.
    pub(super) fn pause(&self, before: u32) -> Duration {
        self.first.saturating_mul(2_u32.saturating_pow(before)).min(self.longest)
    }
}

/// The new launches of one service so far.
#[derive(Debug)]
pub(super) struct Attempts {
    backoff: Backoff,
    in_a_row: u32,
}

/// What becomes of a service whose run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is launched again after this pause.
    Again(Duration),
    /// It has ended.
    End,
}

impl Attempts {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, in_a_row: 0 }
    }

    /// What follows a run.
    pub(super) fn after(&mut self, report: &ExitReport) -> Next {
        if !has_broken(&report.outcome) || report.unlogged.is_some() {
            return Next::End;
        }
        if Duration::from_millis(report.usage.duration) >= self.backoff.healthy {
            self.in_a_row = 0;
        }
        if self.in_a_row >= self.backoff.launches {
            return Next::End;
        }
        let pause = self.backoff.pause(self.in_a_row);
        self.in_a_row = self.in_a_row.saturating_add(1);
        Next::Again(pause)
    }
}

/// Whether it ended otherwise than by its own will or that of somebody outside.
fn has_broken(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ok | Outcome::Killed => false,
        Outcome::Error { .. }
        | Outcome::Trap { .. }
        | Outcome::Fuel
        | Outcome::Deadline
        | Outcome::Memory
        | Outcome::Table
        | Outcome::Instances
        | Outcome::Handles
        | Outcome::Payload
        | Outcome::Stack
        | Outcome::Output
        | Outcome::Notes => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Usage;

    fn ended(outcome: Outcome, lasted: Duration) -> ExitReport {
        let duration = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        ExitReport { outcome, usage: Usage { duration, ..Usage::default() }, unlogged: None }
    }

    fn milliseconds(attempts: &mut Attempts, lasted: Duration) -> Option<u128> {
        match attempts.after(&ended(Outcome::Fuel, lasted)) {
            Next::Again(pause) => Some(pause.as_millis()),
            Next::End => None,
        }
    }

    #[test]
    fn the_pause_doubles_up_to_half_a_minute_and_after_ten_launches_there_is_none() {
        let mut attempts = Attempts::new(Backoff::STANDARD);
        let pauses: Vec<_> = (0..11).map(|_| milliseconds(&mut attempts, Duration::ZERO)).collect();
        let expected = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000].map(Some);
        assert_eq!(pauses, [&expected[..], &[None]].concat());
    }

    #[test]
    fn a_minute_of_health_begins_the_count_anew() {
        let mut attempts = Attempts::new(Backoff::STANDARD);
        for _ in 0..10 {
            assert!(milliseconds(&mut attempts, Duration::from_millis(59_999)).is_some());
        }
        assert_eq!(milliseconds(&mut attempts, Duration::from_secs(60)), Some(100));
        assert_eq!(milliseconds(&mut attempts, Duration::ZERO), Some(200));
    }

    #[test]
    fn what_was_stopped_or_ended_by_itself_or_could_not_be_logged_is_not_launched_again() {
        let mut attempts = Attempts::new(Backoff::STANDARD);
        for outcome in [Outcome::Killed, Outcome::Ok] {
            assert_eq!(attempts.after(&ended(outcome, Duration::ZERO)), Next::End);
        }
        let unlogged = ExitReport { unlogged: Some("full".into()), ..ended(Outcome::Fuel, Duration::ZERO) };
        assert_eq!(attempts.after(&unlogged), Next::End);
    }
}
