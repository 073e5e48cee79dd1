//! Manifests that count: signed by enough operators, and installed.
//!
//! In scope: the proof types. Out of scope: files ([`super::store`]) and moments, which are judged at each call (I4).

use std::time::Duration;

use super::PermissionError;
use super::document::{AgentPermissions, PERMISSIONS_TYPE};
use super::grant_id::GrantId;
use super::revocation::Revocations;
use super::store;
use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::home::{Home, HostConfig};
use crate::id::{AgentRef, Did, Digest};
use crate::manifest::VerifiedComponent;

/// Operators' machines and this one may differ by so much.
const ISSUED_SKEW: Duration = Duration::from_secs(300);

/// One manifest that enough operators of this host have signed.
///
/// Only [`VerifiedGrant::verify`] makes one:
/// ```compile_fail,E0451
/// use kos_core::permission::{AgentPermissions, GrantId, VerifiedGrant};
/// fn forge(id: GrantId, permissions: AgentPermissions) -> VerifiedGrant {
///     VerifiedGrant { id, permissions, signers: vec![] }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedGrant {
    id: GrantId,
    permissions: AgentPermissions,
    signers: Vec<Did>,
}

impl VerifiedGrant {
    /// Verifies an envelope against the operators that `host.json` names.
    ///
    /// # Errors
    /// [`PermissionError`] for too few signatures, a document that is malformed or means nothing, or one that names an
    /// operator who has not signed.
    pub fn verify(envelope: Envelope, config: &HostConfig) -> Result<Self, PermissionError> {
        let id = GrantId::of(envelope.unverified_payload());
        let verified = envelope
            .verify(PERMISSIONS_TYPE, config.operators.iter().copied(), config.required_operators())
            .map_err(|source| PermissionError::Signature { grant: id, source })?;
        let permissions = AgentPermissions::parse(verified.payload())
            .map_err(|source| PermissionError::Document { grant: id, source })?;
        if !verified.signers().contains(&permissions.signed_by) {
            return Err(PermissionError::Issuer { grant: id, signed_by: permissions.signed_by });
        }
        Ok(Self { id, permissions, signers: verified.signers().to_vec() })
    }

    /// Refuses a manifest that was issued later than `now`.
    ///
    /// # Errors
    /// [`PermissionError::FromTheFuture`].
    pub(super) fn check_issued(&self, now: Timestamp) -> Result<(), PermissionError> {
        let issued = self.permissions.timestamp;
        if issued > now.saturating_add(ISSUED_SKEW) {
            return Err(PermissionError::FromTheFuture { grant: self.id, issued, now });
        }
        Ok(())
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> GrantId {
        self.id
    }

    /// What it says.
    #[must_use]
    pub fn permissions(&self) -> &AgentPermissions {
        &self.permissions
    }

    /// Which operators have signed it.
    #[must_use]
    pub fn signers(&self) -> &[Did] {
        &self.signers
    }
}

/// All manifests that count for one component: installed, signed by enough operators, about this agent and component,
/// and not revoked. Some may have ended, or not begun: that is judged at each call.
///
/// Only [`VerifiedPermissions::load`] makes one:
/// ```compile_fail,E0451
/// use kos_core::permission::{VerifiedGrant, VerifiedPermissions};
/// fn forge(grants: Vec<VerifiedGrant>) -> VerifiedPermissions {
///     VerifiedPermissions { grants, pinned_elsewhere: vec![] }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPermissions {
    grants: Vec<VerifiedGrant>,
    pinned_elsewhere: Vec<GrantId>,
}

impl VerifiedPermissions {
    /// Loads the manifests that count for a component.
    ///
    /// # Errors
    /// [`PermissionError`] when any installed manifest of this agent does not verify, when any file there is not what
    /// its name says, or when the list of revoked grants is damaged, unsigned or older than one seen before. Nothing of
    /// the kind is passed over: it could hold a denial. Also when a manifest was issued later than `now`: then the clock
    /// was set back, and what has ended would seem not to have.
    pub fn load(
        home: &Home,
        config: &HostConfig,
        component: &VerifiedComponent,
        now: Timestamp,
    ) -> Result<Self, PermissionError> {
        Self::load_for(home, config, &component.agent(), &component.digest(), now)
    }

    /// Loads the manifests that count for a component of this agent.
    pub(super) fn load_for(
        home: &Home,
        config: &HostConfig,
        agent: &AgentRef,
        component: &Digest,
        now: Timestamp,
    ) -> Result<Self, PermissionError> {
        let revocations = Revocations::load(home, config)?;
        let mut loaded = Self { grants: Vec::new(), pinned_elsewhere: Vec::new() };
        let installed = store::read_of(home, config, agent)?;
        let superseded = store::superseded(&installed);
        for grant in installed {
            if revocations.find(grant.id).is_some() || superseded.contains_key(&grant.id) {
                continue;
            }
            grant.check_issued(now)?;
            if grant.permissions.is_about(agent, component) {
                loaded.grants.push(grant);
            } else {
                loaded.pinned_elsewhere.push(grant.id);
            }
        }
        Ok(loaded)
    }

    /// The same, and one more that is lent to this process rather than installed. One about another component changes nothing.
    ///
    /// # Errors
    /// [`PermissionError::FromTheFuture`].
    pub fn lent(
        mut self,
        grant: &VerifiedGrant,
        component: &VerifiedComponent,
        now: Timestamp,
    ) -> Result<Self, PermissionError> {
        if grant.permissions.is_about(&component.agent(), &component.digest()) {
            grant.check_issued(now)?;
            self.grants.push(grant.clone());
            self.grants.sort_unstable_by_key(|grant| grant.id);
        }
        Ok(self)
    }

    /// The manifests, in the order of their identifiers.
    #[must_use]
    pub fn grants(&self) -> &[VerifiedGrant] {
        &self.grants
    }

    /// Manifests of the same agent that are pinned to another component, such as an earlier version: they count for
    /// nothing here, and an operator may wonder why.
    #[must_use]
    pub fn pinned_elsewhere(&self) -> &[GrantId] {
        &self.pinned_elsewhere
    }
}
