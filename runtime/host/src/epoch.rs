//! The clock of running guests: one thread that advances the engine's epoch while anything runs.
//!
//! At each tick a running guest looks whether it must end, and lets others run. In scope: ticking, and sleeping when nobody
//! runs. Out of scope: what a guest does at a tick (`run`).

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

/// Length of a tick: how late a tight loop may notice that its time is over.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// The ticking thread; it ends with its last owner.
#[derive(Debug)]
pub(crate) struct Ticker {
    engine: Engine,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    is_started: bool,
    /// Whether the thread sleeps until somebody runs.
    is_asleep: bool,
    is_over: bool,
}

impl Ticker {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, state: Arc::default() }
    }

    /// What a run asks for ticks. The thread is started at the first call.
    pub(crate) fn ticks(&self) -> std::io::Result<Ticks> {
        let mut state = self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_started {
            self.start()?;
            state.is_started = true;
        }
        Ok(Ticks(Arc::clone(&self.state)))
    }

    /// How many guests may be executing.
    pub(crate) fn guests(&self) -> Guests {
        Guests(Arc::clone(&self.state))
    }

    fn start(&self) -> std::io::Result<()> {
        let (engine, shared) = (self.engine.weak(), Arc::clone(&self.state));
        std::thread::Builder::new().name("kos-epoch".into()).spawn(move || {
            let (state, changed) = &*shared;
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            while !state.is_over {
                state = if state.running == 0 {
                    state.is_asleep = true;
                    changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                } else {
                    changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0
                };
                state.is_asleep = false;
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })?;
        Ok(())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let (state, changed) = &*self.state;
        state.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        changed.notify_all();
    }
}

/// Counts the guests that may be executing, without keeping anything running.
#[derive(Clone, Debug)]
pub(crate) struct Guests(Arc<(Mutex<State>, Condvar)>);

impl Guests {
    /// How many there are now.
    pub(crate) fn count(&self) -> usize {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).running
    }
}

/// Asks for ticks while a guest runs. One that only waits needs none.
#[derive(Clone, Debug)]
pub(crate) struct Ticks(Arc<(Mutex<State>, Condvar)>);

impl Ticks {
    /// Ticks at least until the result is dropped.
    pub(crate) fn run(&self) -> Running {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = state.running.saturating_add(1);
        if state.is_asleep {
            changed.notify_all();
        }
        Running(Arc::clone(&self.0))
    }
}

/// A guest that needs ticks.
#[derive(Debug)]
pub(crate) struct Running(Arc<(Mutex<State>, Condvar)>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = state.running.saturating_sub(1);
    }
}
