//! What a secret is called, of which type it is, and what is known of it without opening it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::id::Name;
use crate::line;

/// The largest secret in bytes: a certificate chain with its key.
pub const SECRET_MAX: usize = 64 * 1024;

/// The text names no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no secret: write TYPE/NAME, where the type is api_key, certificate, password or jwt, such as \
     `api_key/weather`"
)]
pub struct SecretIdError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

/// What kind of secret it is. Each is checked for its own form when it is stored. In the order of their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretType {
    /// Any bytes: a token, or a key.
    ApiKey,
    /// PEM: a certificate chain, with or without its private key.
    Certificate,
    /// A signed token in its compact form (RFC 7519).
    Jwt,
    /// One line of text.
    Password,
}

impl SecretType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::ApiKey, Self::Certificate, Self::Jwt, Self::Password];

    /// The type's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::Jwt => "jwt",
        }
    }
}

impl fmt::Display for SecretType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A secret's name within its environment: `api_key/weather`. Also the scope of the capabilities that touch it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId {
    /// Its type.
    pub kind: SecretType,
    /// Its name among the secrets of this type.
    pub name: Name,
}

impl fmt::Display for SecretId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for SecretId {
    type Err = SecretIdError;

    fn from_str(text: &str) -> Result<Self, SecretIdError> {
        let parsed = text.split_once('/').and_then(|(kind, name)| {
            let kind = SecretType::ALL.into_iter().find(|known| known.as_str() == kind)?;
            Some(Self { kind, name: name.parse().ok()? })
        });
        parsed.ok_or_else(|| SecretIdError { text: line::shown(text) })
    }
}

serde_as_text!(SecretId);

/// What is known of a secret without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metadata {
    /// Which secret.
    pub id: SecretId,
    /// The number of its present version; the first is 1.
    pub version: u32,
    /// When its first version was stored.
    pub created: Timestamp,
    /// When its present version was stored.
    pub changed: Timestamp,
    /// When it was last used or revealed. Brought up to date in the file by the next change of the vault; the log has
    /// every access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_accessed: Option<Timestamp>,
    /// When it ends; from then on it is neither used nor revealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// One version of a secret that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Version {
    /// Its number.
    pub version: u32,
    /// When it was stored.
    pub changed: Timestamp,
    /// When it ends or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_by_its_type_and_name() {
        for text in ["api_key/weather", "certificate/site", "password/db-1", "jwt/session"] {
            assert_eq!(text.parse::<SecretId>().unwrap().to_string(), text);
        }
        for text in ["", "weather", "api-key/weather", "api_key/", "api_key/a/b", "api_key/A B", "/weather"] {
            assert!(text.parse::<SecretId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_order_of_secrets_is_that_of_their_text() {
        let mut ids: Vec<SecretId> = SecretType::ALL
            .into_iter()
            .flat_map(|kind| {
                ["b", "a-c", "ab", "a"].map(|name| SecretId { kind, name: name.parse().unwrap() })
            })
            .collect();
        ids.sort();
        assert!(ids.is_sorted_by_key(ToString::to_string));
    }
}
