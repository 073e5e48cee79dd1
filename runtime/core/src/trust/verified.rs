//! The proof that a trust store is the operators' newest.

use super::explain::TrustExplanation;
use super::{Revocation, TRUST_PAYLOAD_TYPE, TrustError, TrustPolicy, TrustStore};
use crate::envelope::Envelope;
use crate::home::HostConfig;
use crate::id::{Did, Digest, TrustLevel};

/// A trust store that enough of the host's operators have signed, and that no newer one has replaced here.
///
/// Only [`VerifiedTrust::load`] and the two ways to install a store make one. It cannot be written down:
///
/// ```compile_fail,E0451
/// # fn forge(store: kos_core::trust::TrustStore, digest: kos_core::id::Digest) {
/// let forged = kos_core::trust::VerifiedTrust { store, signers: vec![], digest };
/// # }
/// ```
///
/// nor read from a file, nor had from nothing:
///
/// ```compile_fail,E0277
/// let forged: kos_core::trust::VerifiedTrust = serde_json::from_str("{}").unwrap();
/// ```
///
/// ```compile_fail,E0277
/// fn from_nothing<T: Default>() -> T { T::default() }
/// let forged: kos_core::trust::VerifiedTrust = from_nothing();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedTrust {
    store: TrustStore,
    signers: Vec<Did>,
    digest: Digest,
}

impl VerifiedTrust {
    /// Checks the operators' signatures and the document. Whether it is the newest, its caller in this module checks.
    pub(super) fn check(envelope: Envelope, config: &HostConfig) -> Result<Self, TrustError> {
        let verified = envelope.verify(
            TRUST_PAYLOAD_TYPE,
            config.operators.iter().copied(),
            config.required_operators(),
        )?;
        let store = TrustStore::from_payload(verified.payload())?;
        Ok(Self { store, signers: verified.signers().to_vec(), digest: Digest::of(verified.payload()) })
    }

    /// The digest of the signed document.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// The store itself, for display and for the next edit.
    #[must_use]
    pub fn store(&self) -> &TrustStore {
        &self.store
    }

    /// Which operators have signed it.
    #[must_use]
    pub fn signers(&self) -> &[Did] {
        &self.signers
    }

    /// How far an author is trusted; none for a stranger and for a revoked key.
    #[must_use]
    pub fn level_of(&self, author: &Did) -> Option<TrustLevel> {
        if self.is_revoked_key(author) {
            return None;
        }
        self.store.authors.get(author).map(|author| author.level)
    }

    /// Whether a key was revoked.
    #[must_use]
    pub fn is_revoked_key(&self, key: &Did) -> bool {
        self.store.revoked_keys.contains_key(key)
    }

    /// When and why a key was revoked, if it was.
    #[must_use]
    pub fn key_revocation(&self, key: &Did) -> Option<&Revocation> {
        self.store.revoked_keys.get(key)
    }

    /// Whether a component was revoked.
    #[must_use]
    pub fn is_revoked_component(&self, component: &Digest) -> bool {
        self.store.revoked_components.contains_key(component)
    }

    /// When and why a component was revoked, if it was.
    #[must_use]
    pub fn component_revocation(&self, component: &Digest) -> Option<&Revocation> {
        self.store.revoked_components.get(component)
    }

    /// The policy of a level.
    #[must_use]
    pub fn policy(&self, level: TrustLevel) -> &TrustPolicy {
        self.store.policy(level)
    }

    /// Everything that the store says about a key, and why it counts or does not.
    #[must_use]
    pub fn explain(&self, key: &Did) -> TrustExplanation {
        TrustExplanation::of(self, *key)
    }
}
