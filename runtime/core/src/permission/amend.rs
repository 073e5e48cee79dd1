//! A manifest that takes the place of another: the same with less, or the same with more.
//!
//! In scope: what may be taken away and added. Out of scope: signing it and putting it in force ([`super::store`]). Keeps I2:
//! narrowing never allows more, so what denies stays, and extending adds exactly what is named.

use std::str::FromStr;

use super::document::{AgentPermissions, CapabilityRule, DocumentError, ScopeItem, Succession};
use super::grant_id::Expiry;
use super::limit_name::LimitName;
use super::limits::LimitSet;
use super::verified::VerifiedGrant;
use crate::capability::{Capability, CapabilityError};
use crate::clock::Timestamp;
use crate::id::Did;
use crate::scope::{ScopeError, ScopePattern};

/// Why a manifest cannot be changed in this way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmendError {
    /// Not a capability.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// Not a scope.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The manifest does not allow what is to be taken away.
    #[error("the grant does not allow `{capability}`{}, so that cannot be taken away", of(scope))]
    NotThere {
        /// Which capability.
        capability: Capability,
        /// For what; none for all of it.
        scope: Option<ScopePattern>,
    },
    /// The manifest denies the capability wholly.
    #[error("the grant denies `{capability}`; nothing is added to a denial")]
    Denies {
        /// Which capability.
        capability: Capability,
    },
    /// A later end does not narrow, and an earlier one does not extend.
    #[error("the grant ends at {now}; {wanted} is {}", if *is_later { "not earlier" } else { "not later" })]
    End {
        /// When it ends.
        now: Expiry,
        /// When it would.
        wanted: Expiry,
        /// Whether the wanted end is too late, or too early.
        is_later: bool,
    },
    /// A higher limit does not narrow.
    #[error("the limit `{name}` is {} now, which is not above {}", name.display(*limit), name.display(*wanted))]
    Limit {
        /// Which limit.
        name: LimitName,
        /// What it is.
        limit: u64,
        /// What it would be.
        wanted: u64,
    },
    /// Nothing is named.
    #[error("nothing is to be changed")]
    Nothing,
    /// The result cannot mean anything.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

fn of(scope: &Option<ScopePattern>) -> String {
    scope.as_ref().map_or_else(String::new, |scope| format!(" for `{scope}`"))
}

/// `CAPABILITY` or `CAPABILITY:SCOPE`, as an operator writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    capability: Capability,
    scope: Option<ScopePattern>,
}

impl FromStr for Named {
    type Err = AmendError;

    fn from_str(text: &str) -> Result<Self, AmendError> {
        let (name, scope) = text.split_once(':').map_or((text, None), |(name, scope)| (name, Some(scope)));
        Ok(Self { capability: name.parse()?, scope: scope.map(str::parse).transpose()? })
    }
}

/// What is taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Capabilities, wholly or one of the scopes as the manifest writes it.
    pub remove: Vec<Named>,
    /// An earlier end.
    pub expires: Option<Expiry>,
    /// Lower limits.
    pub limits: LimitSet,
}

/// What is added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extension {
    /// Capabilities and scopes. A rule that is there keeps its conditions, and they hold for what is added to it.
    pub add: Vec<Named>,
    /// A later end.
    pub expires: Option<Expiry>,
}

/// The manifest with less in it, issued by this operator now.
///
/// # Errors
/// [`AmendError`].
pub fn narrowed(
    grant: &VerifiedGrant,
    narrowing: &Narrowing,
    issued: (Did, Timestamp),
) -> Result<AgentPermissions, AmendError> {
    let mut next = successor(grant, issued);
    if narrowing == &Narrowing::default() {
        return Err(AmendError::Nothing);
    }
    for named in &narrowing.remove {
        next.remove(named)?;
    }
    if let Some(wanted) = narrowing.expires {
        let now = next.expires;
        if wanted.instant().is_none_or(|end| !is_before(end, now)) {
            return Err(AmendError::End { now, wanted, is_later: true });
        }
        next.expires = wanted;
    }
    let mut limits = LimitSet::default();
    for name in LimitName::ALL {
        let (limit, wanted) = (next.limits.named(name), narrowing.limits.named(name));
        let current = limit.unwrap_or_else(|| name.standard());
        if let Some(wanted) = wanted.filter(|wanted| *wanted >= current) {
            return Err(AmendError::Limit { name, limit: current, wanted });
        }
        if let Some(amount) = wanted.or(limit) {
            // Each name once, and each amount was checked where it was read.
            let _ = limits.insert(name, amount);
        }
    }
    next.limits = limits;
    next.to_bytes()?;
    Ok(next)
}

/// The manifest with more in it, issued by this operator now.
///
/// # Errors
/// [`AmendError`].
pub fn extended(
    grant: &VerifiedGrant,
    extension: &Extension,
    issued: (Did, Timestamp),
) -> Result<AgentPermissions, AmendError> {
    let mut next = successor(grant, issued);
    if extension == &Extension::default() {
        return Err(AmendError::Nothing);
    }
    for named in &extension.add {
        next.add(named)?;
    }
    if let Some(wanted) = extension.expires {
        let now = next.expires;
        if now.instant().is_none_or(|end| !is_before(end, wanted)) {
            return Err(AmendError::End { now, wanted, is_later: false });
        }
        next.expires = wanted;
    }
    next.to_bytes()?;
    Ok(next)
}

fn is_before(instant: Timestamp, end: Expiry) -> bool {
    end.instant().is_none_or(|end| instant < end)
}

fn successor(grant: &VerifiedGrant, (signed_by, now): (Did, Timestamp)) -> AgentPermissions {
    let mut next = grant.permissions().clone();
    let origin = next.origin(grant.id());
    next.succession = Some(Succession { replaces: grant.id(), origin });
    // The lines of the file that it was written in are those of the other one.
    next.source = None;
    next.signed_by = signed_by;
    next.timestamp = now;
    next
}

impl AgentPermissions {
    /// Takes away what a rule allows. What it denies stays, whatever else it says.
    fn remove(&mut self, Named { capability, scope }: &Named) -> Result<(), AmendError> {
        let missing = || AmendError::NotThere { capability: *capability, scope: scope.clone() };
        let rule = self.capabilities.get_mut(capability).filter(|rule| rule.granted).ok_or_else(missing)?;
        let is_removed = |item: &ScopeItem| match item {
            ScopeItem::Allow(pattern) => scope.as_ref().is_none_or(|scope| pattern == scope),
            ScopeItem::Deny(_) => false,
        };
        if scope.is_some() && !rule.scope.iter().any(is_removed) {
            return Err(missing());
        }
        rule.scope.retain(|item| !is_removed(item));
        if rule.scope.is_empty() {
            self.capabilities.remove(capability);
        }
        Ok(())
    }

    fn add(&mut self, Named { capability, scope }: &Named) -> Result<(), AmendError> {
        let rule = self
            .capabilities
            .entry(*capability)
            .or_insert_with(|| CapabilityRule { granted: true, ..CapabilityRule::denial() });
        if !rule.granted {
            return Err(AmendError::Denies { capability: *capability });
        }
        match scope.clone().map(ScopeItem::Allow) {
            Some(item) if !rule.scope.contains(&item) => rule.scope.push(item),
            Some(_) => {}
            None if capability.has_scope() => {
                return Err(AmendError::NotThere { capability: *capability, scope: None });
            }
            None => {}
        }
        Ok(())
    }
}
