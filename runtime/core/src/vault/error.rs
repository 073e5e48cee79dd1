//! Why the vault refuses. Plain values without a secret in them, as they cross to whoever asked custody.

use serde::{Deserialize, Serialize};

use super::secret::{SECRET_MAX, SecretId};
use crate::clock::Timestamp;
use crate::id::Name;

/// Why the vault refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum VaultError {
    /// There is no such secret.
    #[error("there is no secret `{id}` in the environment `{environment}`")]
    NoSuchSecret {
        /// Which.
        id: SecretId,
        /// Where.
        environment: Name,
    },
    /// There is such a secret already.
    #[error("there is a secret `{id}` in the environment `{environment}` already")]
    Exists {
        /// Which.
        id: SecretId,
        /// Where.
        environment: Name,
    },
    /// No such version of the secret is kept.
    #[error("version {version} of `{id}` is not kept")]
    NoSuchVersion {
        /// Which secret.
        id: SecretId,
        /// Which version.
        version: u32,
    },
    /// The secret has ended.
    #[error("`{id}` expired at {at}")]
    Expired {
        /// Which.
        id: SecretId,
        /// When.
        at: Timestamp,
    },
    /// The value is not of its type.
    #[error("this is no {kind}: {cause}")]
    Value {
        /// The type.
        kind: super::SecretType,
        /// What is wrong with it.
        cause: String,
    },
    /// The secret is larger than the vault keeps.
    #[error("a secret has 1 to {SECRET_MAX} bytes")]
    Size,
    /// The secret cannot be used for this.
    #[error("`{id}` cannot {operation}: {cause}")]
    Unsuitable {
        /// Which.
        id: SecretId,
        /// What was asked.
        operation: String,
        /// Why not.
        cause: String,
    },
    /// The ciphertext was not made with this secret, or was altered.
    #[error("the ciphertext was not made with this secret, or was altered")]
    Ciphertext,
    /// The vault is not in the state that the log knows of.
    #[error(
        "the vault of `{environment}` is not the one that the log knows of: found {found}, expected {expected}; an \
         older file was put in its place, or it was altered"
    )]
    RolledBack {
        /// Which.
        environment: Name,
        /// The state that was found.
        found: String,
        /// The state that the log knows of.
        expected: String,
    },
    /// A file of the vault is not as it was written.
    #[error("{file} was altered or belongs elsewhere")]
    Altered {
        /// Which file.
        file: String,
    },
    /// A file of the vault is not in its strict form.
    #[error("{file} is malformed: {cause}")]
    Malformed {
        /// Which file, or the document that was given.
        file: String,
        /// What is wrong, and where.
        cause: String,
    },
    /// The exported vault is not opened by this.
    #[error("the passphrase or key does not open this document")]
    WrongOpening,
    /// A change is under way, in this process or in another one.
    #[error("the vault is being changed; ask again")]
    Busy,
    /// No change is prepared, or another one is.
    #[error("no change of the vault is prepared")]
    NotPrepared,
    /// The vault holds as much as it can.
    #[error("the vault of `{environment}` is full")]
    Full {
        /// Which.
        environment: Name,
    },
}
