//! The log: a Merkle tree of signed entries on plain files, which anyone can verify.
//!
//! Source: C2SP tlog-tiles, tlog-checkpoint, signed-note and tlog-proof; RFC 6962 hashing.
//! In scope: writing ([`Log`]), reading and verifying ([`reader`], [`verify`]), proving ([`proof`]). Out of scope: which events
//! are logged. Keeps I5, I8 and I9.
//!
//! ```text
//! checkpoint                       the signed head of the tree
//! tile/<level>/<n>[.p/<width>]     hashes
//! tile/entries/<n>[.p/<width>]     entries
//! journal                          what is durable and not yet in tiles; for the host alone
//! lock                             keeps writers apart
//! ```

pub mod checkpoint;
mod engagement;
pub mod entry;
mod error;
pub mod event;
mod followed;
pub mod journal;
mod known;
pub mod note;
mod noted_vaults;
mod open_runs;
pub mod proof;
mod publish;
mod queue;
pub mod reader;
mod slot;
mod state;
pub mod tile;
pub mod tree;
pub mod verify;
mod writer;

use std::path::Path;
use std::sync::Arc;

pub use engagement::{engaged, released};
pub use error::LogError;
pub use event::{Event, EventType, Party, PartyType, Target};
pub(crate) use known::Known;
pub use note::Vkey;
pub use noted_vaults::NotedVault;
pub use open_runs::OpenRun;
pub(crate) use slot::Reply;
pub use writer::Position;

use crate::clock::{Clock, Timestamp};
use crate::crypto::Signer;
use crate::durable::disk::{Disk, SystemDisk};
use crate::id::Name;
use crate::vault::Noted;
use queue::Shared;
use writer::{Tools, Writer};

/// A log open for writing. Several processes, and several of these, may share one folder.
pub struct Log {
    shared: Arc<Shared>,
    key: Vkey,
    known: Known,
}

impl Log {
    /// Opens the log in `directory`, or begins it, and recovers from whatever a crash left.
    ///
    /// `origin` is the name under which `signer` signs checkpoints; `signer` also signs each entry.
    ///
    /// # Errors
    /// [`LogError`]; notably [`LogError::Tampered`] and [`LogError::Damaged`] when no crash explains the files.
    pub fn open(
        directory: &Path,
        origin: &str,
        signer: Arc<dyn Signer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        Self::on_disk(Arc::new(SystemDisk), true, directory, origin, signer, clock)
    }

    pub(crate) fn on_disk(
        disk: Arc<dyn Disk>,
        background: bool,
        directory: &Path,
        origin: &str,
        signer: Arc<dyn Signer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let key = Vkey::new(origin, signer.did())?;
        let tools = Tools {
            disk,
            directory: directory.to_owned(),
            key: key.clone(),
            signer,
            clock,
            known: Known::default(),
        };
        let known = tools.known.clone();
        Ok(Self { shared: Shared::new(Writer::open(tools)?, background), key, known })
    }

    /// Appends an event and returns when it is durable.
    ///
    /// # Errors
    /// [`LogError`]: the event must then be taken as not logged, though it may still appear.
    pub fn append(&self, event: Event) -> Result<Position, LogError> {
        self.append_then(event, |outcome, reply| reply.give(outcome))?.unwrap_or(Err(LogError::Closed))
    }

