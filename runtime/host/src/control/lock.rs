//! Locking and unlocking a running host, and its entries.
//!
//! In scope: the order of log and custody. Out of scope: what a locked custodian still does (`kos_core::custody`), and
//! what a locked host answers to its agents (the gate).
//!
//! Keeps I5: keys come back only after the entry that says so is durable. They go at once, whatever becomes of the log.

use std::sync::{Arc, Weak};

use kos_core::custody::{Answer, CustodyError, LockCause, Request, Unlock};
use kos_core::log::{Event, EventType, LogError, PartyType};

use crate::host::Inner;
use crate::record;

/// Somebody asked for a lock over the control socket, in the words of the log.
pub(super) const BY_REQUEST: &str = "request";
/// The process was sent a signal.
const BY_SIGNAL: &str = "signal";

/// Why a host could not be locked or unlocked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Custody refused.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// It is locked, and no entry says so.
    #[error("it is locked, and the log could not be written: {0}")]
    Unlogged(LogError),
    /// It is not unlocked, as no entry says so.
    #[error("the log cannot be written, so nothing was unlocked: {0}")]
    Log(LogError),
}

/// What locks a host from another thread. It does not keep the host from ending.
#[derive(Clone)]
pub struct Locker(Weak<Inner>);

impl Locker {
    pub(crate) fn of(inner: &Arc<Inner>) -> Self {
        Self(Arc::downgrade(inner))
    }

    /// Locks the host at once, as a signal asked for it, and logs it. Nothing happens where the host has ended.
    ///
    /// # Errors
    /// [`LockError`]; with [`LockError::Unlogged`] it is locked all the same.
    pub fn lock(&self) -> Result<(), LockError> {
        self.0.upgrade().map_or(Ok(()), |inner| inner.lock(BY_SIGNAL).map(drop))
    }
}

impl std::fmt::Debug for Locker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Locker")
    }
}

/// Has the log tell of the locks that custody makes by itself. Those that somebody asked for are logged where they were
/// asked for, with who it was.
pub(crate) fn log_own_locks(inner: &Arc<Inner>) {
    let host = Arc::downgrade(inner);
    inner.custodian.lock_state().on_lock(Arc::new(move |cause| {
        if cause != LockCause::Asked
            && let Some(inner) = host.upgrade()
        {
            let locked = inner.locked(cause.as_str());
            record::submit(&inner.log, locked, "the keys are locked, which could not be logged");
        }
    }));
}

impl Inner {
    /// Makes custody forget its keys, then says so in the log. Yields how many runs there are.
    pub(crate) fn lock(&self, cause: &str) -> Result<usize, LockError> {
        done(self.custodian.ask(Request::Lock))?;
        self.log.append(self.locked(cause)).map_err(LockError::Unlogged)?;
        Ok(self.runs.table().len())
    }

    /// Says in the log that custody is to have its keys again, then gives them back. An attempt that fails has a second
    /// entry. Yields how many runs there are.
    pub(crate) fn unlock(&self, with: Unlock) -> Result<usize, LockError> {
        let event = self.event("unlock");
        self.log.append(event.clone()).map_err(LockError::Log)?;
        if let Err(error) = done(self.custodian.ask(Request::Unlock { with })) {
            self.log.append(event.with("failed", error.to_string())).map_err(LockError::Log)?;
            return Err(error.into());
        }
        Ok(self.runs.table().len())
    }

    /// Whether custody has forgotten its keys.
    pub(crate) fn is_locked(&self) -> bool {
        self.custodian.lock_state().is_locked()
    }

    fn locked(&self, cause: &str) -> Event {
        self.event("lock").with("cause", cause)
    }

    fn event(&self, change: &str) -> Event {
        Event::new(EventType::SystemModification, PartyType::System, self.config.host.to_string())
            .on("host", self.id.as_str())
            .with("change", change)
            .with("runs", self.runs.table().len())
    }
}

fn done(answer: Result<Answer, CustodyError>) -> Result<(), CustodyError> {
    match answer? {
        Answer::Done => Ok(()),
        _ => Err(CustodyError::Answer),
    }
}
