//! One access of an agent to a secret, by whichever interface.
//!
//! In scope: the agent's rate, the thread that may wait for the disk, and which refusals of the vault are denials. Out of scope: the
//! vault itself (`kos_core::audited_vault`), and what an agent hears of a refusal (`capability::vault`, `http`).
//!
//! A secret that is not there, or has ended, is denied like one that is not granted; the log has the difference.

use kos_core::audited_vault::{AuditedVault, AuditedVaultError};
use kos_core::capability::Capability;
use kos_core::custody::CustodyError;
use kos_core::log::Event;
use kos_core::permission::marker::CapabilityMarker;
use kos_core::permission::{Denied, Grant, Reason};
use kos_core::vault::VaultError;

use crate::agent::Powers;

/// Why an access was not made.
pub(crate) enum Refused {
    /// It comes faster than the agent's rate.
    Limited,
    /// It is denied after all; the log has heard why.
    Denied(Denied),
    /// The vault does not take what was asked.
    Vault(VaultError),
    /// It could not be made now.
    Unavailable,
}

/// Makes an access that was granted, once its entry is durable.
pub(crate) async fn access<C: CapabilityMarker, T: Send + 'static>(
    grant: Grant<'_, C>,
    powers: &Powers,
    operation: impl FnOnce(&AuditedVault, Event) -> Result<T, AuditedVaultError> + Send + 'static,
) -> Result<T, Refused> {
    if !powers.admits_access() {
        return Err(Refused::Limited);
    }
    let (vault, by) = (powers.vault.clone(), powers.subject.access());
    match tokio::task::spawn_blocking(move || operation(&vault, by)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(refused(grant, powers, error)),
        Err(_) => Err(Refused::Unavailable),
    }
}

fn refused<C: CapabilityMarker>(grant: Grant<'_, C>, powers: &Powers, error: AuditedVaultError) -> Refused {
    let reason = match error {
        AuditedVaultError::Custody(CustodyError::Vault(VaultError::NoSuchSecret { .. })) => {
            Reason::NoSuchSecret
        }
        // The end of what is to be stored is an argument like any other.
        AuditedVaultError::Custody(CustodyError::Vault(VaultError::Expired { .. }))
            if C::CAPABILITY != Capability::VaultPut =>
        {
            Reason::SecretExpired
        }
        // Locked between the gate's answer and this one.
        AuditedVaultError::Custody(CustodyError::Locked) => Reason::Locked,
        AuditedVaultError::Custody(CustodyError::Vault(error)) => return Refused::Vault(error),
        error => {
            tracing::warn!(%error, "an agent's access to a secret was not made");
            return Refused::Unavailable;
        }
    };
    Refused::Denied(powers.gate.withdraw(grant, reason))
}
