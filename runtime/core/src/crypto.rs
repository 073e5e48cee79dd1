//! The primitives: signing, sealing, randomness, and the bytes that a signature covers.
//!
//! Source: RFC 8032 (Ed25519), RFC 7748 (X25519), RFC 9180 (HPKE), DSSE v1.0.2 (pre-authentication encoding).
//! In scope: private keys as types that neither print nor copy themselves. Out of scope: where they are kept
//! ([`crate::custody`], I6).

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, OpModeR, OpModeS, Serializable as _};
use sha2::Sha512;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::id::{AgreementKey, Did};

/// The encapsulated X25519 key at the head of sealed bytes.
const ENCAPSULATED_KEY: usize = 32;

/// Why a primitive did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The operating system gave no randomness.
    #[error("the system gives no randomness: {cause}")]
    NoRandomness {
        /// The system's answer.
        cause: String,
    },
    /// The recipient's key cannot be sealed to.
    #[error("the recipient's key is not a usable X25519 key")]
    Recipient,
    /// The sealed bytes are not for this key, or were altered.
    #[error("the sealed bytes are not for this key, or were altered")]
    Open,
}

/// Why a signature could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign as {signer}: {cause}")]
pub struct SignError {
    /// Whose signature was asked for.
    pub signer: Did,
    /// Why there is none.
    pub cause: String,
}

/// Whoever signs: a key at hand, or one in custody.
pub trait Signer: Send + Sync {
    /// Whose signatures these are.
    fn did(&self) -> Did;

    /// Signs exactly `message` (Ed25519, 64 bytes).
    ///
    /// # Errors
    /// [`SignError`] when the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;

    /// Signs each of `messages`, in their order; all or none.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    fn sign_many(&self, messages: Vec<Vec<u8>>) -> Result<Vec<[u8; 64]>, SignError> {
        messages.iter().map(|message| self.sign(message)).collect()
    }
}

/// An Ed25519 private key; erased from memory when dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn generate() -> Result<Self, CryptoError> {
        Ok(Self::from_seed(&Zeroizing::new(random::<32>()?)))
    }

    /// The key of this seed (32 bytes, RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for whoever encrypts it for storage.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl Signer for SecretKey {
    fn did(&self) -> Did {
        Did::of_verifying(&self.0.verifying_key())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SecretKey of {}", self.did())
    }
}

/// The public half of an Ed25519 key whose seed lies elsewhere. A signature costs as much as one by [`SecretKey`], which also
/// expands its seed for each.
pub(crate) struct PublicHalf(VerifyingKey);

impl PublicHalf {
    /// The public half of the key of this seed.
    pub(crate) fn of_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed).verifying_key())
    }

    pub(crate) fn did(&self) -> Did {
        Did::of_verifying(&self.0)
    }

    /// Signs with the very seed that this half was made of. Danger: a signature with another would give that one away.
    pub(crate) fn danger_sign_with(&self, seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&ExpandedSecretKey::from(seed), message, &self.0).to_bytes()
    }
}

/// An X25519 private key; erased from memory when dropped.
pub struct AgreementSecret(StaticSecret);

impl AgreementSecret {
    /// A new random key.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn generate() -> Result<Self, CryptoError> {
        Ok(Self::from_bytes(&Zeroizing::new(random::<32>()?)))
    }

    /// The key with these bytes (RFC 7748).
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(StaticSecret::from(*bytes))
    }

    /// The public half.
    #[must_use]
    pub fn agreement_key(&self) -> AgreementKey {
        AgreementKey::from_bytes(PublicKey::from(&self.0).to_bytes())
    }

    /// The secret bytes, for whoever encrypts them for storage.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for AgreementSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AgreementSecret of {}", self.agreement_key())
    }
}

/// The bytes that a signature covers: `"DSSEv1" SP len(type) SP type SP len(body) SP body`. The type separates
/// the uses of one key: a signature for one type is none for another.
#[must_use]
pub fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Random bytes from the operating system.
///
/// # Errors
/// [`CryptoError::NoRandomness`].
pub fn random<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| CryptoError::NoRandomness { cause: error.to_string() })?;
    Ok(bytes)
}

/// Encrypts to the holder of `recipient`: HPKE base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
/// ChaCha20-Poly1305. The result is the encapsulated key (32 bytes), the ciphertext and its tag (16 bytes).
///
/// # Errors
/// [`CryptoError::Recipient`] for a key of small order.
pub fn seal(
    recipient: &AgreementKey,
    info: &[u8],
    associated: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let key = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(recipient.as_bytes())
        .map_err(|_| CryptoError::Recipient)?;
    let (encapsulated, ciphertext) =
        hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &key,
            info,
            plaintext,
            associated,
        )
        .map_err(|_| CryptoError::Recipient)?;
    let mut sealed = encapsulated.to_bytes().to_vec();
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

/// Decrypts what [`seal`] made with the same `info` and `associated`.
///
/// # Errors
/// [`CryptoError::Open`], whatever the reason.
pub fn open(
    secret: &AgreementSecret,
    info: &[u8],
    associated: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let (encapsulated, ciphertext) = sealed.split_at_checked(ENCAPSULATED_KEY).ok_or(CryptoError::Open)?;
    let key = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(secret.expose_bytes())
        .map_err(|_| CryptoError::Open)?;
    let encapsulated = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(encapsulated)
        .map_err(|_| CryptoError::Open)?;
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &key,
        &encapsulated,
        info,
        ciphertext,
        associated,
    )
    .map(Zeroizing::new)
    .map_err(|_| CryptoError::Open)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn the_signed_bytes_are_those_of_the_dsse_example() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn a_signature_verifies_by_its_did_alone() {
        let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let signature = key.sign(b"message").unwrap();
        assert!(key.did().verify(b"message", &signature));
        assert!(!other.did().verify(b"message", &signature));
    }

    #[test]
    fn sealed_bytes_open_only_whole_and_only_for_the_recipient() {
        let (recipient, other) = (AgreementSecret::generate().unwrap(), AgreementSecret::generate().unwrap());
        let sealed = seal(&recipient.agreement_key(), b"info", b"header", b"secret").unwrap();
        assert_eq!(sealed.len(), 32 + 6 + 16);
        assert_eq!(*open(&recipient, b"info", b"header", &sealed).unwrap(), b"secret");
        assert_eq!(open(&other, b"info", b"header", &sealed).unwrap_err(), CryptoError::Open);
        assert!(open(&recipient, b"other", b"header", &sealed).is_err());
        assert!(open(&recipient, b"info", b"other", &sealed).is_err());
        for position in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[position] ^= 1;
            assert!(open(&recipient, b"info", b"header", &altered).is_err(), "byte {position}");
            assert!(open(&recipient, b"info", b"header", &sealed[..position]).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn a_recipient_of_small_order_is_refused() {
        assert_eq!(seal(&AgreementKey::from_bytes([0; 32]), b"", b"", b"x"), Err(CryptoError::Recipient));
    }

    #[test]
    fn a_private_key_prints_only_its_public_half() {
        let key = SecretKey::from_seed(&[7; 32]);
        assert!(!format!("{key:?}").contains(&hex::encode([7; 32])));
        assert!(format!("{key:?}").contains("did:key:z6Mk"));
    }
}
