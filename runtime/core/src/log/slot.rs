//! Where a caller waits for what becomes of its event, and may be told to write meanwhile.
//!
//! In scope: one caller's wait. Out of scope: whose turn it is to write ([`super::queue`]).

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Where one caller waits.
pub(super) struct Slot<T> {
    /// Nothing while the caller waits.
    told: Mutex<Option<Told<T>>>,
    changed: Condvar,
}

/// What a wait comes to.
pub(super) enum Told<T> {
    /// The caller is to write the next batch.
    Write,
    Given(T),
    /// Nobody is left who could give anything.
    Abandoned,
}

/// What a caller waits for. Whoever drops it has the caller wait no longer, for nothing.
pub(crate) struct Reply<T>(Arc<Slot<T>>);

/// Tells a caller to write, whatever it waits for.
pub(super) trait Pen: Send + Sync {
    fn hand_over(&self);
}

impl<T> Slot<T> {
    pub(super) fn new() -> (Arc<Self>, Reply<T>) {
        let slot = Arc::new(Self { told: Mutex::new(None), changed: Condvar::new() });
        (Arc::clone(&slot), Reply(slot))
    }

    pub(super) fn wait(&self) -> Told<T> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match told.take() {
                Some(told) => return told,
                None => told = self.changed.wait(told).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn set(&self, told: Told<T>) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        self.changed.notify_one();
    }
}

impl<T: Send> Pen for Slot<T> {
    fn hand_over(&self) {
        self.set(Told::Write);
    }
}

impl<T> Reply<T> {
    /// Ends the wait.
    pub(crate) fn give(self, given: T) {
        self.0.set(Told::Given(given));
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*told, Some(Told::Given(_))) {
            *told = Some(Told::Abandoned);
            self.0.changed.notify_one();
        }
    }
}
