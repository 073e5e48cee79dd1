//! Which limits there are: for each its unit, its standard amount and its range, with the reasons.
//!
//! In scope: the table. Out of scope: how several statements of a limit combine ([`super::Limits`]).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limits::LimitError;
use crate::clock::{display_span, parse_span};
use crate::line;
use crate::quantity::{display_bytes, display_count, parse_bytes, parse_count};

/// Enough for an agent in any language with its heap; a board can lower it.
pub const MEMORY: u64 = 64 << 20;
/// All that a 32-bit memory can address.
const MEMORY_MAX: u64 = 4 << 30;
/// Units of fuel, about one per instruction: some seconds of computing.
pub const CPU: u64 = 10_000_000_000;
/// A hundred thousand times the default: weeks of computing.
const CPU_MAX: u64 = 1_000_000_000_000_000;
/// Milliseconds of wall time: a task that takes longer is stuck unless its operator says otherwise.
pub const DURATION: u64 = 60_000;
/// A year, for tasks that stay. A service stays anyway: its time is that of a message.
const DURATION_MAX: u64 = 366 * 24 * 60 * 60 * 1_000;
/// Function references: larger than the tables of any real program; each costs the host 16 bytes.
pub const TABLE: u64 = 20_000;
/// 16 MiB of references.
const TABLE_MAX: u64 = 1_000_000;
/// Open resources: an agent holds a hasher or a stream at a time, not thousands.
pub const HANDLES: u64 = 256;
/// The most that the host's tables are sized for.
const HANDLES_MAX: u64 = 65_536;
/// Core instances within one component: adapters and a language runtime make a dozen.
pub const INSTANCES: u64 = 64;
/// The most that the pooling allocator is asked for.
const INSTANCES_MAX: u64 = 1_024;
/// Bytes that one host call may carry: a document, not a disk image.
pub const PAYLOAD: u64 = 16 << 20;
/// A quarter of the largest memory.
const PAYLOAD_MAX: u64 = 1 << 30;
/// Bytes of standard output and error together in one run: a long report.
pub const OUTPUT: u64 = 1 << 20;
/// A large export.
const OUTPUT_MAX: u64 = 1 << 30;
/// Bytes of remarks in the log in one run: the log is kept for ever.
pub const NOTE_BYTES: u64 = 64 << 10;
/// What an operator may let one run add to the log.
const NOTE_BYTES_MAX: u64 = 64 << 20;
/// Remarks per minute: each is an entry that is made durable.
pub const NOTES_PER_MINUTE: u64 = 60;
/// A hundred a second.
const NOTES_PER_MINUTE_MAX: u64 = 6_000;
/// Accesses to secrets per minute: ten a second, each an entry that is made durable.
pub const ACCESSES_PER_MINUTE: u64 = 600;
/// A thousand a second: more than a disk makes durable.
const ACCESSES_PER_MINUTE_MAX: u64 = 60_000;
/// Bytes of secrets that one run stores: sixteen certificates with their keys. Each put writes the whole vault anew, which
/// all agents of an environment share.
pub const SECRET_BYTES: u64 = 256 << 10;
/// As much as a vault holds.
const SECRET_BYTES_MAX: u64 = 64 << 20;
/// Messages that wait for an agent: enough for a burst, while the last of them is still answered in time.
pub const MAILBOX: u64 = 64;
/// Each may be as large as a payload.
const MAILBOX_MAX: u64 = 4_096;
/// Bytes of the agent's own directory, where it has one.
pub const STORAGE: u64 = 64 << 20;
/// Beyond this an agent wants a database, not a directory.
const STORAGE_MAX: u64 = 1 << 40;
/// Files in that directory: each costs an inode however small it is.
pub const FILES: u64 = 1_024;
/// More would slow the directory itself.
const FILES_MAX: u64 = 1_000_000;
/// Bytes of wasm stack. Fixed when the engine is made and the same for every agent, so no grant names it.
pub const STACK: u64 = 512 << 10;

/// The unit in which a limit is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Count,
    Span,
}

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitName {
    /// Bytes of linear memory.
    Memory,
    /// Units of fuel of a task, or of a message of a service.
    Cpu,
    /// Milliseconds of wall time of a task, or of a message of a service.
    Duration,
    /// Elements of tables.
    Table,
    /// Open resources.
    Handles,
    /// Core instances.
    Instances,
    /// Bytes of one host call.
    Payload,
    /// Bytes of output.
    Output,
    /// Bytes of remarks in the log.
    NoteBytes,
    /// Remarks per minute.
    NotesPerMinute,
    /// Accesses to secrets per minute.
    AccessesPerMinute,
    /// Bytes of secrets that a run stores.
    SecretBytes,
    /// Messages that wait.
    Mailbox,
    /// Bytes in the agent's directory.
    Storage,
    /// Files in the agent's directory.
    Files,
}

impl LimitName {
    /// Every limit that a grant can name.
    pub const ALL: [Self; 15] = [
        Self::Memory,
        Self::Cpu,
        Self::Duration,
        Self::Table,
        Self::Handles,
        Self::Instances,
        Self::Payload,
        Self::Output,
        Self::NoteBytes,
        Self::NotesPerMinute,
        Self::AccessesPerMinute,
        Self::SecretBytes,
        Self::Mailbox,
        Self::Storage,
        Self::Files,
    ];

