//! `kos receipt`: what a run was and did, for somebody who has neither this home nor its log.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use kos_core::durable;
use kos_core::receipt::{self, RECEIPT_MAX, ReceiptError, VerifiedReceipt};
use serde_json::{Value, json};

use super::Ended;
use super::log::source::{Key, Source};
use crate::component::{self, write_public};
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{Columns, GOOD, clean, paint};

/// `kos receipt`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  kos receipt 4f0c… -o run.receipt                         the run's receipt, to hand to somebody
  kos receipt verify run.receipt --vkey VKEY               needs neither home nor log
  kos receipt verify run.receipt --vkey VKEY --component agent.wasm
A receipt is JSON: the launch and the exit entry of one run, each with a c2sp.org/tlog-proof@v1,
which other programs check too (`jq -j .exit.entry`, `jq -j .exit.proof`). It is of a run; what
an agent itself calls a receipt, of a file say, is the agent's own word."
)]
pub struct Receipt {
    #[command(subcommand)]
    action: Option<Action>,
    /// Which run: the identifier that `kos log show` and `kos-run --json` tell.
    #[arg(required = true)]
    run: Option<String>,
    /// Where to write it [default: stdout].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

/// What else can be done with receipts.
#[derive(Debug, Subcommand)]
enum Action {
    /// Check a receipt, offline.
    Verify(Verify),
}

/// `kos receipt verify FILE`.
#[derive(Debug, Args)]
struct Verify {
    /// The receipt.
    file: PathBuf,
    /// Insist that this component is the one that ran.
    #[arg(long, value_name = "AGENT.wasm")]
    component: Option<PathBuf>,
    #[command(flatten)]
    key: Key,
}

impl Receipt {
    /// Writes the receipt of a run, or checks one.
    ///
    /// # Errors
    /// When there is no such run, it goes on, or a receipt does not hold.
    pub fn run(&self, context: &Context) -> Ended {
        match (&self.action, &self.run) {
            (Some(Action::Verify(command)), _) => command.run(context),
            (None, Some(run)) => self.collect(context, run),
            (None, None) => Err(Failure::new("no run is named").remedy("kos receipt RUN")),
        }
    }

    fn collect(&self, context: &Context, run: &str) -> Ended {
        let directory = self.source.directory(context)?;
        let receipt = receipt::Receipt::collect(&directory, run).map_err(|error| {
            let remedy = match error {
                ReceiptError::Open { .. } => "kos ps; what has ended is published within a second",
                _ => "kos log show",
            };
            Failure::from(error).remedy(remedy)
        })?;
        let bytes = receipt.to_bytes()?;
        let Some(path) = &self.output else {
            context.output.raw(&bytes)?;
            return Ok(ExitCode::SUCCESS);
        };
        write_public(path, &bytes)?;
        context.output.answer(&json!({ "run": run, "file": path }), || {
            paint(GOOD, format!("wrote the receipt of run {} to {}", clean(run), path.display()))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Verify {
    fn run(&self, context: &Context) -> Ended {
        let bytes = durable::read_capped(&self.file, RECEIPT_MAX as u64)?;
        let vkey = self.key.resolve(context, None)?;
        let verified = receipt::Receipt::parse(&bytes)
            .and_then(|receipt| receipt.verify(&vkey))
            .doing("the receipt does not hold")?;
        if let Some(path) = &self.component {
            let component = component::read(path, None)?;
            verified.check_component(component.digest()).doing("the receipt is of another component")?;
        }
        let value = to_json(&verified);
        context.output.answer(&value, || for_person(&verified, &value))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn to_json(verified: &VerifiedReceipt) -> Value {
    let ((launch, launched), (exit, exited)) = (verified.launch(), verified.exit());
    let of_launch = |name: &str| launch.details.get(name);
    let of_exit = |name: &str| exit.details.get(name);
    json!({
        "run": verified.run(),
        "log": exited.checkpoint.origin,
        "agent": of_launch("agent"),
        "did": launch.actor.id,
        "component": verified.component(),
        "manifest": of_launch("manifest"),
        "version": of_launch("version"),
        "level": of_launch("level"),
        "grants": of_launch("grants"),
        "launched": launch.timestamp,
        "ended": exit.timestamp,
        "outcome": of_exit("outcome"),
        "status": of_exit("status"),
        "usage": of_exit("usage"),
        "denials": of_exit("denials"),
        "launchEntry": launched.index,
        "exitEntry": exited.index,
        "size": exited.checkpoint.size,
    })
}

fn for_person(verified: &VerifiedReceipt, value: &Value) -> String {
    let mut facts = Columns::facts();
    for (name, fact) in value.as_object().into_iter().flatten() {
        let text = match fact {
            Value::Null => continue,
            _ if name == "launched" => verified.launch().0.timestamp.to_string(),
            _ if name == "ended" => verified.exit().0.timestamp.to_string(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        facts.fact(name, clean(&text));
    }
    let head = paint(GOOD, "the receipt holds: both entries are in the log, and the host signed them");
    format!("{head}\n{}", facts.or_else(""))
}
