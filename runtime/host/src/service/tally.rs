//! What became of the messages of one run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::outcome::Outcome;

/// The messages that a run has handled so far, for those who ask while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handled(Arc<AtomicU64>);

impl Handled {
    /// How many they are.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What became of the messages of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Messages {
    /// Those that the handler was done with.
    pub handled: u64,
    /// Those that it refused with an error, or at which it broke.
    pub failed: u64,
    /// How often it broke, by outcome.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub broken: BTreeMap<&'static str, u64>,
}

/// Counts while a run goes on.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) messages: Messages,
    handled: Handled,
}

impl Tally {
    pub(super) fn new(handled: Handled) -> Self {
        Self { messages: Messages::default(), handled }
    }

    /// The handler was done with a message.
    pub(super) fn handled(&mut self) {
        self.messages.handled = self.messages.handled.saturating_add(1);
        self.handled.add();
    }

    /// The handler refused a message.
    pub(super) fn refused(&mut self) {
        self.messages.failed = self.messages.failed.saturating_add(1);
    }

    /// The handler broke at a message. Whether it is the first time in this way.
    pub(super) fn broken(&mut self, outcome: &Outcome) -> bool {
        self.refused();
        let count = self.messages.broken.entry(kind(outcome)).or_default();
        *count = count.saturating_add(1);
        *count == 1
    }
}

/// How a handler broke, in a word: an agent that exits with success has not handled its message either.
pub(crate) fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "exit",
        other => other.name(),
    }
}
