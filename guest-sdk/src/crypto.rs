//! Cryptography with keys that the agent never sees.

use std::fmt;
use std::io;

use crate::Error;
use crate::bindings::kos::agent::crypto as raw;

/// How much one call into the host carries. Well below any limit on a call's payload, and large enough that the calls
/// cost nothing beside the hashing.
const CHUNK: usize = 64 * 1024;

/// Bytes of a signature (RFC 8032).
pub const SIGNATURE_BYTES: usize = 64;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SHA-512 (FIPS 180-4), 64 bytes. Its scope is `sha-512`.
    Sha512,
    /// BLAKE3, 32 bytes. Its scope is `blake3`.
    Blake3,
}

impl Algorithm {
    /// The name under which the algorithm stands in a scope.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha512 => "sha-512",
            Self::Blake3 => "blake3",
        }
    }

    /// The length of its hashes, in bytes.
    #[must_use]
    pub const fn output_bytes(self) -> usize {
        match self {
            Self::Sha512 => 64,
            Self::Blake3 => 32,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl From<Algorithm> for raw::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha512 => Self::Sha512,
            Algorithm::Blake3 => Self::Blake3,
        }
    }
}

/// Hashes `data`, of any length.
///
/// Needs `crypto.hash` in the scope of the algorithm's [name](Algorithm::name).
///
/// # Errors
/// [`Error::Denied`].
pub fn hash(algorithm: Algorithm, data: &[u8]) -> Result<Vec<u8>, Error> {
    if data.len() <= CHUNK {
        return Ok(raw::hash(algorithm.into(), data)?);
    }
    let mut hasher = Hasher::new(algorithm)?;
    hasher.update(data)?;
    hasher.finish()
}

/// A hash being computed by the host, of data that need not fit into memory.
///
/// It is an [`io::Write`], so `std::io::copy` feeds it from any reader:
///
/// ```no_run
/// use kos_sdk::crypto::{Algorithm, Hasher};
///
/// let mut hasher = Hasher::new(Algorithm::Blake3)?;
/// std::io::copy(&mut std::io::stdin(), &mut hasher)?;
/// let hash = hasher.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It holds one handle of the host until it is finished or dropped.
#[derive(Debug)]
pub struct Hasher(raw::Hasher);

impl Hasher {
    /// Begins a hash.
    ///
    /// Needs `crypto.hash` in the scope of the algorithm's [name](Algorithm::name); so do all of its methods.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn new(algorithm: Algorithm) -> Result<Self, Error> {
        Ok(Self(raw::Hasher::open(algorithm.into())?))
    }

    /// Adds `data`, of any length.
    ///
    /// # Errors
    /// [`Error::Denied`]. What came before the failing part is then added already: start anew.
    pub fn update(&mut self, data: &[u8]) -> Result<(), Error> {
        for chunk in data.chunks(CHUNK) {
            self.0.update(chunk)?;
        }
        Ok(())
    }

    /// The hash of all that was added.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        Ok(self.0.finish()?)
    }
}

/// The [`Error`] is inside the [`io::Error`].
impl io::Write for Hasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let chunk = data.get(..CHUNK).unwrap_or(data);
        self.update(chunk)?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Signs `message` with the agent's own Ed25519 key, as used for `context`.
///
/// What is signed is not the bare message but its DSSE pre-authentication encoding
/// `"DSSEv1" SP len(type) SP type SP len(message) SP message`, with the type `application/vnd.kos.agent.<context>`. So the
/// result is the signature of a DSSE envelope with that payload type, which anyone verifies with the key in the agent's
/// [`did`](crate::identity::Me::did).
///
/// `context` is 1 to 64 of `a-z 0-9 -`.
///
/// Needs `crypto.sign` in the scope of the context.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed context; [`Error::Unavailable`].
pub fn sign(context: &str, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], Error> {
    let signature = raw::sign(context, message)?;
    signature.try_into().map_err(|_| Error::Unavailable)
}

/// Whether `signature` was made by `signer`, with [`sign`] over this context and message.
///
/// `signer` is a `did:key:z6Mk…`.
///
/// Needs `crypto.verify` in the scope of the signer.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed signer, context or length of the signature. A signature that is
/// not the signer's is `Ok(false)`.
pub fn verify(signer: &str, context: &str, message: &[u8], signature: &[u8]) -> Result<bool, Error> {
    Ok(raw::verify(signer, context, message, signature)?)
}

/// Encrypts `plaintext` so that only the holder of `recipient`'s private key opens it.
///
/// HPKE (RFC 9180) base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305. `recipient` is an X25519
/// key, `did:key:z6LS…`; `associated` is authenticated and not encrypted, and must be the same when it is opened. The
/// result is 48 bytes longer than the plaintext. It does not tell who sealed it: [`sign`] it where that matters.
///
/// Needs `crypto.seal` in the scope of the recipient.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed recipient; [`Error::Unavailable`].
pub fn seal(recipient: &str, associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(raw::seal(recipient, associated, plaintext)?)
}

/// Opens what was sealed to this agent's [`agreement_key`](crate::identity::Me::agreement_key) with the same `associated`
/// bytes.
///
/// Needs `crypto.open`, which has no scope.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] when it was not sealed to this agent, or was altered; [`Error::Unavailable`].
pub fn open(associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(raw::open(associated, sealed)?)
}
