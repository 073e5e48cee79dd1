//! C2SP tlog-checkpoint: the signed head of the tree.
//!
//! In scope: the text of a checkpoint, and its verification against a pinned key. Out of scope: whether the root fits
//! the entries ([`super::verify`]). Keeps I9.

use super::note::{self, NoteError, Vkey};
use super::tree::Hash;
use crate::canonical::{base64_decode, base64_encode};
use crate::crypto::{SignError, Signer};

/// Why a checkpoint is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note around it does not verify.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not a checkpoint.
    #[error("not a checkpoint: {flaw}")]
    Malformed {
        /// What is wrong with it.
        flaw: &'static str,
    },
    /// It speaks for another log.
    #[error("the checkpoint is of the log `{found}`, not of `{expected}`")]
    Origin {
        /// The pinned log.
        expected: String,
        /// What the checkpoint says.
        found: String,
    },
}

/// The head of a log at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note of this checkpoint.
    ///
    /// # Errors
    /// [`SignError`] of the signer.
    pub fn sign(&self, key: &Vkey, signer: &dyn Signer) -> Result<Vec<u8>, SignError> {
        note::sign(&self.text(), key, signer)
    }

    /// The checkpoint in `note`, signed by `key` and of the log that `key` names.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(note: &[u8], key: &Vkey) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse(note::open(note, key)?)?;
        if checkpoint.origin != key.name() {
            return Err(CheckpointError::Origin {
                expected: key.name().to_owned(),
                found: checkpoint.origin,
            });
        }
        Ok(checkpoint)
    }

    /// The checkpoint in `note`, whoever signed it: to show, never to rely on.
    ///
    /// # Errors
    /// [`CheckpointError`] for a malformed note.
    pub fn read_unverified(note: &[u8]) -> Result<Self, CheckpointError> {
        Self::parse(note::split_unverified(note)?.0)
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64_encode(&self.root))
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let malformed = |flaw| CheckpointError::Malformed { flaw };
        let mut lines = text.strip_suffix('\n').ok_or_else(|| malformed("no final newline"))?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(malformed("fewer than three lines"));
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(malformed("an empty line"));
        }
        let size = parse_decimal(size).ok_or_else(|| malformed("the size is not a plain decimal number"))?;
        let root = base64_decode(root).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let root = root.ok_or_else(|| malformed("the root is not 32 bytes of base64"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// A decimal number without sign or leading zeroes, as checkpoints and proofs write them.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    fn key() -> (SecretKey, Vkey) {
        let secret = SecretKey::from_seed(&[1; 32]);
        let vkey = Vkey::new("example.com/log", secret.did()).unwrap();
        (secret, vkey)
    }

    #[test]
    fn a_checkpoint_reads_back_as_it_was_signed() {
        let (secret, vkey) = key();
        let checkpoint = Checkpoint { origin: vkey.name().to_owned(), size: 70_000, root: [7; 32] };
        let note = checkpoint.sign(&vkey, &secret).unwrap();
        assert_eq!(Checkpoint::open(&note, &vkey).unwrap(), checkpoint);
    }

    #[test]
    fn a_checkpoint_of_another_log_by_the_same_key_is_refused() {
        let (secret, vkey) = key();
        let other = Checkpoint { origin: "example.com/other".to_owned(), size: 1, root: [7; 32] };
        let note = other.sign(&vkey, &secret).unwrap();
        assert!(matches!(Checkpoint::open(&note, &vkey), Err(CheckpointError::Origin { .. })));
    }

    #[test]
    fn a_malformed_text_is_refused_even_when_signed() {
        let (secret, vkey) = key();
        let root = base64_encode(&[7; 32]);
        for text in [
            format!("example.com/log\n01\n{root}\n"),
            format!("example.com/log\n+1\n{root}\n"),
            format!("example.com/log\n\n{root}\n"),
            format!("example.com/log\n18446744073709551616\n{root}\n"),
            format!("example.com/log\n1\n{}\n", base64_encode(&[7; 31])),
            format!("example.com/log\n1\n{}\n", root.trim_end_matches('=')),
            "example.com/log\n1\n".to_owned(),
        ] {
            let note = note::sign(&text, &vkey, &secret).unwrap();
            assert!(
                matches!(Checkpoint::open(&note, &vkey), Err(CheckpointError::Malformed { .. })),
                "{text}"
            );
        }
    }
}
