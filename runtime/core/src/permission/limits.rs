//! How much of the host an agent may use: one number for each thing that runs out (I7).
//!
//! In scope: the limits, their defaults, and how several statements of a limit combine (the least counts). Out of
//! scope: enforcing them, which the host does with an exit reason of its own for each.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::{display_span, parse_span};
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
/// A year, for services that stay.
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

/// Why a limit cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// No limit has this name.
    #[error("`{text}` is not a limit; there are: {}", LimitName::listing())]
    Name {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// Not an amount in the limit's unit.
    #[error("the limit `{name}` cannot be `{text}`: write {expected}")]
    Amount {
        /// Which limit.
        name: LimitName,
        /// What was given, cut to a displayable length.
        text: String,
        /// How its amounts are written.
        expected: &'static str,
    },
    /// An amount that no host enforces, or that would stop everything.
    #[error(
        "the limit `{name}` must lie between {} and {}", name.display(name.minimum()), name.display(name.maximum())
    )]
    Range {
        /// Which limit.
        name: LimitName,
    },
    /// Named twice.
    #[error("the limit `{name}` is given twice")]
    Twice {
        /// Which limit.
        name: LimitName,
    },
    /// Not `name=amount,name=amount`.
    #[error("`{text}` is not a limit: write it as `memory=16MiB`")]
    Form {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// Only a grant raises a limit.
    #[error(
        "the limit `{name}` is {} and can only be lowered for a run, not raised to {}; to raise it, grant the agent \
         a higher one", name.display(*limit), name.display(*asked)
    )]
    Raise {
        /// Which limit.
        name: LimitName,
        /// The limit in force.
        limit: u64,
        /// What was asked for.
        asked: u64,
    },
}

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
    /// Units of fuel.
    Cpu,
    /// Milliseconds of wall time.
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
    /// Bytes in the agent's directory.
    Storage,
    /// Files in the agent's directory.
    Files,
}

impl LimitName {
    /// Every limit that a grant can name.
    pub const ALL: [Self; 12] = [
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
            | Self::Payload => 1,
            Self::Output | Self::NoteBytes | Self::NotesPerMinute | Self::Storage | Self::Files => 0,
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
        let amount = amount.ok_or_else(|| LimitError::Amount { name: self, text: shown(text), expected })?;
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

    fn checked(self, amount: u64) -> Result<u64, LimitError> {
        if (self.minimum()..=self.maximum()).contains(&amount) {
            Ok(amount)
        } else {
            Err(LimitError::Range { name: self })
        }
    }

    const fn unit(self) -> Unit {
        match self {
            Self::Memory | Self::Payload | Self::Output | Self::NoteBytes | Self::Storage => Unit::Bytes,
            Self::Duration => Unit::Span,
            Self::Cpu
            | Self::Table
            | Self::Handles
            | Self::Instances
            | Self::NotesPerMinute
            | Self::Files => Unit::Count,
        }
    }

    fn listing() -> String {
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
            .ok_or_else(|| LimitError::Name { text: shown(text) })
    }
}

serde_as_text!(LimitName);

/// The limits that one statement names; the others it leaves to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct LimitSet(BTreeMap<LimitName, u64>);

impl LimitSet {
    /// Names a limit.
    ///
    /// # Errors
    /// [`LimitError::Range`], or [`LimitError::Twice`] when it is named already.
    pub fn insert(&mut self, name: LimitName, amount: u64) -> Result<(), LimitError> {
        match self.0.insert(name, name.checked(amount)?) {
            None => Ok(()),
            Some(_) => Err(LimitError::Twice { name }),
        }
    }

    /// The named limits in order.
    pub fn iter(&self) -> impl Iterator<Item = (LimitName, u64)> + '_ {
        self.0.iter().map(|(name, amount)| (*name, *amount))
    }

    /// Whether it names none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The amount named for `name`.
    #[must_use]
    pub fn named(&self, name: LimitName) -> Option<u64> {
        self.0.get(&name).copied()
    }
}

