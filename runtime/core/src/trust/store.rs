//! The trust store as a document: `application/vnd.kos.trust.v1+json`, canonical JSON in an envelope.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Policies, TrustError, TrustPolicy};
use crate::canonical;
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::envelope::Envelope;
use crate::id::{Did, Digest, TrustLevel};
use crate::line;
use crate::quantity::QUANTITY_MAX;

/// What an envelope that holds a trust store says it holds.
pub const TRUST_PAYLOAD_TYPE: &str = "application/vnd.kos.trust.v1+json";
/// Room for about ten thousand authors and revocations; as base64 it still fits into an envelope.
const DOCUMENT_MAX: usize = 2 << 20;
/// A name that a person gives to an author.
const LABEL_MAX: usize = 64;
/// One sentence.
const REASON_MAX: usize = 256;

/// Whom the operators trust, how far, and what was revoked. Nothing in it counts before the operators' signatures have
/// been checked ([`super::VerifiedTrust`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustStore {
    /// Counts the changes; a host never goes back to a lower one.
    pub version: u64,
    /// When the operators signed it.
    pub issued: Timestamp,
    /// What each level may hold at most.
    pub policies: Policies,
    /// The authors whose components run.
    pub authors: BTreeMap<Did, AuthorTrust>,
    /// The keys that count no more, whatever they signed and whenever.
    pub revoked_keys: BTreeMap<Did, Revocation>,
    /// The components that do not run, whoever signed them.
    pub revoked_components: BTreeMap<Digest, Revocation>,
}

/// How far an author is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AuthorTrust {
    /// The level.
    pub level: TrustLevel,
    /// What the operator calls the author; it decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Since when; it decides nothing.
    pub since: Timestamp,
}

/// That something counts no more. There is no way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Revocation {
    /// Since when; the revocation holds whatever the clock says.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl TrustStore {
    /// The first version: the standard policies, and nobody.
    #[must_use]
    pub fn initial(now: Timestamp) -> Self {
        Self {
            version: 1,
            issued: now,
            policies: Policies::standard(),
            authors: BTreeMap::new(),
            revoked_keys: BTreeMap::new(),
            revoked_components: BTreeMap::new(),
        }
    }

    /// The policy of a level.
    #[must_use]
    pub fn policy(&self, level: TrustLevel) -> &TrustPolicy {
        self.policies.get(level)
    }

    /// Signs the store, for [`super::install_signed`] here or on another machine.
    ///
    /// # Errors
    /// [`TrustError`] when the store is unsound, or a signer cannot sign.
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Envelope, TrustError> {
        Ok(Envelope::sign(TRUST_PAYLOAD_TYPE, self.to_payload()?, signers)?)
    }

    /// The canonical bytes of a sound store.
    pub(super) fn to_payload(&self) -> Result<Vec<u8>, TrustError> {
        self.check()?;
        let payload = canonical::to_canonical(self)?;
        if payload.len() > DOCUMENT_MAX {
            return Err(canonical::CanonicalError::TooLarge { size: payload.len(), max: DOCUMENT_MAX }.into());
        }
        Ok(payload)
    }

    /// Reads a sound store in its one form.
    pub(super) fn from_payload(payload: &[u8]) -> Result<Self, TrustError> {
        let store: Self = canonical::from_canonical(payload, DOCUMENT_MAX)?;
        store.check()?;
        Ok(store)
    }

    /// Whether everything in the store is within its bounds.
    pub(super) fn check(&self) -> Result<(), TrustError> {
        if !(1..=QUANTITY_MAX).contains(&self.version) {
            return Err(TrustError::Version { version: self.version });
        }
        self.policies.check()?;
        for label in self.authors.values().filter_map(|author| author.label.as_deref()) {
            check_line("label", label, LABEL_MAX)?;
        }
        for revocation in self.revoked_keys.values().chain(self.revoked_components.values()) {
            check_line("reason", &revocation.reason, REASON_MAX)?;
        }
        Ok(())
    }
}

fn check_line(what: &'static str, text: &str, max: usize) -> Result<(), TrustError> {
    if line::is_honest(text, max) { Ok(()) } else { Err(TrustError::Text { what, max }) }
}
