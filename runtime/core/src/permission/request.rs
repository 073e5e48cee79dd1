//! What an operator writes, before it is about one agent and signed.
//!
//! In scope: the request, from flags or TOML ([`super::request_toml`] reads that), and its way to a document and back.
//! Keeps I2: what is not written is not granted, but for memory, which no component runs without.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::condition::{Condition, ConditionError};
use super::document::{
    AgentPermissions, CapabilityRule, DocumentError, Expiry, MemoryAccess, MemoryAccessError, NetworkHost,
    NetworkHostError, Pin, ResourceAccess, ScopeItem,
};
use super::limits::{LimitError, LimitSet};
use crate::capability::{Capability, CapabilityError};
use crate::clock::{ClockError, Timestamp, display_span, parse_span};
use crate::id::{AgentRef, Did, Digest};
use crate::resource::AccessError;
use crate::scope::ScopeError;

/// Why a request is not understood. Each names the place and the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Larger than any honest request.
    #[error("the permissions have {size} bytes; at most {most} are read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// How many are read.
        most: usize,
    },
    /// Not TOML.
    #[error("line {line}, column {column}: {cause}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// The parser's words.
        cause: String,
    },
    /// A key that means nothing.
    #[error("line {line}, column {column}: `{key}` is no key of {table}{hint}")]
    UnknownKey {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// The key.
        key: String,
        /// Where it stands.
        table: &'static str,
        /// What was perhaps meant, as the end of the sentence.
        hint: String,
    },
    /// A value of another kind than the key takes.
    #[error("line {line}, column {column}: `{key}` must be {expected}")]
    Kind {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// The key.
        key: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A value that is not understood.
    #[error("line {line}, column {column}: {source}{hint}")]
    Value {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// What is wrong with it.
        source: ValueError,
        /// What was perhaps meant, as the end of the sentence.
        hint: String,
    },
    /// Something that must be written out is missing.
    #[error("`{key}` is missing: write {fix}")]
    Missing {
        /// The key.
        key: &'static str,
        /// How it is written.
        fix: &'static str,
    },
    /// A flag that is not understood.
    #[error("`{text}` cannot be allowed: {source}{hint}")]
    Allow {
        /// The flag's value, cut to a displayable length.
        text: String,
        /// What is wrong with it.
        source: ValueError,
        /// What was perhaps meant, as the end of the sentence.
        hint: String,
    },
    /// It asks for what no document can mean.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// Why one value is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// No capability.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// No scope.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// No condition.
    #[error(transparent)]
    Condition(#[from] ConditionError),
    /// No time or span.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// No limit.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// No network or storage access.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// No memory access.
    #[error(transparent)]
    Memory(#[from] MemoryAccessError),
    /// No address.
    #[error(transparent)]
    Host(#[from] NetworkHostError),
    /// A rule that means nothing.
    #[error(transparent)]
    Rule(#[from] DocumentError),
    /// A capability with a scope, without one.
    #[error("`{capability}` needs a scope, the {what}: name it, or write `*` for every one")]
    NoScope {
        /// Which capability.
        capability: Capability,
        /// What its scopes name.
        what: &'static str,
    },
    /// Another word than those there are.
    #[error("`{text}` is none of: {expected}")]
    Word {
        /// The word, cut to a displayable length.
        text: String,
        /// The words that there are.
        expected: &'static str,
    },
}

/// When something ends or begins, as an operator writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// `30d`: so long after the issuance.
    After(Duration),
    /// `2027-01-31` or `2027-01-31T12:00:00Z`.
    At(Timestamp),
    /// `never`.
    Never,
}

impl When {
    /// Reads a span, a date, a date with a time, or `never`.
    ///
    /// # Errors
    /// [`ClockError`], of the kind that the text comes nearest to.
    pub fn parse(text: &str) -> Result<Self, ClockError> {
        if text == "never" {
            return Ok(Self::Never);
        }
        // A date has a dash after its year; no span has one.
        if text.contains('-') {
            Timestamp::parse(text).map(Self::At)
        } else {
            parse_span(text).map(Self::After)
        }
    }

    fn expiry(self, now: Timestamp) -> Expiry {
        match self {
            Self::After(span) => Expiry::At(now.saturating_add(span)),
            Self::At(instant) => Expiry::At(instant),
            Self::Never => Expiry::Never,
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::After(span) => formatter.write_str(&display_span(*span)),
            Self::At(instant) => write!(formatter, "{instant}"),
            Self::Never => formatter.write_str("never"),
        }
    }
}

/// Whether a grant is for one component or for whatever its author signs under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PinKind {
    /// For the exact component.
    #[default]
    Component,
    /// For the author and name.
    Author,
}

/// One rule of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RuleRequest {
    pub(super) granted: bool,
    pub(super) scope: Vec<ScopeItem>,
    pub(super) conditions: Vec<Condition>,
    pub(super) expires: When,
}

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionRequest {
    pub(super) expires: When,
    pub(super) not_before: When,
    pub(super) pin: PinKind,
    pub(super) capabilities: BTreeMap<Capability, RuleRequest>,
    pub(super) resources: ResourceAccess,
    pub(super) hosts: Vec<NetworkHost>,
    pub(super) limits: LimitSet,
    pub(super) allow_rollback: bool,
}

/// About whom, by whom and when a document is issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuance {
    /// The agent.
    pub agent: AgentRef,
    /// Its component, for a pin.
    pub component: Digest,
    /// The operator.
    pub signed_by: Did,
    /// The present.
    pub now: Timestamp,
}

