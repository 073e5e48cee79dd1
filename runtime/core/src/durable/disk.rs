//! The disk as a parameter: the few calls that a writer makes, so that tests can fail, tear and forget each of them (I8).
//!
//! In scope: the calls and the real disk behind them. Out of scope: what is written ([`crate::log`]).
//!
//! What a caller may rely on after a power cut: bytes that a successful [`DiskFile::sync_data`] covered, and names that
//! a successful [`Disk::sync_directory`] covered. Everything else may be there, be missing, or be there in part.
//! A failed synchronisation leaves both open, and a later success says nothing about those bytes unless they were
//! written again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{FILE_MODE, create_private_dir, read_capped, sync_directory};

/// Tells one file from another that later took its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
}

/// The calls on names.
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing; `None` if there is none.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>>;

    /// Creates an empty file in place of whatever stood there.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Which file has this name now; `None` if there is none.
    ///
    /// # Errors
    /// The system's.
    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>>;

    /// A whole file of at most `max` bytes; `None` if there is none.
    ///
    /// # Errors
    /// The system's, and `FileTooLarge`.
    fn read(&self, path: &Path, max: u64) -> io::Result<Option<Vec<u8>>>;

    /// The names in a directory, in no order; empty if there is none.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Gives a file another name, in place of whatever had it.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a directory and the files in it, if it exists.
    ///
    /// # Errors
    /// The system's.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its parents for the owner alone.
    ///
    /// # Errors
    /// The system's.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Opens the lock between processes at `path`, without taking it.
    ///
    /// # Errors
    /// The system's.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;

    /// A text that changes when un-synchronised data may have been lost: at each start of the machine. Empty when
    /// that is not known.
    fn boot(&self) -> String;
}

/// The calls on an open file.
pub trait DiskFile: Send {
    /// Which file this is.
    ///
    /// # Errors
    /// The system's.
    fn identity(&self) -> io::Result<FileIdentity>;

    /// Its length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on; gives how many there were before the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The system's; an unknown part of the bytes may then be written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or extends it with zeroes.
    ///
    /// # Errors
    /// The system's.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes content and length durable (`fdatasync`).
    ///
    /// # Errors
    /// The system's; never to be tried again on the same bytes.
    fn sync_data(&self) -> io::Result<()>;
}

/// A lock between processes.
pub trait DiskLock: Send {
    /// Waits until nobody else has it.
    ///
    /// # Errors
    /// The system's.
    fn acquire(&self) -> io::Result<()>;

    /// Gives it back. The system does so for a process that died.
    fn release(&self);

    /// The short text kept in the lock file.
    ///
    /// # Errors
    /// The system's.
    fn text(&self) -> io::Result<String>;

    /// Replaces that text.
    ///
    /// # Errors
    /// The system's.
    fn set_text(&self, text: &str) -> io::Result<()>;
}

/// The machine's own disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

/// The longest text in a lock file.
const LOCK_TEXT: usize = 128;

impl Disk for SystemDisk {
    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        let file = present(OpenOptions::new().read(true).write(true).open(path))?;
        Ok(file.map(|file| Box::new(file) as Box<dyn DiskFile>))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
        Ok(Box::new(options.open(path)?))
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        Ok(present(fs::metadata(path))?.map(|metadata| identity_of(&metadata)))
    }

    fn read(&self, path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
        match read_capped(path, max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(super::DurableError::Io { source, .. }) => present(Err(source)),
            Err(super::DurableError::TooLarge { .. }) => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let Some(listing) = present(fs::read_dir(path))? else { return Ok(Vec::new()) };
        listing.map(|found| Ok(found?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        present(fs::remove_dir_all(path)).map(|_| ())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        create_private_dir(path).map_err(into_io)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        sync_directory(path).map_err(into_io)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        Ok(Box::new(SystemLock(options.open(path)?)))
    }

    fn boot(&self) -> String {
        let id = read_capped(Path::new("/proc/sys/kernel/random/boot_id"), LOCK_TEXT as u64);
        id.ok().and_then(|id| String::from_utf8(id).ok()).map(|id| id.trim().to_owned()).unwrap_or_default()
    }
}

impl DiskFile for File {
    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(identity_of(&self.metadata()?))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match std::os::unix::fs::FileExt::read_at(self, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}

struct SystemLock(File);

impl DiskLock for SystemLock {
    fn acquire(&self) -> io::Result<()> {
        loop {
            match flock(&self.0, FlockOperation::LockExclusive) {
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn release(&self) {
        // Cannot fail on a descriptor that holds the lock; and the lock ends with the descriptor at the latest.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }

    fn text(&self) -> io::Result<String> {
        let mut bytes = vec![0; LOCK_TEXT];
        let length = DiskFile::read_at(&self.0, 0, &mut bytes)?;
        bytes.truncate(length);
        Ok(String::from_utf8(bytes).unwrap_or_default())
    }

    fn set_text(&self, text: &str) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.write_all_at(text.as_bytes(), 0)
    }
}

fn identity_of(metadata: &fs::Metadata) -> FileIdentity {
    FileIdentity { device: metadata.dev(), inode: metadata.ino() }
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn into_io(error: super::DurableError) -> io::Error {
    match error {
        super::DurableError::Io { source, .. } => source,
        super::DurableError::TooLarge { .. } => io::ErrorKind::FileTooLarge.into(),
    }
}
