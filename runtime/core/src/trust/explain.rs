//! Why a key counts or does not, for people and for machines.

use std::fmt;

use serde::Serialize;

use super::{AuthorTrust, Revocation, TrustPolicy, VerifiedTrust};
use crate::clock::{Timestamp, display_span};
use crate::id::{Did, TrustLevel};
use crate::quantity::{display_bytes, display_count};

/// Everything that the trust store says about one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TrustExplanation {
    /// The key.
    pub key: Did,
    /// How far it is trusted now; none: not at all.
    pub level: Option<TrustLevel>,
    /// What the store says of it as an author.
    pub author: Option<AuthorTrust>,
    /// Its revocation, which outweighs everything else.
    pub revoked: Option<Revocation>,
    /// What its level may hold at most.
    pub policy: Option<TrustPolicy>,
    /// Which version of the store says so.
    pub store_version: u64,
    /// When that was issued.
    pub issued: Timestamp,
    /// Which operators signed it.
    pub signed_by: Vec<Did>,
}

impl TrustExplanation {
    pub(super) fn of(trust: &VerifiedTrust, key: Did) -> Self {
        let store = trust.store();
        let level = trust.level_of(&key);
        Self {
            key,
            level,
            author: store.authors.get(&key).cloned(),
            revoked: trust.key_revocation(&key).cloned(),
            policy: level.map(|level| trust.policy(level).clone()),
            store_version: store.version,
            issued: store.issued,
            signed_by: trust.signers().to_vec(),
        }
    }

    /// The command that would change it, where there is one.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match (&self.revoked, self.level) {
            (None, None) => Some(format!("kos trust add {} --level external", self.key)),
            (None, Some(_)) => Some(format!("kos trust revoke {}", self.key)),
            (Some(_), _) => None,
        }
    }
}

impl fmt::Display for TrustExplanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key;
        match (&self.revoked, self.level) {
            (Some(Revocation { at, reason }), _) => {
                writeln!(formatter, "{key} is not trusted: it was revoked on {at}: {reason}")?;
            }
            (None, None) => writeln!(formatter, "{key} is not trusted: no operator has named it")?,
            (None, Some(level)) => writeln!(formatter, "{key} is trusted as {level}")?,
        }
        if let Some(author) = &self.author {
            let label = author.label.as_deref().unwrap_or("no label");
            writeln!(formatter, "  author     {label}, since {}", author.since)?;
        }
        if let Some(policy) = &self.policy {
            write_policy(formatter, policy)?;
        }
        let signers: Vec<String> = self.signed_by.iter().map(ToString::to_string).collect();
        write!(
            formatter,
            "  store      version {}, issued {}, signed by {}",
            self.store_version,
            self.issued,
            signers.join(", ")
        )
    }
}

fn write_policy(formatter: &mut fmt::Formatter<'_>, policy: &TrustPolicy) -> fmt::Result {
    let ceiling: Vec<String> = policy.capabilities.iter().map(ToString::to_string).collect();
    let restrictions = &policy.restrictions;
    let limits = &restrictions.resource_limits;
    writeln!(formatter, "  ceiling    {}", ceiling.join(", "))?;
    writeln!(
        formatter,
        "  reach      network {}, storage {}",
        restrictions.network_access, restrictions.storage_access
    )?;
    writeln!(
        formatter,
        "  at most    memory {}, cpu {}, duration {}",
        display_bytes(limits.memory),
        display_count(limits.cpu),
        display_span(std::time::Duration::from_millis(limits.duration))
    )?;
    writeln!(formatter, "  signatures {} of authors of this level or higher", policy.signatures)
}
