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
/// The most bytes that are derived at once, one block of SHA-512: more keys are had under more contexts.
pub const DERIVED_MAX: usize = 64;
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::id::Did;

    fn id() -> SecretId {
        "api_key/k".parse().unwrap()
    }

    fn made(secret: &[u8], operation: &Operation) -> Result<Vec<u8>, VaultError> {
        match carry_out(&id(), secret, operation) {
            Ok(VaultAnswer::Bytes { bytes }) => Ok(bytes.expose().to_vec()),
            Ok(VaultAnswer::Signature { signature }) => Ok(signature.0.to_vec()),
            Err(CustodyError::Vault(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    fn encrypt(cipher: Cipher, plaintext: &[u8]) -> Operation {
        let plaintext = Secret::new(plaintext.to_vec());
        Operation::Encrypt { cipher, associated: b"beside".to_vec(), plaintext }
    }

    fn decrypt(cipher: Cipher, associated: &[u8], ciphertext: Vec<u8>) -> Operation {
        Operation::Decrypt { cipher, associated: associated.to_vec(), ciphertext }
    }

    const CIPHERS: [Cipher; 2] = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    #[test]
    fn what_was_encrypted_is_decrypted_with_the_same_secret_whole_or_not_at_all() {
        for cipher in CIPHERS {
            let sealed = made(&[7; 32], &encrypt(cipher, b"plaintext")).unwrap();
            assert_eq!(sealed.len(), NONCE + 9 + TAG);
            assert_ne!(made(&[7; 32], &encrypt(cipher, b"plaintext")).unwrap(), sealed, "a fresh nonce");
            let open = |secret: u8, associated: &[u8], sealed: &[u8]| {
                made(&[secret; 32], &decrypt(cipher, associated, sealed.to_vec()))
            };
            assert_eq!(open(7, b"beside", &sealed).unwrap(), b"plaintext");
            assert_eq!(open(8, b"beside", &sealed), Err(VaultError::Ciphertext));
            assert_eq!(open(7, b"other", &sealed), Err(VaultError::Ciphertext));
            for bit in 0..sealed.len() * 8 {
                let mut altered = sealed.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(7, b"beside", &altered), Err(VaultError::Ciphertext), "bit {bit}");
            }
            for length in 0..sealed.len() {
                assert_eq!(open(7, b"beside", &sealed[..length]), Err(VaultError::Ciphertext));
            }
        }
    }

    #[test]
    fn what_one_cipher_made_is_nothing_to_the_other() {
        let sealed = made(&[7; 32], &encrypt(Cipher::Aes256Gcm, b"x")).unwrap();
        let other = decrypt(Cipher::ChaCha20Poly1305, b"beside", sealed);
        assert_eq!(made(&[7; 32], &other), Err(VaultError::Ciphertext));
    }

    #[test]
    fn a_secret_of_another_length_is_no_key_of_a_cipher() {
        for cipher in CIPHERS {
            for length in [1, 16, 31, 33, 64] {
                for operation in [encrypt(cipher, b"x"), decrypt(cipher, b"", vec![0; 40])] {
                    let refused = made(&vec![7; length], &operation).unwrap_err();
                    assert!(matches!(refused, VaultError::Unsuitable { .. }), "{length}");
                }
            }
        }
    }

    /// RFC 8410, section 10.3.
    const PUBLISHED_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const PUBLISHED_PUBLIC_KEY: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    #[test]
    fn a_published_pkcs8_key_signs_as_its_published_public_key() {
        let public: [u8; 32] = hex::decode(PUBLISHED_PUBLIC_KEY).unwrap().try_into().unwrap();
        let sign = Operation::Sign { message: b"message".to_vec() };
        let signature = made(PUBLISHED_KEY.as_bytes(), &sign).unwrap().try_into().unwrap();
        assert!(Did::from_public_key(&public).unwrap().verify(b"message", &signature));
    }

    #[test]
    fn a_secret_that_is_no_ed25519_key_does_not_sign() {
        let other = PUBLISHED_KEY.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vu");
        for secret in [&b"short"[..], &[7; 31], &[7; 33], &[7; 64], other.as_bytes()] {
            let refused = made(secret, &Operation::Sign { message: Vec::new() }).unwrap_err();
            assert!(matches!(refused, VaultError::Unsuitable { .. }));
        }
    }

    #[test]
    fn a_derived_key_is_what_another_implementation_derives() {
        let secret: Vec<u8> = (0..32).collect();
        let derive =
            |context: &str, length| made(&secret, &Operation::Derive { context: context.to_owned(), length });
        // HMAC-SHA512 of Python's standard library, put together as RFC 5869 says.
        let expected = "5494608a9423f1ca1d04a04c24b660fbe6acc452c9a555ea91d05ce3cdaa8d3c\
            b065e3b522e651275ad02d43ac952d93d1e2cae291473cde1d6efa82e4919715";
        assert_eq!(hex::encode(derive("session keys", 64).unwrap()), expected);
        assert_eq!(hex::encode(derive("session keys", 16).unwrap()), expected[..32]);
        assert_ne!(derive("session key", 64), derive("session keys", 64));
        for length in [0, 65, usize::MAX] {
            assert!(matches!(derive("c", length), Err(VaultError::Unsuitable { .. })), "{length}");
        }
    }
}
