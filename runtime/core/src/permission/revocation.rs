//! The list of revoked grants: signed by the operators, numbered, and never taken back to an older number.
//!
//! Source: the version rules of TUF's metadata. In scope: the list, its file and its floor. Keeps I4: a revoked grant
//! stays revoked, though an older list be put in the newer one's place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::PermissionError;
use super::grant_id::GrantId;
use crate::canonical;
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::durable::{self, Lock};
use crate::envelope::{ENVELOPE_MAX, Envelope};
use crate::home::{Home, HostConfig};
use crate::line;

/// What the envelope of a revocation list holds.
pub const REVOCATIONS_TYPE: &str = "application/vnd.kos.revocations.v1+json";
/// Room for tens of thousands of revoked grants.
const REVOCATIONS_MAX: usize = 2 << 20;
/// A number in decimal digits.
const FLOOR_MAX: u64 = 20;
/// The largest version, which every JSON reader keeps exactly.
const VERSION_MAX: u64 = (1 << 53) - 1;
/// The list's file in the directory of grants.
pub(super) const LIST_FILE: &str = "revoked.json";
/// The highest version seen, beside the list.
pub(super) const FLOOR_FILE: &str = "revoked.floor";
/// Held by whoever changes the directory of grants.
pub(super) const LOCK_FILE: &str = "lock";

/// Why and when a grant was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedGrant {
    /// When.
    pub at: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}

/// The revoked grants of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocations {
    /// Grows by one with each change; zero for the list before the first.
    version: u64,
    revoked: BTreeMap<GrantId, RevokedGrant>,
}

impl Revocations {
    /// The list's number.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When and why `grant` was revoked, if it was.
    #[must_use]
    pub fn find(&self, grant: GrantId) -> Option<&RevokedGrant> {
        self.revoked.get(&grant)
    }

    /// The next list, with `grant` on it. An earlier revocation of the same grant stands. A reason that is no short, honest line is cut to one.
    #[must_use]
    pub fn with(&self, grant: GrantId, reason: &str, at: Timestamp) -> Self {
        let reason = line::shown(reason);
        let mut next = self.clone();
        next.version = self.version.saturating_add(1);
        next.revoked.entry(grant).or_insert(RevokedGrant { at, reason });
        next
    }

    /// Signs the list by each of `signers`.
    ///
    /// # Errors
    /// [`PermissionError::RevocationList`].
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Envelope, PermissionError> {
        let payload = canonical::to_canonical(self)
            .map_err(|error| PermissionError::RevocationList { source: error.into() })?;
        Envelope::sign(REVOCATIONS_TYPE, payload, signers)
            .map_err(|source| PermissionError::RevocationList { source })
    }

    /// The list in force, which is empty where none was ever installed.
    ///
    /// # Errors
    /// [`PermissionError`] when the list is not signed by enough operators, is older than one seen before, or is gone.
    pub fn load(home: &Home, config: &HostConfig) -> Result<Self, PermissionError> {
        let (list, floor) = Self::read(home, config)?;
        if list.version > floor {
            let _lock = Lock::exclusive(&home.grants().join(LOCK_FILE))?;
            raise_floor(home, list.version)?;
        }
        Ok(list)
    }

    /// Puts a signed list in force.
    ///
    /// # Errors
    /// [`PermissionError`] when it is not signed by enough operators, does not follow the list in force, or takes a
    /// revocation back.
    pub fn install(home: &Home, config: &HostConfig, envelope: &Envelope) -> Result<Self, PermissionError> {
        let bytes = envelope.to_bytes().map_err(|source| PermissionError::RevocationList { source })?;
        let next = Self::verify(&bytes, config)?;
        let _lock = Lock::exclusive(&home.grants().join(LOCK_FILE))?;
        let (current, floor) = Self::read(home, config)?;
        let least = floor.max(current.version).saturating_add(1);
        if next.version < least {
            return Err(PermissionError::RevocationsRolledBack { found: next.version, floor: least });
        }
        if let Some(grant) = current.revoked.keys().find(|grant| !next.revoked.contains_key(grant)) {
            return Err(PermissionError::RevocationTakenBack { grant: *grant });
        }
        // The list before the floor: after a crash between the two the list is newer than the floor, never older.
        durable::replace(&home.grants().join(LIST_FILE), &bytes)?;
        raise_floor(home, next.version)?;
        Ok(next)
    }

    /// The list on disk and the floor under it.
    fn read(home: &Home, config: &HostConfig) -> Result<(Self, u64), PermissionError> {
        let floor = read_floor(home)?;
        let list = match durable::read_capped(&home.grants().join(LIST_FILE), ENVELOPE_MAX as u64) {
            Ok(bytes) => Self::verify(&bytes, config)?,
            Err(error) if error.is_not_found() => Self::default(),
            Err(error) => return Err(error.into()),
        };
        if list.version < floor {
            return Err(PermissionError::RevocationsRolledBack { found: list.version, floor });
        }
        Ok((list, floor))
    }

    fn verify(bytes: &[u8], config: &HostConfig) -> Result<Self, PermissionError> {
        let verified = Envelope::parse(bytes)
            .and_then(|envelope| {
                let operators = config.operators.iter().copied();
                envelope.verify(REVOCATIONS_TYPE, operators, config.required_operators())
            })
            .map_err(|source| PermissionError::RevocationList { source })?;
        let list: Self = canonical::from_canonical(verified.payload(), REVOCATIONS_MAX)
            .map_err(|error| PermissionError::RevocationList { source: error.into() })?;
        if list.version == 0 || list.version > VERSION_MAX {
            return Err(PermissionError::RevocationsRolledBack { found: list.version, floor: 1 });
        }
        Ok(list)
    }
}

fn floor_file(home: &Home) -> PathBuf {
    home.grants().join(FLOOR_FILE)
}

fn read_floor(home: &Home) -> Result<u64, PermissionError> {
    let path = floor_file(home);
    let bytes = match durable::read_capped(&path, FLOOR_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).ok_or(PermissionError::Floor { path })
}

/// Called under the lock, so that two processes cannot take the floor back.
fn raise_floor(home: &Home, version: u64) -> Result<(), PermissionError> {
    if version > read_floor(home)? {
        durable::replace(&floor_file(home), version.to_string().as_bytes())?;
    }
    Ok(())
}
