//! Explaining a refusal after the fact: what the log tells of it, judged by what is in force now.
//!
//! In scope: taking from the entry what the component would say. A call is held against the author's declaration before
//! anything else, so its reason tells whether that covered it; for reasons that come before it, it is taken to. Out of scope:
//! reading the log. Nothing here allows a call.

use std::collections::BTreeMap;

use super::PermissionError;
use super::effective::Effective;
use super::evaluate::{Facts, Reason};
use super::explain::{Explanation, explain};
use super::sources::{Ceiling, Declaration};
use super::usage::UseLedger;
use super::verified::VerifiedPermissions;
use crate::capability::Capability;
use crate::home::{Home, HostConfig};
use crate::id::{AgentRef, Digest, TrustLevel};
use crate::line;
use crate::resource::{NetworkAccess, StorageAccess};
use crate::scope::ScopePattern;
use crate::trust::VerifiedTrust;

/// Characters that the log keeps of a scope; a longer one was cut there.
pub const KEPT_OF_A_SCOPE: usize = line::SHOWN_MAX;

/// A refused call, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whose call it was.
    pub agent: AgentRef,
    /// The component that made it.
    pub component: Digest,
    /// The trust level at which it was launched.
    pub level: TrustLevel,
    /// Which capability.
    pub capability: Capability,
    /// For what; empty where the capability has no scope.
    pub scope: String,
    /// The short name of the reason.
    pub reason: String,
}

/// Explains what the same call of the same component would meet now.
///
/// # Errors
/// [`PermissionError`] when the grants of now cannot be read.
pub fn explain_refused(
    home: &Home,
    config: &HostConfig,
    trust: &VerifiedTrust,
    refused: &Refused,
    facts: &Facts<'_>,
) -> Result<Explanation, PermissionError> {
    let Refused { agent, component, level, capability, scope, .. } = refused;
    let permissions = VerifiedPermissions::load_for(home, config, agent, component, facts.now)?;
    let effective = Effective::assemble(
        &declaration(refused),
        &Ceiling::over(&agent.author, component, *level, trust),
        permissions.grants().iter().map(|grant| (grant.id(), grant.permissions())),
    );
    let usage = UseLedger::kept_in(home.uses()).usage(&effective, facts.now);
    Ok(explain(&effective, *capability, scope, &Facts { usage: &usage, ..*facts }))
}

/// What the entry tells of the declaration.
fn declaration(refused: &Refused) -> Declaration {
    let mut capabilities = BTreeMap::new();
    if refused.reason != Reason::NotDeclared.name() {
        let covers = refused.reason != Reason::OutsideDeclaration.name();
        let scope = refused.scope.parse::<ScopePattern>().ok().filter(|_| covers);
        capabilities.insert(refused.capability, scope.into_iter().collect());
    }
    Declaration {
        agent: refused.agent.clone(),
        component: refused.component,
        capabilities,
        memory: None,
        network: NetworkAccess::None,
        storage: StorageAccess::None,
        expires: None,
    }
}
