//! `kos ps`: what is running.

use std::process::ExitCode;

use clap::Args;
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::kill_switch;
use kos_core::log::engaged;
use kos_host::control::{self, RunningHost};
use serde_json::{Value, json};

use super::Ended;
use crate::context::Context;
use crate::output::{BAD, Columns, cell, paint, verdict};

/// `kos ps`.
#[derive(Debug, Args)]
pub struct Ps {}

impl Ps {
    /// Lists the running agents of this home.
    ///
    /// # Errors
    /// When a running host does not answer.
    pub fn run(&self, context: &Context) -> Ended {
        let (home, _) = context.open_home()?;
        let hosts = control::ps(&home)?;
        if kill_switch::is_engaged(&home) || engaged(&home.log())?.is_some() {
            context.output.remark(paint(BAD, "the kill switch is engaged; kos kill-switch status"));
        }
        context.output.answer(&to_json(&hosts), || for_person(&hosts))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn to_json(hosts: &[RunningHost]) -> Value {
    let runs = hosts.iter().flat_map(|host| {
        host.agents.iter().map(|agent| {
            let mut value = json!(agent);
            if let Some(object) = value.as_object_mut() {
                object.insert("host".to_owned(), host.host.clone().into());
                object.insert("locked".to_owned(), host.locked.into());
            }
            value
        })
    });
    Value::Array(runs.collect())
}

fn for_person(hosts: &[RunningHost]) -> String {
    let now = SystemClock.now();
    let mut table = Columns::new(&["AGENT", "KIND", "RUN", "FOR", "HANDLED", "KEYS", "COMPONENT", "HOST"]);
    for host in hosts {
        for agent in &host.agents {
            // Whole seconds: nobody wants more of a list that is old when it is read.
            let seconds = now.saturating_since(agent.started).as_secs();
            table.row([
                cell(&agent.name),
                cell(agent.kind.as_str()),
                cell(&agent.run),
                cell(format!("{seconds} s")),
                cell(agent.handled.map_or_else(|| "-".to_owned(), |handled| handled.to_string())),
                if host.locked { verdict(false, "locked") } else { cell("unlocked") },
                cell(agent.component.chars().take(19).collect::<String>()),
                cell(&host.host),
            ]);
        }
    }
    table.or_else("nothing is running")
}
