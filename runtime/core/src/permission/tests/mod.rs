//! What the tests of permissions share: an agent, an operator, and short ways to write grants.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod amend;
mod approvals;
mod document;
mod evaluate;
mod gate;
mod reach;
mod reference;
mod request;
mod store;
mod uses;
mod whole;

use std::collections::BTreeMap;

use super::document::Pin;
use super::sources::{Ceiling, Declaration};
use super::*;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::crypto::{SecretKey, Signer as _};
use crate::id::{AgentRef, Digest, TrustLevel};
use crate::resource::{NetworkAccess, StorageAccess};
use crate::scope::ScopePattern;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn agent() -> AgentRef {
    AgentRef { author: key(1).did(), name: "notary".parse().unwrap() }
}

fn component() -> Digest {
    Digest::of(b"component")
}

/// A rule for these scopes (`!` denies).
fn allow(scope: &[&str]) -> CapabilityRule {
    CapabilityRule {
        granted: true,
        scope: scope.iter().map(|item| item.parse().unwrap()).collect(),
        expiry: None,
        conditions: Vec::new(),
    }
}

fn on_condition(scope: &[&str], conditions: &[&str]) -> CapabilityRule {
    let conditions = conditions.iter().map(|condition| condition.parse().unwrap()).collect();
    CapabilityRule { conditions, ..allow(scope) }
}

/// A manifest of the operator whose key has the seed 9.
fn grant(rules: &[(Capability, CapabilityRule)]) -> AgentPermissions {
    AgentPermissions {
        agent_id: agent(),
        pin: Pin::Component { component: component() },
        capabilities: rules.iter().cloned().collect(),
        resource_access: ResourceAccess { memory: MemoryAccess::Write, ..ResourceAccess::NONE },
        network_hosts: Vec::new(),
        limits: LimitSet::default(),
        not_before: at(1_000),
        expires: Expiry::At(at(1_000_000)),
        signed_by: key(9).did(),
        timestamp: at(1_000),
        allow_rollback: false,
        service: None,
        source: None,
        succession: None,
    }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// An author who declares everything.
fn declaration() -> Declaration {
    let everything = |capability: Capability| {
        let scope = if capability.has_scope() { vec![ScopePattern::everything()] } else { Vec::new() };
        (capability, scope)
    };
    Declaration {
        agent: agent(),
        component: component(),
        capabilities: Capability::ALL.into_iter().map(everything).collect::<BTreeMap<_, _>>(),
        memory: None,
        network: NetworkAccess::Full,
        storage: StorageAccess::Persistent,
        expires: None,
    }
}

/// A level that may be granted everything.
fn ceiling() -> Ceiling {
    Ceiling {
        level: TrustLevel::Partner,
        capabilities: Capability::ALL.into_iter().collect(),
        network: NetworkAccess::Full,
        storage: StorageAccess::Persistent,
        memory: u64::MAX,
        cpu: u64::MAX,
        duration: u64::MAX,
    }
}

fn identified(grants: &[AgentPermissions]) -> Vec<(GrantId, &AgentPermissions)> {
    grants.iter().map(|grant| (GrantId::of(&grant.to_bytes().unwrap()), grant)).collect()
}

fn effective_of(declaration: &Declaration, ceiling: &Ceiling, grants: &[AgentPermissions]) -> Effective {
    Effective::assemble(declaration, ceiling, identified(grants).into_iter())
}

fn effective(grants: &[AgentPermissions]) -> Effective {
    effective_of(&declaration(), &ceiling(), grants)
}

fn facts(now: u64) -> Facts<'static> {
    Facts { now: at(now), environment: None, usage: Usage::NONE, is_locked: false }
}

/// The answer for signing in this context, by its name.
fn answer(effective: &Effective, scope: &str, now: u64) -> &'static str {
    match evaluate(effective, Capability::CryptoSign, scope, &facts(now)) {
        Decision::Allowed { .. } => "allowed",
        Decision::Denied(reason) => reason.name(),
    }
}
