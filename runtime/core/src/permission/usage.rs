//! How often counted rules have been used: `uses<=N` and `rate<=N/span`.
//!
//! In scope: counting within one process, exactly, by whatever number of threads. Out of scope: counts that outlive the
//! process or span several; each host counts for itself. A rate is exact: in no window of its length are there more uses
//! than it says, not even across two.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::condition::Condition;
use super::effective::{Budget, Effective};
use super::evaluate::{Usage, Used};
use super::grant_id::GrantId;
use crate::capability::Capability;
use crate::clock::Timestamp;

/// The counters of a host process. Runs that share one share the budget of their rules, and a rule that goes and comes
/// back finds its count as it was.
#[derive(Debug, Default)]
pub struct UseLedger(Mutex<BTreeMap<(GrantId, Capability), Arc<Counter>>>);

impl UseLedger {
    /// A ledger in which nothing has been used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What has been used up to `now` of the rules of these permissions.
    #[must_use]
    pub fn usage(&self, effective: &Effective, now: Timestamp) -> Usage {
        let mut usage = Usage::default();
        for (grant, capability, budget) in effective.counted() {
            usage.set(grant, capability, self.counter(grant, capability).used(&budget, now));
        }
        usage
    }

    pub(super) fn counter(&self, grant: GrantId, capability: Capability) -> Arc<Counter> {
        Arc::clone(unpoisoned(&self.0).entry((grant, capability)).or_default())
    }
}

/// The count of one rule.
#[derive(Debug, Default)]
pub(super) struct Counter(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    uses: u64,
    /// The instants of the uses within the window, the oldest first; at most as many as the rate allows.
    recent: VecDeque<Timestamp>,
}

impl Counter {
    /// Spends one use, if the budget has one.
    pub(super) fn spend(&self, budget: &Budget, now: Timestamp) -> Result<(), Condition> {
        let mut spent = unpoisoned(&self.0);
        spent.forget(budget, now);
        budget.check(spent.used())?;
        spent.uses = spent.uses.saturating_add(1);
        if budget.rate.is_some() {
            spent.recent.push_back(now);
        }
        Ok(())
    }

    /// Whether the budget has a use, which is not spent.
    pub(super) fn check(&self, budget: &Budget, now: Timestamp) -> Result<(), Condition> {
        budget.check(self.used(budget, now))
    }

    fn used(&self, budget: &Budget, now: Timestamp) -> Used {
        let mut spent = unpoisoned(&self.0);
        spent.forget(budget, now);
        spent.used()
    }
}

impl Spent {
    fn forget(&mut self, budget: &Budget, now: Timestamp) {
        let Some((_, window)) = budget.rate else { return };
        while self.recent.front().is_some_and(|oldest| now.saturating_since(*oldest) >= window) {
            self.recent.pop_front();
        }
    }

    fn used(&self) -> Used {
        Used { uses: self.uses, recent: u32::try_from(self.recent.len()).unwrap_or(u32::MAX) }
    }
}

/// The data behind a lock. Nothing under these locks panics half-way through a change.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
