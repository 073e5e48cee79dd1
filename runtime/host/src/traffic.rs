//! What one run sent and received, in numbers.
//!
//! In scope: the counts for the exit entry, and the first rejection of each kind. Out of scope: judging messages (`router`).

use std::sync::atomic::{AtomicU64, Ordering};

use kos_core::id::Did;
use kos_core::ledger::{Ledger, Noted};
use kos_core::message::{MessageId, Rejection};
use serde_json::{Value, json};

use crate::agent::Powers;
use crate::record;

/// The counts of one run.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    /// By the rejection's name, with the first sender where it is known.
    rejected: Ledger<&'static str, Option<Did>>,
}

impl Traffic {
    /// A message of the run lies in its recipient's mailbox.
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// A message lies in the run's mailbox.
    pub(crate) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were sent, and how many received.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }

    /// The rejections so far, for the exit entry.
    pub(crate) fn rejections(&self) -> Vec<Value> {
        let (kinds, _) = self.rejected.counts_so_far();
        let described = |kind: kos_core::ledger::Count<&str, Option<Did>>| json!({"reason": kind.kind, "sender": kind.first, "count": kind.count});
        kinds.into_iter().map(described).collect()
    }
}

impl Powers {
    /// A message to the run was rejected; which it is, and of whom, where that is known. The first of each kind is an entry; the
    /// exit entry counts the rest (I7).
    pub(crate) fn reject(&self, named: Option<(MessageId, &Did)>, rejection: &Rejection) {
        let sender = || named.map(|(_, sender)| *sender);
        if self.traffic.rejected.note(rejection.name(), sender) == Noted::First {
            let rejected = self.subject.rejected(named, rejection);
            record::submit(&self.log, rejected, "a rejected message could not be logged");
        }
    }
}
