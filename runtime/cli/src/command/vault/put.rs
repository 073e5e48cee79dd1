//! `kos vault put` and `kos vault rotate`: storing a secret.

use std::process::ExitCode;

use clap::Args;
use kos_core::clock::{Clock as _, Timestamp};
use kos_core::permission::When;
use kos_core::vault::{Change, SecretId, SecretType};
use serde_json::json;

use super::value::ValueArguments;
use super::{OpenVault, VaultArguments};
use crate::command::Ended;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{GOOD, paint, to_second};

/// What is to be known of values.
const VALUES: &str = "\
The value is asked for and not shown, or read from a file or a descriptor; it is never an argument. Of a password or
a token one line end is left out; an API key and a certificate are stored byte for byte (printf %s, not echo).";

/// `kos vault put TYPE/NAME`.
#[derive(Debug, Args)]
#[command(after_help = VALUES)]
pub struct Put {
    /// Which: api_key/NAME, certificate/NAME, password/NAME or jwt/NAME.
    #[arg(value_name = "TYPE/NAME")]
    id: SecretId,
    /// When it ends: 30d, 2027-01-31 or never.
    #[arg(long, value_name = "WHEN", value_parser = When::parse, default_value = "never")]
    expires: When,
    #[command(flatten)]
    value: ValueArguments,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Put {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let value = self.value.read(&self.id)?;
        let vault = self.vault.open(context)?;
        let expires_at = instant(&vault, self.expires)?;
        let change = Change::Put { id: self.id.clone(), value, expires_at };
        vault.ask(|vault, by| vault.change(by, change))?;
        stored(&vault, &self.id)
    }
}

/// `kos vault rotate TYPE/NAME`.
#[derive(Debug, Args)]
#[command(after_help = VALUES)]
pub struct Rotate {
    /// Which secret; it is there already.
    #[arg(value_name = "TYPE/NAME")]
    id: SecretId,
    /// When the next version ends: 30d, 2027-01-31 or never [default: when the present one does; a
    /// certificate or a token when it says itself].
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    expires: Option<When>,
    #[command(flatten)]
    value: ValueArguments,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Rotate {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let vault = self.vault.open(context)?;
        let versions = vault.ask(|vault, by| vault.versions(by, &self.id))?;
        let present = versions.first().and_then(|version| version.expires_at);
        let expires_at = match (self.expires, self.id.kind) {
            (Some(when), _) => instant(&vault, when)?,
            // The new one has an end of its own.
            (None, SecretType::Certificate | SecretType::Jwt) => None,
            (None, SecretType::ApiKey | SecretType::Password) => still_to_come(&vault, present)?,
        };
        let value = self.value.read(&self.id)?;
        let change = Change::Put { id: self.id.clone(), value, expires_at };
        vault.ask(|vault, by| vault.change(by, change))?;
        stored(&vault, &self.id)
    }
}

fn instant(vault: &OpenVault<'_>, when: When) -> Result<Option<Timestamp>, Failure> {
    match when {
        When::After(span) => Ok(Some(vault.session.clock.now().saturating_add(span))),
        When::At(instant) => still_to_come(vault, Some(instant)),
        When::Never => Ok(None),
    }
}

fn still_to_come(vault: &OpenVault<'_>, end: Option<Timestamp>) -> Result<Option<Timestamp>, Failure> {
    match end.filter(|end| *end <= vault.session.clock.now()) {
        Some(end) => {
            Err(Failure::new(format!("the secret would have ended at {end}")).remedy("--expires 30d"))
        }
        None => Ok(end),
    }
}

fn stored(vault: &OpenVault<'_>, id: &SecretId) -> Ended {
    let environment = vault.environment;
    // A certificate or a token may end before what was asked for.
    let versions = vault.ask(|vault, by| vault.versions(by, id))?;
    let expires_at = versions.first().and_then(|version| version.expires_at);
    let value = json!({ "id": id, "environment": environment, "expiresAt": expires_at });
    vault.context.output.answer(&value, || {
        let until = expires_at.map(|end| format!(" until {}", to_second(end))).unwrap_or_default();
        paint(GOOD, format!("stored {id} in the environment {environment}{until}"))
    })?;
    Ok(ExitCode::SUCCESS)
}