impl PermissionRequest {
    /// A request for nothing but to run, until `expires`.
    #[must_use]
    pub fn until(expires: When) -> Self {
        Self {
            expires,
            not_before: When::After(Duration::ZERO),
            pin: PinKind::default(),
            capabilities: BTreeMap::new(),
            resources: ResourceAccess { memory: MemoryAccess::Write, ..ResourceAccess::NONE },
            hosts: Vec::new(),
            limits: LimitSet::default(),
            allow_rollback: false,
        }
    }

    /// A request from `--allow capability:scope` (or `capability` where it has no scope; repeated scopes add up) and
    /// `--for span`.
    ///
    /// # Errors
    /// [`RequestError::Allow`].
    pub fn from_flags<S: AsRef<str>>(allow: &[S], until: When) -> Result<Self, RequestError> {
        let mut request = Self::until(until);
        for text in allow {
            request.allow(text.as_ref())?;
        }
        Ok(request)
    }

    /// Reads an operator's TOML.
    ///
    /// # Errors
    /// [`RequestError`], with line and column.
    pub fn from_toml(text: &str) -> Result<Self, RequestError> {
        super::request_toml::read(text)
    }

    /// The request that would give this document again, with its times as dates.
    #[must_use]
    pub fn of(permissions: &AgentPermissions) -> Self {
        let when = |expiry: Option<Timestamp>| expiry.map_or(When::Never, When::At);
        let rule = |rule: &CapabilityRule| RuleRequest {
            granted: rule.granted,
            scope: rule.scope.clone(),
            conditions: rule.conditions.clone(),
            expires: when(rule.expiry),
        };
        Self {
            expires: when(permissions.expires.instant()),
            not_before: When::At(permissions.not_before),
            pin: match permissions.pin {
                Pin::Component { .. } => PinKind::Component,
                Pin::Author { .. } => PinKind::Author,
            },
            capabilities: permissions
                .capabilities
                .iter()
                .map(|(capability, allowed)| (*capability, rule(allowed)))
                .collect(),
            resources: permissions.resource_access,
            hosts: permissions.network_hosts.clone(),
            limits: permissions.limits.clone(),
            allow_rollback: permissions.allow_rollback,
        }
    }

    /// The same request, for whatever the author signs under the agent's name.
    #[must_use]
    pub fn pinned_to(mut self, pin: PinKind) -> Self {
        self.pin = pin;
        self
    }

    /// The document about one agent, which is then signed.
    ///
    /// # Errors
    /// [`RequestError::Document`] for what no document can mean.
    pub fn into_permissions(self, issuance: Issuance) -> Result<AgentPermissions, RequestError> {
        let Issuance { agent, component, signed_by, now } = issuance;
        let capabilities = self
            .capabilities
            .into_iter()
            .map(|(capability, rule)| {
                let expiry = rule.expires.expiry(now).instant();
                let (granted, scope, conditions) = (rule.granted, rule.scope, rule.conditions);
                (capability, CapabilityRule { granted, scope, expiry, conditions })
            })
            .collect();
        let permissions = AgentPermissions {
            pin: match self.pin {
                PinKind::Component => Pin::Component { component },
                PinKind::Author => Pin::Author { author: agent.author, name: agent.name.clone() },
            },
            agent_id: agent,
            capabilities,
            resource_access: self.resources,
            network_hosts: self.hosts,
            limits: self.limits,
            not_before: self.not_before.expiry(now).instant().unwrap_or(now),
            expires: self.expires.expiry(now),
            signed_by,
            timestamp: now,
            allow_rollback: self.allow_rollback,
        };
        permissions.to_bytes()?;
        Ok(permissions)
    }

