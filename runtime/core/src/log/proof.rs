//! C2SP tlog-proof: that one entry is in the log, in a text that is checked offline with the pinned key alone.
//!
//! In scope: `c2sp.org/tlog-proof@v1` without extra data on writing, with it ignored on reading. Out of scope: the entry's own
//! signature ([`super::entry::Entry::verify`]). Keeps I9.

use std::path::Path;

use super::checkpoint::{Checkpoint, CheckpointError, parse_decimal};
use super::in_memory;
use super::note::{MAX_NOTE, Vkey};
use super::reader::{LogReader, ReadError};
use super::tile::WIDTH;
use super::tree::{self, Hash, MAX_PATH};
use crate::canonical::{base64_decode, base64_encode};

/// The first line of a proof.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The longest proof that is read: a note, 64 hashes, and 64 KiB of somebody's extra data.
const MAX_PROOF: usize = MAX_NOTE + MAX_PATH * 45 + 64 * 1024;

/// Why there is no proof, or why it proves nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bytes are not a proof.
    #[error("not a proof: {flaw}")]
    Malformed {
        /// What is wrong with it.
        flaw: &'static str,
    },
    /// The checkpoint in it does not verify.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the entry to the checkpoint's root.
    #[error("the entry is not at index {index} of the log")]
    NotIncluded {
        /// The index that the proof names.
        index: u64,
    },
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Index of the entry.
    pub index: u64,
    /// The checkpoint that covers it.
    pub checkpoint: Checkpoint,
}

/// A proof that entry `index` of the log in `directory` is under its published checkpoint. It is checked against the tiles, and
/// not against any key.
///
/// # Errors
/// [`ReadError::NoEntry`] beyond the checkpoint; [`ProofError::NotIncluded`] if the tiles contradict one another.
pub fn prove(directory: &Path, index: u64) -> Result<Vec<u8>, ProofError> {
    let log = LogReader::open(directory)?;
    let Checkpoint { size, root, .. } = *log.unverified_checkpoint();
    if index >= size {
        return Err(ReadError::NoEntry { index, size }.into());
    }
    let path = tree::inclusion_path(&log, index, size)?;
    let entries = log.bundle(index / WIDTH)?;
    let entry = entries.get(in_memory(index % WIDTH)).ok_or(ReadError::NoEntry { index, size })?;
    if !tree::is_included(&tree::leaf_hash(entry), index, size, &path, &root) {
        return Err(ProofError::NotIncluded { index });
    }
    Ok(encode(index, &path, log.note()))
}

/// Checks that `proof` shows `entry` to be in the log of `key`.
///
/// # Errors
/// [`ProofError`].
pub fn verify(proof: &[u8], key: &Vkey, entry: &[u8]) -> Result<Proven, ProofError> {
    let (index, path, note) = decode(proof)?;
    let checkpoint = Checkpoint::open(note, key)?;
    if !tree::is_included(&tree::leaf_hash(entry), index, checkpoint.size, &path, &checkpoint.root) {
        return Err(ProofError::NotIncluded { index });
    }
    Ok(Proven { index, checkpoint })
}

/// A proof, read and written again; extra data is not kept.
pub(crate) fn rewritten(proof: &[u8]) -> Option<Vec<u8>> {
    let (index, path, note) = decode(proof).ok()?;
    Some(encode(index, &path, note))
}

fn encode(index: u64, path: &[Hash], note: &[u8]) -> Vec<u8> {
    let mut text = format!("{HEADER}\nindex {index}\n");
    for hash in path {
        text.push_str(&base64_encode(hash));
        text.push('\n');
    }
    text.push('\n');
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(note);
    bytes
}

fn decode(proof: &[u8]) -> Result<(u64, Vec<Hash>, &[u8]), ProofError> {
    let malformed = |flaw| ProofError::Malformed { flaw };
    if proof.len() > MAX_PROOF {
        return Err(malformed("too long"));
    }
    let text = std::str::from_utf8(proof).map_err(|_| malformed("not UTF-8"))?;
    let (head, note) =
        text.split_once("\n\n").ok_or_else(|| malformed("no blank line before the checkpoint"))?;
    let mut lines = head.split('\n');
    if lines.next() != Some(HEADER) {
        return Err(malformed("the first line is not that of a proof of version 1"));
    }
    let mut line = lines.next().unwrap_or_default();
    if let Some(extra) = line.strip_prefix("extra ") {
        base64_decode(extra).map_err(|_| malformed("the extra data is not base64"))?;
        line = lines.next().unwrap_or_default();
    }
    let index = line.strip_prefix("index ").and_then(parse_decimal).ok_or_else(|| malformed("no index"))?;
    let mut path = Vec::new();
    for line in lines {
        let hash = base64_decode(line).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        path.push(hash.ok_or_else(|| malformed("a hash is not 32 bytes of base64"))?);
        if path.len() > MAX_PATH {
            return Err(malformed("too many hashes"));
        }
    }
    Ok((index, path, note.as_bytes()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::tree::tests::naive;
    use super::*;
    use crate::crypto::{SecretKey, Signer as _};

    fn proof_of_three() -> (Vkey, Vec<u8>, Vec<u8>) {
        let secret = SecretKey::from_seed(&[1; 32]);
        let vkey = Vkey::new("example.com/log", secret.did()).unwrap();
        let tree = naive(7);
        let checkpoint = Checkpoint { origin: vkey.name().to_owned(), size: 7, root: tree::root_of(&tree.0) };
        let Ok(path) = tree::inclusion_path(&tree, 3, 7);
        let proof = encode(3, &path, &checkpoint.sign(&vkey, &secret).unwrap());
        (vkey, proof, 3_u64.to_be_bytes().to_vec())
    }

    #[test]
    fn a_proof_holds_for_its_entry_and_for_no_other() {
        let (vkey, proof, entry) = proof_of_three();
        assert_eq!(verify(&proof, &vkey, &entry).unwrap().index, 3);
        let other = verify(&proof, &vkey, &4_u64.to_be_bytes());
        assert!(matches!(other, Err(ProofError::NotIncluded { index: 3 })));
    }

    #[test]
    fn a_proof_with_any_bit_flipped_proves_nothing() {
        let (vkey, proof, entry) = proof_of_three();
        for place in 0..proof.len() {
            for bit in 0..8 {
                let mut altered = proof.clone();
                *altered.get_mut(place).unwrap() ^= 1 << bit;
                assert!(verify(&altered, &vkey, &entry).is_err(), "byte {place}, bit {bit}");
            }
            assert!(verify(proof.get(..place).unwrap(), &vkey, &entry).is_err());
        }
    }

    #[test]
    fn extra_data_is_skipped_and_must_be_base64() {
        let (vkey, proof, entry) = proof_of_three();
        let text = String::from_utf8(proof).unwrap();
        let with = |extra: &str| text.replacen("index", &format!("extra {extra}\nindex"), 1);
        assert!(verify(with("AAAA").as_bytes(), &vkey, &entry).is_ok());
        assert!(verify(with("AAA").as_bytes(), &vkey, &entry).is_err());
        assert!(verify(text.replacen("index 3", "index 03", 1).as_bytes(), &vkey, &entry).is_err());
    }
}
