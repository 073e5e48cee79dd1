//! The judgement: may this agent use this capability for this scope, now?
//!
//! Pure and deterministic: the same permissions and facts give the same answer. In scope: the order in which things are
//! looked at, and the reason for a refusal. Keeps I2 (nothing is allowed that no rule allows, a denial beats every
//! allowance) and I4 (everything that can change is a fact of the moment).

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::approval::{Approved, Unapproved};
use super::condition::Condition;
use super::effective::{Allowance, Budget, CapabilityRules, Effective};
use super::grant_id::{Expiry, GrantId};
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::id::{Name, TrustLevel};
use crate::scope::{SCOPE_MAX, ScopePattern};

/// What the judgement needs to know of the moment.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The present.
    pub now: Timestamp,
    /// The environment in which the host runs the agent, if it has a name.
    pub environment: Option<&'a Name>,
    /// What has been used up.
    pub usage: &'a Usage,
    /// Whether the host's keys are locked.
    pub is_locked: bool,
}

/// How often each counted rule has been used; a rule that is not here has not been used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage(BTreeMap<(GrantId, Capability), Used>);

/// How often one rule has been used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Since the first manifest of the rule's line was installed.
    pub uses: u64,
    /// Within the window of the rule's rate, up to the present.
    pub recent: u32,
}

impl Usage {
    /// Nothing has been used.
    pub const NONE: &'static Self = &Self(BTreeMap::new());

    /// Records how often a rule has been used.
    pub fn set(&mut self, grant: GrantId, capability: Capability, used: Used) {
        self.0.insert((grant, capability), used);
    }

    /// How often a rule has been used.
    #[must_use]
    pub fn of(&self, grant: GrantId, capability: Capability) -> Used {
        self.0.get(&(grant, capability)).copied().unwrap_or_default()
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// Allowed by this manifest's rule for the capability.
    Allowed {
        /// Which manifest.
        grant: GrantId,
    },
    /// Refused.
    Denied(Reason),
}

impl Decision {
    /// Whether the call is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// Why a call is refused. The log has it; the agent learns no more than `denied`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reason {
    /// Everything of this agent was revoked.
    Revoked,
    /// The scope is no name at all: too long, not printable, or empty where there must be one.
    MalformedScope,
    /// The author's word about the component has ended.
    ComponentExpired {
        /// When it ended.
        at: Timestamp,
    },
    /// The author declares no need of the capability.
    NotDeclared,
    /// The author declares the capability for other scopes.
    OutsideDeclaration,
    /// The author's trust level does not reach the capability.
    AboveCeiling {
        /// The level.
        level: TrustLevel,
    },
    /// A manifest denies it.
    DeniedByRule {
        /// Which manifest.
        grant: GrantId,
        /// By which pattern; none where the capability is denied wholly.
        pattern: Option<ScopePattern>,
    },
    /// No manifest grants the capability.
    NotGranted,
    /// The capability is granted for other scopes.
    ScopeNotCovered,
    /// The grant has ended.
    Expired {
        /// Which manifest.
        grant: GrantId,
        /// When it ended.
        at: Timestamp,
    },
    /// The grant has not begun.
    NotYetValid {
        /// Which manifest.
        grant: GrantId,
        /// When it begins.
        from: Timestamp,
    },
    /// A condition does not hold.
    Condition {
        /// Which manifest.
        grant: GrantId,
        /// Which condition.
        condition: Condition,
    },
    /// The uses or the rate are used up.
    Exhausted {
        /// Which manifest.
        grant: GrantId,
        /// Which condition.
        condition: Condition,
    },
    /// Nobody has approved it.
    Approval {
        /// Which manifest asks for an approval.
        grant: GrantId,
        /// Why there is none.
        lack: Unapproved,
    },
    /// It is allowed, and the keys that it needs are locked.
    Locked,
    /// It is granted, and there is no such secret.
    NoSuchSecret,
    /// It is granted, and the secret has ended.
    SecretExpired,
}

impl Reason {
    /// The reason's short name, for logs and counts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::MalformedScope => "malformed-scope",
            Self::ComponentExpired { .. } => "component-expired",
            Self::NotDeclared => "not-declared",
            Self::OutsideDeclaration => "outside-declaration",
            Self::AboveCeiling { .. } => "above-ceiling",
            Self::DeniedByRule { .. } => "denied-by-rule",
            Self::NotGranted => "not-granted",
            Self::ScopeNotCovered => "scope-not-covered",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Condition { .. } => "condition",
            Self::Exhausted { .. } => "exhausted",
            Self::Approval { lack, .. } => lack.name(),
            Self::Locked => "locked",
            Self::NoSuchSecret => "no-such-secret",
            Self::SecretExpired => "secret-expired",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked => formatter.write_str("the agent's permissions were revoked"),
            Self::MalformedScope => write!(
                formatter,
                "the scope is no name of 1 to {SCOPE_MAX} printable ASCII characters without spaces"
            ),
            Self::ComponentExpired { at } => write!(formatter, "the component ended at {at}"),
            Self::NotDeclared => formatter.write_str("the author does not declare that the agent needs it"),
            Self::OutsideDeclaration => formatter.write_str("the author declares it for other scopes only"),
            Self::AboveCeiling { level } => {
                write!(formatter, "the ceiling of the trust level `{level}` is below it")
            }
            Self::DeniedByRule { grant, pattern: None } => {
                write!(formatter, "the grant {grant} denies it wholly")
            }
            Self::DeniedByRule { grant, pattern: Some(pattern) } => {
                write!(formatter, "the grant {grant} denies it by `!{pattern}`")
            }
            Self::NotGranted => formatter.write_str("no grant allows it"),
            Self::ScopeNotCovered => formatter.write_str("it is granted for other scopes only"),
            Self::Expired { grant, at } => write!(formatter, "the grant {grant} ended at {at}"),
            Self::NotYetValid { grant, from } => write!(formatter, "the grant {grant} begins at {from}"),
            Self::Condition { grant, condition } => {
                write!(formatter, "the condition `{condition}` of the grant {grant} does not hold")
            }
            Self::Exhausted { grant, condition } => {
                write!(formatter, "`{condition}` of the grant {grant} is used up")
            }
            Self::Approval { grant, lack } => {
                write!(formatter, "the grant {grant} asks for an approval, {lack}")
            }
            Self::Locked => formatter.write_str("the keys are locked"),
            Self::NoSuchSecret => formatter.write_str("it is granted, and the vault has no such secret"),
            Self::SecretExpired => formatter.write_str("it is granted, and the secret has ended"),
        }
    }
}

