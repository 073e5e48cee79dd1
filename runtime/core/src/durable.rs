//! Files that survive a crash: capped reads, atomic replacement, and locks between processes (I8).
//!
//! In scope: whole small files. Files that grow, and disks that fail on purpose, are [`disk`].

pub mod disk;
#[cfg(test)]
pub(crate) mod simulated;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

/// Files are the owner's alone.
const FILE_MODE: u32 = 0o600;
/// Directories are the owner's alone.
const DIRECTORY_MODE: u32 = 0o700;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is larger than anything this program writes there.
    #[error("{} is larger than {max} bytes, which is the most that is read", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The cap in bytes.
        max: u64,
    },
}

impl DurableError {
    /// Whether the file does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a whole file of at most `max` bytes.
///
/// # Errors
/// [`DurableError::TooLarge`] beyond `max`, before more than that is read; [`DurableError::Io`] otherwise.
pub fn read_capped(path: &Path, max: u64) -> Result<Vec<u8>, DurableError> {
    read_open(File::open(path).map_err(failed("open", path))?, path, max)
}

/// As [`read_capped`], and what is no regular file is refused: for whoever must not be made to wait by a FIFO in a file's
/// place.
///
/// # Errors
/// As [`read_capped`].
pub(crate) fn read_regular(path: &Path, max: u64) -> Result<Vec<u8>, DurableError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(failed("open", path))?;
    if !file.metadata().map_err(failed("look at", path))?.is_file() {
        return Err(failed("read", path)(io::Error::other("it is not a regular file")));
    }
    read_open(file, path, max)
}

fn read_open(file: File, path: &Path, max: u64) -> Result<Vec<u8>, DurableError> {
    let length = file.metadata().map_err(failed("look at", path))?.len().min(max);
    // One byte more than there are, so that the end is seen without growing.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > max {
        return Err(DurableError::TooLarge { path: path.to_owned(), max });
    }
    Ok(bytes)
}

/// Replaces the file at `path` by one that holds `bytes`: after a crash at any instant it holds the old content or
/// the new, and once this has returned, the new.
///
/// # Errors
/// [`DurableError::Io`]; the old file is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = temporary_beside(path)?;
    let written = write_new(&temporary, bytes).and_then(|()| {
        fs::rename(&temporary, path).map_err(failed("replace", path))?;
        sync_directory(directory)
    });
    if written.is_err() {
        // The temporary file is no longer wanted; that it may stay behind harms nothing.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Creates a directory, and its parents, for the owner alone. An existing one is left as it is.
///
/// # Errors
/// [`DurableError::Io`].
pub fn create_private_dir(path: &Path) -> Result<(), DurableError> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(failed("create", path))
}

/// Makes the names in a directory durable.
///
/// # Errors
/// [`DurableError::Io`].
pub fn sync_directory(path: &Path) -> Result<(), DurableError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(failed("synchronise", path))
}

/// An advisory lock between processes, held until dropped; the kernel releases it when its holder dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock file at `path`, which is created when it is missing.
    ///
    /// # Errors
    /// [`DurableError::Io`].
    pub fn exclusive(path: &Path) -> Result<Self, DurableError> {
        let file = open_lock(path)?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed("lock", path)(error.into())),
            }
        }
    }

    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    /// [`DurableError::Io`].
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>, DurableError> {
        let file = open_lock(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failed("lock", path)(error.into())),
        }
    }
}

fn open_lock(path: &Path) -> Result<File, DurableError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        // A FIFO in its place must not make us wait for a reader.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(failed("open the lock", path))
}

/// Writes a file that is not there yet, and makes its content durable; its name is so with its directory.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(failed("create", path))?;
    file.write_all(bytes).map_err(failed("write", path))?;
    file.sync_all().map_err(failed("synchronise", path))
}

/// A name beside `path` that no other writer uses, nor one that died before: random, so that what a crash left
/// behind is in nobody's way.
fn temporary_beside(path: &Path) -> Result<PathBuf, DurableError> {
    let random = crate::crypto::random::<8>()
        .map_err(|error| failed("name a temporary file for", path)(io::Error::other(error)))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}.tmp", hex::encode(random))))
}

/// Binds what was tried, and where, to an error of the system.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DurableError {
    let path = path.to_owned();
    move |source| DurableError::Io { action, path, source }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_replaced_file_holds_the_new_bytes_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.json");
        replace(&path, b"old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(read_capped(&path, 3).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_file_over_the_cap_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        replace(&path, &[0; 11]).unwrap();
        assert!(matches!(read_capped(&path, 10), Err(DurableError::TooLarge { max: 10, .. })));
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"x").unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"x");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_held_lock_is_not_taken_twice_and_is_free_once_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::exclusive(&path).unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn a_missing_file_is_told_apart() {
        let error = read_capped(Path::new("/nonexistent/file"), 1).unwrap_err();
        assert!(error.is_not_found());
        assert!(error.to_string().starts_with("cannot open /nonexistent/file: "));
    }
}
