//! What a person reads when the vault refuses: the cause, and the command that would change it.

use kos_core::audited_vault::AuditedVaultError;
use kos_core::custody::CustodyError;
use kos_core::home::Home;
use kos_core::id::Name;
use kos_core::vault::{DEFAULT_ENVIRONMENT, SecretId, VaultError};

use crate::context::Context;
use crate::failure::Failure;

/// A refusal of the vault, with what would change it.
pub(super) fn explained(context: &Context, environment: &Name, error: AuditedVaultError) -> Failure {
    let remedy = match &error {
        AuditedVaultError::Custody(CustodyError::Vault(refused)) => remedy(context, environment, refused),
        AuditedVaultError::Custody(CustodyError::Locked) => Some(context.command("kos vault unlock")),
        _ => None,
    };
    let failure = match error {
        AuditedVaultError::Custody(error) => Failure::from(error),
        error => error.into(),
    };
    match remedy {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

fn remedy(context: &Context, environment: &Name, refused: &VaultError) -> Option<String> {
    let command = |command: &str| {
        let at = if environment.as_str() == DEFAULT_ENVIRONMENT {
            command.to_owned()
        } else {
            format!("{command} --env {environment}")
        };
        context.command(&at)
    };
    match refused {
        VaultError::NoSuchSecret { .. } => Some(command("kos vault list")),
        VaultError::Exists { id, .. } => {
            Some(format!("another name, or first: {}", command(&format!("kos vault remove {id}"))))
        }
        VaultError::NoSuchVersion { id, .. } => Some(command(&format!("kos vault versions {id}"))),
        VaultError::Expired { id, .. } => Some(command(&format!("kos vault rotate {id} --expires 30d"))),
        VaultError::Value { .. } => Some("a value of that type, or a secret of another type".to_owned()),
        VaultError::RolledBack { .. } => Some(put_back(context, environment)),
        // The same is said of a document that is imported, for which nothing is put back.
        VaultError::Altered { file } | VaultError::Malformed { file, .. } => {
            let is_ours = file.ends_with(&format!("{environment}.json")) || file.parse::<SecretId>().is_ok();
            is_ours.then(|| put_back(context, environment))
        }
        VaultError::WrongOpening => Some(
            "--export-passphrase-file FILE with its passphrase, or --key NAME for the key it is encrypted to"
                .to_owned(),
        ),
        VaultError::Busy => Some("the same command again, once the other change is done".to_owned()),
        VaultError::Full { .. } => {
            Some(format!("{}, or kos vault remove what is not needed", command("kos vault keep 0")))
        }
        _ => None,
    }
}

/// An older vault is never opened again, so only the newest file helps.
fn put_back(context: &Context, environment: &Name) -> String {
    let file = Home::at(context.home_path()).vault().join(format!("{environment}.json"));
    format!(
        "put the newest {} back; `{}` shows when it was changed. An older one is not opened: without the newest \
         the secrets are stored anew, in another environment",
        file.display(),
        context.command("kos log show --type vault_access")
    )
}
