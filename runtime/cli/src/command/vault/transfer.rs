//! `kos vault export` and `kos vault import`: secrets on their way to another home.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kos_core::custody::{Kdf, KeyRole, Secret};
use kos_core::durable;
use kos_core::id::AgreementKey;
use kos_core::vault::{Change, Opening, Recipient};
use serde_json::json;
use zeroize::Zeroizing;

use super::VaultArguments;
use crate::command::Ended;
use crate::command::key::{find_key, refuse_overwriting};
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{GOOD, paint};
use crate::prompt;

/// Hundreds of secrets of the largest size, in base64.
const DOCUMENT_MAX: u64 = 64 << 20;
/// What is said while a passphrase is stretched.
const STRETCHING: &str = "stretching the passphrase";

/// `kos vault export -o FILE`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --to the file is under a new passphrase, which is asked for, or read from --export-passphrase-file. Older
versions go with their secrets; `kos vault keep 0` removes them before.")]
pub struct Export {
    /// Where to write it.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Encrypt it to this agreement key, did:key:z6LS…: `agreementKey` of `kos key export NAME --json`.
    #[arg(long, value_name = "DID")]
    to: Option<AgreementKey>,
    /// The passphrase for the exported secrets: the first line of this file.
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    export_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Export {
    pub(super) fn run(&self, context: &Context) -> Ended {
        refuse_overwriting(&self.output)?;
        let to = match (self.to, &self.export_passphrase_file) {
            (Some(key), _) => Recipient::Key { key },
            (None, Some(file)) => under(&prompt::from_file(file)?),
            (None, None) => under(&prompt::new_secret("New passphrase for the exported secrets")?),
        };
        let vault = self.vault.open(context)?;
        let export = || vault.ask(|vault, by| vault.export(by, to));
        let document = context.output.while_working(STRETCHING, export)?;
        // Absolute, as a bare name has no directory that could be synchronised.
        durable::replace(&std::path::absolute(&self.output)?, &document)?;
        let value = json!({ "environment": vault.environment, "file": self.output, "to": self.to });
        context.output.answer(&value, || {
            let path = self.output.display();
            paint(GOOD, format!("wrote the secrets of the environment {} to {path}", vault.environment))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `kos vault import FILE`.
#[derive(Debug, Args)]
#[command(
    after_help = "Either every secret of the file is stored, or none: one that is here already refuses all."
)]
pub struct Import {
    /// What `kos vault export` wrote.
    file: PathBuf,
    /// The key that it is encrypted to: NAME or ROLE/NAME.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The passphrase of the exported secrets: the first line of this file.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    export_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Import {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let document = read(&self.file)?;
        let vault = self.vault.open(context)?;
        let opening = match (&self.key, &self.export_passphrase_file) {
            (Some(key), _) => {
                let public = find_key(&vault.session, key, &[KeyRole::Operator, KeyRole::Author])?;
                Opening::Key { key: public.key }
            }
            (None, Some(file)) => Opening::Passphrase { passphrase: secret(&prompt::from_file(file)?) },
            (None, None) if prompt::is_possible() => {
                let typed = prompt::secret("Passphrase of the exported secrets")?;
                Opening::Passphrase { passphrase: secret(&typed) }
            }
            (None, None) => {
                return Err(Failure::new("there is no terminal to ask for the passphrase on")
                    .remedy("--export-passphrase-file FILE, or --key NAME"));
            }
        };
        let change = Change::Import { document, opening };
        let import = || vault.ask(|vault, by| vault.change(by, change));
        let imported = context.output.while_working(STRETCHING, import);
        imported.doing(format!("{} was not taken over", self.file.display()))?;
        let value = json!({ "environment": vault.environment, "file": self.file });
        context.output.answer(&value, || {
            let path = self.file.display();
            paint(GOOD, format!("stored the secrets of {path} in the environment {}", vault.environment))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    durable::read_capped(file, DOCUMENT_MAX).doing(format!("cannot read {}", file.display()))
}

fn under(passphrase: &Zeroizing<String>) -> Recipient {
    Recipient::Passphrase { passphrase: secret(passphrase), kdf: Kdf::standard() }
}

fn secret(passphrase: &Zeroizing<String>) -> Secret {
    Secret::new(passphrase.as_bytes().to_vec())
}
