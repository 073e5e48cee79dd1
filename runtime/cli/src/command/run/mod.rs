//! `kos-run`: launches agents.

use std::path::PathBuf;

use clap::Parser;
use kos_core::permission::{LimitSet, Limits};

use super::Ended;
use crate::unlock::UnlockArguments;

/// Runs signed agents with exactly what they are granted.
#[derive(Debug, Parser)]
#[command(name = "kos-run", version, after_help = AFTER_HELP)]
pub struct KosRun {
    /// The agents' components; several run at the same time, their output prefixed with their names.
    #[arg(required = true, value_name = "AGENT.wasm")]
    components: Vec<PathBuf>,
    /// The state directory [default: $KOS_HOME, else the platform's data directory].
    #[arg(long, value_name = "DIR", env = "KOS_HOME", hide_env = true)]
    home: Option<PathBuf>,
    /// Lower limits for this run: memory=16MiB,cpu=1G,duration=5s.
    #[arg(long, value_name = "LIMITS", value_parser = Limits::parse_overrides)]
    limit: Option<LimitSet>,
    /// The signature, where it lies in a file of another name than AGENT.wasm.signature.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Report each run, and errors, as one line of JSON on stderr; stdout stays the agents'.
    #[arg(long)]
    pub json: bool,
    /// Leave out remarks and progress.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    unlock: UnlockArguments,
    /// Arguments for the agents.
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// What a script needs to know.
const AFTER_HELP: &str = "\
Exit status, of the first agent in order that did not end well:
  0-255  the agent's own, as it ended by itself
  124    its time was over (duration)
  125    the host failed: home, keys, log, compiler
  126    refused: not signed, not trusted, revoked, expired, or not granted what it imports
  127    there is no such agent
  134    it broke (trap)
  137    it was stopped: kos stop, a signal, or a limit (memory, cpu, stack, table, instances, handles,
         payload, output, notes)
The run's outcome stands in the log: kos log tail, or --json.";

impl KosRun {
    /// Launches the agents and waits for them.
    ///
    /// # Errors
    /// When nothing was launched.
    pub fn run(self) -> Ended {
        Err(crate::failure::Failure::new("not yet"))
    }
}
