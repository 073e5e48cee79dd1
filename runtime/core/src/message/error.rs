//! Why a message is not made, not accepted, or not opened.
//!
//! A [`Rejection`] is for the log, which counts by [`Rejection::name`]. It holds nothing of the message but numbers, so
//! that no sender decides how long an entry is.

use std::path::PathBuf;

use super::content::{BODY_MAX, TOPIC_MAX};
use super::{MESSAGE_MAX, SKEW};
use crate::canonical::CanonicalError;
use crate::clock::Timestamp;
use crate::crypto::{CryptoError, SignError};
use crate::durable::DurableError;
use crate::id::Did;
use crate::line;

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Larger than any message.
    #[error("the message has {size} bytes; at most {MESSAGE_MAX} are read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Not the one canonical writing of a message.
    #[error("the message is not in its canonical form, at byte {at}")]
    Malformed {
        /// The first byte that cannot stand there.
        at: usize,
    },
    /// The sender that it names has not signed it.
    #[error("the sender that the message names has not signed it")]
    Signature,
    /// It is for somebody else.
    #[error("the message is for somebody else")]
    Recipient,
    /// It is too old.
    #[error("the message was sent at {sent}, too long before {now}")]
    Stale {
        /// When it says it was sent.
        sent: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// It was sent later than now.
    #[error("the message was sent at {sent}, more than {} s after {now}", SKEW.as_secs())]
    Future {
        /// When it says it was sent.
        sent: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// Whether it was received before is not known any more.
    #[error("the message was sent at {sent}; what was received up to {floor} is no longer remembered")]
    BehindFloor {
        /// When it says it was sent.
        sent: Timestamp,
        /// The last instant of which nothing is accepted.
        floor: Timestamp,
    },
    /// The sender is not trusted.
    #[error("the sender is not trusted")]
    Untrusted,
    /// The sender's key was revoked.
    #[error("the sender was revoked")]
    Revoked,
    /// The recipient may not receive from this sender.
    #[error("the recipient is not granted to receive from this sender")]
    Denied,
    /// A message with this identifier was received from this sender.
    #[error("the message was received before")]
    Replayed,
    /// There is no room to remember one more message, or one more sender.
    #[error("there is no room to remember one more message")]
    Full,
    /// It cannot be recorded that a message of this time was received.
    #[error("the time of the message cannot be recorded: {cause}")]
    Unrecorded {
        /// The system's answer.
        cause: String,
    },
    /// It came from another process, where others could have read it.
    #[error("the message came from another process and is not sealed")]
    Unsealed,
    /// What is sealed in it is not for this key, or belongs to another message.
    #[error("the message does not open with the recipient's key")]
    Sealed,
    /// What it carries is no content.
    #[error("what the message carries is no content")]
    Content,
    /// The custodian cannot open anything now.
    #[error("the recipient's key cannot be used: {cause}")]
    Custody {
        /// The custodian's answer.
        cause: String,
    },
}

impl Rejection {
    /// The short name, for logs and counts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Malformed { .. } => "malformed",
            Self::Signature => "signature",
            Self::Recipient => "recipient",
            Self::Stale { .. } => "stale",
            Self::Future { .. } => "future",
            Self::BehindFloor { .. } => "behind-floor",
            Self::Untrusted => "untrusted",
            Self::Revoked => "revoked",
            Self::Denied => "denied",
            Self::Replayed => "replayed",
            Self::Full => "full",
            Self::Unrecorded { .. } => "unrecorded",
            Self::Unsealed => "unsealed",
            Self::Sealed => "sealed",
            Self::Content => "content",
            Self::Custody { .. } => "custody",
        }
    }
}

/// Why a message cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// The content cannot be written.
    #[error(transparent)]
    Content(#[from] CanonicalError),
    /// The message cannot be sealed to the recipient's key.
    #[error(transparent)]
    Seal(#[from] CryptoError),
    /// The sender's key cannot be used.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Why a content cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The body is too large.
    #[error("the body has {size} bytes; at most {BODY_MAX} are sent")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Not a topic.
    #[error(
        "`{text}` is not a topic: write 1 to {TOPIC_MAX} printable ASCII characters without spaces, without `*` and \
         without a leading `!`"
    )]
    Topic {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// Not an identifier of a message.
    #[error("`{text}` is not a message's identifier (32 lower-case hex digits)")]
    Id {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// A field that this kind does not have, or one that it lacks.
    #[error("a reply and an error name what they answer, only a request has a deadline")]
    Fields,
}

impl ContentError {
    pub(super) fn topic(text: &str) -> Self {
        Self::Topic { text: line::shown(text) }
    }

    pub(super) fn id(text: &str) -> Self {
        Self::Id { text: line::shown(text) }
    }
}

/// Why an inbox cannot be opened or closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The recipient receives in another process.
    #[error("{} is in use: {recipient} receives in another process", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// Who receives.
        recipient: Did,
    },
    /// The file is not as it was written.
    #[error("{} is malformed: {source}", path.display())]
    Malformed {
        /// The floor's file.
        path: PathBuf,
        /// What is wrong, and where.
        source: CanonicalError,
    },
    /// The file is another recipient's, or of another format.
    #[error("{} is not the floor of {recipient}, or in a format that this version does not know", path.display())]
    Mismatch {
        /// The floor's file.
        path: PathBuf,
        /// Who was to receive.
        recipient: Did,
    },
    /// The file system refused.
    #[error(transparent)]
    Durable(#[from] DurableError),
}
