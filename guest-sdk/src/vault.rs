//! Secrets that the agent uses, and reads only where it was granted that, too.
//!
//! A secret is named by its type and its name: `api_key/weather`, `certificate/site`, `password/db`, `jwt/session`. Which
//! environment's vault is meant, the operator decides at the launch. What an agent can do without reading a secret, it should:
//!
//! ```no_run
//! use kos_sdk::vault::{self, Mac};
//!
//! let request = b"GET /v1/forecast/oslo";
//! let tag = vault::mac("api_key/weather", Mac::HmacSha256, request)?;
//! # Ok::<(), kos_sdk::Error>(())
//! ```
//!
//! Every access is in the host's log before it is answered. A secret that is not there, or has ended, is
//! [`Error::Denied`], as one is that is not granted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Error;
use crate::bindings::kos::agent::vault as raw;

/// The largest secret, in bytes.
pub const SECRET_BYTES: usize = 64 * 1024;

/// Bytes of a signature (RFC 8032).
pub const SIGNATURE_BYTES: usize = 64;

/// A keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mac {
    /// HMAC-SHA-256 (RFC 2104), 32 bytes.
    HmacSha256,
    /// HMAC-SHA-512, 64 bytes.
    HmacSha512,
}

impl From<Mac> for raw::MacAlgorithm {
    fn from(mac: Mac) -> Self {
        match mac {
            Mac::HmacSha256 => Self::HmacSha256,
            Mac::HmacSha512 => Self::HmacSha512,
        }
    }
}

/// Authenticated encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// AES-256-GCM (SP 800-38D).
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

impl From<Cipher> for raw::Cipher {
    fn from(cipher: Cipher) -> Self {
        match cipher {
            Cipher::Aes256Gcm => Self::Aes256Gcm,
            Cipher::ChaCha20Poly1305 => Self::Chacha20Poly1305,
        }
    }
}

/// What is known of a secret without reading it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Type and name, such as `api_key/weather`.
    pub name: String,
    /// The number of its present version; the first is 1.
    pub version: u32,
    /// When its first version was stored.
    pub created: SystemTime,
    /// When it was last used or revealed, as far as the host remembers.
    pub last_accessed: Option<SystemTime>,
    /// When it ends; `None` where it has no end.
    pub expires: Option<SystemTime>,
}

/// Lists the secrets that `pattern` covers: an exact name, or a prefix that ends in `*`.
///
/// Needs `vault.list` in the scope of the pattern as it is written. Secrets outside of the granted scopes are left out.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed pattern; [`Error::Limited`]; [`Error::Unavailable`].
pub fn list(pattern: &str) -> Result<Vec<Metadata>, Error> {
    let secrets = raw::list(pattern)?;
    Ok(secrets.into_iter().map(Metadata::from).collect())
}

/// Stores a secret of at most [`SECRET_BYTES`], or its next version, until `expires`.
///
/// A value must be of its type: a certificate is PEM and not over, a token is a signed one, a password is one line.
///
/// Needs `vault.put` in the scope of the name.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed name, a value that is not of its type, or one that has ended;
/// [`Error::Limited`]; [`Error::Unavailable`].
pub fn put(name: &str, value: &[u8], expires: Option<SystemTime>) -> Result<(), Error> {
    let expires = expires.map(millis).transpose()?;
    Ok(raw::put(name, value, expires)?)
}

/// Removes a secret and its older versions.
///
/// Needs `vault.delete` in the scope of the name.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed name; [`Error::Limited`]; [`Error::Unavailable`].
pub fn delete(name: &str) -> Result<(), Error> {
    Ok(raw::delete(name)?)
}

/// Signs exactly these bytes with Ed25519 under a secret that is a seed of 32 bytes, or PEM with a PKCS#8 key.
///
/// Needs `vault.use` in the scope of the name.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed name, or when the secret is no such key; [`Error::Limited`];
/// [`Error::Unavailable`].
pub fn sign(name: &str, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], Error> {
    let signature = raw::sign(name, message)?;
    signature.try_into().map_err(|_| Error::Unavailable)
}

/// A keyed hash of `message` under the secret as it is.
///
/// Needs `vault.use` in the scope of the name.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed name; [`Error::Limited`]; [`Error::Unavailable`].
pub fn mac(name: &str, algorithm: Mac, message: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(raw::mac(name, algorithm.into(), message)?)
}

/// Encrypts under a secret of exactly 32 bytes.
///
/// The result is a random nonce of 12 bytes, the ciphertext, and the tag of 16 bytes; `associated` is authenticated and not
/// encrypted, and must be the same when it is decrypted.
///
/// Needs `vault.use` in the scope of the name.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed name, or when the secret has another length; [`Error::Limited`];
/// [`Error::Unavailable`].
pub fn encrypt(name: &str, cipher: Cipher, associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(raw::encrypt(name, cipher.into(), associated, plaintext)?)
}

/// Decrypts what [`encrypt`] made with the same name, cipher and `associated` bytes.
///
/// Needs `vault.use` in the scope of the name.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed name, when the secret has another length, or when it was not made
/// so or was altered; [`Error::Limited`]; [`Error::Unavailable`].
pub fn decrypt(name: &str, cipher: Cipher, associated: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(raw::decrypt(name, cipher.into(), associated, ciphertext)?)
}

/// Derives 1 to 64 bytes for the use `context`, which is 1 to 64 of `a-z 0-9 -`.
///
/// HKDF-SHA512 (RFC 5869) of the secret, without salt, with the info `kos/vault-derive/v1/<context>`. The same secret,
/// context and length give the same bytes.
///
/// Needs `vault.use` in the scope of the name.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed name, context or length; [`Error::Limited`];
/// [`Error::Unavailable`].
pub fn derive(name: &str, context: &str, length: u32) -> Result<Vec<u8>, Error> {
    Ok(raw::derive(name, context, length)?)
}

/// The secret itself. From then on it lies in the agent's memory, where nothing but the agent protects it.
///
/// Needs `vault.reveal` in the scope of the name; `vault.use` is not enough.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed name; [`Error::Limited`]; [`Error::Unavailable`].
pub fn reveal(name: &str) -> Result<Vec<u8>, Error> {
    Ok(raw::reveal(name)?)
}

fn millis(time: SystemTime) -> Result<u64, Error> {
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| Error::Invalid("expires".to_owned()))?;
    u64::try_from(since.as_millis()).map_err(|_| Error::Invalid("expires".to_owned()))
}

impl From<raw::Metadata> for Metadata {
    fn from(raw::Metadata { name, version, created, last_accessed, expires }: raw::Metadata) -> Self {
        let time = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        let (last_accessed, expires) = (last_accessed.map(time), expires.map(time));
        Self { name, version, created: time(created), last_accessed, expires }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_before_1970_is_invalid() {
        assert_eq!(millis(UNIX_EPOCH + Duration::from_millis(5)), Ok(5));
        assert_eq!(millis(UNIX_EPOCH - Duration::from_millis(5)), Err(Error::Invalid("expires".to_owned())));
    }
}