impl<'de> Deserialize<'de> for LimitSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut limits = Self::default();
        for (name, amount) in BTreeMap::<LimitName, u64>::deserialize(deserializer)? {
            limits.insert(name, amount).map_err(serde::de::Error::custom)?;
        }
        Ok(limits)
    }
}

/// Every limit of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory: u64,
    /// Units of fuel.
    pub cpu: u64,
    /// Milliseconds of wall time.
    pub duration: u64,
    /// Elements of tables.
    pub table: u64,
    /// Open resources.
    pub handles: u64,
    /// Core instances.
    pub instances: u64,
    /// Bytes that one host call may carry.
    pub payload: u64,
    /// Bytes of standard output and error together.
    pub output: u64,
    /// Bytes of remarks in the log.
    pub note_bytes: u64,
    /// Remarks per minute.
    pub notes_per_minute: u64,
    /// Bytes in the agent's directory.
    pub storage: u64,
    /// Files in the agent's directory.
    pub files: u64,
}

impl Limits {
    /// What holds where nobody says anything: every limit has a number, none is absent.
    pub const STANDARD: Self = Self {
        memory: MEMORY,
        cpu: CPU,
        duration: DURATION,
        table: TABLE,
        handles: HANDLES,
        instances: INSTANCES,
        payload: PAYLOAD,
        output: OUTPUT,
        note_bytes: NOTE_BYTES,
        notes_per_minute: NOTES_PER_MINUTE,
        storage: STORAGE,
        files: FILES,
    };

    /// The amount of one limit.
    #[must_use]
    pub const fn amount(&self, name: LimitName) -> u64 {
        match name {
            LimitName::Memory => self.memory,
            LimitName::Cpu => self.cpu,
            LimitName::Duration => self.duration,
            LimitName::Table => self.table,
            LimitName::Handles => self.handles,
            LimitName::Instances => self.instances,
            LimitName::Payload => self.payload,
            LimitName::Output => self.output,
            LimitName::NoteBytes => self.note_bytes,
            LimitName::NotesPerMinute => self.notes_per_minute,
            LimitName::Storage => self.storage,
            LimitName::Files => self.files,
        }
    }

