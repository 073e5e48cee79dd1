//! The messages of a stream that were handled, in a file that survives the process (I8).
//!
//! The first line names the format and the recipient. Each further one is the time, the identifier and the sender of a
//! message; with `-` for the identifier, a time at or before which nothing of the sender is accepted. A last line without its end is
//! one whose writing nobody waited for, and is left out. The file is as trustworthy as the home that it lies in.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::super::error::InboxError;
use super::super::header::MessageId;
use super::super::replay::{REMEMBERED_MAX, SENDERS_MAX};
use crate::canonical::CanonicalError;
use crate::clock::Timestamp;
use crate::durable::{self, DurableError, Lock};
use crate::id::Did;

/// The format that this program writes and reads.
const FORMAT: &str = "kos-handled-1";
/// A time of 16 digits, an identifier of 32, one of 56, and what is between them.
const LINE_MAX: usize = 112;
/// So many are appended before the file is written anew, without what is no longer needed.
const APPENDED_MAX: usize = 16_384;
/// The longest file that is ever written.
const FILE_MAX: usize = (REMEMBERED_MAX + SENDERS_MAX + APPENDED_MAX + 1) * LINE_MAX;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) sender: Did,
    pub(super) sent: Timestamp,
    /// None where it is the sender's floor.
    pub(super) id: Option<MessageId>,
}

/// The file, which this process alone writes as long as it lives.
#[derive(Debug)]
pub(super) struct Handled {
    path: PathBuf,
    recipient: Did,
    /// None until the file was written anew, and after a line that may be there in part.
    file: Option<File>,
    appended: usize,
    _lock: Lock,
}

impl Handled {
    /// The file, to be written anew before anything is appended, and what it holds.
    pub(super) fn open(path: &Path, recipient: Did) -> Result<(Self, Vec<Mark>), InboxError> {
        let lock_path = path.with_extension("lock");
        let lock = Lock::try_exclusive(&lock_path)?.ok_or(InboxError::Busy { path: lock_path, recipient })?;
        let marks = match durable::read_capped(path, FILE_MAX as u64) {
            Ok(bytes) => parse(path, &recipient, &bytes)?,
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        Ok((Self { path: path.to_owned(), recipient, file: None, appended: 0, _lock: lock }, marks))
    }

    pub(super) fn wants_rewriting(&self) -> bool {
        self.file.is_none() || self.appended >= APPENDED_MAX
    }

    /// Writes the file anew with these marks alone.
    pub(super) fn replace(&mut self, marks: impl Iterator<Item = Mark>) -> Result<(), InboxError> {
        let mut text = format!("{FORMAT} {}\n", self.recipient);
        marks.for_each(|mark| mark.write(&mut text));
        durable::replace(&self.path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&self.path).map_err(|source| self.failed(source))?;
        (self.file, self.appended) = (Some(file), 0);
        Ok(())
    }

    /// Adds a mark, which is durable when this returns.
    pub(super) fn append(&mut self, mark: &Mark) -> Result<(), InboxError> {
        let mut line = String::with_capacity(LINE_MAX);
        mark.write(&mut line);
        // Taken out, so that what failed is followed by a whole new file and not by a line.
        let written =
            self.file.take().ok_or_else(|| io::Error::other("it was not written")).and_then(|mut file| {
                file.write_all(line.as_bytes())?;
                file.sync_data()?;
                Ok(file)
            });
        self.file = Some(written.map_err(|source| self.failed(source))?);
        self.appended += 1;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> DurableError {
        DurableError::Io { action: "append to", path: self.path.clone(), source }
    }
}

impl Mark {
    fn write(&self, text: &mut String) {
        let Self { sender, sent, id } = self;
        let written = match id {
            Some(id) => writeln!(text, "{} {id} {sender}", sent.as_millis()),
            None => writeln!(text, "{} - {sender}", sent.as_millis()),
        };
        // Writing into a string has no way to fail.
        let _ = written;
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (sent, id, sender) = (words.next()?, words.next()?, words.next()?);
        let id = if id == "-" { None } else { Some(id.parse().ok()?) };
        let mark =
            Self { sender: sender.parse().ok()?, sent: Timestamp::from_millis(sent.parse().ok()?), id };
        let mut again = String::with_capacity(LINE_MAX);
        mark.write(&mut again);
        (again.strip_suffix('\n') == Some(line)).then_some(mark)
    }
}

fn parse(path: &Path, recipient: &Did, bytes: &[u8]) -> Result<Vec<Mark>, InboxError> {
    let malformed = || InboxError::Malformed { path: path.to_owned(), source: CanonicalError::NotCanonical };
    let end = bytes.iter().rposition(|byte| *byte == b'\n').ok_or_else(malformed)?;
    let whole = bytes.get(..end).and_then(|whole| std::str::from_utf8(whole).ok()).ok_or_else(malformed)?;
    let mut lines = whole.split('\n');
    if lines.next() != Some(&format!("{FORMAT} {recipient}")) {
        return Err(InboxError::Mismatch { path: path.to_owned(), recipient: *recipient });
    }
    lines.map(|line| Mark::parse(line).ok_or_else(malformed)).collect()
}
