//! The writer: batches of entries into the journal, one `fdatasync` each, between processes that share the folder.
//!
//! In scope: opening and recovery, group commit, catching up with other processes. Out of scope: who waits
//! ([`super::queue`]), tiles and checkpoints ([`super::publish`]). Keeps I5 and I8:
//!
//! - an entry is told durable only after a successful `fdatasync` that covers it;
//! - a batch that this process did not synchronise itself is written again, byte for byte, together with the next one,
//!   as a `fdatasync` that failed elsewhere leaves pages that look written and are not;
//! - after any failed write this process writes no more until the log is opened again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::entry::{self, Draft, Entry, EntryError};
use super::error::{LogError, failed};
use super::event::Event;
use super::followed::Change;
use super::in_memory;
use super::journal::{self, BATCH_HEADER, Header, JournalError, MAX_JOURNAL};
use super::known::Known;
use super::note::Vkey;
use super::publish;
use super::state::State;
use super::tile::{self, Edge};
use crate::clock::{Clock, Timestamp};
use crate::crypto::{Signer, random};
use crate::durable::disk::{Disk, DiskFile, DiskLock};

/// The journal grows in zeroed steps of this size: a `fdatasync` over bytes already allocated is cheaper, as the file's
/// length does not change.
const GROWTH: u64 = 64 * 1024;

/// How often those that came while a batch was signed may join it. Each time takes as long as the signatures of those that
/// came in the time before, so that few times gather all who come together, and nobody waits long for others.
const MAX_ROUNDS: usize = 4;

/// Where an entry was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Index of the entry; indices are dense.
    pub index: u64,
    /// The time that the entry carries.
    pub timestamp: Timestamp,
}

/// What a writer works with.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    pub(super) key: Vkey,
    pub(super) signer: Arc<dyn Signer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) known: Known,
}

/// Writes the log; one at a time per [`super::Log`].
pub(super) struct Writer {
    pub(super) tools: Tools,
    pub(super) lock: Box<dyn DiskLock>,
    pub(super) journal: Journal,
    pub(super) state: State,
    pub(super) poison: Option<Arc<LogError>>,
    /// Size up to which the tiles are known to be in place.
    pub(super) published: u64,
    /// The checkpoint file as it was last written or verified here.
    pub(super) checkpoint: Vec<u8>,
}

/// The open journal and what is known of its bytes.
pub(super) struct Journal {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) path: PathBuf,
    /// Offset behind the last batch.
    end: u64,
    /// Bytes and offset of the last batch, while it is not known to be durable.
    doubtful: Option<(u64, Vec<u8>)>,
    /// Length of the file.
    length: u64,
    /// Whether remains of a torn write stand behind `end`.
    torn: bool,
    /// Whether the journal's name is known to be durable.
    named: bool,
}

impl Writer {
    /// Opens the log, or begins it; recovers from whatever a crash left.
    pub(super) fn open(tools: Tools) -> Result<Self, LogError> {
        let Tools { disk, directory, .. } = &tools;
        disk.create_directory(directory).map_err(failed("create", directory))?;
        let path = directory.join("lock");
        let lock = disk.lock(&path).map_err(failed("open", &path))?;
        lock.acquire().map_err(failed("lock", &path))?;
        let opened = Self::open_locked(tools, lock);
        if let Ok(writer) = &opened {
            writer.lock.release();
        }
        opened
    }

    fn open_locked(tools: Tools, lock: Box<dyn DiskLock>) -> Result<Self, LogError> {
        let (checkpoint, published) = publish::read_published(&tools)?;
        let (journal, state) = match load(&tools, published.as_ref())? {
            Some(loaded) => loaded,
            None => begin(&tools)?,
        };
        // After the machine was started anew, tiles that were never synchronised may be gone: all since the base are
        // written again.
        let boot = tools.disk.boot();
        let kept =
            !boot.is_empty() && lock.text().map_err(failed("read", &tools.directory.join("lock")))? == boot;
        let published = published.filter(|_| kept).map_or(0, |published| published.size);
        tools.known.update(&state);
        Ok(Self { tools, lock, journal, state, poison: None, published, checkpoint })
    }

    /// Commits a batch; tells for each event what became of it. An event that cannot be an entry fails alone. `more` gives
    /// those that came while the batch was signed, which are told behind the others; it is asked until there are none.
    pub(super) fn commit(
        &mut self,
        events: Vec<Event>,
        more: impl FnMut() -> Vec<Event>,
    ) -> Result<Vec<Result<Position, LogError>>, LogError> {
        self.locked(|writer| writer.commit_locked(events, more))
    }