/// Judges one call. Uses nothing up.
#[must_use]
pub fn evaluate(effective: &Effective, capability: Capability, scope: &str, facts: &Facts<'_>) -> Decision {
    let moment = Moment { now: facts.now, environment: facts.environment, approved: Approved::Unasked };
    let judged = effective.judge(capability, scope, &moment, |allowance, budget, _| {
        budget.check(facts.usage.of(allowance.grant, capability))
    });
    match judged {
        Ok(_) if facts.is_locked && capability.needs_keys() => Decision::Denied(Reason::Locked),
        Ok(allowance) => Decision::Allowed { grant: allowance.grant },
        Err(reason) => Decision::Denied(reason),
    }
}

/// What a judgement needs to know of the moment besides what is used up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    pub(super) environment: Option<&'a Name>,
    pub(super) approved: Approved<'a>,
}

/// What a counted rule is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A call, which spends a use.
    Call,
    /// A question to a person, which spends none.
    Question,
}

impl Budget {
    /// Whether one more use is within the budget.
    pub(super) fn check(&self, used: Used) -> Result<(), Condition> {
        if let Some(most) = self.uses
            && used.uses >= most
        {
            return Err(Condition::Uses(most));
        }
        if let Some((count, window)) = self.rate
            && used.recent >= count
        {
            return Err(Condition::Rate { count, window });
        }
        Ok(())
    }
}

impl Effective {
    /// The one place where a call is judged. `spend` is asked last, for a counted rule that allows otherwise; a person is
    /// asked for what nothing else keeps from being allowed.
    pub(super) fn judge(
        &self,
        capability: Capability,
        scope: &str,
        moment: &Moment<'_>,
        mut spend: impl FnMut(&Allowance, &Budget, Use) -> Result<(), Condition>,
    ) -> Result<&Allowance, Reason> {
        let has_scope = capability.has_scope();
        if !is_name(scope) || scope.is_empty() == has_scope {
            return Err(Reason::MalformedScope);
        }
        if let Some(at) = self.ends.filter(|end| moment.now >= *end) {
            return Err(Reason::ComponentExpired { at });
        }
        let rules = self.rules(capability).ok_or(Reason::NotDeclared)?;
        let declared = rules.declared.as_ref().ok_or(Reason::NotDeclared)?;
        if has_scope && !declared.covers(scope) {
            return Err(Reason::OutsideDeclaration);
        }
        if !rules.is_under_ceiling {
            return Err(Reason::AboveCeiling { level: self.level });
        }
        if let Some(reason) = rules.denial(scope) {
            return Err(reason);
        }
        let mut nearest = Shortfall::start(rules.allowances.is_empty());
        for allowance in &rules.allowances {
            if has_scope && !allowance.patterns.covers(scope) {
                continue;
            }
            let is_approved = allowance.approval.is_none() || moment.approved.is_for(allowance.grant, scope);
            let purpose = if is_approved { Use::Call } else { Use::Question };
            let shortfall = match self.shortfall(allowance, moment) {
                Some(shortfall) => shortfall,
                None => {
                    match allowance.budget.as_ref().map_or(Ok(()), |budget| spend(allowance, budget, purpose))
                    {
                        Ok(()) if is_approved => return Ok(allowance),
                        Ok(()) => Shortfall::Unapproved(allowance),
                        Err(condition) => Shortfall::Exhausted(allowance, condition),
                    }
                }
            };
            if shortfall.rank() > nearest.rank() {
                nearest = shortfall;
            }
        }
        Err(nearest.reason())
    }

