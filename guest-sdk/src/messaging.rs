//! Messages to and from other agents.
//!
//! A peer is named by its identifier (`did:key:z6Mk…`) or, where it is an agent of the same host, by its name.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use kos_sdk::messaging;
//!
//! let answer = messaging::request("notary", "receipts", b"seen", Duration::from_secs(5))?;
//! # Ok::<(), kos_sdk::messaging::Error>(())
//! ```
//!
//! A program with a `main` takes messages with [`receive`]; a service is called for each ([`crate::handler`]).

use std::fmt;
use std::time::Duration;

use crate::bindings::kos::agent::messaging as raw;
use crate::handler::Message;

/// The largest payload, in bytes.
pub const PAYLOAD_BYTES: usize = 512 * 1024;

/// Why a message was not delivered, or a request has no answer.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The agent may not send this. It says nothing about whether the peer exists.
    Denied,
    /// An argument is malformed or too large; the text names it. The same call fails again.
    Invalid(String),
    /// The peer's mailbox had no place for this sender, or refuses it for a while. A later call may succeed.
    Limited,
    /// The host could not do it now. A later call may succeed.
    Unavailable,
    /// Nobody receives this there.
    Unreachable,
    /// There was no answer in time. The peer may have handled the request.
    TimedOut,
    /// The peer did not handle the request; the text is its own word for why, where it gave one.
    Failed(Option<String>),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => {
                formatter.write_str("denied: no grant in force covers a message to this peer on this topic")
            }
            Self::Invalid(what) => write!(formatter, "invalid argument: {what}"),
            Self::Limited => formatter.write_str("limited: the peer's mailbox is full; try again later"),
            Self::Unavailable => {
                formatter.write_str("unavailable: the host cannot do this now; try again later")
            }
            Self::Unreachable => formatter.write_str("unreachable: nobody receives this there"),
            Self::TimedOut => formatter.write_str("timed out: there was no answer in time"),
            Self::Failed(None) => formatter.write_str("failed: the peer did not handle the request"),
            Self::Failed(Some(word)) => write!(formatter, "failed: the peer says {word:?}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<raw::DeliveryError> for Error {
    fn from(error: raw::DeliveryError) -> Self {
        match error {
            raw::DeliveryError::Denied => Self::Denied,
            raw::DeliveryError::Invalid(what) => Self::Invalid(what),
            raw::DeliveryError::Limited => Self::Limited,
            raw::DeliveryError::Unavailable => Self::Unavailable,
            raw::DeliveryError::Unreachable => Self::Unreachable,
            raw::DeliveryError::TimedOut => Self::TimedOut,
            raw::DeliveryError::Failed(word) => Self::Failed(word),
        }
    }
}

/// Sends a message that wants no answer, and returns its identifier as soon as it lies in the peer's mailbox, or,
/// where the peer is in another process, when the message server has it.
///
/// Needs `messaging.send` in the scope of peer and topic.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed `to`, `topic` or `payload`; [`Error::Limited`];
/// [`Error::Unavailable`]; [`Error::Unreachable`].
pub fn send(to: &str, topic: &str, payload: &[u8]) -> Result<String, Error> {
    Ok(raw::send(to, topic, payload)?)
}

/// Sends a request and waits for its answer.
///
/// Needs `messaging.send` in the scope of peer and topic. The answer needs nothing.
///
/// # Errors
/// As [`send`], with [`Error::TimedOut`] and [`Error::Failed`].
pub fn request(to: &str, topic: &str, payload: &[u8], deadline: Duration) -> Result<Vec<u8>, Error> {
    Ok(raw::request(to, topic, payload, millis(deadline))?)
}

/// Waits for a message; `None` when none came in time.
///
/// Each message needs `messaging.receive` in the scope of its sender and its topic; others never appear here.
///
/// # Errors
/// [`crate::Error::Denied`] without any such grant; [`crate::Error::Invalid`] in a service, whose messages go to its
/// handler.
pub fn receive(deadline: Duration) -> Result<Option<Message>, crate::Error> {
    Ok(raw::receive(millis(deadline))?.map(Message::from))
}

/// Answers a request that [`receive`] gave, once.
///
/// Needs `messaging.receive` in the scope of its sender and its topic.
///
/// # Errors
/// [`crate::Error::Denied`]; [`crate::Error::Invalid`] for a message that waits for no answer, or too large a `payload`.
pub fn reply(request: &Message, payload: &[u8]) -> Result<(), crate::Error> {
    Ok(raw::reply(&request.id, payload)?)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
