//! Changes of a vault: each makes the next state out of the present one, or refuses and makes nothing.
//!
//! In scope: put, remove, rename, restore, the number of versions kept, a new data key. Out of scope: who may change what,
//! and putting the new state in place ([`crate::custody`]).

use std::collections::HashMap;
use std::sync::Arc;

use super::document::{Document, Entry, EntryMetadata, Kept, KeyDerivation, Older};
use super::error::VaultError;
use super::request::Change;
use super::sealing::{Label, Sealing};
use super::secret::{SECRET_MAX, SecretId};
use super::state::{Vault, check_end, malformed};
use super::typed;
use crate::clock::Timestamp;
use crate::custody::CustodyError;
use crate::custody::wrap::Sealed;

/// More than this is an archive, which a file that is written whole at each change is not for.
pub const VERSIONS_MAX: u32 = 100;

/// When secrets were last used or revealed, since the file was written.
pub(crate) type Accesses = HashMap<SecretId, Timestamp>;

/// What a change is made with.
pub(crate) struct Circumstances<'a> {
    /// The present.
    pub(crate) now: Timestamp,
    /// The root key.
    pub(crate) root: &'a [u8],
    /// What the next state is to tell of accesses.
    pub(crate) accesses: &'a Accesses,
    /// The opened document, for an import.
    pub(crate) imported: Option<&'a Vault>,
}

impl Vault {
    /// The state that the change makes.
    pub(crate) fn changed(&self, change: &Change, with: &Circumstances<'_>) -> Result<Self, CustodyError> {
        let mut next = self.next(with)?;
        match change {
            Change::Put { id, value, expires_at } => next.put(id, value.expose(), *expires_at, with.now)?,
            Change::Remove { id } => next.remove(id)?,
            Change::Rename { from, to } => next.rename(from, to)?,
            Change::Restore { id, version } => next.restore(id, *version, with.now)?,
            Change::RotateKey => next.rotate_key(with.root)?,
            Change::KeepVersions { versions } => next.keep_versions(*versions)?,
            Change::Import { .. } => match with.imported {
                Some(imported) => next.import(imported)?,
                None => return Err(VaultError::WrongOpening.into()),
            },
        }
        Ok(next)
    }

    /// The same secrets in the next state.
    fn next(&self, with: &Circumstances<'_>) -> Result<Self, CustodyError> {
        let mut header = self.document.header.clone();
        header.generation += 1;
        let mut entries = self.document.entries.clone();
        for (id, at) in with.accesses {
            if let Some(kept) = entries.get_mut(id)
                && kept.entry.metadata.last_accessed < Some(*at)
            {
                let mut entry = kept.entry.clone();
                entry.metadata.last_accessed = Some(*at);
                *kept = made(entry)?;
            }
        }
        let document = Document {
            header,
            entries,
            derivation: self.document.derivation.clone(),
            last_modified: self.document.last_modified.max(with.now),
        };
        Ok(Self { document, sealing: Arc::clone(&self.sealing) })
    }

    fn put(
        &mut self,
        id: &SecretId,
        value: &[u8],
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        if value.is_empty() || value.len() > SECRET_MAX {
            return Err(VaultError::Size.into());
        }
        let own_end = typed::check(id.kind, value)?;
        let expires_at = earlier(expires_at, own_end);
        check_end(id, expires_at, now)?;
        self.store(id, value, expires_at, now)
    }

    /// Stores a value as the newest version.
    fn store(
        &mut self,
        id: &SecretId,
        value: &[u8],
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        let before = self.document.entries.get(id).map(|kept| &kept.entry);
        let version = match before {
            None => 1,
            Some(before) => before.metadata.version.checked_add(1).ok_or_else(|| self.full())?,
        };
        let mut previous: Vec<Older> = Vec::new();
        if let Some(before) = before {
            previous.push(before.aged());
            previous.extend(before.previous.iter().cloned());
            previous.truncate(self.versions_kept());
        }
        let metadata = EntryMetadata {
            changed: now,
            created: before.map_or(now, |before| before.metadata.created),
            expires_at,
            last_accessed: before.and_then(|before| before.metadata.last_accessed),
            kind: id.kind,
            version,
        };
        let generation = self.generation();
        let sealed = self.sealing.seal(Label { id, expires_at, version, generation }, value)?;
        self.insert(id, Entry::new(sealed, generation, metadata, previous))
    }

    fn remove(&mut self, id: &SecretId) -> Result<(), CustodyError> {
        self.entry(id)?;
        self.document.entries.remove(id);
        Ok(())
    }

