//! `kos vault list` and `kos vault versions`: what is known of secrets without opening them.

use std::process::ExitCode;

use clap::Args;
use kos_core::clock::{Clock as _, Timestamp};
use kos_core::vault::SecretId;

use super::VaultArguments;
use crate::command::Ended;
use crate::context::Context;
use crate::output::{Columns, cell, number, to_second, verdict};

/// `kos vault list`.
#[derive(Debug, Args)]
#[command(
    after_help = "LAST USED is brought up to date by the next change of the vault; the log has every use."
)]
pub struct List {
    #[command(flatten)]
    vault: VaultArguments,
}

impl List {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let vault = self.vault.open(context)?;
        let secrets = vault.ask(|vault, by| vault.list(by))?;
        let now = vault.session.clock.now();
        context.output.answer(&secrets, || {
            let mut table = Columns::new(&["NAME", "VERSION", "CREATED", "LAST USED", "EXPIRES"]);
            for secret in &secrets {
                table.row([
                    cell(&secret.id),
                    number(secret.version),
                    cell(to_second(secret.created)),
                    cell(secret.last_accessed.map_or_else(|| "never".to_owned(), second)),
                    end(secret.expires_at, now),
                ]);
            }
            table.or_else("no secrets; store one: kos vault put api_key/NAME")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos vault versions TYPE/NAME`.
#[derive(Debug, Args)]
pub struct Versions {
    /// Which secret.
    #[arg(value_name = "TYPE/NAME")]
    id: SecretId,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Versions {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let vault = self.vault.open(context)?;
        let versions = vault.ask(|vault, by| vault.versions(by, &self.id))?;
        let now = vault.session.clock.now();
        context.output.answer(&versions, || {
            let mut table = Columns::new(&["VERSION", "STORED", "EXPIRES"]);
            for version in &versions {
                table.row([
                    number(version.version),
                    cell(to_second(version.changed)),
                    end(version.expires_at, now),
                ]);
            }
            table.or_else("no versions")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// When something ends; red once it has.
fn end(expires_at: Option<Timestamp>, now: Timestamp) -> comfy_table::Cell {
    match expires_at {
        Some(end) if end <= now => verdict(false, second(end)),
        Some(end) => cell(second(end)),
        None => cell("never"),
    }
}

fn second(instant: Timestamp) -> String {
    to_second(instant).to_string()
}
