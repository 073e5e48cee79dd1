//! What each function of the vault does with its grant.
//!
//! In scope: which secret a grant is for, and what the agent hears of a refusal. Out of scope: making the access (`access`).

use kos_core::clock::Timestamp;
use kos_core::custody::Secret;
use kos_core::permission::Grant;
use kos_core::permission::marker::{
    CapabilityMarker, VaultDelete, VaultList, VaultPut, VaultReveal, VaultUse,
};
use kos_core::scope::ScopePattern;
use kos_core::vault::{Change, Operation, SecretId, VaultError};

use crate::access::{Refused, access};
use crate::agent::Powers;
use crate::bindings::Error;
use crate::bindings::vault::Metadata;

/// What a secret takes in the vault besides its value: its name, its dates, its keys.
const ENTRY_BYTES: u64 = 512;

/// Of the secrets that the granted pattern covers, those whose own names are within the grants: a denial of some of them
/// hides them.
pub(super) async fn list(grant: Grant<'_, VaultList>, powers: &Powers) -> Result<Vec<Metadata>, Error> {
    let pattern: ScopePattern = grant.scope().parse().map_err(|_| Error::Invalid("pattern".into()))?;
    let written = pattern.to_string();
    let secrets = access(grant, powers, |vault, by| vault.list(by.with("pattern", written))).await?;
    let is_shown = |name: &str| pattern.covers(name) && powers.gate.covers::<VaultList>(name);
    Ok(secrets.into_iter().map(Metadata::from).filter(|secret| is_shown(&secret.name)).collect())
}

pub(super) async fn put(
    grant: Grant<'_, VaultPut>,
    powers: &Powers,
    value: Secret,
    expires_at: Option<Timestamp>,
) -> Result<(), Error> {
    let id = secret(&grant)?;
    if !powers.admits_secret((value.expose().len() as u64).saturating_add(ENTRY_BYTES)) {
        return Err(Error::Limited);
    }
    access(grant, powers, move |vault, by| vault.change(by, Change::Put { id, value, expires_at })).await?;
    Ok(())
}

pub(super) async fn delete(grant: Grant<'_, VaultDelete>, powers: &Powers) -> Result<(), Error> {
    let id = secret(&grant)?;
    access(grant, powers, move |vault, by| vault.change(by, Change::Remove { id })).await?;
    Ok(())
}

pub(super) async fn use_secret(
    grant: Grant<'_, VaultUse>,
    powers: &Powers,
    operation: Operation,
) -> Result<Secret, Error> {
    let id = secret(&grant)?;
    Ok(access(grant, powers, move |vault, by| vault.use_secret(by, &id, operation)).await?)
}

pub(super) async fn reveal(grant: Grant<'_, VaultReveal>, powers: &Powers) -> Result<Secret, Error> {
    let id = secret(&grant)?;
    Ok(access(grant, powers, move |vault, by| vault.reveal(by, &id)).await?)
}

/// The secret that the grant is for.
fn secret<C: CapabilityMarker>(grant: &Grant<'_, C>) -> Result<SecretId, Error> {
    grant.scope().parse().map_err(|_| Error::Invalid("name".into()))
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Limited => Self::Limited,
            Refused::Denied(denied) => denied.into(),
            // What is stored has ended, or is to end, before it is there.
            Refused::Vault(VaultError::Expired { .. }) => Self::Invalid("expires".into()),
            Refused::Vault(VaultError::Value { .. } | VaultError::Size) => Self::Invalid("value".into()),
            Refused::Vault(VaultError::Unsuitable { .. }) => Self::Invalid("secret".into()),
            Refused::Vault(VaultError::Ciphertext) => Self::Invalid("ciphertext".into()),
            Refused::Vault(error) => {
                tracing::warn!(%error, "an agent's access to a secret was not made");
                Self::Unavailable
            }
            Refused::Unavailable => Self::Unavailable,
        }
    }
}
