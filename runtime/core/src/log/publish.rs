//! Publishing: tiles and checkpoint out of the journal, and moving the journal's base forward.
//!
//! In scope: which files follow from the state, and in which order they are written. Out of scope: when
//! ([`super::queue`]). Tiles are derived: while the journal holds their entries they need no `fdatasync`, as recovery
//! writes them again. Only before the journal lets entries go, their tiles are made durable. Keeps I8 and I9:
//!
//! - no checkpoint is signed over entries that are not durable in the journal;
//! - a checkpoint appears after all the tiles that it needs;
//! - never two checkpoints of one size with different roots.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::error::{LogError, failed};
use super::journal::Header;
use super::note::MAX_NOTE;
use super::tile::{Kind, Tile, WIDTH, span};
use super::writer::{Journal, Tools, Writer};
use crate::crypto::random;

/// Whether a derived file must survive a power cut before this goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// It can be derived again.
    Derived,
    /// It will be the only copy.
    Durable,
}

/// The checkpoint that is published, as bytes and verified; nothing if there is none, or if a power cut emptied the
/// file before it was durable.
pub(super) fn read_published(tools: &Tools) -> Result<(Vec<u8>, Option<Checkpoint>), LogError> {
    let path = tools.directory.join("checkpoint");
    let bytes = tools.disk.read(&path, MAX_NOTE as u64).map_err(failed("read", &path))?.unwrap_or_default();
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok((Vec::new(), None));
    }
    match Checkpoint::open(&bytes, &tools.key) {
        Ok(checkpoint) => Ok((bytes, Some(checkpoint))),
        Err(_) => Err(LogError::Tampered { path, flaw: "it is not a checkpoint that this host signed" }),
    }
}

impl Writer {
    /// Entries that the journal holds.
    pub(super) fn held(&self) -> u64 {
        self.state.size() - self.state.base()
    }

    /// Publishes tiles and checkpoint up to the last entry.
    pub(super) fn publish(&mut self) -> Result<(), LogError> {
        self.locked(Self::publish_locked)
    }

    fn publish_locked(&mut self) -> Result<(), LogError> {
        let size = self.state.size();
        let there = self.published_elsewhere()?;
        if self.published == size && there == Some(size) {
            return Ok(());
        }
        self.journal.settle(&self.tools).map_err(|error| self.poison(error))?;
        let from = self.published.max(self.state.base());
        self.write_full(from, size, Durability::Derived)?;
        for (tile, bytes) in self.state.edge.partials() {
            self.tools.write(&tile.path(), &bytes, Durability::Derived)?;
        }
        if let Some(bundle) = self.state.partial_bundle() {
            let tile = Tile { kind: Kind::Entries, number: size / WIDTH, width: size % WIDTH };
            self.tools.write(&tile.path(), &bundle.bytes, Durability::Derived)?;
        }
        if there != Some(size) {
            let checkpoint = self.tools.sign(size, self.state.edge.root())?;
            self.tools.write(Path::new("checkpoint"), &checkpoint, Durability::Derived)?;
            self.checkpoint = checkpoint;
        }
        self.lock
            .set_text(&self.tools.disk.boot())
            .map_err(failed("write", &self.tools.directory.join("lock")))?;
        self.published = size;
        Ok(())
    }

    /// The size that is published, perhaps by another process; an error if it contradicts the journal.
    fn published_elsewhere(&mut self) -> Result<Option<u64>, LogError> {
        let path = self.tools.directory.join("checkpoint");
        let bytes =
            self.tools.disk.read(&path, MAX_NOTE as u64).map_err(failed("read", &path))?.unwrap_or_default();
        let (bytes, checkpoint) = if bytes == self.checkpoint {
            (bytes, Checkpoint::read_unverified(&self.checkpoint).ok())
        } else {
            read_published(&self.tools)?
        };
        let Some(checkpoint) = checkpoint else { return Ok(None) };
        let size = self.state.size();
        if checkpoint.size > size || (checkpoint.size == size && checkpoint.root != self.state.edge.root()) {
            return Err(LogError::Tampered { path, flaw: "it contradicts the journal" });
        }
        if bytes != self.checkpoint {
            // Another process published it, and it had the tiles in place.
            self.published = self.published.max(checkpoint.size);
            self.checkpoint = bytes;
        }
        Ok(Some(checkpoint.size))
    }

