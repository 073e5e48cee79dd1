//! Group commit: whoever comes first writes for all who wait.
//!
//! In scope: forming batches and waking waiters. A caller of `append` that finds nobody writing writes itself, with no
//! thread in between; those that come meanwhile form the next batch, and the first of them writes it. Events handed
//! over by `submit`, and publishing in time, are the work of one background thread, started when first needed.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::LogError;
use super::event::Event;
use super::slot::{Pen, Reply, Slot, Told};
use super::tile::WIDTH;
use super::writer::{Position, Writer};

/// Events in one batch at most: what a batch waits for stays below 30 ms of signing.
const MAX_BATCH: usize = 1024;

/// Entries become visible in tiles and checkpoint after this time (DESIGN §4).
const PUBLISH_AFTER: Duration = Duration::from_secs(1);

/// Entries that a running process lets pile up in the journal. Each rotation costs a dozen synchronisations, which
/// this many entries make cheap; and what the next process reads when it opens the log stays below 2 MB.
const ROTATE_AFTER: u64 = 4096;

/// Entries that a process leaves in the journal when it closes: the next one reads and hashes them all, which for a bundle
/// costs less than the rotation would, spread over the runs that fill it.
const ROTATE_AT_CLOSE: u64 = WIDTH;

type Outcome = Result<Position, LogError>;
type Done = Box<dyn FnOnce(Outcome) + Send>;

/// What is shared between callers and the background thread.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the background thread.
    work: Condvar,
    writer: Mutex<Writer>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Event, Waiter)>,
    /// Somebody is writing, or has been told to.
    writing: bool,
    closing: bool,
    /// All is published, and nothing can come any more.
    closed: bool,
    background: Background,
    /// When the background thread is to publish next.
    publish_by: Option<Instant>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Background {
    #[default]
    Absent,
    Running,
    /// Tests own time, and publish when they say so.
    Forbidden,
}

/// Who hears of an event.
struct Waiter {
    done: Done,
    /// Where it waits, if it can write.
    pen: Option<Arc<dyn Pen>>,
}

impl Shared {
    pub(super) fn new(writer: Writer, background: bool) -> Arc<Self> {
        let background = if background { Background::Absent } else { Background::Forbidden };
        let queue = Queue { background, ..Queue::default() };
        Arc::new(Self { queue: Mutex::new(queue), work: Condvar::new(), writer: Mutex::new(writer) })
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        locked(&self.writer)
    }