    /// The limit's name in documents and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Duration => "duration",
            Self::Table => "table",
            Self::Handles => "handles",
            Self::Instances => "instances",
            Self::Payload => "payload",
            Self::Output => "output",
            Self::NoteBytes => "note-bytes",
            Self::NotesPerMinute => "notes-per-minute",
            Self::AccessesPerMinute => "accesses-per-minute",
            Self::SecretBytes => "secret-bytes",
            Self::Mailbox => "mailbox",
            Self::Storage => "storage",
            Self::Files => "files",
        }
    }

    /// The amount that holds where no grant names one.
    #[must_use]
    pub const fn standard(self) -> u64 {
        match self {
            Self::Memory => MEMORY,
            Self::Cpu => CPU,
            Self::Duration => DURATION,
            Self::Table => TABLE,
            Self::Handles => HANDLES,
            Self::Instances => INSTANCES,
            Self::Payload => PAYLOAD,
            Self::Output => OUTPUT,
            Self::NoteBytes => NOTE_BYTES,
            Self::NotesPerMinute => NOTES_PER_MINUTE,
            Self::AccessesPerMinute => ACCESSES_PER_MINUTE,
            Self::SecretBytes => SECRET_BYTES,
            Self::Mailbox => MAILBOX,
            Self::Storage => STORAGE,
            Self::Files => FILES,
        }
    }

    /// The most that a grant may name.
    #[must_use]
    pub const fn maximum(self) -> u64 {
        match self {
            Self::Memory => MEMORY_MAX,
            Self::Cpu => CPU_MAX,
            Self::Duration => DURATION_MAX,
            Self::Table => TABLE_MAX,
            Self::Handles => HANDLES_MAX,
            Self::Instances => INSTANCES_MAX,
            Self::Payload => PAYLOAD_MAX,
            Self::Output => OUTPUT_MAX,
            Self::NoteBytes => NOTE_BYTES_MAX,
            Self::NotesPerMinute => NOTES_PER_MINUTE_MAX,
            Self::AccessesPerMinute => ACCESSES_PER_MINUTE_MAX,
            Self::SecretBytes => SECRET_BYTES_MAX,
            Self::Mailbox => MAILBOX_MAX,
            Self::Storage => STORAGE_MAX,
            Self::Files => FILES_MAX,
        }
    }

    /// The least that a grant may name: nothing where an agent can live without, else one. A zero that another
    /// program would read as "no limit" cannot be written.
    #[must_use]
    pub const fn minimum(self) -> u64 {
        match self {
            Self::Memory
            | Self::Cpu
            | Self::Duration
            | Self::Table
            | Self::Handles
            | Self::Instances
            | Self::Payload
            | Self::Mailbox => 1,
            Self::Output
            | Self::NoteBytes
            | Self::NotesPerMinute
            | Self::AccessesPerMinute
            | Self::SecretBytes
            | Self::Storage
            | Self::Files => 0,
        }
    }

    /// Reads an amount in the limit's unit.
    ///
    /// # Errors
    /// [`LimitError::Amount`] or [`LimitError::Range`].
    pub fn parse(self, text: &str) -> Result<u64, LimitError> {
        let (amount, expected) = match self.unit() {
            Unit::Bytes => (parse_bytes(text).ok(), "a size such as `64MiB`"),
            Unit::Count => (parse_count(text).ok(), "a count such as `500` or `10G`"),
            Unit::Span => {
                let span = parse_span(text).ok().and_then(|span| u64::try_from(span.as_millis()).ok());
                (span, "a span such as `30s`")
            }
        };
        let amount =
            amount.ok_or_else(|| LimitError::Amount { name: self, text: line::shown(text), expected })?;
        self.checked(amount)
    }

    /// Writes an amount as [`LimitName::parse`] reads it.
    #[must_use]
    pub fn display(self, amount: u64) -> String {
        match self.unit() {
            Unit::Bytes => display_bytes(amount),
            Unit::Count => display_count(amount),
            Unit::Span => display_span(Duration::from_millis(amount)),
        }
    }

    pub(super) fn checked(self, amount: u64) -> Result<u64, LimitError> {
        if (self.minimum()..=self.maximum()).contains(&amount) {
            Ok(amount)
        } else {
            Err(LimitError::Range { name: self })
        }
    }

    const fn unit(self) -> Unit {
        match self {
            Self::Memory
            | Self::Payload
            | Self::Output
            | Self::NoteBytes
            | Self::SecretBytes
            | Self::Storage => Unit::Bytes,
            Self::Duration => Unit::Span,
            Self::Cpu
            | Self::Table
            | Self::Handles
            | Self::Instances
            | Self::NotesPerMinute
            | Self::AccessesPerMinute
            | Self::Mailbox
            | Self::Files => Unit::Count,
        }
    }

    pub(super) fn listing() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for LimitName {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| LimitError::Name { text: line::shown(text) })
    }
}

serde_as_text!(LimitName);