    /// Runs `work` as the only writer, on the newest state; an error of the disk poisons this writer.
    pub(super) fn locked<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if let Some(cause) = &self.poison {
            return Err(LogError::Poisoned { cause: Arc::clone(cause) });
        }
        self.lock.acquire().map_err(failed("lock", &self.tools.directory))?;
        let done = self.catch_up().and_then(|()| work(self));
        self.tools.known.update(&self.state);
        self.lock.release();
        done
    }

    /// Makes this writer useless, as the disk failed under it.
    pub(super) fn poison(&mut self, error: LogError) -> LogError {
        self.poison = Some(Arc::new(error.clone()));
        error
    }

    pub(super) fn commit_locked(
        &mut self,
        mut events: Vec<Event>,
        mut more: impl FnMut() -> Vec<Event>,
    ) -> Result<Vec<Result<Position, LogError>>, LogError> {
        if self.journal.end > MAX_JOURNAL / 2 {
            return Err(LogError::Full { path: self.journal.path.clone(), length: self.journal.end });
        }
        let mut batch = Batch::default();
        for _ in 1..MAX_ROUNDS {
            self.seal(&mut batch, events);
            events = more();
            if events.is_empty() {
                break;
            }
        }
        self.seal(&mut batch, events);
        let Batch { body, entries, results } = batch;
        if !entries.is_empty() {
            let first = self.state.size();
            let written = self.journal.append(&self.tools, &self.state.header, first, &body);
            written.map_err(|error| self.poison(error))?;
            for (entry, timestamp, change) in entries {
                self.state.push(&entry, timestamp, change);
            }
        }
        Ok(results)
    }

    /// Signs events as the next entries of a batch.
    fn seal(&self, batch: &mut Batch, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let last = batch.entries.last().map_or(self.state.last_timestamp, |(_, timestamp, _)| *timestamp);
        let timestamp = self.tools.clock.now().max(last);
        let begin = batch.results.len();
        let mut drafts = Vec::with_capacity(events.len());
        for event in events {
            let index = self.state.size() + (batch.entries.len() + drafts.len()) as u64;
            let change = Change::of_event(&event, index);
            batch.results.push(draft(event, timestamp).map(|draft| {
                drafts.push((draft, change));
                Position { index, timestamp }
            }));
        }
        match self.tools.signer.sign_many(drafts.iter().map(|(draft, _)| draft.message()).collect()) {
            Ok(signatures) => {
                for ((draft, change), signature) in drafts.into_iter().zip(&signatures) {
                    let entry = draft.signed(signature);
                    let fits = tile::push_entry(&mut batch.body, &entry);
                    debug_assert!(fits, "a draft refuses longer entries");
                    batch.entries.push((entry, timestamp, change));
                }
            }
            Err(error) => {
                let error = LogError::from(EntryError::from(error));
                for result in batch.results.iter_mut().skip(begin).filter(|result| result.is_ok()) {
                    *result = Err(error.clone());
                }
            }
        }
    }

    /// Takes in what other processes wrote since the last look.
    pub(super) fn catch_up(&mut self) -> Result<(), LogError> {
        let path = &self.journal.path;
        let named = self.tools.disk.identity(path).map_err(failed("look at", path))?;
        let open = self.journal.file.identity().map_err(failed("look at", path))?;
        if named != Some(open) || self.journal.lost_its_tail()? {
            return self.reload();
        }
        let bytes = self.journal.news(&self.state.header.salt)?;
        if !bytes.is_empty() {
            let Self { journal, state, tools, .. } = self;
            journal.absorb(&bytes, state, tools, None)?;
        }
        Ok(())
    }

    /// Reads the journal anew, after another process replaced it.
    fn reload(&mut self) -> Result<(), LogError> {
        let known = (self.state.size(), self.state.edge.root());
        let missing = || LogError::Tampered { path: self.journal.path.clone(), flaw: "the journal is gone" };
        let (checkpoint, published) = publish::read_published(&self.tools)?;
        let (journal, state) = load(&self.tools, published.as_ref())?.ok_or_else(missing)?;
        if state.size() < known.0 || (state.size() == known.0 && state.edge.root() != known.1) {
            return Err(LogError::Tampered { path: journal.path, flaw: "it lacks entries that it had" });
        }
        (self.journal, self.state, self.checkpoint) = (journal, state, checkpoint);
        Ok(())
    }
}

/// Entries that become durable together.
#[derive(Default)]
struct Batch {
    /// What stands in the journal.
    body: Vec<u8>,
    /// Those of the events that are entries.
    entries: Vec<(Vec<u8>, Timestamp, Option<Change>)>,
    /// For each event, what becomes of it if the batch is written.
    results: Vec<Result<Position, LogError>>,
}

/// An entry that is to be signed with its batch.
fn draft(event: Event, timestamp: Timestamp) -> Result<Draft, LogError> {
    Ok(Draft::new(event, hex::encode(random::<16>()?), timestamp)?)
}