    /// Waits for what `then` makes of the outcome, or has made by others; nothing where they gave it up.
    pub(super) fn append_then<T: Send + 'static>(
        self: &Arc<Self>,
        event: Event,
        then: impl FnOnce(Outcome, Reply<T>) + Send + 'static,
    ) -> Result<Option<T>, LogError> {
        let (slot, reply) = Slot::new();
        {
            let mut queue = locked(&self.queue);
            if queue.closing {
                return Err(LogError::Closed);
            }
            let pen: Arc<dyn Pen> = Arc::clone(&slot) as _;
            let done: Done = Box::new(move |outcome| then(outcome, reply));
            queue.waiting.push_back((event, Waiter { done, pen: Some(pen) }));
            if !queue.writing {
                queue.writing = true;
                slot.hand_over();
            }
        }
        loop {
            match slot.wait() {
                Told::Write => self.write_batch(),
                Told::Given(given) => return Ok(Some(given)),
                Told::Abandoned => return Ok(None),
            }
        }
    }

    pub(super) fn submit(self: &Arc<Self>, event: Event, done: Done) {
        let mut queue = locked(&self.queue);
        if queue.closing {
            drop(queue);
            return done(Err(LogError::Closed));
        }
        queue.waiting.push_back((event, Waiter { done, pen: None }));
        if self.has_background(&mut queue) {
            self.work.notify_all();
        } else if !queue.writing {
            queue.writing = true;
            drop(queue);
            self.write_batch();
        }
    }

    /// Writes one batch, tells its waiters, and hands the pen on.
    fn write_batch(self: &Arc<Self>) {
        let mut waiters = Vec::new();
        let first = self.take_batch(&mut waiters);
        let (outcomes, unpublished) = {
            let mut writer = self.writer();
            let outcomes = writer.commit(first, || self.take_batch(&mut waiters));
            (outcomes, writer.state.size() - writer.published.min(writer.state.size()))
        };
        self.hand_on(unpublished);
        match outcomes {
            Ok(outcomes) => {
                waiters.into_iter().zip(outcomes).for_each(|(waiter, outcome)| (waiter.done)(outcome))
            }
            Err(error) => waiters.into_iter().for_each(|waiter| (waiter.done)(Err(error.clone()))),
        }
    }

    /// The events that wait and still fit into a batch of so many `waiters`, who grow by theirs.
    fn take_batch(&self, waiters: &mut Vec<Waiter>) -> Vec<Event> {
        let mut queue = locked(&self.queue);
        let count = queue.waiting.len().min(MAX_BATCH.saturating_sub(waiters.len()));
        let mut events = Vec::with_capacity(count);
        for (event, waiter) in queue.waiting.drain(..count) {
            events.push(event);
            waiters.push(waiter);
        }
        events
    }

    /// Lets the first who waits write the next batch, and has the rest published in time.
    fn hand_on(self: &Arc<Self>, unpublished: u64) {
        let mut queue = locked(&self.queue);
        if unpublished > 0 && !queue.closing {
            let now = Instant::now();
            let due = if unpublished >= WIDTH { now } else { now + PUBLISH_AFTER };
            if queue.publish_by.is_none_or(|by| due < by) && self.has_background(&mut queue) {
                queue.publish_by = Some(due);
                self.work.notify_all();
            }
        }
        match queue.waiting.front() {
            Some((_, Waiter { pen: Some(pen), .. })) => return pen.hand_over(),
            Some((_, Waiter { pen: None, .. })) => {}
            None => {
                queue.writing = false;
                if queue.closing {
                    self.work.notify_all();
                }
                return;
            }
        }
        if self.has_background(&mut queue) {
            queue.writing = false;
            self.work.notify_all();
        } else {
            drop(queue);
            self.write_batch();
        }
    }

    /// Whether there is a background thread; starts it if there may be one.
    fn has_background(self: &Arc<Self>, queue: &mut Queue) -> bool {
        if queue.background == Background::Absent {
            let shared = Arc::clone(self);
            let started =
                std::thread::Builder::new().name("kos-log".to_owned()).spawn(move || shared.background());
            if started.is_ok() {
                queue.background = Background::Running;
            }
        }
        queue.background == Background::Running
    }

    /// The background thread: writes what was submitted, publishes in time, ends when the log closes.
    fn background(self: Arc<Self>) {
        let _ended = Ended(&self);
        let mut queue = locked(&self.queue);
        loop {
            if !queue.writing && !queue.waiting.is_empty() {
                queue.writing = true;
                drop(queue);
                self.write_batch();
                queue = locked(&self.queue);
                continue;
            }
            if queue.closing {
                drop(queue);
                return;
            }
            let rest = queue.publish_by.map(|by| by.saturating_duration_since(Instant::now()));
            queue = match rest {
                None => self.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    queue.publish_by = None;
                    drop(queue);
                    self.publish();
                    locked(&self.queue)
                }
                Some(rest) => self.work.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn publish(&self) {
        let mut writer = self.writer();
        let published = writer
            .publish()
            .and_then(|()| if writer.held() >= ROTATE_AFTER { writer.rotate() } else { Ok(()) });
        if let Err(error) = published {
            // The entries are safe in the journal; publishing is tried again with the next ones and at close.
            tracing::warn!(%error, "the log's tiles could not be written");
        }
    }

    /// Opens the files again, after a failure made this writer useless.
    pub(super) fn reopen(&self) -> Result<(), LogError> {
        let mut writer = self.writer();
        *writer = Writer::open(writer.tools.clone())?;
        Ok(())
    }

    /// Takes no more events, waits for those under way, publishes.
    pub(super) fn close(&self) -> Result<(), LogError> {
        let mut queue = locked(&self.queue);
        if queue.closed {
            return Ok(());
        }
        queue.closing = true;
        self.work.notify_all();
        while queue.background == Background::Running || queue.writing {
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        let mut writer = self.writer();
        writer.publish()?;
        if writer.held() >= ROTATE_AT_CLOSE {
            writer.rotate()?;
        }
        drop(writer);
        locked(&self.queue).closed = true;
        Ok(())
    }
}

/// Says that the background thread has ended, however it ended.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        locked(&self.0.queue).background = Background::Absent;
        self.0.work.notify_all();
    }
}

/// A panic elsewhere leaves these values whole: each is changed in one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
