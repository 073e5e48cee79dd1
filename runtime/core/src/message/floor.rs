//! The instant up to which nothing is accepted any more, in a file that survives the process (I8).
//!
//! The file is as trustworthy as the home that it lies in, and so it is not signed: whoever can write there can copy an
//! older one back, or remove it, and so let messages be received again that are not older than [`super::AGE`], and
//! none besides. Without a file nothing was ever received.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::InboxError;
use crate::canonical::{self, CanonicalError};
use crate::clock::Timestamp;
use crate::durable::{self, Lock};
use crate::id::Did;

/// How far ahead of a message the floor is written, so that the disk is waited for once in that time. What is sent in
/// the time between is refused after a crash.
const STEP: Duration = Duration::from_secs(1);
/// The format that this program writes and reads.
const FLOOR_VERSION: u32 = 1;
/// An identifier and two numbers; anything larger is not what was written there.
const FLOOR_MAX: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    recipient: Did,
    floor: Timestamp,
}

/// A recipient's floor, which this process alone writes as long as it lives.
#[derive(Debug)]
pub(super) struct Floor {
    path: PathBuf,
    recipient: Did,
    written: Option<Timestamp>,
    _lock: Lock,
}

impl Floor {
    pub(super) fn open(path: &Path, recipient: Did) -> Result<Self, InboxError> {
        let lock_path = path.with_extension("lock");
        let lock = Lock::try_exclusive(&lock_path)?.ok_or(InboxError::Busy { path: lock_path, recipient })?;
        let written = match durable::read_capped(path, FLOOR_MAX as u64) {
            Ok(bytes) => Some(parse(path, &recipient, &bytes)?),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { path: path.to_owned(), recipient, written, _lock: lock })
    }

    /// The instant in the file; none before the first message.
    pub(super) fn written(&self) -> Option<Timestamp> {
        self.written
    }

    pub(super) fn recipient(&self) -> &Did {
        &self.recipient
    }

    /// Makes durable, in steps, that a message of this time was received.
    pub(super) fn reach(&mut self, sent: Timestamp) -> Result<(), InboxError> {
        if self.written.is_some_and(|written| sent <= written) {
            return Ok(());
        }
        self.write(sent.saturating_add(STEP))
    }

    /// Makes durable that nothing later than this was received.
    pub(super) fn settle(&mut self, newest: Timestamp) -> Result<(), InboxError> {
        match self.written {
            Some(written) if written != newest => self.write(newest),
            Some(_) | None => Ok(()),
        }
    }

    fn write(&mut self, floor: Timestamp) -> Result<(), InboxError> {
        let document = Document { version: FLOOR_VERSION, recipient: self.recipient, floor };
        let bytes = canonical::to_canonical(&document).map_err(malformed(&self.path))?;
        durable::replace(&self.path, &bytes)?;
        self.written = Some(floor);
        Ok(())
    }
}

fn parse(path: &Path, recipient: &Did, bytes: &[u8]) -> Result<Timestamp, InboxError> {
    let document: Document = canonical::from_canonical(bytes, FLOOR_MAX).map_err(malformed(path))?;
    if document.version != FLOOR_VERSION || document.recipient != *recipient {
        return Err(InboxError::Mismatch { path: path.to_owned(), recipient: *recipient });
    }
    Ok(document.floor)
}

fn malformed(path: &Path) -> impl FnOnce(CanonicalError) -> InboxError {
    let path = path.to_owned();
    move |source| InboxError::Malformed { path, source }
}
