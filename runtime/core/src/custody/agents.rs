//! The agents of a home: who each is, when it was first and last launched, and how new its code has been.
//!
//! In scope: the public record of an agent, which is the specification's `AgentIdentity` and what custody adds, signed
//! by the host, so that a copy can be checked anywhere. Out of scope: what an agent may do ([`crate::permission`]).
//! An agent's keys are made at its first launch. Records keep an author's older code from being launched again (I1).

pub mod peers;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::CustodyError;
use super::key_name::{KeyName, agent_key_name};
use super::request::{self, Custodian, Request};
use super::write;
use crate::canonical::{self, CanonicalError, base64_bytes};
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::durable::{self, DurableError, Lock};
use crate::envelope::{Envelope, EnvelopeError};
use crate::home::Home;
use crate::id::{AgentRef, AgreementKey, Did, TrustLevel};

/// What a record is signed as.
pub const RECORD_TYPE: &str = "application/vnd.kos.agent-record.v1+json";
/// Room for a record with hundreds of capabilities.
const RECORD_MAX: usize = 64 * 1024;
/// The format that this program writes and reads.
const RECORD_VERSION: u32 = 1;
/// A write with its wait for the disk costs a launch a millisecond, and nobody needs the hour of the last launch here,
/// as the log has it to the millisecond.
const LAST_VERIFIED_STEP: Duration = Duration::from_secs(24 * 60 * 60);
/// A record is the host's own statement.
const SIGNERS: NonZeroUsize = NonZeroUsize::MIN;

/// Why an agent is not registered, or its record not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentsError {
    /// The code is older than what has been launched before.
    #[error("{agent} {offered} is older than {highest}, which has been launched here")]
    Rollback {
        /// Which agent.
        agent: Box<AgentRef>,
        /// The version that was to be launched.
        offered: Version,
        /// The highest version so far.
        highest: Version,
    },
    /// The record is of another agent, of another key, or not in a format of ours.
    #[error("{} is not the record of {agent}: {cause}", path.display())]
    Mismatch {
        /// Which file.
        path: PathBuf,
        /// Which agent it should be of.
        agent: Box<AgentRef>,
        /// What differs.
        cause: &'static str,
    },
    /// The record is malformed.
    #[error("{} is malformed: {source}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: CanonicalError,
    },
    /// The record is not signed by this host.
    #[error("{} is not a record of this host: {source}", path.display())]
    Signature {
        /// Which file.
        path: PathBuf,
        /// What is wrong with the envelope.
        source: EnvelopeError,
    },
    /// Custody refused.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The file system refused.
    #[error(transparent)]
    Durable(#[from] DurableError),
}

/// The specification's `AgentIdentity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AgentIdentity {
    /// The agent's identifier.
    pub did: Did,
    /// The Ed25519 public key in it.
    #[serde(with = "base64_bytes")]
    pub public_key: [u8; 32],
    /// What its code declared at the last launch that changed it.
    pub capabilities: Vec<String>,
    /// How far its author was trusted then.
    pub trust_level: TrustLevel,
    /// When it was first launched.
    pub registration_timestamp: Timestamp,
    /// When it was last launched, to the day.
    pub last_verified: Timestamp,
}

/// The public record of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AgentRecord {
    /// The format of the record.
    pub version: u32,
    /// Which agent: its author and name.
    pub agent: AgentRef,
    /// Who it is.
    pub identity: AgentIdentity,
    /// Where messages to it are sealed to.
    pub agreement_key: AgreementKey,
    /// Its own signature over the agreement key.
    #[serde(with = "base64_bytes")]
    pub attestation: [u8; 64],
    /// The highest version of its code that was launched; older code is refused.
    pub highest_version: Version,
}

/// Whether older code than has been launched before may be launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollback {
    /// It is refused.
    Refused,
    /// A grant allows it. The highest version stays on record.
    Allowed,
}

/// What a verified component says of its agent, at a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// Which agent.
    pub agent: &'a AgentRef,
    /// What the code declares.
    pub capabilities: &'a [String],
    /// How far its author is trusted.
    pub level: TrustLevel,
    /// The version of the code.
    pub version: &'a Version,
    /// Whether older code may be launched.
    pub rollback: Rollback,
    /// The present.
    pub now: Timestamp,
}

