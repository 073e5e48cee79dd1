//! What the log records: the event types and the parties of the spec's `AuditEntry`.
//!
//! In scope: the part of an entry that its author fills in. Out of scope: identifier, time and signature, which the
//! writer adds ([`super::entry`]).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The kind of an event: the spec's six, and those that kOS adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventType {
    /// A run begins; `details.run` and `details.host` name it.
    AgentLaunch,
    /// A run ended; `details.run` names it.
    AgentExit,
    /// An agent's own remark.
    AgentNote,
    /// The host itself was changed.
    SystemModification,
    /// A secret was used or revealed.
    VaultAccess,
    /// A trust policy took effect.
    TrustChange,
    /// A permission manifest took effect.
    PermissionGrant,
    /// A call or a launch was refused.
    PermissionDenied,
    /// A call waits for a person's approval.
    PermissionRequest,
    /// A permission manifest was withdrawn.
    PermissionRevoke,
    /// A message was refused.
    MessageRejected,
    /// Something needs a human's eye.
    Alert,
    /// Everything was stopped.
    KillSwitch,
}

impl EventType {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::AgentLaunch,
        Self::AgentExit,
        Self::AgentNote,
        Self::SystemModification,
        Self::VaultAccess,
        Self::TrustChange,
        Self::PermissionGrant,
        Self::PermissionDenied,
        Self::PermissionRequest,
        Self::PermissionRevoke,
        Self::MessageRejected,
        Self::Alert,
        Self::KillSwitch,
    ];

    /// The word that stands in the entry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentLaunch => "agent_launch",
            Self::AgentExit => "agent_exit",
            Self::AgentNote => "agent_note",
            Self::SystemModification => "system_modification",
            Self::VaultAccess => "vault_access",
            Self::TrustChange => "trust_change",
            Self::PermissionGrant => "permission_grant",
            Self::PermissionDenied => "permission_denied",
            Self::PermissionRequest => "permission_request",
            Self::PermissionRevoke => "permission_revoke",
            Self::MessageRejected => "message_rejected",
            Self::Alert => "alert",
            Self::KillSwitch => "kill_switch",
        }
    }
}

/// What kind of party acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyType {
    /// A human, by the key of an operator or author.
    User,
    /// An agent.
    Agent,
    /// The host.
    System,
}

/// Who acts, or what is acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Its identifier, such as a DID.
    pub id: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: PartyType,
}

/// What is acted on; its type is free text in the spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its identifier.
    pub id: String,
    /// What it is, such as `component` or `grant`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// An event on its way into the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The kind of event.
    pub event_type: EventType,
    /// Who acts.
    pub actor: Party,
    /// What is acted on.
    pub target: Option<Target>,
    /// The facts, by name.
    pub details: Map<String, Value>,
}

impl Event {
    /// An event without target and details.
    #[must_use]
    pub fn new(event_type: EventType, kind: PartyType, id: impl Into<String>) -> Self {
        Self { event_type, actor: Party { id: id.into(), kind }, target: None, details: Map::new() }
    }

    /// The same event, acting on a target.
    #[must_use]
    pub fn on(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.target = Some(Target { id: id.into(), kind: kind.into() });
        self
    }

    /// The same event with one more fact.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }
}
