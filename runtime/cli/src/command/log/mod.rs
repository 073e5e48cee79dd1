//! `kos log`: reading and verifying the log, of this home or of a copied folder.

mod checkpoint;
mod entries;
mod export;
mod prove;
mod show;
pub(in crate::command) mod source;
pub(super) mod tail;
mod verify;

use clap::Subcommand;

use super::Ended;
use crate::context::Context;

/// `kos log …`.
#[derive(Debug, Subcommand)]
pub enum Log {
    /// Show entries.
    Show(show::Show),
    /// Show the last entries, and follow.
    Tail(tail::Tail),
    /// Verify every entry, every hash and the checkpoint's signature.
    Verify(verify::Verify),
    /// Prove that an entry is in the log, or check such a proof.
    Prove(prove::Prove),
    /// Print the checkpoint: the signed head of the log, to keep elsewhere.
    Checkpoint(checkpoint::Checkpoint),
    /// Copy the log's public files into a folder, for verifying elsewhere.
    Export(export::Export),
}

impl Log {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::Show(command) => command.run(context),
            Self::Tail(command) => command.run(context),
            Self::Verify(command) => command.run(context),
            Self::Prove(command) => command.run(context),
            Self::Checkpoint(command) => command.run(context),
            Self::Export(command) => command.run(context),
        }
    }
}
