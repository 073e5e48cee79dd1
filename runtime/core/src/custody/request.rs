//! What can be asked of custody, as plain values: the same over a channel to a thread as over a socket to a process.
//!
//! In scope: requests and answers, the [`Custodian`] seam. Out of scope: who may ask; a guest
//! reaches a custodian only through a [`super::KeyHandle`] of its own key (I6).

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::error::CustodyError;
use super::key_name::KeyName;
use super::lock::LockState;
use super::slot::Unlock;
use crate::canonical::{self, base64_bytes};
use crate::clock::Timestamp;
use crate::crypto::pae;
use crate::envelope::Envelope;
use crate::id::{AgreementKey, Did, Name};
use crate::vault::{Noted, VaultAnswer, VaultRequest};

/// What a key's signature over its own agreement key is for.
pub const AGREEMENT_KEY_TYPE: &str = "application/vnd.kos.agreement-key.v1";

/// The public half of a key in custody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PublicKeys {
    /// Which key.
    pub key: KeyName,
    /// Its identifier: the Ed25519 public key.
    pub did: Did,
    /// Where messages to it are sealed to.
    pub agreement_key: AgreementKey,
    /// Its signature over the agreement key, as [`AGREEMENT_KEY_TYPE`].
    #[serde(with = "base64_bytes")]
    pub attestation: [u8; 64],
    /// When it was made.
    pub created: Timestamp,
}

impl PublicKeys {
    /// Whether the holder of `did` has signed the agreement key.
    #[must_use]
    pub fn is_attested(&self) -> bool {
        is_attested(&self.did, &self.agreement_key, &self.attestation)
    }
}

/// Whether `attestation` is `did`'s signature over `agreement_key`.
#[must_use]
pub fn is_attested(did: &Did, agreement_key: &AgreementKey, attestation: &[u8; 64]) -> bool {
    did.verify(&pae(AGREEMENT_KEY_TYPE, agreement_key.as_bytes()), attestation)
}

/// Bytes that are never printed and are erased when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Gives the bytes away, still to be erased.
    #[must_use]
    pub fn into_inner(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl From<Zeroizing<Vec<u8>>> for Secret {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(canonical::base64_encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        canonical::base64_decode(&text).map(Self::new).map_err(serde::de::Error::custom)
    }
}

/// An Ed25519 signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(#[serde(with = "base64_bytes")] pub [u8; 64]);

/// What a MAC under a key of custody is for; each use has its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MacPurpose {
    /// Compiled artifacts of the host's own.
    Artifact,
}

