//! The permission manifest: what operators sign about one agent.
//!
//! Source: the project's specification, `AgentPermissions`, field for field, and what it lacks (pin, limits, the span
//! of validity). Canonical JSON (RFC 8785) in an envelope. In scope: the form, and what a form can mean. Out of scope:
//! whether it is signed ([`crate::permission::VerifiedGrant`]). Keeps I2: nothing that is not understood is accepted.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::condition::Condition;
use super::limits::LimitSet;
use crate::canonical::{self, CanonicalError};
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::envelope::{Envelope, EnvelopeError};
use crate::id::{AgentRef, Did, Digest, Name};
use crate::resource::{NetworkAccess, StorageAccess};
use crate::scope::{ScopeError, ScopePattern};

/// What the envelope of a permission manifest holds.
pub const PERMISSIONS_TYPE: &str = "application/vnd.kos.permissions.v1+json";
/// Room for every capability with all its scopes.
pub(super) const PERMISSIONS_MAX: usize = 256 << 10;
/// Each is compared on a call; more than an operator can oversee in one rule.
const SCOPES_MAX: usize = 64;
/// As many as there are kinds.
const CONDITIONS_MAX: usize = 6;
/// More addresses than an agent with restricted access has business with.
const HOSTS_MAX: usize = 64;
/// The longest DNS name.
const HOST_NAME_MAX: usize = 253;

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
    /// Restricted network access without addresses, or addresses without restricted access.
    #[error("`networkHosts` and network access `restricted` go together; the access is `{network}`")]
    Hosts {
        /// The access that is granted.
        network: NetworkAccess,
    },
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
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
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

/// How much of the machine a manifest opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceAccess {
    /// Linear memory.
    pub memory: MemoryAccess,
    /// The network.
    pub network: NetworkAccess,
    /// A directory of the agent's own.
    pub storage: StorageAccess,
}

impl ResourceAccess {
    /// Nothing of anything.
    pub const NONE: Self =
        Self { memory: MemoryAccess::None, network: NetworkAccess::None, storage: StorageAccess::None };
}

/// What becomes of an agent's linear memory, which every component has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryAccess {
    /// The agent may have no memory: it is not started.
    None,
    /// The memory keeps the size with which the component declares it; every growth is refused.
    Read,
    /// The memory grows up to its limit.
    Write,
}

impl MemoryAccess {
    /// Every level, from the least to the most.
    pub const ALL: [Self; 3] = [Self::None, Self::Read, Self::Write];

    /// The level's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for MemoryAccess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text is no level of memory access.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a kind of memory access; write none, read or write")]
pub struct MemoryAccessError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

impl FromStr for MemoryAccess {
    type Err = MemoryAccessError;

    fn from_str(text: &str) -> Result<Self, MemoryAccessError> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| MemoryAccessError { text: shown(text) })
    }
}

serde_as_text!(MemoryAccess);

/// An address that an agent with restricted network access may reach: `api.example.org:443`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkHost {
    host: String,
    port: u16,
}

impl NetworkHost {
    /// The DNS name or the IPv4 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for NetworkHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address: write a lower-case name and a port, as `api.example.org:443`")]
pub struct NetworkHostError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

impl FromStr for NetworkHost {
    type Err = NetworkHostError;

    fn from_str(text: &str) -> Result<Self, NetworkHostError> {
        let refused = || NetworkHostError { text: shown(text) };
        let (host, port) = text.split_once(':').ok_or_else(refused)?;
        let is_label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        let port = port.parse().ok().filter(|number: &u16| *number > 0 && number.to_string() == port);
        match port {
            Some(port) if host.len() <= HOST_NAME_MAX && host.split('.').all(is_label) => {
                Ok(Self { host: host.to_owned(), port })
            }
            _ => Err(refused()),
        }
    }
}

serde_as_text!(NetworkHost);

/// When something ends: at an instant, or written out, never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// From this instant on it no longer counts.
    At(Timestamp),
    /// It has no end.
    Never,
}

impl Expiry {
    /// Whether it has ended at `now`.
    #[must_use]
    pub fn is_past(self, now: Timestamp) -> bool {
        match self {
            Self::At(end) => now >= end,
            Self::Never => false,
        }
    }

    /// The earlier of this end and another.
    #[must_use]
    pub fn earlier(self, other: Option<Timestamp>) -> Self {
        match (self, other) {
            (Self::At(end), Some(other)) => Self::At(end.min(other)),
            (Self::Never, Some(other)) => Self::At(other),
            (end, None) => end,
        }
    }

    /// The instant, where there is one.
    #[must_use]
    pub fn instant(self) -> Option<Timestamp> {
        match self {
            Self::At(end) => Some(end),
            Self::Never => None,
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(end) => write!(formatter, "{end}"),
            Self::Never => formatter.write_str("never"),
        }
    }
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(end) => end.serialize(serializer),
            Self::Never => serializer.serialize_str("never"),
        }
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            At(Timestamp),
            Word(Word),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Word {
            Never,
        }
        match Raw::deserialize(deserializer) {
            Ok(Raw::At(end)) => Ok(Self::At(end)),
            Ok(Raw::Word(Word::Never)) => Ok(Self::Never),
            Err(_) => Err(serde::de::Error::custom("`expires` is a time in milliseconds or `never`")),
        }
    }
}

/// A manifest's identifier: the first 8 bytes of its payload's SHA-256, as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId([u8; 8]);

impl GrantId {
    /// The identifier of a signed payload.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *Digest::of(payload).as_bytes();
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is no grant's identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the identifier of a grant (16 lower-case hex digits)")]
pub struct GrantIdError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

impl FromStr for GrantId {
    type Err = GrantIdError;

    fn from_str(text: &str) -> Result<Self, GrantIdError> {
        let mut bytes = [0; 8];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if hex::encode(bytes) == text => Ok(Self(bytes)),
            _ => Err(GrantIdError { text: shown(text) }),
        }
    }
}

serde_as_text!(GrantId);

impl AgentPermissions {
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
        check_list(&self.scope, SCOPES_MAX, "scopes", capability.as_str())?;
        let kinds: Vec<_> = self.conditions.iter().map(std::mem::discriminant).collect();
        check_list(&kinds, CONDITIONS_MAX, "kinds of conditions", capability.as_str())
    }
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

fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(80).collect()
}
