//! What an agent may do: declared by its author ∩ granted by the operators ∩ the ceiling of its trust level (I2).
//!
//! In scope: putting the three together once, so that a call is judged by looking into one table. Out of scope: the
//! judgement ([`super::evaluate`]) and how uses are counted ([`super::Gate`]).

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::access::{MemoryAccess, NetworkHost, ResourceAccess};
use super::condition::Condition;
use super::document::{AgentPermissions, CapabilityRule, ScopeItem};
use super::grant_id::{Expiry, GrantId};
use super::limit_name::LimitName;
use super::limits::{LimitSet, Limits};
use super::source::Source;
use super::sources::{Ceiling, Declaration};
use super::verified::VerifiedPermissions;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::id::{AgentRef, Digest, TrustLevel};
use crate::manifest::{Instances, VerifiedComponent};
use crate::resource::NetworkAccess;
use crate::scope::ScopePattern;
use crate::trust::VerifiedTrust;

/// The effective permissions of one component: everything that a judgement looks at, but the moment.
#[derive(Debug, Clone)]
pub struct Effective {
    pub(super) agent: AgentRef,
    pub(super) component: Digest,
    pub(super) level: TrustLevel,
    /// When the component ends, if it does: the author's word, judged at each call like a grant's.
    pub(super) ends: Option<Timestamp>,
    /// By the capability's place in [`Capability::ALL`].
    rules: Vec<CapabilityRules>,
    pub(super) validity: Vec<Validity>,
    /// Declared ∩ ceiling, before any grant.
    most: ResourceAccess,
    most_limits: Limits,
    counted_rules: usize,
}

/// What one manifest opens apart from capabilities, and when.
#[derive(Debug, Clone)]
pub(super) struct Validity {
    pub(super) grant: GrantId,
    pub(super) not_before: Timestamp,
    pub(super) expires: Expiry,
    access: ResourceAccess,
    hosts: Vec<NetworkHost>,
    limits: LimitSet,
    allow_rollback: bool,
    instances: Instances,
    pub(super) source: Option<Arc<Source>>,
}

impl Validity {
    fn is_in_force(&self, now: Timestamp) -> bool {
        now >= self.not_before && !self.expires.is_past(now)
    }
}

/// All that the three sources say about one capability.
#[derive(Debug, Clone, Default)]
pub(super) struct CapabilityRules {
    /// None where the author declares no need of it.
    pub(super) declared: Option<Patterns>,
    pub(super) is_under_ceiling: bool,
    /// Denials have no end and no condition: time never gives power by passing.
    pub(super) denials: Vec<Denial>,
    /// Uncounted rules first, so that no use is spent where none is needed; then by grant.
    pub(super) allowances: Vec<Allowance>,
}

/// A denial, by a whole rule or by one of its scope items.
#[derive(Debug, Clone)]
pub(super) struct Denial {
    pub(super) grant: GrantId,
    /// None denies the capability wholly.
    pub(super) pattern: Option<ScopePattern>,
}

/// A rule that allows.
#[derive(Debug, Clone)]
pub(super) struct Allowance {
    pub(super) grant: GrantId,
    pub(super) patterns: Patterns,
    pub(super) not_before: Timestamp,
    pub(super) expires: Expiry,
    /// The conditions that are plain facts.
    pub(super) conditions: Vec<Condition>,
    /// How long a call waits for a person's approval, where it needs one.
    pub(super) approval: Option<Duration>,
    pub(super) budget: Option<Budget>,
}

/// A list of patterns, ready for calls.
#[derive(Debug, Clone)]
pub(super) struct Patterns {
    list: Vec<ScopePattern>,
    /// Known beforehand, because comparing with the empty prefix of `*` is the slowest of all comparisons: its text lies
    /// nowhere, and processors that load vectors under a mask stumble over that.
    has_everything: bool,
}

