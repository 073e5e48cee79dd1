//! `kos trust`: whose agents may run, and how far each level may go.

mod change;

mod policy;
mod show;

use clap::Subcommand;

pub(super) use change::read_envelope;

use super::Ended;
use crate::context::Context;

/// `kos trust …`.
#[derive(Debug, Subcommand)]
pub enum Trust {
    /// Trust an author, or move one to another level.
    Add(change::Add),
    /// Trust an author no more; this can be taken back.
    Remove(change::Remove),
    /// Revoke a key or a component for good.
    Revoke(change::Revoke),
    /// List the authors and what was revoked.
    List(show::List),
    /// Explain why a key counts or does not.
    Explain(show::Explain),
    /// Show or change what a level may hold at most.
    Policy(policy::Policy),
    /// Put a trust store in force that was signed elsewhere.
    Install(change::Install),
}

impl Trust {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::Add(command) => command.run(context),
            Self::Remove(command) => command.run(context),
            Self::Revoke(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Explain(command) => command.run(context),
            Self::Policy(command) => command.run(context),
            Self::Install(command) => command.run(context),
        }
    }
}
