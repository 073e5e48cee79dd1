//! How much of the host an agent may use: one number for each thing that runs out (I7).
//!
//! In scope: the limits, their defaults, and how several statements of a limit combine (the least counts). Out of
//! scope: enforcing them, which the host does with an exit reason of its own for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::limit_name::{
    ACCESSES_PER_MINUTE, CPU, DURATION, FILES, HANDLES, INSTANCES, LimitName, MAILBOX, MEMORY, NOTE_BYTES,
    NOTES_PER_MINUTE, OUTPUT, PAYLOAD, SECRET_BYTES, STORAGE, TABLE,
};
use crate::line;

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
    /// Units of fuel of a task, or of a message of a service.
    pub cpu: u64,
    /// Milliseconds of wall time of a task, or of a message of a service.
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
    /// Accesses to secrets per minute.
    pub accesses_per_minute: u64,
    /// Bytes of secrets that the run stores.
    pub secret_bytes: u64,
    /// Messages that wait for the agent.
    pub mailbox: u64,
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
        accesses_per_minute: ACCESSES_PER_MINUTE,
        secret_bytes: SECRET_BYTES,
        mailbox: MAILBOX,
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
            LimitName::AccessesPerMinute => self.accesses_per_minute,
            LimitName::SecretBytes => self.secret_bytes,
            LimitName::Mailbox => self.mailbox,
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

    /// The most that a grant may name of each.
    pub(super) fn widest() -> Self {
        let mut limits = Self::STANDARD;
        for name in LimitName::ALL {
            limits.set(name, name.maximum());
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
                part.split_once('=').ok_or_else(|| LimitError::Form { text: line::shown(part) })?;
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
            LimitName::AccessesPerMinute => self.accesses_per_minute = amount,
            LimitName::SecretBytes => self.secret_bytes = amount,
            LimitName::Mailbox => self.mailbox = amount,
            LimitName::Storage => self.storage = amount,
            LimitName::Files => self.files = amount,
        }
    }
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