impl Patterns {
    fn new(list: Vec<ScopePattern>) -> Self {
        let has_everything = list.contains(&ScopePattern::everything());
        Self { list, has_everything }
    }

    pub(super) fn covers(&self, scope: &str) -> bool {
        self.has_everything || self.list.iter().any(|pattern| pattern.covers(scope))
    }

    pub(super) fn as_slice(&self) -> &[ScopePattern] {
        &self.list
    }
}

/// What a rule lets be used up, and the place of its counter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) index: usize,
    /// The first manifest of the line that the rule's manifest continues, under which its uses are counted.
    pub(super) origin: GrantId,
    pub(super) uses: Option<u64>,
    pub(super) rate: Option<(u32, Duration)>,
}

impl Denial {
    pub(super) fn covers(&self, scope: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.covers(scope))
    }

    pub(super) fn covers_pattern(&self, pattern: &ScopePattern) -> bool {
        self.pattern.as_ref().is_none_or(|denied| denied.covers_pattern(pattern))
    }
}

impl Effective {
    /// What the component declares ∩ what its grants give ∩ what its trust level reaches.
    #[must_use]
    pub fn compute(
        component: &VerifiedComponent,
        permissions: &VerifiedPermissions,
        trust: &VerifiedTrust,
    ) -> Self {
        let grants = permissions.grants().iter();
        // Grants that were loaded for another component count for nothing here.
        let about =
            grants.filter(|grant| grant.permissions().is_about(&component.agent(), &component.digest()));
        Self::assemble(
            &Declaration::of(component),
            &Ceiling::of(component, trust),
            about.map(|grant| (grant.id(), grant.permissions())),
        )
    }

    /// Puts the three sources together. Manifests that are not about this agent and component are the caller's to
    /// leave out.
    pub(super) fn assemble<'a>(
        declaration: &Declaration,
        ceiling: &Ceiling,
        grants: impl Iterator<Item = (GrantId, &'a AgentPermissions)>,
    ) -> Self {
        let mut rules: Vec<CapabilityRules> = Capability::ALL
            .into_iter()
            .map(|capability| CapabilityRules {
                declared: declaration.capabilities.get(&capability).cloned().map(Patterns::new),
                is_under_ceiling: ceiling.capabilities.contains(&capability),
                ..CapabilityRules::default()
            })
            .collect();
        let mut grants: Vec<_> = grants.collect();
        grants.sort_by_key(|(grant, _)| *grant);
        let mut counted_rules = 0;
        for (grant, permissions) in &grants {
            for (capability, rule) in &permissions.capabilities {
                if let Some(rules) = rules.get_mut(*capability as usize) {
                    rules.add(*grant, permissions, rule, &mut counted_rules);
                }
            }
        }
        for rules in &mut rules {
            rules.allowances.sort_by_key(|allowance| (allowance.budget.is_some(), allowance.grant));
        }
        let mut most_limits = Limits::widest()
            .at_most(LimitName::Memory, ceiling.memory)
            .at_most(LimitName::Cpu, ceiling.cpu)
            .at_most(LimitName::Duration, ceiling.duration);
        if let Some(memory) = declaration.memory {
            most_limits = most_limits.at_most(LimitName::Memory, memory);
        }
        Self {
            agent: declaration.agent.clone(),
            component: declaration.component,
            level: ceiling.level,
            ends: declaration.expires,
            rules,
            validity: grants.iter().map(|(grant, permissions)| Validity::of(*grant, permissions)).collect(),
            most: ResourceAccess {
                memory: MemoryAccess::Write,
                network: declaration.network.min(ceiling.network),
                storage: declaration.storage.min(ceiling.storage),
            },
            most_limits,
            counted_rules,
        }
    }

    /// Whose permissions these are.
    #[must_use]
    pub fn agent(&self) -> &AgentRef {
        &self.agent
    }

    /// For which component they were put together.
    #[must_use]
    pub fn component(&self) -> &Digest {
        &self.component
    }