/// What is asked of a custodian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// Make a key. Answer: [`Answer::Public`], or [`CustodyError::KeyExists`].
    Create {
        /// Which.
        key: KeyName,
    },
    /// The public half of a key. Answer: [`Answer::Public`].
    Public {
        /// Which.
        key: KeyName,
    },
    /// The public halves of all keys, in order. Answer: [`Answer::List`].
    List,
    /// Sign exactly these bytes. Answer: [`Answer::Signature`].
    Sign {
        /// By which key.
        key: KeyName,
        /// As whom: if the key is another by now, it is refused.
        did: Did,
        /// The bytes, normally a pre-authentication encoding.
        #[serde(with = "base64_bytes")]
        message: Vec<u8>,
    },
    /// Sign each of these messages, in one round trip. Answer: [`Answer::Signatures`] in the same order.
    SignMany {
        /// By which key.
        key: KeyName,
        /// As whom: if the key is another by now, it is refused.
        did: Did,
        /// The messages.
        messages: Vec<Vec<u8>>,
    },
    /// Open what was sealed to a key (HPKE). Answer: [`Answer::Opened`].
    Open {
        /// Whose agreement key.
        key: KeyName,
        /// As whom: if the key is another by now, it is refused.
        did: Did,
        /// HPKE's `info`.
        #[serde(with = "base64_bytes")]
        info: Vec<u8>,
        /// HPKE's `aad`.
        #[serde(with = "base64_bytes")]
        associated: Vec<u8>,
        /// The encapsulated key and the ciphertext.
        #[serde(with = "base64_bytes")]
        sealed: Vec<u8>,
    },
    /// A keyed BLAKE3 hash. Answer: [`Answer::Mac`]. Hand over a digest of anything large: the message is copied.
    Mac {
        /// Under which derived key.
        purpose: MacPurpose,
        /// The bytes.
        #[serde(with = "base64_bytes")]
        message: Vec<u8>,
    },
    /// A key as a document under a passphrase; operators' and authors' keys only. Answer: [`Answer::Exported`].
    Export {
        /// Which.
        key: KeyName,
        /// What opens the document.
        passphrase: Secret,
    },
    /// Take a key over from such a document, under this name. Answer: [`Answer::Public`].
    Import {
        /// What it is to be called here; its role must be the document's.
        key: KeyName,
        /// What opens the document.
        passphrase: Secret,
        /// The document.
        #[serde(with = "base64_bytes")]
        document: Vec<u8>,
    },
    /// Replace an operator's or author's key by a new one. Answer: [`Answer::Rotated`].
    Rotate {
        /// Which.
        key: KeyName,
    },
    /// Remove a key and what rotation kept of it. Answer: [`Answer::Done`].
    Remove {
        /// Which.
        key: KeyName,
    },
    /// Something of the vault of an environment. Answer: [`Answer::Vault`].
    Vault {
        /// Which vault.
        environment: Name,
        /// The state that the log knows of; none before the vault's first change.
        noted: Option<Noted>,
        /// The present is not before this, whatever the clock says (I4).
        not_before: Timestamp,
        /// What is asked.
        request: VaultRequest,
    },
    /// Forget the root key, every key but the host's own, and every secret, until [`Request::Unlock`]. The host's key
    /// stays, as the log must go on. Answer: [`Answer::Done`].
    Lock,
    /// From now on, lock after so long without a request other than the host's own, and when the machine has slept.
    /// Answer: [`Answer::Done`].
    AutoLock {
        /// How long; nothing for never, which is how a custodian starts.
        after: Option<Duration>,
    },
    /// Obtain the root key again; a secret of no slot changes nothing. Answer: [`Answer::Done`].
    Unlock {
        /// What opens a slot.
        with: Unlock,
    },
    /// Remove every slot and forget the root key: no key of this home can be used again. Answer: [`Answer::Done`].
    Destroy,
}

/// What a custodian answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Answer {
    /// A key's public half.
    Public {
        /// The public half.
        public: PublicKeys,
    },
    /// All keys' public halves.
    List {
        /// In the order of their names.
        keys: Vec<PublicKeys>,
    },
    /// A signature.
    Signature {
        /// Ed25519.
        signature: Signature,
    },
    /// A signature for each message.
    Signatures {
        /// In the order of the messages.
        signatures: Vec<Signature>,
    },
    /// The plaintext of sealed bytes.
    Opened {
        /// The plaintext.
        plaintext: Secret,
    },
    /// A keyed hash. Compare it in constant time.
    Mac {
        /// Keyed BLAKE3.
        #[serde(with = "base64_bytes")]
        tag: [u8; 32],
    },
    /// A key under a passphrase.
    Exported {
        /// The document, which is text.
        #[serde(with = "base64_bytes")]
        document: Vec<u8>,
    },
    /// A key was replaced.
    Rotated {
        /// The new public half.
        public: PublicKeys,
        /// The statement of the old key, and of the new, that the new follows the old.
        statement: Envelope,
    },
    /// An answer of the vault.
    Vault {
        /// The answer.
        answer: VaultAnswer,
    },
    /// It is done.
    Done,
}

/// Where an answer goes. It is called where the answer is made, so it must be short, and neither ask nor own a custodian.
pub type Answered = Box<dyn FnOnce(Result<Answer, CustodyError>) + Send>;

