//! Locking: forgetting every key but the host's own until somebody unlocks again.
//!
//! In scope: whether a custodian is locked, as everybody may see it; what is left in it then; when it locks by itself.
//! Out of scope: the thread that does so ([`super::thread`]). Keeps I4: the gate judges the state at each call.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::error::CustodyError;
use super::key_name::{KeyName, KeyRole};
use super::keyring::KeyPair;
use super::policy;
use super::request::{Answer, Request};
use super::vaults::{Vaults, Which};
use crate::clock::Uptime;
use crate::home::Home;
use crate::id::Did;

/// More than the clocks that run on and stand still in a machine's sleep ever differ by without one.
const SLEEP_MIN: Duration = Duration::from_secs(5);
/// How often a custodian that locks by itself looks whether the machine has slept: a wake-up that costs nothing, and
/// the longest that keys outlive a sleep.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why a custodian locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockCause {
    /// Somebody asked for it.
    Asked,
    /// Nobody used it for a while.
    Idle,
    /// The machine slept.
    Slept,
}

impl LockCause {
    /// The cause's short name, for the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Idle => "idle",
            Self::Slept => "slept",
        }
    }
}

impl fmt::Display for LockCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Hears of each lock.
pub type LockListener = Arc<dyn Fn(LockCause) + Send + Sync>;

/// Whether a custodian is locked. A copy follows the custodian, and reading it costs a load from memory; where the
/// custodian is another process, it mirrors what that process last said.
#[derive(Clone, Default)]
pub struct LockState(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_locked: AtomicBool,
    listener: Mutex<Option<LockListener>>,
}

impl LockState {
    /// Whether the keys are locked at this moment.
    #[must_use]
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.0.is_locked.load(Ordering::Acquire)
    }

    /// Calls `listener` after each lock from now on, in place of an earlier one. It has a thread of its own, so it may ask the
    /// custodian, which is locked by then; it must not own it, or the custodian never ends.
    pub fn on_lock(&self, listener: LockListener) {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    pub(crate) fn set(&self, is_locked: bool) {
        self.0.is_locked.store(is_locked, Ordering::Release);
    }

    /// Has the listener hear of a lock.
    pub(super) fn tell(&self, cause: LockCause) {
        let listener = self.0.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(listener) = listener else { return };
        let told = thread::Builder::new().name("custodian-lock".to_owned()).spawn(move || listener(cause));
        if let Err(error) = told {
            tracing::error!(%error, %cause, "the keys are locked, and nobody could be told");
        }
    }
}

impl fmt::Debug for LockState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_locked() { "locked" } else { "unlocked" })
    }
}

/// What a locked custodian still holds: the host's own keys, as the log must go on, and the changes of vaults that were
/// prepared, as the log may know of them.
#[derive(Default)]
pub(super) struct HostKeys {
    pairs: HashMap<KeyName, KeyPair>,
    vaults: Box<Vaults>,
}

impl HostKeys {
    /// Of these pairs, those of hosts; the others are erased.
    pub(super) fn of(pairs: impl Iterator<Item = (KeyName, KeyPair)>, vaults: Box<Vaults>) -> Self {
        Self { pairs: pairs.filter(|(key, _)| key.role == KeyRole::Host).collect(), vaults }
    }

    /// What is left of the vaults, for whoever has the keys again.
    pub(super) fn into_vaults(self) -> Box<Vaults> {
        self.vaults
    }

    /// The answer to a request that needs nothing else.
    pub(super) fn answer(&mut self, home: &Home, request: &Request) -> Result<Answer, CustodyError> {
        match request {
            Request::Vault { environment, noted, request, .. } => {
                let which = Which { home, environment, noted: *noted };
                self.vaults.answer_locked(which, request).map(|answer| Answer::Vault { answer })
            }
            Request::Public { key } => Ok(Answer::Public { public: self.pair(key)?.public.clone() }),
            Request::Sign { key, did, message } => {
                let pair = self.pair_of(key, did)?;
                policy::may_sign(key, message)?;
                Ok(Answer::Signature { signature: pair.sign(message) })
            }
            Request::SignMany { key, did, messages } => {
                let pair = self.pair_of(key, did)?;
                messages.iter().try_for_each(|message| policy::may_sign(key, message))?;
                let signatures = messages.iter().map(|message| pair.sign(message)).collect();
                Ok(Answer::Signatures { signatures })
            }
            Request::Create { .. }
            | Request::List
            | Request::Open { .. }
            | Request::Mac { .. }
            | Request::Export { .. }
            | Request::Import { .. }
            | Request::Rotate { .. }
            | Request::Remove { .. }
            | Request::Lock
            | Request::AutoLock { .. }
            | Request::Unlock { .. }
            | Request::Destroy => Err(CustodyError::Locked),
        }
    }

    fn pair(&self, key: &KeyName) -> Result<&KeyPair, CustodyError> {
        self.pairs.get(key).ok_or(CustodyError::Locked)
    }

    fn pair_of(&self, key: &KeyName, did: &Did) -> Result<&KeyPair, CustodyError> {
        let pair = self.pair(key)?;
        if pair.public.did == *did { Ok(pair) } else { Err(CustodyError::Replaced { key: key.clone() }) }
    }
}

/// Whether a request is what the host's log asks for by itself, and so no use of the keys by anybody.
pub(super) fn is_hosts_own(request: &Request) -> bool {
    match request {
        Request::Public { key } | Request::Sign { key, .. } | Request::SignMany { key, .. } => {
            key.role == KeyRole::Host
        }
        Request::Create { .. }
        | Request::List
        | Request::Open { .. }
        | Request::Mac { .. }
        | Request::Export { .. }
        | Request::Import { .. }
        | Request::Rotate { .. }
        | Request::Remove { .. }
        | Request::Vault { .. }
        | Request::Lock
        | Request::AutoLock { .. }
        | Request::Unlock { .. }
        | Request::Destroy => false,
    }
}

/// When a custodian locks by itself: after so long without a use, and when the machine has slept; never, where it is not on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    after: Option<Duration>,
    used: Uptime,
}

impl Watch {
    /// A watch that is not on.
    pub(super) fn off(now: Uptime) -> Self {
        Self { after: None, used: now }
    }

    /// Sets how long keys may lie unused; nothing switches it off.
    pub(super) fn set(&mut self, after: Option<Duration>) {
        self.after = after;
    }

    /// Notes a use of the keys.
    pub(super) fn note_use(&mut self, now: Uptime) {
        self.used = now;
    }

    /// Why it is time to lock, if it is.
    pub(super) fn due(&self, now: Uptime) -> Option<LockCause> {
        let after = self.after?;
        if now.asleep().saturating_sub(self.used.asleep()) > SLEEP_MIN {
            return Some(LockCause::Slept);
        }
        (self.unused(now) >= after).then_some(LockCause::Idle)
    }

    /// How long nothing has to be looked at; nothing where that is for ever.
    pub(super) fn rest(&self, now: Uptime) -> Option<Duration> {
        let left = self.after?.saturating_sub(self.unused(now));
        Some(left.min(LOOK_EVERY))
    }

    fn unused(&self, now: Uptime) -> Duration {
        now.total.saturating_sub(self.used.total)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
