//! The file of a vault, and an exported one: the specification's `SecureVault`.
//!
//! In scope: the strict, canonical JSON (RFC 8785) and its checksum. Out of scope: what its secrets mean
//! ([`super::state`]).
//!
//! The specification's checksum is keyed BLAKE3 here, under a key derived from the data key, over the whole canonical
//! document without the checksum itself. That is more than a MAC over the header and the tags of the secrets: it also
//! covers what no tag does, such as when a secret was changed and which versions are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sealing::{Label, Sealing, VaultId};
use super::secret::{SecretId, SecretType};
use crate::canonical::{self, CanonicalError, base64_bytes};
use crate::clock::Timestamp;
use crate::custody::wrap::{Salt, Sealed};
use crate::id::{AgreementKey, Name};

/// The format that this program writes and reads.
pub(super) const VERSION: u32 = 1;
/// Room for 100,000 secrets of an ordinary size.
pub(crate) const DOCUMENT_MAX: u64 = 64 << 20;

/// How the data key is had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "algorithm", deny_unknown_fields, rename_all_fields = "camelCase")]
pub(super) enum KeyDerivation {
    /// Under the root key of a home.
    #[serde(rename = "HKDF-SHA512")]
    Root { data_key: Sealed },
    /// Under a passphrase, by PBKDF2 with HMAC-SHA512.
    #[serde(rename = "PBKDF2")]
    Pbkdf2 {
        data_key: Sealed,
        iterations: u32,
        #[serde(with = "base64_bytes")]
        salt: [u8; 32],
    },
    /// Under a passphrase.
    Argon2id {
        data_key: Sealed,
        iterations: u32,
        memory_kib: u32,
        parallelism: u32,
        #[serde(with = "base64_bytes")]
        salt: [u8; 32],
    },
    /// Sealed to the holder of an agreement key.
    #[serde(rename = "HPKE")]
    Hpke {
        recipient: AgreementKey,
        #[serde(with = "base64_bytes")]
        sealed: Vec<u8>,
    },
}

/// Which vault it is, and in which state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Header {
    pub(super) environment: Name,
    pub(super) generation: u64,
    pub(super) id: VaultId,
    pub(super) keep_versions: u32,
}

/// A secret, and its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(with = "base64_bytes")]
    ciphertext: Vec<u8>,
    #[serde(with = "base64_bytes")]
    commitment: [u8; 32],
    pub(super) generation: u64,
    #[serde(with = "base64_bytes")]
    iv: [u8; 12],
    pub(super) metadata: EntryMetadata,
    /// The newest first.
    pub(super) previous: Vec<Older>,
    #[serde(with = "base64_bytes")]
    salt: Salt,
    #[serde(with = "base64_bytes")]
    tag: [u8; 16],
}

/// What is known of a secret without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct EntryMetadata {
    pub(super) changed: Timestamp,
    pub(super) created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_accessed: Option<Timestamp>,
    #[serde(rename = "type")]
    pub(super) kind: SecretType,
    pub(super) version: u32,
}

/// An older version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Older {
    pub(super) changed: Timestamp,
    #[serde(with = "base64_bytes")]
    ciphertext: Vec<u8>,
    #[serde(with = "base64_bytes")]
    commitment: [u8; 32],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
    pub(super) generation: u64,
    #[serde(with = "base64_bytes")]
    iv: [u8; 12],
    #[serde(with = "base64_bytes")]
    salt: Salt,
    #[serde(with = "base64_bytes")]
    tag: [u8; 16],
    pub(super) version: u32,
}

impl Entry {
    /// A secret as the state `generation` writes it.
    pub(super) fn new(
        sealed: Sealed,
        generation: u64,
        metadata: EntryMetadata,
        previous: Vec<Older>,
    ) -> Self {
        let Sealed { ciphertext, commitment, iv, salt, tag } = sealed;
        Self { ciphertext, commitment, generation, iv, metadata, previous, salt, tag }
    }

    /// The present version's ciphertext.
    pub(super) fn sealed(&self) -> Sealed {
        let Self { ciphertext, commitment, iv, salt, tag, .. } = self.clone();
        Sealed { ciphertext, commitment, iv, salt, tag }
    }

    /// What the present version is bound to.
    pub(super) fn label<'a>(&self, id: &'a SecretId) -> Label<'a> {
        let EntryMetadata { expires_at, version, .. } = self.metadata;
        Label { id, expires_at, version, generation: self.generation }
    }

    /// The present version as an older one.
    pub(super) fn aged(&self) -> Older {
        let EntryMetadata { changed, expires_at, version, .. } = self.metadata;
        Older::new(self.sealed(), self.generation, version, changed, expires_at)
    }
}

impl Older {
    /// A version as the state `generation` writes it.
    pub(super) fn new(
        sealed: Sealed,
        generation: u64,
        version: u32,
        changed: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let Sealed { ciphertext, commitment, iv, salt, tag } = sealed;
        Self { changed, ciphertext, commitment, expires_at, generation, iv, salt, tag, version }
    }

    /// Its ciphertext.
    pub(super) fn sealed(&self) -> Sealed {
        let Self { ciphertext, commitment, iv, salt, tag, .. } = self.clone();
        Sealed { ciphertext, commitment, iv, salt, tag }
    }

