//! How many messages are in somebody's hands, so that a host that ends can wait for them.
//!
//! In scope: counting, a bound, waiting. Out of scope: the messages.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The messages that are in hand.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// One of them; given up when dropped.
pub(crate) struct Held(Arc<InHand>);

impl InHand {
    /// Takes one more.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        *self.count() += 1;
        Held(Arc::clone(self))
    }

    /// Takes one more, of so many at most.
    pub(crate) fn hold_of(self: &Arc<Self>, most: usize) -> Option<Held> {
        let mut count = self.count();
        let is_free = *count < most;
        if is_free {
            *count += 1;
        }
        is_free.then(|| Held(Arc::clone(self)))
    }

    /// Waits until each was given up, and no longer than that.
    pub(crate) fn wait_until_none(&self, longest: Duration) {
        let count = self.count();
        drop(self.fewer.wait_timeout_while(count, longest, |count| *count > 0));
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.count() -= 1;
        self.0.fewer.notify_all();
    }
}
