//! How much of the machine is reached: the ordered levels of network and storage access (I2).
//!
//! Each enum is ordered from nothing to everything, so that the least of what was declared, granted and allowed is
//! `min`. In scope: the words. Out of scope: what each level opens, which the host decides.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::line;

/// The text is no level of this access.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a kind of {resource} access; write {expected}")]
pub struct AccessError {
    /// What was given, cut to a displayable length.
    pub text: String,
    /// Which access was meant.
    pub resource: &'static str,
    /// The words that there are.
    pub expected: &'static str,
}

/// What an agent reaches over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum NetworkAccess {
    /// Nothing.
    #[default]
    None,
    /// The listed addresses.
    Restricted,
    /// Everything.
    Full,
}

impl NetworkAccess {
    /// The level's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restricted => "restricted",
            Self::Full => "full",
        }
    }
}

/// What an agent keeps on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum StorageAccess {
    /// Nothing.
    #[default]
    None,
    /// A directory that is emptied when the run ends.
    Temporary,
    /// A directory that stays.
    Persistent,
}

impl StorageAccess {
    /// The level's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Temporary => "temporary",
            Self::Persistent => "persistent",
        }
    }
}

/// Implements text and serde for an access level.
macro_rules! access_as_text {
    ($type:ty, $resource:literal, $expected:literal, $levels:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = AccessError;

            fn from_str(text: &str) -> Result<Self, AccessError> {
                $levels.into_iter().find(|level: &Self| level.as_str() == text).ok_or_else(|| AccessError {
                    text: line::shown(text),
                    resource: $resource,
                    expected: $expected,
                })
            }
        }

        serde_as_text!($type);
    };
}

access_as_text!(
    NetworkAccess,
    "network",
    "none, restricted or full",
    [NetworkAccess::None, NetworkAccess::Restricted, NetworkAccess::Full]
);
access_as_text!(
    StorageAccess,
    "storage",
    "none, temporary or persistent",
    [StorageAccess::None, StorageAccess::Temporary, StorageAccess::Persistent]
);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn access_levels_are_ordered_from_nothing_to_everything() {
        assert!(
            NetworkAccess::None < NetworkAccess::Restricted
                && NetworkAccess::Restricted < NetworkAccess::Full
        );
        assert!(
            StorageAccess::None < StorageAccess::Temporary
                && StorageAccess::Temporary < StorageAccess::Persistent
        );
        assert_eq!(NetworkAccess::default(), NetworkAccess::None);
        assert_eq!(StorageAccess::default(), StorageAccess::None);
    }

    #[test]
    fn access_levels_are_read_by_their_words_alone() {
        assert_eq!(
            serde_json::from_str::<NetworkAccess>("\"restricted\"").unwrap(),
            NetworkAccess::Restricted
        );
        assert_eq!(serde_json::to_string(&StorageAccess::Temporary).unwrap(), "\"temporary\"");
        for text in ["", "None", "all", "read"] {
            assert!(text.parse::<NetworkAccess>().is_err(), "{text}");
            assert!(text.parse::<StorageAccess>().is_err(), "{text}");
        }
    }
}