/// The record of the agent that is launched: with new keys at the first launch, and brought up to date later only where
/// something changed. Of several hosts that do so at once all get the same record. `host` signs the record.
///
/// # Errors
/// [`AgentsError::Rollback`], or what is wrong with the record or the keys; nothing is then changed.
pub fn register_or_load(
    home: &Home,
    custodian: &dyn Custodian,
    host: &dyn Signer,
    sighting: &Sighting<'_>,
) -> Result<AgentRecord, AgentsError> {
    let key = KeyName::of_agent(sighting.agent);
    if let Some(record) = load(home, &host.did(), sighting.agent)? {
        check_key(home, custodian, &key, &record)?;
        if updated(&record, sighting)?.is_none() {
            return Ok(record);
        }
    }
    let _lock = Lock::exclusive(&home.agents().join(".lock"))?;
    let record = match load(home, &host.did(), sighting.agent)? {
        Some(record) => {
            check_key(home, custodian, &key, &record)?;
            match updated(&record, sighting)? {
                None => return Ok(record),
                Some(updated) => updated,
            }
        }
        None => first(custodian, &key, sighting)?,
    };
    store(RECORD_TYPE, &record_path(home, &record.agent), host, &record)?;
    Ok(record)
}

/// The record of an agent, if it has been launched here; `host` is whose signature counts.
///
/// # Errors
/// [`AgentsError`] for a record that is not this host's, or not this agent's.
pub fn load(home: &Home, host: &Did, agent: &AgentRef) -> Result<Option<AgentRecord>, AgentsError> {
    let path = record_path(home, agent);
    let bytes = match durable::read_capped(&path, RECORD_MAX as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    record_in(&bytes, &path, host, agent).map(Some)
}

/// The record of `agent` in the bytes of its file.
fn record_in(bytes: &[u8], path: &Path, host: &Did, agent: &AgentRef) -> Result<AgentRecord, AgentsError> {
    let mismatch =
        |cause| AgentsError::Mismatch { path: path.to_owned(), agent: Box::new(agent.clone()), cause };
    let record: AgentRecord = parse(RECORD_TYPE, path, bytes, host)?;
    if record.version != RECORD_VERSION {
        return Err(mismatch("its format is not known to this version"));
    }
    if record.agent != *agent {
        return Err(mismatch("it names another agent"));
    }
    if record.identity.did.public_key() != &record.identity.public_key {
        return Err(mismatch("its identifier and its public key differ"));
    }
    Ok(record)
}

/// The records of all agents, in the order of their files' names.
///
/// # Errors
/// [`AgentsError`] names the first record that cannot be used.
pub fn list(home: &Home, host: &Did) -> Result<Vec<AgentRecord>, AgentsError> {
    let paths = record_files(&home.agents())?;
    let mut records = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = durable::read_capped(&path, RECORD_MAX as u64)?;
        let claimed: AgentRecord = parse(RECORD_TYPE, &path, &bytes, host)?;
        if record_path(home, &claimed.agent) != path {
            let cause = "its file has another agent's name";
            return Err(AgentsError::Mismatch { path, agent: Box::new(claimed.agent), cause });
        }
        records.extend(load(home, host, &claimed.agent)?);
    }
    Ok(records)
}

