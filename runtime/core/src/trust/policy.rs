//! What each trust level may hold at most: its ceiling, its restrictions, and how many must have signed.
//!
//! Source: the specification's `TrustPolicy`. A ceiling grants nothing: it narrows what was declared and granted (I2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::TrustError;
use crate::capability::Capability;
use crate::id::TrustLevel;
use crate::quantity::QUANTITY_MAX;
use crate::resource::{NetworkAccess, StorageAccess};

/// As many signatures as an envelope carries; a higher threshold could never be met.
pub(super) const SIGNATURES_MAX: usize = 16;

/// A stranger's agent fits beside many others on a small board.
const EXTERNAL_MEMORY: u64 = 64 << 20;
/// About ten seconds of a fast core: room for real work, none for mining.
const EXTERNAL_CPU: u64 = 10_000_000_000;
/// A stranger's agent does one task and ends.
const EXTERNAL_DURATION: u64 = 60_000;

/// A partner's agent may be a whole interpreter (Python components need about 100 MiB).
const PARTNER_MEMORY: u64 = 256 << 20;
/// About twenty minutes of a fast core.
const PARTNER_CPU: u64 = 1_000_000_000_000;
/// A working day and the night after it.
const PARTNER_DURATION: u64 = 24 * 3_600_000;

/// The whole of a 32-bit memory.
const TRUSTED_MEMORY: u64 = 4 << 30;
/// More than a service burns in a year, and still exact in every JSON reader.
const TRUSTED_CPU: u64 = 9_000_000_000_000_000;
/// A year: a service that runs on is seen again at least that often.
const TRUSTED_DURATION: u64 = 365 * 86_400_000;

/// A part of the capabilities: one, all of one interface, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CeilingPattern {
    /// `*`: every capability, those of later versions included.
    Everything,
    /// `crypto.*`: every capability of one interface, those of later versions included.
    Interface(&'static str),
    /// One capability.
    One(Capability),
}

impl CeilingPattern {
    /// Whether `capability` lies under the ceiling.
    #[must_use]
    pub fn covers(&self, capability: Capability) -> bool {
        match self {
            Self::Everything => true,
            Self::Interface(interface) => capability.interface() == *interface,
            Self::One(one) => *one == capability,
        }
    }

    /// Whether everything under `other` lies under this pattern, in later versions too.
    fn covers_pattern(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (_, Self::Everything) | (Self::One(_), Self::Interface(_)) => false,
            (Self::Interface(one), Self::Interface(two)) => one == two,
            (_, Self::One(capability)) => self.covers(*capability),
        }
    }
}

impl fmt::Display for CeilingPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => formatter.write_str("*"),
            Self::Interface(interface) => write!(formatter, "{interface}.*"),
            Self::One(capability) => capability.fmt(formatter),
        }
    }
}

impl FromStr for CeilingPattern {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        let Some(interface) = text.strip_suffix(".*") else {
            return text.parse().map(Self::One).map_err(|_| TrustError::ceiling(text));
        };
        Capability::ALL
            .into_iter()
            .map(Capability::interface)
            .find(|known| *known == interface)
            .map(Self::Interface)
            .ok_or_else(|| TrustError::ceiling(text))
    }
}

serde_as_text!(CeilingPattern);

/// How much of the machine an agent of a level reaches at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Restrictions {
    /// The network.
    pub network_access: NetworkAccess,
    /// The disk.
    pub storage_access: StorageAccess,
    /// Memory, computation and time.
    pub resource_limits: ResourceLimits,
}

/// The most of each resource that a grant can give at a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceLimits {
    /// Linear memory, in bytes.
    pub memory: u64,
    /// Computation, in units of fuel (about one per instruction).
    pub cpu: u64,
    /// Wall time of one run, in milliseconds.
    pub duration: u64,
}

/// What a level may hold at most, and what it takes to be of that level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustPolicy {
    /// The level.
    pub level: TrustLevel,
    /// The ceiling: which capabilities can be granted at all. Sorted by text, each once.
    pub capabilities: Vec<CeilingPattern>,
    /// How much of the machine.
    pub restrictions: Restrictions,
    /// How many different authors, each trusted at least at this level, must have signed a component for it to be of
    /// this level; at least one.
    pub signatures: usize,
}

impl TrustPolicy {
    /// Whether `capability` can be granted at this level.
    #[must_use]
    pub fn allows(&self, capability: Capability) -> bool {
        self.capabilities.iter().any(|pattern| pattern.covers(capability))
    }

    fn check(&self, level: TrustLevel) -> Result<(), TrustError> {
        if self.level != level {
            return Err(TrustError::PolicyLevel { level, found: self.level });
        }
        if !(1..=SIGNATURES_MAX).contains(&self.signatures) {
            return Err(TrustError::Threshold { level, signatures: self.signatures, max: SIGNATURES_MAX });
        }
        let texts: Vec<String> = self.capabilities.iter().map(ToString::to_string).collect();
        if !texts.is_sorted_by(|one, two| one < two) {
            return Err(TrustError::CeilingOrder { level });
        }
        let limits = self.restrictions.resource_limits;
        for (limit, amount) in [("memory", limits.memory), ("cpu", limits.cpu), ("duration", limits.duration)]
        {
            if !(1..=QUANTITY_MAX).contains(&amount) {
                return Err(TrustError::Limit { level, limit, amount });
            }
        }
        Ok(())
    }

