//! How often counted rules have been used: `uses<=N` and `rate<=N/span`.
//!
//! In scope: counting within one process, exactly, by whatever number of threads. Out of scope: what outlives the process and
//! spans several ([`super::kept_uses`]). A rate is exact: in no window of its length are there more uses than it says, not
//! even across two.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::condition::Condition;
use super::effective::{Budget, Effective};
use super::evaluate::{Usage, Used};
use super::grant_id::GrantId;
use super::kept_uses::{Block, KeptUses};
use crate::capability::Capability;
use crate::clock::Timestamp;

/// The counters of a host process. Runs that share one share the budget of their rules, and a rule that goes and comes
/// back, or is narrowed or extended, finds its count as it was.
#[derive(Debug, Default)]
pub struct UseLedger {
    counters: Mutex<BTreeMap<(GrantId, Capability), Arc<Counter>>>,
    /// Where the counts outlive the process.
    directory: Option<PathBuf>,
}

impl UseLedger {
    /// A ledger in which nothing has been used, and which ends with the process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A ledger whose counts lie in this directory, for every process that uses it.
    #[must_use]
    pub fn kept_in(directory: PathBuf) -> Self {
        Self { directory: Some(directory), ..Self::default() }
    }

    /// What has been used up to `now` of the rules of these permissions.
    #[must_use]
    pub fn usage(&self, effective: &Effective, now: Timestamp) -> Usage {
        let mut usage = Usage::default();
        for (grant, capability, budget) in effective.counted() {
            usage.set(grant, capability, self.counter(budget.origin, capability).used(&budget, now));
        }
        usage
    }

    /// The count of a rule, by the first manifest of its line.
    pub(super) fn counter(&self, origin: GrantId, capability: Capability) -> Arc<Counter> {
        let kept = || self.directory.as_deref().map(|path| KeptUses::of(path, origin, capability));
        let mut counters = unpoisoned(&self.counters);
        let counter = counters.entry((origin, capability));
        Arc::clone(counter.or_insert_with(|| Arc::new(Counter { spent: Mutex::default(), kept: kept() })))
    }
}

/// The count of one rule.
#[derive(Debug)]
pub(super) struct Counter {
    spent: Mutex<Spent>,
    kept: Option<KeptUses>,
}

#[derive(Debug, Default)]
struct Spent {
    /// Where the counts end with the process: how many there were.
    uses: u64,
    /// Likewise: the instants of the uses within the window, the oldest first; at most as many as the rate allows.
    recent: VecDeque<Timestamp>,
    /// Where the counts are kept: taken from the file and not used.
    uses_in_hand: u64,
    rate_in_hand: Option<Block>,
}

impl Counter {
    /// Spends one use, if the budget has one.
    pub(super) fn spend(&self, budget: &Budget, now: Timestamp) -> Result<(), Condition> {
        let mut spent = unpoisoned(&self.spent);
        if let Some(kept) = &self.kept {
            return spent.take(kept, budget, now);
        }
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
        let mut spent = unpoisoned(&self.spent);
        let Some(kept) = &self.kept else {
            spent.forget(budget, now);
            return spent.used();
        };
        // What cannot be read counts as used up, as nothing can be taken of it either.
        let window = budget.rate.map(|(_, window)| window);
        let (uses, recent) = kept.taken(window, now).unwrap_or((u64::MAX, u64::MAX));
        let rate_in_hand =
            spent.rate_in_hand.filter(|block| now <= block.until).map_or(0, |block| block.uses);
        let recent = u32::try_from(recent.saturating_sub(rate_in_hand)).unwrap_or(u32::MAX);
        Used { uses: uses.saturating_sub(spent.uses_in_hand), recent }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let spent = self.spent.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &self.kept
            && spent.uses_in_hand > 0
        {
            kept.give_back(spent.uses_in_hand);
        }
    }
}

impl Spent {
    /// Uses one of what the process has in hand, and takes more where that is nothing.
    fn take(&mut self, kept: &KeptUses, budget: &Budget, now: Timestamp) -> Result<(), Condition> {
        if let Some(most) = budget.uses
            && self.uses_in_hand == 0
        {
            self.uses_in_hand = kept.take_uses(most).ok_or(Condition::Uses(most))?.uses;
        }
        if let Some((count, window)) = budget.rate {
            let in_hand = self.rate_in_hand.filter(|block| block.uses > 0 && now <= block.until);
            let block = in_hand.or_else(|| kept.take_rate((count, window), now));
            let mut block = block.ok_or(Condition::Rate { count, window })?;
            block.uses = block.uses.saturating_sub(1);
            self.rate_in_hand = Some(block);
        }
        if budget.uses.is_some() {
            self.uses_in_hand = self.uses_in_hand.saturating_sub(1);
        }
        Ok(())
    }

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
