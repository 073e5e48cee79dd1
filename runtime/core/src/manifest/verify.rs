//! The judgement of a component, and the proof that it passed.
//!
//! Every key that is tried is an author of the operators' store (I1). The proof holds the very bytes that were hashed.

use std::num::NonZeroUsize;

use semver::Version;

use super::statement::{ManifestStatement, STATEMENT_PAYLOAD_TYPE};
use super::{AgentManifest, Refusal, UnverifiedComponent};
use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::id::{AgentRef, Did, Digest, TrustLevel};
use crate::line;
use crate::trust::VerifiedTrust;

/// Whether an older version than one that has run may run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollback {
    /// It may not.
    Refused,
    /// The operators allow it in a grant.
    Allowed,
}

/// A component whose bytes, manifest and signatures were checked against the operators' trust store.
///
/// Only [`UnverifiedComponent::verify`] makes one. It cannot be written down:
///
/// ```compile_fail,E0451
/// # fn forge(manifest: kos_core::manifest::AgentManifest, digest: kos_core::id::Digest) {
/// let forged = kos_core::manifest::VerifiedComponent {
///     bytes: vec![], digest, statement: digest, manifest, level: kos_core::id::TrustLevel::Trusted, signers: vec![],
/// };
/// # }
/// ```
///
/// nor read from a file, nor had from nothing:
///
/// ```compile_fail,E0277
/// let forged: kos_core::manifest::VerifiedComponent = serde_json::from_str("{}").unwrap();
/// ```
///
/// ```compile_fail,E0277
/// fn from_nothing<T: Default>() -> T { T::default() }
/// let forged: kos_core::manifest::VerifiedComponent = from_nothing();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedComponent {
    bytes: Vec<u8>,
    digest: Digest,
    statement: Digest,
    manifest: AgentManifest,
    level: TrustLevel,
    signers: Vec<Did>,
}

impl UnverifiedComponent {
    /// Judges the component: signatures of trusted authors that are not revoked, the manifest's author among them and
    /// enough of them for a level; the digest; the component's own revocation; its time.
    ///
    /// # Errors
    /// [`Refusal`], the first reason found.
    pub fn verify(self, trust: &VerifiedTrust, now: Timestamp) -> Result<VerifiedComponent, Refusal> {
        let (bytes, digest, envelope) = self.into_parts();
        let envelope = envelope.ok_or(Refusal::Unsigned)?;
        let candidates = trusted_hints(&envelope, trust)?;
        let verified = envelope
            .verify(STATEMENT_PAYLOAD_TYPE, candidates, NonZeroUsize::MIN)
            .map_err(Refusal::Signature)?;
        let ManifestStatement { digest: signed, manifest } =
            ManifestStatement::from_payload(verified.payload())?;
        if signed != digest {
            return Err(Refusal::Digest { signed, found: digest });
        }
        let level = level(&manifest, verified.signers(), trust)?;
        if let Some(revocation) = trust.component_revocation(&digest) {
            return Err(Refusal::ComponentRevoked { component: digest, revocation: revocation.clone() });
        }
        check_time(&manifest, now)?;
        let (statement, signers) = (Digest::of(verified.payload()), verified.signers().to_vec());
        Ok(VerifiedComponent { bytes, digest, statement, manifest, level, signers })
    }
}

impl VerifiedComponent {
    /// Judges the component again, by a trust store that may be newer than the one it was verified by: it must still be what it
    /// was taken for, with every one of its signers in good standing and enough of them for its level.
    ///
    /// # Errors
    /// [`Refusal`], the first reason found.
    pub fn check_again(&self, trust: &VerifiedTrust, now: Timestamp) -> Result<(), Refusal> {
        let revoked = self.signers.iter().find_map(|key| Some((*key, trust.key_revocation(key)?.clone())));
        if let Some((key, revocation)) = revoked {
            return Err(Refusal::KeyRevoked { key, revocation });
        }
        if let Some(revocation) = trust.component_revocation(&self.digest) {
            return Err(Refusal::ComponentRevoked { component: self.digest, revocation: revocation.clone() });
        }
        if level(&self.manifest, &self.signers, trust)? < self.level {
            return Err(Refusal::UntrustedSigners { signers: self.signers.clone() });
        }
        check_time(&self.manifest, now)
    }

