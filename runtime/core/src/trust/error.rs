//! Why a trust store is not used or not changed.

use std::path::PathBuf;

use crate::canonical::CanonicalError;
use crate::clock::Timestamp;
use crate::durable::DurableError;
use crate::envelope::EnvelopeError;
use crate::id::{Did, Digest, TrustLevel};
use crate::line;

/// Why a trust store is refused, or an edit of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// There is none, so nobody is trusted.
    #[error("there is no trust store at {}, so nobody is trusted", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file system refused.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The operators have not signed it, or it is no envelope.
    #[error("the trust store is refused: {0}")]
    Envelope(#[from] EnvelopeError),
    /// What the operators signed is not a trust store in its one form.
    #[error("the trust store is refused: {0}")]
    Document(#[from] CanonicalError),
    /// A newer one has been in force here.
    #[error(
        "the trust store is refused: it is version {version}, and version {floor} has been in force here"
    )]
    RolledBack {
        /// Its version.
        version: u64,
        /// The newest version seen.
        floor: u64,
    },
    /// There are two different stores with one version.
    #[error("the trust store is refused: another one with the same version {version} has been in force here")]
    Forked {
        /// The version of both.
        version: u64,
    },
    /// Somebody else changed the store in the meantime.
    #[error("version {version} of the trust store cannot follow version {current}, which is in force")]
    Stale {
        /// The version that was to be installed.
        version: u64,
        /// The version in force.
        current: u64,
    },
    /// It says that it was issued later than now.
    #[error("the trust store is refused: it was issued at {issued}, and it is {now}")]
    FromTheFuture {
        /// When it says it was issued.
        issued: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// The memory of the newest version is damaged.
    #[error("{} is damaged: {source}", path.display())]
    Floor {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CanonicalError,
    },
    /// The version is zero or beyond what JSON keeps exactly.
    #[error("{version} is not a version of a trust store")]
    Version {
        /// What it says.
        version: u64,
    },
    /// A policy stands under another level's name.
    #[error("the policy of the level {level} says that it is for {found}")]
    PolicyLevel {
        /// Where it stands.
        level: TrustLevel,
        /// What it says.
        found: TrustLevel,
    },
    /// A policy asks for no signatures, or for more than an envelope carries.
    #[error("the level {level} cannot require {signatures} signatures; between 1 and {max} can be required")]
    Threshold {
        /// The level.
        level: TrustLevel,
        /// What was asked for.
        signatures: usize,
        /// The most that can be required.
        max: usize,
    },
    /// A limit is zero, or beyond what JSON keeps exactly.
    #[error("the {limit} limit of the level {level} cannot be {amount}")]
    Limit {
        /// The level.
        level: TrustLevel,
        /// Which limit.
        limit: &'static str,
        /// What was asked for.
        amount: u64,
    },
    /// A lower level would hold more than a higher one.
    #[error("the level {lower} would be allowed more than {higher}: {what}")]
    NotNested {
        /// The lower level.
        lower: TrustLevel,
        /// The higher level.
        higher: TrustLevel,
        /// What the lower one would have and the higher one not.
        what: &'static str,
    },
    /// Not a ceiling.
    #[error("`{text}` is not a ceiling: write a capability, an interface and `.*` (`crypto.*`), or `*`")]
    Ceiling {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// A ceiling is not sorted, or has something twice.
    #[error("the ceiling of the level {level} is not sorted, or names something twice")]
    CeilingOrder {
        /// The level.
        level: TrustLevel,
    },
    /// A label or a reason that is empty, too long or not one honest line.
    #[error("a {what} must be one line of at most {max} bytes, without control characters")]
    Text {
        /// Which text.
        what: &'static str,
        /// The cap in bytes.
        max: usize,
    },
    /// The key was revoked, and a revoked key does not come back.
    #[error("{key} was revoked on {at}: {reason}; a revoked key is never trusted again")]
    KeyRevoked {
        /// The key.
        key: Did,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// The key is no author of the store.
    #[error("{key} is not a trusted author")]
    UnknownAuthor {
        /// The key.
        key: Did,
    },
    /// The edit would change nothing.
    #[error("{what} is so already")]
    Unchanged {
        /// What it would have made so.
        what: String,
    },
    /// The component is revoked already.
    #[error("{component} is revoked already")]
    ComponentRevoked {
        /// The component.
        component: Digest,
    },
}

impl TrustError {
    /// The command that would change it, where there is one.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("kos trust add did:key:… --level external".to_owned()),
            Self::Stale { .. } => Some("kos trust list".to_owned()),
            Self::KeyRevoked { .. } => {
                Some("kos trust add did:key:… --level external   (the author's new key)".to_owned())
            }
            Self::UnknownAuthor { key } => Some(format!("kos trust add {key} --level external")),
            Self::RolledBack { .. } | Self::Forked { .. } => {
                Some("copy the operators' newest trust/store.json here".to_owned())
            }
            Self::Durable(_)
            | Self::Envelope(_)
            | Self::Document(_)
            | Self::FromTheFuture { .. }
            | Self::Floor { .. }
            | Self::Version { .. }
            | Self::PolicyLevel { .. }
            | Self::Threshold { .. }
            | Self::Limit { .. }
            | Self::NotNested { .. }
            | Self::Ceiling { .. }
            | Self::CeilingOrder { .. }
            | Self::Text { .. }
            | Self::Unchanged { .. }
            | Self::ComponentRevoked { .. } => None,
        }
    }

    pub(super) fn ceiling(text: &str) -> Self {
        Self::Ceiling { text: line::shown(text) }
    }
}
