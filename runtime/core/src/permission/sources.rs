//! Two of the three sources of power: the author's declaration and the trust level's ceiling.
//!
//! In scope: taking from a verified component and a verified trust store what a judgement needs. The third source, the
//! grants, is [`super::VerifiedPermissions`].

use std::collections::{BTreeMap, BTreeSet};

use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::id::{AgentRef, Did, Digest, TrustLevel};
use crate::manifest::VerifiedComponent;
use crate::resource::{NetworkAccess, StorageAccess};
use crate::scope::ScopePattern;
use crate::trust::VerifiedTrust;

/// What the author says that the agent needs.
#[derive(Debug, Clone)]
pub(super) struct Declaration {
    pub(super) agent: AgentRef,
    pub(super) component: Digest,
    pub(super) capabilities: BTreeMap<Capability, Vec<ScopePattern>>,
    pub(super) memory: Option<u64>,
    pub(super) network: NetworkAccess,
    pub(super) storage: StorageAccess,
    /// When the author's word ends.
    pub(super) expires: Option<Timestamp>,
}

/// What the operators allow at most to authors of one trust level.
#[derive(Debug, Clone)]
pub(super) struct Ceiling {
    pub(super) level: TrustLevel,
    pub(super) capabilities: BTreeSet<Capability>,
    pub(super) network: NetworkAccess,
    pub(super) storage: StorageAccess,
    pub(super) memory: u64,
    pub(super) cpu: u64,
    pub(super) duration: u64,
}

impl Declaration {
    pub(super) fn of(component: &VerifiedComponent) -> Self {
        let manifest = component.manifest();
        let declared = manifest.capabilities.iter();
        Self {
            agent: component.agent(),
            component: component.digest(),
            capabilities: declared.map(|declared| (declared.capability, declared.scope.clone())).collect(),
            memory: manifest.resources.memory,
            network: manifest.resources.network,
            storage: manifest.resources.storage,
            expires: manifest.expires,
        }
    }
}

impl Ceiling {
    /// The ceiling over a component under a trust store that may be newer than the one it was verified by: what was
    /// taken back since is taken from a running agent too.
    pub(super) fn of(component: &VerifiedComponent, trust: &VerifiedTrust) -> Self {
        Self::over(&component.agent().author, &component.digest(), component.level(), trust)
    }

    /// The ceiling over a component of this author that was verified at this level.
    pub(super) fn over(
        author: &Did,
        component: &Digest,
        verified: TrustLevel,
        trust: &VerifiedTrust,
    ) -> Self {
        let author = trust.level_of(author);
        let is_trusted = author.is_some() && !trust.is_revoked_component(component);
        let policy = trust.policy(author.map_or(TrustLevel::External, |level| level.min(verified)));
        let restrictions = policy.restrictions;
        let is_under = |capability: &Capability| is_trusted && policy.allows(*capability);
        Self {
            level: policy.level,
            capabilities: Capability::ALL.into_iter().filter(is_under).collect(),
            network: restrictions.network_access,
            storage: restrictions.storage_access,
            memory: restrictions.resource_limits.memory,
            cpu: restrictions.resource_limits.cpu,
            duration: restrictions.resource_limits.duration,
        }
    }
}
