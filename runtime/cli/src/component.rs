//! Component files on disk, and what this home says of them.
//!
//! In scope: where a signature lies, and the order in which the core is asked. Out of scope: judging.

use std::fs;
use std::path::{Path, PathBuf};

use kos_core::clock::Timestamp;
use kos_core::durable;
use kos_core::envelope::ENVELOPE_MAX;
use kos_core::home::{Home, HostConfig};
use kos_core::manifest::{FILE_MAX, Refusal, UnverifiedComponent, VerifiedComponent};
use kos_core::permission::{Effective, VerifiedPermissions};
use kos_core::trust::{TrustError, VerifiedTrust};

use crate::failure::{Explain as _, Failure};

/// What a detached signature's file name adds to the component's.
const DETACHED_SUFFIX: &str = ".signature";

/// The host's own interfaces, as components import them.
const OWN_INTERFACES: &str = "kos:agent/";

/// Of a component's imports, those of kOS itself.
#[must_use]
pub fn own_interfaces(imports: Vec<String>) -> Vec<String> {
    imports.into_iter().filter(|name| name.starts_with(OWN_INTERFACES)).collect()
}

/// Everything that the author declares, as flags would allow it.
#[must_use]
pub fn all_declared(component: &VerifiedComponent) -> Vec<String> {
    let mut texts = Vec::new();
    for declared in &component.manifest().capabilities {
        if declared.scope.is_empty() {
            texts.push(declared.capability.to_string());
        }
        texts.extend(declared.scope.iter().map(|scope| format!("{}:{scope}", declared.capability)));
    }
    texts
}

/// Where the signature of the component at `path` lies when it is not inside.
#[must_use]
pub fn detached_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(DETACHED_SUFFIX);
    name.into()
}

/// Reads a component file once, with the signature in `signature`, or beside it where it has none inside.
///
/// # Errors
/// When a file cannot be read, or is no component.
pub fn read(path: &Path, signature: Option<&Path>) -> Result<UnverifiedComponent, Failure> {
    let refused = || format!("{} cannot be used", path.display());
    let bytes = durable::read_capped(path, FILE_MAX)?;
    let detached = signature.map(|path| durable::read_capped(path, ENVELOPE_MAX as u64)).transpose()?;
    let component = UnverifiedComponent::read(bytes, detached.as_deref())
        .map_err(|error| advised(error.remedy(), error))
        .doing(refused())?;
    let beside = detached_path(path);
    if component.is_signed() || !beside.exists() {
        return Ok(component);
    }
    let detached = durable::read_capped(&beside, ENVELOPE_MAX as u64)?;
    UnverifiedComponent::read(component.component_bytes().to_vec(), Some(&detached))
        .map_err(|error| advised(error.remedy(), error))
        .doing(refused())
}

/// What a home says of a component.
pub struct Judged {
    /// The component, proven to be what a trusted author signed.
    pub component: VerifiedComponent,
    /// The trust store that says so.
    pub trust: VerifiedTrust,
    /// The grants that count for it.
    pub permissions: VerifiedPermissions,
    /// What it may do.
    pub effective: Effective,
}

/// Judges a component by the trust store and the grants of a home.
///
/// # Errors
/// The refusal, with what would change it.
pub fn judge(
    home: &Home,
    config: &HostConfig,
    component: UnverifiedComponent,
    now: Timestamp,
) -> Result<Judged, Failure> {
    let trust = VerifiedTrust::load(home, config, now).map_err(trust_refused)?;
    let component = component.verify(&trust, now).map_err(refused)?;
    let permissions = VerifiedPermissions::load(home, config, &component, now)?;
    let effective = Effective::compute(&component, &permissions, &trust);
    Ok(Judged { component, trust, permissions, effective })
}

/// A component's refusal, with the core's advice.
#[must_use]
pub fn refused(refusal: Refusal) -> Failure {
    advised(refusal.remedy(), refusal)
}

/// A trust store's refusal, with the core's advice.
#[must_use]
pub fn trust_refused(error: TrustError) -> Failure {
    advised(error.remedy(), error)
}

fn advised(remedy: Option<String>, error: impl Into<Failure>) -> Failure {
    let failure = error.into();
    match remedy {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

/// Writes a file that is not secret: whole or not at all, with the mode that the user's mask gives.
///
/// # Errors
/// When it cannot be written; an older file is then unchanged.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.doing(format!("cannot write {}", path.display()))
}
