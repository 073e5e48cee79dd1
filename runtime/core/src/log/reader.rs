//! Reading a log folder, or a copy of one, without any key.
//!
//! In scope: finding tiles, bundles and the journal's entries. Out of scope: whether any of it is true
//! ([`super::verify`]). Everything read here is capped first.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::in_memory;
use super::journal::{self, Header, JournalError, MAX_JOURNAL};
use super::note::MAX_NOTE;
use super::tile::{self, Kind, MAX_BUNDLE, Tile, WIDTH, span};
use super::tree::{Hash, Subtrees, root_of};
use crate::durable::{DurableError, read_capped};

/// Why a log folder cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// A file that the checkpoint needs is not there.
    #[error("{} is missing", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// A file ends too early.
    #[error("{} is truncated", path.display())]
    Truncated {
        /// Which file.
        path: PathBuf,
    },
    /// A file goes on where it should end.
    #[error("{} has extra bytes", path.display())]
    ExtraBytes {
        /// Which file.
        path: PathBuf,
    },
    /// The checkpoint is malformed, or its signature is not the pinned key's.
    #[error("{}: {source}", path.display())]
    Checkpoint {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// The journal is damaged, or not by the pinned key.
    #[error("{} {source}", path.display())]
    Journal {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: JournalError,
    },
    /// There is no such entry.
    #[error("the log has no entry {index}; it has {size}")]
    NoEntry {
        /// The index asked for.
        index: u64,
        /// The size of the log.
        size: u64,
    },
}

/// A log folder open for reading.
#[derive(Clone, Debug)]
pub struct LogReader {
    directory: PathBuf,
    note: Vec<u8>,
    checkpoint: Checkpoint,
}

/// The journal of a log folder.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Header,
    header_length: u64,
}

impl LogReader {
    /// Opens the log in `directory` at its published checkpoint.
    ///
    /// # Errors
    /// [`ReadError::Missing`] without a checkpoint, [`ReadError::Checkpoint`] for a malformed one.
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        let path = directory.join("checkpoint");
        let note = read(&path, MAX_NOTE as u64)?.ok_or_else(|| ReadError::Missing { path: path.clone() })?;
        let checkpoint =
            Checkpoint::read_unverified(&note).map_err(|source| ReadError::Checkpoint { path, source })?;
        Ok(Self { directory: directory.to_owned(), note, checkpoint })
    }

    /// The published checkpoint; its signature was not checked.
    #[must_use]
    pub fn unverified_checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The published checkpoint as the signed note that it is.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// Where this log lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The entries with these indices, of those the checkpoint covers and of those only the journal has yet.
    ///
    /// # Errors
    /// [`ReadError`]; the first one ends the iterator.
    pub fn entries(&self, range: Range<u64>) -> impl Iterator<Item = Result<(u64, Vec<u8>), ReadError>> + '_ {
        let published = range.start..range.end.min(self.checkpoint.size);
        let tail = range.start.max(self.checkpoint.size)..range.end;
        let first = published.start / WIDTH;
        let bundles = if published.is_empty() { first..first } else { first..published.end.div_ceil(WIDTH) };
        let published = bundles.flat_map(move |number| {
            let entries = self.bundle(number);
            let wanted = published.clone();
            let list = match entries {
                Ok(entries) => (number * WIDTH..).zip(entries).map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            list.into_iter()
                .filter(move |item| item.as_ref().map_or(true, |(index, _)| wanted.contains(index)))
        });
        published.chain(self.tail(tail))
    }

    /// Number of entries, with those that only the journal has yet.
    ///
    /// # Errors
    /// [`ReadError`] for a damaged journal.
    pub fn size(&self) -> Result<u64, ReadError> {
        let Some(journal) = self.journal()? else { return Ok(self.checkpoint.size) };
        let mut size = journal.header.base();
        journal.for_each(|_, _| size += 1)?;
        Ok(size.max(self.checkpoint.size))
    }

    fn tail(&self, wanted: Range<u64>) -> Vec<Result<(u64, Vec<u8>), ReadError>> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let mut list = Vec::new();
        let read = self.journal().and_then(|journal| match journal {
            Some(journal) => journal.for_each(|index, entry| {
                if wanted.contains(&index) {
                    list.push(Ok((index, entry.to_vec())));
                }
            }),
            None => Ok(false),
        });
        if let Err(error) = read {
            list.push(Err(error));
        }
        list
    }

    /// The entries of one bundle, as many as the checkpoint covers.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn bundle(&self, number: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        let (path, bytes) = self.bundle_bytes(number)?;
        let width = self.width(Kind::Entries, number);
        let entries: Option<Vec<_>> = tile::entries(&bytes).map(|entry| entry.map(<[u8]>::to_vec)).collect();
        let entries = entries.ok_or_else(|| ReadError::Truncated { path: path.clone() })?;
        match (entries.len() as u64).cmp(&width) {
            std::cmp::Ordering::Less => Err(ReadError::Truncated { path }),
            std::cmp::Ordering::Equal => Ok(entries),
            std::cmp::Ordering::Greater => Err(ReadError::ExtraBytes { path }),
        }
    }

    /// The bytes of one bundle, cut to what the checkpoint covers, and the file they came from.
    pub(super) fn bundle_bytes(&self, number: u64) -> Result<(PathBuf, Vec<u8>), ReadError> {
        let tile = Tile { kind: Kind::Entries, number, width: self.width(Kind::Entries, number) };
        let (path, mut bytes) = self.file(&tile, MAX_BUNDLE)?;
        if tile.is_partial() && path.ends_with(tile.full_path()) {
            let kept = tile::entries(&bytes)
                .take(in_memory(tile.width))
                .map(|entry| entry.map_or(0, |entry| entry.len() + 2));
            let kept = kept.sum();
            bytes.truncate(kept);
        }
        Ok((path, bytes))
    }

    /// The bytes of one tile of hashes, cut to what the checkpoint covers, and the file they came from.
    pub(super) fn hash_bytes(&self, level: u8, number: u64) -> Result<(PathBuf, Vec<u8>), ReadError> {
        let kind = Kind::Hashes { level };
        let tile = Tile { kind, number, width: self.width(kind, number) };
        let (path, mut bytes) = self.file(&tile, WIDTH * 32)?;
        let expected = in_memory(tile.width) * 32;
        if tile.is_partial() && path.ends_with(tile.full_path()) && bytes.len() as u64 == WIDTH * 32 {
            bytes.truncate(expected);
        }
        match bytes.len().cmp(&expected) {
            std::cmp::Ordering::Less => Err(ReadError::Truncated { path }),
            std::cmp::Ordering::Equal => Ok((path, bytes)),
            std::cmp::Ordering::Greater => Err(ReadError::ExtraBytes { path }),
        }
    }

    /// The file of a tile; the full one where the partial one is gone (tlog-tiles, "Partial Tiles").
    fn file(&self, tile: &Tile, max: u64) -> Result<(PathBuf, Vec<u8>), ReadError> {
        let path = self.directory.join(tile.path());
        if let Some(bytes) = read(&path, max)? {
            return Ok((path, bytes));
        }
        let full = self.directory.join(tile.full_path());
        match read(&full, max)? {
            Some(bytes) => Ok((full, bytes)),
            None => Err(ReadError::Missing { path }),
        }
    }

    fn width(&self, kind: Kind, number: u64) -> u64 {
        let elements = match kind {
            Kind::Entries => self.checkpoint.size,
            Kind::Hashes { level } => span(level).map_or(0, |span| self.checkpoint.size / span),
        };
        elements.saturating_sub(number * WIDTH).min(WIDTH)
    }

    /// The journal, if the folder has one. Its header's signature was not checked.
    ///
    /// # Errors
    /// [`ReadError::Journal`] if it is malformed.
    pub fn journal(&self) -> Result<Option<JournalReader>, ReadError> {
        Self::journal_in(&self.directory)
    }

    /// As [`LogReader::journal`], of a folder that may have no checkpoint yet.
    pub(super) fn journal_in(directory: &Path) -> Result<Option<JournalReader>, ReadError> {
        let path = directory.join("journal");
        let Some(bytes) = read(&path, MAX_JOURNAL)? else { return Ok(None) };
        let header = Header::read_unverified(&bytes);
        let (header, header_length) =
            header.map_err(|source| ReadError::Journal { path: path.clone(), source })?;
        Ok(Some(JournalReader { path, bytes, header, header_length }))
    }
}

