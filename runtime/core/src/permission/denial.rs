//! What the host's log hears of refusals: each kind once, and then its count (I7).
//!
//! In scope: aggregating, so that no agent floods the log by being refused. Out of scope: writing the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::evaluate::Reason;
use super::gate::Denied;
use crate::capability::Capability;

/// Kinds of refusals that are told apart in one run; reasons come from signed documents, so an agent cannot make more
/// kinds than these hold, but documents can.
const KINDS_MAX: usize = 256;

/// The refusals of one run, counted by capability and reason.
#[derive(Debug, Default)]
pub struct DenialLedger(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    kinds: BTreeMap<(Capability, Reason), (String, u64)>,
    others: u64,
}

/// Whether a refusal is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The first of its kind: an entry of its own.
    First,
    /// One more of a kind that the log has; so many so far.
    Repeated(u64),
    /// Of a kind for which there is no more room; it is counted among the others.
    Uncounted,
}

/// How often one kind of refusal happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DenialCount {
    /// Which capability.
    pub capability: Capability,
    /// The scope of the first.
    pub scope: String,
    /// Why.
    pub reason: Reason,
    /// How often.
    pub count: u64,
}

impl DenialLedger {
    /// A ledger without refusals.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a refusal.
    pub fn note(&self, denied: &Denied) -> Noted {
        let mut counts = self.counts();
        let has_room = counts.kinds.len() < KINDS_MAX;
        match counts.kinds.get_mut(&(denied.capability, denied.reason.clone())) {
            Some((_, count)) => {
                *count = count.saturating_add(1);
                Noted::Repeated(*count)
            }
            None if has_room => {
                counts.kinds.insert((denied.capability, denied.reason.clone()), (denied.scope.clone(), 1));
                Noted::First
            }
            None => {
                counts.others = counts.others.saturating_add(1);
                Noted::Uncounted
            }
        }
    }

    /// The counts so far, and how many refusals had no room.
    #[must_use]
    pub fn counts_so_far(&self) -> (Vec<DenialCount>, u64) {
        let counts = self.counts();
        let kinds = counts
            .kinds
            .iter()
            .map(|((capability, reason), (scope, count))| DenialCount {
                capability: *capability,
                scope: scope.clone(),
                reason: reason.clone(),
                count: *count,
            })
            .collect();
        (kinds, counts.others)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::permission::GrantId;

    fn denied(scope: &str, reason: Reason) -> Denied {
        Denied { capability: Capability::CryptoSign, scope: scope.to_owned(), reason }
    }

    #[test]
    fn a_refusal_is_news_once_and_then_a_count() {
        let ledger = DenialLedger::new();
        assert_eq!(ledger.note(&denied("a", Reason::NotGranted)), Noted::First);
        assert_eq!(ledger.note(&denied("b", Reason::NotGranted)), Noted::Repeated(2));
        assert_eq!(ledger.note(&denied("b", Reason::ScopeNotCovered)), Noted::First);
        let (counts, others) = ledger.counts_so_far();
        assert_eq!((counts.len(), others), (2, 0));
        assert_eq!((counts[0].scope.as_str(), counts[0].count), ("a", 2));
    }

    #[test]
    fn kinds_without_end_take_no_memory_without_end() {
        let ledger = DenialLedger::new();
        for number in 0..1_000_u32 {
            let grant = GrantId::of(&number.to_be_bytes());
            ledger.note(&denied("a", Reason::DeniedByRule { grant, pattern: None }));
        }
        let (counts, others) = ledger.counts_so_far();
        assert_eq!((counts.len(), others), (KINDS_MAX, 1_000 - KINDS_MAX as u64));
        assert_eq!("x".parse::<GrantId>().unwrap_err().text, "x");
    }
}