    /// What this policy would allow that `higher` does not.
    fn exceeds(&self, higher: &Self) -> Option<&'static str> {
        let (mine, theirs) = (&self.restrictions, &higher.restrictions);
        let is_covered =
            |pattern: &CeilingPattern| higher.capabilities.iter().any(|other| other.covers_pattern(pattern));
        if !self.capabilities.iter().all(is_covered) {
            Some("a capability")
        } else if mine.network_access > theirs.network_access {
            Some("network access")
        } else if mine.storage_access > theirs.storage_access {
            Some("storage access")
        } else if mine.resource_limits.memory > theirs.resource_limits.memory {
            Some("memory")
        } else if mine.resource_limits.cpu > theirs.resource_limits.cpu {
            Some("cpu")
        } else if mine.resource_limits.duration > theirs.resource_limits.duration {
            Some("duration")
        } else {
            None
        }
    }
}

/// One policy for each level: none can be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    external: TrustPolicy,
    partner: TrustPolicy,
    trusted: TrustPolicy,
}

impl Policies {
    /// The policies of a new home.
    ///
    /// *External*: describe itself, hash, verify and note; nothing that speaks in the agent's name or hides what it
    /// says, no network, no storage. *Partner*: every capability of this version, by name, so that a later version's
    /// are not allowed by themselves; listed addresses, and storage that ends with the run. *Trusted*: everything.
    #[must_use]
    pub fn standard() -> Self {
        let external = [
            Capability::AuditNote,
            Capability::CryptoHash,
            Capability::CryptoVerify,
            Capability::IdentityGrants,
            Capability::IdentitySelf,
        ];
        Self {
            external: TrustPolicy {
                level: TrustLevel::External,
                capabilities: ceiling(&external),
                restrictions: Restrictions {
                    network_access: NetworkAccess::None,
                    storage_access: StorageAccess::None,
                    resource_limits: ResourceLimits {
                        memory: EXTERNAL_MEMORY,
                        cpu: EXTERNAL_CPU,
                        duration: EXTERNAL_DURATION,
                    },
                },
                signatures: 1,
            },
            partner: TrustPolicy {
                level: TrustLevel::Partner,
                capabilities: ceiling(&Capability::ALL),
                restrictions: Restrictions {
                    network_access: NetworkAccess::Restricted,
                    storage_access: StorageAccess::Temporary,
                    resource_limits: ResourceLimits {
                        memory: PARTNER_MEMORY,
                        cpu: PARTNER_CPU,
                        duration: PARTNER_DURATION,
                    },
                },
                signatures: 1,
            },
            trusted: TrustPolicy {
                level: TrustLevel::Trusted,
                capabilities: vec![CeilingPattern::Everything],
                restrictions: Restrictions {
                    network_access: NetworkAccess::Full,
                    storage_access: StorageAccess::Persistent,
                    resource_limits: ResourceLimits {
                        memory: TRUSTED_MEMORY,
                        cpu: TRUSTED_CPU,
                        duration: TRUSTED_DURATION,
                    },
                },
                signatures: 1,
            },
        }
    }

    /// The policy of a level.
    #[must_use]
    pub fn get(&self, level: TrustLevel) -> &TrustPolicy {
        match level {
            TrustLevel::External => &self.external,
            TrustLevel::Partner => &self.partner,
            TrustLevel::Trusted => &self.trusted,
        }
    }

    pub(super) fn set(&mut self, policy: TrustPolicy) {
        match policy.level {
            TrustLevel::External => self.external = policy,
            TrustLevel::Partner => self.partner = policy,
            TrustLevel::Trusted => self.trusted = policy,
        }
    }

    /// Each policy is sound, and no level is allowed more than the one above it, so that lowering never widens.
    pub(super) fn check(&self) -> Result<(), TrustError> {
        for level in TrustLevel::ALL {
            self.get(level).check(level)?;
        }
        for (lower, higher) in [(&self.external, &self.partner), (&self.partner, &self.trusted)] {
            if let Some(what) = lower.exceeds(higher) {
                return Err(TrustError::NotNested { lower: lower.level, higher: higher.level, what });
            }
        }
        Ok(())
    }
}

/// A ceiling of exactly these capabilities, in the order of their texts.
fn ceiling(capabilities: &[Capability]) -> Vec<CeilingPattern> {
    let mut capabilities = capabilities.to_vec();
    capabilities.sort_unstable_by_key(|capability| capability.as_str());
    capabilities.into_iter().map(CeilingPattern::One).collect()
}
