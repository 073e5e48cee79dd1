//! The permission manifest: what operators sign about one agent.
//!
//! Source: the project's specification, `AgentPermissions`, field for field, and what it lacks (pin, limits, the span
//! of validity). Canonical JSON (RFC 8785) in an envelope. In scope: the form, and what a form can mean. Out of scope:
//! whether it is signed ([`crate::permission::VerifiedGrant`]). Keeps I2: nothing that is not understood is accepted.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::access::{NetworkHost, ResourceAccess};
use super::condition::Condition;
use super::grant_id::{Expiry, GrantId};
use super::limits::LimitSet;
use super::source::Source;
use crate::canonical::{self, CanonicalError};
use crate::capability::{Capability, CapabilityScopeError};
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::envelope::{Envelope, EnvelopeError};
use crate::id::{AgentRef, Did, Digest, Name};
use crate::manifest::Service;
use crate::resource::NetworkAccess;
use crate::scope::{ScopeError, ScopePattern};

/// What the envelope of a permission manifest holds.
pub const PERMISSIONS_TYPE: &str = "application/vnd.kos.permissions.v1+json";
/// Room for every capability with all its scopes.
pub(super) const PERMISSIONS_MAX: usize = 256 << 10;
/// Each is compared on a call; more than an operator can oversee in one rule.
const SCOPES_MAX: usize = 64;
/// As many as there are kinds.
const CONDITIONS_MAX: usize = 7;
/// More addresses than an agent with restricted access has business with.
const HOSTS_MAX: usize = 64;

/// What a well-formed document cannot mean.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Not the canonical JSON of a permission manifest.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A capability that has no scope is given one.
    #[error("`{capability}` has no scope: its list must be empty")]
    NoScope {
        /// Which capability.
        capability: Capability,
    },
    /// A pattern that the capability cannot be held for.
    #[error(transparent)]
    Scope(#[from] CapabilityScopeError),
    /// A wholly denied capability with scopes, conditions or an end looks like less than a whole denial.
    #[error("`{capability}` is denied wholly: it takes no scope, condition or expiry")]
    PartialDenial {
        /// Which capability.
        capability: Capability,
    },
    /// More scopes, conditions or addresses than are read, or one of them twice.
    #[error("the {list} of `{of}` are more than {most}, or one stands there twice")]
    List {
        /// Which list.
        list: &'static str,
        /// Whose list: a capability or the network.
        of: &'static str,
        /// How many are read.
        most: usize,
    },
    /// The document's span of validity is empty.
    #[error("it ends ({expires}) before it begins ({not_before})")]
    Span {
        /// When it begins.
        not_before: Timestamp,
        /// When it ends.
        expires: Timestamp,
    },
    /// The pin names another agent than the document.
    #[error("it is about {agent} and pinned to another author or name")]
    Pin {
        /// Whom the document is about.
        agent: AgentRef,
    },
    /// An approval for what nobody waits for.
    #[error("`{capability}` takes no approval: it cannot wait")]
    NoApproval {
        /// Which capability.
        capability: Capability,
    },
    /// Restricted network access without addresses, or addresses without restricted access.
    #[error("`networkHosts` and network access `restricted` go together; the access is `{network}`")]
    Hosts {
        /// The access that is granted.
        network: NetworkAccess,
    },
    /// The lines of other rules than the manifest has.
    #[error("its `source` is not about its own rules")]
    Source,
}

/// One permission manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AgentPermissions {
    /// Whom it is about.
    pub agent_id: AgentRef,
    /// For which components of that agent it counts.
    pub pin: Pin,
    /// The rules, one for a capability.
    pub capabilities: BTreeMap<Capability, CapabilityRule>,
    /// How much of the machine is reached.
    pub resource_access: ResourceAccess,
    /// The addresses that `restricted` network access reaches; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_hosts: Vec<NetworkHost>,
    /// The limits that differ from the standard ones; [`super::Limits::STANDARD`] holds for the others.
    pub limits: LimitSet,
    /// When it begins.
    pub not_before: Timestamp,
    /// When it ends. There is no default: `never` is written out.
    pub expires: Expiry,
    /// The operator who issued it; one of those whose signatures verify.
    pub signed_by: Did,
    /// When it was issued.
    pub timestamp: Timestamp,
    /// Whether an older version may run than one that has run before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_rollback: bool,
    /// How a service is run, where it is not left to its author. The stricter of all counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Where its rules were written. It decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Which manifest it takes the place of, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succession: Option<Succession>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A manifest's place in a line of manifests, each of which took the place of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Succession {
    /// Whose place it takes: from the instant on at which this one is installed, that one does not count.
    pub replaces: GrantId,
    /// The first of the line. What its counted rules have used up stays used up.
    pub origin: GrantId,
}

/// For which components a manifest counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Pin {
    /// For exactly one component.
    Component {
        /// Its digest.
        component: Digest,
    },
    /// For whatever this author signs under this name.
    Author {
        /// The author.
        author: Did,
        /// The agent's name.
        name: Name,
    },
}

