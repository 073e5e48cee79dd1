//! The offline verifier: a log folder, or a copy of one, against a pinned key.
//!
//! In scope: every byte of checkpoint, tiles and journal. Out of scope: the lock file, which says nothing. Memory stays
//! constant whatever the size of the log. Keeps I9; what no verifier can see without a pinned checkpoint is that a log was cut
//! back to an older one (DESIGN §10).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::entry::{Entry, EntryError};
use super::followed::{Change, Followed};
use super::in_memory;
use super::journal::Header;
use super::note::Vkey;
use super::reader::{JournalReader, LogReader, ReadError, read};
use super::tile::{self, Edge, FullTile, Kind, MAX_BUNDLE, Tile, WIDTH};
use super::tree::{Hash, leaf_hash};
use crate::clock::Timestamp;

/// What is wrong with a log.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A file is missing, truncated, too long or malformed, or its signature is not by the pinned key.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry is not what the host signed.
    #[error("entry {index} was altered: {cause}")]
    AlteredEntry {
        /// Its index.
        index: u64,
        /// What is wrong with it.
        cause: EntryError,
    },
    /// An entry is older than the one before it.
    #[error("entry {index} is older than the entry before it")]
    OutOfOrder {
        /// Its index.
        index: u64,
    },
    /// A tile is not made of the hashes of the entries: it was altered, or files were swapped.
    #[error("{} does not fit the entries", path.display())]
    Mismatch {
        /// Which file.
        path: PathBuf,
    },
    /// The entries do not have the root that the checkpoint names.
    #[error("the entries do not have the root that was signed for {size} entries")]
    WrongRoot {
        /// The size of the checkpoint.
        size: u64,
    },
    /// The pinned checkpoint does not verify.
    #[error("the pinned checkpoint: {0}")]
    Pinned(CheckpointError),
    /// The log is shorter than it once was.
    #[error("the log was cut back: {pinned} entries were pinned, and it has {found}")]
    OlderThanPinned {
        /// Size of the pinned checkpoint.
        pinned: u64,
        /// Size of the log.
        found: u64,
    },
    /// The log is not a continuation of what was pinned.
    #[error("history was rewritten: the first {pinned} entries are not those that were pinned")]
    Inconsistent {
        /// Size of the pinned checkpoint.
        pinned: u64,
    },
    /// The journal says otherwise than tiles and checkpoint.
    #[error("{} contradicts the checkpoint", path.display())]
    JournalMismatch {
        /// The journal.
        path: PathBuf,
    },
}

/// What a verified log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The published checkpoint.
    pub checkpoint: Checkpoint,
    /// Time of the first entry.
    pub first: Option<Timestamp>,
    /// Time of the last entry under the checkpoint.
    pub last: Option<Timestamp>,
    /// Entries that the journal has beyond the checkpoint, verified as well.
    pub tail: u64,
    /// Whether the journal ends in the remains of a torn write, as after a power cut. Such remains were told to nobody as
    /// written.
    pub torn: bool,
}

