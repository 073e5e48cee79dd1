//! The vault: secrets that agents can use and not read.
//!
//! Source: the specification's `SecureVault`; RFC 5869, SP 800-38D. In scope: the format, typed secrets, environments,
//! and what can be done with a secret. Out of scope: who may ask ([`crate::permission`]), where plaintext lives
//! ([`crate::custody`], which alone opens a vault), and the log ([`crate::audited_vault`]). Keeps I6: using a secret
//! and revealing it are different requests.

mod error;
mod request;
mod secret;

pub use error::VaultError;
pub use request::{
    Change, Cipher, MacAlgorithm, Noted, Operation, Opening, Recipient, VaultAnswer, VaultRequest,
};
pub use secret::{Metadata, SECRET_MAX, SecretId, SecretIdError, SecretType, Version};
