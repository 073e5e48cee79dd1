//! The one place where a message becomes one that its recipient has received.
//!
//! One inbox is one recipient's, so that no flood at one agent is felt by another, and it is open in one process at a
//! time: the lock beside its floor is held until it is dropped or its process dies. So no two processes on a home
//! accept the same message, and the floor in the file is no one else's.

mod handled;
mod stream;

use std::path::Path;

use super::content::Content;
use super::error::{InboxError, Rejection};
use super::floor::Floor;
use super::format::Body;
use super::header::Header;
use super::judged::Judged;
use super::replay::Window;
use super::verify::SignedMessage;
use crate::clock::Timestamp;
use crate::crypto::Signer as _;
use crate::custody::{CustodyError, KeyHandle};
use crate::durable;
use crate::id::Did;

pub use stream::StreamInbox;

/// What a recipient has received of late, in memory, and up to when, in a file.
#[derive(Debug)]
pub struct Inbox {
    window: Window,
    floor: Floor,
}

impl Inbox {
    /// Opens the inbox of `recipient`, whose floor is the file at `path`; its lock lies beside it.
    ///
    /// # Errors
    /// [`InboxError::Busy`] while it is open elsewhere, or what is wrong with the file.
    pub fn open(path: &Path, recipient: Did) -> Result<Self, InboxError> {
        let floor = Floor::open(path, recipient)?;
        Ok(Self { window: Window::starting_at(floor.written()), floor })
    }

    /// Opens the inbox of `recipient` in the directory where the inboxes of a home lie, which is made if it is not there.
    ///
    /// # Errors
    /// As [`Inbox::open`].
    pub fn open_in(directory: &Path, recipient: Did) -> Result<Self, InboxError> {
        durable::create_private_dir(directory)?;
        let did = recipient.to_string();
        let key = did.rsplit(':').next().unwrap_or_default();
        Self::open(&directory.join(format!("{key}.json")), recipient)
    }

    /// Whose inbox it is.
    #[must_use]
    pub fn recipient(&self) -> &Did {
        self.floor.recipient()
    }

    /// The instant up to which nothing is accepted, whatever the clock says. After a crash it may lie ahead of the last
    /// message by a second, and ahead of the clock by what a sender's was ahead.
    #[must_use]
    pub fn floor(&self) -> Timestamp {
        self.window.floor()
    }

    /// Receives a message that was judged for this recipient, if it is new. A refused message changes nothing.
    ///
    /// # Errors
    /// [`Rejection::Recipient`], [`Rejection::BehindFloor`], [`Rejection::Replayed`], [`Rejection::Full`] or
    /// [`Rejection::Unrecorded`].
    pub fn accept(&mut self, judged: Judged) -> Result<Accepted, Rejection> {
        let (message, now) = judged.into_parts();
        let header = message.header();
        if header.to() != self.recipient() {
            return Err(Rejection::Recipient);
        }
        self.window.check_new(header, now)?;
        self.floor
            .reach(header.timestamp())
            .map_err(|error| Rejection::Unrecorded { cause: error.to_string() })?;
        self.window.remember(header, now);
        Ok(Accepted { message })
    }

    /// Closes the inbox, so that the next one refuses nothing that was not received but what is as old.
    ///
    /// # Errors
    /// [`InboxError::Durable`]; the floor then stays as far ahead as after a crash.
    pub fn close(mut self) -> Result<(), InboxError> {
        self.floor.settle(self.window.newest())
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> &Window {
        &self.window
    }
}

/// A message that its recipient has received, once.
///
/// Only [`Inbox::accept`] and [`StreamInbox::accept`] make one:
/// ```compile_fail,E0451
/// use kos_core::message::Accepted;
/// let forged = Accepted { message: loop {} };
/// ```
#[derive(Debug)]
pub struct Accepted {
    message: SignedMessage,
}

impl Accepted {
    /// What names the message.
    #[must_use]
    pub fn header(&self) -> &Header {
        self.message.header()
    }

    /// Whether it was sealed on its way.
    #[must_use]
    pub fn was_sealed(&self) -> bool {
        self.message.is_sealed()
    }

    /// What the message carries, opened with the recipient's key. It can be asked again after [`Rejection::Custody`].
    ///
    /// # Errors
    /// [`Rejection::Recipient`] for another's key, [`Rejection::Sealed`], [`Rejection::Content`] or
    /// [`Rejection::Custody`].
    pub fn open(&self, key: &KeyHandle) -> Result<Content, Rejection> {
        if key.did() != *self.header().to() {
            return Err(Rejection::Recipient);
        }
        self.open_with(|info, associated, sealed| {
            key.open_sealed(info, associated, sealed).map_err(|error| match error {
                CustodyError::Sealed { .. } => Rejection::Sealed,
                other => Rejection::Custody { cause: other.to_string() },
            })
        })
    }

    pub(super) fn open_with<P: AsRef<[u8]>>(
        &self,
        unseal: impl FnOnce(&[u8], &[u8], &[u8]) -> Result<P, Rejection>,
    ) -> Result<Content, Rejection> {
        match self.message.body() {
            Body::Plain(content) => Content::parse(content),
            Body::Sealed(sealed) => {
                let header = self.header();
                Content::parse(unseal(&header.info(), &header.associated(), sealed)?.as_ref())
            }
        }
    }
}
