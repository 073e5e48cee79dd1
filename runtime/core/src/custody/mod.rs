//! Custody: where private keys live, behind one narrow seam.
//!
//! Source: RFC 9106 and RFC 8018 (passphrases), RFC 5869 (derivation), SP 800-38D (wrapping), RFC 9180 (opening).
//! In scope: the root key and its slots, the keyring, the [`Custodian`] that answers requests, and the public records
//! of agents. Out of scope: who is trusted and what is granted. Keeps I6: a private key is used here and is never
//! given out, but for an operator's or author's own, on request and under a passphrase.

pub mod agents;
mod destroy;
mod error;
mod handle;
mod kdf;
mod key_name;
mod keyring;
mod lock;
pub(crate) mod locked;
mod policy;
pub(crate) mod portable;
mod request;
mod root;
mod rotation;
mod secret_file;
pub mod slot;
#[cfg(test)]
pub(crate) mod testing;
mod thread;
mod vaults;
pub(crate) mod wrap;
mod write;

use std::sync::Arc;

pub use destroy::{AgentStorage, Destroyed, destroy};
pub use error::CustodyError;
pub use handle::KeyHandle;
pub use kdf::{Kdf, KdfError};
pub use key_name::{KeyName, KeyNameError, KeyRole, agent_key_name};
pub use lock::{LockCause, LockListener, LockState};
pub use request::{
    AGREEMENT_KEY_TYPE, Answer, Answered, Custodian, MacPurpose, PublicKeys, Request, Secret, Signature,
    is_attested,
};
pub use rotation::{ROTATION_TYPE, Rotation};
pub use slot::{SlotSpec, Unlock};
pub use thread::ThreadCustodian;

use crate::clock::{Clock, SystemClock};
use crate::home::Home;

/// Gives a home its root key, wrapped by each of `specs`, and starts its custodian.
///
/// # Errors
/// [`CustodyError::AlreadyInitialised`] for a home that has slots; nothing is ever overwritten.
pub fn initialise(home: &Home, specs: &[SlotSpec]) -> Result<ThreadCustodian, CustodyError> {
    let (made_for, specs) = (home.clone(), specs.to_vec());
    ThreadCustodian::start(home, system_clock(), move || slot::initialise(&made_for, &specs))
}

/// Starts the custodian of a home, which first unlocks the root key.
///
/// # Errors
/// [`CustodyError::WrongSecret`] for a secret of no slot, and what is wrong with the slots.
pub fn unlock(home: &Home, unlock: &Unlock) -> Result<ThreadCustodian, CustodyError> {
    let (unlocked, with) = (home.clone(), unlock.clone());
    ThreadCustodian::start(home, system_clock(), move || slot::unlock(&unlocked, &with))
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
