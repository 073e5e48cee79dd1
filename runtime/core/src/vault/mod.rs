//! The vault: secrets that agents can use and not read.
//!
//! Source: the specification's `SecureVault`; RFC 5869, SP 800-38D. In scope: the format, typed secrets, environments,
//! and what can be done with a secret. Out of scope: who may ask ([`crate::permission`]), where plaintext lives
//! ([`crate::custody`], which alone opens a vault), and the log ([`crate::audited_vault`]). Keeps I6: using a secret
//! and revealing it are different requests.

mod change;
mod document;
mod error;
mod open_secrets;
mod operation;
mod portable;
mod request;
mod sealing;
mod secret;
mod state;
mod typed;

pub use change::VERSIONS_MAX;
pub(crate) use change::{Accesses, Circumstances};
pub(crate) use document::DOCUMENT_MAX;
pub use error::VaultError;
pub(crate) use open_secrets::OpenSecrets;
pub use operation::DERIVED_MAX;
pub(crate) use operation::carry_out;
pub use request::{
    Change, Cipher, MacAlgorithm, Noted, Opening, Operation, Recipient, VaultAnswer, VaultRequest,
};
pub use secret::{Metadata, SECRET_MAX, SecretId, SecretIdError, SecretType, Version};
pub(crate) use state::Vault;

/// The environment of runs and of secrets where none is named.
pub const DEFAULT_ENVIRONMENT: &str = "default";

/// A vault's document, read and written again.
pub(crate) fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    document::Document::rewritten(bytes)
}

#[cfg(test)]
mod tests;
