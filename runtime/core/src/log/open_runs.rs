//! Runs that were launched and have not ended, as the entries tell it.
//!
//! In scope: what is kept of `agent_launch` (`details.run`, `details.host`) until its `agent_exit` (`details.run`). Out of
//! scope: deciding that a run is dead ([`crate::recovery`]). Keeps I8: what a crash left open is found again.

use serde::{Deserialize, Serialize};

/// A run without an exit entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRun {
    /// Identifier of the run (`details.run`).
    pub run: String,
    /// Identifier of the host process that launched it (`details.host`).
    pub host: String,
    /// Whose run it is: `details.agent`, else the actor of the launch.
    pub agent: String,
    /// Index of the launch entry.
    pub index: u64,
}