    /// The request as an operator would write it; [`PermissionRequest::from_toml`] reads it back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!("expires = {}\n", quoted(&self.expires));
        if let When::At(instant) = self.not_before {
            line(&mut text, "not_before", quoted(&instant));
        }
        let pin = match self.pin {
            PinKind::Component => "component",
            PinKind::Author => "author",
        };
        line(&mut text, "pin", quoted(&pin));
        if self.allow_rollback {
            line(&mut text, "allow_rollback", "true".to_owned());
        }
        text.push_str("\n[capabilities]\n");
        for (capability, rule) in &self.capabilities {
            line(&mut text, &quoted(capability), rule.to_toml());
        }
        text.push_str("\n[resources]\n");
        line(&mut text, "memory", quoted(&self.resources.memory));
        line(&mut text, "storage", quoted(&self.resources.storage));
        line(&mut text, "network", quoted(&self.resources.network));
        if !self.hosts.is_empty() {
            line(&mut text, "hosts", list(&self.hosts));
        }
        if !self.limits.is_empty() {
            text.push_str("\n[limits]\n");
            for (name, amount) in self.limits.iter() {
                line(&mut text, name.as_str(), quoted(&name.display(amount)));
            }
        }
        text
    }

    fn allow(&mut self, text: &str) -> Result<(), RequestError> {
        let refused = |source: ValueError, hint: String| RequestError::Allow {
            text: text.chars().filter(|shown| !shown.is_control()).take(80).collect(),
            source,
            hint,
        };
        let (name, scope) = match text.split_once(':') {
            Some((name, scope)) => (name, Some(scope)),
            None => (text, None),
        };
        let names = Capability::ALL.map(Capability::as_str);
        let capability: Capability =
            name.parse().map_err(|error: CapabilityError| refused(error.into(), hint(name, &names)))?;
        let item = scope
            .map(|scope| scope.parse::<ScopeItem>())
            .transpose()
            .map_err(|error| refused(error.into(), String::new()))?;
        if let (Some(what), None) = (capability.describes_scope(), &item) {
            return Err(refused(ValueError::NoScope { capability, what }, String::new()));
        }
        let rule = self.capabilities.entry(capability).or_insert_with(RuleRequest::allowing);
        rule.scope.extend(item.filter(|item| !rule.scope.contains(item)));
        rule.check(capability).map_err(|error| refused(error.into(), String::new()))
    }
}

impl RuleRequest {
    /// A rule that allows, for no scope yet.
    pub(super) fn allowing() -> Self {
        Self { granted: true, scope: Vec::new(), conditions: Vec::new(), expires: When::Never }
    }

    /// Whether a document could hold the rule.
    pub(super) fn check(&self, capability: Capability) -> Result<(), DocumentError> {
        let (scope, conditions) = (self.scope.clone(), self.conditions.clone());
        CapabilityRule { granted: self.granted, scope, expiry: None, conditions }.check(capability)
    }

    fn to_toml(&self) -> String {
        if !self.granted {
            return quoted(&"deny");
        }
        let mut parts = Vec::new();
        if !self.scope.is_empty() {
            parts.push(format!("scope = {}", list(&self.scope)));
        }
        if !self.conditions.is_empty() {
            parts.push(format!("conditions = {}", list(&self.conditions)));
        }
        if self.expires != When::Never {
            parts.push(format!("expires = {}", quoted(&self.expires)));
        }
        if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
    }
}

/// The end of a sentence that asks for the nearest of the words there are, if one is near.
pub(super) fn hint(text: &str, words: &[&str]) -> String {
    let nearest = words.iter().map(|word| (distance(text, word), word)).min();
    match nearest {
        // Two slips of the pen, and not most of the word.
        Some((slips, word)) if slips <= 2 && slips < word.len() / 2 => format!("; did you mean `{word}`?"),
        _ => String::new(),
    }
}

/// The Levenshtein distance, for words of at most 40 bytes; longer ones are far from every word of ours.
fn distance(one: &str, other: &str) -> usize {
    const LONG: usize = 40;
    if one.len() > LONG || other.len() > LONG {
        return LONG;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, left) in one.bytes().enumerate() {
        let mut previous = index;
        let mut last = index + 1;
        let mut next = vec![last];
        for (right, above) in other.bytes().zip(row.iter().skip(1)) {
            last = (previous + usize::from(left != right)).min(above + 1).min(last + 1);
            previous = *above;
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or(LONG)
}

fn line(text: &mut String, key: &str, value: String) {
    // Writing to a text does not fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn quoted(value: &impl ToString) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn list<T: ToString>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(quoted).collect::<Vec<_>>().join(", "))
}
