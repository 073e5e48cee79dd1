//! Why a call is allowed or refused, and what would change that, in words for the operator.
//!
//! In scope: sentences and commands. Out of scope: the judgement itself, which is [`super::evaluate`]'s alone.

use serde::Serialize;

use super::document::ScopeItem;
use super::effective::{Allowance, CapabilityRules, Effective, Patterns};
use super::evaluate::{Decision, Facts, Reason, evaluate};
use super::grant_id::GrantId;
use super::source::Place;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::scope::ScopePattern;

/// How an explanation names the component when it does not know the file.
const COMPONENT: &str = "AGENT.wasm";

/// What a call meets, and what would change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Which capability.
    pub capability: Capability,
    /// For what.
    pub scope: String,
    /// The answer.
    pub decision: Decision,
    /// Which of the things that are asked refused it; none where it is allowed.
    pub refused_by: Option<RefusedBy>,
    /// The rule that decided, where one did.
    pub rule: Option<DecidingRule>,
    /// The reason as a sentence.
    pub because: String,
    /// What would alter the answer.
    pub change: String,
    /// Every rule that says anything about the capability.
    pub considered: Vec<ConsideredRule>,
}

/// A rule, by its manifest and its place there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecidingRule {
    /// Which manifest.
    pub grant: GrantId,
    /// The key of the rule in the manifest.
    pub capability: Capability,
    /// Where its operator wrote it, if the manifest says so.
    pub place: Option<Place>,
}

/// What is asked before a call is allowed, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedBy {
    /// What the call itself names.
    Call,
    /// Whether the component may still run.
    Component,
    /// What its author declares.
    Declared,
    /// What its trust level reaches.
    Ceiling,
    /// What its operators grant.
    Granted,
    /// What a grant wants to hold at the call.
    Condition,
    /// Whether the keys are there.
    Keys,
    /// What the vault holds.
    Vault,
}

impl RefusedBy {
    /// The word for it, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Component => "component",
            Self::Declared => "declared",
            Self::Ceiling => "ceiling",
            Self::Granted => "granted",
            Self::Condition => "condition",
            Self::Keys => "keys",
            Self::Vault => "vault",
        }
    }
}

/// A rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsideredRule {
    /// Which manifest.
    pub grant: GrantId,
    /// What it says, as a sentence.
    pub says: String,
    /// Where its operator wrote it, if the manifest says so.
    pub place: Option<Place>,
}

/// A capability that an interface wants and the agent has no way to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Which capability.
    pub capability: Capability,
    /// Why it is not there.
    pub reason: Reason,
    /// The command, or the deed, that would give it.
    pub change: String,
}

/// Explains what a call would meet.
#[must_use]
pub fn explain(effective: &Effective, capability: Capability, scope: &str, facts: &Facts<'_>) -> Explanation {
    let decision = evaluate(effective, capability, scope, facts);
    let rule = |grant| DecidingRule {
        grant,
        capability,
        place: effective.place(grant, capability, &decision, scope),
    };
    let (rule, because, change) = match &decision {
        Decision::Allowed { grant } => (
            Some(rule(*grant)),
            format!("the rule `{capability}` of the grant {grant} allows it"),
            format!("`kos grants revoke {grant}` would take this rule away"),
        ),
        Decision::Denied(reason) => (
            reason.grant().map(rule),
            reason.to_string(),
            change(effective, capability, &[scope.to_owned()], reason, COMPONENT),
        ),
    };
    let considered = considered(effective, capability);
    let refused_by = match &decision {
        Decision::Allowed { .. } => None,
        Decision::Denied(reason) => Some(reason.refused_by()),
    };
    let scope = scope.to_owned();
    Explanation { capability, scope, decision, refused_by, rule, because, change, considered }
}

impl Reason {
    /// The manifest that decided, where one did.
    #[must_use]
    pub fn grant(&self) -> Option<GrantId> {
        match self {
            Self::DeniedByRule { grant, .. }
            | Self::Expired { grant, .. }
            | Self::NotYetValid { grant, .. }
            | Self::Condition { grant, .. }
            | Self::Exhausted { grant, .. }
            | Self::Approval { grant, .. } => Some(*grant),
            Self::Revoked
            | Self::MalformedScope
            | Self::ComponentExpired { .. }
            | Self::NotDeclared
            | Self::OutsideDeclaration
            | Self::AboveCeiling { .. }
            | Self::NotGranted
            | Self::ScopeNotCovered
            | Self::Locked
            | Self::NoSuchSecret
            | Self::SecretExpired => None,
        }
    }