    /// Lets go of the entries before the last multiple of 256, after their tiles are durable.
    pub(super) fn rotate(&mut self) -> Result<(), LogError> {
        self.locked(|writer| {
            writer.publish_locked()?;
            writer.rotate_locked()
        })
    }

    fn rotate_locked(&mut self) -> Result<(), LogError> {
        let (old, new) = (self.state.base(), self.state.boundary.size());
        if new == old {
            return Ok(());
        }
        let written = self.write_full(old, new, Durability::Durable)?;
        let mut directories = BTreeSet::new();
        for tile in &written {
            let path = tile.full_path();
            directories.extend(path.ancestors().skip(1).map(|ancestor| self.tools.directory.join(ancestor)));
        }
        for directory in &directories {
            self.tools.disk.sync_directory(directory).map_err(failed("synchronise", directory))?;
        }
        let header = Header {
            origin: self.state.header.origin.clone(),
            edge: self.state.boundary.clone(),
            last_timestamp: self.state.boundary_timestamp,
            open_runs: self.state.runs.rebase(new),
            salt: random()?,
        };
        let tail = self.state.partial_bundle().map_or(&[][..], |bundle| &bundle.bytes);
        let count = (self.state.size() - new) as u32;
        let replaced = Journal::replace(&self.tools, &header, tail, count);
        self.journal = replaced.map_err(|error| self.poison(error))?;
        self.state.rebase(header);
        for tile in written {
            // A full tile makes its partial versions needless; that they may stay behind harms nothing.
            let _ = self.tools.disk.remove_directory(&self.tools.directory.join(tile.partial_directory()));
        }
        Ok(())
    }

    /// Writes the tiles and bundles that became full between the sizes `from` and `to`.
    fn write_full(&self, from: u64, to: u64, durability: Durability) -> Result<Vec<Tile>, LogError> {
        let mut written = Vec::new();
        for full in &self.state.full {
            let Kind::Hashes { level } = full.tile.kind else { continue };
            let end = span(level + 1).map(|span| (full.tile.number + 1) * span);
            if end.is_some_and(|end| end > from && end <= to) {
                self.tools.write(&full.tile.path(), &full.bytes, durability)?;
                written.push(full.tile);
            }
        }
        for (number, bundle) in (self.state.base() / WIDTH..).zip(&self.state.bundles) {
            let end = (number + 1) * WIDTH;
            if end > from && end <= to {
                let tile = Tile { kind: Kind::Entries, number, width: WIDTH };
                self.tools.write(&tile.path(), &bundle.bytes, durability)?;
                written.push(tile);
            }
        }
        Ok(written)
    }
}

impl Tools {
    fn sign(&self, size: u64, root: super::tree::Hash) -> Result<Vec<u8>, LogError> {
        let checkpoint = Checkpoint { origin: self.key.name().to_owned(), size, root };
        Ok(checkpoint.sign(&self.key, self.signer.as_ref())?)
    }

    /// Puts a file in place at once, so that a web server never shows half of it.
    fn write(&self, name: &Path, bytes: &[u8], durability: Durability) -> Result<(), LogError> {
        let path = self.directory.join(name);
        let temporary: PathBuf = self.directory.join("publish.new");
        let file = self.disk.create(&temporary).map_err(failed("create", &temporary))?;
        file.write_at(0, bytes).map_err(failed("write", &temporary))?;
        if durability == Durability::Durable {
            file.sync_data().map_err(failed("synchronise", &temporary))?;
        }
        match self.disk.rename(&temporary, &path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let parent = path.parent().unwrap_or(&self.directory);
                self.disk.create_directory(parent).map_err(failed("create", parent))?;
                self.disk.rename(&temporary, &path).map_err(failed("write", &path))
            }
            other => other.map_err(failed("write", &path)),
        }
    }
}
