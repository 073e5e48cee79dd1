//! The files of one vault: the state that the log knows of, and no other, is the present one.
//!
//! ```text
//! vault/ENV.json              the present state
//! vault/.ENV.DIGEST.next      a state that is prepared; DIGEST is that of its bytes
//! vault/.ENV.lock             held by whoever changes the vault, from preparing to keeping
//! ```
//!
//! In scope: reading, the three steps of a change, and what a crash between them left. Out of scope: what a state holds
//! ([`crate::vault`]), the log between the steps ([`crate::audited_vault`]). Keeps I8: a prepared state is durable before
//! the log notes it, and is found by the digest that the log noted, so that nothing which the log knows of is ever
//! written over.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::error::CustodyError;
use super::super::keyring::Stamp;
use super::{Asked, Which};
use crate::durable::{self, DurableError, Lock};
use crate::id::Digest;
use crate::vault::{DOCUMENT_MAX, Noted, Vault, VaultError};

/// What is there of one vault.
#[derive(Default)]
pub(super) struct Files {
    loaded: Option<Loaded>,
    prepared: Option<Prepared>,
}

/// A state that was read or put in place, and the file that it is in.
struct Loaded {
    stamp: Stamp,
    noted: Noted,
    vault: Vault,
}

/// A state beside the vault, and the right to put it in place.
struct Prepared {
    noted: Noted,
    /// Nothing once the keys were locked.
    vault: Option<Vault>,
    _lock: Lock,
}

impl Files {
    /// The present state as it was found last; none before the first change.
    pub(super) fn vault(&self) -> Option<&Vault> {
        self.loaded.as_ref().map(|loaded| &loaded.vault)
    }

    /// Makes sure that the present state is the one that the log knows of. Says whether it is another than before.
    pub(super) fn open(&mut self, asked: &Asked<'_>) -> Result<bool, CustodyError> {
        let is_kept = self.is_prepared(asked.which);
        if is_kept {
            self.keep(asked.which)?;
        }
        if self.is_present(asked.which)? {
            return Ok(is_kept);
        }
        if !self.read(asked)? {
            let lock = self.try_lock(asked.which)?;
            self.recover(asked, &lock)?;
        }
        Ok(true)
    }

    /// As [`Self::open`], and gives the right to change the vault.
    pub(super) fn open_to_change(&mut self, asked: &Asked<'_>) -> Result<Lock, CustodyError> {
        if self.is_prepared(asked.which) {
            self.keep(asked.which)?;
        }
        let lock = self.try_lock(asked.which)?;
        if !self.is_present(asked.which)? && !self.read(asked)? {
            self.recover(asked, &lock)?;
        }
        Ok(lock)
    }

    /// Writes a state beside the vault, durably, and holds the lock until it is kept or forgotten.
    pub(super) fn prepare(
        &mut self,
        asked: &Asked<'_>,
        vault: Vault,
        lock: Lock,
    ) -> Result<Noted, CustodyError> {
        let (bytes, noted) = vault.to_bytes(&shown(asked.which))?;
        if bytes.len() as u64 > DOCUMENT_MAX {
            return Err(vault.full().into());
        }
        let path = next_file(asked.which, &noted.digest);
        let written = durable::write_new(&path, &bytes)
            .and_then(|()| durable::sync_directory(&asked.which.home.vault()));
        if let Err(error) = written {
            // Nobody knows of it yet; that it may stay behind harms nothing.
            let _ = fs::remove_file(&path);
            return Err(error.into());
        }
        self.prepared = Some(Prepared { noted, vault: Some(vault), _lock: lock });
        Ok(noted)
    }

    /// Puts the prepared state in place, which the log knows of by now.
    pub(super) fn keep(&mut self, which: Which<'_>) -> Result<(), CustodyError> {
        let Some(prepared) = self.prepared.take_if(|prepared| Some(prepared.noted) == which.noted) else {
            let is_kept =
                which.noted.is_some() && self.loaded.as_ref().map(|loaded| loaded.noted) == which.noted;
            return if is_kept { Ok(()) } else { Err(VaultError::NotPrepared.into()) };
        };
        // If this fails, the state is found by its digest when the vault is opened next.
        self.loaded = None;
        put_in_place(which, &prepared.noted.digest)?;
        clear(which);
        prepared.vault.map_or(Ok(()), |vault| self.load(which, prepared.noted, vault))
    }

    /// Forgets what needs a key. Says whether a prepared state is left.
    pub(super) fn lock(&mut self) -> bool {
        self.loaded = None;
        if let Some(prepared) = &mut self.prepared {
            prepared.vault = None;
        }
        self.prepared.is_some()
    }

    /// Gives up the prepared state. Its file stays until the next change is kept: if the log failed, it may yet turn out
    /// to know of it.
    pub(super) fn forget_prepared(&mut self) {
        self.prepared = None;
    }

    fn is_prepared(&self, which: Which<'_>) -> bool {
        self.prepared.as_ref().is_some_and(|prepared| Some(prepared.noted) == which.noted)
    }

