//! Where an operator wrote the rules of a manifest: in a file, with the line of each, or on the command line.
//!
//! It stands in the signed manifest, so that it is the operators' word like the rules themselves: nobody else can lay a rule
//! at another line. The file itself stays with its operator; its digest says whether a copy is the one that was signed.
//! In scope: the record, and finding a rule's line. Out of scope: judging; where a rule was written decides nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use super::document::{AgentPermissions, ScopeItem};
use crate::capability::Capability;
use crate::id::Digest;
use crate::line;

/// The longest name that common file systems give a file.
const NAME_MAX: usize = 255;

/// Where the rules of one manifest were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// By flags.
    CommandLine {},
    /// In a file.
    File {
        /// The file's name, without its directory.
        name: String,
        /// The digest of its bytes.
        digest: Digest,
        /// The lines of each rule, from 1.
        rules: BTreeMap<Capability, RuleLines>,
    },
}

/// The lines of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleLines {
    /// Where it begins.
    pub rule: u32,
    /// Where each item of its scope stands.
    pub scope: BTreeMap<ScopeItem, u32>,
}

/// Where one rule was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the command line of `kos grant`.
    CommandLine,
    /// At a line of a file.
    File {
        /// The file's name.
        name: String,
        /// The line, from 1.
        line: u32,
        /// The digest of the file as it was when it was signed.
        digest: Digest,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => formatter.write_str("command line"),
            Self::File { name, line, .. } => write!(formatter, "{name}:{line}"),
        }
    }
}

impl Source {
    /// The lines of the rules that `permissions` has from this TOML, of a file of this name. None where the name is none that
    /// could be shown.
    #[must_use]
    pub fn of_file(name: &str, text: &str, permissions: &AgentPermissions) -> Option<Self> {
        let root = DeTable::parse(text).ok()?;
        let table = root.get_ref().get("capabilities")?.get_ref().as_table()?;
        let mut rules = BTreeMap::new();
        for (key, value) in table {
            let capability = key.get_ref().parse().ok()?;
            let items = value.get_ref().as_table().and_then(|rule| rule.get("scope"));
            let items = items.and_then(|items| items.get_ref().as_array());
            let mut scope = BTreeMap::new();
            for item in items.into_iter().flatten() {
                scope.insert(item.get_ref().as_str()?.parse().ok()?, line_of(text, item.span().start));
            }
            rules.insert(capability, RuleLines { rule: line_of(text, key.span().start), scope });
        }
        let source = Self::File { name: name.to_owned(), digest: Digest::of(text.as_bytes()), rules };
        source.fits(permissions).then_some(source)
    }

    /// Whether it has the lines of exactly these rules.
    pub(super) fn fits(&self, permissions: &AgentPermissions) -> bool {
        let Self::File { name, rules, .. } = self else { return true };
        let mut written = permissions.capabilities.iter();
        line::is_honest(name, NAME_MAX)
            && !name.contains('/')
            && rules.len() == permissions.capabilities.len()
            && written.all(|(capability, rule)| {
                rules.get(capability).is_some_and(|lines| {
                    lines.scope.len() == rule.scope.len()
                        && rule.scope.iter().all(|item| lines.scope.contains_key(item))
                })
            })
    }

    /// Where a rule was written, or an item of its scope.
    pub(super) fn place(&self, capability: Capability, item: Option<&ScopeItem>) -> Option<Place> {
        match self {
            Self::CommandLine {} => Some(Place::CommandLine),
            Self::File { name, digest, rules } => {
                let lines = rules.get(&capability)?;
                let line = item.and_then(|item| lines.scope.get(item)).unwrap_or(&lines.rule);
                Some(Place::File { name: name.clone(), line: *line, digest: *digest })
            }
        }
    }
}

/// The line of a byte, from 1.
fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    u32::try_from(before.iter().filter(|byte| **byte == b'\n').count() + 1).unwrap_or(u32::MAX)
}
