//! A person's approval of a call: what it is for, why there is none, and the grant that makes it last.
//!
//! In scope: the proof, and its effect on a judgement. Out of scope: who is asked and when ([`super::approvals`]). Keeps I2
//! (an approval is for exactly what was shown) and I3 (only a question that was answered makes one).

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::access::ResourceAccess;
use super::document::{AgentPermissions, CapabilityRule, DocumentError, Pin, ScopeItem};
use super::grant_id::{Expiry, GrantId};
use super::limits::LimitSet;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::id::{Did, Digest};
use crate::line;
use crate::scope::ScopePattern;

/// Why a call that needs an approval has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unapproved {
    /// Nobody was asked.
    Needed,
    /// Nobody answered in time.
    TimedOut,
    /// A person refused.
    Refused,
    /// The agent has as many questions open, or has asked as many in this minute, as it may.
    Crowded,
    /// The question could not be logged.
    Unlogged,
}

impl Unapproved {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Needed => "approval-needed",
            Self::TimedOut => "approval-timed-out",
            Self::Refused => "approval-refused",
            Self::Crowded => "approval-crowded",
            Self::Unlogged => "approval-unlogged",
        }
    }
}

impl fmt::Display for Unapproved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Needed => "for which a call waits",
            Self::TimedOut => "and nobody answered in time",
            Self::Refused => "which was refused",
            Self::Crowded => "and the agent asks for too many",
            Self::Unlogged => "and the question could not be logged",
        })
    }
}

/// The proof that a person approved one call. Only an answered question makes one, and it is used at once.
///
/// ```compile_fail,E0451
/// use kos_core::{capability::Capability, permission::{Approval, GrantId}};
/// let forged = Approval { capability: Capability::CryptoSign, scope: "receipt".into(), grant: GrantId::of(b"") };
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Approval {
    pub(super) capability: Capability,
    pub(super) scope: String,
    pub(super) grant: GrantId,
}

impl Approval {
    /// What it says of a call of this capability.
    pub(super) fn of(&self, capability: Capability) -> Approved<'_> {
        if capability == self.capability {
            Approved::Once { grant: self.grant, scope: &self.scope }
        } else {
            Approved::Unasked
        }
    }
}

/// What people have said of the call that is judged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Approved<'a> {
    /// Nothing yet.
    Unasked,
    /// Yes, to this scope under the rule of this manifest.
    Once {
        /// Which manifest asked for it.
        grant: GrantId,
        /// For exactly what.
        scope: &'a str,
    },
    /// Whatever they say: for looking at what there is.
    Whoever,
}

impl Approved<'_> {
    pub(super) fn is_for(self, grant: GrantId, scope: &str) -> bool {
        match self {
            Self::Unasked => false,
            Self::Once { grant: approved, scope: shown } => approved == grant && shown == scope,
            Self::Whoever => true,
        }
    }
}

/// Why no grant makes an approval last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// As a pattern, the scope would cover more than it names.
    #[error("`{scope}` cannot be granted: as a rule it would not cover exactly what was asked")]
    Scope {
        /// Which scope.
        scope: String,
    },
    /// The manifest has no rule that asks for an approval of this.
    #[error("the grant has no rule for `{capability}` that asks for an approval")]
    NoRule {
        /// Which capability.
        capability: Capability,
    },
    /// The grant cannot mean anything.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// The manifest that allows what `permissions` asks approvals for without asking, for exactly this component, capability and
/// scope, under the rule's other conditions. It opens nothing else.
///
/// # Errors
/// [`ApprovalError`].
pub fn granting(
    permissions: &AgentPermissions,
    component: Digest,
    (capability, scope): (Capability, &str),
    expires: Expiry,
    (signed_by, now): (Did, Timestamp),
) -> Result<AgentPermissions, ApprovalError> {
    let asking = permissions.capabilities.get(&capability);
    let rule = asking
        .filter(|rule| rule.granted && rule.conditions.iter().any(|condition| condition.patience().is_some()))
        .ok_or(ApprovalError::NoRule { capability })?;
    let scope = if capability.has_scope() { vec![ScopeItem::Allow(exactly(scope)?)] } else { Vec::new() };
    let conditions = rule.conditions.iter().filter(|condition| condition.patience().is_none()).cloned();
    let lasting = CapabilityRule { granted: true, scope, expiry: None, conditions: conditions.collect() };
    let granting = AgentPermissions {
        agent_id: permissions.agent_id.clone(),
        pin: Pin::Component { component },
        capabilities: BTreeMap::from([(capability, lasting)]),
        resource_access: ResourceAccess::NONE,
        network_hosts: Vec::new(),
        limits: LimitSet::default(),
        not_before: now,
        expires,
        signed_by,
        timestamp: now,
        allow_rollback: false,
        service: None,
        source: None,
        succession: None,
    };
    granting.to_bytes()?;
    Ok(granting)
}

/// The pattern that covers this scope alone. A scope that ends in a star, or begins with what denies, has none.
fn exactly(scope: &str) -> Result<ScopePattern, ApprovalError> {
    let pattern = scope.parse::<ScopePattern>().ok().filter(ScopePattern::is_exact);
    pattern.ok_or_else(|| ApprovalError::Scope { scope: line::shown(scope) })
}
