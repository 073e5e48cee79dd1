//! `kos vault get`: a secret, printed.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;
use kos_core::canonical;
use kos_core::vault::SecretId;
use serde_json::json;
use zeroize::Zeroizing;

use super::VaultArguments;
use crate::command::Ended;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::clean;

/// `kos vault get TYPE/NAME`.
#[derive(Debug, Args)]
#[command(after_help = "\
Printed is the secret, byte for byte; on a terminal a line end follows. With --json it is `value`, in base64.")]
pub struct Get {
    /// Which secret.
    #[arg(value_name = "TYPE/NAME")]
    id: SecretId,
    #[command(flatten)]
    vault: VaultArguments,
}

impl Get {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let vault = self.vault.open(context)?;
        let secret = vault.ask(|vault, by| vault.reveal(by, &self.id))?;
        let output = context.output;
        if output.is_json() {
            let value = Zeroizing::new(canonical::base64_encode(secret.expose()));
            output.answer(
                &json!({ "id": self.id, "environment": vault.environment, "value": *value }),
                String::new,
            )?;
        } else if std::io::stdout().is_terminal() {
            output.line(shown(secret.expose())?)?;
        } else {
            output.raw(secret.expose())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The secret as a terminal shows it. An agent may have stored it, so it could hold what steers a terminal.
fn shown(secret: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(secret)
        .ok()
        .map(|text| text.trim_end_matches('\n'))
        .filter(|text| text.lines().all(|line| clean(line) == line))
        .ok_or_else(|| {
            Failure::new("the secret is not text that a terminal shows").remedy("> FILE, or --json")
        })
}