    /// The trust level whose ceiling holds.
    #[must_use]
    pub fn level(&self) -> TrustLevel {
        self.level
    }

    /// The limits of a run that begins at `now`: the least of what the author declares, the operators grant and the ceiling
    /// allows. Only a manifest in force raises one above the standard; one that has ended or not begun still lowers it, so
    /// that time gives no power by passing.
    #[must_use]
    pub fn limits(&self, now: Timestamp) -> Limits {
        let in_force: Vec<&LimitSet> = self.in_force(now).map(|grant| &grant.limits).collect();
        Limits::of_grants(in_force)
            .min(&Limits::of_grants(self.validity.iter().map(|grant| &grant.limits)))
            .min(&self.most_limits)
    }

    /// How much of the machine is reached at `now`: what any manifest in force opens, but no more than was declared
    /// and the ceiling allows.
    #[must_use]
    pub fn resources(&self, now: Timestamp) -> ResourceAccess {
        let mut access = ResourceAccess::NONE;
        for grant in self.in_force(now) {
            access.memory = access.memory.max(grant.access.memory);
            access.network = access.network.max(grant.access.network);
            access.storage = access.storage.max(grant.access.storage);
        }
        ResourceAccess {
            memory: access.memory.min(self.most.memory),
            network: access.network.min(self.most.network),
            storage: access.storage.min(self.most.storage),
        }
    }

    /// The addresses that restricted network access reaches at `now`. Empty where the access is none; of no account
    /// where it is full.
    pub fn network_hosts(&self, now: Timestamp) -> impl Iterator<Item = &NetworkHost> {
        let is_reached = self.resources(now).network > NetworkAccess::None;
        self.in_force(now).filter(move |_| is_reached).flat_map(|grant| &grant.hosts)
    }

    /// Which instance of a service handles a message, as far as the manifests demand it: the strictest of all of them, so that time
    /// loosens nothing by passing.
    #[must_use]
    pub fn instances(&self) -> Instances {
        self.validity.iter().map(|grant| grant.instances).max().unwrap_or_default()
    }

    /// Whether a manifest in force lets an older version run than one that has run before.
    #[must_use]
    pub fn allows_rollback(&self, now: Timestamp) -> bool {
        self.in_force(now).any(|grant| grant.allow_rollback)
    }

    /// The grants in force at `now`, as an agent may be told them: only scopes that are declared, granted and not
    /// denied as a whole. In the order of the capabilities' names.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> Vec<Held> {
        let mut held = Vec::new();
        if self.ends.is_some_and(|end| now >= end) {
            return held;
        }
        for capability in Capability::ALL {
            let Some(rules) = self.rules(capability) else { continue };
            for allowance in &rules.allowances {
                let is_in_force = now >= allowance.not_before && !allowance.expires.is_past(now);
                if is_in_force && rules.is_power(capability, allowance) {
                    let scope = rules.shared(allowance).map(ToString::to_string).collect();
                    held.push(Held { capability, scope, expires: allowance.expires.instant() });
                }
            }
        }
        held.sort_by_key(|held| held.capability.as_str());
        held
    }

    /// How long a call that this manifest's rule allows waits for an approval.
    pub(super) fn patience(&self, capability: Capability, grant: GrantId) -> Option<Duration> {
        let allowances = &self.rules(capability)?.allowances;
        allowances.iter().find(|allowance| allowance.grant == grant)?.approval
    }

    pub(super) fn rules(&self, capability: Capability) -> Option<&CapabilityRules> {
        self.rules.get(capability as usize)
    }

    /// Every rule that counts its uses, in the order of [`Budget::index`].
    pub(super) fn counted(&self) -> Vec<(GrantId, Capability, Budget)> {
        let mut counted = Vec::with_capacity(self.counted_rules);
        for capability in Capability::ALL {
            for allowance in self.rules(capability).map_or(&[][..], |rules| &rules.allowances) {
                counted.extend(allowance.budget.map(|budget| (allowance.grant, capability, budget)));
            }
        }
        counted.sort_by_key(|(_, _, budget)| budget.index);
        counted
    }

    pub(super) fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Validity> {
        let is_ended = self.ends.is_some_and(|end| now >= end);
        self.validity.iter().filter(move |grant| !is_ended && grant.is_in_force(now))
    }
}

