//! Agents of other hosts: who they are, as an operator of this home says.
//!
//! In scope: the record of a peer, signed by this host once an operator has added it, and kept apart from those of its own agents,
//! so that nothing is ever launched by it. Out of scope: what a peer may be sent and heard of, which grants say.
//!
//! That the agreement key is the peer's own is proven by its attestation; its name and its author are what the operator believes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{AgentsError, RECORD_MAX, RECORD_VERSION, SIGNERS, agent_key_name, request, write};
use crate::canonical::{self, base64_bytes};
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::durable::{self, DurableError, Lock};
use crate::envelope::Envelope;
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
    let malformed = |source| AgentsError::Malformed { path: path.clone(), source };
    let payload = canonical::to_canonical(&peer).map_err(malformed)?;
    let bytes = Envelope::sign(PEER_TYPE, payload, &[host])
        .and_then(|envelope| envelope.to_bytes())
        .map_err(|source| AgentsError::Signature { path: path.clone(), source })?;
    Ok(write::replace_swept(&path, &bytes)?)
}

/// The agents of other hosts that are known here, in the order of their files' names.
///
/// # Errors
/// [`AgentsError`] names the first record that cannot be used.
pub fn list(home: &Home, host: &Did) -> Result<Vec<PeerRecord>, AgentsError> {
    let directory = folder(home);
    let failed = |source| DurableError::Io { action: "list", path: directory.clone(), source };
    let entries = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let found = entry.map_err(failed)?.path();
        let name = found.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".json") && !name.starts_with('.') {
            paths.push(found);
        }
    }
    paths.sort_unstable();
    paths.iter().map(|found| read(home, host, found)).collect()
}

/// Forgets an agent of another host. Whether it was known.
///
/// # Errors
/// [`AgentsError`] when the record cannot be removed.
pub fn remove(home: &Home, agent: &AgentRef) -> Result<bool, AgentsError> {
    let path = path(home, agent);
    match std::fs::remove_file(&path) {
        Ok(()) => {
            durable::sync_directory(&folder(home))?;
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(DurableError::Io { action: "remove", path, source }.into()),
    }
}

fn read(home: &Home, host: &Did, found: &Path) -> Result<PeerRecord, AgentsError> {
    let bytes = durable::read_capped(found, RECORD_MAX as u64)?;
    let signature = |source| AgentsError::Signature { path: found.to_owned(), source };
    let envelope = Envelope::parse(&bytes).map_err(signature)?;
    let verified = envelope.verify(PEER_TYPE, [*host], SIGNERS).map_err(signature)?;
    let peer: PeerRecord = canonical::from_canonical(verified.payload(), RECORD_MAX)
        .map_err(|source| AgentsError::Malformed { path: found.to_owned(), source })?;
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
