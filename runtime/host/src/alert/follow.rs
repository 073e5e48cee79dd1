//! The thread that follows: the lock, the place in the log, and each new entry once.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use kos_core::alert::{Raised, Watcher};
use kos_core::clock::{Clock as _, SystemClock};
use kos_core::durable::{self, Lock};
use kos_core::log::entry::Entry;
use kos_core::log::reader::{LogReader, ReadError};

use super::WatchOptions;
use super::sink::{Context, Outlet};

/// How often the log's files are looked at; looking costs two calls of the file system.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long the sinks have when all is over.
const GRACE: Duration = Duration::from_secs(2);
/// A decimal number.
const SEEN_MAX: u64 = 32;
/// The lock of the one who follows.
const LOCK: &str = "alerts.lock";

/// What shows that a file is another one, or has been written.
type Sight = Vec<Option<(u64, i64, i64, u64)>>;

pub(super) struct Follower {
    options: WatchOptions,
    watcher: Watcher,
    outlets: Vec<Outlet>,
    /// The first entry that was not looked at; none before the lock is held.
    next: Option<u64>,
    /// Where to begin where nobody has looked before; none where somebody else looked meanwhile.
    start: Option<u64>,
    sight: Sight,
    /// Whether it was told that the log is in trouble; once is enough until it is out of it.
    is_troubled: bool,
    troubles: u64,
    reported: u64,
}

impl Follower {
    pub(super) fn new(options: WatchOptions) -> Self {
        let context = Context::new(&options.home, &options.config, Arc::clone(&options.terminal));
        let mut outlets = Vec::new();
        for (name, destination) in &options.alerts.sinks {
            match Outlet::open(name, context.open(destination)) {
                Ok(outlet) => outlets.push(outlet),
                Err(error) => tracing::error!(%error, sink = %name, "a sink cannot be opened"),
            }
        }
        let watcher = Watcher::new(options.alerts.rules.clone());
        let start = options.log.size().ok();
        Self {
            options,
            start,
            watcher,
            outlets,
            next: None,
            sight: Vec::new(),
            is_troubled: false,
            troubles: 0,
            reported: 0,
        }
    }

    /// Follows until the other end is dropped, and then once more.
    pub(super) fn run(mut self, stop: &Receiver<()>) {
        let path = self.options.home.run().join(LOCK);
        let mut lock = None;
        loop {
            if lock.is_none() {
                lock = Lock::try_exclusive(&path).ok().flatten();
            }
            match lock {
                Some(_) => self.look(),
                None => self.start = None,
            }
            match stop.recv_timeout(INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if lock.is_some() {
            self.look();
        }
        let until = Instant::now() + GRACE;
        std::mem::take(&mut self.outlets).into_iter().for_each(|outlet| outlet.close(until));
    }

    /// Takes in what is new.
    fn look(&mut self) {
        let sight = self.sight_now();
        if self.next.is_some() && sight == self.sight {
            return;
        }
        let troubles = self.troubles;
        match self.take_in() {
            Ok(()) => self.is_troubled &= self.troubles != troubles,
            Err(error) => self.trouble("unreadable", &error.to_string()),
        }
        self.report_losses();
        self.sight = sight;
    }

    fn take_in(&mut self) -> Result<(), ReadError> {
        let reader = LogReader::open(&self.options.home.log())?;
        let size = reader.size()?;
        let first = self.next.unwrap_or_else(|| self.seen().or(self.start).unwrap_or(size));
        if first > size {
            self.trouble("cut-back", "the log has fewer entries than were looked at");
        }
        let first = first.min(size);
        for item in reader.entries(first..size) {
            let (index, bytes) = item?;
            if let Ok(entry) = Entry::parse_unverified(&bytes) {
                self.see(index, &entry);
            } else {
                self.trouble("unreadable", "an entry is malformed");
            }
            self.next = Some(index + 1);
        }
        self.next = Some(size);
        self.remember(size);
        Ok(())
    }

    fn see(&mut self, index: u64, entry: &Entry) {
        let alerts = self.watcher.see(index, entry);
        let alerts: Vec<_> =
            alerts.into_iter().map(|(rule, raised)| (rule.sinks.clone(), Arc::new(raised))).collect();
        for (sinks, raised) in alerts {
            self.log(&raised);
            self.outlets.iter().filter(|outlet| sinks.contains(&outlet.name)).for_each(|o| o.offer(&raised));
        }
    }

    /// The alert's own entry. Where it cannot be written, the sinks are told all the more.
    fn log(&mut self, raised: &Raised) {
        let event = raised.to_event(&self.options.config.host.to_string());
        if let Err(error) = self.options.log.append(event) {
            self.trouble("unwritable", &error.to_string());
        }
    }

    /// Tells every sink, once until the log can be read again.
    fn trouble(&mut self, reason: &'static str, cause: &str) {
        self.troubles += 1;
        tracing::error!(reason, cause, "the log is in trouble");
        if !std::mem::replace(&mut self.is_troubled, true) {
            let raised = Arc::new(Raised::of_log(reason, SystemClock.now()));
            self.outlets.iter().for_each(|outlet| outlet.offer(&raised));
        }
    }

    /// An entry for what was lost since the last one.
    fn report_losses(&mut self) {
        let lost: u64 = self.outlets.iter().map(Outlet::lost).sum();
        let Some(worst) = self.outlets.iter().max_by_key(|outlet| outlet.lost()) else { return };
        if lost > self.reported {
            let raised = Raised::lost(&worst.name, lost - self.reported, SystemClock.now());
            self.reported = lost;
            self.log(&raised);
        }
    }

    fn seen(&self) -> Option<u64> {
        if !self.options.is_continued {
            return None;
        }
        let bytes = durable::read_capped(&self.options.home.alerts_seen(), SEEN_MAX).ok()?;
        std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
    }

    fn remember(&self, next: u64) {
        if self.options.is_continued
            && let Err(error) =
                durable::replace(&self.options.home.alerts_seen(), next.to_string().as_bytes())
        {
            tracing::warn!(%error, "it is not remembered up to where the log was looked at");
        }
    }

    fn sight_now(&self) -> Sight {
        let log = self.options.home.log();
        let paths: [PathBuf; 2] = [log.join("journal"), log.join("checkpoint")];
        let look = |path: PathBuf| {
            let seen = std::fs::metadata(path).ok()?;
            Some((seen.ino(), seen.mtime(), seen.mtime_nsec(), seen.len()))
        };
        paths.map(look).into()
    }
}
