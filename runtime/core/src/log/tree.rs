//! The Merkle tree of RFC 6962 §2.1: leaf and node hashes, the root, and inclusion and consistency proofs.
//!
//! In scope: hashing and the shape of the tree. Out of scope: where hashes are stored ([`super::tile`]) and who signs
//! the root ([`super::checkpoint`]). Keeps I9: the hashes are those that other people's verifiers compute.

use sha2::{Digest as _, Sha256};

/// A SHA-256 value inside the tree.
pub type Hash = [u8; 32];

/// More siblings than this cannot occur in a tree of at most 2^64 leaves.
pub const MAX_PATH: usize = 64;

/// `SHA-256(0x00 ‖ entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(entry);
    hasher.finalize().into()
}

/// `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The root over `leaves`, which may be any number of subtree hashes of one height with only the last subtree missing.
#[must_use]
pub fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The largest power of two smaller than `size`, for `size >= 2`: where RFC 6962 splits a tree.
#[must_use]
pub fn split(size: u64) -> u64 {
    debug_assert!(size >= 2);
    1 << (63 - (size - 1).leading_zeros())
}

/// Gives the hash of the subtree over the leaves `low..high`, where `high - low` is a power of two that divides `low`.
pub trait Subtrees {
    /// What can go wrong when a hash is looked up.
    type Error;

    /// The hash of the complete subtree `low..high`.
    ///
    /// # Errors
    /// Whatever the storage behind it reports.
    fn subtree(&self, low: u64, high: u64) -> Result<Hash, Self::Error>;
}

/// The hash over the leaves `low..high`, `low < high`, put together from complete subtrees.
///
/// # Errors
/// Whatever `tree` reports.
pub fn range_hash<T: Subtrees>(tree: &T, low: u64, high: u64) -> Result<Hash, T::Error> {
    let size = high - low;
    if size.is_power_of_two() {
        return tree.subtree(low, high);
    }
    let middle = low + split(size);
    Ok(node_hash(&range_hash(tree, low, middle)?, &range_hash(tree, middle, high)?))
}

/// The path of RFC 6962 §2.1.1 from leaf `index` to the root of the first `size` leaves, the leaf's sibling first.
///
/// # Errors
/// Whatever `tree` reports.
pub fn inclusion_path<T: Subtrees>(tree: &T, index: u64, size: u64) -> Result<Vec<Hash>, T::Error> {
    let mut path = Vec::new();
    let (mut low, mut high) = (0, size);
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            path.push(range_hash(tree, middle, high)?);
            high = middle;
        } else {
            path.push(range_hash(tree, low, middle)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof of RFC 6962 §2.1.2 that the first `old` leaves are a prefix of the first `size`, for `0 < old <= size`.
///
/// # Errors
/// Whatever `tree` reports.
pub fn consistency_path<T: Subtrees>(tree: &T, old: u64, size: u64) -> Result<Vec<Hash>, T::Error> {
    let mut path = Vec::new();
    let (mut low, mut high, mut whole) = (0, size, true);
    while old < high {
        let middle = low + split(high - low);
        if old <= middle {
            path.push(range_hash(tree, middle, high)?);
            high = middle;
        } else {
            path.push(range_hash(tree, low, middle)?);
            low = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(range_hash(tree, low, high)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` leads from `leaf` at `index` to `root` in a tree of `size` leaves (RFC 9162 §2.1.3.2).
#[must_use]
pub fn is_included(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the tree (`old`, `old_root`) is a prefix of (`size`, `root`) (RFC 9162 §2.1.4.2).
#[must_use]
pub fn is_consistent(old: u64, old_root: &Hash, size: u64, root: &Hash, path: &[Hash]) -> bool {
    if old > size {
        return false;
    }
    if old == size {
        return path.is_empty() && old_root == root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    let mut siblings = path.iter();
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let first = if node == 0 { Some(old_root) } else { siblings.next() };
    let Some(first) = first else { return false };
    let (mut old_hash, mut hash) = (*first, *first);
    for sibling in siblings {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && hash == *root
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
pub(crate) mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;

    /// A tree that holds its leaves and hashes on demand: the oracle for everything that stores hashes.
    pub(crate) struct Naive(pub(crate) Vec<Hash>);

    impl Subtrees for Naive {
        type Error = Infallible;

        fn subtree(&self, low: u64, high: u64) -> Result<Hash, Infallible> {
            Ok(root_of(&self.0[in_memory(low)..in_memory(high)]))
        }
    }

    pub(crate) fn naive(size: u64) -> Naive {
        Naive((0..size).map(|index| leaf_hash(&index.to_be_bytes())).collect())
    }

    #[test]
    fn the_published_vectors_of_certificate_transparency_hold() {
        let leaves: Vec<Hash> = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ]
        .iter()
        .map(|text| leaf_hash(&hex::decode(text).unwrap()))
        .collect();
        assert_eq!(
            hex::encode(root_of(&[])),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex::encode(root_of(&leaves[..1])),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            hex::encode(root_of(&leaves[..7])),
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"
        );
        assert_eq!(
            hex::encode(root_of(&leaves)),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_provable_and_nothing_else_is() {
        for size in 1..=40 {
            let tree = naive(size);
            let root = root_of(&tree.0);
            for index in 0..size {
                let Ok(path) = inclusion_path(&tree, index, size);
                let leaf = tree.0[in_memory(index)];
                assert!(is_included(&leaf, index, size, &path, &root));
                assert!(!is_included(&leaf, index + 1, size, &path, &root));
                assert!(!is_included(&leaf_hash(b"other"), index, size, &path, &root));
                let mut longer = path.clone();
                longer.push(root);
                assert!(!is_included(&leaf, index, size, &longer, &root));
                if let Some((_, shorter)) = path.split_last() {
                    assert!(!is_included(&leaf, index, size, shorter, &root));
                }
            }
        }
    }

    #[test]
    fn every_prefix_of_every_small_tree_is_consistent_and_a_fork_is_not() {
        for size in 1..=40_u64 {
            let tree = naive(size);
            let root = root_of(&tree.0);
            for old in 1..=size {
                let old_root = root_of(&tree.0[..in_memory(old)]);
                let Ok(path) = consistency_path(&tree, old, size);
                assert!(is_consistent(old, &old_root, size, &root, &path), "{old} of {size}");
                assert!(!is_consistent(old, &leaf_hash(b"fork"), size, &root, &path));
                assert!(!is_consistent(old, &old_root, size, &leaf_hash(b"fork"), &path));
            }
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_anywhere_in_a_path_is_noticed(size in 2_u64..600, at in any::<prop::sample::Index>(), bit in 0_usize..256) {
            let tree = naive(size);
            let root = root_of(&tree.0);
            let index = at.index(in_memory(size)) as u64;
            let Ok(mut path) = inclusion_path(&tree, index, size);
            let place = at.index(path.len());
            path[place][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!is_included(&tree.0[in_memory(index)], index, size, &path, &root));
        }
    }
}
