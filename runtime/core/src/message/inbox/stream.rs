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
use super::super::judged::Judged;
use super::super::replay::Window;
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

    /// Receives a message that was judged, for [`StreamInbox::handled`] or [`StreamInbox::withdrawn`].
    ///
    /// # Errors
    /// [`Rejection`]; nothing is changed then.
    pub fn accept(&mut self, judged: Judged) -> Result<Accepted, Rejection> {
        let (message, now) = judged.into_parts();
        let header = message.header();
        if header.to() != &self.recipient {
            return Err(Rejection::Recipient);
        }
        if !message.is_sealed() {
            return Err(Rejection::Unsealed);
        }
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::{SecretKey, Signer as _};
    use crate::id::AgreementKey;
    use crate::message::{AGE, Content, Draft, SignedMessage};

    fn now() -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    /// A message from the holder of a seed, which differs from others by its number.
    fn message(from: u8, to: Did, number: u8, sent: Timestamp) -> SignedMessage {
        let content = Content::message("t".parse().unwrap(), b"x".to_vec()).unwrap();
        let sender = SecretKey::from_seed(&[from; 32]);
        let key = AgreementKey::from_bytes(little_nine());
        Draft::new(&sender, to, content, sent, &[number; 32]).sealed(&key).unwrap()
    }

    /// The base point, which is a key that can be sealed to.
    fn little_nine() -> [u8; 32] {
        let mut key = [0; 32];
        key[0] = 9;
        key
    }

    fn recipient() -> Did {
        SecretKey::from_seed(&[1; 32]).did()
    }

    fn accept(
        inbox: &mut StreamInbox,
        message: SignedMessage,
        now: Timestamp,
        judge: impl FnOnce(&Did) -> Result<(), Rejection>,
    ) -> Result<Accepted, Rejection> {
        inbox.accept(message.judged_in_stream(&recipient(), now, judge)?)
    }

    fn any(_: &Did) -> Result<(), Rejection> {
        Ok(())
    }

    #[test]
    fn what_was_handled_is_not_accepted_again_by_whoever_opens_the_file_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handled");
        let old = Timestamp::from_millis(now().as_millis() - 3_600_000);
        let mut inbox = StreamInbox::open(&path, recipient(), now()).unwrap();
        for number in [1, 2, 3] {
            accept(&mut inbox, message(2, recipient(), number, old), now(), any).unwrap();
        }
        inbox.handled(message(2, recipient(), 1, old).header()).unwrap();
        inbox.withdrawn(message(2, recipient(), 3, old).header());
        assert!(accept(&mut inbox, message(2, recipient(), 3, old), now(), any).is_ok(), "it was given back");
        assert!(matches!(StreamInbox::open(&path, recipient(), now()), Err(InboxError::Busy { .. })));
        drop(inbox);
        // A line whose writing was cut off, as by a crash.
        let mut torn = std::fs::read(&path).unwrap();
        torn.extend_from_slice(b"18000");
        std::fs::write(&path, torn).unwrap();
        for _ in 0..2 {
            let mut inbox = StreamInbox::open(&path, recipient(), now()).unwrap();
            let copy = accept(&mut inbox, message(2, recipient(), 1, old), now(), any);
            assert_eq!(copy.unwrap_err(), Rejection::Replayed);
            assert!(
                accept(&mut inbox, message(2, recipient(), 2, old), now(), any).is_ok(),
                "it was not handled"
            );
        }
    }

    #[test]
    fn what_is_plain_for_another_or_older_than_the_stream_is_not_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let mut inbox = StreamInbox::open(&folder.path().join("handled"), recipient(), now()).unwrap();
        let sender = SecretKey::from_seed(&[2; 32]);
        let content = Content::message("t".parse().unwrap(), b"x".to_vec()).unwrap();
        let plain = Draft::new(&sender, recipient(), content, now(), &[7; 32]).signed().unwrap();
        assert_eq!(accept(&mut inbox, plain, now(), any).unwrap_err(), Rejection::Unsealed);
        let astray = message(2, sender.did(), 1, now());
        assert_eq!(accept(&mut inbox, astray, now(), any).unwrap_err(), Rejection::Recipient);
        let sent = |ago: Duration| {
            Timestamp::from_millis(now().as_millis() - u64::try_from(ago.as_millis()).unwrap())
        };
        assert!(accept(&mut inbox, message(2, recipient(), 2, sent(AGE * 2)), now(), any).is_ok());
        let late = accept(&mut inbox, message(2, recipient(), 3, sent(STREAM_AGE)), now(), any);
        assert!(matches!(late, Err(Rejection::Stale { .. })));
        assert!(
            accept(&mut inbox, message(2, recipient(), 3, now()), now(), |_| Err(Rejection::Revoked))
                .is_err()
        );
        assert!(
            accept(&mut inbox, message(2, recipient(), 3, now()), now(), any).is_ok(),
            "a refusal changes nothing"
        );
    }

    #[test]
    fn a_file_of_another_recipient_or_with_a_line_of_another_form_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handled");
        drop(StreamInbox::open(&path, recipient(), now()).unwrap());
        let other = SecretKey::from_seed(&[9; 32]).did();
        assert!(matches!(StreamInbox::open(&path, other, now()), Err(InboxError::Mismatch { .. })));
        let head = std::fs::read_to_string(&path).unwrap();
        for line in [
            "",
            "1 - ",
            "x - x",
            &format!("01 - {other}"),
            &format!("1 -  {other}"),
            &format!("1 - {other} "),
        ] {
            std::fs::write(&path, format!("{head}{line}\n")).unwrap();
            assert!(StreamInbox::open(&path, recipient(), now()).is_err(), "{line}");
        }
    }
}