/// Reads the journal; `None` if there is no log yet. `published` is the checkpoint that stands beside it.
fn load(tools: &Tools, published: Option<&Checkpoint>) -> Result<Option<(Journal, State)>, LogError> {
    let path = tools.directory.join("journal");
    let Some(file) = tools.disk.open(&path).map_err(failed("open", &path))? else { return Ok(None) };
    let length = file.length().map_err(failed("look at", &path))?;
    if length > MAX_JOURNAL {
        return Err(LogError::Damaged { path, offset: 0, flaw: "it is longer than a journal can be" });
    }
    let mut bytes = vec![0; in_memory(length)];
    let count = file.read_at(0, &mut bytes).map_err(failed("read", &path))?;
    bytes.truncate(count);
    let (header, end) = Header::read_unverified(&bytes).map_err(damaged(&path))?;
    if header.origin != tools.key.name() {
        return Err(LogError::OtherLog { path, expected: tools.key.name().to_owned(), found: header.origin });
    }
    Header::open(&bytes, &tools.key.did())
        .map_err(|error| LogError::Tampered { path: path.clone(), flaw: error.flaw })?;
    let anchor = published.filter(|published| published.size >= header.base());
    let mut journal = Journal { file, path, end, doubtful: None, length, torn: false, named: false };
    let mut state = State::starting_at(header);
    check_anchor(&state, anchor, tools)?;
    journal.absorb(bytes.get(in_memory(end)..).unwrap_or_default(), &mut state, tools, anchor)?;
    if anchor.is_some_and(|anchor| anchor.size > state.size()) {
        return Err(LogError::Tampered {
            path: journal.path,
            flaw: "it lacks entries that this host signed",
        });
    }
    Ok(Some((journal, state)))
}

/// Begins a log that has no entry yet.
fn begin(tools: &Tools) -> Result<(Journal, State), LogError> {
    for name in ["checkpoint", "tile"] {
        let path = tools.directory.join(name);
        if tools.disk.identity(&path).map_err(failed("look at", &path))?.is_some() {
            let path = tools.directory.join("journal");
            return Err(LogError::Tampered { path, flaw: "it is gone, but the log had entries" });
        }
    }
    let header = Header {
        origin: tools.key.name().to_owned(),
        edge: Edge::default(),
        last_timestamp: Timestamp::from_millis(0),
        open_runs: Vec::new(),
        noted_vaults: Vec::new(),
        engaged: None,
        salt: random()?,
    };
    let journal = Journal::replace(tools, &header, &[])?;
    Ok((journal, State::starting_at(header)))
}

impl Journal {
    /// Puts a new journal in place of the old one, durably: `header`, and `tail` as its one batch.
    pub(super) fn replace(tools: &Tools, header: &Header, tail: &[u8]) -> Result<Self, LogError> {
        let path = tools.directory.join("journal");
        let temporary = tools.directory.join("journal.new");
        let mut bytes = header.sign(tools.signer.as_ref())?;
        if !tail.is_empty() {
            journal::push_batch(&mut bytes, &header.salt, header.base(), 0, tail);
        }
        let end = bytes.len() as u64;
        let length = end.next_multiple_of(GROWTH);
        bytes.resize(in_memory(length), 0);
        let file = tools.disk.create(&temporary).map_err(failed("create", &temporary))?;
        file.write_at(0, &bytes).map_err(failed("write", &temporary))?;
        file.sync_data().map_err(failed("synchronise", &temporary))?;
        tools.disk.rename(&temporary, &path).map_err(failed("replace", &path))?;
        tools.disk.sync_directory(&tools.directory).map_err(failed("synchronise", &tools.directory))?;
        Ok(Self { file, path, end, doubtful: None, length, torn: false, named: true })
    }

    /// Appends a batch and makes it durable.
    fn append(&mut self, tools: &Tools, header: &Header, first: u64, body: &[u8]) -> Result<(), LogError> {
        if !self.named {
            tools.disk.sync_directory(&tools.directory).map_err(failed("synchronise", &tools.directory))?;
            self.named = true;
        }
        let (start, mut bytes) = self.doubtful.take().unwrap_or((self.end, Vec::new()));
        journal::push_batch(&mut bytes, &header.salt, first, start, body);
        let end = start + bytes.len() as u64;
        if end > self.length || self.torn {
            bytes.resize(in_memory(end.max(self.length).next_multiple_of(GROWTH) - start), 0);
        }
        let written = self.file.write_at(start, &bytes).map_err(failed("write", &self.path));
        if let Err(error) =
            written.and_then(|()| self.file.sync_data().map_err(failed("synchronise", &self.path)))
        {
            // Whoever comes next need not find what was promised to nobody. If this fails too, they may, and that is
            // allowed: no index is given twice either way.
            let _ = self.file.set_length(self.end);
            return Err(error);
        }
        self.length = self.length.max(start + bytes.len() as u64);
        self.end = end;
        self.torn = false;
        Ok(())
    }

