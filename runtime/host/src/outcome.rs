//! How a run ended, decided in one place.
//!
//! In scope: the outcomes, their names in the log, their exit statuses, and the translation of every error that
//! wasmtime can hand back. Out of scope: who enforces a limit (`limits`, `run`, `output`).
//!
//! Keeps I7: each limit has an outcome of its own.

use std::fmt;

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;
use wasmtime_wasi::I32Exit;

use crate::text;

/// Longest trap message that is kept. It may quote the guest.
const TRAP_MESSAGE_BYTES: usize = 256;

/// Why a run is over.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The agent's `main` returned, or it exited with success.
    Ok,
    /// The agent ended itself with a status other than zero.
    Error {
        /// The status.
        status: u8,
    },
    /// The agent broke: `unreachable`, a division by zero, a wrong argument to the host.
    Trap {
        /// What happened, in one printable line.
        message: String,
    },
    /// The CPU budget is used up.
    Fuel,
    /// The time allowed for the run, or for a message, is over.
    Deadline,
    /// The agent asked for more linear memory than its limit.
    Memory,
    /// The agent asked for more table elements than its limit.
    Table,
    /// The component has more core instances than its limit.
    Instances,
    /// The agent holds more handles than its limit.
    Handles,
    /// One host call carried more bytes than its limit.
    Payload,
    /// The agent's stack is full.
    Stack,
    /// The agent wrote more to stdout and stderr than its limit.
    Output,
    /// The agent wrote more notes into the log than its limit.
    Notes,
    /// The agent was stopped from outside.
    Killed,
}

impl Outcome {
    /// The outcome's name in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error { .. } => "error",
            Self::Trap { .. } => "trap",
            Self::Fuel => "fuel",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Table => "table",
            Self::Instances => "instances",
            Self::Handles => "handles",
            Self::Payload => "payload",
            Self::Stack => "stack",
            Self::Output => "output",
            Self::Notes => "notes",
            Self::Killed => "killed",
        }
    }

    /// The exit status of a process that ran this one agent: the agent's own, 124 for the deadline, 134 for a trap,
    /// 137 for everything else that the host ended.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error { status } => *status,
            Self::Deadline => 124,
            Self::Trap { .. } => 134,
            Self::Fuel
            | Self::Memory
            | Self::Table
            | Self::Instances
            | Self::Handles
            | Self::Payload
            | Self::Stack
            | Self::Output
            | Self::Notes
            | Self::Killed => 137,
        }
    }

    /// The name under which `--limit` and a grant set the limit that ended the run, if one did.
    #[must_use]
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Fuel => Some("cpu"),
            Self::Deadline => Some("duration"),
            Self::Memory => Some("memory"),
            Self::Table => Some("table"),
            Self::Instances => Some("instances"),
            Self::Handles => Some("handles"),
            Self::Payload => Some("payload"),
            Self::Output => Some("output"),
            Self::Notes => Some("note-bytes"),
            Self::Ok | Self::Error { .. } | Self::Trap { .. } | Self::Stack | Self::Killed => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { status } => write!(formatter, "error (status {status})"),
            Self::Trap { message } => write!(formatter, "trap: {message}"),
            other => formatter.write_str(other.name()),
        }
    }
}

/// What our own code throws into a running guest to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the agent's memory would grow beyond its limit")]
    Memory,
    #[error("the agent's tables would grow beyond their limit")]
    Table,
    #[error("a host call carried more than its limit")]
    Payload,
    #[error("the agent wrote more output than its limit")]
    Output,
    #[error("the agent wrote more notes than its limit")]
    Notes,
    #[error("the agent's time is over")]
    Deadline,
    #[error("the agent was stopped")]
    Killed,
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Memory => Self::Memory,
            Ended::Table => Self::Table,
            Ended::Payload => Self::Payload,
            Ended::Output => Self::Output,
            Ended::Notes => Self::Notes,
            Ended::Deadline => Self::Deadline,
            Ended::Killed => Self::Killed,
        }
    }
}

/// What `wasi:cli/run` gave back, as an outcome.
impl From<Result<(), ()>> for Outcome {
    fn from(returned: Result<(), ()>) -> Self {
        match returned {
            Ok(()) => Self::Ok,
            Err(()) => Self::Error { status: 1 },
        }
    }
}

impl From<&wasmtime::Error> for Outcome {
    fn from(error: &wasmtime::Error) -> Self {
        if let Some(ended) = error.downcast_ref::<Ended>() {
            return Self::from(*ended);
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Self::from(exit);
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
            return Self::Handles;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Self::Fuel,
            Some(Trap::StackOverflow) => Self::Stack,
            Some(Trap::Interrupt) => Self::Deadline,
            Some(trap) => Self::Trap { message: text::one_line(&trap.to_string(), TRAP_MESSAGE_BYTES) },
            None => Self::from_private_error(error),
        }
    }
}

impl From<&I32Exit> for Outcome {
    fn from(exit: &I32Exit) -> Self {
        match exit.0 {
            0 => Self::Ok,
            status => Self::Error { status: u8::try_from(status).unwrap_or(1) },
        }
    }
}

impl Outcome {
    /// wasmtime 48 keeps these three error types to itself; their texts are the only way to tell them apart. The tests of
    /// `limits` fail when a new version words them differently.
    fn from_private_error(error: &wasmtime::Error) -> Self {
        let cause = error.root_cause().to_string();
        if cause.contains("fuel allocated for hostcalls has been exhausted") {
            Self::Payload
        } else if cause.contains("store handle limit exceeded") {
            Self::Handles
        } else if cause.contains("resource limit exceeded: instance") {
            Self::Instances
        } else {
            Self::Trap { message: text::one_line(&cause, TRAP_MESSAGE_BYTES) }
        }
    }
}
