//! Changing the files of custody: one writer at a time among all processes on a home, each change whole or not at all
//! (I8).

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use super::error::CustodyError;
use crate::durable::{self, DurableError, Lock};
use crate::home::Home;

/// The right to change slots and keys, held until dropped.
pub(super) struct WriteLock {
    _lock: Lock,
}

impl WriteLock {
    /// Waits until no other thread or process changes this home's custody.
    pub(super) fn take(home: &Home) -> Result<Self, CustodyError> {
        Ok(Self { _lock: Lock::exclusive(&home.keys().join(".lock"))? })
    }

    /// Replaces a file whole. What a writer that died has left half done beside it is cleared first: it would else be
    /// in the way of a process with the same number, as on a machine that starts the same few after each power cut.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), CustodyError> {
        Ok(replace_swept(path, bytes)?)
    }

    /// Removes a file, if it is there, so that it stays removed.
    pub(super) fn remove(&self, path: &Path) -> Result<(), CustodyError> {
        Ok(remove(path)?)
    }

    /// Overwrites a file, as far as the file system does so in place, and removes it.
    pub(super) fn erase(&self, path: &Path) -> Result<(), CustodyError> {
        sweep(path)?;
        let size = match fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(CustodyError::NotInitialised);
            }
            Err(source) => {
                return Err(DurableError::Io { action: "look at", path: path.to_owned(), source }.into());
            }
        };
        // Best effort: what counts is that the file is gone, so a medium that cannot be written does not stop it.
        if let Ok(mut file) = OpenOptions::new().write(true).open(path) {
            let zeroes = vec![0; usize::try_from(size).unwrap_or(0)];
            let _ = file.write_all(&zeroes).and_then(|()| file.sync_all());
        }
        self.remove(path)
    }
}

/// Replaces a file whole, after what an earlier writer has left half done beside it is cleared. Only for whoever holds
/// the lock of its directory: another writer's temporary file must not be cleared.
pub(super) fn replace_swept(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    sweep(path)?;
    durable::replace(path, bytes)
}

/// Removes a file, if it is there, so that it stays removed.
pub(super) fn remove(path: &Path) -> Result<(), DurableError> {
    match fs::remove_file(path) {
        Ok(()) => durable::sync_directory(directory_of(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(DurableError::Io { action: "remove", path: path.to_owned(), source }),
    }
}

fn sweep(path: &Path) -> Result<(), DurableError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (prefix, directory) = (format!(".{name}."), directory_of(path));
    let failed = |action| move |source| DurableError::Io { action, path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(failed("list"))? {
        let entry = entry.map_err(failed("list"))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(".tmp") {
            fs::remove_file(entry.path()).map_err(failed("clear"))?;
        }
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
