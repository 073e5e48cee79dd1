//! The agent's own remarks in the host's log.

use crate::Error;
use crate::bindings::kos::agent::audit as raw;

/// The longest text of a note, in bytes.
pub const TEXT_BYTES: usize = 4096;

/// Writes `text` into the host's log under `topic`, and returns when it is durable.
///
/// The note becomes part of the Merkle log, beside the agent's identity and the time, where it cannot be altered or taken
/// back: nothing secret belongs into it. `topic` is 1 to 64 of `a-z 0-9 - . /`; `text` has at most [`TEXT_BYTES`].
///
/// Needs `audit.note` in the scope of the topic.
///
/// # Errors
/// [`Error::Denied`]; [`Error::Invalid`] for a malformed topic or a text too long; [`Error::Limited`] when notes come
/// faster than the agent's rate; [`Error::Unavailable`] when the host cannot write its log.
pub fn note(topic: &str, text: &str) -> Result<(), Error> {
    Ok(raw::note(topic, text)?)
}
