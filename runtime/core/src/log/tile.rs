//! Tiles and entry bundles of C2SP tlog-tiles: their paths, their widths, their bytes, and the growing right edge.
//!
//! In scope: a pure in-memory account of what the files must contain. Out of scope: writing them ([`super::publish`])
//! and reading them ([`super::reader`]). Keeps I9.

use std::path::PathBuf;

use super::in_memory;
use super::tree::{self, Hash};

/// Hashes in a full tile, entries in a full bundle (tlog-tiles: height 8).
pub const WIDTH: u64 = 256;

/// The longest entry a bundle can carry: its length is a big-endian u16.
pub const MAX_ENTRY: usize = 65_535;

/// The longest bundle: 256 entries of the longest kind with their lengths.
pub const MAX_BUNDLE: u64 = WIDTH * (MAX_ENTRY as u64 + 2);

/// Levels of tiles that a tree of 2^64 leaves can have.
pub const MAX_LEVELS: u8 = 8;

/// What a file in `tile/` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Hashes of one level; level 0 are the leaf hashes.
    Hashes {
        /// The level of the tile, 0 to 7.
        level: u8,
    },
    /// The entries themselves.
    Entries,
}

impl Kind {
    /// The bytes of the first `width` elements of a tile; `None` if it has fewer.
    #[must_use]
    pub fn beginning(self, bytes: &[u8], width: u64) -> Option<&[u8]> {
        let length = match self {
            Self::Hashes { .. } => in_memory(width) * 32,
            Self::Entries => {
                let mut entries = entries(bytes);
                let mut length = 0;
                for _ in 0..width {
                    length += entries.next()??.len() + 2;
                }
                length
            }
        };
        bytes.get(..length)
    }
}

/// One file in `tile/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Hashes or entries.
    pub kind: Kind,
    /// The number of the tile in its level.
    pub number: u64,
    /// 1 to 256; below 256 the tile is partial.
    pub width: u64,
}

impl Tile {
    /// Path below the log directory, such as `tile/0/x001/x234/067.p/8`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let mut path = self.full_path();
        if self.is_partial() {
            path = self.partial_directory().join(self.width.to_string());
        }
        path
    }

    /// Path of the same tile once it is full.
    #[must_use]
    pub fn full_path(&self) -> PathBuf {
        PathBuf::from(self.stem())
    }

    /// Directory of the partial versions of this tile.
    #[must_use]
    pub fn partial_directory(&self) -> PathBuf {
        PathBuf::from(self.stem() + ".p")
    }

    /// Whether the tile has fewer than 256 elements.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.width < WIDTH
    }

    /// The size of a tree in which this tile is just full.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        let level = match self.kind {
            Kind::Hashes { level } => level,
            Kind::Entries => 0,
        };
        span(level + 1)?.checked_mul(self.number + 1)
    }

    fn stem(&self) -> String {
        let level = match self.kind {
            Kind::Hashes { level } => level.to_string(),
            Kind::Entries => "entries".to_owned(),
        };
        let mut name = format!("{:03}", self.number % 1000);
        let mut rest = self.number / 1000;
        while rest > 0 {
            name = format!("x{:03}/{name}", rest % 1000);
            rest /= 1000;
        }
        format!("tile/{level}/{name}")
    }
}

/// How many leaves one hash of `level` stands for; `None` beyond what a u64 can count.
#[must_use]
pub fn span(level: u8) -> Option<u64> {
    1_u64.checked_shl(u32::from(level) * 8).filter(|_| level < MAX_LEVELS)
}

/// The tiles of hashes that a tree of `size` needs at its right edge: the last one of each level, if partial.
pub fn partial_widths(size: u64) -> impl Iterator<Item = Tile> {
    (0_u8..MAX_LEVELS).filter_map(move |level| {
        let hashes = size / span(level)?;
        (!hashes.is_multiple_of(WIDTH)).then_some(Tile {
            kind: Kind::Hashes { level },
            number: hashes / WIDTH,
            width: hashes % WIDTH,
        })
    })
}

/// A tile that became full, and its bytes.
#[derive(Clone, Debug)]
pub struct FullTile {
    /// Which one.
    pub tile: Tile,
    /// 256 hashes, concatenated.
    pub bytes: Vec<u8>,
}

/// The right edge of a growing tree: for each level the hashes of its partial tile. Enough to extend the tree and to
/// know its root without reading any tile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Rebuilds an edge from its parts; `None` if the widths do not belong to a tree of `size`.
    #[must_use]
    pub fn from_parts(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let fits = levels.len() <= usize::from(MAX_LEVELS)
            && (0_u8..MAX_LEVELS).all(|level| {
                let expected = span(level).map_or(0, |span| size / span % WIDTH);
                levels.get(usize::from(level)).map_or(0, |hashes| hashes.len() as u64) == expected
            });
        fits.then_some(Self { size, levels })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the partial tile of each level, level 0 first.
    #[must_use]
    pub fn levels(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// Adds one leaf hash; hands every tile that became full to `full`.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(FullTile)) {
        self.size += 1;
        let mut carried = Some(leaf);
        let mut level = 0_u8;
        while let Some(hash) = carried.take() {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else { break };
            hashes.push(hash);
            if hashes.len() as u64 == WIDTH {
                carried = Some(tree::root_of(hashes));
                let number = self.size / WIDTH.saturating_pow(u32::from(level) + 1) - 1;
                full(FullTile {
                    tile: Tile { kind: Kind::Hashes { level }, number, width: WIDTH },
                    bytes: hashes.concat(),
                });
                hashes.clear();
            }
            level += 1;
        }
    }

    /// The root of the whole tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        // From the bottom: what stands right of a level's hashes is a smaller subtree, and it is always the right child.
        let mut right: Option<Hash> = None;
        for hashes in &self.levels {
            right = self::join(hashes, right);
        }
        right.unwrap_or_else(tree::empty_root)
    }

    /// The partial tiles at this edge, with their bytes.
    pub fn partials(&self) -> impl Iterator<Item = (Tile, Vec<u8>)> + '_ {
        partial_widths(self.size)
            .zip(self.levels.iter().filter(|hashes| !hashes.is_empty()))
            .map(|(tile, hashes)| (tile, hashes.concat()))
    }
}