    /// The least of each.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        let mut least = *self;
        for name in LimitName::ALL {
            least.set(name, self.amount(name).min(other.amount(name)));
        }
        least
    }

    /// What several grants say together: the least that any names, and the standard where none names one.
    #[must_use]
    pub fn of_grants<'a>(grants: impl IntoIterator<Item = &'a LimitSet> + Clone) -> Self {
        let mut limits = Self::STANDARD;
        for name in LimitName::ALL {
            let named = grants.clone().into_iter().filter_map(|grant| grant.named(name)).min();
            limits.set(name, named.unwrap_or(name.standard()));
        }
        limits
    }

    /// These limits, but no more of `name` than `most`.
    #[must_use]
    pub fn at_most(mut self, name: LimitName, most: u64) -> Self {
        self.set(name, self.amount(name).min(most));
        self
    }

    /// These limits, lowered as the overrides say.
    ///
    /// # Errors
    /// [`LimitError::Raise`] when one would be raised.
    pub fn lowered(mut self, overrides: &LimitSet) -> Result<Self, LimitError> {
        for (name, asked) in overrides.iter() {
            let limit = self.amount(name);
            if asked > limit {
                return Err(LimitError::Raise { name, limit, asked });
            }
            self.set(name, asked);
        }
        Ok(self)
    }

    /// Reads the overrides of one run, `memory=16MiB,cpu=1G,duration=5s`. They take effect through
    /// [`Limits::lowered`].
    ///
    /// # Errors
    /// [`LimitError`] for anything else.
    pub fn parse_overrides(text: &str) -> Result<LimitSet, LimitError> {
        let mut limits = LimitSet::default();
        for part in text.split(',') {
            let (name, amount) =
                part.split_once('=').ok_or_else(|| LimitError::Form { text: shown(part) })?;
            let name: LimitName = name.parse()?;
            limits.insert(name, name.parse(amount)?)?;
        }
        Ok(limits)
    }

    fn set(&mut self, name: LimitName, amount: u64) {
        match name {
            LimitName::Memory => self.memory = amount,
            LimitName::Cpu => self.cpu = amount,
            LimitName::Duration => self.duration = amount,
            LimitName::Table => self.table = amount,
            LimitName::Handles => self.handles = amount,
            LimitName::Instances => self.instances = amount,
            LimitName::Payload => self.payload = amount,
            LimitName::Output => self.output = amount,
            LimitName::NoteBytes => self.note_bytes = amount,
            LimitName::NotesPerMinute => self.notes_per_minute = amount,
            LimitName::Storage => self.storage = amount,
            LimitName::Files => self.files = amount,
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(80).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_standard_within_its_range_and_is_read_back() {
        for name in LimitName::ALL {
            assert_eq!(name.as_str().parse::<LimitName>().unwrap(), name);
            assert!(name.minimum() <= name.standard() && name.standard() <= name.maximum(), "{name}");
            assert_eq!(Limits::STANDARD.amount(name), name.standard());
            for amount in [name.minimum().max(1), name.standard(), name.maximum()] {
                assert_eq!(name.parse(&name.display(amount)).unwrap(), amount, "{name}");
            }
            assert_eq!(name.checked(name.maximum() + 1), Err(LimitError::Range { name }));
        }
    }

    #[test]
    fn overrides_lower_and_never_raise() {
        let overrides = Limits::parse_overrides("memory=16MiB,cpu=1G,duration=5s").unwrap();
        let limits = Limits::STANDARD.lowered(&overrides).unwrap();
        assert_eq!((limits.memory, limits.cpu, limits.duration), (16 << 20, 1_000_000_000, 5_000));
        assert_eq!(limits.handles, HANDLES);
        for name in LimitName::ALL {
            let mut raise = LimitSet::default();
            raise.insert(name, name.standard() + 1).unwrap();
            assert!(
                matches!(Limits::STANDARD.lowered(&raise), Err(LimitError::Raise { name: refused, .. }) if refused == name)
            );
        }
    }

    #[test]
    fn malformed_overrides_are_refused() {
        for text in [
            "",
            "memory",
            "memory=",
            "memory=64",
            "memory=64MB",
            "memory=0B",
            "memory=5GiB",
            "memory=1MiB,memory=2MiB",
            "memory=1MiB,",
            "Memory=1MiB",
            "disk=1MiB",
            "duration=forever",
            "duration=0s",
            "cpu=-1",
            "cpu=unlimited",
            "stack=1MiB",
            " memory=1MiB",
        ] {
            assert!(Limits::parse_overrides(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_least_that_any_grant_names_counts() {
        let low = Limits::parse_overrides("memory=16MiB,files=1").unwrap();
        let high = Limits::parse_overrides("memory=256MiB,cpu=20G").unwrap();
        let both = Limits::of_grants([&low, &high]);
        assert_eq!((both.memory, both.files, both.cpu), (16 << 20, 1, 20_000_000_000));
        assert_eq!(Limits::of_grants([]), Limits::STANDARD);
        assert_eq!(both.min(&Limits::STANDARD).cpu, CPU);
        assert_eq!(both.at_most(LimitName::Memory, 1).memory, 1);
    }

    #[test]
    fn limits_in_a_document_are_checked_like_those_of_the_command_line() {
        let read = |text: &str| serde_json::from_str::<LimitSet>(text);
        assert_eq!(read(r#"{"memory":65536}"#).unwrap().named(LimitName::Memory), Some(65_536));
        for text in [
            r#"{"memory":0}"#,
            r#"{"disk":1}"#,
            r#"{"memory":-1}"#,
            r#"{"memory":1.5}"#,
            r#"{"memory":null}"#,
            r#"{"memory":"64MiB"}"#,
            r#"{"memory":99999999999999}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