    /// Appends an event and waits once for all that follows: `then` is called when it is durable, or is not to be, on a
    /// thread that writes the log, so it must be short and must not append; whoever it gives the reply to ends the wait. Nothing
    /// where the reply was dropped.
    ///
    /// # Errors
    /// [`LogError::Closed`].
    pub(crate) fn append_then<T: Send + 'static>(
        &self,
        event: Event,
        then: impl FnOnce(Result<Position, LogError>, Reply<T>) + Send + 'static,
    ) -> Result<Option<T>, LogError> {
        self.shared.append_then(event, then)
    }

    /// Appends an event and calls `done` when it is durable, or is not to be. `done` runs on a thread that writes the log, so it
    /// must be short and must not append.
    pub fn submit(&self, event: Event, done: impl FnOnce(Result<Position, LogError>) + Send + 'static) {
        self.shared.submit(event, Box::new(done));
    }

    /// The key with which anyone verifies this log.
    #[must_use]
    pub fn vkey(&self) -> &Vkey {
        &self.key
    }

    /// The runs that were launched and have no exit entry, in the order of their launch.
    ///
    /// # Errors
    /// [`LogError`] if what other processes wrote cannot be read.
    pub fn open_runs(&self) -> Result<Vec<OpenRun>, LogError> {
        self.shared.writer().locked(|writer| Ok(writer.state.followed.open_runs()))
    }

    /// When the newest entry that this log has read was written: the present is not before it, whatever the clock says. The
    /// beginning of time for a log without entries.
    #[must_use]
    pub fn last_timestamp(&self) -> Timestamp {
        self.known.timestamp()
    }

    /// The state of an environment's vault that the newest entry which this log has read tells of.
    #[must_use]
    pub fn noted_vault(&self, environment: &Name) -> Option<Noted> {
        self.known.vault(environment)
    }

    /// What this log knows of its newest entry, now and later.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// As [`Log::noted_vault`], entries of other processes included.
    ///
    /// # Errors
    /// [`LogError`] if what other processes wrote cannot be read.
    pub fn newest_noted_vault(&self, environment: &Name) -> Result<Option<Noted>, LogError> {
        self.shared.writer().locked(|writer| Ok(writer.state.followed.noted_vault(environment)))
    }

    /// The newest entry that this log has read by which everything was stopped, unless it was released.
    #[must_use]
    pub fn engagement(&self) -> Option<u64> {
        self.known.engaged()
    }

    /// As [`Log::engagement`], entries of other processes included.
    ///
    /// # Errors
    /// [`LogError`] if what other processes wrote cannot be read.
    pub fn newest_engagement(&self) -> Result<Option<u64>, LogError> {
        self.shared.writer().locked(|writer| Ok(writer.state.followed.engaged()))
    }

    /// Appends the events that `decide` makes of the open runs, with no entry in between.
    pub(crate) fn append_for_open_runs(
        &self,
        decide: impl FnOnce(Vec<OpenRun>) -> Vec<Event>,
    ) -> Result<(), LogError> {
        self.shared.writer().locked(|writer| {
            let events = decide(writer.state.followed.open_runs());
            writer.commit_locked(events, Vec::new)?.into_iter().try_for_each(|outcome| outcome.map(drop))
        })
    }

    /// Number of entries, those of other processes included.
    ///
    /// # Errors
    /// [`LogError`] if what other processes wrote cannot be read.
    pub fn size(&self) -> Result<u64, LogError> {
        self.shared.writer().locked(|writer| Ok(writer.state.size()))
    }

    /// Writes tiles and checkpoint up to the last entry now, rather than within a second.
    ///
    /// # Errors
    /// [`LogError`]; the entries are safe all the same.
    pub fn publish(&self) -> Result<(), LogError> {
        self.shared.writer().publish()
    }

    /// Opens the files again after [`LogError::Poisoned`], for a process that outlives a full disk. What stood on the disk is
    /// recovered as by [`Log::open`].
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn reopen(&self) -> Result<(), LogError> {
        self.shared.reopen()
    }

    /// Takes no more events, waits for those under way, and publishes.
    ///
    /// # Errors
    /// [`LogError`]; the entries are safe all the same, and are published by whoever opens the log next.
    pub fn close(&self) -> Result<(), LogError> {
        self.shared.close()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Also ends the background thread. Whoever wants to know of errors calls `close`.
        let _ = self.shared.close();
    }
}

/// A count or offset of something that is in memory, or is refused there for its size.
fn in_memory(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