    /// Which of the things that are asked refused.
    #[must_use]
    pub fn refused_by(&self) -> RefusedBy {
        match self {
            Self::MalformedScope => RefusedBy::Call,
            Self::Revoked | Self::ComponentExpired { .. } => RefusedBy::Component,
            Self::NotDeclared | Self::OutsideDeclaration => RefusedBy::Declared,
            Self::AboveCeiling { .. } => RefusedBy::Ceiling,
            Self::DeniedByRule { .. }
            | Self::NotGranted
            | Self::ScopeNotCovered
            | Self::Expired { .. }
            | Self::NotYetValid { .. } => RefusedBy::Granted,
            Self::Condition { .. } | Self::Exhausted { .. } | Self::Approval { .. } => RefusedBy::Condition,
            Self::Locked => RefusedBy::Keys,
            Self::NoSuchSecret | Self::SecretExpired => RefusedBy::Vault,
        }
    }
}

impl Effective {
    /// Where the rule of a manifest that decided was written: the item of its scope, if that is what decided.
    fn place(
        &self,
        grant: GrantId,
        capability: Capability,
        decision: &Decision,
        scope: &str,
    ) -> Option<Place> {
        let item = match decision {
            Decision::Denied(Reason::DeniedByRule { pattern, .. }) => pattern.clone().map(ScopeItem::Deny),
            Decision::Allowed { .. } | Decision::Denied(_) => {
                let mut rules = self.rules(capability)?.allowances.iter();
                let rule = rules.find(|rule| rule.grant == grant);
                let covering = |pattern: &&ScopePattern| pattern.covers(scope);
                let pattern = rule.and_then(|rule| rule.patterns.as_slice().iter().find(covering));
                pattern.cloned().map(ScopeItem::Allow)
            }
        };
        self.written(grant, capability, item.as_ref())
    }

    fn written(&self, grant: GrantId, capability: Capability, item: Option<&ScopeItem>) -> Option<Place> {
        let manifest = self.validity.iter().find(|manifest| manifest.grant == grant)?;
        manifest.source.as_ref()?.place(capability, item)
    }

    /// Whether an interface (`crypto`, or `kos:agent/crypto@0.1.0`) has a capability that a rule could allow at `now`
    /// or later. One that has none is not linked.
    #[must_use]
    pub fn has_interface(&self, interface: &str, now: Timestamp) -> bool {
        capabilities_of(interface).any(|capability| self.obstacle(capability, now).is_none())
    }

    /// For each interface that has no effective capability, what is missing: the capabilities that its author
    /// declares, or all of the interface where none is declared. `component` is the file as the operator named it.
    #[must_use]
    pub fn missing(&self, interfaces: &[&str], component: &str, now: Timestamp) -> Vec<Missing> {
        let mut missing = Vec::new();
        for interface in interfaces.iter().filter(|interface| !self.has_interface(interface, now)) {
            let is_declared = |capability: &Capability| {
                self.rules(*capability).is_some_and(|rules| rules.declared.is_some())
            };
            let is_any_declared = capabilities_of(interface).any(|capability| is_declared(&capability));
            for capability in capabilities_of(interface) {
                if is_any_declared && !is_declared(&capability) {
                    continue;
                }
                if let Some(reason) = self.obstacle(capability, now) {
                    let scopes = self.declared_scopes(capability);
                    let change = change(self, capability, &scopes, &reason, component);
                    missing.push(Missing { capability, reason, change });
                }
            }
        }
        missing
    }

    /// Why no rule could allow the capability for any scope, at `now` or later; none where one could.
    fn obstacle(&self, capability: Capability, now: Timestamp) -> Option<Reason> {
        if let Some(at) = self.ends.filter(|end| now >= *end) {
            return Some(Reason::ComponentExpired { at });
        }
        let Some(rules) = self.rules(capability).filter(|rules| rules.declared.is_some()) else {
            return Some(Reason::NotDeclared);
        };
        if !rules.is_under_ceiling {
            return Some(Reason::AboveCeiling { level: self.level });
        }
        if let Some(denial) = rules.denials.iter().find(|denial| denial.pattern.is_none()) {
            return Some(Reason::DeniedByRule { grant: denial.grant, pattern: None });
        }
        let lasting = |allowance: &&Allowance| !allowance.expires.is_past(now);
        if rules.allowances.iter().filter(lasting).any(|allowance| rules.is_power(capability, allowance)) {
            return None;
        }
        if let Some(ended) = rules.allowances.iter().rfind(|allowance| allowance.expires.is_past(now)) {
            let at = ended.expires.instant().unwrap_or(now);
            return Some(Reason::Expired { grant: ended.grant, at });
        }
        Some(if rules.allowances.is_empty() { Reason::NotGranted } else { Reason::ScopeNotCovered })
    }

    fn declared_scopes(&self, capability: Capability) -> Vec<String> {
        let declared = self.rules(capability).and_then(|rules| rules.declared.as_ref());
        declared.map_or(&[][..], Patterns::as_slice).iter().map(ToString::to_string).collect()
    }
}