    /// Makes everything up to the end durable, for a writer that is about to sign a checkpoint over it.
    pub(super) fn settle(&mut self, tools: &Tools) -> Result<(), LogError> {
        if !self.named {
            tools.disk.sync_directory(&tools.directory).map_err(failed("synchronise", &tools.directory))?;
            self.named = true;
        }
        if let Some((start, bytes)) = self.doubtful.take() {
            self.file.write_at(start, &bytes).map_err(failed("write", &self.path))?;
            self.file.sync_data().map_err(failed("synchronise", &self.path))?;
        }
        Ok(())
    }

    /// Whether the last batch, written by another process and perhaps never durable, is no longer there.
    fn lost_its_tail(&self) -> Result<bool, LogError> {
        let Some((start, bytes)) = &self.doubtful else { return Ok(false) };
        let mut found = [0; BATCH_HEADER];
        let count = self.file.read_at(*start, &mut found).map_err(failed("read", &self.path))?;
        Ok(count < BATCH_HEADER || !bytes.starts_with(&found))
    }

    /// The bytes behind the end, if another process appended there.
    fn news(&mut self, salt: &journal::Salt) -> Result<Vec<u8>, LogError> {
        let mut mark = [0; 16];
        let count = self.file.read_at(self.end, &mut mark).map_err(failed("read", &self.path))?;
        if count < mark.len() || mark != *salt {
            return Ok(Vec::new());
        }
        self.length = self.file.length().map_err(failed("look at", &self.path))?;
        let mut bytes = vec![0; in_memory(self.length.saturating_sub(self.end))];
        let count = self.file.read_at(self.end, &mut bytes).map_err(failed("read", &self.path))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Takes in `bytes`, which stand behind the end. What lies beyond `anchor` must be signed by the host; what lies
    /// before it must have the root of `anchor`.
    fn absorb(
        &mut self,
        bytes: &[u8],
        state: &mut State,
        tools: &Tools,
        anchor: Option<&Checkpoint>,
    ) -> Result<(), LogError> {
        let from = self.end;
        let scan =
            journal::scan(bytes, from, &state.header.salt, state.size()).map_err(damaged(&self.path))?;
        let anchored = anchor.map_or(0, |anchor| anchor.size);
        for batch in &scan.batches {
            for bytes in tile::entries(batch.body).flatten() {
                let index = state.size();
                if index < anchored {
                    let timestamp = entry::timestamp_of(bytes).unwrap_or(state.last_timestamp);
                    state.push(bytes, timestamp, Change::of_bytes(bytes, index));
                    check_anchor(state, anchor, tools)?;
                } else {
                    let entry = verify_next(bytes, state, tools, &self.path)?;
                    state.push(bytes, entry.timestamp, Change::of(&entry, index));
                }
            }
            // A batch that was written in place proves that its writer had made the journal's name durable.
            self.named |= batch.synced > 0;
        }
        if let Some(last) = scan.batches.last() {
            let bytes =
                bytes.get(in_memory(last.start - from)..in_memory(last.end - from)).unwrap_or_default();
            self.doubtful = Some((last.start, bytes.to_vec()));
        }
        (self.end, self.torn) = (scan.end, scan.torn);
        Ok(())
    }
}

/// Compares the tree with the checkpoint that is published at its size.
fn check_anchor(state: &State, anchor: Option<&Checkpoint>, tools: &Tools) -> Result<(), LogError> {
    match anchor {
        Some(anchor) if anchor.size == state.size() && anchor.root != state.edge.root() => {
            Err(LogError::Tampered {
                path: tools.directory.join("journal"),
                flaw: "its entries do not have the root that this host signed",
            })
        }
        _ => Ok(()),
    }
}

/// Verifies an entry that stands behind `state`.
pub(super) fn verify_next(
    bytes: &[u8],
    state: &State,
    tools: &Tools,
    path: &Path,
) -> Result<Entry, LogError> {
    let tampered = |flaw| LogError::Tampered { path: path.to_owned(), flaw };
    let entry = Entry::verify(bytes, &tools.key.did())
        .map_err(|_| tampered("an entry is not signed by this host"))?;
    if entry.timestamp < state.last_timestamp {
        return Err(tampered("an entry is older than the one before it"));
    }
    Ok(entry)
}

pub(super) fn damaged(path: &Path) -> impl FnOnce(JournalError) -> LogError {
    let path = path.to_owned();
    move |JournalError { offset, flaw }| LogError::Damaged { path, offset, flaw }
}
