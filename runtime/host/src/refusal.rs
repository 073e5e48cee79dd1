//! Why an agent was not launched: the fact in one line, the command that would change it, and the exit status.
//!
//! In scope: every way in which a launch ends before the agent's first instruction. Out of scope: how a run ends (`outcome`).

use std::path::PathBuf;

use kos_core::custody::CustodyError;
use kos_core::custody::agents::AgentsError;
use kos_core::durable::DurableError;
use kos_core::log::LogError;
use kos_core::manifest;
use kos_core::permission::{LaunchRefusal, LimitError, Missing, PermissionError};
use kos_core::trust::TrustError;

use crate::compile::CompileError;
use crate::storage::StorageError;
use crate::transport::ServerError;

/// Exit status of a launch that policy refused.
const REFUSED: u8 = 126;
/// Exit status of a launch that the host could not make.
const HOST_FAILED: u8 = 125;
/// Exit status when there is no such component.
const NOT_FOUND: u8 = 127;

/// Why an agent was not launched. Nothing of it has run.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Everything was stopped, and operators have not said that it is over.
    #[error("the kill switch is engaged: {why}")]
    KillSwitch {
        /// What is known of it.
        why: String,
    },
    /// There is no such file.
    #[error("there is no component at {}", path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The component, its signature or its author is not accepted.
    #[error(transparent)]
    Component(#[from] manifest::Refusal),
    /// The operators' trust store is not accepted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A grant file is not accepted.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// The grants do not allow a launch.
    #[error(transparent)]
    Launch(#[from] LaunchRefusal),
    /// A limit was asked for that cannot be had.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The component is older than one that ran before, or its record is not accepted.
    #[error(transparent)]
    Agent(AgentsError),
    /// The component imports interfaces of which it may use nothing.
    #[error("it imports what it may not use: {}", listed(missing))]
    Missing {
        /// What is missing, each with the command that gives it.
        missing: Vec<Missing>,
    },
    /// The component imports what this host does not have.
    #[error("it imports {}, which this host does not have", names.join(", "))]
    UnknownImport {
        /// The imports' names.
        names: Vec<String>,
    },
    /// The component has nothing that a host could call.
    #[error(
        "it exports neither wasi:cli/run, as a task does, nor kos:agent/handler@0.1.0, as a service does"
    )]
    NoMain,
    /// The component is a task and a service at once.
    #[error("it exports both wasi:cli/run and kos:agent/handler@0.1.0: it is either a task or a service")]
    TwoMains,
    /// The component cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The component does not fit the contract, or this host's engine.
    #[error("it does not fit this host: {cause}")]
    Link {
        /// What wasmtime says.
        cause: String,
    },
    /// All places are taken.
    #[error("the host has room for {agents} agents and they all run")]
    Full {
        /// How many run.
        agents: u32,
    },
    /// The agent's directory cannot be had.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log cannot be written, so nothing runs (I5).
    #[error("the log cannot be written, so nothing runs: {0}")]
    Log(#[from] LogError),
    /// The keys cannot be used.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The home's files cannot be used.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// Messages cannot travel as they should.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The operating system refused something that the host needs.
    #[error("the host cannot work: {cause}")]
    System {
        /// What it is.
        cause: String,
    },
}

impl From<AgentsError> for Refusal {
    fn from(error: AgentsError) -> Self {
        match error {
            AgentsError::Custody(error) => Self::Custody(error),
            AgentsError::Durable(error) => Self::Durable(error),
            error => Self::Agent(error),
        }
    }
}

impl Refusal {
    /// The operating system's refusal.
    pub(crate) fn system(error: std::io::Error) -> Self {
        Self::System { cause: error.to_string() }
    }

    /// The command that would change it, where there is one.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::KillSwitch { .. } => Some("kos kill-switch resume".into()),
            Self::Component(refusal) => refusal.remedy(),
            Self::Trust(error) => error.remedy(),
            Self::Missing { missing } => {
                let mut changes: Vec<&str> = missing.iter().map(|missing| missing.change.as_str()).collect();
                changes.dedup();
                Some(changes.join("\n"))
            }
            Self::Agent(AgentsError::Rollback { .. }) => {
                Some("grant the agent with `allow_rollback = true`, or launch the newer version".into())
            }
            Self::UnknownImport { .. } => {
                Some("build the component against the WIT of this version of kOS".into())
            }
            Self::NoMain => Some("build it as a command: `cargo build --target wasm32-wasip2`".into()),
            Self::TwoMains => Some("build two components of it".into()),
            Self::Full { .. } => Some("kos stop AGENT".into()),
            Self::Storage(StorageError::Busy) => Some("kos ps".into()),
            Self::Compile(CompileError::Timeout { .. }) => {
                Some("launch it again when the machine is less busy".into())
            }
            Self::Log(_) => Some("kos log verify".into()),
            Self::Custody(CustodyError::Locked) => Some("kos vault unlock".into()),
            _ => None,
        }
    }

    /// 127 for no such component, 126 for what policy refuses, 125 for what the host could not do.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NotFound { .. } => NOT_FOUND,
            _ if self.is_policy() => REFUSED,
            _ => HOST_FAILED,
        }
    }

    /// Whether it is the component or its permissions that were refused, which is a fact for the log.
    #[must_use]
    pub fn is_policy(&self) -> bool {
        match self {
            Self::KillSwitch { .. }
            | Self::Component(_)
            | Self::Trust(_)
            | Self::Permission(_)
            | Self::Launch(_)
            | Self::Limit(_)
            | Self::Agent(_)
            | Self::Missing { .. }
            | Self::UnknownImport { .. }
            | Self::NoMain
            | Self::TwoMains
            | Self::Compile(
                CompileError::Invalid { .. } | CompileError::Broke { .. } | CompileError::TooLarge { .. },
            )
            | Self::Link { .. } => true,
            Self::NotFound { .. }
            | Self::Compile(_)
            | Self::Full { .. }
            | Self::Storage(_)
            | Self::Log(_)
            | Self::Custody(_)
            | Self::Durable(_)
            | Self::Server(_)
            | Self::System { .. } => false,
        }
    }

    /// The refusal's name in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::KillSwitch { .. } => "kill-switch",
            Self::NotFound { .. } => "not-found",
            Self::Component(refusal) => refusal.name(),
            Self::Trust(_) => "trust-store",
            Self::Permission(_) => "grant-file",
            Self::Launch(_) => "no-grant",
            Self::Limit(_) => "limit",
            Self::Agent(AgentsError::Rollback { .. }) => "rollback",
            Self::Agent(_) => "agent-record",
            Self::Missing { .. } => "missing-permission",
            Self::UnknownImport { .. } => "unknown-import",
            Self::NoMain => "no-main",
            Self::TwoMains => "two-mains",
            Self::Compile(_) => "compile",
            Self::Link { .. } => "link",
            Self::Full { .. } => "full",
            Self::Storage(_) => "storage",
            Self::Log(_) => "log",
            Self::Custody(_) => "keys",
            Self::Durable(_) => "files",
            Self::Server(_) => "message-server",
            Self::System { .. } => "system",
        }
    }
}

fn listed(missing: &[Missing]) -> String {
    missing.iter().map(|missing| missing.capability.to_string()).collect::<Vec<_>>().join(", ")
}
