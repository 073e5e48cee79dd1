//! Why custody refuses.
//!
//! The errors are plain values, so that they cross to another process as the answers do, and none of them carries a
//! secret.

use serde::{Deserialize, Serialize};

use super::kdf::KdfError;
use super::key_name::KeyName;
use super::slot::SLOTS_MAX;
use crate::canonical::CanonicalError;
use crate::crypto::CryptoError;
use crate::durable::DurableError;
use crate::vault::VaultError;

/// Why a request, or unlocking, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CustodyError {
    /// The home has no slots: it was never made, or it was destroyed.
    #[error("this home has no slots: it was not initialised, or its keys were destroyed")]
    NotInitialised,
    /// The home has slots already.
    #[error("this home has slots already; they are not overwritten")]
    AlreadyInitialised,
    /// No slot of this kind is there.
    #[error("no slot of this home is unlocked by a {kind}")]
    NoSuchSlot {
        /// The kind of secret that was given.
        kind: String,
    },
    /// No slot has this identifier.
    #[error("no slot of this home is `{id}`")]
    UnknownSlot {
        /// What was asked for.
        id: String,
    },
    /// The secret opens none of the slots.
    #[error("the {kind} is wrong: it opens no slot of this home")]
    WrongSecret {
        /// The kind of secret that was given.
        kind: String,
    },
    /// The secret cannot protect anything.
    #[error("the {kind} cannot be used: {cause}")]
    UnusableSecret {
        /// The kind of secret that was given.
        kind: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The parameters are below the floor or above the cap; nothing was derived from them.
    #[error(transparent)]
    Kdf(#[from] KdfError),
    /// No more slots fit.
    #[error("a home has at most {SLOTS_MAX} slots, and at least one")]
    SlotCount,
    /// It is the only slot; without it all keys are lost.
    #[error("`{id}` is the last slot; removing it would destroy all keys, which is asked for explicitly")]
    LastSlot {
        /// Which slot.
        id: String,
    },
    /// A file of custody is not as it was written.
    #[error("{file} was altered or belongs elsewhere")]
    Altered {
        /// Which file.
        file: String,
    },
    /// A file of custody is not in its strict form.
    #[error("{file} is malformed: {cause}")]
    Malformed {
        /// Which file.
        file: String,
        /// What is wrong, and where.
        cause: String,
    },
    /// There is no such key.
    #[error("there is no key `{key}`")]
    NoSuchKey {
        /// Which key.
        key: KeyName,
    },
    /// The key was replaced since it was asked for.
    #[error("`{key}` is another key by now: it was rotated, or removed and made again")]
    Replaced {
        /// Which key.
        key: KeyName,
    },
    /// There is such a key already.
    #[error("there is a key `{key}` already")]
    KeyExists {
        /// Which key.
        key: KeyName,
    },
    /// The role of this key does not allow it.
    #[error("`{key}` cannot {operation}: {reason}")]
    Forbidden {
        /// Which key.
        key: KeyName,
        /// What was asked.
        operation: String,
        /// Why not.
        reason: String,
    },
    /// The sealed bytes are not for this key, or were altered.
    #[error("the sealed bytes are not for `{key}`, or were altered")]
    Sealed {
        /// Which key.
        key: KeyName,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {cause}")]
    NoRandomness {
        /// The system's answer.
        cause: String,
    },
    /// The file system refused.
    #[error("{cause}")]
    Storage {
        /// What was tried, where, and the system's answer.
        cause: String,
    },
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The keys are locked: all that is done until somebody unlocks is to sign the host's log.
    #[error("the keys are locked")]
    Locked,
    /// The custodian has ended, or has destroyed its root key.
    #[error("the custodian holds no keys any more")]
    Gone,
    /// The answer is of another kind than the request.
    #[error("the custodian answered something else than was asked")]
    Answer,
}

impl CustodyError {
    pub(super) fn altered(file: &std::path::Path) -> Self {
        Self::Altered { file: file.display().to_string() }
    }

    pub(super) fn malformed(file: &std::path::Path) -> impl FnOnce(CanonicalError) -> Self {
        let file = file.display().to_string();
        move |error| Self::Malformed { file, cause: error.to_string() }
    }

    pub(super) fn forbidden(key: &KeyName, operation: &str, reason: &str) -> Self {
        Self::Forbidden { key: key.clone(), operation: operation.to_owned(), reason: reason.to_owned() }
    }
}

impl From<DurableError> for CustodyError {
    fn from(error: DurableError) -> Self {
        Self::Storage { cause: error.to_string() }
    }
}

impl From<CryptoError> for CustodyError {
    fn from(error: CryptoError) -> Self {
        Self::NoRandomness { cause: error.to_string() }
    }
}
