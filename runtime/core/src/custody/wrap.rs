//! Wrapping: secret bytes encrypted and bound to what stands beside them in clear.
//!
//! Source: RFC 5869 (HKDF) with SHA-512, SP 800-38D (AES-256-GCM). The key and the nonce of each wrapping come from a
//! fresh 32-byte salt, so that no pair is ever used twice. GCM alone does not commit to its key; the commitment
//! beside it does, and tells a wrong key from altered bytes.

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha512;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::canonical::base64_bytes;
use crate::crypto::{self, CryptoError};

/// An AES-256 key, a 96-bit nonce and a 256-bit commitment.
const SCHEDULE_BYTES: usize = 32 + 12 + 32;
/// GCM's tag.
const TAG_BYTES: usize = 16;

/// A fresh salt for one wrapping.
pub(crate) type Salt = [u8; 32];

/// Secret bytes as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wrapped {
    #[serde(with = "base64_bytes")]
    commitment: [u8; 32],
    #[serde(with = "base64_bytes")]
    ciphertext: Vec<u8>,
}

/// As [`Wrapped`], with each part by its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed {
    #[serde(with = "base64_bytes")]
    pub(crate) ciphertext: Vec<u8>,
    #[serde(with = "base64_bytes")]
    pub(crate) commitment: [u8; 32],
    #[serde(with = "base64_bytes")]
    pub(crate) iv: [u8; 12],
    #[serde(with = "base64_bytes")]
    pub(crate) salt: Salt,
    #[serde(with = "base64_bytes")]
    pub(crate) tag: [u8; TAG_BYTES],
}

/// Why a wrapping was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnwrapError {
    /// The key is not the one that it was made with.
    WrongKey,
    /// The key is right; the bytes or what stands beside them are not.
    Altered,
}

/// Encrypts `secret` under `key` for the use `purpose`, bound to `associated`. `salt` must be fresh, or `key` must be
/// derived from a fresh one.
pub(super) fn wrap(
    key: &[u8; 32],
    salt: &Salt,
    purpose: &str,
    associated: &[u8],
    secret: &[u8],
) -> Result<Wrapped, CryptoError> {
    let schedule = Schedule::of(key, salt, purpose);
    let ciphertext = schedule.encrypt(associated, secret)?;
    Ok(Wrapped { commitment: schedule.commitment(), ciphertext })
}

/// Decrypts what [`wrap`] made with the same arguments.
pub(super) fn unwrap(
    key: &[u8; 32],
    salt: &Salt,
    purpose: &str,
    associated: &[u8],
    wrapped: &Wrapped,
) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
    let schedule = Schedule::of(key, salt, purpose);
    if !bool::from(schedule.commitment().ct_eq(&wrapped.commitment)) {
        return Err(UnwrapError::WrongKey);
    }
    schedule.decrypt(associated, wrapped.ciphertext.clone())
}

/// As [`wrap`], under a fresh salt.
pub(crate) fn seal(
    key: &[u8],
    purpose: &str,
    associated: &[u8],
    secret: &[u8],
) -> Result<Sealed, CryptoError> {
    let salt = salt()?;
    let schedule = Schedule::of(key, &salt, purpose);
    let mut ciphertext = schedule.encrypt(associated, secret)?;
    let tag = ciphertext.split_off(secret.len()).try_into().map_err(|_| CryptoError::Open)?;
    Ok(Sealed { ciphertext, commitment: schedule.commitment(), iv: *schedule.part(32), salt, tag })
}

/// Decrypts what [`seal`] made with the same arguments.
pub(crate) fn unseal(
    key: &[u8],
    purpose: &str,
    associated: &[u8],
    sealed: Sealed,
) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
    let schedule = Schedule::of(key, &sealed.salt, purpose);
    if !bool::from(schedule.commitment().ct_eq(&sealed.commitment)) {
        return Err(UnwrapError::WrongKey);
    }
    if *schedule.part::<12>(32) != sealed.iv {
        return Err(UnwrapError::Altered);
    }
    let mut ciphertext = sealed.ciphertext;
    // Room for the tag first: what is decrypted in place must not have been moved.
    ciphertext.reserve_exact(TAG_BYTES);
    ciphertext.extend_from_slice(&sealed.tag);
    schedule.decrypt(associated, ciphertext)
}

/// A fresh salt.
pub(crate) fn salt() -> Result<Salt, CryptoError> {
    crypto::random::<32>()
}

/// 32 bytes for the use `purpose`, from a key or a uniformly random secret.
pub(crate) fn derive(secret: &[u8], salt: Option<&Salt>, purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    expand(secret, salt, purpose, key.as_mut());
    key
}

/// What one wrapping uses: key, nonce and commitment.
struct Schedule(Zeroizing<[u8; SCHEDULE_BYTES]>);

impl Schedule {
    fn of(key: &[u8], salt: &Salt, purpose: &str) -> Self {
        let mut bytes = Zeroizing::new([0; SCHEDULE_BYTES]);
        expand(key, Some(salt), purpose, bytes.as_mut());
        Self(bytes)
    }

