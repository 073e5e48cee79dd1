//! The directory of grants: one signed file for each, named by its identifier.
//!
//! In scope: installing, listing, revoking. Out of scope: the log, in which the caller notes the change first (I5).
//! A file that is not what its name says stops every launch rather than being passed over: it could hold a denial.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::PermissionError;
use super::document::{AgentPermissions, Succession};
use super::grant_id::{Expiry, GrantId};
use super::revocation::{FLOOR_FILE, LIST_FILE, LOCK_FILE, Revocations, RevokedGrant};
use super::verified::VerifiedGrant;
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::durable::{self, DurableError, Lock};
use crate::envelope::{ENVELOPE_MAX, Envelope};
use crate::home::{Home, HostConfig};
use crate::id::AgentRef;

/// All are read at a launch; ten thousand take some 100 ms.
const GRANTS_MAX: usize = 10_000;

/// An installed grant and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGrant {
    /// The manifest.
    pub grant: VerifiedGrant,
    /// Whether it counts.
    pub standing: Standing,
}

/// Whether a grant counts at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Standing {
    /// It counts.
    InForce,
    /// It has not begun. Its denials count already.
    NotYet {
        /// When it begins.
        from: Timestamp,
    },
    /// It has ended. Its denials count still.
    Expired {
        /// When it ended.
        at: Timestamp,
    },
    /// It counts no longer, its denials neither.
    Revoked(RevokedGrant),
    /// Another grant has taken its place.
    Superseded {
        /// Which one.
        by: GrantId,
    },
}