    /// What it is bound to.
    pub(super) fn label<'a>(&self, id: &'a SecretId) -> Label<'a> {
        Label { id, expires_at: self.expires_at, version: self.version, generation: self.generation }
    }
}

/// An entry and its canonical bytes, which each writing of the vault contains again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) entry: Entry,
    bytes: Vec<u8>,
}

impl Kept {
    pub(super) fn new(entry: Entry) -> Result<Arc<Self>, CanonicalError> {
        let bytes = canonical::to_canonical(&entry)?;
        Ok(Arc::new(Self { entry, bytes }))
    }
}

/// The secrets of a vault, in the order of the document.
pub(super) type Entries = BTreeMap<SecretId, Arc<Kept>>;

/// A document whose checksum is yet to be compared.
pub(super) struct Document {
    pub(super) header: Header,
    pub(super) derivation: KeyDerivation,
    pub(super) entries: Entries,
    pub(super) last_modified: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Raw {
    encrypted_data: BTreeMap<SecretId, Entry>,
    integrity: RawIntegrity,
    master_key_derivation: KeyDerivation,
    vault: Header,
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawIntegrity {
    #[serde(with = "base64_bytes")]
    checksum: [u8; 32],
    last_modified: Timestamp,
}

/// A checksum that a document claims.
pub(super) struct Claimed([u8; 32]);

impl Document {
    /// Reads a document in its strict form. It is to be believed once [`Document::check`] has compared its checksum.
    pub(super) fn parse(bytes: &[u8], max: usize) -> Result<(Self, Claimed), CanonicalError> {
        let raw: Raw = canonical::from_strict(bytes, max)?;
        if raw.version != VERSION {
            let cause = "its format is not known to this version".to_owned();
            return Err(CanonicalError::Malformed { cause });
        }
        let kept = |(id, entry): (SecretId, Entry)| {
            if entry.metadata.kind != id.kind {
                let cause = format!("`{id}` is said to be of the type {}", entry.metadata.kind);
                return Err(CanonicalError::Malformed { cause });
            }
            Ok((id, Kept::new(entry)?))
        };
        let document = Self {
            entries: raw.encrypted_data.into_iter().map(kept).collect::<Result<_, _>>()?,
            header: raw.vault,
            derivation: raw.master_key_derivation,
            last_modified: raw.integrity.last_modified,
        };
        let claimed = Claimed(raw.integrity.checksum);
        let is_canonical = document.parts()?.joined(&claimed.0) == bytes;
        if is_canonical { Ok((document, claimed)) } else { Err(CanonicalError::NotCanonical) }
    }

    /// The bytes of a document as they would be written, with the checksum that it claims.
    pub(super) fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
        let (document, claimed) = Self::parse(bytes, bytes.len()).ok()?;
        Some(document.parts().ok()?.joined(&claimed.0))
    }

    /// Whether the document is the one that was written under this data key.
    pub(super) fn check(&self, claimed: &Claimed, sealing: &Sealing) -> Result<bool, CanonicalError> {
        // The comparison of hashes takes the same time for all.
        Ok(self.parts()?.checksum(sealing) == blake3::Hash::from_bytes(claimed.0))
    }

    /// The document's bytes, with its checksum.
    pub(super) fn to_bytes(&self, sealing: &Sealing) -> Result<Vec<u8>, CanonicalError> {
        let parts = self.parts()?;
        let checksum = parts.checksum(sealing);
        Ok(parts.joined(checksum.as_bytes()))
    }

    /// Written out here, in the order of JCS, as the entries have their canonical bytes already.
    fn parts(&self) -> Result<Parts, CanonicalError> {
        let size: usize = self.entries.values().map(|kept| kept.bytes.len() + 160).sum();
        let mut head = Vec::with_capacity(size + 1024);
        head.extend_from_slice(br#"{"encryptedData":{"#);
        for (number, (id, kept)) in self.entries.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            head.extend_from_slice(format!("{comma}\"{id}\":").as_bytes());
            head.extend_from_slice(&kept.bytes);
        }
        head.extend_from_slice(br#"},"integrity":{"#);
        let mut tail =
            format!("\"lastModified\":{}}},\"masterKeyDerivation\":", self.last_modified.as_millis())
                .into_bytes();
        tail.extend_from_slice(&canonical::to_canonical(&self.derivation)?);
        tail.extend_from_slice(br#","vault":"#);
        tail.extend_from_slice(&canonical::to_canonical(&self.header)?);
        tail.extend_from_slice(format!(",\"version\":{VERSION}}}").as_bytes());
        Ok(Parts { head, tail })
    }
}

/// A document before and behind its checksum.
struct Parts {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Parts {
    fn checksum(&self, sealing: &Sealing) -> blake3::Hash {
        sealing.checksum([&self.head[..], &self.tail])
    }

    fn joined(self, checksum: &[u8; 32]) -> Vec<u8> {
        let Self { head: mut bytes, tail } = self;
        bytes.extend_from_slice(br#""checksum":""#);
        bytes.extend_from_slice(canonical::base64_encode(checksum).as_bytes());
        bytes.extend_from_slice(br#"","#);
        bytes.extend_from_slice(&tail);
        bytes
    }
}

impl fmt::Display for VaultId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl FromStr for VaultId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| "a vault's identifier has 32 hex digits")?;
        Ok(Self(bytes))
    }
}

serde_as_text!(VaultId);
