//! `kos completions`: completion scripts for shells.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell;

use super::{Ended, Kos, run::KosRun};
use crate::context::Context;

/// `kos completions SHELL`.
#[derive(Debug, Args)]
#[command(after_help = "For bash: kos completions bash > ~/.local/share/bash-completion/completions/kos")]
pub struct Completions {
    /// The shell.
    shell: Shell,
    /// The program to complete.
    #[arg(long, value_enum, default_value_t = Program::Kos)]
    program: Program,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    Kos,
    KosRun,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn run(&self, context: &Context) -> Ended {
        let (mut command, name) = match self.program {
            Program::Kos => (Kos::command(), "kos"),
            Program::KosRun => (KosRun::command(), "kos-run"),
        };
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        context.output.raw(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