    /// The ciphertext and its tag.
    fn encrypt(&self, associated: &[u8], secret: &[u8]) -> Result<Vec<u8>, CryptoError> {
        // The capacity holds the tag too: the buffer must not move while it holds the plaintext.
        let mut buffer = Zeroizing::new(Vec::with_capacity(secret.len() + TAG_BYTES));
        buffer.extend_from_slice(secret);
        self.cipher()
            .encrypt_in_place(&self.nonce(), associated, &mut *buffer)
            .map_err(|_| CryptoError::Open)?;
        Ok(std::mem::take(&mut *buffer))
    }

    fn decrypt(&self, associated: &[u8], ciphertext: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        let mut buffer = Zeroizing::new(ciphertext);
        self.cipher()
            .decrypt_in_place(&self.nonce(), associated, &mut *buffer)
            .map_err(|_| UnwrapError::Altered)?;
        Ok(buffer)
    }

    fn cipher(&self) -> Aes256Gcm {
        let mut key = Key::<Aes256Gcm>::default();
        key.copy_from_slice(self.part::<32>(0).as_ref());
        let cipher = Aes256Gcm::new(&key);
        zeroize::Zeroize::zeroize(key.as_mut_slice());
        cipher
    }

    fn nonce(&self) -> Nonce<aes_gcm::aead::consts::U12> {
        Nonce::from(*self.part::<12>(32))
    }

    fn commitment(&self) -> [u8; 32] {
        *self.part::<32>(44)
    }

    fn part<const N: usize>(&self, start: usize) -> Zeroizing<[u8; N]> {
        let mut part = Zeroizing::new([0; N]);
        for (to, from) in part.iter_mut().zip(self.0.iter().skip(start)) {
            *to = *from;
        }
        part
    }
}

fn expand(secret: &[u8], salt: Option<&Salt>, purpose: &str, output: &mut [u8]) {
    let salt = salt.map(<[u8; 32]>::as_slice);
    let expanded = Hkdf::<Sha512>::new(salt, secret).expand(purpose.as_bytes(), output);
    debug_assert!(expanded.is_ok(), "HKDF-SHA512 gives up to 16,320 bytes");
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [1; 32];
    const SALT: Salt = [2; 32];

    fn wrapped() -> Wrapped {
        wrap(&KEY, &SALT, "test", b"beside", b"secret").unwrap()
    }

    #[test]
    fn a_wrapping_opens_with_its_own_arguments_alone() {
        assert_eq!(*unwrap(&KEY, &SALT, "test", b"beside", &wrapped()).unwrap(), b"secret");
        let wrong = Err(UnwrapError::WrongKey);
        assert_eq!(unwrap(&[9; 32], &SALT, "test", b"beside", &wrapped()), wrong);
        assert_eq!(unwrap(&KEY, &[9; 32], "test", b"beside", &wrapped()), wrong);
        assert_eq!(unwrap(&KEY, &SALT, "else", b"beside", &wrapped()), wrong);
        assert_eq!(unwrap(&KEY, &SALT, "test", b"other", &wrapped()), Err(UnwrapError::Altered));
    }

    /// HKDF-SHA512 and AES-256-GCM of another implementation (OpenSSL 3), put together as the module says.
    #[test]
    fn a_wrapping_is_what_another_implementation_makes_of_it() {
        let commitment = "291b6b0e6b3c700fd7ddb2f264a2017f74ac1bc87060078dd7c31ff706a3787f";
        assert_eq!(hex::encode(wrapped().commitment), commitment);
        assert_eq!(hex::encode(wrapped().ciphertext), "ec22e78bee9e38f801b43e54a31d687c5075e8d015bb");
    }

    #[test]
    fn every_flipped_bit_of_a_wrapping_is_refused() {
        let honest = wrapped();
        for bit in 0..honest.commitment.len() * 8 {
            let mut altered = honest.clone();
            altered.commitment[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unwrap(&KEY, &SALT, "test", b"beside", &altered), Err(UnwrapError::WrongKey));
        }
        for bit in 0..honest.ciphertext.len() * 8 {
            let mut altered = honest.clone();
            altered.ciphertext[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unwrap(&KEY, &SALT, "test", b"beside", &altered), Err(UnwrapError::Altered));
        }
        for length in 0..honest.ciphertext.len() {
            let mut cut = honest.clone();
            cut.ciphertext.truncate(length);
            assert_eq!(unwrap(&KEY, &SALT, "test", b"beside", &cut), Err(UnwrapError::Altered));
        }
    }

    #[test]
    fn the_plaintext_is_nowhere_in_what_is_stored() {
        let stored = wrap(&KEY, &SALT, "test", b"", &[0x5a; 64]).unwrap();
        assert!(!stored.ciphertext.windows(8).any(|window| window == [0x5a; 8]));
        assert_eq!(stored.ciphertext.len(), 64 + TAG_BYTES);
    }
}