/// Whoever keeps the keys. The methods besides [`Custodian::submit`] only name its requests, and wait.
pub trait Custodian: Send + Sync {
    /// Asks; the answer, or the reason of a refusal, goes to `answered`.
    fn submit(&self, request: Request, answered: Answered);

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`CustodyError`] with the reason of a refusal.
    fn ask(&self, request: Request) -> Result<Answer, CustodyError> {
        let (answer, answered) = mpsc::sync_channel(1);
        // Whoever asked waits as long as the answer is not given up.
        self.submit(request, Box::new(move |given| drop(answer.send(given))));
        answered.recv().map_err(|_| CustodyError::Gone)?
    }

    /// Whether it is locked, now and later.
    fn lock_state(&self) -> LockState;

    /// Makes a key.
    ///
    /// # Errors
    /// [`CustodyError::KeyExists`], or what the file system says.
    fn create(&self, key: &KeyName) -> Result<PublicKeys, CustodyError> {
        let Answer::Public { public } = self.ask(Request::Create { key: key.clone() })? else {
            return Err(CustodyError::Answer);
        };
        Ok(public)
    }

    /// The public half of a key.
    ///
    /// # Errors
    /// [`CustodyError::NoSuchKey`], or [`CustodyError::Altered`] for a file that is not as it was written.
    fn public(&self, key: &KeyName) -> Result<PublicKeys, CustodyError> {
        let Answer::Public { public } = self.ask(Request::Public { key: key.clone() })? else {
            return Err(CustodyError::Answer);
        };
        Ok(public)
    }

    /// The key, made now if it is not there; of several that do so at once, all get the same key.
    ///
    /// # Errors
    /// As [`Custodian::create`] and [`Custodian::public`].
    fn create_or_load(&self, key: &KeyName) -> Result<PublicKeys, CustodyError> {
        match self.public(key) {
            Err(CustodyError::NoSuchKey { .. }) => match self.create(key) {
                Err(CustodyError::KeyExists { .. }) => self.public(key),
                made => made,
            },
            loaded => loaded,
        }
    }

    /// The public halves of all keys.
    ///
    /// # Errors
    /// [`CustodyError`] names the first file that cannot be used.
    fn list(&self) -> Result<Vec<PublicKeys>, CustodyError> {
        let Answer::List { keys } = self.ask(Request::List)? else {
            return Err(CustodyError::Answer);
        };
        Ok(keys)
    }

    /// A keyed BLAKE3 hash under the key for `purpose`.
    ///
    /// # Errors
    /// [`CustodyError::Gone`].
    fn mac(&self, purpose: MacPurpose, message: &[u8]) -> Result<[u8; 32], CustodyError> {
        let Answer::Mac { tag } = self.ask(Request::Mac { purpose, message: message.to_vec() })? else {
            return Err(CustodyError::Answer);
        };
        Ok(tag)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::crypto::{SecretKey, Signer as _};

    #[test]
    fn requests_and_answers_are_plain_values_that_survive_a_socket() {
        let key: KeyName = "author/alice".parse().unwrap();
        let did = SecretKey::from_seed(&[1; 32]).did();
        let requests = [
            Request::List,
            Request::Sign { key: key.clone(), did, message: vec![0, 255] },
            Request::SignMany { key: key.clone(), did, messages: vec![vec![1], vec![]] },
            Request::Export { key, passphrase: Secret::new(b"p".to_vec()) },
        ];
        for request in requests {
            let text = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
        }
        let answer = Answer::Signatures { signatures: vec![Signature([7; 64])] };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
    }

    #[test]
    fn a_secret_in_a_request_is_not_printed() {
        let request = Request::Export {
            key: "author/alice".parse().unwrap(),
            passphrase: Secret::new(b"open sesame".to_vec()),
        };
        let shown = format!("{request:?}");
        assert!(shown.contains("Secret") && !shown.contains("sesame") && !shown.contains("111"), "{shown}");
    }
}