/// The capabilities of an interface, by its short or its full name.
fn capabilities_of(interface: &str) -> impl Iterator<Item = Capability> {
    let name = interface.strip_prefix("kos:agent/").unwrap_or(interface);
    let name = name.split_once('@').map_or(name, |(name, _)| name).to_owned();
    Capability::ALL.into_iter().filter(move |capability| capability.interface() == name)
}

fn considered(effective: &Effective, capability: Capability) -> Vec<ConsideredRule> {
    let Some(CapabilityRules { denials, allowances, .. }) = effective.rules(capability) else {
        return Vec::new();
    };
    let denials = denials.iter().map(|denial| {
        let says = match &denial.pattern {
            None => "denies it wholly".to_owned(),
            Some(pattern) => format!("denies `{pattern}`"),
        };
        let item = denial.pattern.clone().map(ScopeItem::Deny);
        let place = effective.written(denial.grant, capability, item.as_ref());
        ConsideredRule { grant: denial.grant, says, place }
    });
    let allowances = allowances.iter().map(|allowance| {
        let scopes = match allowance.patterns.as_slice() {
            [] => String::new(),
            patterns => format!(" {}", listed(patterns)),
        };
        let mut says = format!("allows{scopes} from {} until {}", allowance.not_before, allowance.expires);
        for condition in &allowance.conditions {
            says.push_str(&format!(", if {condition}"));
        }
        if let Some(patience) = allowance.approval {
            says.push_str(&format!(
                ", if a person approves it within {}",
                crate::clock::display_span(patience)
            ));
        }
        if let Some(uses) = allowance.budget.and_then(|budget| budget.uses) {
            says.push_str(&format!(", for {uses} uses"));
        }
        if let Some((count, window)) = allowance.budget.and_then(|budget| budget.rate) {
            says.push_str(&format!(", {count} in {}", crate::clock::display_span(window)));
        }
        let place = effective.written(allowance.grant, capability, None);
        ConsideredRule { grant: allowance.grant, says, place }
    });
    denials.chain(allowances).collect()
}

fn listed(patterns: &[ScopePattern]) -> String {
    patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}

/// What would alter a refusal.
fn change(
    effective: &Effective,
    capability: Capability,
    scopes: &[String],
    reason: &Reason,
    component: &str,
) -> String {
    let grant_command = || {
        let mut command = format!("kos grant {}", quoted(component));
        let scopes: Vec<_> = scopes.iter().filter(|scope| !scope.is_empty()).collect();
        if scopes.is_empty() {
            command.push_str(&format!(" --allow {capability}"));
        }
        for scope in scopes {
            command.push_str(&format!(" --allow {}", quoted(&format!("{capability}:{scope}"))));
        }
        command.push_str(" --for 30d");
        command
    };
    match reason {
        Reason::Revoked => "nothing: the run is at its end".to_owned(),
        Reason::MalformedScope => match capability.describes_scope() {
            Some(what) => format!("name the {what} for which `{capability}` is used"),
            None => format!("`{capability}` has no scope: name none"),
        },
        Reason::ComponentExpired { .. } => {
            format!("its author, {}, signs the component again with a later end", effective.agent.author)
        }
        Reason::NotDeclared | Reason::OutsideDeclaration => {
            format!(
                "its author, {}, declares the need in agent.toml and signs the component again",
                effective.agent.author
            )
        }
        Reason::AboveCeiling { .. } => format!(
            "`kos trust add {} --level LEVEL` with a level whose ceiling reaches `{capability}`",
            effective.agent.author
        ),
        Reason::DeniedByRule { grant, .. } => {
            format!("`kos grants revoke {grant}`, and then a grant without the denial")
        }
        Reason::NotGranted | Reason::ScopeNotCovered | Reason::Expired { .. } => grant_command(),
        Reason::NotYetValid { from, .. } => format!("waiting until {from}, or `{}`", grant_command()),
        Reason::Condition { condition, .. } => {
            format!("a moment at which `{condition}` holds, or `{}`", grant_command())
        }
        Reason::Exhausted { condition, .. } => {
            format!("a grant of more than `{condition}`: `{}`", grant_command())
        }
        Reason::Approval { .. } => {
            format!("`kos approvals` and `kos approve` while a call waits, or `{}`", grant_command())
        }
        Reason::Locked => "`kos vault unlock`".to_owned(),
        Reason::NoSuchSecret | Reason::SecretExpired => {
            "`kos vault put`, in the environment of the run".to_owned()
        }
    }
}

/// A word as a shell takes it unchanged. Scopes are printable ASCII without spaces.
fn quoted(word: &str) -> String {
    if word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/@+".contains(&byte)) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
