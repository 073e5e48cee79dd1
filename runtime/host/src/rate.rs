//! How often something may happen.
//!
//! In scope: counting. Out of scope: what is counted. Keeps I7.

use std::time::{Duration, Instant};

/// Counts over windows of a minute, each of which begins with what happens first after the last one.
#[derive(Debug)]
pub(crate) struct Rate {
    per_minute: u64,
    began: Option<Instant>,
    so_far: u64,
}

impl Rate {
    const WINDOW: Duration = Duration::from_secs(60);

    /// So often in a minute.
    pub(crate) fn per_minute(per_minute: u64) -> Self {
        Self { per_minute, began: None, so_far: 0 }
    }

    /// Whether it may happen now, and counts it if so.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.duration_since(began) >= Self::WINDOW) {
            self.began = Some(now);
            self.so_far = 0;
        }
        let is_within = self.so_far < self.per_minute;
        if is_within {
            self.so_far = self.so_far.saturating_add(1);
        }
        is_within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_rate_waits_for_the_next_minute() {
        let mut rate = Rate::per_minute(2);
        let start = Instant::now();
        assert!(rate.admit(start) && rate.admit(start));
        assert!(!rate.admit(start + Duration::from_secs(59)));
        assert!(rate.admit(start + Duration::from_secs(60)));
    }

    #[test]
    fn a_rate_of_nothing_admits_nothing() {
        let mut rate = Rate::per_minute(0);
        assert!(!rate.admit(Instant::now()));
    }
}
