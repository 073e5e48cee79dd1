//! What the secrets of one vault are encrypted under, and what each is bound to.
//!
//! Source: RFC 5869 and SP 800-38D, by [`crate::custody::wrap`]: per writing a fresh 32-byte salt gives the key, the nonce
//! and a commitment to the key. In scope: the data key, the bound facts, the checksum of a whole vault. Out of scope: the
//! document that holds them ([`super::document`]).
//!
//! Each secret is bound to its vault, environment, type, name, end, version and the state that wrote it, so that no
//! ciphertext serves in another's place.

use zeroize::Zeroizing;

use super::secret::SecretId;
use crate::clock::Timestamp;
use crate::crypto::{self, AgreementSecret, CryptoError};
use crate::custody::locked::LockedBytes;
use crate::custody::wrap::{self, Sealed, UnwrapError};
use crate::id::{AgreementKey, Name};

const SECRET_PURPOSE: &str = "kos/vault-secret/v1";
const CHECKSUM_PURPOSE: &str = "kos/vault-checksum/v1";
const DATA_KEY_PURPOSE: &str = "kos/vault-data-key/v1";
const EXPORT_PURPOSE: &str = "kos/vault-export/v1";

/// The identifier of a vault: 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VaultId(pub(super) [u8; 16]);

/// A data key, and the vault that it is of.
pub(crate) struct Sealing {
    key: LockedBytes,
    vault: VaultId,
    environment: Name,
}

/// What one writing of a secret is bound to, besides its vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label<'a> {
    pub(super) id: &'a SecretId,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) version: u32,
    pub(super) generation: u64,
}

impl Sealing {
    /// A new data key.
    pub(super) fn generate(vault: VaultId, environment: &Name) -> Result<Self, CryptoError> {
        let key = Zeroizing::new(crypto::random::<32>()?);
        Ok(Self { key: LockedBytes::copied(key.as_ref()), vault, environment: environment.clone() })
    }

    /// The data key that [`Self::wrapped`] wrapped.
    pub(super) fn unwrapped(
        under: &[u8],
        vault: VaultId,
        environment: &Name,
        wrapped: Sealed,
    ) -> Result<Self, UnwrapError> {
        let bound = bound_to_vault(&vault, environment);
        let key = wrap::unseal(under, DATA_KEY_PURPOSE, &bound, wrapped)?;
        Ok(Self { key: LockedBytes::copied(&key), vault, environment: environment.clone() })
    }

    /// The data key, encrypted under another and bound to vault and environment.
    pub(super) fn wrapped(&self, under: &[u8]) -> Result<Sealed, CryptoError> {
        wrap::seal(
            under,
            DATA_KEY_PURPOSE,
            &bound_to_vault(&self.vault, &self.environment),
            self.key.expose(),
        )
    }

    /// The data key, sealed to the holder of an agreement key (HPKE).
    pub(super) fn sealed_to(&self, recipient: &AgreementKey) -> Result<Vec<u8>, CryptoError> {
        let bound = bound_to_vault(&self.vault, &self.environment);
        crypto::seal(recipient, EXPORT_PURPOSE.as_bytes(), &bound, self.key.expose())
    }

    /// The data key that [`Self::sealed_to`] sealed.
    pub(super) fn unsealed(
        by: &AgreementSecret,
        vault: VaultId,
        environment: &Name,
        sealed: &[u8],
    ) -> Result<Self, CryptoError> {
        let bound = bound_to_vault(&vault, environment);
        let key = crypto::open(by, EXPORT_PURPOSE.as_bytes(), &bound, sealed)?;
        Ok(Self { key: LockedBytes::copied(&key), vault, environment: environment.clone() })
    }

    pub(super) fn vault(&self) -> &VaultId {
        &self.vault
    }

    pub(super) fn environment(&self) -> &Name {
        &self.environment
    }

    pub(super) fn seal(&self, label: Label<'_>, secret: &[u8]) -> Result<Sealed, CryptoError> {
        wrap::seal(self.key.expose(), SECRET_PURPOSE, &self.bound(label), secret)
    }