impl JournalReader {
    /// The state of the log at the journal's base.
    #[must_use]
    pub fn unverified_header(&self) -> &Header {
        &self.header
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hands each entry and its index to `visit`; tells whether remains of a torn write follow the last one.
    ///
    /// # Errors
    /// [`ReadError::Journal`] if it is damaged.
    pub fn for_each(&self, mut visit: impl FnMut(u64, &[u8])) -> Result<bool, ReadError> {
        let body = self.bytes.get(in_memory(self.header_length)..).unwrap_or_default();
        let scan = journal::scan(body, self.header_length, &self.header.salt, self.header.base());
        let scan = scan.map_err(|source| ReadError::Journal { path: self.path.clone(), source })?;
        let entries = scan.batches.iter().flat_map(|batch| tile::entries(batch.body)).flatten();
        (self.header.base()..).zip(entries).for_each(|(index, entry)| visit(index, entry));
        Ok(scan.torn)
    }
}

impl Subtrees for LogReader {
    type Error = ReadError;

    fn subtree(&self, low: u64, high: u64) -> Result<Hash, ReadError> {
        let height = (high - low).trailing_zeros();
        let level = height / 8;
        let span = 1_u64 << (level * 8);
        let (first, count) = (low / span, (high - low) / span);
        let (path, bytes) = self.hash_bytes(u8::try_from(level).unwrap_or(u8::MAX), first / WIDTH)?;
        let (hashes, _) = bytes.as_chunks::<32>();
        let start = in_memory(first % WIDTH);
        let run = hashes.get(start..start + in_memory(count)).ok_or(ReadError::Truncated { path })?;
        Ok(root_of(run))
    }
}

/// A whole file; `None` if there is none.
pub(super) fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, ReadError> {
    match read_capped(path, max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(DurableError::Io { source, .. }) => {
            Err(ReadError::Io { path: path.to_owned(), source: Arc::new(source) })
        }
        Err(DurableError::TooLarge { .. }) => Err(ReadError::ExtraBytes { path: path.to_owned() }),
    }
}
