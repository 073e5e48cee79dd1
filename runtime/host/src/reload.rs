//! Judging again what was judged earlier, after the trust store or the grants changed.
//!
//! In scope: runs that go on, and components that are loaded. Out of scope: the first judgement (`load`).
//!
//! Keeps I4: when a reload returns, the next call of every run is judged by what is in force now.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kos_core::clock::Timestamp;
use kos_core::manifest::VerifiedComponent;
use kos_core::permission::Effective;
use kos_core::trust::{TrustError, VerifiedTrust};

use crate::host::Inner;
use crate::load::Loaded;
use crate::refusal::Refusal;
use crate::runs::ActiveRun;

impl Inner {
    /// The same component under what is in force now.
    pub(crate) fn judged_again(&self, loaded: &Loaded) -> Result<Loaded, Refusal> {
        let now = self.clock.now();
        let generation = self.generation();
        let trust = VerifiedTrust::load(&self.home, &self.config, now)?;
        loaded.component.check_again(&trust, now)?;
        let (permissions, effective) = self.permissions(&loaded.component, &trust, now)?;
        Ok(Loaded { permissions: Arc::new(permissions), effective, generation, ..loaded.clone() })
    }

    /// Judges every run again. What cannot be judged may do nothing more.
    pub(crate) fn reload(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.router.reload();
        let now = self.clock.now();
        let trust = VerifiedTrust::load(&self.home, &self.config, now);
        for (run, active) in self.runs.table().iter() {
            self.judge(run, active, trust.as_ref(), now);
        }
        self.desk.judge_again();
    }

    /// Judges a run that entered the table while a reload went through it, if one did since `generation`. To be called between
    /// the entering and the first instruction.
    pub(crate) fn catch_up(&self, generation: u64, run: &str) {
        if generation == self.generation() {
            return;
        }
        let now = self.clock.now();
        let trust = VerifiedTrust::load(&self.home, &self.config, now);
        if let Some(active) = self.runs.table().get(run) {
            self.judge(run, active, trust.as_ref(), now);
        }
    }

    fn judge(
        &self,
        run: &str,
        active: &ActiveRun,
        trust: Result<&VerifiedTrust, &TrustError>,
        now: Timestamp,
    ) {
        let judged = match trust {
            Ok(trust) => self.effective_now(&active.component, trust, now),
            Err(error) => Err(error.to_string()),
        };
        let replaced = judged
            .and_then(|effective| active.powers.gate.replace(effective).map_err(|error| error.to_string()));
        if let Err(cause) = replaced {
            tracing::warn!(run, cause, "a run is not trusted any more and ends");
            active.powers.gate.revoke_all();
            active.stopper.stop();
        }
    }

    fn effective_now(
        &self,
        component: &VerifiedComponent,
        trust: &VerifiedTrust,
        now: Timestamp,
    ) -> Result<Effective, String> {
        component.check_again(trust, now).map_err(|refusal| refusal.to_string())?;
        let permissions = self.granted(component, now).map_err(|error| error.to_string())?;
        Ok(Effective::compute(component, &permissions, trust))
    }
}
