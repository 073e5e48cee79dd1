//! A message that its recipient would hear, before it is known whether it was received already.
//!
//! In scope: the order in which a message is judged without touching what its recipient remembers: recipient, time,
//! sender. So whoever may not be heard fills no window, and hears of none. Out of scope: which sender counts, and
//! what it may send, which the caller says.

use std::time::Duration;

use super::error::Rejection;
use super::verify::SignedMessage;
use super::{AGE, SKEW, STREAM_AGE};
use crate::clock::Timestamp;
use crate::id::Did;

/// A message for one recipient, of this time, from a sender that it hears.
///
/// Only [`SignedMessage::judged`] makes one:
/// ```compile_fail,E0451
/// use kos_core::message::Judged;
/// let forged = Judged { message: loop {}, now: loop {} };
/// ```
#[derive(Debug)]
pub struct Judged {
    message: SignedMessage,
    now: Timestamp,
}

impl SignedMessage {
    /// Judges whether the message is for `recipient`, of the time `now`, and from a sender that `judge` lets pass; in this
    /// order. `now` is of a clock that never goes back ([`crate::clock::MonotoneClock`]). The message comes as it was sent.
    ///
    /// # Errors
    /// [`Rejection::Recipient`], [`Rejection::Future`], [`Rejection::Stale`], or what `judge` says.
    pub fn judged(
        self,
        recipient: &Did,
        now: Timestamp,
        judge: impl FnOnce(&Did) -> Result<(), Rejection>,
    ) -> Result<Judged, Rejection> {
        self.judged_within(AGE, recipient, now, judge)
    }

    /// As [`SignedMessage::judged`], of a message that waited in a durable stream.
    ///
    /// # Errors
    /// As there.
    pub fn judged_in_stream(
        self,
        recipient: &Did,
        now: Timestamp,
        judge: impl FnOnce(&Did) -> Result<(), Rejection>,
    ) -> Result<Judged, Rejection> {
        self.judged_within(STREAM_AGE, recipient, now, judge)
    }

    fn judged_within(
        self,
        age: Duration,
        recipient: &Did,
        now: Timestamp,
        judge: impl FnOnce(&Did) -> Result<(), Rejection>,
    ) -> Result<Judged, Rejection> {
        let (header, sent) = (self.header(), self.header().timestamp());
        if header.to() != recipient {
            return Err(Rejection::Recipient);
        }
        if sent > now.saturating_add(SKEW) {
            return Err(Rejection::Future { sent, now });
        }
        if now.saturating_since(sent) >= age {
            return Err(Rejection::Stale { sent, now });
        }
        judge(header.from())?;
        Ok(Judged { message: self, now })
    }
}

impl Judged {
    pub(super) fn into_parts(self) -> (SignedMessage, Timestamp) {
        (self.message, self.now)
    }
}
