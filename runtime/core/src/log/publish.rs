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
use super::tile::{Kind, Tile, WIDTH};
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
        for (tile, bytes) in self.full_tiles(from, size) {
            self.tools.write(&tile.path(), bytes, Durability::Derived)?;
        }
        let edge: Vec<(Tile, Vec<u8>)> = self.state.edge.partials().collect();
        let edge = edge.iter().map(|(tile, bytes)| (*tile, &bytes[..])).chain(self.partial_bundle());
        for (tile, bytes) in edge.clone() {
            self.tools.write(&tile.path(), bytes, Durability::Derived)?;
        }
        if self.published == 0 {
            for (tile, bytes) in self.full_tiles(from, size).chain(edge) {
                self.tools.write_partials_again(&tile, bytes)?;
            }
            let path = self.tools.directory.join("lock");
            self.lock.set_text(&self.tools.disk.boot()).map_err(failed("write", &path))?;
        }
        if there != Some(size) {
            let checkpoint = self.tools.sign(size, self.state.edge.root())?;
            self.tools.write(Path::new("checkpoint"), &checkpoint, Durability::Derived)?;
            self.checkpoint = checkpoint;
        }
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
        let mut directories = BTreeSet::new();
        for (tile, bytes) in self.full_tiles(old, new) {
            self.tools.write(&tile.path(), bytes, Durability::Durable)?;
            // A full tile makes its partial versions needless, and a power cut could tear them when nobody can write
            // them again.
            let partials = self.tools.directory.join(tile.partial_directory());
            self.tools.disk.remove_directory(&partials).map_err(failed("remove", &partials))?;
            let path = tile.full_path();
            directories.extend(path.ancestors().skip(1).map(|ancestor| self.tools.directory.join(ancestor)));
        }
        for directory in &directories {
            self.tools.disk.sync_directory(directory).map_err(failed("synchronise", directory))?;
        }
        let (open_runs, noted_vaults, engaged) = self.state.followed.rebase(new);
        let header = Header {
            origin: self.state.header.origin.clone(),
            edge: self.state.boundary.clone(),
            last_timestamp: self.state.boundary_timestamp,
            open_runs,
            noted_vaults,
            engaged,
            salt: random()?,
        };
        let tail = self.state.partial_bundle().map_or(&[][..], |bundle| &bundle.bytes);
        let replaced = Journal::replace(&self.tools, &header, tail);
        self.journal = replaced.map_err(|error| self.poison(error))?;
        self.state.rebase(header);
        Ok(())
    }

    /// The tiles and bundles that became full between the sizes `from` and `to`.
    fn full_tiles(&self, from: u64, to: u64) -> impl Iterator<Item = (Tile, &[u8])> + Clone {
        let hashes = self.state.full.iter().map(|full| (full.tile, &full.bytes[..]));
        let bundles = (self.state.base() / WIDTH..)
            .zip(&self.state.bundles)
            .map(|(number, bundle)| (Tile { kind: Kind::Entries, number, width: WIDTH }, &bundle.bytes[..]));
        hashes.chain(bundles).filter(move |(tile, _)| tile.end().is_some_and(|end| end > from && end <= to))
    }

    /// The last bundle, if it is partial.
    fn partial_bundle(&self) -> Option<(Tile, &[u8])> {
        let size = self.state.size();
        let tile = Tile { kind: Kind::Entries, number: size / WIDTH, width: size % WIDTH };
        self.state.partial_bundle().map(|bundle| (tile, &bundle.bytes[..]))
    }
}

impl Tools {
    fn sign(&self, size: u64, root: super::tree::Hash) -> Result<Vec<u8>, LogError> {
        let checkpoint = Checkpoint { origin: self.key.name().to_owned(), size, root };
        Ok(checkpoint.sign(&self.key, self.signer.as_ref())?)
    }

    /// Writes the partial versions of a tile that are still there again, as a power cut may have torn them.
    fn write_partials_again(&self, tile: &Tile, newest: &[u8]) -> Result<(), LogError> {
        let directory = self.directory.join(tile.partial_directory());
        for name in self.disk.list(&directory).map_err(failed("list", &directory))? {
            let older = name.parse().ok().filter(|width| *width < tile.width);
            if let Some((width, bytes)) =
                older.and_then(|width| Some((width, tile.kind.beginning(newest, width)?)))
            {
                self.write(&Tile { width, ..*tile }.path(), bytes, Durability::Derived)?;
            }
        }
        Ok(())
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