    fn rename(&mut self, from: &SecretId, to: &SecretId) -> Result<(), CustodyError> {
        let entry = self.entry(from)?;
        if from.kind != to.kind {
            return Err(VaultError::Unsuitable {
                id: from.clone(),
                operation: "be renamed".to_owned(),
                cause: format!("its type stays {}", from.kind),
            }
            .into());
        }
        self.check_free(to)?;
        let moved =
            Resealing { from: (&self.sealing, from), to: (&self.sealing, to), generation: self.generation() }
                .entry(entry)?;
        self.document.entries.remove(from);
        self.insert(to, moved)
    }

    fn restore(&mut self, id: &SecretId, version: u32, now: Timestamp) -> Result<(), CustodyError> {
        let entry = self.entry(id)?;
        let (label, sealed) = if entry.metadata.version == version {
            (entry.label(id), entry.sealed())
        } else {
            let older = entry.previous.iter().find(|older| older.version == version);
            let older = older.ok_or_else(|| VaultError::NoSuchVersion { id: id.clone(), version })?;
            (older.label(id), older.sealed())
        };
        let expires_at = label.expires_at;
        check_end(id, expires_at, now)?;
        let value = self.sealing.open(label, sealed).map_err(|_| altered(id))?;
        self.store(id, &value, expires_at, now)
    }

    fn rotate_key(&mut self, root: &[u8]) -> Result<(), CustodyError> {
        let sealing = Sealing::generate(self.sealing.vault().clone(), self.sealing.environment())?;
        let generation = self.generation();
        for (id, kept) in &mut self.document.entries {
            let resealing = Resealing { from: (&self.sealing, id), to: (&sealing, id), generation };
            *kept = made(resealing.entry(&kept.entry)?)?;
        }
        self.document.derivation = KeyDerivation::Root { data_key: sealing.wrapped(root)? };
        self.sealing = Arc::new(sealing);
        Ok(())
    }

    fn keep_versions(&mut self, versions: u32) -> Result<(), CustodyError> {
        if versions > VERSIONS_MAX {
            return Err(VaultError::Malformed {
                file: "the request".to_owned(),
                cause: format!("at most {VERSIONS_MAX} older versions are kept"),
            }
            .into());
        }
        self.document.header.keep_versions = versions;
        let kept_versions = self.versions_kept();
        for kept in self.document.entries.values_mut() {
            if kept.entry.previous.len() > kept_versions {
                let mut entry = kept.entry.clone();
                entry.previous.truncate(kept_versions);
                *kept = made(entry)?;
            }
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, id: &SecretId, entry: Entry) -> Result<(), CustodyError> {
        self.document.entries.insert(id.clone(), made(entry)?);
        Ok(())
    }

    pub(super) fn check_free(&self, id: &SecretId) -> Result<(), VaultError> {
        if self.document.entries.contains_key(id) {
            return Err(VaultError::Exists {
                id: id.clone(),
                environment: self.document.header.environment.clone(),
            });
        }
        Ok(())
    }

    pub(super) fn versions_kept(&self) -> usize {
        usize::try_from(self.document.header.keep_versions).unwrap_or(usize::MAX)
    }

    /// There is no room.
    pub(crate) fn full(&self) -> VaultError {
        VaultError::Full { environment: self.document.header.environment.clone() }
    }
}

/// Encrypting a secret and its history anew, for another data key, vault or name.
pub(super) struct Resealing<'a> {
    pub(super) from: (&'a Sealing, &'a SecretId),
    pub(super) to: (&'a Sealing, &'a SecretId),
    pub(super) generation: u64,
}

impl Resealing<'_> {
    pub(super) fn entry(&self, entry: &Entry) -> Result<Entry, CustodyError> {
        let previous = entry.previous.iter().map(|older| {
            let sealed = self.sealed(older.label(self.from.1), older.sealed())?;
            Ok(Older::new(sealed, self.generation, older.version, older.changed, older.expires_at))
        });
        let previous = previous.collect::<Result<_, CustodyError>>()?;
        let sealed = self.sealed(entry.label(self.from.1), entry.sealed())?;
        Ok(Entry::new(sealed, self.generation, entry.metadata.clone(), previous))
    }

    fn sealed(&self, label: Label<'_>, sealed: Sealed) -> Result<Sealed, CustodyError> {
        let secret = self.from.0.open(label, sealed).map_err(|_| altered(self.from.1))?;
        Ok(self.to.0.seal(Label { id: self.to.1, generation: self.generation, ..label }, &secret)?)
    }
}

pub(super) fn made(entry: Entry) -> Result<Arc<Kept>, VaultError> {
    Kept::new(entry).map_err(malformed("the entry"))
}

pub(super) fn altered(id: &SecretId) -> VaultError {
    VaultError::Altered { file: id.to_string() }
}

pub(super) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
