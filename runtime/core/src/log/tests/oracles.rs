//! The same logs through other people's verifiers: `signed_note` for notes, `tlog_tiles` for tiles and proofs from them,
//! `ct-merkle` for roots and proofs (I9). Go's own are in `tests/go_oracle.rs`.

use std::path::PathBuf;

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;
use sha2::digest::Output;
use signed_note::{StandardVerifier, VerifierList};
use tlog_tiles::{TileHashReader, TileReader};

use super::forgery::lay_out;
use super::*;
use crate::log::reader::LogReader;
use crate::log::tree::{self, Hash, leaf_hash};

/// Sizes at which a tile or a level begins or ends.
const SMALL: [u64; 6] = [0, 1, 2, 255, 256, 257];
const LARGE: [u64; 4] = [65_535, 65_536, 65_537, 70_000];

struct Folder(PathBuf);

impl TileReader for Folder {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let path = |tile: &tlog_tiles::Tile| self.0.join(tile.path().replacen("tile/8/", "tile/", 1));
        Ok(tiles.iter().map(|tile| std::fs::read(path(tile)).unwrap()).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

/// Has every oracle judge the log in `directory`, at the indices given.
fn judge(directory: &Path, size: u64, indices: &[u64]) {
    let reader = LogReader::open(directory).unwrap();
    let note = signed_note::Note::from_bytes(reader.note()).unwrap();
    let verifier = StandardVerifier::new(&vkey().to_string()).unwrap();
    assert_eq!(note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap().0.len(), 1);
    let head = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((head.origin(), head.size()), (ORIGIN, size));
    let ours = reader.unverified_checkpoint();
    assert_eq!(head.hash().0, ours.root);
    if size == 0 {
        assert_eq!(*head.hash(), tlog_tiles::EMPTY_HASH);
        return;
    }
    let folder = Folder(directory.to_owned());
    let tiles = TileHashReader::new(size, *head.hash(), &folder);
    let root: RootHash<Sha256> = RootHash::new(Output::<Sha256>::from(ours.root), size);
    for &index in indices {
        let entry = reader.entries(index..index + 1).next().unwrap().unwrap().1;
        let theirs = tlog_tiles::prove_record(size, index, &tiles).unwrap();
        let path = tree::inclusion_path(&reader, index, size).unwrap();
        assert_eq!(theirs.iter().map(|hash| hash.0).collect::<Vec<Hash>>(), path);
        tlog_tiles::check_record(&theirs, size, *head.hash(), index, tlog_tiles::record_hash(&entry))
            .unwrap();
        let proof = InclusionProof::<Sha256>::from_bytes(path.concat());
        root.verify_inclusion(&entry, index, &proof).unwrap();
    }
}

/// Has the oracles judge that `old` entries are a prefix of `size`.
fn judge_prefix(directory: &Path, old: u64, old_root: Hash, size: u64) {
    let reader = LogReader::open(directory).unwrap();
    let root = reader.unverified_checkpoint().root;
    let path = tree::consistency_path(&reader, old, size).unwrap();
    assert!(tree::is_consistent(old, &old_root, size, &root, &path));
    let theirs = path.iter().map(|hash| tlog_tiles::Hash(*hash)).collect();
    tlog_tiles::check_tree(&theirs, size, tlog_tiles::Hash(root), old, tlog_tiles::Hash(old_root)).unwrap();
    let proof = ConsistencyProof::<Sha256>::try_from_bytes(path.concat()).unwrap();
    let root = |hash: Hash, size| RootHash::<Sha256>::new(Output::<Sha256>::from(hash), size);
    root(reader.unverified_checkpoint().root, size).verify_consistency(&root(old_root, old), &proof).unwrap();
}

#[test]
fn other_peoples_verifiers_accept_the_log_at_every_edge_of_a_tile() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    let mut before: Option<(u64, Hash)> = None;
    for size in SMALL {
        fill(&log, size - before.map_or(0, |(size, _)| size));
        log.publish().unwrap();
        judge(folder.path(), size, &(0..size).collect::<Vec<_>>());
        if let Some((old, root)) = before.filter(|(old, _)| *old > 0) {
            judge_prefix(folder.path(), old, root, size);
        }
        before = Some((size, LogReader::open(folder.path()).unwrap().unverified_checkpoint().root));
    }
}

#[test]
fn other_peoples_verifiers_accept_trees_of_three_levels() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<Vec<u8>> = (0..LARGE[3]).map(|index| index.to_string().into_bytes()).collect();
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    for size in LARGE {
        let entries = entries.get(..in_memory(size)).unwrap();
        lay_out(folder.path(), entries, &host(1));
        judge(folder.path(), size, &[0, 255, 256, 32_768, 65_534, size - 1]);
        for old in [1, 256, 257, 65_535, size] {
            judge_prefix(folder.path(), old, tree::root_of(&leaves[..in_memory(old)]), size);
        }
    }
}

#[test]
fn the_root_is_that_of_a_tree_that_keeps_every_leaf() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, 300);
    log.close().unwrap();
    let reader = LogReader::open(folder.path()).unwrap();
    let mut oracle = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for item in reader.entries(0..300) {
        oracle.push(item.unwrap().1);
    }
    assert_eq!(oracle.root().as_bytes()[..], reader.unverified_checkpoint().root[..]);
}