    /// What forbids a call in any of the forms in which it can be named, whatever allows it in another: a form that a
    /// rule denies, or one that is no name and so cannot be held against the rules. With the form.
    pub(super) fn forbidden<'s>(
        &self,
        capability: Capability,
        scopes: &[&'s str],
    ) -> Option<(&'s str, Reason)> {
        scopes.iter().find_map(|scope| {
            if !is_name(scope) || scope.is_empty() {
                return Some((*scope, Reason::MalformedScope));
            }
            self.rules(capability)?.denial(scope).map(|reason| (*scope, reason))
        })
    }

    /// What keeps a rule that covers the scope from allowing, apart from its budget.
    pub(super) fn shortfall<'a>(
        &self,
        allowance: &'a Allowance,
        moment: &Moment<'_>,
    ) -> Option<Shortfall<'a>> {
        let now = moment.now;
        if let Expiry::At(end) = allowance.expires
            && now >= end
        {
            return Some(Shortfall::Expired(allowance, end));
        }
        if now < allowance.not_before {
            return Some(Shortfall::NotYetValid(allowance));
        }
        allowance
            .conditions
            .iter()
            .find(|condition| !condition.holds(now, self.level, moment.environment))
            .map(|condition| Shortfall::Condition(allowance, condition))
    }
}

impl CapabilityRules {
    /// The refusal of a scope that a rule denies.
    fn denial(&self, scope: &str) -> Option<Reason> {
        let denial = self.denials.iter().find(|denial| denial.covers(scope))?;
        Some(Reason::DeniedByRule { grant: denial.grant, pattern: denial.pattern.clone() })
    }
}

/// What kept the nearest rule from allowing. Where several rules fall short, the reason told is that of the one that
/// comes nearest; of equals, the first.
pub(super) enum Shortfall<'a> {
    NotGranted,
    ScopeNotCovered,
    Expired(&'a Allowance, Timestamp),
    NotYetValid(&'a Allowance),
    Condition(&'a Allowance, &'a Condition),
    Exhausted(&'a Allowance, Condition),
    Unapproved(&'a Allowance),
}

impl Shortfall<'_> {
    fn start(has_no_rule: bool) -> Self {
        if has_no_rule { Self::NotGranted } else { Self::ScopeNotCovered }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::NotGranted => 0,
            Self::ScopeNotCovered => 1,
            Self::Expired(..) => 2,
            Self::NotYetValid(_) => 3,
            Self::Condition(..) => 4,
            Self::Exhausted(..) => 5,
            Self::Unapproved(_) => 6,
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::NotGranted => Reason::NotGranted,
            Self::ScopeNotCovered => Reason::ScopeNotCovered,
            Self::Expired(rule, at) => Reason::Expired { grant: rule.grant, at },
            Self::NotYetValid(rule) => Reason::NotYetValid { grant: rule.grant, from: rule.not_before },
            Self::Condition(rule, condition) => {
                Reason::Condition { grant: rule.grant, condition: condition.clone() }
            }
            Self::Exhausted(rule, condition) => Reason::Exhausted { grant: rule.grant, condition },
            Self::Unapproved(rule) => Reason::Approval { grant: rule.grant, lack: Unapproved::Needed },
        }
    }
}

/// Whether a pattern could be meant to cover `scope`: the same characters as those of patterns.
fn is_name(scope: &str) -> bool {
    scope.len() <= SCOPE_MAX && scope.bytes().all(|byte| byte.is_ascii_graphic())
}
