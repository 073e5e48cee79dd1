//! The kill switch in a running host: by the home's file, by a request, by a signal.
//!
//! In scope: ending every run, launching nothing more, telling the log. Out of scope: the file and the release
//! (`kos_core::kill_switch`), and the hosts of a home as a whole (`control`).
//!
//! A host that was stopped stays stopped until its process ends. Nothing here waits for the log: the entry is handed to it, and
//! what it says when it cannot write comes after everything has ended.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use kos_core::kill_switch::{self, Cause, Engagement};

use crate::host::Inner;
use crate::record;
use crate::refusal::Refusal;

/// How late a host sees the file: with the tick of a guest and a busy machine still within a tenth of a second. A look is one
/// `lstat`.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is known of whoever sends a signal.
const UNKNOWN: &str = "unknown";

/// What stops everything on a host from another thread. It does not keep the host from ending.
#[derive(Clone)]
pub struct KillSwitch(Weak<Inner>);

impl KillSwitch {
    pub(crate) fn of(inner: &Arc<Inner>) -> Self {
        Self(Arc::downgrade(inner))
    }

    /// Ends every run of this host, as a signal asked for it, and keeps all hosts of the home from launching any. Nothing
    /// happens where the host has ended.
    pub fn engage(&self) {
        let Some(inner) = self.0.upgrade() else { return };
        let engagement = Engagement::new(Cause::Signal, UNKNOWN, "a signal was sent to a host");
        inner.engage(&engagement);
        if let Err(error) = kill_switch::engage(&inner.home, &engagement) {
            tracing::error!(%error, "this host has stopped; others may not");
        }
    }
}

impl std::fmt::Debug for KillSwitch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("KillSwitch")
    }
}

/// Has a host stop as soon as the file is there.
pub(crate) fn watch(inner: &Arc<Inner>) -> Result<(), Refusal> {
    if let Some(engagement) = Engagement::found(&inner.home) {
        inner.engage(&engagement);
        return Ok(());
    }
    let (home, host) = (inner.home.clone(), Arc::downgrade(inner));
    let watching = move || {
        // The host is not held but for the moment in which it stops.
        while host.strong_count() > 0 {
            if let Some(engagement) = Engagement::found(&home) {
                if let Some(inner) = host.upgrade() {
                    inner.engage(&engagement);
                }
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    };
    std::thread::Builder::new().name("kos-kill".into()).spawn(watching).map_err(Refusal::system)?;
    Ok(())
}

impl Inner {
    /// Launches nothing more, ends every run, and hands the log an entry. Yields how many runs there were. The second time
    /// ends what is left and says nothing more.
    pub(crate) fn engage(&self, engagement: &Engagement) -> usize {
        // Before the runs are stopped: a launch that sees neither this nor the stop has not begun.
        let is_first = !self.is_killed.swap(true, Ordering::AcqRel);
        let agents = self.runs.stop_all();
        if is_first && (agents > 0 || self.log.engagement().is_none()) {
            let event = engagement.event(&self.config.host, &self.home, agents).with("host", &*self.id);
            record::submit(&self.log, event, "everything was stopped, which could not be logged");
        }
        agents
    }

    /// Whether anything may be launched: nothing was stopped here, no file is there, and the log, as far as it was read, does
    /// not say so either.
    pub(crate) fn check_released(&self) -> Result<(), Refusal> {
        let found = Engagement::found(&self.home).map(|found| format!("{} ({})", found.reason, found.by));
        let logged = || self.log.engagement().map(|entry| format!("entry {entry} of the log says so"));
        let here = || self.is_killed.load(Ordering::Acquire).then(|| "this host was stopped".to_owned());
        match found.or_else(logged).or_else(here) {
            Some(why) => Err(Refusal::KillSwitch { why }),
            None => Ok(()),
        }
    }
}