/// Forgets an agent: its record, and then its key, so that what breaks off in between is only forgotten in part. Launched again it is
/// somebody new, also as to the version of its code.
///
/// # Errors
/// [`AgentsError`] when the record or the key cannot be removed.
pub fn remove(home: &Home, custodian: &dyn Custodian, agent: &AgentRef) -> Result<(), AgentsError> {
    let _lock = Lock::exclusive(&home.agents().join(".lock"))?;
    let path = record_path(home, agent);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(DurableError::Io { action: "remove", path, source: error }.into());
        }
        Ok(()) | Err(_) => {}
    }
    durable::sync_directory(&home.agents())?;
    match custodian.ask(Request::Remove { key: KeyName::of_agent(agent) }) {
        Ok(_) | Err(CustodyError::NoSuchKey { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The agent's record at its first launch, with new keys or those that an interrupted first launch has left.
fn first(
    custodian: &dyn Custodian,
    key: &KeyName,
    sighting: &Sighting<'_>,
) -> Result<AgentRecord, AgentsError> {
    let public = custodian.create_or_load(key)?;
    Ok(AgentRecord {
        version: RECORD_VERSION,
        agent: sighting.agent.clone(),
        identity: AgentIdentity {
            did: public.did,
            public_key: *public.did.public_key(),
            capabilities: sighting.capabilities.to_vec(),
            trust_level: sighting.level,
            registration_timestamp: sighting.now,
            last_verified: sighting.now,
        },
        agreement_key: public.agreement_key,
        attestation: public.attestation,
        highest_version: sighting.version.clone(),
    })
}

/// The record as it should be from now on, if that differs.
fn updated(record: &AgentRecord, sighting: &Sighting<'_>) -> Result<Option<AgentRecord>, AgentsError> {
    if *sighting.version < record.highest_version && sighting.rollback == Rollback::Refused {
        return Err(AgentsError::Rollback {
            agent: Box::new(sighting.agent.clone()),
            offered: sighting.version.clone(),
            highest: record.highest_version.clone(),
        });
    }
    let identity = &record.identity;
    let is_same = *sighting.version <= record.highest_version
        && identity.capabilities == sighting.capabilities
        && identity.trust_level == sighting.level
        && sighting.now < identity.last_verified.saturating_add(LAST_VERIFIED_STEP);
    if is_same {
        return Ok(None);
    }
    let mut next = record.clone();
    next.identity.capabilities = sighting.capabilities.to_vec();
    next.identity.trust_level = sighting.level;
    next.identity.last_verified = identity.last_verified.max(sighting.now);
    next.highest_version = next.highest_version.max(sighting.version.clone());
    Ok(Some(next))
}

/// Whether the key in custody is the one on record; a record without its key, or with another, is no identity.
fn check_key(
    home: &Home,
    custodian: &dyn Custodian,
    key: &KeyName,
    record: &AgentRecord,
) -> Result<(), AgentsError> {
    let public = custodian.public(key)?;
    let is_same = public.did == record.identity.did
        && public.agreement_key == record.agreement_key
        && public.attestation == record.attestation;
    if is_same {
        return Ok(());
    }
    let (path, agent) = (record_path(home, &record.agent), Box::new(record.agent.clone()));
    Err(AgentsError::Mismatch { path, agent, cause: "the key in custody is another one" })
}

/// The files of records in a directory, in the order of their names.
fn record_files(directory: &Path) -> Result<Vec<PathBuf>, DurableError> {
    let failed = |source| DurableError::Io { action: "list", path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".json") && !name.starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// A record of this type that the host has signed.
fn parse<T: Serialize + DeserializeOwned>(
    record_type: &str,
    path: &Path,
    bytes: &[u8],
    host: &Did,
) -> Result<T, AgentsError> {
    let signature = |source| AgentsError::Signature { path: path.to_owned(), source };
    let envelope = Envelope::parse(bytes).map_err(signature)?;
    let verified = envelope.verify(record_type, [*host], SIGNERS).map_err(signature)?;
    canonical::from_canonical(verified.payload(), RECORD_MAX)
        .map_err(|source| AgentsError::Malformed { path: path.to_owned(), source })
}

/// Has the host sign a record of this type, and keeps it. For whoever holds the lock of agents.
fn store<T: Serialize>(
    record_type: &str,
    path: &Path,
    host: &dyn Signer,
    record: &T,
) -> Result<(), AgentsError> {
    let payload = canonical::to_canonical(record)
        .map_err(|source| AgentsError::Malformed { path: path.to_owned(), source })?;
    let bytes = Envelope::sign(record_type, payload, &[host])
        .and_then(|envelope| envelope.to_bytes())
        .map_err(|source| AgentsError::Signature { path: path.to_owned(), source })?;
    Ok(write::replace_swept(path, &bytes)?)
}

fn record_path(home: &Home, agent: &AgentRef) -> PathBuf {
    home.agents().join(format!("{}.json", agent_key_name(agent)))
}

impl AgentRecord {
    /// Whether the agent itself has signed its agreement key.
    #[must_use]
    pub fn is_attested(&self) -> bool {
        request::is_attested(&self.identity.did, &self.agreement_key, &self.attestation)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
