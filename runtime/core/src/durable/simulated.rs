//! A disk in memory that fails, tears and forgets as real ones do, for crash tests (I8).
//!
//! In scope: what a process sees (the page cache) apart from what a power cut leaves. Writes, lengths and names that were not
//! synchronised survive a cut in any combination: bytes sector by sector, names one by one. A synchronisation that
//! fails leaves its bytes persisted or not, and clean either way, so that a later success says nothing about them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile, DiskLock, FileIdentity};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What happens at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails and has no effect.
    Refused(i32),
    /// The call fails, though it had its effect.
    Lied(i32),
    /// The call fails and has no effect, and the process dies before it can do anything about that.
    RefusedThenKilled(i32),
    /// The process dies before the call.
    Killed,
}

/// `EIO` and `ENOSPC` on Linux.
pub(crate) const IO_ERROR: i32 = 5;
pub(crate) const NO_SPACE: i32 = 28;

/// A disk in memory. Clones share it, as processes do.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    files: BTreeMap<u64, Content>,
    /// Names as processes see them, and as they are on the medium.
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<NameChange>,
    directories: BTreeSet<PathBuf>,
    locks: BTreeMap<PathBuf, String>,
    next: u64,
    boots: u64,
    calls: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
}

#[derive(Default, Clone)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone)]
enum NameChange {
    Put(PathBuf, u64),
    Move(PathBuf, PathBuf, u64),
    Removed(PathBuf),
}

impl SimulatedDisk {
    /// Lets the call with this number, counted from now, meet `fault`.
    pub(crate) fn fail_at(&self, call: u64, fault: Fault) {
        let mut inner = self.inner();
        inner.calls = 0;
        inner.fault = Some((call, fault));
    }

    /// Calls made since the last [`SimulatedDisk::fail_at`].
    pub(crate) fn calls(&self) -> u64 {
        self.inner().calls
    }

    /// Whether the fault has not been met yet.
    pub(crate) fn is_armed(&self) -> bool {
        self.inner().fault.is_some()
    }

    /// A new process on the same running machine.
    pub(crate) fn revive(&self) {
        let mut inner = self.inner();
        (inner.dead, inner.fault) = (false, None);
    }

    /// Cuts the power and starts the machine again: of everything not synchronised, `luck` picks what survives.
    pub(crate) fn cut_power(&self, luck: &mut impl FnMut() -> bool) {
        let mut inner = self.inner();
        (inner.dead, inner.fault) = (false, None);
        inner.boots += 1;
        for content in inner.files.values_mut() {
            for change in std::mem::take(&mut content.pending) {
                change.persist(&mut content.durable, luck);
            }
            content.cached = content.durable.clone();
        }
        for change in std::mem::take(&mut inner.pending_names) {
            if luck() {
                change.apply(&mut inner.durable_names);
            }
        }
        inner.names = inner.durable_names.clone();
        let names = inner.names.clone();
        inner.directories.extend(names.keys().filter_map(|path| path.parent()).map(Path::to_owned));
    }

    /// A copy that shares nothing with this one.
    pub(crate) fn snapshot(&self) -> Self {
        let inner = self.inner();
        Self(Arc::new(Mutex::new(Inner {
            files: inner.files.clone(),
            names: inner.names.clone(),
            durable_names: inner.durable_names.clone(),
            pending_names: inner.pending_names.clone(),
            directories: inner.directories.clone(),
            locks: inner.locks.clone(),
            next: inner.next,
            boots: inner.boots,
            ..Inner::default()
        })))
    }

    /// Writes what processes see into a real folder, for a verifier that reads one.
    pub(crate) fn export(&self, from: &Path, to: &Path) -> io::Result<()> {
        let inner = self.inner();
        for (path, file) in &inner.names {
            let Ok(name) = path.strip_prefix(from) else { continue };
            let target = to.join(name);
            std::fs::create_dir_all(target.parent().unwrap_or(to))?;
            std::fs::write(
                target,
                inner.files.get(file).map(|content| &content.cached[..]).unwrap_or_default(),
            )?;
        }
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; meets the fault if its turn has come.
    fn call<T>(&self, effect: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.inner();
        if inner.dead {
            return Err(io::Error::other("the process is dead"));
        }
        let number = inner.calls;
        inner.calls += 1;
        match inner.fault {
            Some((at, fault)) if at == number => {
                inner.fault = None;
                match fault {
                    Fault::Refused(code) => Err(io::Error::from_raw_os_error(code)),
                    Fault::Lied(code) => {
                        let _ = effect(&mut inner);
                        Err(io::Error::from_raw_os_error(code))
                    }
                    Fault::RefusedThenKilled(code) => {
                        inner.dead = true;
                        Err(io::Error::from_raw_os_error(code))
                    }
                    Fault::Killed => {
                        inner.dead = true;
                        Err(io::Error::other("the process is dead"))
                    }
                }
            }
            _ => effect(&mut inner),
        }
    }
}

impl Inner {
    fn put(&mut self, path: &Path) -> u64 {
        self.next += 1;
        let file = self.next;
        self.files.insert(file, Content::default());
        self.names.insert(path.to_owned(), file);
        self.pending_names.push(NameChange::Put(path.to_owned(), file));
        file
    }

