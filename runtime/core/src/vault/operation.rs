//! What is done with a secret that stays in custody.
//!
//! Source: RFC 8032 (Ed25519) with RFC 5958 (PKCS#8), RFC 2104 (HMAC), SP 800-38D (AES-256-GCM), RFC 8439
//! (ChaCha20-Poly1305), RFC 5869 (HKDF-SHA512). In scope: one operation on bytes that were opened. Out of scope: who may
//! ask, and opening them.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit, Nonce};
use chacha20poly1305::ChaCha20Poly1305;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::error::VaultError;
use super::request::{Cipher, MacAlgorithm, Operation, VaultAnswer};
use super::secret::SecretId;
use crate::crypto::{self, SecretKey, Signer as _};
use crate::custody::{CustodyError, Secret, Signature};

/// What a derived key is bound to, before its context.
const DERIVE_PREFIX: &str = "kos/vault-derive/v1/";
/// One block of SHA-512: more keys are had under more contexts.
const DERIVED_MAX: usize = 64;
/// The nonce of both ciphers.
const NONCE: usize = 12;
/// The tag of both ciphers.
const TAG: usize = 16;

/// Does `operation` with the secret `id`.
pub(crate) fn carry_out(
    id: &SecretId,
    secret: &[u8],
    operation: &Operation,
) -> Result<VaultAnswer, CustodyError> {
    let unsuitable = |cause: &str| VaultError::Unsuitable {
        id: id.clone(),
        operation: operation.as_str().to_owned(),
        cause: cause.to_owned(),
    };
    let bytes = match operation {
        Operation::Sign { message } => {
            let key = signing_key(secret).ok_or_else(|| {
                unsuitable("it is neither an Ed25519 seed of 32 bytes nor PEM with a PKCS#8 Ed25519 key")
            })?;
            let signature = key.sign(message).map_err(|_| CustodyError::Answer)?;
            return Ok(VaultAnswer::Signature { signature: Signature(signature) });
        }
        Operation::Mac { algorithm, message } => {
            mac(secret, *algorithm, message).ok_or(CustodyError::Answer)?
        }
        Operation::Encrypt { cipher, associated, plaintext } => match cipher {
            Cipher::Aes256Gcm => encrypt::<Aes256Gcm>(secret, associated, plaintext.expose()),
            Cipher::ChaCha20Poly1305 => encrypt::<ChaCha20Poly1305>(secret, associated, plaintext.expose()),
        }
        .ok_or_else(|| unsuitable("it has not exactly 32 bytes"))??,
        Operation::Decrypt { cipher, associated, ciphertext } => match cipher {
            Cipher::Aes256Gcm => decrypt::<Aes256Gcm>(secret, associated, ciphertext),
            Cipher::ChaCha20Poly1305 => decrypt::<ChaCha20Poly1305>(secret, associated, ciphertext),
        }
        .ok_or_else(|| unsuitable("it has not exactly 32 bytes"))??,
        Operation::Derive { context, length } => derive(secret, context, *length)
            .ok_or_else(|| unsuitable("1 to 64 bytes are derived at a time"))?,
    };
    Ok(VaultAnswer::Bytes { bytes: Secret::from(bytes) })
}

fn signing_key(secret: &[u8]) -> Option<SecretKey> {
    if let Ok(seed) = <&[u8; 32]>::try_from(secret) {
        return Some(SecretKey::from_seed(seed));
    }
    let key = SigningKey::from_pkcs8_pem(str::from_utf8(secret).ok()?).ok()?;
    Some(SecretKey::from_seed(key.as_bytes()))
}

fn mac(secret: &[u8], algorithm: MacAlgorithm, message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // HMAC takes keys of every length.
    let tag = match algorithm {
        MacAlgorithm::HmacSha256 => Hmac::<Sha256>::new_from_slice(secret)
            .ok()?
            .chain_update(message)
            .finalize()
            .into_bytes()
            .to_vec(),
        MacAlgorithm::HmacSha512 => Hmac::<Sha512>::new_from_slice(secret)
            .ok()?
            .chain_update(message)
            .finalize()
            .into_bytes()
            .to_vec(),
    };
    Some(Zeroizing::new(tag))
}

/// Nothing for a secret of another length than the cipher's key.
type Encrypted<E> = Option<Result<Zeroizing<Vec<u8>>, E>>;

fn encrypt<C: AeadInOut + KeyInit>(
    secret: &[u8],
    associated: &[u8],
    plaintext: &[u8],
) -> Encrypted<CustodyError> {
    let cipher = C::new_from_slice(secret).ok()?;
    let nonce = match crypto::random::<NONCE>() {
        Ok(nonce) => nonce,
        Err(error) => return Some(Err(error.into())),
    };
    Some(encrypt_with(&cipher, nonce, associated, plaintext).ok_or(CustodyError::Answer))
}

fn encrypt_with<C: AeadInOut>(
    cipher: &C,
    nonce: [u8; NONCE],
    associated: &[u8],
    plaintext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    // The capacity holds all of it: the buffer must not move while it holds the plaintext.
    let mut buffer = Zeroizing::new(Vec::with_capacity(NONCE + plaintext.len() + TAG));
    buffer.extend_from_slice(&nonce);
    buffer.extend_from_slice(plaintext);
    let nonce: Nonce<C> = nonce.as_slice().try_into().ok()?;
    let tag = cipher.encrypt_inout_detached(&nonce, associated, buffer.get_mut(NONCE..)?.into()).ok()?;
    buffer.extend_from_slice(&tag);
    Some(buffer)
}

fn decrypt<C: AeadInOut + KeyInit>(
    secret: &[u8],
    associated: &[u8],
    ciphertext: &[u8],
) -> Encrypted<VaultError> {
    let cipher = C::new_from_slice(secret).ok()?;
    Some(decrypt_with(&cipher, associated, ciphertext).ok_or(VaultError::Ciphertext))
}

fn decrypt_with<C: AeadInOut>(
    cipher: &C,
    associated: &[u8],
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = ciphertext.split_at_checked(NONCE)?;
    let nonce: Nonce<C> = nonce.try_into().ok()?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    cipher.decrypt_in_place(&nonce, associated, &mut *buffer).ok()?;
    Some(buffer)
}

fn derive(secret: &[u8], context: &str, length: usize) -> Option<Zeroizing<Vec<u8>>> {
    if !(1..=DERIVED_MAX).contains(&length) {
        return None;
    }
    let mut derived = Zeroizing::new(vec![0; length]);
    let info = [DERIVE_PREFIX.as_bytes(), context.as_bytes()];
    Hkdf::<Sha512>::new(None, secret).expand_multi_info(&info, &mut derived).ok()?;
    Some(derived)
}
