//! Accesses to secrets: each takes its grant, counts against the agent's rate, and is in the log before it happens.
//!
//! In scope: which secret a grant is for, and what the agent hears of a refusal. Out of scope: the vault itself
//! (`kos_core::audited_vault`).
//!
//! A secret that is not there, or has ended, is denied like one that is not granted; the log has the difference.

use kos_core::audited_vault::{AuditedVault, AuditedVaultError};
use kos_core::capability::Capability;
use kos_core::clock::Timestamp;
use kos_core::custody::{CustodyError, Secret};
use kos_core::log::Event;
use kos_core::permission::marker::{
    CapabilityMarker, VaultDelete, VaultList, VaultPut, VaultReveal, VaultUse,
};
use kos_core::permission::{Grant, Reason};
use kos_core::scope::ScopePattern;
use kos_core::vault::{Change, Operation, SecretId, VaultError};

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
    access(grant, powers, move |vault, by| vault.change(by, Change::Put { id, value, expires_at })).await
}

pub(super) async fn delete(grant: Grant<'_, VaultDelete>, powers: &Powers) -> Result<(), Error> {
    let id = secret(&grant)?;
    access(grant, powers, move |vault, by| vault.change(by, Change::Remove { id })).await
}

pub(super) async fn use_secret(
    grant: Grant<'_, VaultUse>,
    powers: &Powers,
    operation: Operation,
) -> Result<Secret, Error> {
    let id = secret(&grant)?;
    access(grant, powers, move |vault, by| vault.use_secret(by, &id, operation)).await
}

pub(super) async fn reveal(grant: Grant<'_, VaultReveal>, powers: &Powers) -> Result<Secret, Error> {
    let id = secret(&grant)?;
    access(grant, powers, move |vault, by| vault.reveal(by, &id)).await
}

/// The secret that the grant is for.
fn secret<C: CapabilityMarker>(grant: &Grant<'_, C>) -> Result<SecretId, Error> {
    grant.scope().parse().map_err(|_| Error::Invalid("name".into()))
}

/// One access, on a thread that may wait for the disk.
async fn access<C: CapabilityMarker, T: Send + 'static>(
    grant: Grant<'_, C>,
    powers: &Powers,
    operation: impl FnOnce(&AuditedVault, Event) -> Result<T, AuditedVaultError> + Send + 'static,
) -> Result<T, Error> {
    if !powers.admits_access() {
        return Err(Error::Limited);
    }
    let (vault, by) = (powers.vault.clone(), powers.subject.access());
    match tokio::task::spawn_blocking(move || operation(&vault, by)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(told(grant, powers, &error)),
        Err(_) => Err(Error::Unavailable),
    }
}

/// What the agent hears of a refusal.
fn told<C: CapabilityMarker>(grant: Grant<'_, C>, powers: &Powers, error: &AuditedVaultError) -> Error {
    match error {
        AuditedVaultError::Custody(CustodyError::Vault(VaultError::NoSuchSecret { .. })) => {
            powers.gate.withdraw(grant, Reason::NoSuchSecret).into()
        }
        // What is stored has ended, or is to end, before it is there.
        AuditedVaultError::Custody(CustodyError::Vault(VaultError::Expired { .. }))
            if grant.capability() == Capability::VaultPut =>
        {
            Error::Invalid("expires".into())
        }
        AuditedVaultError::Custody(CustodyError::Vault(VaultError::Expired { .. })) => {
            powers.gate.withdraw(grant, Reason::SecretExpired).into()
        }
        AuditedVaultError::Custody(CustodyError::Vault(VaultError::Value { .. } | VaultError::Size)) => {
            Error::Invalid("value".into())
        }
        AuditedVaultError::Custody(CustodyError::Vault(VaultError::Unsuitable { .. })) => {
            Error::Invalid("secret".into())
        }
        AuditedVaultError::Custody(CustodyError::Vault(VaultError::Ciphertext)) => {
            Error::Invalid("ciphertext".into())
        }
        // Locked between the gate's answer and this one.
        AuditedVaultError::Custody(CustodyError::Locked) => {
            powers.gate.withdraw(grant, Reason::Locked).into()
        }
        error => {
            tracing::warn!(%error, "an agent's access to a secret was not made");
            Error::Unavailable
        }
    }
}
