//! `kos vault remove|rename|restore|rotate-key|keep`: changes that need no value.

use std::process::ExitCode;

use clap::Args;
use kos_core::vault::{Change, SecretId, VERSIONS_MAX};
use serde_json::{Value, json};

use super::VaultArguments;
use crate::command::Ended;
use crate::context::Context;
use crate::output::{GOOD, paint};

/// `kos vault remove TYPE/NAME`.
#[derive(Debug, Args)]
pub struct Remove {
    /// Which secret.
    #[arg(value_name = "TYPE/NAME")]
    id: SecretId,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Remove {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let change = Change::Remove { id: self.id.clone() };
        self.vault.change(context, change, json!({ "removed": self.id }), &format!("removed {}", self.id))
    }
}

/// `kos vault rename TYPE/NAME TYPE/NEW-NAME`.
#[derive(Debug, Args)]
#[command(after_help = "Grants name secrets, so an agent that may use the old name may not use the new one.")]
pub struct Rename {
    /// Which secret.
    #[arg(value_name = "TYPE/NAME")]
    from: SecretId,
    /// Its new name, of the same type.
    #[arg(value_name = "TYPE/NEW-NAME")]
    to: SecretId,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Rename {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let change = Change::Rename { from: self.from.clone(), to: self.to.clone() };
        let value = json!({ "from": self.from, "to": self.to });
        self.vault.change(context, change, value, &format!("renamed {} to {}", self.from, self.to))
    }
}

/// `kos vault restore TYPE/NAME VERSION`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Which secret.
    #[arg(value_name = "TYPE/NAME")]
    id: SecretId,
    /// Which version, as `kos vault versions` shows it; it becomes the newest.
    version: u32,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Restore {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let change = Change::Restore { id: self.id.clone(), version: self.version };
        let value = json!({ "id": self.id, "restored": self.version });
        let done = format!("version {} of {} is the present one again", self.version, self.id);
        self.vault.change(context, change, value, &done)
    }
}

/// `kos vault rotate-key`.
#[derive(Debug, Args)]
#[command(after_help = "\
A copy of the vault's file from before stays readable to whoever has it and the root key: where the root key may be
known to others, the secrets themselves have to be replaced (kos vault rotate).")]
pub struct RotateKey {
    #[command(flatten)]
    vault: VaultArguments,
}

impl RotateKey {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let environment = &self.vault.environment;
        let done = format!("encrypted every secret of the environment {environment} under a new key");
        self.vault.change(context, Change::RotateKey, json!({ "rotated": environment }), &done)
    }
}

/// `kos vault keep N`.
#[derive(Debug, Args)]
#[command(after_help = "Versions beyond that are removed at once, and with each secret that is stored.")]
pub struct Keep {
    /// How many older versions of each secret, 0 to 100.
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(VERSIONS_MAX)))]
    versions: u32,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Keep {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let change = Change::KeepVersions { versions: self.versions };
        let done = match self.versions {
            0 => "no older version is kept".to_owned(),
            1 => "one older version of each secret is kept".to_owned(),
            versions => format!("{versions} older versions of each secret are kept"),
        };
        self.vault.change(context, change, json!({ "versions": self.versions }), &done)
    }
}

impl VaultArguments {
    /// Makes a change and says that it is done.
    fn change(&self, context: &Context, change: Change, mut value: Value, done: &str) -> Ended {
        let vault = self.open(context)?;
        vault.ask(|vault, by| vault.change(by, change))?;
        if let Some(object) = value.as_object_mut() {
            object.insert("environment".to_owned(), json!(self.environment));
        }
        context.output.answer(&value, || paint(GOOD, done))?;
        Ok(ExitCode::SUCCESS)
    }
}
