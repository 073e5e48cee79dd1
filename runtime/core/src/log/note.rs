//! C2SP signed-note: text signed by named Ed25519 keys, and the `vkey` text of such a key.
//!
//! In scope: signature type 0x01. Out of scope: what the text says ([`super::checkpoint`]); cosignatures of witnesses
//! are carried and ignored. Keeps I9 and I1's rule that the key never comes from what it verifies.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::canonical::{base64_decode, base64_encode};
use crate::crypto::{SignError, Signer};
use crate::id::Did;

/// The signature type of Ed25519 (signed-note, "Signature types").
const ED25519: u8 = 0x01;

/// Em dash and space, which begin a signature line.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// The longest note that is read: room for 16 post-quantum signatures of 5 kB, as signed-note asks, and a text.
pub const MAX_NOTE: usize = 128 * 1024;

/// Why a note is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The text of a verifier key cannot be read.
    #[error("`{text}` is not a verifier key: write NAME+HASH+KEY as `kos log checkpoint` shows it")]
    Vkey {
        /// What was given.
        text: String,
    },
    /// A name with a space, a plus, a control character, or nothing in it.
    #[error("`{name}` cannot name a log: no white space, no `+`, not empty")]
    Name {
        /// What was given.
        name: String,
    },
    /// The bytes are not a signed note.
    #[error("not a signed note: {flaw}")]
    Malformed {
        /// What is wrong with it.
        flaw: &'static str,
    },
    /// No signature line belongs to the pinned key.
    #[error("no signature by the pinned key {name} ({did})")]
    NotSigned {
        /// Name of the pinned key.
        name: String,
        /// The pinned key.
        did: Did,
    },
    /// A line claims to be by the pinned key, and its signature is wrong.
    #[error("the signature in the name of {name} is forged")]
    Forged {
        /// Name of the pinned key.
        name: String,
    },
}

/// A verifier key: the name and the Ed25519 key of a log. Text form `name+hex8+base64(0x01 ‖ key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vkey {
    name: String,
    did: Did,
}

impl Vkey {
    /// The verifier key of `did` under `name`.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn new(name: &str, did: Did) -> Result<Self, NoteError> {
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        if name.is_empty() || name.len() > 255 || !name.chars().all(allowed) {
            return Err(NoteError::Name { name: name.chars().take(80).collect() });
        }
        Ok(Self { name: name.to_owned(), did })
    }

    /// The name, which is also the origin of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    #[must_use]
    pub fn did(&self) -> Did {
        self.did
    }

    /// `SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key)[..4]`.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(&self.name);
        hasher.update([b'\n', ED25519]);
        hasher.update(self.did.public_key());
        let hash: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.did.public_key());
        write!(formatter, "{}+{}+{}", self.name, hex::encode(self.key_id()), base64_encode(&key))
    }
}

impl FromStr for Vkey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let refused = || NoteError::Vkey { text: text.chars().take(200).collect() };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused());
        };
        let bytes = base64_decode(key).map_err(|_| refused())?;
        let Some((&ED25519, key)) = bytes.split_first() else { return Err(refused()) };
        let key: &[u8; 32] = key.try_into().map_err(|_| refused())?;
        let did = Did::from_public_key(key).map_err(|_| refused())?;
        let vkey = Self::new(name, did)?;
        if hex::encode(vkey.key_id()) != id {
            return Err(refused());
        }
        Ok(vkey)
    }
}

/// Signs `text`, which must end in a newline, as `name`.
///
/// # Errors
/// [`SignError`] of the signer.
pub fn sign(text: &str, key: &Vkey, signer: &dyn Signer) -> Result<Vec<u8>, SignError> {
    let mut signature = key.key_id().to_vec();
    signature.extend_from_slice(&signer.sign(text.as_bytes())?);
    let line = format!("{text}\n{SIGNATURE_PREFIX}{} {}\n", key.name, base64_encode(&signature));
    Ok(line.into_bytes())
}