/// Verifies the log in `directory` against `key`, and that it continues the checkpoint `pinned`, a signed note kept from
/// before.
///
/// # Errors
/// [`VerifyError`]: the first flaw that is found.
pub fn verify(directory: &Path, key: &Vkey, pinned: Option<&[u8]>) -> Result<Report, VerifyError> {
    let log = LogReader::open(directory)?;
    let checkpoint = Checkpoint::open(log.note(), key);
    let checkpoint =
        checkpoint.map_err(|source| ReadError::Checkpoint { path: directory.join("checkpoint"), source })?;
    let pinned = pinned.map(|note| Checkpoint::open(note, key)).transpose().map_err(VerifyError::Pinned)?;
    if let Some(pinned) = pinned.as_ref().filter(|pinned| pinned.size > checkpoint.size) {
        return Err(VerifyError::OlderThanPinned { pinned: pinned.size, found: checkpoint.size });
    }
    let journal = log.journal()?;
    let header = journal.as_ref().map(|journal| open_header(journal, key)).transpose()?;
    if let (Some(journal), Some(header)) = (&journal, &header)
        && (header.base() > checkpoint.size || header.origin != key.name())
    {
        return Err(VerifyError::JournalMismatch { path: journal.path().to_owned() });
    }
    let mut pass = Pass {
        log: &log,
        key,
        edge: Edge::default(),
        times: None,
        followed: Followed::default(),
        kept: Vec::new(),
    };
    pass.landmarks(0, pinned.as_ref(), header.as_ref(), journal.as_ref())?;
    for number in 0..checkpoint.size.div_ceil(WIDTH) {
        let (path, bytes) = log.bundle_bytes(number)?;
        pass.bundle(number, &path, &bytes, |pass| {
            pass.landmarks(pass.edge.size(), pinned.as_ref(), header.as_ref(), journal.as_ref())
        })?;
    }
    pass.right_edge()?;
    if pass.edge.root() != checkpoint.root {
        return Err(VerifyError::WrongRoot { size: checkpoint.size });
    }
    let (first, last) = (pass.times.map(|times| times.0), pass.times.map(|times| times.1));
    let (tail, torn) = match journal {
        Some(journal) => pass.journal(&journal)?,
        None => (0, false),
    };
    Ok(Report { checkpoint, first, last, tail, torn })
}

fn open_header(journal: &JournalReader, key: &Vkey) -> Result<Header, VerifyError> {
    let opened = Header::open(journal.bytes(), &key.did());
    let path = journal.path().to_owned();
    Ok(opened.map_err(|source| ReadError::Journal { path, source })?.0)
}

/// One pass over the entries.
struct Pass<'a> {
    log: &'a LogReader,
    key: &'a Vkey,
    edge: Edge,
    times: Option<(Timestamp, Timestamp)>,
    followed: Followed,
    /// Leaf hashes from the journal's base on.
    kept: Vec<Hash>,
}

