//! The runs that have not ended: who they are, and what ends them.
//!
//! In scope: the table, and waiting until it is empty. Out of scope: everything else of a host, so that a run's task can hold the
//! table without holding the host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kos_core::clock::Timestamp;
use kos_core::manifest::VerifiedComponent;
use tokio::sync::Notify;

use crate::agent::Powers;
use crate::run::Stopper;

/// A run that has not ended.
pub(crate) struct ActiveRun {
    pub(crate) name: String,
    pub(crate) component: Arc<VerifiedComponent>,
    pub(crate) powers: Arc<Powers>,
    pub(crate) stopper: Stopper,
    pub(crate) started: Timestamp,
}

/// The runs of one host, by their identifiers.
#[derive(Default)]
pub(crate) struct Runs {
    table: Mutex<BTreeMap<String, ActiveRun>>,
    ended: Notify,
}

impl Runs {
    pub(crate) fn table(&self) -> MutexGuard<'_, BTreeMap<String, ActiveRun>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a run, until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>, run: String, active: ActiveRun) -> Entered {
        self.table().insert(run.clone(), active);
        Entered { runs: Arc::clone(self), run }
    }

    /// Asks every run to end.
    pub(crate) fn stop_all(&self) {
        self.table().values().for_each(|run| run.stopper.stop());
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