/// The text of a note whose signature by `key` is right. Signatures by others are ignored, but must be well formed.
///
/// # Errors
/// [`NoteError`] if the note is malformed, not signed by `key`, or carries a wrong signature in its name.
pub fn open<'a>(note: &'a [u8], key: &Vkey) -> Result<&'a str, NoteError> {
    let (text, signatures) = split_unverified(note)?;
    let mut verified = false;
    for line in signatures.split_inclusive('\n') {
        let (name, signature) = signature_line(line)?;
        let Some((id, signature)) = signature.split_first_chunk::<4>() else {
            return Err(NoteError::Malformed { flaw: "a signature without key id" });
        };
        if name != key.name || *id != key.key_id() {
            continue;
        }
        let right = <&[u8; 64]>::try_from(signature)
            .is_ok_and(|signature| key.did.verify(text.as_bytes(), signature));
        if !right || verified {
            return Err(NoteError::Forged { name: key.name.clone() });
        }
        verified = true;
    }
    if verified { Ok(text) } else { Err(NoteError::NotSigned { name: key.name.clone(), did: key.did }) }
}

/// Splits a note into its text and its signature lines, and checks nothing but the form.
///
/// # Errors
/// [`NoteError::Malformed`].
pub fn split_unverified(note: &[u8]) -> Result<(&str, &str), NoteError> {
    let malformed = |flaw| NoteError::Malformed { flaw };
    if note.len() > MAX_NOTE {
        return Err(malformed("too long"));
    }
    let note = std::str::from_utf8(note).map_err(|_| malformed("not UTF-8"))?;
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(malformed("a control character"));
    }
    let blank = note.rfind("\n\n").ok_or_else(|| malformed("no blank line before the signatures"))?;
    let (text, signatures) = note.split_at(blank + 1);
    let signatures = signatures.strip_prefix('\n').unwrap_or(signatures);
    if signatures.is_empty() || !signatures.ends_with('\n') {
        return Err(malformed("no signature line, or the last one is cut off"));
    }
    Ok((text, signatures))
}

fn signature_line(line: &str) -> Result<(&str, Vec<u8>), NoteError> {
    let malformed = || NoteError::Malformed { flaw: "a signature line of another form" };
    let (name, signature) = line
        .strip_suffix('\n')
        .and_then(|line| line.strip_prefix(SIGNATURE_PREFIX))
        .and_then(|line| line.split_once(' '))
        .ok_or_else(malformed)?;
    if name.is_empty() || name.contains('+') || name.chars().any(char::is_whitespace) {
        return Err(malformed());
    }
    Ok((name, base64_decode(signature).map_err(|_| malformed())?))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    fn key(seed: u8, name: &str) -> (SecretKey, Vkey) {
        let secret = SecretKey::from_seed(&[seed; 32]);
        let vkey = Vkey::new(name, secret.did()).unwrap();
        (secret, vkey)
    }

    #[test]
    fn the_verifier_key_of_the_go_documentation_is_read_and_written() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(text.parse::<Vkey>().unwrap().to_string(), text);
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(open(note.as_bytes(), &text.parse().unwrap()).is_ok());
    }

    #[test]
    fn a_verifier_key_with_any_flaw_is_refused() {
        for text in [
            "",
            "PeterNeumann",
            "PeterNeumann+c74f20a3",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
            "PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(text.parse::<Vkey>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_pinned_key_under_its_own_name_opens_a_note() {
        let (secret, vkey) = key(1, "example.com/log");
        let note = sign("text\n", &vkey, &secret).unwrap();
        assert_eq!(open(&note, &vkey).unwrap(), "text\n");
        assert!(matches!(open(&note, &key(2, "example.com/log").1), Err(NoteError::NotSigned { .. })));
        assert!(matches!(open(&note, &key(1, "example.com/other").1), Err(NoteError::NotSigned { .. })));
    }

    #[test]
    fn a_note_with_any_byte_changed_does_not_open() {
        let (secret, vkey) = key(1, "example.com/log");
        let note = sign("text\n", &vkey, &secret).unwrap();
        for place in 0..note.len() {
            for bit in 0..8 {
                let mut altered = note.clone();
                if let Some(byte) = altered.get_mut(place) {
                    *byte ^= 1 << bit;
                }
                assert!(open(&altered, &vkey).is_err(), "byte {place}, bit {bit}");
            }
            assert!(open(note.get(..place).unwrap(), &vkey).is_err());
        }
    }

    #[test]
    fn signatures_of_witnesses_are_carried_and_a_second_one_in_our_name_is_refused() {
        let (secret, vkey) = key(1, "example.com/log");
        let note = String::from_utf8(sign("text\n", &vkey, &secret).unwrap()).unwrap();
        let witness = format!("{note}\u{2014} witness.example AAAAAAA=\n");
        assert!(open(witness.as_bytes(), &vkey).is_ok());
        let line = note.split_once("\n\n").unwrap().1;
        assert!(open(format!("{note}{line}").as_bytes(), &vkey).is_err());
    }
}