    /// The component: exactly the bytes that were hashed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of what its author signed about it: the statement with its manifest.
    #[must_use]
    pub fn statement(&self) -> Digest {
        self.statement
    }

    /// The component's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the author signed about it.
    #[must_use]
    pub fn manifest(&self) -> &AgentManifest {
        &self.manifest
    }

    /// The agent that runs it.
    #[must_use]
    pub fn agent(&self) -> AgentRef {
        self.manifest.agent()
    }

    /// How far it is trusted: its author's level, or the lower one that enough trusted authors have signed for.
    #[must_use]
    pub fn level(&self) -> TrustLevel {
        self.level
    }

    /// The trusted authors who have signed it, each once.
    #[must_use]
    pub fn signers(&self) -> &[Did] {
        &self.signers
    }

    /// Refuses a version lower than the highest that has run here, unless the operators allow it.
    ///
    /// # Errors
    /// [`Refusal::RolledBack`].
    pub fn check_not_rolled_back(&self, highest: &Version, rollback: Rollback) -> Result<(), Refusal> {
        let AgentManifest { name, version, .. } = &self.manifest;
        match rollback {
            Rollback::Refused if version < highest => Err(Refusal::RolledBack {
                name: name.clone(),
                version: version.clone(),
                highest: highest.clone(),
            }),
            Rollback::Refused | Rollback::Allowed => Ok(()),
        }
    }
}

/// The authors of the store that the signatures name. A hint only chooses which trusted keys are tried; all must be
/// canonical, so that a signed file has one form.
fn trusted_hints(envelope: &Envelope, trust: &VerifiedTrust) -> Result<Vec<Did>, Refusal> {
    let signers = envelope
        .key_hints()
        .map(|hint| hint.parse().map_err(|_| Refusal::KeyHint { hint: line::shown(hint) }))
        .collect::<Result<Vec<Did>, Refusal>>()?;
    let candidates: Vec<Did> =
        signers.iter().copied().filter(|signer| trust.level_of(signer).is_some()).collect();
    if !candidates.is_empty() {
        return Ok(candidates);
    }
    let revoked = signers.iter().find_map(|key| Some((*key, trust.key_revocation(key)?.clone())));
    Err(match revoked {
        Some((key, revocation)) => Refusal::KeyRevoked { key, revocation },
        None => Refusal::UntrustedSigners { signers },
    })
}

/// The author's level, lowered to the highest for which enough different signers are trusted.
fn level(manifest: &AgentManifest, signers: &[Did], trust: &VerifiedTrust) -> Result<TrustLevel, Refusal> {
    let author = manifest.author;
    if let Some(revocation) = trust.key_revocation(&author) {
        return Err(Refusal::KeyRevoked { key: author, revocation: revocation.clone() });
    }
    let own = trust
        .level_of(&author)
        .filter(|_| signers.contains(&author))
        .ok_or(Refusal::AuthorDidNotSign { author })?;
    let signers_at = |level| signers.iter().filter(|signer| trust.level_of(signer) >= Some(level)).count();
    TrustLevel::ALL
        .into_iter()
        .rev()
        .filter(|level| *level <= own)
        .find(|level| signers_at(*level) >= trust.policy(*level).signatures)
        .ok_or_else(|| Refusal::Threshold {
            valid: signers.len(),
            required: trust.policy(TrustLevel::External).signatures,
        })
}

fn check_time(manifest: &AgentManifest, now: Timestamp) -> Result<(), Refusal> {
    if now < manifest.not_before {
        return Err(Refusal::NotYetValid { not_before: manifest.not_before, now });
    }
    match manifest.expires {
        Some(expires) if now >= expires => Err(Refusal::Expired { expires, now }),
        _ => Ok(()),
    }
}
