//! Whether an agent may be started at all, before anything it would do.
//!
//! Keeps I2: an agent that nobody granted anything is not started.

use super::access::MemoryAccess;
use super::effective::Effective;
use super::grant_id::{Expiry, GrantId};
use crate::clock::Timestamp;
use crate::id::AgentRef;

impl Effective {
    /// Whether the agent may be started at all.
    ///
    /// # Errors
    /// [`LaunchRefusal`], which names the command that would change it.
    pub fn check_launch(&self, now: Timestamp) -> Result<(), LaunchRefusal> {
        let agent = self.agent.clone();
        if let Some(at) = self.ends.filter(|end| now >= *end) {
            return Err(LaunchRefusal::ComponentExpired { agent, at });
        }
        if self.in_force(now).next().is_none() {
            return Err(match self.validity.iter().find(|grant| grant.not_before > now) {
                Some(grant) => LaunchRefusal::NotYet { agent, grant: grant.grant, from: grant.not_before },
                None => match self.validity.last() {
                    Some(grant) => LaunchRefusal::Expired { agent, grant: grant.grant, at: grant.expires },
                    None => LaunchRefusal::NoGrant { agent },
                },
            });
        }
        if self.resources(now).memory == MemoryAccess::None {
            return Err(LaunchRefusal::NoMemory { agent });
        }
        Ok(())
    }
}

/// Why an agent is not started, whatever it would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchRefusal {
    /// Nobody granted it anything.
    #[error(
        "no grant is installed for {agent} and this component; `kos grant AGENT.wasm --for 30d` gives one"
    )]
    NoGrant {
        /// The agent.
        agent: AgentRef,
    },
    /// The author's word about the component has ended.
    #[error("the component of {agent} ended at {at}; its author signs it again")]
    ComponentExpired {
        /// The agent.
        agent: AgentRef,
        /// When it ended.
        at: Timestamp,
    },
    /// All its grants have ended.
    #[error(
        "the last grant of {agent}, {grant}, ended at {at}; `kos grant AGENT.wasm --for 30d` gives another"
    )]
    Expired {
        /// The agent.
        agent: AgentRef,
        /// One of its grants.
        grant: GrantId,
        /// When that ended.
        at: Expiry,
    },
    /// None of its grants has begun.
    #[error("the grant {grant} of {agent} begins at {from}")]
    NotYet {
        /// The agent.
        agent: AgentRef,
        /// The grant.
        grant: GrantId,
        /// When it begins.
        from: Timestamp,
    },
    /// Its grants give it no memory, without which no component runs.
    #[error(
        "the grants of {agent} say `memory = \"none\"`, and no component runs without memory; grant `memory = \
         \"read\"` (no growth) or `\"write\"`"
    )]
    NoMemory {
        /// The agent.
        agent: AgentRef,
    },
}
