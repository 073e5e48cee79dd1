//! What the host's log hears of refusals: each kind once, and then its count (I7).
//!
//! In scope: what makes refusals one kind. Out of scope: the counting ([`crate::ledger`]), writing the log.

use serde::Serialize;

use super::evaluate::Reason;
use super::gate::Denied;
use crate::capability::Capability;
use crate::ledger::{Count, Ledger, Noted};

/// The refusals of one run, counted by capability and reason.
#[derive(Debug, Default)]
pub struct DenialLedger(Ledger<(Capability, Reason), String>);

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

    /// Counts a refusal. Reasons come from signed documents, so an agent cannot make more kinds than the ledger holds.
    pub fn note(&self, denied: &Denied) -> Noted {
        self.0.note((denied.capability, denied.reason.clone()), || denied.scope.clone())
    }

    /// The counts so far, and how many refusals had no room.
    #[must_use]
    pub fn counts_so_far(&self) -> (Vec<DenialCount>, u64) {
        let (kinds, others) = self.0.counts_so_far();
        let kinds = kinds
            .into_iter()
            .map(|Count { kind: (capability, reason), first: scope, count }| DenialCount {
                capability,
                scope,
                reason,
                count,
            })
            .collect();
        (kinds, others)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::ledger::KINDS_MAX;
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
