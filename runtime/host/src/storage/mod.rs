//! The agent's own directory: where it is, how long it lasts, how much it holds.
//!
//! In scope: making and removing the directory, the quota and its enforcement at every call that could make it grow. Out of
//! scope: path resolution, which is wasmtime-wasi's (it stays below the directory that it was given).
//!
//! Keeps I7. What is counted is the logical size of each file, so a sparse file costs what it claims to be.

mod files;
mod stream;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kos_core::durable::{self, DurableError, Lock};

pub(crate) use files::add_to_linker;

/// Where an agent finds its directory.
pub(crate) const GUEST_PATH: &str = "/data";

/// Why an agent cannot have its directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another run of the same agent has it.
    #[error("the agent's storage is in use by another run of it")]
    Busy,
    /// The file system refused.
    #[error(transparent)]
    Durable(#[from] DurableError),
}

/// A directory that one run has to itself.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    is_temporary: bool,
    _lock: Option<Lock>,
}

impl Directory {
    /// A directory that is removed after the run.
    pub(crate) fn temporary(storage: &Path, run: &str) -> Result<Self, StorageError> {
        let path = temporary_path(storage, run);
        durable::create_private_dir(&path)?;
        Ok(Self { path, is_temporary: true, _lock: None })
    }

    /// The directory that the agent found at its last run.
    pub(crate) fn persistent(storage: &Path, agent: &str) -> Result<Self, StorageError> {
        let lock = Lock::try_exclusive(&storage.join(format!("{agent}.lock")))?.ok_or(StorageError::Busy)?;
        let path = storage.join(agent);
        if !path.is_dir() {
            durable::create_private_dir(&path)?;
        }
        Ok(Self { path, is_temporary: false, _lock: Some(lock) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.is_temporary
    }

    /// Removes all that is in the directory.
    pub(crate) fn empty(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.is_temporary {
            remove(&self.path);
        }
    }
}

/// Removes the temporary directory of a run whose host died, if it had one. Identifiers come from the log; what is not made as ours
/// are names no directory.
pub(crate) fn remove_left_behind(storage: &Path, run: &str) {
    if !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        remove(&temporary_path(storage, run));
    }
}

fn temporary_path(storage: &Path, run: &str) -> PathBuf {
    storage.join(format!("run-{run}"))
}

fn remove(directory: &Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %directory.display(), "a temporary directory remains");
        }
        Ok(()) | Err(_) => {}
    }
}

/// What one directory holds, and may hold.
#[derive(Debug)]
struct Usage {
    bytes: AtomicU64,
    most_bytes: u64,
    files: AtomicU64,
    most_files: u64,
}

/// The directory is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Full;

impl Usage {
    fn take(counter: &AtomicU64, amount: u64, most: u64) -> Result<(), Full> {
        counter
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(amount).filter(|sum| *sum <= most)
            })
            .map(drop)
            .map_err(|_| Full)
    }

    fn give_back(counter: &AtomicU64, amount: u64) {
        let lowered = |used: u64| Some(used.saturating_sub(amount));
        let _ = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, lowered);
    }

    fn take_bytes(&self, amount: u64) -> Result<(), Full> {
        Self::take(&self.bytes, amount, self.most_bytes)
    }

    fn give_back_bytes(&self, amount: u64) {
        Self::give_back(&self.bytes, amount);
    }

    fn take_file(&self) -> Result<(), Full> {
        Self::take(&self.files, 1, self.most_files)
    }

    fn give_back_file(&self) {
        Self::give_back(&self.files, 1);
    }
}

/// A file that the agent has open, shared by its descriptors and streams.
#[derive(Debug)]
struct OpenFile {
    size: Mutex<u64>,
    usage: Arc<Usage>,
}

impl OpenFile {
    /// Makes room for the file to reach `end`.
    fn grow_to(&self, end: u64) -> Result<(), Full> {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(growth) = end.checked_sub(*size) {
            self.usage.take_bytes(growth)?;
            *size = end;
        }
        Ok(())
    }

    /// Makes room for `length` more bytes at the end.
    fn append(&self, length: u64) -> Result<(), Full> {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let end = size.checked_add(length).ok_or(Full)?;
        self.usage.take_bytes(length)?;
        *size = end;
        Ok(())
    }

    /// The file now ends at `end`, if that is less than before.
    fn shrink_to(&self, end: u64) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(freed) = size.checked_sub(end) {
            self.usage.give_back_bytes(freed);
            *size = end;
        }
    }
}

/// Which file it is, whatever it is called.
type FileIdentity = (u64, u64);

/// The quota of one run, and the files that the run has open.
#[derive(Debug)]
pub(crate) struct Quota {
    usage: Arc<Usage>,
    open: HashMap<FileIdentity, Weak<OpenFile>>,
    descriptors: HashMap<u32, Arc<OpenFile>>,
}

impl Quota {
    /// Counts what is in `directory` already. `bytes` and `files` are the most that it may come to hold.
    pub(crate) fn of(directory: &Path, bytes: u64, files: u64) -> std::io::Result<Self> {
        let (used_bytes, used_files) = measure(directory)?;
        let usage = Usage {
            bytes: AtomicU64::new(used_bytes),
            most_bytes: bytes,
            files: AtomicU64::new(used_files),
            most_files: files,
        };
        Ok(Self { usage: Arc::new(usage), open: HashMap::new(), descriptors: HashMap::new() })
    }

    /// Whether there is anything in the directory.
    pub(crate) fn holds_anything(&self) -> bool {
        self.usage.files.load(Ordering::Acquire) > 0
    }

    /// The same quota for another instance, which has nothing open.
    pub(crate) fn of_next_instance(self) -> Self {
        Self { open: HashMap::new(), descriptors: HashMap::new(), ..self }
    }

    fn opened(&mut self, descriptor: u32, identity: FileIdentity, size: u64) -> Arc<OpenFile> {
        let known = self.open.get(&identity).and_then(Weak::upgrade);
        let file = known.unwrap_or_else(|| {
            self.open.retain(|_, file| file.strong_count() > 0);
            let file = Arc::new(OpenFile { size: Mutex::new(size), usage: Arc::clone(&self.usage) });
            self.open.insert(identity, Arc::downgrade(&file));
            file
        });
        self.descriptors.insert(descriptor, Arc::clone(&file));
        file
    }

    /// Whether removing this file would leave it on disk, out of sight of the count.
    fn is_open(&self, identity: FileIdentity) -> bool {
        self.open.get(&identity).is_some_and(|file| file.strong_count() > 0)
    }
}

/// Bytes and number of everything below `directory`.
fn measure(directory: &Path) -> std::io::Result<(u64, u64)> {
    let (mut bytes, mut files) = (0_u64, 0_u64);
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            files = files.saturating_add(1);
            if metadata.is_dir() {
                directories.push(entry.path());
            } else {
                bytes = bytes.saturating_add(metadata.len());
            }
        }
    }
    Ok((bytes, files))
}

#[cfg(test)]
mod tests;
