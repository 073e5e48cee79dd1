//! `kos vault lock` and `kos vault unlock`: the keys and secrets of running hosts.

use std::process::ExitCode;

use clap::Args;
use kos_core::custody;
use kos_host::control::{self, Told};
use serde_json::json;

use crate::command::Ended;
use crate::context::Context;
use crate::failure::Explain as _;
use crate::output::{GOOD, Output, paint};
use crate::unlock::UnlockArguments;

/// `kos vault lock`.
#[derive(Debug, Args)]
#[command(after_help = "\
Needs no secret. Running agents go on without keys: what needs one is answered `unavailable`. Only the key that signs
the log stays. A host that starts later is not locked: its slot unlocks it, as always.")]
pub struct Lock {}

impl Lock {
    #[expect(clippy::unused_self, reason = "as every command")]
    pub(super) fn run(&self, context: &Context) -> Ended {
        let (home, _) = context.open_home()?;
        let told = control::lock(&home).doing("a running host may still hold its keys")?;
        report(context.output, "locked", told)
    }
}

/// `kos vault unlock`.
#[derive(Debug, Args)]
pub struct Unlock {
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl Unlock {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let (home, _) = context.open_home()?;
        // What opens nothing is told here, before any host is asked.
        let (custodian, way) = self.unlock.unlock_with(&home)?;
        drop(custodian);
        let told = control::unlock(&home, &absolute(way)?).or_try(context.command("kos vault status"))?;
        report(context.output, "unlocked", told)
    }
}

/// The same way of unlocking for a process that works in another directory.
fn absolute(way: custody::Unlock) -> std::io::Result<custody::Unlock> {
    Ok(match way {
        custody::Unlock::KeyFile(path) => custody::Unlock::KeyFile(std::path::absolute(path)?),
        other => other,
    })
}

fn report(output: Output, done: &str, told: Told) -> Ended {
    let Told { hosts, runs } = told;
    output.answer(&json!({ done: hosts, "runs": runs }), || match hosts {
        0 => "no host is running".to_owned(),
        1 => paint(GOOD, format!("{done} the running host ({runs} runs)")),
        hosts => paint(GOOD, format!("{done} {hosts} running hosts ({runs} runs)")),
    })?;
    Ok(ExitCode::SUCCESS)
}
