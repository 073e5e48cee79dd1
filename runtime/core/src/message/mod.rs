//! Messages: signed bytes from one identifier to one other, received once (I9).
//!
//! Source: the project's specification, `SecureMessage`; RFC 8785 (canonical bytes), DSSE v1.0.2 (the encoding that is
//! signed), RFC 8032 (Ed25519), RFC 9180 (sealing). A message's life is in its types: [`Draft`], [`SignedMessage`],
//! [`Judged`], [`Accepted`], [`Content`]; each is made of the one before, in one place.
//!
//! In scope: the format, signing and sealing, verification, and the window in which nothing is received twice. Out of
//! scope: which sender is trusted and what is granted, which the caller of [`SignedMessage::judged`] says; mailboxes and
//! transports.
//!
//! **The format.** `{encryption?, from, id, nonce, payload?, signature, timestamp, to}`, in canonical form; exactly one
//! of `payload` (base64 of the content) and `encryption` is there. `id` is 32 hex digits, `nonce` 16 bytes in base64. The
//! signature is Ed25519 over the pre-authentication encoding of [`MESSAGE_TYPE`] and the canonical bytes without the
//! field `signature`. Sealing is HPKE base mode: `ephemeralKey` is the encapsulated key, `ciphertext` and `tag` its
//! output; `info` is [`MESSAGE_TYPE`] and the public keys of `from` and `to`; `aad` is the canonical `{from, id, nonce,
//! timestamp, to}`. It is sealed first and then signed, so whoever has no key can verify and not read.
//!
//! **No batches.** Ed25519 signatures can be verified together, and the sum may hold where a signature alone does not:
//! parts of small order in the keys or nonces of several cancel each other. What would rule that out is a
//! multiplication for each point, which costs what the batch saves. So each signature is verified alone and strictly.

mod content;
mod draft;
mod error;
mod floor;
mod format;
mod header;
mod inbox;
mod judged;
mod replay;
#[cfg(test)]
mod tests;
mod verify;

use std::time::Duration;

pub use content::{BODY_MAX, Content, Kind, TOPIC_MAX, Topic};
pub use draft::Draft;
pub use error::{ContentError, DraftError, InboxError, Rejection};
pub use header::{Header, MessageId};
pub use inbox::{Accepted, Inbox, StreamInbox};
pub use judged::Judged;
pub use replay::{IDS_MAX, REMEMBERED_MAX, SENDERS_MAX};
pub use verify::SignedMessage;

/// What a message is signed as.
pub const MESSAGE_TYPE: &str = "application/vnd.kos.message.v1+json";
/// Large enough for a document or a picture, small enough that a full mailbox of them fits into memory; what is larger
/// is for storage, and its digest for a message.
pub const MESSAGE_MAX: usize = 1 << 20;
/// How far a sender's clock may be ahead: machines without a time service drift so far in a month.
pub const SKEW: Duration = Duration::from_secs(60);
/// How old a message may be: long enough for a transport that tries again, short enough to remember all of its time.
pub const AGE: Duration = Duration::from_secs(300);
/// How old a message may be that waited in a durable stream: a night, or a machine that is repaired by the next day. Each
/// that was handled is remembered for as long, on disk.
pub const STREAM_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// A message, read and written again.
pub(crate) fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    let read = format::parse(bytes).ok()?;
    Some(format::Unsigned::new(&read.header, &read.body).signed(&read.signature))
}

/// What a message carries, read and written again.
pub(crate) fn content_rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    Content::parse(bytes).ok()?.to_bytes().ok()
}
