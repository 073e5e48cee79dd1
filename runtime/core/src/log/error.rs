//! Why the log could not be opened or written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::EntryError;
use super::note::NoteError;
use crate::crypto::{CryptoError, SignError};

/// Why the log could not be opened or written. One failure is told to every waiter, hence `Clone`.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// An earlier write failed, and what is on the disk is not known until the log is opened again.
    #[error("the log takes no more entries, as an earlier write failed ({cause}); open it again")]
    Poisoned {
        /// That earlier failure.
        cause: Arc<LogError>,
    },
    /// The event cannot become an entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The journal has bytes that no crash explains.
    #[error("{} is damaged at byte {offset}: {flaw}; restore the log from a copy", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong there.
        flaw: &'static str,
    },
    /// A file of the log was changed by somebody else.
    #[error("{} was tampered with: {flaw}; keep the folder for examination and restore it from a copy", path.display())]
    Tampered {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        flaw: &'static str,
    },
    /// The folder holds another log.
    #[error("{} is of the log `{found}`, not of `{expected}`", path.display())]
    OtherLog {
        /// The journal.
        path: PathBuf,
        /// The log that was to be opened.
        expected: String,
        /// The log that is there.
        found: String,
    },
    /// Entries pile up in the journal because tiles cannot be written.
    #[error("{} holds {length} bytes that could not be moved into tiles; free the disk, then open the log again", path.display())]
    Full {
        /// The journal.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The origin cannot name a log.
    #[error(transparent)]
    Name(#[from] NoteError),
    /// The checkpoint could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// There was no randomness for an identifier.
    #[error(transparent)]
    Randomness(#[from] CryptoError),
}

/// Binds what was tried, and where, to an error of the disk.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError::Io { action, path, source: Arc::new(source) }
}
