//! Where a caller waits for what becomes of its event, and may be told to write meanwhile.
//!
//! In scope: one caller's wait. Out of scope: whose turn it is to write ([`super::queue`]).

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Where one caller waits.
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

enum State<T> {
    Waiting,
    /// The caller is to write the next batch.
    Write,
    Given(T),
    /// Nobody is left who could give anything.
    Abandoned,
}

/// What a wait comes to.
pub(super) enum Told<T> {
    Write,
    Given(T),
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
        let slot = Arc::new(Self { state: Mutex::new(State::Waiting), changed: Condvar::new() });
        (Arc::clone(&slot), Reply(slot))
    }

    pub(super) fn wait(&self) -> Told<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *state, State::Waiting) {
                State::Given(given) => return Told::Given(given),
                State::Write => return Told::Write,
                State::Abandoned => return Told::Abandoned,
                State::Waiting => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn set(&self, state: State<T>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.notify_one();
    }
}

impl<T: Send> Pen for Slot<T> {
    fn hand_over(&self) {
        self.set(State::Write);
    }
}

impl<T> Reply<T> {
    /// Ends the wait.
    pub(crate) fn give(self, given: T) {
        self.0.set(State::Given(given));
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::Given(_)) {
            *state = State::Abandoned;
            self.0.changed.notify_one();
        }
    }
}