/// What a manifest says about one capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CapabilityRule {
    /// False denies the capability wholly, whatever other manifests allow.
    pub granted: bool,
    /// For what it is granted. Items with `!` deny, whatever other items or manifests allow, and without end or
    /// condition. An empty list covers nothing where the capability has a scope.
    pub scope: Vec<ScopeItem>,
    /// When the grant of this capability ends, if before the manifest does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Timestamp>,
    /// What must hold at a call; at most one condition of a kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl CapabilityRule {
    /// The rule that denies wholly.
    #[must_use]
    pub fn denial() -> Self {
        Self { granted: false, scope: Vec::new(), expiry: None, conditions: Vec::new() }
    }
}

/// An item of a rule's scope list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeItem {
    /// Allows what the pattern covers.
    Allow(ScopePattern),
    /// `!pattern`: denies what the pattern covers.
    Deny(ScopePattern),
}

impl fmt::Display for ScopeItem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow(pattern) => write!(formatter, "{pattern}"),
            Self::Deny(pattern) => write!(formatter, "!{pattern}"),
        }
    }
}

impl FromStr for ScopeItem {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match text.strip_prefix('!') {
            Some(pattern) => pattern.parse().map(Self::Deny),
            None => text.parse().map(Self::Allow),
        }
    }
}

serde_as_text!(ScopeItem);

impl AgentPermissions {
    /// The first manifest of its line; its own identifier is `id`.
    pub(super) fn origin(&self, id: GrantId) -> GrantId {
        self.succession.map_or(id, |succession| succession.origin)
    }

    /// Reads the canonical bytes of a manifest, and refuses one that cannot mean anything.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document: Self = canonical::from_canonical(bytes, PERMISSIONS_MAX)?;
        document.check()?;
        Ok(document)
    }

    /// The canonical bytes, which are signed.
    ///
    /// # Errors
    /// [`DocumentError`] for a document that [`AgentPermissions::parse`] would refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        self.check()?;
        let bytes = canonical::to_canonical(self)?;
        if bytes.len() > PERMISSIONS_MAX {
            return Err(CanonicalError::TooLarge { size: bytes.len(), max: PERMISSIONS_MAX }.into());
        }
        Ok(bytes)
    }

    /// Signs the manifest by each of `signers`.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Envelope, SigningError> {
        Ok(Envelope::sign(PERMISSIONS_TYPE, self.to_bytes()?, signers)?)
    }

    /// Whether the manifest is about this component.
    #[must_use]
    pub fn is_about(&self, agent: &AgentRef, component: &Digest) -> bool {
        self.agent_id == *agent
            && match &self.pin {
                Pin::Component { component: pinned } => pinned == component,
                Pin::Author { author, name } => *author == agent.author && *name == agent.name,
            }
    }

    fn check(&self) -> Result<(), DocumentError> {
        if let Expiry::At(expires) = self.expires
            && expires <= self.not_before
        {
            return Err(DocumentError::Span { not_before: self.not_before, expires });
        }
        if let Pin::Author { author, name } = &self.pin
            && (*author != self.agent_id.author || *name != self.agent_id.name)
        {
            return Err(DocumentError::Pin { agent: self.agent_id.clone() });
        }
        let network = self.resource_access.network;
        if (network == NetworkAccess::Restricted) == self.network_hosts.is_empty() {
            return Err(DocumentError::Hosts { network });
        }
        check_list(&self.network_hosts, HOSTS_MAX, "addresses", "network")?;
        if self.source.as_ref().is_some_and(|source| !source.fits(self)) {
            return Err(DocumentError::Source);
        }
        self.capabilities.iter().try_for_each(|(capability, rule)| rule.check(*capability))
    }
}

impl CapabilityRule {
    pub(super) fn check(&self, capability: Capability) -> Result<(), DocumentError> {
        if !self.granted && (!self.scope.is_empty() || self.expiry.is_some() || !self.conditions.is_empty()) {
            return Err(DocumentError::PartialDenial { capability });
        }
        if !capability.has_scope() && !self.scope.is_empty() {
            return Err(DocumentError::NoScope { capability });
        }
        let is_asked = self.conditions.iter().any(|condition| matches!(condition, Condition::Approval(_)));
        if is_asked && !can_wait(capability) {
            return Err(DocumentError::NoApproval { capability });
        }
        for item in &self.scope {
            // What denies may be as wide as it likes.
            if let ScopeItem::Allow(pattern) = item {
                capability.check_scope(pattern)?;
            }
        }
        check_list(&self.scope, SCOPES_MAX, "scopes", capability.as_str())?;
        let kinds: Vec<_> = self.conditions.iter().map(std::mem::discriminant).collect();
        check_list(&kinds, CONDITIONS_MAX, "kinds of conditions", capability.as_str())
    }
}

/// Whether a call can wait for a person. What arrives is taken or left at once, as its sender waits for it; and a stream of
/// hashes, which has no effect to approve, is judged at each of its parts.
fn can_wait(capability: Capability) -> bool {
    !matches!(capability, Capability::MessagingReceive | Capability::CryptoHash)
}

/// Lists are short (see their caps), so that comparing each with each costs nothing.
fn check_list<T: PartialEq>(
    items: &[T],
    most: usize,
    list: &'static str,
    of: &'static str,
) -> Result<(), DocumentError> {
    let has_twice = items.len() <= most
        && items
            .iter()
            .enumerate()
            .any(|(index, item)| items.iter().skip(index + 1).any(|other| item == other));
    if items.len() > most || has_twice {
        return Err(DocumentError::List { list, of, most });
    }
    Ok(())
}

/// Why a manifest could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The document cannot mean anything.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// No signature could be had.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}
