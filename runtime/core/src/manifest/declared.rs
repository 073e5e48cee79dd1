//! The manifest: what the author says the component is and needs.
//!
//! It grants nothing. What an agent gets is this, intersected with what the operator grants and the level allows (I2).

use semver::Version;
use serde::{Deserialize, Serialize};

use super::ManifestError;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::id::{AgentRef, Did, Name};
use crate::line;
use crate::resource::{NetworkAccess, StorageAccess};
use crate::scope::ScopePattern;

/// One sentence or two.
const DESCRIPTION_MAX: usize = 512;
/// One sentence.
const REASON_MAX: usize = 256;
/// A version with a long pre-release name.
const VERSION_MAX: usize = 64;
/// More names than a person reviews; beyond this an author writes a prefix.
const SCOPES_MAX: usize = 64;
/// The whole of a 32-bit memory.
const MEMORY_MAX: u64 = 4 << 30;

/// What an author signs about a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AgentManifest {
    /// What the author calls the agent.
    pub name: Name,
    /// The component's version; a host does not go back to a lower one.
    #[serde(with = "version_text")]
    pub version: Version,
    /// Who answers for it: one of those who signed.
    pub author: Did,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it needs, in the order of [`Capability`], each once.
    pub capabilities: Vec<Declared>,
    /// How much of the machine it needs.
    pub resources: Resources,
    /// How it serves, where it is a service and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// From when on it may run.
    pub not_before: Timestamp,
    /// When it ends, if it does; its grants end in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// One capability that the agent needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Declared {
    /// Which.
    pub capability: Capability,
    /// For what, sorted, each once; empty for a capability without a scope.
    pub scope: Vec<ScopePattern>,
    /// Why, for the operator who decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How much of the machine the agent needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Resources {
    /// Memory in bytes; none: the host's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The network.
    pub network: NetworkAccess,
    /// The disk.
    pub storage: StorageAccess,
}

/// How a service wants to be run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Which instance handles a message.
    pub instances: Instances,
}

/// Which instance of a service handles a message; the stricter is the greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instances {
    /// One handles all messages, and remembers.
    #[default]
    Resident,
    /// A fresh one for each message, so that nothing of one sender reaches another.
    PerMessage,
}

impl Instances {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Resident, Self::PerMessage];

    /// The word in manifests and in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::PerMessage => "per-message",
        }
    }
}

impl AgentManifest {
    /// The agent that runs the component: its author and its name.
    #[must_use]
    pub fn agent(&self) -> AgentRef {
        AgentRef { author: self.author, name: self.name.clone() }
    }

    /// Which instance handles a message, where the component is a service.
    #[must_use]
    pub fn instances(&self) -> Instances {
        self.service.unwrap_or_default().instances
    }

    /// What is declared about a capability, if it is declared.
    #[must_use]
    pub fn declared(&self, capability: Capability) -> Option<&Declared> {
        self.capabilities.iter().find(|declared| declared.capability == capability)
    }

    /// Whether the manifest is in its one form and within its bounds.
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        check_version(&self.version)?;
        if let Some(description) = &self.description {
            check_line("description", description, DESCRIPTION_MAX)?;
        }
        if !self.capabilities.is_sorted_by(|one, two| one.capability < two.capability) {
            return Err(ManifestError::CapabilityOrder);
        }
        for declared in &self.capabilities {
            declared.check()?;
        }
        if let Some(memory) = self.resources.memory.filter(|memory| !(1..=MEMORY_MAX).contains(memory)) {
            return Err(ManifestError::Memory { memory, max: MEMORY_MAX });
        }
        match self.expires {
            Some(expires) if expires <= self.not_before => {
                Err(ManifestError::Interval { not_before: self.not_before, expires })
            }
            _ => Ok(()),
        }
    }
}

impl Declared {
    fn check(&self) -> Result<(), ManifestError> {
        let capability = self.capability;
        match capability.describes_scope() {
            Some(describes) if self.scope.is_empty() => {
                return Err(ManifestError::ScopeMissing { capability, describes });
            }
            None if !self.scope.is_empty() => return Err(ManifestError::ScopeUnexpected { capability }),
            _ => {}
        }
        for pattern in &self.scope {
            capability.check_scope(pattern)?;
        }
        if self.scope.len() > SCOPES_MAX {
            return Err(ManifestError::ScopeCount { capability, count: self.scope.len(), max: SCOPES_MAX });
        }
        if !self.scope.is_sorted_by(|one, two| one < two) {
            return Err(ManifestError::ScopeOrder { capability });
        }
        self.reason.as_ref().map_or(Ok(()), |reason| check_line("reason", reason, REASON_MAX))
    }
}

/// A version that this program orders: not too long, without build metadata.
pub(super) fn parse_version(text: &str) -> Result<Version, ManifestError> {
    let refused = || ManifestError::Version { text: line::shown(text) };
    if text.len() > VERSION_MAX {
        return Err(refused());
    }
    let version = Version::parse(text).map_err(|_| refused())?;
    check_version(&version)?;
    Ok(version)
}

fn check_version(version: &Version) -> Result<(), ManifestError> {
    if version.build.is_empty() && version.to_string().len() <= VERSION_MAX {
        return Ok(());
    }
    Err(ManifestError::Version { text: line::shown(&version.to_string()) })
}

fn check_line(what: &'static str, text: &str, max: usize) -> Result<(), ManifestError> {
    if line::is_honest(text, max) { Ok(()) } else { Err(ManifestError::Text { what, max }) }
}

/// Serde adapter: a version as its text.
mod version_text {
    use semver::Version;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(version)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_version(&text).map_err(de::Error::custom)
    }
}
