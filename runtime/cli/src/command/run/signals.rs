//! Signals: the first interrupt stops the agents and lets their ends be logged, the second ends the process at once;
//! SIGUSR1 locks the keys, SIGUSR2 engages the kill switch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kos_host::control::Locker;
use kos_host::{KillSwitch, Refusal, Run, Stopper};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::failure::Failure;
use crate::output::Output;

/// What a shell adds to a signal's number.
const SIGNAL_STATUS: i32 = 128;

/// The runs that an interrupt stops, and what a lock locks.
#[derive(Clone, Default)]
pub(super) struct Signals(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    runs: Vec<Stopper>,
    is_stopping: bool,
    locker: Option<Locker>,
    /// A lock was asked for before there was anything to lock.
    is_to_lock: bool,
    kill_switch: Option<KillSwitch>,
    /// It was engaged before there was a host.
    is_to_kill: bool,
}

impl Signals {
    /// Watches for signals from now on.
    pub(super) fn watch(output: Output) -> Result<Self, Failure> {
        let signals = Self::default();
        let mut caught = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])?;
        let watching = signals.clone();
        std::thread::Builder::new().name("kos-signals".into()).spawn(move || {
            for signal in caught.forever() {
                if signal == SIGUSR2 {
                    watching.kill();
                } else if signal == SIGUSR1 {
                    watching.lock(output);
                } else if watching.interrupt() {
                    output.remark("stopping; again to end at once");
                } else {
                    std::process::exit(SIGNAL_STATUS.saturating_add(signal));
                }
            }
        })?;
        Ok(signals)
    }

    /// What a signal locks from now on; at once, where one has come before.
    pub(super) fn lock_with(&self, locker: Locker, output: Output) {
        let mut state = self.state();
        if std::mem::take(&mut state.is_to_lock) {
            lock(&locker, output);
        }
        state.locker = Some(locker);
    }

    /// What a signal engages from now on; at once, where one has come before.
    pub(super) fn kill_with(&self, kill_switch: KillSwitch) {
        let mut state = self.state();
        if std::mem::take(&mut state.is_to_kill) {
            kill_switch.engage();
        }
        state.kill_switch = Some(kill_switch);
    }

    fn kill(&self) {
        // Not under the lock: a launch may be under way.
        let kill_switch = {
            let mut state = self.state();
            state.is_to_kill = state.kill_switch.is_none();
            state.kill_switch.clone()
        };
        if let Some(kill_switch) = kill_switch {
            kill_switch.engage();
        }
    }

    fn lock(&self, output: Output) {
        let locker = {
            let mut state = self.state();
            state.is_to_lock = state.locker.is_none();
            state.locker.clone()
        };
        if let Some(locker) = locker {
            lock(&locker, output);
        }
    }

    /// Begins a run, unless an interrupt has come before it.
    pub(super) fn start(&self, start: impl FnOnce() -> Result<Run, Refusal>) -> Option<Result<Run, Refusal>> {
        let mut state = self.state();
        if state.is_stopping {
            return None;
        }
        let started = start();
        if let Ok(run) = &started {
            state.runs.push(run.stopper());
        }
        Some(started)
    }

    /// Stops every run.
    pub(super) fn stop_all(&self) {
        let mut state = self.state();
        state.is_stopping = true;
        state.runs.iter().for_each(Stopper::stop);
    }

    /// Stops every run; false where there is none to stop, or they are being stopped already.
    fn interrupt(&self) -> bool {
        let is_first = {
            let state = self.state();
            !state.is_stopping && !state.runs.is_empty()
        };
        self.stop_all();
        is_first
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(locker: &Locker, output: Output) {
    match locker.lock() {
        Ok(()) => output.remark("locked; kos vault unlock brings the keys back"),
        Err(error) => output.remark(format!("locking: {error}")),
    }
}