    fn content(&mut self, file: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => {
                bytes.resize(bytes.len().max(offset + written.len()), 0);
                if let Some(place) = bytes.get_mut(*offset..offset + written.len()) {
                    place.copy_from_slice(written);
                }
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }

    /// As [`Change::apply`], but each sector has its own luck.
    fn persist(&self, bytes: &mut Vec<u8>, luck: &mut impl FnMut() -> bool) {
        match self {
            Self::Write(offset, written) => {
                let mut start = 0;
                while start < written.len() {
                    let end = ((offset + start) / SECTOR + 1) * SECTOR - offset;
                    let end = end.min(written.len());
                    if luck() {
                        let sector = written.get(start..end).unwrap_or_default().to_vec();
                        Self::Write(offset + start, sector).apply(bytes);
                    }
                    start = end;
                }
            }
            Self::Length(_) if luck() => self.apply(bytes),
            Self::Length(_) => {}
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Put(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Move(from, to, file) => {
                names.retain(|path, other| path != from || other != file);
                names.insert(to.clone(), *file);
            }
            Self::Removed(directory) => names.retain(|path, _| !path.starts_with(directory)),
        }
    }

    fn is_in(&self, directory: &Path) -> bool {
        match self {
            Self::Put(path, _) | Self::Move(_, path, _) | Self::Removed(path) => {
                path.parent() == Some(directory)
            }
        }
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    file: u64,
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        let found = self.call(|inner| Ok(inner.names.get(path).copied()))?;
        Ok(found.map(|file| Box::new(SimulatedFile { disk: self.clone(), file }) as Box<dyn DiskFile>))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.call(|inner| Ok(inner.put(path)))?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        self.call(|inner| {
            let directory =
                inner.names.keys().any(|name| name.starts_with(path) && name != path).then_some(0);
            Ok(inner.names.get(path).copied().or(directory).map(|inode| FileIdentity { device: 0, inode }))
        })
    }

    fn read(&self, path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
        self.call(|inner| {
            let Some(file) = inner.names.get(path).copied() else { return Ok(None) };
            let bytes = inner.content(file)?.cached.clone();
            if bytes.len() as u64 > max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(Some(bytes)) }
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.call(|inner| {
            let inside = inner.names.keys().filter(|name| name.parent() == Some(path));
            Ok(inside
                .filter_map(|name| name.file_name())
                .map(|name| name.to_string_lossy().into_owned())
                .collect())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|inner| {
            if !inner.directories.contains(to.parent().unwrap_or(to)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let file = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            inner.names.insert(to.to_owned(), file);
            inner.pending_names.push(NameChange::Move(from.to_owned(), to.to_owned(), file));
            Ok(())
        })
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.call(|inner| {
            inner.names.retain(|name, _| !name.starts_with(path));
            inner.pending_names.push(NameChange::Removed(path.to_owned()));
            Ok(())
        })
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.call(|inner| {
            inner.directories.extend(path.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.call(|inner| {
            let (inside, outside) =
                std::mem::take(&mut inner.pending_names).into_iter().partition(|change| change.is_in(path));
            let (inside, mut outside): (Vec<NameChange>, Vec<NameChange>) = (inside, outside);
            for change in &inside {
                if let NameChange::Removed(directory) = change {
                    outside.retain(|other| !other.is_in(directory));
                }
            }
            inner.pending_names = outside;
            inside.iter().for_each(|change| change.apply(&mut inner.durable_names));
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.call(|inner| {
            inner.locks.entry(path.to_owned()).or_default();
            Ok(())
        })?;
        Ok(Box::new(SimulatedLock { disk: self.clone(), path: path.to_owned() }))
    }

    fn boot(&self) -> String {
        format!("boot {}", self.inner().boots)
    }
}

impl DiskFile for SimulatedFile {
    fn identity(&self) -> io::Result<FileIdentity> {
        self.disk.call(|_| Ok(FileIdentity { device: 0, inode: self.file }))
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.call(|inner| Ok(inner.content(self.file)?.cached.len() as u64))
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.disk.call(|inner| {
            let content = inner.content(self.file)?;
            let found = content.cached.get(in_memory(offset)..).unwrap_or_default();
            let count = found.len().min(bytes.len());
            bytes.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
            Ok(count)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Change::Write(in_memory(offset), bytes.to_vec()))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(in_memory(length)))
    }

    fn sync_data(&self) -> io::Result<()> {
        // A failure makes the pages clean, whether or not they reached the medium.
        let mut reached = false;
        let synced = self.disk.call(|inner| {
            reached = true;
            let content = inner.content(self.file)?;
            for change in std::mem::take(&mut content.pending) {
                change.apply(&mut content.durable);
            }
            Ok(())
        });
        let refused = synced.as_ref().is_err_and(|error| error.raw_os_error().is_some());
        if refused && !reached {
            self.disk.inner().content(self.file)?.pending.clear();
        }
        synced
    }
}

impl SimulatedFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let half = match &change {
            Change::Write(offset, bytes) => {
                Some(Change::Write(*offset, bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec()))
            }
            Change::Length(_) => None,
        };
        let mut reached = false;
        let changed = self.disk.call(|inner| {
            reached = true;
            let content = inner.content(self.file)?;
            change.apply(&mut content.cached);
            content.pending.push(change);
            Ok(())
        });
        if let (Some(half), false) = (half, reached) {
            // A write that fails, or whose process dies in it, has written some of its bytes.
            let mut inner = self.disk.inner();
            let content = inner.content(self.file)?;
            half.apply(&mut content.cached);
            content.pending.push(half);
        }
        changed
    }
}

struct SimulatedLock {
    disk: SimulatedDisk,
    path: PathBuf,
}

impl DiskLock for SimulatedLock {
    fn acquire(&self) -> io::Result<()> {
        self.disk.call(|_| Ok(()))
    }

    fn release(&self) {}

    fn text(&self) -> io::Result<String> {
        self.disk.call(|inner| Ok(inner.locks.get(&self.path).cloned().unwrap_or_default()))
    }

    fn set_text(&self, text: &str) -> io::Result<()> {
        self.disk.call(|inner| {
            inner.locks.insert(self.path.clone(), text.to_owned());
            Ok(())
        })
    }
}

/// A position on this disk, which is in memory.
fn in_memory(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