    pub(super) fn open(&self, label: Label<'_>, sealed: Sealed) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        wrap::unseal(self.key.expose(), SECRET_PURPOSE, &self.bound(label), sealed)
    }

    /// Keyed BLAKE3 over a document in parts.
    pub(super) fn checksum<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&wrap::derive(self.key.expose(), None, CHECKSUM_PURPOSE));
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }

    fn bound(&self, label: Label<'_>) -> Vec<u8> {
        let mut bound = bound_to_vault(&self.vault, &self.environment);
        push(&mut bound, label.id.name.as_str().as_bytes());
        push(&mut bound, label.id.kind.as_str().as_bytes());
        // The end of time is no end: an absent one has its own length.
        match label.expires_at {
            Some(at) => push(&mut bound, &at.as_millis().to_be_bytes()),
            None => push(&mut bound, &[]),
        }
        push(&mut bound, &label.version.to_be_bytes());
        push(&mut bound, &label.generation.to_be_bytes());
        bound
    }
}

fn bound_to_vault(vault: &VaultId, environment: &Name) -> Vec<u8> {
    let mut bound = Vec::new();
    push(&mut bound, &vault.0);
    push(&mut bound, environment.as_str().as_bytes());
    bound
}

fn push(bound: &mut Vec<u8>, field: &[u8]) {
    bound.extend_from_slice(&(field.len() as u64).to_be_bytes());
    bound.extend_from_slice(field);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn of(key: u8, vault: u8, environment: &str) -> Sealing {
        Sealing {
            key: LockedBytes::copied(&[key; 32]),
            vault: VaultId([vault; 16]),
            environment: environment.parse().unwrap(),
        }
    }

    fn id(text: &str) -> SecretId {
        text.parse().unwrap()
    }

    #[test]
    fn a_secret_is_bound_to_its_vault_environment_type_name_end_version_and_generation() {
        let secret = id("api_key/a");
        let label = Label { id: &secret, expires_at: None, version: 1, generation: 2 };
        let honest = of(1, 1, "default");
        let sealed = honest.seal(label, b"secret").unwrap();
        assert_eq!(*honest.open(label, sealed.clone()).unwrap(), b"secret");

        let (named, typed) = (id("api_key/b"), id("jwt/a"));
        let moved = [
            (of(1, 2, "default"), label),
            (of(1, 1, "staging"), label),
            (of(1, 1, "default"), Label { id: &named, ..label }),
            (of(1, 1, "default"), Label { id: &typed, ..label }),
            (of(1, 1, "default"), Label { expires_at: Some(Timestamp::from_millis(0)), ..label }),
            (of(1, 1, "default"), Label { version: 2, ..label }),
            (of(1, 1, "default"), Label { generation: 3, ..label }),
        ];
        for (sealing, label) in moved {
            assert_eq!(sealing.open(label, sealed.clone()), Err(UnwrapError::Altered), "{label:?}");
        }
        assert_eq!(of(2, 1, "default").open(label, sealed), Err(UnwrapError::WrongKey));
    }

    #[test]
    fn fields_that_run_into_each_other_are_told_apart() {
        let (one, other) = (id("api_key/ab"), id("api_key/b"));
        let label = |id| Label { id, expires_at: None, version: 1, generation: 1 };
        assert_ne!(of(1, 1, "env").bound(label(&one)), of(1, 1, "enva").bound(label(&other)));
    }

    #[test]
    fn a_data_key_is_bound_to_its_vault_and_environment() {
        let root = [9; 32];
        let wrapped = of(1, 1, "default").wrapped(&root).unwrap();
        let unwrap = |root: &[u8], vault: u8, environment: &str| {
            let environment = environment.parse().unwrap();
            Sealing::unwrapped(root, VaultId([vault; 16]), &environment, wrapped.clone()).map(|_| ())
        };
        assert_eq!(unwrap(&root, 1, "default"), Ok(()));
        assert_eq!(unwrap(&root, 2, "default"), Err(UnwrapError::Altered));
        assert_eq!(unwrap(&root, 1, "staging"), Err(UnwrapError::Altered));
        assert_eq!(unwrap(&[8; 32], 1, "default"), Err(UnwrapError::WrongKey));
    }
}