impl Validity {
    fn of(grant: GrantId, permissions: &AgentPermissions) -> Self {
        Self {
            grant,
            not_before: permissions.not_before,
            expires: permissions.expires,
            access: permissions.resource_access,
            hosts: permissions.network_hosts.clone(),
            limits: permissions.limits.clone(),
            allow_rollback: permissions.allow_rollback,
            instances: permissions.service.unwrap_or_default().instances,
            source: permissions.source.clone().map(Arc::new),
        }
    }
}

impl CapabilityRules {
    fn add(
        &mut self,
        grant: GrantId,
        permissions: &AgentPermissions,
        rule: &CapabilityRule,
        counted_rules: &mut usize,
    ) {
        if !rule.granted {
            self.denials.push(Denial { grant, pattern: None });
            return;
        }
        let mut patterns = Vec::new();
        for item in &rule.scope {
            match item {
                ScopeItem::Allow(pattern) => patterns.push(pattern.clone()),
                ScopeItem::Deny(pattern) => {
                    self.denials.push(Denial { grant, pattern: Some(pattern.clone()) });
                }
            }
        }
        let origin = permissions.origin(grant);
        let budget = Budget::of(&rule.conditions, *counted_rules, origin);
        *counted_rules += usize::from(budget.is_some());
        self.allowances.push(Allowance {
            grant,
            patterns: Patterns::new(patterns),
            not_before: permissions.not_before,
            expires: permissions.expires.earlier(rule.expiry),
            conditions: rule.conditions.iter().filter(|condition| condition.is_fact()).cloned().collect(),
            approval: rule.conditions.iter().find_map(Condition::patience),
            budget,
        });
    }

    /// Whether a rule could allow anything at all, whatever the moment.
    pub(super) fn is_power(&self, capability: Capability, allowance: &Allowance) -> bool {
        let is_possible = self.is_under_ceiling && self.declared.is_some();
        is_possible
            && if capability.has_scope() {
                self.shared(allowance).next().is_some()
            } else {
                self.denials.is_empty()
            }
    }

    /// What a rule and the author's declaration share, and no denial covers as a whole.
    pub(super) fn shared<'a>(&'a self, allowance: &'a Allowance) -> impl Iterator<Item = &'a ScopePattern> {
        let declared = self.declared.as_ref().map_or(&[][..], Patterns::as_slice);
        allowance
            .patterns
            .as_slice()
            .iter()
            .flat_map(move |granted| {
                declared.iter().filter_map(move |declared| granted.intersection(declared))
            })
            .filter(|shared| !self.denials.iter().any(|denial| denial.covers_pattern(shared)))
    }
}

impl Budget {
    fn of(conditions: &[Condition], index: usize, origin: GrantId) -> Option<Self> {
        let mut budget = Self { index, origin, uses: None, rate: None };
        for condition in conditions {
            match condition {
                Condition::Uses(count) => budget.uses = Some(*count),
                Condition::Rate { count, window } => budget.rate = Some((*count, *window)),
                Condition::Time { .. }
                | Condition::Days(_)
                | Condition::Trust(_)
                | Condition::Environment(_)
                | Condition::Approval(_) => {}
            }
        }
        (budget.uses.is_some() || budget.rate.is_some()).then_some(budget)
    }
}

/// One grant in force, as an agent may be told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The capability.
    pub capability: Capability,
    /// For what it is held, as patterns.
    pub scope: Vec<String>,
    /// When it ends, if it does.
    pub expires: Option<Timestamp>,
}
