//! `kos vault`: the secrets that agents use and do not read.
//!
//! In scope: what each subcommand shares, which is an open vault and whoever acts on it. Out of scope: every rule
//! (`kos_core::vault`); a value comes from a prompt, a file or a descriptor, never from an argument.

mod explain;
mod get;
mod list;
mod lock;
mod manage;
mod put;
mod status;
mod transfer;
mod value;

use std::sync::Arc;

use clap::{Args, Subcommand};
use kos_core::audited_vault::{AuditedVault, AuditedVaultError};
use kos_core::id::Name;
use kos_core::log::Log;
use kos_core::log::event::{Event, EventType};

use super::Ended;
use crate::context::Context;
use crate::failure::Failure;
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// `kos vault …`.
#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Store a secret, or its next version.
    Put(put::Put),
    /// Store the next version of a secret that is there.
    Rotate(put::Rotate),
    /// Print a secret.
    Get(get::Get),
    /// List the secrets of an environment, without what is in them.
    List(list::List),
    /// List the versions of a secret that are kept.
    Versions(list::Versions),
    /// Remove a secret and its older versions.
    Remove(manage::Remove),
    /// Give a secret another name.
    Rename(manage::Rename),
    /// Make an older version of a secret the present one.
    Restore(manage::Restore),
    /// Encrypt an environment's secrets anew under a new key.
    RotateKey(manage::RotateKey),
    /// Say how many older versions of each secret are kept.
    Keep(manage::Keep),
    /// Write an environment's secrets into a file, encrypted to a key or under a passphrase.
    Export(transfer::Export),
    /// Take over the secrets of such a file.
    Import(transfer::Import),
    /// Make every running host forget its keys and secrets, until they are unlocked.
    Lock(lock::Lock),
    /// Give the running hosts their keys and secrets back.
    Unlock(lock::Unlock),
    /// Show the environments, and which running hosts are locked.
    Status(status::Status),
}

impl Vault {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::Put(command) => command.run(context),
            Self::Rotate(command) => command.run(context),
            Self::Get(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Versions(command) => command.run(context),
            Self::Remove(command) => command.run(context),
            Self::Rename(command) => command.run(context),
            Self::Restore(command) => command.run(context),
            Self::RotateKey(command) => command.run(context),
            Self::Keep(command) => command.run(context),
            Self::Export(command) => command.run(context),
            Self::Import(command) => command.run(context),
            Self::Lock(command) => command.run(context),
            Self::Unlock(command) => command.run(context),
            Self::Status(command) => command.run(context),
        }
    }
}

/// Which vault, and what unlocks it.
#[derive(Debug, Args)]
pub struct VaultArguments {
    /// The environment: each has secrets of its own.
    #[arg(long = "env", value_name = "NAME", default_value = kos_core::vault::DEFAULT_ENVIRONMENT)]
    environment: Name,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl VaultArguments {
    /// Opens the vault; whoever holds the operators' keys of this home acts on it.
    fn open<'a>(&'a self, context: &'a Context) -> Result<OpenVault<'a>, Failure> {
        let session = Session::open(context, &self.unlock)?;
        let log = Arc::new(session.log()?);
        let by = session.event_by(&session.local_operators()?, EventType::VaultAccess);
        let vault = AuditedVault::new(Arc::clone(&session.custodian), log, self.environment.clone());
        Ok(OpenVault { context, session, vault, by, environment: &self.environment })
    }
}

/// The vault of one environment, and who acts on it.
struct OpenVault<'a> {
    context: &'a Context,
    session: Session,
    vault: AuditedVault,
    by: Event,
    environment: &'a Name,
}

impl OpenVault<'_> {
    /// Asks the vault as the operator. A refusal says what would change it.
    fn ask<T>(
        &self,
        ask: impl FnOnce(&AuditedVault, Event) -> Result<T, AuditedVaultError>,
    ) -> Result<T, Failure> {
        let asked = ask(&self.vault, self.by.clone());
        asked.map_err(|error| explain::explained(self.context, self.environment, error))
    }
}

/// The vaults of every environment, through one log.
fn opened(session: &Session) -> Result<(Arc<Log>, Event), Failure> {
    let by = session.event_by(&session.local_operators()?, EventType::VaultAccess);
    Ok((Arc::new(session.log()?), by))
}
