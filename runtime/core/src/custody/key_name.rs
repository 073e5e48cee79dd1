//! What keys in custody are called: `author/alice`, by role and name.
//!
//! In scope: the one text form, and the name of an agent's key. Out of scope: the keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{AgentRef, Digest, Name};

/// How much of an agent's name its key's name keeps; with the suffix of 17 it stays below a name's 64.
const AGENT_NAME_KEPT: usize = 40;
/// 64 bits tell the agents of one home apart, whatever their authors choose.
const AGENT_SUFFIX: usize = 16;

/// What a key is for, which bounds what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyRole {
    /// Signs the log and the agents' records.
    Host,
    /// Signs grants and the trust store.
    Operator,
    /// Signs components.
    Author,
    /// Belongs to one agent.
    Agent,
}

impl KeyRole {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Host, Self::Operator, Self::Author, Self::Agent];

    /// The role's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Operator => "operator",
            Self::Author => "author",
            Self::Agent => "agent",
        }
    }
}

/// A key in custody: `author/alice`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// What it is for.
    pub role: KeyRole,
    /// What it is called; unique within its role.
    pub name: Name,
}

impl KeyName {
    /// The key with this role and name.
    #[must_use]
    pub fn new(role: KeyRole, name: Name) -> Self {
        Self { role, name }
    }

    /// The key of an agent.
    #[must_use]
    pub fn of_agent(agent: &AgentRef) -> Self {
        Self::new(KeyRole::Agent, agent_key_name(agent))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.role.as_str(), self.name)
    }
}

/// A text that names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a key (`host/…`, `operator/…`, `author/…` or `agent/…`)")]
pub struct KeyNameError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let refused = || KeyNameError {
            text: text.chars().filter(|character| !character.is_control()).take(80).collect(),
        };
        let (role, name) = text.split_once('/').ok_or_else(refused)?;
        let role = KeyRole::ALL.into_iter().find(|known| known.as_str() == role).ok_or_else(refused)?;
        Ok(Self { role, name: name.parse().map_err(|_| refused())? })
    }
}

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What the key of an agent is called: its name and a digest of author and name, so that two authors who use the same
/// name never share a key.
#[must_use]
pub fn agent_key_name(agent: &AgentRef) -> Name {
    let kept: String = agent.name.as_str().chars().take(AGENT_NAME_KEPT).collect();
    let digest = Digest::of(agent.to_string().as_bytes()).to_hex();
    let suffix: String = digest.chars().take(AGENT_SUFFIX).collect();
    // A name, a dash and hex digits are a name; the agent's own name is returned where they could not be.
    format!("{kept}-{suffix}").parse().unwrap_or_else(|_| agent.name.clone())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::crypto::{SecretKey, Signer as _};

    fn agent(seed: u8, name: &str) -> AgentRef {
        AgentRef { author: SecretKey::from_seed(&[seed; 32]).did(), name: name.parse().unwrap() }
    }

    #[test]
    fn a_key_name_has_one_form() {
        for text in ["host/host", "operator/me", "author/alice-2", "agent/notary-0123456789abcdef"] {
            assert_eq!(text.parse::<KeyName>().unwrap().to_string(), text);
        }
        for text in ["", "alice", "/alice", "author/", "Author/alice", "author/../x", "author/a/b", "guest/a"]
        {
            assert!(text.parse::<KeyName>().is_err(), "{text}");
        }
    }

    #[test]
    fn agents_of_two_authors_with_one_name_have_different_key_names() {
        assert_ne!(agent_key_name(&agent(1, "notary")), agent_key_name(&agent(2, "notary")));
        assert_ne!(agent_key_name(&agent(1, "notary")), agent_key_name(&agent(1, "notary-2")));
        assert_eq!(agent_key_name(&agent(1, "notary")), agent_key_name(&agent(1, "notary")));
    }

    #[test]
    fn the_longest_agent_names_stay_apart_and_stay_names() {
        let (one, two) = (format!("{}-{}", "a".repeat(39), "b".repeat(24)), format!("{}-x", "a".repeat(39)));
        let names = [agent_key_name(&agent(1, &one)), agent_key_name(&agent(1, &two))];
        assert_ne!(names[0], names[1]);
        assert!(names[0].as_str().starts_with(&format!("{}--", "a".repeat(39))));
        assert!(names.iter().all(|name| name.as_str().len() == 57));
    }
}
