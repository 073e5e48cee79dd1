//! `kos approvals`, `kos approve`, `kos deny`: a person's word on calls that wait for it.
//!
//! In scope: showing exactly what is judged, and carrying the answer to the host that asks. Out of scope: waiting and judging
//! (`kos_host`). An answer that lasts is an operator's grant like any other.

mod answer;

use std::process::ExitCode;

use clap::Args;
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::permission::Pending;
use kos_host::control::{self, HostQuestions};
use serde_json::{Value, json};

pub use self::answer::{Approve, Deny};
use super::Ended;
use crate::context::Context;
use crate::output::{Columns, cell};

/// `kos approvals`.
#[derive(Debug, Args)]
pub struct Approvals {}

impl Approvals {
    /// Lists the calls that wait.
    ///
    /// # Errors
    /// When a running host does not answer.
    pub fn run(&self, context: &Context) -> Ended {
        let (home, _) = context.open_home()?;
        let hosts = control::questions(&home)?;
        context.output.answer(&to_json(&hosts), || for_person(&hosts))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn to_json(hosts: &[HostQuestions]) -> Value {
    let of = |host: &HostQuestions, pending: &Pending| {
        let asking = &pending.asking;
        json!({
            "question": pending.question, "agent": asking.agent, "component": asking.component,
            "capability": asking.capability, "scope": asking.scope, "run": asking.run, "grant": asking.grant,
            "since": pending.since, "until": pending.until, "calls": pending.calls, "host": host.host,
        })
    };
    hosts.iter().flat_map(|host| host.questions.iter().map(move |pending| of(host, pending))).collect()
}

fn for_person(hosts: &[HostQuestions]) -> String {
    let now = SystemClock.now();
    let mut table = Columns::new(&["QUESTION", "AGENT", "ASKS FOR", "SCOPE", "RUN", "WAITS", "LEFT"]);
    for pending in hosts.iter().flat_map(|host| &host.questions) {
        let asking = &pending.asking;
        let seconds = |span: std::time::Duration| format!("{} s", span.as_secs());
        table.row([
            cell(pending.question),
            cell(&asking.agent),
            cell(asking.capability),
            cell(shown(&asking.scope)),
            cell(&asking.run),
            cell(seconds(now.saturating_since(pending.since))),
            cell(seconds(pending.until.saturating_since(now))),
        ]);
    }
    table.or_else("no call waits for an approval")
}

/// A scope as a person reads it, with where it begins and ends. It is printable ASCII, or it would not have been judged; what
/// is not is shown escaped all the same.
fn shown(scope: &str) -> String {
    format!("\"{}\"", scope.escape_default())
}
