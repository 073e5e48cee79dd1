//! The vault of one environment in one of its states, opened.
//!
//! In scope: beginning, reading and writing a state, and what is read of it. Out of scope: changes ([`super::change`]),
//! files and the log's word on which state is the present one ([`crate::custody`]).

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::document::{Document, Entries, Entry, Header, KeyDerivation};
use super::error::VaultError;
use super::request::Noted;
use super::sealing::{Sealing, VaultId};
use super::secret::{Metadata, SecretId, Version};
use crate::canonical::CanonicalError;
use crate::clock::Timestamp;
use crate::crypto;
use crate::custody::CustodyError;
use crate::id::{Digest, Name};

/// How many older versions of each secret a new vault keeps.
const KEEP_VERSIONS: u32 = 3;

/// A state of a vault, whose data key is at hand.
pub(crate) struct Vault {
    pub(super) document: Document,
    pub(super) sealing: Arc<Sealing>,
}

/// A secret's ciphertext and what is to be known before it is opened.
pub(crate) struct Found<'a> {
    vault: &'a Vault,
    id: &'a SecretId,
    entry: &'a Entry,
}

impl Vault {
    /// An empty vault, in a state before its first.
    pub(crate) fn begin(environment: &Name, root: &[u8], now: Timestamp) -> Result<Self, CustodyError> {
        let id = VaultId(crypto::random::<16>()?);
        let sealing = Sealing::generate(id.clone(), environment)?;
        let header =
            Header { environment: environment.clone(), generation: 0, id, keep_versions: KEEP_VERSIONS };
        let derivation = KeyDerivation::Root { data_key: sealing.wrapped(root)? };
        let document = Document { header, derivation, entries: Entries::new(), last_modified: now };
        Ok(Self { document, sealing: Arc::new(sealing) })
    }

    /// The vault in the bytes of a file, if they are the very ones that were written for this environment under this
    /// root key. `file` is what it is called in errors.
    pub(crate) fn parse(
        bytes: &[u8],
        environment: &Name,
        root: &[u8],
        file: &str,
    ) -> Result<Self, VaultError> {
        let altered = || VaultError::Altered { file: file.to_owned() };
        let (document, claimed) = Document::parse(bytes, bytes.len()).map_err(malformed(file))?;
        let KeyDerivation::Root { data_key } = &document.derivation else { return Err(altered()) };
        if document.header.environment != *environment {
            return Err(altered());
        }
        let sealing = Sealing::unwrapped(root, document.header.id.clone(), environment, data_key.clone())
            .map_err(|_| altered())?;
        if !document.check(&claimed, &sealing).map_err(malformed(file))? {
            return Err(altered());
        }
        Ok(Self { document, sealing: Arc::new(sealing) })
    }

    /// The bytes of its file, and what the log is to note of them.
    pub(crate) fn to_bytes(&self, file: &str) -> Result<(Vec<u8>, Noted), VaultError> {
        let bytes = self.document.to_bytes(&self.sealing).map_err(malformed(file))?;
        let noted = Noted { generation: self.generation(), digest: Digest::of(&bytes) };
        Ok((bytes, noted))
    }

    /// The number of this state.
    pub(crate) fn generation(&self) -> u64 {
        self.document.header.generation
    }

    /// What is known of every secret, in order.
    pub(crate) fn list(&self) -> Vec<Metadata> {
        self.document.entries.iter().map(|(id, kept)| metadata(id, &kept.entry)).collect()
    }

    /// The versions of a secret that are kept, the newest first.
    pub(crate) fn versions(&self, id: &SecretId) -> Result<Vec<Version>, VaultError> {
        let entry = self.entry(id)?;
        let present = &entry.metadata;
        let present =
            Version { version: present.version, changed: present.changed, expires_at: present.expires_at };
        let older = entry.previous.iter().map(|older| Version {
            version: older.version,
            changed: older.changed,
            expires_at: older.expires_at,
        });
        Ok(std::iter::once(present).chain(older).collect())
    }

    /// A secret, which has not ended.
    pub(crate) fn find<'a>(&'a self, id: &'a SecretId, now: Timestamp) -> Result<Found<'a>, VaultError> {
        let entry = self.entry(id)?;
        check_end(id, entry.metadata.expires_at, now)?;
        Ok(Found { vault: self, id, entry })
    }

    /// Whether the secret is there as the state `generation` wrote it.
    pub(crate) fn holds(&self, id: &SecretId, generation: u64) -> bool {
        self.document.entries.get(id).is_some_and(|kept| kept.entry.generation == generation)
    }

    /// When the secret's first version was stored, if it is there.
    pub(crate) fn created(&self, id: &SecretId) -> Option<Timestamp> {
        self.document.entries.get(id).map(|kept| kept.entry.metadata.created)
    }

    pub(super) fn entry(&self, id: &SecretId) -> Result<&Entry, VaultError> {
        match self.document.entries.get(id) {
            Some(kept) => Ok(&kept.entry),
            None => Err(VaultError::NoSuchSecret {
                id: id.clone(),
                environment: self.document.header.environment.clone(),
            }),
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { environment, generation, .. } = &self.document.header;
        write!(formatter, "Vault of {environment} in generation {generation}")
    }
}

impl Found<'_> {
    /// The number of the state that wrote it.
    pub(crate) fn generation(&self) -> u64 {
        self.entry.generation
    }

    /// The secret itself.
    pub(crate) fn open(&self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let opened = self.vault.sealing.open(self.entry.label(self.id), self.entry.sealed());
        opened.map_err(|_| VaultError::Altered { file: self.id.to_string() })
    }
}

pub(super) fn malformed(file: &str) -> impl FnOnce(CanonicalError) -> VaultError {
    let file = file.to_owned();
    move |error| VaultError::Malformed { file, cause: error.to_string() }
}

pub(super) fn check_end(id: &SecretId, end: Option<Timestamp>, now: Timestamp) -> Result<(), VaultError> {
    match end {
        Some(at) if at <= now => Err(VaultError::Expired { id: id.clone(), at }),
        Some(_) | None => Ok(()),
    }
}

fn metadata(id: &SecretId, entry: &Entry) -> Metadata {
    let known = &entry.metadata;
    Metadata {
        id: id.clone(),
        version: known.version,
        created: known.created,
        changed: known.changed,
        last_accessed: known.last_accessed,
        expires_at: known.expires_at,
    }
}
