//! A message that its sender has signed.

use super::MESSAGE_TYPE;
use super::error::Rejection;
use super::format::{self, Body};
use super::header::Header;
use crate::crypto::pae;

/// Bytes that the sender they name has signed. Whether the sender counts, and whether they are new, is not said.
///
/// Only [`super::Draft`] and [`SignedMessage::verify`] make one:
/// ```compile_fail,E0451
/// use kos_core::message::SignedMessage;
/// let forged = SignedMessage { header: loop {}, body: loop {}, bytes: vec![] };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMessage {
    header: Header,
    body: Body,
    bytes: Vec<u8>,
}

impl SignedMessage {
    /// Reads a message in its strict form and verifies its signature with the key in `from`, which takes no key of
    /// anybody's, so that a router can do it.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`], [`Rejection::Malformed`] or [`Rejection::Signature`].
    pub fn verify(bytes: Vec<u8>) -> Result<Self, Rejection> {
        let parsed = format::parse(&bytes)?;
        let signed = pae(MESSAGE_TYPE, &parsed.signed_part(&bytes));
        if !parsed.header.from.verify(&signed, &parsed.signature) {
            return Err(Rejection::Signature);
        }
        Ok(Self { header: parsed.header, body: parsed.body, bytes })
    }

    pub(super) fn of_draft(header: Header, body: Body, bytes: Vec<u8>) -> Self {
        Self { header, body, bytes }
    }

    /// What names the message.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The message's bytes, as they travel.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the message's bytes away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether only the recipient can read it.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self.body, Body::Sealed(_))
    }

    pub(super) fn body(&self) -> &Body {
        &self.body
    }
}
