//! How much of the machine a manifest opens: memory, network and storage.
//!
//! In scope: the words, the addresses, and what each kind of memory access means. Out of scope: opening, which is the
//! host's. Keeps I2: each has a level of nothing, and none is implied.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::line;
use crate::resource::{NetworkAccess, StorageAccess};

/// The longest DNS name.
const HOST_NAME_MAX: usize = 253;

/// How much of the machine a manifest opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceAccess {
    /// Linear memory.
    pub memory: MemoryAccess,
    /// The network.
    pub network: NetworkAccess,
    /// A directory of the agent's own.
    pub storage: StorageAccess,
}

impl ResourceAccess {
    /// Nothing of anything.
    pub const NONE: Self =
        Self { memory: MemoryAccess::None, network: NetworkAccess::None, storage: StorageAccess::None };
}

/// What becomes of an agent's linear memory, which every component has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryAccess {
    /// The agent may have no memory: it is not started.
    None,
    /// The memory keeps the size with which the component declares it; every growth is refused.
    Read,
    /// The memory grows up to its limit.
    Write,
}

impl MemoryAccess {
    /// Every level, from the least to the most.
    pub const ALL: [Self; 3] = [Self::None, Self::Read, Self::Write];

    /// The level's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for MemoryAccess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text is no level of memory access.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a kind of memory access; write none, read or write")]
pub struct MemoryAccessError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

impl FromStr for MemoryAccess {
    type Err = MemoryAccessError;

    fn from_str(text: &str) -> Result<Self, MemoryAccessError> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| MemoryAccessError { text: line::shown(text) })
    }
}

serde_as_text!(MemoryAccess);

/// An address that an agent with restricted network access may reach: `api.example.org:443`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkHost {
    host: String,
    port: u16,
}

impl NetworkHost {
    /// The DNS name or the IPv4 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for NetworkHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address: write a lower-case name and a port, as `api.example.org:443`")]
pub struct NetworkHostError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

impl FromStr for NetworkHost {
    type Err = NetworkHostError;

    fn from_str(text: &str) -> Result<Self, NetworkHostError> {
        let refused = || NetworkHostError { text: line::shown(text) };
        let (host, port) = text.split_once(':').ok_or_else(refused)?;
        let is_label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        let port = port.parse().ok().filter(|number: &u16| *number > 0 && number.to_string() == port);
        match port {
            Some(port) if host.len() <= HOST_NAME_MAX && host.split('.').all(is_label) => {
                Ok(Self { host: host.to_owned(), port })
            }
            _ => Err(refused()),
        }
    }
}

serde_as_text!(NetworkHost);
