//! Who the agent is, and what it may do.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Error;
use crate::bindings::kos::agent::identity as raw;

/// The identity of the running agent.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// The agent's own identifier, `did:key:z6Mk…`: the Ed25519 key that [`sign`](crate::crypto::sign) uses.
    pub did: String,
    /// The agent's X25519 public key, `did:key:z6LS…`: others [`seal`](crate::crypto::seal) to it.
    pub agreement_key: String,
    /// The name that the author gave the agent.
    pub name: String,
    /// The version of the running component (`SemVer`).
    pub version: String,
    /// The identifier of the author who signed the component.
    pub author: String,
    /// How far the operator trusts the author.
    pub trust_level: TrustLevel,
}

/// How far the operator trusts the author of an agent; more is greater.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustLevel {
    /// Unknown to the operator's organisation. Also what a level is taken for that this version does not know.
    External,
    /// Known, and outside of the operator's organisation.
    Partner,
    /// The operator's own.
    Trusted,
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::External => "external",
            Self::Partner => "partner",
            Self::Trusted => "trusted",
        })
    }
}

/// One grant in force for the agent.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The capability, such as `crypto.sign`.
    pub capability: String,
    /// The scopes it covers: exact names, or prefixes that end in `*`.
    pub scope: Vec<String>,
    /// When it ends; `None` where it has no end.
    pub expires: Option<SystemTime>,
}

/// Describes the running agent.
///
/// Needs `identity.self`, which has no scope.
///
/// # Errors
/// [`Error::Denied`].
pub fn me() -> Result<Me, Error> {
    let raw::SelfDescription { did, agreement_key, name, version, author, trust_level } = raw::self_()?;
    let trust_level = match trust_level.as_str() {
        "trusted" => TrustLevel::Trusted,
        "partner" => TrustLevel::Partner,
        _ => TrustLevel::External,
    };
    Ok(Me { did, agreement_key, name, version, author, trust_level })
}

/// Lists the grants in force now, in the order of their names.
///
/// It is a snapshot: a grant may expire or be revoked before the call it was looked up for.
///
/// Needs `identity.grants`, which has no scope.
///
/// # Errors
/// [`Error::Denied`].
pub fn grants() -> Result<Vec<Grant>, Error> {
    let grants = raw::grants()?;
    Ok(grants.into_iter().map(Grant::from).collect())
}

impl From<raw::Grant> for Grant {
    fn from(raw::Grant { capability, scope, expires }: raw::Grant) -> Self {
        let expires = expires.map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
        Self { capability, scope, expires }
    }
}
