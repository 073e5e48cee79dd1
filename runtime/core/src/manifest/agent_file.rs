//! `agent.toml`: the manifest as its author writes it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::declared::parse_version;
use super::{AgentManifest, Declared, ManifestError, Resources, Service};
use crate::capability::Capability;
use crate::clock::{Timestamp, parse_span};
use crate::id::{Did, Name};
use crate::quantity::parse_bytes;
use crate::resource::{NetworkAccess, StorageAccess};
use crate::scope::ScopePattern;

/// The largest file that is read: every capability with the most scopes, and room for comments.
const AGENT_FILE_MAX: usize = 64 << 10;

/// What `agent.toml` does not say by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestDefaults {
    /// Who signs.
    pub author: Did,
    /// The present: the manifest holds from now on unless it says otherwise, and a span is counted from here.
    pub now: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentFile {
    name: Name,
    version: String,
    description: Option<String>,
    not_before: Option<String>,
    expires: Option<String>,
    #[serde(default)]
    capabilities: BTreeMap<Capability, DeclaredEntry>,
    #[serde(default)]
    resources: ResourcesTable,
    service: Option<Service>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredEntry {
    #[serde(default)]
    scope: Vec<ScopePattern>,
    reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourcesTable {
    memory: Option<String>,
    #[serde(default)]
    network: NetworkAccess,
    #[serde(default)]
    storage: StorageAccess,
}

impl AgentManifest {
    /// Reads `agent.toml`. What it leaves out is nothing: no capability, no network, no storage.
    ///
    /// # Errors
    /// [`ManifestError`] for unknown fields and capabilities, malformed values and values out of bounds.
    pub fn from_toml(text: &str, defaults: &ManifestDefaults) -> Result<Self, ManifestError> {
        if text.len() > AGENT_FILE_MAX {
            return Err(ManifestError::TooLarge { size: text.len(), max: AGENT_FILE_MAX });
        }
        let file: AgentFile =
            toml::from_str(text).map_err(|error| ManifestError::Toml { cause: located(text, &error) })?;
        let not_before = file.not_before.map_or(Ok(defaults.now), |text| Timestamp::parse(&text))?;
        let expires = file.expires.map(|text| parse_end(&text, not_before)).transpose()?;
        let manifest = Self {
            name: file.name,
            version: parse_version(&file.version)?,
            author: defaults.author,
            description: file.description,
            capabilities: file.capabilities.into_iter().map(DeclaredEntry::into_declared).collect(),
            resources: Resources {
                memory: file.resources.memory.map(|text| parse_bytes(&text)).transpose()?,
                network: file.resources.network,
                storage: file.resources.storage,
            },
            service: file.service,
            not_before,
            expires,
        };
        manifest.check()?;
        Ok(manifest)
    }
}

impl DeclaredEntry {
    fn into_declared((capability, mut entry): (Capability, Self)) -> Declared {
        entry.scope.sort_unstable();
        entry.scope.dedup();
        Declared { capability, scope: entry.scope, reason: entry.reason }
    }
}

/// The error on one line, with its place; the column is counted in characters.
fn located(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let (line, start) = before
        .rsplit_once('\n')
        .map_or((1, before), |(above, start)| (above.matches('\n').count() + 2, start));
    format!("line {line}, column {}: {}", start.chars().count() + 1, error.message())
}

/// An end: a span from the beginning (`365d`), or a date.
fn parse_end(text: &str, beginning: Timestamp) -> Result<Timestamp, ManifestError> {
    match parse_span(text) {
        Ok(span) => Ok(beginning.saturating_add(span)),
        Err(_) => Ok(Timestamp::parse(text)?),
    }
}
