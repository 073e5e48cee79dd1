//! The runs that have not ended: who they are, and what ends them.
//!
//! In scope: the table, and waiting until it is empty. Out of scope: everything else of a host, so that a run's task can hold the
//! table without holding the host.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kos_core::clock::Timestamp;
use kos_core::manifest::VerifiedComponent;
use tokio::sync::Notify;

use crate::agent::Powers;
use crate::run::Stopper;
use crate::service::Handled;

/// A run that has not ended.
pub(crate) struct ActiveRun {
    pub(crate) name: String,
    pub(crate) component: Arc<VerifiedComponent>,
    pub(crate) powers: Arc<Powers>,
    pub(crate) stopper: Stopper,
    pub(crate) started: Timestamp,
    /// The messages so far, where it is a service.
    pub(crate) handled: Option<Handled>,
}

/// The runs of one host, by their identifiers.
#[derive(Default)]
pub(crate) struct Runs {
    table: Mutex<BTreeMap<String, ActiveRun>>,
    /// How often every run was asked to end. Changed under the table's lock.
    stops: AtomicU64,
    ended: Notify,
}

impl Runs {
    pub(crate) fn table(&self) -> MutexGuard<'_, BTreeMap<String, ActiveRun>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often every run was asked to end. A launch begins with it.
    pub(crate) fn stops(&self) -> u64 {
        self.stops.load(Ordering::Acquire)
    }

    /// Enters a run whose launch began at this count of `stops`, until the result is dropped. If every run was asked to end
    /// since, so is this one.
    pub(crate) fn enter(self: &Arc<Self>, run: String, active: ActiveRun, stops: u64) -> Entered {
        let mut table = self.table();
        if self.stops() != stops {
            active.stopper.stop();
        }
        table.insert(run.clone(), active);
        drop(table);
        Entered { runs: Arc::clone(self), run }
    }

    /// Asks every run to end, those that are being launched included. Gives how many runs there are.
    pub(crate) fn stop_all(&self) -> usize {
        let table = self.table();
        self.stops.fetch_add(1, Ordering::AcqRel);
        table.values().for_each(|run| run.stopper.stop());
        table.len()
    }

    /// Waits until no run is left.
    pub(crate) async fn wait_until_empty(&self) {
        loop {
            let ended = self.ended.notified();
            if self.table().is_empty() {
                return;
            }
            ended.await;
        }
    }
}

/// A place in the table.
pub(crate) struct Entered {
    runs: Arc<Runs>,
    run: String,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.runs.table().remove(&self.run);
        self.runs.ended.notify_waiters();
    }
}
