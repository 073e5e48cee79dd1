//! `kos vault status`: the environments, and what the running hosts hold.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use kos_core::audited_vault::AuditedVault;
use kos_core::home::Home;
use kos_core::id::Name;
use kos_host::control::{self, RunningHost};
use serde::Serialize;
use serde_json::json;

use super::{explain, opened};
use crate::command::Ended;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{Columns, FAINT, cell, number, paint, verdict};
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// `kos vault status`.
#[derive(Debug, Args)]
#[command(after_help = "Which running hosts are locked, `kos ps` shows too, without unlocking.")]
pub struct Status {
    #[command(flatten)]
    unlock: UnlockArguments,
}

/// An environment's vault.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Environment {
    name: Name,
    secrets: usize,
    generation: u64,
}

impl Status {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let environments = environments(context, &session)?;
        let hosts = control::ps(&session.home)?;
        let value = json!({
            "environments": environments,
            "hosts": hosts.iter().map(described).collect::<Vec<_>>(),
        });
        context
            .output
            .answer(&value, || format!("{}\n\n{}", vaults(&environments, &hosts), running(&hosts)))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn environments(context: &Context, session: &Session) -> Result<Vec<Environment>, Failure> {
    let (log, by) = opened(session)?;
    let listed = names(&session.home)?.into_iter().map(|name| {
        let vault = AuditedVault::new(Arc::clone(&session.custodian), Arc::clone(&log), name.clone());
        let secrets =
            vault.list(by.clone()).map_err(|error| explain::explained(context, &name, error))?.len();
        let noted = log.newest_noted_vault(&name)?;
        Ok(Environment { name, secrets, generation: noted.map_or(0, |noted| noted.generation) })
    });
    listed.collect()
}

/// The environments with a vault. What is no vault's file is none of ours.
fn names(home: &Home) -> Result<BTreeSet<Name>, Failure> {
    let directory = home.vault();
    let refused = || format!("cannot list {}", directory.display());
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(&directory).doing(refused())? {
        let file = entry.doing(refused())?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(".json"));
        names.extend(name.and_then(|name| name.parse::<Name>().ok()));
    }
    Ok(names)
}

fn described(host: &RunningHost) -> serde_json::Value {
    json!({
        "host": host.host,
        "environment": host.environment,
        "locked": host.locked,
        "runs": host.agents.len(),
    })
}

fn vaults(environments: &[Environment], hosts: &[RunningHost]) -> String {
    let mut table = Columns::new(&["ENVIRONMENT", "SECRETS", "GENERATION", "RUNNING HOSTS"]);
    for environment in environments {
        let count = hosts.iter().filter(|host| host.environment.as_ref() == Some(&environment.name)).count();
        table.row([
            cell(&environment.name),
            number(environment.secrets),
            number(environment.generation),
            number(count),
        ]);
    }
    table.or_else("no secrets; store one: kos vault put api_key/NAME")
}

fn running(hosts: &[RunningHost]) -> String {
    let mut table = Columns::new(&["HOST", "ENVIRONMENT", "RUNS", "KEYS"]);
    for host in hosts {
        table.row([
            cell(&host.host),
            cell(host.environment.as_ref().map_or("", Name::as_str)),
            number(host.agents.len()),
            verdict(!host.locked, if host.locked { "locked" } else { "unlocked" }),
        ]);
    }
    table.or_else(&paint(FAINT, "no host is running"))
}
