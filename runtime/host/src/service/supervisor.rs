//! Keeps a service running: launches it, and launches it again when it broke.
//!
//! Each launch is a run of its own in the log. What waits in the mailbox waits on, and between two runs the last one stays in the
//! host's table, so that the service can be seen, stopped and judged again at any time.
//!
//! In scope: the order of the runs, and what lasts longer than one. Out of scope: when it is time (`backoff`), one run (`service`).

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use kos_core::id::Did;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::backoff::{Attempts, Next};
use super::charges::Charges;
use super::{Handled, Service};
use crate::agent::{Agent, Allowance};
use crate::bindings::ServicePre;
use crate::host::Inner;
use crate::launch::{Run, RunOptions};
use crate::load::Loaded;
use crate::mailbox::{self, Letters, Mailbox};
use crate::refusal::Refusal;
use crate::router;
use crate::run::{ExitReport, Stopper, size};
use crate::runs;
use crate::wasi::Stdin;

/// What is launched, and what stays the same at each launch of it.
#[derive(Clone)]
struct Plan {
    loaded: Loaded,
    program: ServicePre<Agent>,
    options: RunOptions,
    stopper: Stopper,
    mailbox: Mailbox,
    allowance: Arc<Allowance>,
}

/// A run that has begun, in the log and for others, and has done nothing yet.
struct Begun {
    run: String,
    service: Service,
    present: Present,
}

/// Where others find a run. Gone from there when dropped.
struct Present {
    active: runs::Entered,
    reachable: router::Entered,
}

/// The task that outlasts the runs.
struct Supervisor {
    host: Weak<Inner>,
    plan: Plan,
    letters: Letters,
    attempts: Attempts,
    charges: Charges,
}

impl Inner {
    /// Begins the first run of a service, and supervises it.
    pub(crate) fn start_service(
        self: &Arc<Self>,
        loaded: &Loaded,
        program: &ServicePre<Agent>,
        options: RunOptions,
        place: OwnedSemaphorePermit,
        stops: u64,
    ) -> Result<Run, Refusal> {
        let limits = self.limits(loaded, &options)?;
        let (mailbox, letters) = mailbox::mailbox(size(limits.mailbox));
        let plan = Plan {
            loaded: loaded.clone(),
            program: program.clone(),
            // What one message read of the process's input another would miss.
            options: RunOptions { stdin: Stdin::Empty, ..options },
            stopper: Stopper::default(),
            mailbox,
            allowance: Arc::new(Allowance::new(&limits)),
        };
        let begun = self.begin(&plan, None, stops)?;
        let (id, stopper) = (begun.run.clone(), plan.stopper.clone());
        let (host, attempts) = (Arc::downgrade(self), Attempts::new(self.backoff));
        let charges = Charges::new(self.backoff);
        let supervisor = Supervisor { host, plan, letters, attempts, charges };
        let (sender, report) = oneshot::channel();
        self.runtime.spawn(async move {
            let (ended, present) = supervisor.supervise(begun).await;
            drop((place, present));
            drop(sender.send(ended));
        });
        Ok(Run::new(id, Arc::clone(&self.runtime), report, stopper))
    }

    /// Everything of a run but its first instruction. It takes the place of `previous` for those who send messages.
    fn begin(&self, plan: &Plan, previous: Option<router::Entered>, stops: u64) -> Result<Begun, Refusal> {
        let loaded = &plan.loaded;
        let limits = self.limits(loaded, &plan.options)?;
        let did = loaded.identifier()?;
        let equipment = self.equipment(loaded, plan.options.clone(), limits, Arc::clone(&plan.allowance))?;
        let powers = Arc::clone(&equipment.powers);
        let handled = Handled::default();
        let service = Service {
            program: plan.program.clone(),
            instances: loaded.instances(),
            spent: equipment.unspent().map_err(Refusal::system)?,
            equipment,
            stopper: plan.stopper.clone(),
            ticks: self.ticker.ticks().map_err(Refusal::system)?,
            handled: handled.clone(),
        };
        self.log_launch(loaded, &powers, &limits)?;
        let active = self.enter(loaded, &powers, &plan.stopper, Some(handled), stops);
        let name = loaded.component.agent().name;
        let reachable = self.router.enter(did, &name, plan.mailbox.clone(), Arc::clone(&powers));
        // Only now, so that its inbox stays open.
        drop(previous);
        let run = powers.subject.run.clone();
        Ok(Begun { run, service, present: Present { active, reachable } })
    }

    /// Begins another run, by what is in force now. Gives back what is left where it is refused.
    fn begin_again(&self, plan: &mut Plan, present: Present) -> Result<Begun, runs::Entered> {
        let Present { active, reachable } = present;
        let stops = self.runs.stops();
        let judged = if plan.loaded.generation == self.generation() {
            Ok(plan.loaded.clone())
        } else {
            self.judged_again(&plan.loaded)
        };
        let begun = judged.and_then(|loaded| {
            plan.loaded = loaded;
            self.begin(plan, Some(reachable), stops)
        });
        begun.map_err(|refusal| {
            let refusal = self.logged(refusal, &plan.loaded.shown, Some(plan.loaded.digest()));
            tracing::warn!(agent = plan.loaded.name(), %refusal, "a service that broke is not launched again");
            active
        })
    }
}

impl Supervisor {
    /// The report of the last run, and where it is to be taken from.
    async fn supervise(mut self, begun: Begun) -> (ExitReport, Option<runs::Entered>) {
        let Begun { mut service, mut present, .. } = begun;
        loop {
            let (report, broken_by) = service.run(&mut self.letters).await;
            let Next::Again(pause) = self.after(&report, broken_by) else {
                return (report, Some(present.active));
            };
            let (agent, outcome) = (self.plan.loaded.name(), &report.outcome);
            tracing::warn!(agent, %outcome, ?pause, "a service broke and is launched again");
            if self.is_stopped_within(pause).await {
                return (report, Some(present.active));
            }
            match self.again(present).await {
                Ok(begun) => Begun { service, present, .. } = begun,
                Err(active) => return (report, active),
            }
        }
    }

    /// A message that broke the service is charged to its sender, who waits; the others do not.
    fn after(&mut self, report: &ExitReport, broken_by: Option<Did>) -> Next {
        let Some(sender) = broken_by.filter(|_| self.charges.apply_to(report)) else {
            return self.attempts.after(report);
        };
        let now = Instant::now();
        if let Some(pause) = self.charges.charge(sender, now) {
            tracing::warn!(agent = self.plan.loaded.name(), %sender, ?pause, "a sender is refused for a while");
            self.plan.mailbox.refuse(sender, now + pause);
        }
        Next::Again(Duration::ZERO)
    }

    async fn is_stopped_within(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.plan.stopper.stopped()).await.is_ok()
    }

    /// Begins another run on a thread that may wait for the disk.
    async fn again(&mut self, present: Present) -> Result<Begun, Option<runs::Entered>> {
        let (host, mut plan) = (self.host.clone(), self.plan.clone());
        let begun = tokio::task::spawn_blocking(move || {
            let Some(inner) = host.upgrade() else { return Err(Some(present.active)) };
            inner.begin_again(&mut plan, present).map(|begun| (begun, plan)).map_err(Some)
        });
        let (begun, plan) = begun.await.unwrap_or(Err(None))?;
        self.plan = plan;
        Ok(begun)
    }
}