impl Pass<'_> {
    /// Takes in the entries of one bundle, and compares the tiles that they fill.
    fn bundle(
        &mut self,
        number: u64,
        path: &Path,
        bytes: &[u8],
        mut at_each: impl FnMut(&mut Self) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let size = self.log.unverified_checkpoint().size;
        let width = (size - number * WIDTH).min(WIDTH);
        let (hash_path, hashes) = self.log.hash_bytes(0, number)?;
        let (hashes, _) = hashes.as_chunks::<32>();
        let mut full: Vec<FullTile> = Vec::new();
        let mut entries = tile::entries(bytes);
        for expected in hashes {
            let truncated = || ReadError::Truncated { path: path.to_owned() };
            let entry = entries.next().flatten().ok_or_else(truncated)?;
            let leaf = leaf_hash(entry);
            self.entry(entry)?;
            if leaf != *expected {
                return Err(VerifyError::Mismatch { path: hash_path });
            }
            self.edge.push(leaf, |tile| full.push(tile));
            self.kept.push(leaf);
            at_each(self)?;
        }
        if entries.next().is_some() {
            return Err(ReadError::ExtraBytes { path: path.to_owned() }.into());
        }
        self.partials(&Tile { kind: Kind::Entries, number, width }, bytes)?;
        for FullTile { tile, bytes } in full {
            self.compare(&tile, &bytes)?;
        }
        Ok(())
    }

    /// Checks an entry by itself and against the one before it.
    fn entry(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        let index = self.edge.size();
        let entry = Entry::verify(bytes, &self.key.did());
        let entry = entry.map_err(|cause| VerifyError::AlteredEntry { index, cause })?;
        let (first, last) = self.times.unwrap_or((entry.timestamp, entry.timestamp));
        if entry.timestamp < last {
            return Err(VerifyError::OutOfOrder { index });
        }
        self.times = Some((first, entry.timestamp));
        self.followed.apply(index, Change::of(&entry, index));
        Ok(())
    }

    /// Compares what is known at certain sizes: the pinned checkpoint, and the journal's base.
    fn landmarks(
        &mut self,
        size: u64,
        pinned: Option<&Checkpoint>,
        header: Option<&Header>,
        journal: Option<&JournalReader>,
    ) -> Result<(), VerifyError> {
        if pinned.is_some_and(|pinned| pinned.size == size && pinned.root != self.edge.root()) {
            return Err(VerifyError::Inconsistent { pinned: size });
        }
        let (open_runs, noted_vaults, engaged) =
            if size.is_multiple_of(WIDTH) { self.followed.rebase(size) } else { Default::default() };
        if let (Some(header), Some(journal)) = (header, journal)
            && header.base() == size
            && (header.edge != self.edge
                || header.open_runs != open_runs
                || header.noted_vaults != noted_vaults
                || header.engaged != engaged)
        {
            return Err(VerifyError::JournalMismatch { path: journal.path().to_owned() });
        }
        if header.is_none_or(|header| header.base() >= size) {
            self.kept.clear();
        }
        Ok(())
    }

    /// Compares the partial tiles at the right edge.
    fn right_edge(&self) -> Result<(), VerifyError> {
        for (tile, bytes) in self.edge.partials() {
            self.compare(&tile, &bytes)?;
        }
        Ok(())
    }

    fn compare(&self, tile: &Tile, expected: &[u8]) -> Result<(), VerifyError> {
        if let Kind::Hashes { level } = tile.kind {
            let (path, bytes) = self.log.hash_bytes(level, tile.number)?;
            if bytes != expected {
                return Err(VerifyError::Mismatch { path });
            }
        }
        self.partials(tile, expected)
    }

    /// Compares the partial versions of a tile that are still there with the beginning of the newest one.
    fn partials(&self, tile: &Tile, newest: &[u8]) -> Result<(), VerifyError> {
        let directory = self.log.directory().join(tile.partial_directory());
        let listing = match std::fs::read_dir(&directory) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ReadError::Io { path: directory, source: Arc::new(error) }.into()),
        };
        for found in listing {
            let path = found
                .map_err(|error| ReadError::Io { path: directory.clone(), source: Arc::new(error) })?
                .path();
            let width =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u64>().ok());
            let Some(width) = width.filter(|width| (1..WIDTH).contains(width)) else {
                return Err(VerifyError::Mismatch { path });
            };
            let bytes = read(&path, MAX_BUNDLE)?.unwrap_or_default();
            // One that is wider than the checkpoint covers is being published; what the checkpoint covers must fit.
            let (older, newer) = if width < tile.width { (&bytes[..], newest) } else { (newest, &bytes[..]) };
            if tile.kind.beginning(newer, width.min(tile.width)) != Some(older) {
                return Err(VerifyError::Mismatch { path });
            }
        }
        Ok(())
    }

    /// Checks the journal: what it shares with the tiles, and the entries that only it has.
    fn journal(&mut self, journal: &JournalReader) -> Result<(u64, bool), VerifyError> {
        let published = self.edge.size();
        let base = journal.unverified_header().base();
        let mut failure = None;
        let mut size = base;
        let torn = journal.for_each(|index, bytes| {
            if failure.is_some() {
                return;
            }
            size = index + 1;
            let leaf = leaf_hash(bytes);
            if index < published {
                if self.kept.get(in_memory(index - base)) != Some(&leaf) {
                    failure = Some(VerifyError::JournalMismatch { path: journal.path().to_owned() });
                }
            } else {
                failure = self.entry(bytes).err();
                self.edge.push(leaf, |_| {});
            }
        })?;
        match failure {
            Some(failure) => Err(failure),
            None if size < published => Err(VerifyError::JournalMismatch { path: journal.path().to_owned() }),
            None => Ok((size - published, torn)),
        }
    }
}
