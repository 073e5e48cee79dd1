//! Agents of other hosts: who they are, as an operator of this home says.
//!
//! In scope: the record of a peer, signed by this host once an operator has added it, and kept apart from those of its own agents,
//! so that nothing is ever launched by it. Out of scope: what a peer may be sent and heard of, which grants say.
//!
//! That the agreement key is the peer's own is proven by its attestation; its name and its author are what the operator believes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{AgentsError, RECORD_MAX, RECORD_VERSION, agent_key_name, request, write};
use crate::canonical::base64_bytes;
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::durable::{self, Lock};
use crate::home::Home;
use crate::id::{AgentRef, AgreementKey, Did};

/// What the record of a peer is signed as.
pub const PEER_TYPE: &str = "application/vnd.kos.peer-record.v1+json";
/// The folder of the records, beside those of the home's own agents.
const FOLDER: &str = "peers";

/// The record of an agent of another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PeerRecord {
    /// The format of the record.
    pub version: u32,
    /// Which agent: its author and name.
    pub agent: AgentRef,
    /// Its identifier.
    pub did: Did,
    /// Where messages to it are sealed to.
    pub agreement_key: AgreementKey,
    /// Its own signature over the agreement key.
    #[serde(with = "base64_bytes")]
    pub attestation: [u8; 64],
    /// When it was added here.
    pub added: Timestamp,
}

impl PeerRecord {
    /// The record of a peer that is added now.
    #[must_use]
    pub fn new(
        agent: AgentRef,
        did: Did,
        agreement_key: AgreementKey,
        attestation: [u8; 64],
        added: Timestamp,
    ) -> Self {
        Self { version: RECORD_VERSION, agent, did, agreement_key, attestation, added }
    }

    fn check(self, path: &Path) -> Result<Self, AgentsError> {
        let mismatch = |cause| AgentsError::Mismatch {
            path: path.to_owned(),
            agent: Box::new(self.agent.clone()),
            cause,
        };
        if self.version != RECORD_VERSION {
            return Err(mismatch("its format is not known to this version"));
        }
        if !request::is_attested(&self.did, &self.agreement_key, &self.attestation) {
            return Err(mismatch("the agent has not signed the agreement key"));
        }
        Ok(self)
    }
}

/// Adds an agent of another host; `host` signs the record.
///
/// # Errors
/// [`AgentsError::Mismatch`] where the agent has not attested its key, or another agent is known by its author and name or by its
/// identifier; what the file system says.
pub fn add(home: &Home, host: &dyn Signer, peer: PeerRecord) -> Result<(), AgentsError> {
    let path = path(home, &peer.agent);
    let peer = peer.check(&path)?;
    durable::create_private_dir(&folder(home))?;
    let _lock = Lock::exclusive(&home.agents().join(".lock"))?;
    let mismatch =
        |cause| AgentsError::Mismatch { path: path.clone(), agent: Box::new(peer.agent.clone()), cause };
    let own = super::list(home, &host.did())?;
    if own.iter().any(|own| own.agent == peer.agent || own.identity.did == peer.did) {
        return Err(mismatch("an agent that was launched here has this name or identifier"));
    }
    let others = list(home, &host.did())?;
    if others.iter().any(|other| (other.agent == peer.agent) != (other.did == peer.did)) {
        return Err(mismatch("another agent is known by this name or identifier"));
    }
    super::store(PEER_TYPE, &path, host, &peer)
}

/// The agents of other hosts that are known here, in the order of their files' names.
///
/// # Errors
/// [`AgentsError`] names the first record that cannot be used.
pub fn list(home: &Home, host: &Did) -> Result<Vec<PeerRecord>, AgentsError> {
    match super::record_files(&folder(home)) {
        Ok(paths) => paths.iter().map(|found| read(home, host, found)).collect(),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Forgets an agent of another host, if it is known.
///
/// # Errors
/// [`AgentsError`] when the record cannot be removed.
pub fn remove(home: &Home, agent: &AgentRef) -> Result<(), AgentsError> {
    Ok(write::remove(&path(home, agent))?)
}

fn read(home: &Home, host: &Did, found: &Path) -> Result<PeerRecord, AgentsError> {
    let bytes = durable::read_capped(found, RECORD_MAX as u64)?;
    let peer: PeerRecord = super::parse(PEER_TYPE, found, &bytes, host)?;
    if path(home, &peer.agent) != found {
        let cause = "its file has another agent's name";
        return Err(AgentsError::Mismatch { path: found.to_owned(), agent: Box::new(peer.agent), cause });
    }
    peer.check(found)
}

fn folder(home: &Home) -> PathBuf {
    home.agents().join(FOLDER)
}

fn path(home: &Home, agent: &AgentRef) -> PathBuf {
    folder(home).join(format!("{}.json", agent_key_name(agent)))
}
