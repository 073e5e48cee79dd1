//! What is news once, and then a count (I7).
//!
//! In scope: aggregating what somebody else can cause at will, so that nobody floods the log with it. Out of scope: writing
//! the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Kinds that are told apart in one ledger. Most come from enums with fewer; those that name signed documents are as
/// many as there are documents.
pub const KINDS_MAX: usize = 256;

/// Events counted by their kind, each kind with a detail of its first.
#[derive(Debug)]
pub struct Ledger<K, D>(Mutex<Counts<K, D>>);

#[derive(Debug)]
struct Counts<K, D> {
    kinds: BTreeMap<K, (D, u64)>,
    others: u64,
}

/// Whether an event is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The first of its kind: an entry of its own.
    First,
    /// One more of a kind that the log has; so many so far.
    Repeated(u64),
    /// Of a kind for which there is no more room; it is counted among the others.
    Uncounted,
}

/// How often one kind happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count<K, D> {
    /// Which kind.
    pub kind: K,
    /// The detail of the first.
    pub first: D,
    /// How often.
    pub count: u64,
}

impl<K: Ord + Clone, D: Clone> Ledger<K, D> {
    /// Counts an event.
    pub fn note(&self, kind: K, detail: impl FnOnce() -> D) -> Noted {
        let mut counts = self.counts();
        if let Some((_, count)) = counts.kinds.get_mut(&kind) {
            *count = count.saturating_add(1);
            return Noted::Repeated(*count);
        }
        if counts.kinds.len() >= KINDS_MAX {
            counts.others = counts.others.saturating_add(1);
            return Noted::Uncounted;
        }
        counts.kinds.insert(kind, (detail(), 1));
        Noted::First
    }

    /// The counts so far, and how many events had no room.
    #[must_use]
    pub fn counts_so_far(&self) -> (Vec<Count<K, D>>, u64) {
        let counts = self.counts();
        let kinds = counts
            .kinds
            .iter()
            .map(|(kind, (first, count))| Count { kind: kind.clone(), first: first.clone(), count: *count })
            .collect();
        (kinds, counts.others)
    }

    fn counts(&self) -> MutexGuard<'_, Counts<K, D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, D> Default for Ledger<K, D> {
    fn default() -> Self {
        Self(Mutex::new(Counts { kinds: BTreeMap::new(), others: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_news_once_and_then_a_count() {
        let ledger = Ledger::default();
        assert_eq!(ledger.note("stale", || 1), Noted::First);
        assert_eq!(ledger.note("stale", || 2), Noted::Repeated(2));
        assert_eq!(ledger.note("denied", || 3), Noted::First);
        let (counts, others) = ledger.counts_so_far();
        assert_eq!(others, 0);
        assert_eq!(
            counts,
            [Count { kind: "denied", first: 3, count: 1 }, Count { kind: "stale", first: 1, count: 2 }]
        );
    }

    #[test]
    fn kinds_without_end_take_no_memory_without_end() {
        let ledger = Ledger::default();
        for number in 0..1_000 {
            ledger.note(number, || ());
        }
        let (counts, others) = ledger.counts_so_far();
        assert_eq!((counts.len(), others), (KINDS_MAX, 1_000 - KINDS_MAX as u64));
    }
}
