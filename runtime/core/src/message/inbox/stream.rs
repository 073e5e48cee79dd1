//! What a recipient takes out of a durable stream, in which a message may wait for longer than [`super::super::AGE`].
//!
//! The floor of an [`super::Inbox`] cannot serve here: it lies at the newest message, and what waits behind it while its
//! recipient is away would be refused. So each message that was handled is remembered by name, on disk, for as long as any
//! message may be old ([`STREAM_AGE`]), and its record is durable before the stream is told to forget it. What was not
//! recorded comes again, and what was recorded is not accepted again, whoever brings it, also after a crash (I8, I9).
//!
//! In scope: accepting, and what was handled. Out of scope: streams and acknowledgements, which the transport has.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::error::{InboxError, Rejection};
use super::super::header::{Header, MessageId};
use super::super::replay::Window;
use super::super::verify::SignedMessage;
use super::super::{STREAM_AGE, header::NONCE_BYTES};
use super::Accepted;
use super::handled::{Handled, Mark};
use crate::clock::Timestamp;
use crate::id::Did;

/// What a recipient has taken out of a durable stream.
#[derive(Debug)]
pub struct StreamInbox {
    recipient: Did,
    window: Window,
    /// Accepted, and not handled yet.
    in_hand: BTreeSet<(Did, MessageId)>,
    handled: Handled,
}

impl StreamInbox {
    /// Opens what `recipient` has handled, which is the file at `path`; its lock lies beside it.
    ///
    /// # Errors
    /// [`InboxError::Busy`] while it is open elsewhere, or what is wrong with the file.
    pub fn open(path: &Path, recipient: Did, now: Timestamp) -> Result<Self, InboxError> {
        let (handled, marks) = Handled::open(path, recipient)?;
        let mut window = Window::of_age(STREAM_AGE, None);
        for Mark { sender, sent, id } in marks {
            match id {
                Some(id) => window.remember(&named(sender, recipient, sent, id), now),
                None => window.raise_sender(sender, sent),
            }
        }
        let mut inbox = Self { recipient, window, in_hand: BTreeSet::new(), handled };
        inbox.rewrite()?;
        Ok(inbox)
    }

    /// Receives a message that was sealed, for this recipient, of this time, from a sender that `judge` lets pass, and
    /// new; in this order. It is in hand until it is [`StreamInbox::handled`] or [`StreamInbox::withdrawn`].
    ///
    /// # Errors
    /// [`Rejection`]: what `judge` says, or what is wrong with the message.
    pub fn accept(
        &mut self,
        message: SignedMessage,
        now: Timestamp,
        judge: impl FnOnce(&Did) -> Result<(), Rejection>,
    ) -> Result<Accepted, Rejection> {
        let header = message.header();
        if header.to() != &self.recipient {
            return Err(Rejection::Recipient);
        }
        if !message.is_sealed() {
            return Err(Rejection::Unsealed);
        }
        self.window.check_time(header, now)?;
        judge(header.from())?;
        self.window.check_new(header, now)?;
        self.window.remember(header, now);
        self.in_hand.insert((header.from, header.id));
        Ok(Accepted { message })
    }

    /// Whether a message was accepted and is not handled yet, so that a second copy of it says nothing.
    #[must_use]
    pub fn is_in_hand(&self, header: &Header) -> bool {
        self.in_hand.contains(&(header.from, header.id))
    }

    /// Makes durable that a message was handled. Only then may the stream forget it.
    ///
    /// # Errors
    /// What the disk says. The message stays in hand, and this can be asked again.
    pub fn handled(&mut self, header: &Header) -> Result<(), InboxError> {
        if !self.is_in_hand(header) {
            return Ok(());
        }
        if self.handled.wants_rewriting() {
            self.rewrite()?;
        }
        self.handled.append(&Mark { sender: header.from, sent: header.timestamp, id: Some(header.id) })?;
        self.in_hand.remove(&(header.from, header.id));
        Ok(())
    }

    /// A message that was accepted is not handled now: it may come again.
    pub fn withdrawn(&mut self, header: &Header) {
        if self.in_hand.remove(&(header.from, header.id)) {
            self.window.forget(header);
        }
    }

    fn rewrite(&mut self) -> Result<(), InboxError> {
        let marks = self.window.remembered().filter_map(|(sender, sent, id)| {
            let is_in_hand = id.is_some_and(|id| self.in_hand.contains(&(sender, id)));
            (!is_in_hand).then_some(Mark { sender, sent, id })
        });
        self.handled.replace(marks)
    }
}

/// What names a message, as far as it is remembered.
fn named(from: Did, to: Did, timestamp: Timestamp, id: MessageId) -> Header {
    Header { id, from, to, timestamp, nonce: [0; NONCE_BYTES] }
}
