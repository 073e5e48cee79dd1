//! By what a manifest is named, and when it ends.
//!
//! In scope: the two values, each with one form in JSON.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::id::Digest;
use crate::line;

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

/// The text is no grant's identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the identifier of a grant (16 lower-case hex digits)")]
pub struct GrantIdError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

hex_as_text!(GrantId, GrantIdError, |text| GrantIdError { text: line::shown(text) });
