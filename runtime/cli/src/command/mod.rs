//! One file per command: its arguments and what it does with them.

pub mod agents;
pub mod alerts;
pub mod approval;
pub mod completions;
pub mod cosign;
pub mod explain;
pub mod grant;
pub mod grants;
pub mod init;
pub mod inspect;
pub mod key;
pub mod kill_switch;
pub mod log;
pub mod message;
pub mod new;
pub mod ps;
pub mod receipt;
pub mod run;
pub mod sign;
pub mod slot;
pub mod stop;
pub mod trust;
pub mod vault;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::context::Context;
use crate::failure::Failure;

/// What every command can end in.
pub type Ended = Result<ExitCode, Failure>;

/// Runs signed WebAssembly agents with exactly their grants, and keeps a log that anyone can verify.
///
/// `kos` makes keys, signs agents, and decides who is trusted with what; `kos-run` launches agents.
#[derive(Debug, Parser)]
#[command(name = "kos", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Kos {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Globals {
    /// The state directory [default: $KOS_HOME, else the platform's data directory].
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Answer in JSON, and report errors in JSON on stderr.
    #[arg(long, global = true)]
    pub json: bool,
    /// Leave out remarks and progress.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// The commands of `kos`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this machine a host: its key, its trust store and its log.
    Init(init::Init),
    /// Begin a new agent from a template.
    New(new::New),
    /// Make, list and export signing keys.
    #[command(subcommand, arg_required_else_help = true)]
    Key(key::Key),
    /// Sign an agent as its author.
    Sign(sign::Sign),
    /// Show what a component imports, declares and may do here.
    Inspect(inspect::Inspect),
    /// Decide whose agents may run, and how far each level may go.
    #[command(subcommand, arg_required_else_help = true)]
    Trust(trust::Trust),
    /// Permit an agent to do something.
    Grant(grant::Grant),
    /// Show and withdraw what was granted.
    #[command(subcommand, arg_required_else_help = true)]
    Grants(grants::Grants),
    /// List the calls that wait for an approval.
    Approvals(approval::Approvals),
    /// Let a waiting call be made: once, for some time, or always.
    Approve(approval::Approve),
    /// Refuse a waiting call.
    Deny(approval::Deny),
    /// Add an operator's signature to a grant or a trust store that others sign too.
    Cosign(cosign::Cosign),
    /// Explain why an agent may or may not use a capability.
    Explain(explain::Explain),
    /// Read and verify the log.
    #[command(subcommand, arg_required_else_help = true)]
    Log(log::Log),
    /// Tell somebody of what happens in the log.
    #[command(subcommand, arg_required_else_help = true)]
    Alerts(alerts::Alerts),
    /// Keep secrets that agents use and do not read.
    #[command(subcommand, arg_required_else_help = true)]
    Vault(vault::Vault),
    /// Show and forget the agents that were launched here.
    #[command(subcommand, arg_required_else_help = true)]
    Agents(agents::Agents),
    /// Send a running agent a message.
    #[command(subcommand, arg_required_else_help = true)]
    Message(message::Message),
    /// Manage the ways to unlock this home's keys.
    #[command(subcommand, arg_required_else_help = true)]
    Slot(slot::Slot),
    /// Hand out what a run was and did, with proofs that anyone can check offline.
    Receipt(receipt::Receipt),
    /// List the running agents.
    Ps(ps::Ps),
    /// Stop a running agent.
    Stop(stop::Stop),
    /// Stop every agent of this home at once, and keep it so until operators sign that it is over.
    KillSwitch(kill_switch::KillSwitch),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
}

/// What a beginner needs next, below the list of commands.
const AFTER_HELP: &str = "\
A first agent:
  kos init                       make this machine a host
  kos key new me                 make an author's key
  kos new hello                  begin an agent
  kos trust add DID --level partner
  kos sign hello.wasm            sign it as its author
  kos grant hello.signed.wasm --declared
  kos-run hello.signed.wasm

Exit status: 0 done; 1 refused, failed, or the answer is no; 2 the command line is not understood.";

impl Kos {
    /// What the command works with.
    ///
    /// # Errors
    /// When there is no place for a home.
    pub fn context(&self) -> Result<Context, Failure> {
        Context::new(self.globals.home.as_deref(), self.globals.json, self.globals.quiet)
    }
}

impl Command {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::Init(command) => command.run(context),
            Self::New(command) => command.run(context),
            Self::Key(command) => command.run(context),
            Self::Sign(command) => command.run(context),
            Self::Inspect(command) => command.run(context),
            Self::Trust(command) => command.run(context),
            Self::Grant(command) => command.run(context),
            Self::Grants(command) => command.run(context),
            Self::Approvals(command) => command.run(context),
            Self::Approve(command) => command.run(context),
            Self::Deny(command) => command.run(context),
            Self::Cosign(command) => command.run(context),
            Self::Explain(command) => command.run(context),
            Self::Log(command) => command.run(context),
            Self::Alerts(command) => command.run(context),
            Self::Vault(command) => command.run(context),
            Self::Agents(command) => command.run(context),
            Self::Message(command) => command.run(context),
            Self::Slot(command) => command.run(context),
            Self::Receipt(command) => command.run(context),
            Self::Ps(command) => command.run(context),
            Self::Stop(command) => command.run(context),
            Self::KillSwitch(command) => command.run(context),
            Self::Completions(command) => command.run(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_argument_definitions_are_consistent() {
        Kos::command().debug_assert();
        run::KosRun::command().debug_assert();
    }
}
