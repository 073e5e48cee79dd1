//! What an operator writes, before it is about one agent and signed.
//!
//! In scope: the request, from flags or TOML ([`super::request_toml`] reads that), and its way to a document and back.
//! Keeps I2: what is not written is not granted, but for memory, which no component runs without.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::access::{MemoryAccess, NetworkHost, ResourceAccess};
use super::condition::Condition;
use super::document::{AgentPermissions, CapabilityRule, DocumentError, Pin, ScopeItem};
use super::grant_id::Expiry;
use super::limits::LimitSet;
use super::request_error::{RequestError, ValueError, hint};
use crate::capability::{Capability, CapabilityError};
use crate::clock::{ClockError, Timestamp, display_span, parse_span};
use crate::id::{AgentRef, Did, Digest};
use crate::line;
use crate::manifest::Service;

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

    /// When that is, from now.
    #[must_use]
    pub fn expiry(self, now: Timestamp) -> Expiry {
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
    pub(super) service: Option<Service>,
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
            service: None,
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
            service: permissions.service,
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
            service: self.service,
            source: None,
            succession: None,
        };
        permissions.to_bytes()?;
        Ok(permissions)
    }

    /// The request as an operator would write it; [`PermissionRequest::from_toml`] reads it back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!("expires = {}\n", quoted(&self.expires));
        if let When::At(instant) = self.not_before {
            put(&mut text, "not_before", quoted(&instant));
        }
        let pin = match self.pin {
            PinKind::Component => "component",
            PinKind::Author => "author",
        };
        put(&mut text, "pin", quoted(&pin));
        if self.allow_rollback {
            put(&mut text, "allow_rollback", "true".to_owned());
        }
        text.push_str("\n[capabilities]\n");
        for (capability, rule) in &self.capabilities {
            put(&mut text, &quoted(capability), rule.to_toml(*capability));
        }
        text.push_str("\n[resources]\n");
        put(&mut text, "memory", quoted(&self.resources.memory));
        put(&mut text, "storage", quoted(&self.resources.storage));
        put(&mut text, "network", quoted(&self.resources.network));
        if !self.hosts.is_empty() {
            put(&mut text, "hosts", list(&self.hosts));
        }
        if let Some(service) = self.service {
            text.push_str("\n[service]\n");
            put(&mut text, "instances", quoted(&service.instances.as_str()));
        }
        if !self.limits.is_empty() {
            text.push_str("\n[limits]\n");
            for (name, amount) in self.limits.iter() {
                put(&mut text, name.as_str(), quoted(&name.display(amount)));
            }
        }
        text
    }

    fn allow(&mut self, text: &str) -> Result<(), RequestError> {
        let refused =
            |source: ValueError, hint: String| RequestError::Allow { text: line::shown(text), source, hint };
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

    fn to_toml(&self, capability: Capability) -> String {
        if !self.granted {
            return quoted(&"deny");
        }
        let mut parts = Vec::new();
        if capability.has_scope() {
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

fn put(text: &mut String, key: &str, value: String) {
    // Writing to a text does not fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn quoted(value: &impl ToString) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn list<T: ToString>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(quoted).collect::<Vec<_>>().join(", "))
}
