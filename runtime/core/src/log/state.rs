//! What a writer knows of the log: the tree, and every entry since the journal's base.
//!
//! In scope: a pure account that grows entry by entry. Out of scope: files ([`super::writer`], [`super::publish`]).

use super::followed::{Change, Followed};
use super::in_memory;
use super::journal::Header;
use super::tile::{self, Edge, FullTile, WIDTH};
use super::tree;
use crate::clock::Timestamp;

/// The entries of up to 256 consecutive indices, as a bundle.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    pub(super) bytes: Vec<u8>,
}

/// The log from the journal's base to its end.
#[derive(Debug)]
pub(super) struct State {
    pub(super) header: Header,
    /// The tree now.
    pub(super) edge: Edge,
    /// The tree at the last multiple of 256.
    pub(super) boundary: Edge,
    /// Time of the last entry before `boundary`.
    pub(super) boundary_timestamp: Timestamp,
    /// Bundles since the base; all but the last are full, and the last is never empty.
    pub(super) bundles: Vec<Bundle>,
    /// Tiles of hashes that became full since the base.
    pub(super) full: Vec<FullTile>,
    pub(super) followed: Followed,
    pub(super) last_timestamp: Timestamp,
}

impl State {
    pub(super) fn starting_at(header: Header) -> Self {
        Self {
            edge: header.edge.clone(),
            boundary: header.edge.clone(),
            boundary_timestamp: header.last_timestamp,
            bundles: Vec::new(),
            full: Vec::new(),
            followed: Followed::starting_with(&header.open_runs, &header.noted_vaults, header.engaged),
            last_timestamp: header.last_timestamp,
            header,
        }
    }

    /// Number of entries in the log.
    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Index of the first entry in the journal.
    pub(super) fn base(&self) -> u64 {
        self.header.base()
    }

    /// Takes in the next entry.
    pub(super) fn push(&mut self, entry: &[u8], timestamp: Timestamp, change: Option<Change>) {
        if self.size().is_multiple_of(WIDTH) {
            self.bundles.push(Bundle::default());
        }
        if let Some(bundle) = self.bundles.last_mut() {
            let fits = tile::push_entry(&mut bundle.bytes, entry);
            debug_assert!(fits, "the journal's own lengths are 16 bits wide");
        }
        self.followed.apply(self.size(), change);
        self.last_timestamp = timestamp;
        self.edge.push(tree::leaf_hash(entry), |tile| self.full.push(tile));
        if self.size().is_multiple_of(WIDTH) {
            self.boundary = self.edge.clone();
            self.boundary_timestamp = timestamp;
        }
    }

    /// The bytes of the last bundle, if it is partial.
    pub(super) fn partial_bundle(&self) -> Option<&Bundle> {
        self.bundles.last().filter(|_| !self.size().is_multiple_of(WIDTH))
    }

    /// Forgets what lies before the last multiple of 256, which becomes the base under `header`.
    pub(super) fn rebase(&mut self, header: Header) {
        let full_bundles = in_memory((header.base() - self.base()) / WIDTH);
        self.bundles.drain(..full_bundles.min(self.bundles.len()));
        self.full.clear();
        self.header = header;
    }
}
