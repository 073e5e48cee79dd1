//! What can be asked of a vault, as plain values: they travel within custody's own requests.
//!
//! In scope: the requests and answers. Out of scope: carrying them out.

use serde::{Deserialize, Serialize};

use super::secret::{Metadata, SecretId, Version};
use crate::canonical::base64_bytes;
use crate::clock::Timestamp;
use crate::custody::{KeyName, Secret, Signature};
use crate::id::{AgreementKey, Digest};

/// Which state of a vault the log knows of. A file that is not exactly this state is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noted {
    /// The number of the state: each change of the vault makes the next.
    pub generation: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
}

/// A keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MacAlgorithm {
    /// HMAC-SHA-256 (RFC 2104), 32 bytes.
    HmacSha256,
    /// HMAC-SHA-512, 64 bytes.
    HmacSha512,
}

/// Authenticated encryption. What is made is a random 12-byte nonce, the ciphertext, and the 16-byte tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cipher {
    /// AES-256-GCM (SP 800-38D).
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

/// What is done with a secret that stays in custody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Operation {
    /// Sign these bytes with Ed25519. The secret is a seed of 32 bytes, or PEM with a PKCS#8 Ed25519 key.
    Sign {
        /// The bytes.
        #[serde(with = "base64_bytes")]
        message: Vec<u8>,
    },
    /// A keyed hash of these bytes, under the secret as it is.
    Mac {
        /// Which hash.
        algorithm: MacAlgorithm,
        /// The bytes.
        #[serde(with = "base64_bytes")]
        message: Vec<u8>,
    },
    /// Encrypt. The secret has exactly 32 bytes.
    Encrypt {
        /// How.
        cipher: Cipher,
        /// What is authenticated beside it.
        #[serde(with = "base64_bytes")]
        associated: Vec<u8>,
        /// The plaintext.
        plaintext: Secret,
    },
    /// Decrypt what `Encrypt` made.
    Decrypt {
        /// How.
        cipher: Cipher,
        /// What is authenticated beside it.
        #[serde(with = "base64_bytes")]
        associated: Vec<u8>,
        /// Nonce, ciphertext and tag.
        #[serde(with = "base64_bytes")]
        ciphertext: Vec<u8>,
    },
    /// Derive up to 64 bytes for the use `context`: HKDF-SHA512 (RFC 5869) of the secret with the info
    /// `kos/vault-derive/v1/` ‖ context.
    Derive {
        /// The use.
        context: String,
        /// How many bytes, 1 to 64.
        length: usize,
    },
}

impl Operation {
    /// The operation's word, as it stands in the log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Sign { .. } => "sign",
            Self::Mac { .. } => "mac",
            Self::Encrypt { .. } => "encrypt",
            Self::Decrypt { .. } => "decrypt",
            Self::Derive { .. } => "derive",
        }
    }
}

/// To whom an exported vault is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Recipient {
    /// Whoever knows the passphrase.
    Passphrase {
        /// The passphrase.
        passphrase: Secret,
        /// How it is stretched.
        kdf: crate::custody::Kdf,
    },
    /// The holder of this key (HPKE).
    Key {
        /// The agreement key, `did:key:z6LS…`.
        key: AgreementKey,
    },
}

/// What opens an exported vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Opening {
    /// The passphrase.
    Passphrase {
        /// The passphrase.
        passphrase: Secret,
    },
    /// A key of this home.
    Key {
        /// Which.
        key: KeyName,
    },
}

/// A change of a vault. Each makes a new generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change {
    /// Store a secret, or its next version.
    Put {
        /// Which.
        id: SecretId,
        /// The value, checked for its type.
        value: Secret,
        /// When it ends. A certificate's and a token's own end is kept if it is earlier.
        expires_at: Option<Timestamp>,
    },
    /// Remove a secret and its history.
    Remove {
        /// Which.
        id: SecretId,
    },
    /// Give a secret another name, of the same type.
    Rename {
        /// Which.
        from: SecretId,
        /// Its new name, which no other has.
        to: SecretId,
    },
    /// Make a kept version the present one, as a new version.
    Restore {
        /// Which.
        id: SecretId,
        /// The version.
        version: u32,
    },
    /// Encrypt everything anew under a new data key.
    RotateKey,
    /// Keep this many older versions of each secret, 0 to 100; those beyond are erased.
    KeepVersions {
        /// How many.
        versions: u32,
    },
    /// Store every secret of an exported vault; none of them may be here already.
    Import {
        /// The document.
        #[serde(with = "base64_bytes")]
        document: Vec<u8>,
        /// What opens it.
        opening: Opening,
    },
}

impl Change {
    /// The change's word, as it stands in the log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Put { .. } => "put",
            Self::Remove { .. } => "remove",
            Self::Rename { .. } => "rename",
            Self::Restore { .. } => "restore",
            Self::RotateKey => "rotate-key",
            Self::KeepVersions { .. } => "keep-versions",
            Self::Import { .. } => "import",
        }
    }

    /// The secret that is changed, where it is one.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretId> {
        match self {
            Self::Put { id, .. } | Self::Remove { id } | Self::Restore { id, .. } => Some(id),
            Self::Rename { from, .. } => Some(from),
            Self::RotateKey | Self::KeepVersions { .. } | Self::Import { .. } => None,
        }
    }
}

/// What is asked of the vault of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum VaultRequest {
    /// Every secret, in order. Answer: [`VaultAnswer::List`].
    List,
    /// The versions of a secret that are kept, the newest first. Answer: [`VaultAnswer::Versions`].
    Versions {
        /// Which.
        id: SecretId,
    },
    /// Use a secret. Answer: [`VaultAnswer::Signature`] or [`VaultAnswer::Bytes`].
    Use {
        /// Which.
        id: SecretId,
        /// What for.
        operation: Operation,
    },
    /// The secret itself. Answer: [`VaultAnswer::Revealed`].
    Reveal {
        /// Which.
        id: SecretId,
    },
    /// Write the state that a change makes beside the vault, and hold the vault's lock until it is kept or dropped.
    /// Answer: [`VaultAnswer::Prepared`].
    Prepare {
        /// The change.
        change: Change,
    },
    /// Put the prepared state in place; the log knows of it by now. Answer: [`VaultAnswer::Done`].
    Keep,
    /// Forget the prepared state. Answer: [`VaultAnswer::Done`].
    Drop,
    /// The whole vault, encrypted to somebody, as the specification's `SecureVault`. Answer: [`VaultAnswer::Exported`].
    Export {
        /// To whom.
        to: Recipient,
    },
}

/// What the vault answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum VaultAnswer {
    /// The secrets.
    List {
        /// In order.
        secrets: Vec<Metadata>,
    },
    /// The versions of a secret.
    Versions {
        /// The newest first.
        versions: Vec<Version>,
    },
    /// A signature.
    Signature {
        /// Ed25519.
        signature: Signature,
    },
    /// What an operation made.
    Bytes {
        /// The bytes.
        bytes: Secret,
    },
    /// A secret.
    Revealed {
        /// Its value.
        value: Secret,
    },
    /// The state that a change makes is written and waits.
    Prepared {
        /// What the log is to note of it.
        noted: Noted,
    },
    /// An exported vault.
    Exported {
        /// JSON.
        #[serde(with = "base64_bytes")]
        document: Vec<u8>,
    },
    /// It is done.
    Done,
}
