//! `kos stop`: ends running agents.

use std::process::ExitCode;

use clap::Args;
use kos_host::control;
use serde_json::json;

use super::Ended;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{GOOD, paint};

/// `kos stop AGENT|RUN`.
#[derive(Debug, Args)]
pub struct Stop {
    /// An agent's name, for all its runs, or a run as `kos ps` shows it.
    #[arg(value_name = "AGENT|RUN", required_unless_present = "all")]
    which: Option<String>,
    /// Every running agent of this home.
    #[arg(long, conflicts_with = "which")]
    all: bool,
}

impl Stop {
    /// Ends the runs. Their exit entries say `killed`.
    ///
    /// # Errors
    /// When nothing of that name runs, or a running host does not answer.
    pub fn run(&self, context: &Context) -> Ended {
        let (home, _) = context.open_home()?;
        let (runs, what) = match &self.which {
            Some(which) => (control::stop(&home, which)?, which.as_str()),
            None => (control::stop_all(&home)?, "anything"),
        };
        if runs == 0 && !self.all {
            return Err(Failure::new(format!("`{what}` is not running")).remedy("kos ps"));
        }
        context.output.answer(&json!({ "stopped": runs }), || {
            let noun = if runs == 1 { "run" } else { "runs" };
            paint(GOOD, format!("stopped {runs} {noun}"))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