/// Verifies an envelope and puts the grant in force. The same grant may be installed again.
///
/// # Errors
/// [`PermissionError`] for one that does not verify, has ended or was revoked, or when the file cannot be written.
pub fn install(
    home: &Home,
    config: &HostConfig,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<VerifiedGrant, PermissionError> {
    let grant = VerifiedGrant::verify(envelope.clone(), config)?;
    grant.check_issued(now)?;
    let expires = grant.permissions().expires;
    if expires.is_past(now) {
        return Err(PermissionError::Expired { grant: grant.id(), at: expires });
    }
    let revocations = Revocations::load(home, config)?;
    if let Some(revoked) = revocations.find(grant.id()) {
        return Err(PermissionError::Revoked { grant: grant.id(), revoked: revoked.clone() });
    }
    check_succession(home, config, &grant, &revocations)?;
    let bytes = envelope.to_bytes().map_err(|source| PermissionError::Envelope { source })?;
    let _lock = Lock::exclusive(&home.grants().join(LOCK_FILE))?;
    if files(home)?.len() >= GRANTS_MAX {
        return Err(PermissionError::TooMany { path: home.grants(), most: GRANTS_MAX });
    }
    durable::replace(&file_of(home, grant.id()), &bytes)?;
    Ok(grant)
}

/// Every installed grant, in the order of their identifiers.
///
/// # Errors
/// [`PermissionError`] when one of them does not verify.
pub fn list(home: &Home, config: &HostConfig, now: Timestamp) -> Result<Vec<ListedGrant>, PermissionError> {
    let revocations = Revocations::load(home, config)?;
    let mut grants = Vec::new();
    for (path, id) in files(home)? {
        let (envelope, _) = read(&path, id)?;
        grants.push(VerifiedGrant::verify(envelope, config)?);
    }
    let superseded = superseded(&grants);
    let standing = |grant: &VerifiedGrant| match superseded.get(&grant.id()) {
        Some(by) => Standing::Superseded { by: *by },
        None => Standing::of(grant, &revocations, now),
    };
    Ok(grants.into_iter().map(|grant| ListedGrant { standing: standing(&grant), grant }).collect())
}

/// Revokes a grant: from the return on it counts for no launch; live hosts are told of it by the caller. To be signed by
/// as many operators as a grant.
///
/// # Errors
/// [`PermissionError::Unknown`] for a grant that was never installed here, and others as [`Revocations::install`].
pub fn revoke(
    home: &Home,
    config: &HostConfig,
    grant: GrantId,
    reason: &str,
    now: Timestamp,
    signers: &[&dyn Signer],
) -> Result<Revocations, PermissionError> {
    if !files(home)?.iter().any(|(_, id)| *id == grant) {
        return Err(PermissionError::Unknown { grant });
    }
    let current = Revocations::load(home, config)?;
    if current.find(grant).is_some() {
        return Ok(current);
    }
    let next = retired(home, config, current.with(grant, reason, now), now)?;
    Revocations::install(home, config, &next.sign(signers)?)
}

/// Puts a grant in force that takes the place of another. The switch is the one renaming of the new grant's file: before it
/// the old one counts, from it on the new one, and at no instant both or neither. The old one is revoked after that, so that
/// it does not come back though the new one's file be taken away; a crash in between leaves that to the next revocation.
///
/// # Errors
/// [`PermissionError`] as [`install`] and [`revoke`].
pub fn supersede(
    home: &Home,
    config: &HostConfig,
    envelope: &Envelope,
    now: Timestamp,
    signers: &[&dyn Signer],
) -> Result<VerifiedGrant, PermissionError> {
    let grant = install(home, config, envelope, now)?;
    let next = retired(home, config, Revocations::load(home, config)?, now)?;
    Revocations::install(home, config, &next.sign(signers)?)?;
    Ok(grant)
}

/// The list with every grant on it whose place another has taken.
fn retired(
    home: &Home,
    config: &HostConfig,
    mut list: Revocations,
    now: Timestamp,
) -> Result<Revocations, PermissionError> {
    for listed in self::list(home, config, now)? {
        if let Standing::Superseded { by } = listed.standing
            && list.find(listed.grant.id()).is_none()
        {
            list = list.with(listed.grant.id(), &format!("replaced by {by}"), now);
        }
    }
    Ok(list)
}

/// Which grants others have taken the place of. That those were revoked since, or have ended, brings none of them back.
pub(super) fn superseded(grants: &[VerifiedGrant]) -> BTreeMap<GrantId, GrantId> {
    let replaced = |grant: &VerifiedGrant| {
        let succession = grant.permissions().succession?;
        let is_same_agent = |other: &VerifiedGrant| {
            other.id() == succession.replaces && other.permissions().agent_id == grant.permissions().agent_id
        };
        grants.iter().any(is_same_agent).then_some((succession.replaces, grant.id()))
    };
    grants.iter().filter_map(replaced).collect()
}

/// A grant takes the place of one that counts, of the same agent and line, and of which no other has taken it.
fn check_succession(
    home: &Home,
    config: &HostConfig,
    grant: &VerifiedGrant,
    revocations: &Revocations,
) -> Result<(), PermissionError> {
    let id = grant.id();
    let grants = read_of(home, config, &grant.permissions().agent_id)?;
    let superseded = superseded(&grants);
    if let Some(by) = superseded.get(&id) {
        return Err(PermissionError::Superseded { grant: id, by: *by });
    }
    let Some(Succession { replaces, origin }) = grant.permissions().succession else { return Ok(()) };
    if grants.iter().any(|known| known.id() == id) {
        return Ok(());
    }
    let is_revoked = revocations.find(replaces).is_some();
    let is_followed =
        |known: &VerifiedGrant| known.id() == replaces && known.permissions().origin(replaces) == origin;
    if is_revoked || superseded.contains_key(&replaces) || !grants.iter().any(is_followed) {
        return Err(PermissionError::Succession { grant: id, replaces });
    }
    Ok(())
}

/// The verified grants of one agent. Those of others are checked for being what their names say, and not verified: they
/// give this agent nothing.
pub(super) fn read_of(
    home: &Home,
    config: &HostConfig,
    agent: &AgentRef,
) -> Result<Vec<VerifiedGrant>, PermissionError> {
    let mut grants = Vec::new();
    for (path, id) in files(home)? {
        let (envelope, permissions) = read(&path, id)?;
        if permissions.agent_id == *agent {
            grants.push(VerifiedGrant::verify(envelope, config)?);
        }
    }
    Ok(grants)
}

impl Standing {
    fn of(grant: &VerifiedGrant, revocations: &Revocations, now: Timestamp) -> Self {
        let permissions = grant.permissions();
        match (revocations.find(grant.id()), permissions.expires) {
            (Some(revoked), _) => Self::Revoked(revoked.clone()),
            (None, Expiry::At(at)) if now >= at => Self::Expired { at },
            (None, Expiry::At(_) | Expiry::Never) if now < permissions.not_before => {
                Self::NotYet { from: permissions.not_before }
            }
            (None, Expiry::At(_) | Expiry::Never) => Self::InForce,
        }
    }
}

fn file_of(home: &Home, grant: GrantId) -> PathBuf {
    home.grants().join(format!("{grant}.json"))
}

/// The files of grants, in the order of their identifiers.
fn files(home: &Home) -> Result<Vec<(PathBuf, GrantId)>, PermissionError> {
    let directory = home.grants();
    let failed = |source| DurableError::Io { action: "list", path: directory.clone(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Names that begin with a dot are the temporary files of replacements that a crash cut short.
        if [LIST_FILE, FLOOR_FILE, LOCK_FILE].contains(&name) || name.starts_with('.') {
            continue;
        }
        let id = name.strip_suffix(".json").and_then(|id| id.parse().ok()).ok_or_else(|| {
            let cause = "its name is not a grant's identifier and `.json`".to_owned();
            PermissionError::File { path: path.clone(), cause }
        })?;
        files.push((path, id));
        if files.len() > GRANTS_MAX {
            return Err(PermissionError::TooMany { path: directory, most: GRANTS_MAX });
        }
    }
    files.sort_unstable_by_key(|(_, id)| *id);
    Ok(files)
}

/// Reads a file and checks that it holds the grant of its name. What it says is not yet to be believed.
fn read(path: &Path, id: GrantId) -> Result<(Envelope, AgentPermissions), PermissionError> {
    let refused = |cause: String| PermissionError::File { path: path.to_owned(), cause };
    let bytes = durable::read_capped(path, ENVELOPE_MAX as u64)?;
    let envelope = Envelope::parse(&bytes).map_err(|error| refused(error.to_string()))?;
    let found = GrantId::of(envelope.unverified_payload());
    if found != id {
        return Err(refused(format!("it holds the grant {found}")));
    }
    let permissions =
        AgentPermissions::parse(envelope.unverified_payload()).map_err(|error| refused(error.to_string()))?;
    Ok((envelope, permissions))
}
