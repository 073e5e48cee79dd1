//! How much output a run has written, and what of it is still on its way to the reader.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Sink;
use crate::outcome::Ended;

/// What both streams of a run share: the cap, and how much is under way to the reader.
#[derive(Debug)]
pub(super) struct Flow {
    limit: usize,
    written: AtomicUsize,
    pending: AtomicUsize,
    broken: AtomicBool,
    changed: Notify,
    waiting: Mutex<Waiting>,
}

/// What the writing thread has still to write, in order.
#[derive(Debug, Default)]
struct Waiting {
    texts: Vec<(Sink, String)>,
    is_announced: bool,
}

impl Flow {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            written: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            changed: Notify::new(),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn admit(&self, length: usize) -> Result<(), Ended> {
        let before = self.written.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) > self.limit { Err(Ended::Output) } else { Ok(()) }
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed) as u64
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// Whether its reader is gone.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Leaves text to the writing thread. Whether the thread has to be told.
    pub(super) fn leave(&self, sink: &Sink, text: String) -> bool {
        self.pending.fetch_add(text.len(), Ordering::AcqRel);
        let mut waiting = self.waiting();
        match waiting.texts.last_mut() {
            Some((last, before)) if last.is_same(sink) => before.push_str(&text),
            _ => waiting.texts.push((sink.clone(), text)),
        }
        !std::mem::replace(&mut waiting.is_announced, true)
    }

    pub(super) fn write_waiting(&self) {
        let Waiting { texts, .. } = std::mem::take(&mut *self.waiting());
        for (sink, text) in texts {
            let written = sink.write(text.as_bytes());
            self.finish(text.len(), written.is_err());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, length: usize, failed: bool) {
        if failed {
            self.broken.store(true, Ordering::Relaxed);
        }
        self.pending.fetch_sub(length, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    pub(super) async fn wait_until(&self, enough: impl Fn(usize) -> bool) {
        if enough(self.pending.load(Ordering::Acquire)) {
            return;
        }
        loop {
            let changed = self.changed.notified();
            if enough(self.pending.load(Ordering::Acquire)) {
                return;
            }
            changed.await;
        }
    }
}
