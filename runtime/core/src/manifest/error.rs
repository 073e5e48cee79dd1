//! Why a manifest is not one.

use crate::canonical::CanonicalError;
use crate::capability::{Capability, CapabilityScopeError};
use crate::clock::{ClockError, Timestamp};
use crate::id::{IdError, Name};
use crate::quantity::QuantityError;

/// Why a manifest is refused, in `agent.toml` or in a signed statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Larger than any honest `agent.toml`.
    #[error("the agent file has {size} bytes; at most {max} are read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The cap in bytes.
        max: usize,
    },
    /// Not TOML, or of another shape; the cause names line and column.
    #[error("the agent file is malformed: {cause}")]
    Toml {
        /// What is wrong, and where.
        cause: String,
    },
    /// Not the canonical JSON of a statement.
    #[error("the statement is refused: {0}")]
    Document(#[from] CanonicalError),
    /// Another kind of statement.
    #[error("the statement is not an agent manifest: its {field} is `{found}`")]
    Kind {
        /// Which field says so.
        field: &'static str,
        /// What it says, cut to a displayable length.
        found: String,
    },
    /// Not exactly one subject.
    #[error("the statement has {count} subjects; an agent manifest has one")]
    Subjects {
        /// How many there are.
        count: usize,
    },
    /// The subject has another name than the manifest.
    #[error("the statement is about `{subject}`, its manifest about `{name}`")]
    SubjectName {
        /// The subject's name.
        subject: Name,
        /// The manifest's name.
        name: Name,
    },
    /// Not an identifier.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Not a time or a span.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Not an amount.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// Not a version, too long, or one with build metadata, which has no order.
    #[error("`{text}` is not a version: write MAJOR.MINOR.PATCH, without build metadata")]
    Version {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// A text that is empty, too long or not one honest line.
    #[error("the {what} must be one line of at most {max} bytes, without control characters")]
    Text {
        /// Which text.
        what: &'static str,
        /// The cap in bytes.
        max: usize,
    },
    /// The capabilities are not sorted, or one stands twice.
    #[error("the capabilities are not sorted, or one of them stands twice")]
    CapabilityOrder,
    /// A capability that is held for scopes, without any.
    #[error(
        "`{capability}` needs a scope, the {describes}: write scope = [\"…\"], or [\"*\"] for every {describes}"
    )]
    ScopeMissing {
        /// The capability.
        capability: Capability,
        /// What its scope names.
        describes: &'static str,
    },
    /// A pattern that the capability cannot be held for.
    #[error(transparent)]
    Scope(#[from] CapabilityScopeError),
    /// A capability that has no scopes, with some.
    #[error("`{capability}` has no scope: leave `scope` out")]
    ScopeUnexpected {
        /// The capability.
        capability: Capability,
    },
    /// Too many scopes.
    #[error("`{capability}` names {count} scopes; at most {max} are read")]
    ScopeCount {
        /// The capability.
        capability: Capability,
        /// How many there are.
        count: usize,
        /// The cap.
        max: usize,
    },
    /// Scopes that are not sorted, or one that stands twice.
    #[error("the scopes of `{capability}` are not sorted, or one of them stands twice")]
    ScopeOrder {
        /// The capability.
        capability: Capability,
    },
    /// No memory at all, or more than a 32-bit memory.
    #[error("{memory} bytes of memory cannot be declared; between 1 and {max} can")]
    Memory {
        /// What was declared.
        memory: u64,
        /// The cap.
        max: u64,
    },
    /// It ends before it begins.
    #[error("the manifest ends on {expires}, not after it begins on {not_before}")]
    Interval {
        /// Its first instant.
        not_before: Timestamp,
        /// Its end.
        expires: Timestamp,
    },
}