/// The root over equal complete subtrees with one smaller subtree `right` behind them.
fn join(hashes: &[Hash], right: Option<Hash>) -> Option<Hash> {
    let Some(right) = right else {
        return (!hashes.is_empty()).then(|| tree::root_of(hashes));
    };
    // The complete subtrees form runs of powers of two, largest first; the tail is folded from the right.
    let mut folded = right;
    let mut rest = hashes;
    while !rest.is_empty() {
        let run = 1_usize << rest.len().trailing_zeros();
        let (before, last) = rest.split_at(rest.len() - run);
        folded = tree::node_hash(&tree::root_of(last), &folded);
        rest = before;
    }
    Some(folded)
}

/// Appends one entry to the bytes of a bundle; `false` and unchanged if it is too long.
#[must_use]
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(length) = u16::try_from(entry.len()) else { return false };
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    true
}

/// The entries of a bundle in order; `None` in place of an entry that is cut off, and then the end.
pub fn entries(bundle: &[u8]) -> Entries<'_> {
    Entries { rest: Some(bundle) }
}

/// Iterator over the entries of a bundle, see [`entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take().filter(|rest| !rest.is_empty())?;
        let Some((length, body)) = rest.split_first_chunk::<2>() else { return Some(None) };
        let Some((entry, rest)) = body.split_at_checked(usize::from(u16::from_be_bytes(*length))) else {
            return Some(None);
        };
        self.rest = Some(rest);
        Some(Some(entry))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::super::tree::tests::naive;
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |kind, number, width| Tile { kind, number, width }.path();
        assert_eq!(tile(Kind::Hashes { level: 0 }, 1_234_067, 256), PathBuf::from("tile/0/x001/x234/067"));
        assert_eq!(tile(Kind::Hashes { level: 2 }, 0, 1), PathBuf::from("tile/2/000.p/1"));
        assert_eq!(tile(Kind::Entries, 1000, 112), PathBuf::from("tile/entries/x001/000.p/112"));
    }

    #[test]
    fn a_tree_of_70000_has_the_partial_tiles_named_in_the_specification() {
        let widths: Vec<_> =
            partial_widths(70_000).map(|tile| (tile.kind, tile.number, tile.width)).collect();
        let level = |level| Kind::Hashes { level };
        assert_eq!(widths, [(level(0), 273, 112), (level(1), 1, 17), (level(2), 0, 1)]);
        let widths: Vec<_> = partial_widths(256).map(|tile| (tile.kind, tile.number, tile.width)).collect();
        assert_eq!(widths, [(level(1), 0, 1)]);
    }

    #[test]
    fn the_edge_knows_the_root_at_every_size_up_to_two_levels() {
        let leaves = naive(1100).0;
        let mut edge = Edge::default();
        let mut full = Vec::new();
        for (index, leaf) in leaves.iter().enumerate() {
            edge.push(*leaf, |tile| full.push(tile));
            assert_eq!(edge.root(), tree::root_of(&leaves[..=index]), "size {}", index + 1);
            assert_eq!(Edge::from_parts(edge.size(), edge.levels().to_vec()).as_ref(), Some(&edge));
        }
        assert_eq!(full.len(), 4);
        assert_eq!(full[3].bytes, leaves[768..1024].concat());
        assert_eq!(edge.partials().count(), 2);
    }

    #[test]
    fn an_edge_of_three_levels_agrees_with_the_naive_tree() {
        let leaves = naive(65_537 + 300).0;
        let mut edge = Edge::default();
        for leaf in &leaves {
            edge.push(*leaf, |_| {});
            if [65_535, 65_536, 65_537].contains(&edge.size()) {
                assert_eq!(edge.root(), tree::root_of(&leaves[..in_memory(edge.size())]));
            }
        }
        assert_eq!(edge.root(), tree::root_of(&leaves));
    }

    #[test]
    fn an_edge_with_a_wrong_width_is_refused() {
        assert!(Edge::from_parts(1, vec![]).is_none());
        assert!(Edge::from_parts(0, vec![vec![[0; 32]]]).is_none());
        assert!(Edge::from_parts(256, vec![vec![], vec![[0; 32]; 2]]).is_none());
    }

    #[test]
    fn a_bundle_cut_anywhere_but_between_entries_ends_in_none() {
        let mut bundle = Vec::new();
        assert!(push_entry(&mut bundle, b"one"));
        assert!(push_entry(&mut bundle, b"three"));
        assert!(!push_entry(&mut bundle, &vec![0; MAX_ENTRY + 1]));
        for cut in 0..bundle.len() {
            let whole = cut == 0 || cut == 5;
            assert_eq!(entries(&bundle[..cut]).all(|entry| entry.is_some()), whole, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_into_a_bundle_comes_out(list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
            let mut bundle = Vec::new();
            for entry in &list {
                prop_assert!(push_entry(&mut bundle, entry));
            }
            let read: Vec<Vec<u8>> = entries(&bundle).map(|entry| entry.unwrap().to_vec()).collect();
            prop_assert_eq!(read, list);
        }
    }
}