    /// Whether the state that the log knows of is the one that was read, and still lies there.
    fn is_present(&self, which: Which<'_>) -> Result<bool, CustodyError> {
        let stamp = Stamp::of(&file(which))?;
        Ok(match (&self.loaded, which.noted) {
            (Some(loaded), Some(noted)) => loaded.noted == noted && Some(loaded.stamp) == stamp,
            (None, None) => stamp.is_none(),
            (Some(_), None) | (None, Some(_)) => false,
        })
    }

    /// Reads the file, if it is the state that the log knows of.
    fn read(&mut self, asked: &Asked<'_>) -> Result<bool, CustodyError> {
        self.loaded = None;
        let Some(noted) = asked.which.noted else { return Ok(false) };
        match read(&file(asked.which), asked.which)?.filter(|bytes| Digest::of(bytes) == noted.digest) {
            Some(bytes) => self.load(asked.which, noted, parse(&bytes, asked)?).map(|()| true),
            None => Ok(false),
        }
    }

    /// Puts the state that the log knows of in place, if a crash came before that; else says what lies there instead.
    fn recover(&mut self, asked: &Asked<'_>, _lock: &Lock) -> Result<(), CustodyError> {
        // Whoever held the lock before may have put it in place.
        if self.read(asked)? {
            return Ok(());
        }
        if let Some(noted) = asked.which.noted {
            let next = read(&next_file(asked.which, &noted.digest), asked.which)?;
            if let Some(bytes) = next.filter(|bytes| Digest::of(bytes) == noted.digest) {
                let vault = parse(&bytes, asked)?;
                put_in_place(asked.which, &noted.digest)?;
                return self.load(asked.which, noted, vault);
            }
        }
        let found = match read(&file(asked.which), asked.which)? {
            None if asked.which.noted.is_none() => return Ok(()),
            None => "nothing".to_owned(),
            Some(bytes) => {
                let generation = parse(&bytes, asked)?.generation();
                described(&Noted { generation, digest: Digest::of(&bytes) })
            }
        };
        Err(rolled_back(asked.which, found).into())
    }

    /// Takes over a state whose file has just been read or put in place.
    pub(super) fn load(&mut self, which: Which<'_>, noted: Noted, vault: Vault) -> Result<(), CustodyError> {
        // A file that is replaced between reading and this look has another digest than the log will know of. One that is
        // gone must not pass for a vault that never was: the next change would begin an empty one.
        let stamp = Stamp::of(&file(which))?.ok_or_else(|| rolled_back(which, "nothing".to_owned()))?;
        self.loaded = Some(Loaded { stamp, noted, vault });
        Ok(())
    }

    fn try_lock(&self, which: Which<'_>) -> Result<Lock, CustodyError> {
        if self.prepared.is_some() {
            return Err(VaultError::Busy.into());
        }
        durable::create_private_dir(&which.home.vault())?;
        let path = which.home.vault().join(format!(".{}.lock", which.environment));
        Ok(Lock::try_exclusive(&path)?.ok_or(VaultError::Busy)?)
    }
}

fn file(which: Which<'_>) -> PathBuf {
    which.home.vault().join(format!("{}.json", which.environment))
}

fn next_file(which: Which<'_>, digest: &Digest) -> PathBuf {
    which.home.vault().join(format!(".{}.{}.next", which.environment, digest.to_hex()))
}

fn shown(which: Which<'_>) -> String {
    file(which).display().to_string()
}

fn rolled_back(which: Which<'_>, found: String) -> VaultError {
    let expected = which.noted.as_ref().map_or("nothing".to_owned(), described);
    VaultError::RolledBack { environment: which.environment.clone(), found, expected }
}

fn described(noted: &Noted) -> String {
    format!("generation {} ({})", noted.generation, noted.digest)
}

/// Nothing for a file that is not there.
fn read(path: &Path, which: Which<'_>) -> Result<Option<Vec<u8>>, CustodyError> {
    match durable::read_regular(path, DOCUMENT_MAX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(DurableError::TooLarge { max, .. }) => {
            Err(VaultError::Malformed { file: shown(which), cause: format!("it has more than {max} bytes") }
                .into())
        }
        Err(error) => Err(error.into()),
    }
}

fn parse(bytes: &[u8], asked: &Asked<'_>) -> Result<Vault, CustodyError> {
    Ok(Vault::parse(bytes, asked.which.environment, asked.root.expose(), &shown(asked.which))?)
}

fn put_in_place(which: Which<'_>, digest: &Digest) -> Result<(), CustodyError> {
    let path = file(which);
    fs::rename(next_file(which, digest), &path).map_err(|source| DurableError::Io {
        action: "replace",
        path,
        source,
    })?;
    Ok(durable::sync_directory(&which.home.vault())?)
}

/// Removes what changes that were given up left beside the vault. Only once a later state is in place, which the log
/// knows of: an entry that failed to be written cannot appear behind that one's.
fn clear(which: Which<'_>) {
    let prefix = format!(".{}.", which.environment);
    let Ok(listing) = fs::read_dir(which.home.vault()) else { return };
    for entry in listing.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(".next") {
            // One that cannot be removed now is removed by the next change.
            let _ = fs::remove_file(entry.path());
        }
    }
}
