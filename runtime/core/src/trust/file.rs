//! The trust store on disk: `trust/store.json`, and the newest version ever seen in `trust/floor`.
//!
//! The store is replaced before the floor is raised. A crash between the two leaves a store that is newer than the
//! floor, which the next load raises (I8); there is never a floor without its store.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{TrustError, TrustStore, VerifiedTrust};
use crate::canonical;
use crate::clock::Timestamp;
use crate::crypto::Signer;
use crate::durable::{self, Lock};
use crate::envelope::{ENVELOPE_MAX, Envelope};
use crate::home::{Home, HostConfig};
use crate::id::Digest;

/// The signed store's file name in the home's `trust` directory.
pub const STORE_FILE: &str = "store.json";
/// The newest version's file name.
const FLOOR_FILE: &str = "floor";
/// The lock that whoever changes the two files holds.
const LOCK_FILE: &str = "lock";
/// A version and a digest; anything larger is not what was written there.
const FLOOR_MAX: usize = 256;
/// An operator's machine may be wrong by a time zone or a date line, and no further.
const ISSUED_SKEW: Duration = Duration::from_secs(24 * 3_600);

/// The newest store that has been in force here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Floor {
    version: u64,
    /// Of the signed document, so that a second one with the same version is noticed.
    digest: Digest,
}

impl VerifiedTrust {
    /// Reads the store in force: checks the operators' signatures, the document, and that no newer version has been in
    /// force here. A newer one than before (an operator may copy it here) raises that floor, durably, before it counts.
    ///
    /// # Errors
    /// [`TrustError`], each variant with its cause. Without a store nobody is trusted: [`TrustError::Missing`].
    pub fn load(home: &Home, config: &HostConfig, now: Timestamp) -> Result<Self, TrustError> {
        let trust = read(home, config)?;
        check_issued(&trust, now)?;
        if is_at_floor(&trust, read_floor(home)?.as_ref())? {
            return Ok(trust);
        }
        let _lock = Lock::exclusive(&home.trust().join(LOCK_FILE))?;
        let trust = read(home, config)?;
        check_issued(&trust, now)?;
        if !is_at_floor(&trust, read_floor(home)?.as_ref())? {
            write_floor(home, &trust)?;
        }
        Ok(trust)
    }
}

/// Signs a store and puts it in force. The log entry comes before this (I5).
///
/// # Errors
/// [`TrustError`], each variant with its cause; the store that was in force then still is.
pub fn install(
    home: &Home,
    config: &HostConfig,
    store: &TrustStore,
    signers: &[&dyn Signer],
    now: Timestamp,
) -> Result<VerifiedTrust, TrustError> {
    install_signed(home, config, store.sign(signers)?, now)
}

/// Puts a store in force that the operators have signed elsewhere. Its version must be higher than any before.
///
/// # Errors
/// [`TrustError`], each variant with its cause; the store that was in force then still is.
pub fn install_signed(
    home: &Home,
    config: &HostConfig,
    envelope: Envelope,
    now: Timestamp,
) -> Result<VerifiedTrust, TrustError> {
    let bytes = envelope.to_bytes()?;
    let trust = VerifiedTrust::check(envelope, config)?;
    check_issued(&trust, now)?;
    durable::create_private_dir(&home.trust())?;
    let _lock = Lock::exclusive(&home.trust().join(LOCK_FILE))?;
    let current = match read(home, config) {
        Ok(current) => current.store().version,
        Err(TrustError::Durable(error)) => return Err(error.into()),
        // One that is missing or that does not verify is what an operator installs over; the floor still holds.
        Err(_) => 0,
    };
    let floor = read_floor(home)?.map_or(0, |floor| floor.version).max(current);
    if trust.store().version <= floor {
        return Err(TrustError::Stale { version: trust.store().version, current: floor });
    }
    durable::replace(&store_path(home), &bytes)?;
    write_floor(home, &trust)?;
    Ok(trust)
}

fn store_path(home: &Home) -> PathBuf {
    home.trust().join(STORE_FILE)
}

fn read(home: &Home, config: &HostConfig) -> Result<VerifiedTrust, TrustError> {
    let path = store_path(home);
    let bytes = durable::read_capped(&path, ENVELOPE_MAX as u64)
        .map_err(|error| if error.is_not_found() { TrustError::Missing { path } } else { error.into() })?;
    VerifiedTrust::check(Envelope::parse(&bytes)?, config)
}

/// Whether the store is the very one that was newest; false for a newer one.
fn is_at_floor(trust: &VerifiedTrust, floor: Option<&Floor>) -> Result<bool, TrustError> {
    let version = trust.store().version;
    match floor {
        Some(floor) if version < floor.version => {
            Err(TrustError::RolledBack { version, floor: floor.version })
        }
        Some(floor) if version == floor.version && trust.digest() != floor.digest => {
            Err(TrustError::Forked { version })
        }
        Some(floor) => Ok(version == floor.version),
        None => Ok(false),
    }
}

fn check_issued(trust: &VerifiedTrust, now: Timestamp) -> Result<(), TrustError> {
    let issued = trust.store().issued;
    if issued > now.saturating_add(ISSUED_SKEW) {
        return Err(TrustError::FromTheFuture { issued, now });
    }
    Ok(())
}

fn read_floor(home: &Home) -> Result<Option<Floor>, TrustError> {
    let path = home.trust().join(FLOOR_FILE);
    let bytes = match durable::read_capped(&path, FLOOR_MAX as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    canonical::from_canonical(&bytes, FLOOR_MAX)
        .map(Some)
        .map_err(|source| TrustError::Floor { path, source })
}

fn write_floor(home: &Home, trust: &VerifiedTrust) -> Result<(), TrustError> {
    let floor = Floor { version: trust.store().version, digest: trust.digest() };
    Ok(durable::replace(&home.trust().join(FLOOR_FILE), &canonical::to_canonical(&floor)?)?)
}
