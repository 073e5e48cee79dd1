//! One run of an agent: from its first instruction to its exit entry.
//!
//! In scope: the store and its limits, the two clocks (epochs inside the guest, a timer while the host works for it), stopping,
//! and the exit entry. Out of scope: all that is decided before (`launch`).
//!
//! Keeps I7: whatever the guest does, the run ends by its deadline or within a tick of being stopped, and what it holds is
//! given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kos_core::log::{Event, Log};
use kos_core::permission::Limits;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::agent::{Agent, Powers};
use crate::epoch::Ticks;
use crate::equipment::Equipment;
use crate::outcome::{Ended, Outcome};
use crate::record;
use crate::service::Messages;

/// What a run used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Units of fuel, about one per instruction.
    pub fuel: u64,
    /// The most linear memory at once, in bytes.
    pub memory: u64,
    /// Wall time in milliseconds.
    pub duration: u64,
    /// Capability calls, whatever became of them.
    pub calls: u64,
    /// Bytes written to stdout and stderr.
    pub output: u64,
    /// Messages and requests that it sent and that were delivered.
    pub sent: u64,
    /// Messages and requests that came into its mailbox.
    pub received: u64,
    /// What became of its messages, where it is a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Messages>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitReport {
    /// Why it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// Why its exit entry could not be written, if it could not. The next host to open the log writes one.
    pub unlogged: Option<String>,
}

impl ExitReport {
    /// The exit status of a process that made this one run: 125 if its exit could not be logged.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if self.unlogged.is_some() { 125 } else { self.outcome.exit_status() }
    }
}

/// Ends a run from outside. Cheap to clone, and harmless when the run is over.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<Stop>);

#[derive(Debug, Default)]
struct Stop {
    is_asked: AtomicBool,
    asked: Notify,
}

impl Stopper {
    /// Ends the run: a loop within a tick, a wait at once. Its outcome is `killed`.
    pub fn stop(&self) {
        self.0.is_asked.store(true, Ordering::Release);
        self.0.asked.notify_one();
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.is_asked.load(Ordering::Acquire)
    }

    /// Waits until the run is asked to end.
    pub(crate) async fn stopped(&self) {
        while !self.is_asked() {
            self.0.asked.notified().await;
        }
    }
}

/// Everything that one run of a task needs, and gives back when dropped.
pub(crate) struct Task {
    pub(crate) command: CommandPre<Agent>,
    pub(crate) agent: Agent,
    pub(crate) equipment: Equipment,
    pub(crate) stopper: Stopper,
    pub(crate) ticks: Ticks,
}

impl Task {
    /// Runs the agent to its end, and returns when its exit entry is durable.
    pub(crate) async fn run(self) -> ExitReport {
        let Self { command, agent, equipment, stopper, ticks } = self;
        let powers = Arc::clone(&agent.powers);
        let ticking = ticks.run();
        let started = Instant::now();
        let mut store = Store::new(command.engine(), agent);
        prepare(&mut store, &equipment.limits);
        let outcome = match refill(&mut store, &equipment.limits, &stopper) {
            Ok(deadline) => execute(&mut store, &command, &stopper, deadline).await,
            Err(outcome) => outcome,
        };
        // Nothing of the guest executes any more, however long its output is waited for.
        drop(ticking);
        let duration = elapsed(started);
        equipment.output.finish().await;
        let usage = usage(&store, &equipment, duration);
        drop((store, equipment));
        let unlogged = exit(&powers, &outcome, &usage).await.err();
        ExitReport { outcome, usage, unlogged }
    }
}

/// Sets the limits of a store that hold as long as it lasts.
pub(crate) fn prepare(store: &mut Store<Agent>, limits: &Limits) {
    store.limiter(|agent| &mut agent.limiter);
    store.set_hostcall_fuel(size(limits.payload));
    store.set_max_component_handles(size(limits.handles));
}

/// Gives the guest all its fuel and all its time. Returns when that is over.
pub(crate) fn refill(
    store: &mut Store<Agent>,
    limits: &Limits,
    stopper: &Stopper,
) -> Result<Instant, Outcome> {
    let deadline = Instant::now() + Duration::from_millis(limits.duration);
    let stopper = stopper.clone();
    store.set_fuel(limits.cpu).map_err(|error| Outcome::from(&error))?;
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        if stopper.is_asked() {
            return Err(Ended::Killed.into());
        }
        if Instant::now() >= deadline {
            return Err(Ended::Deadline.into());
        }
        Ok(UpdateDeadline::Yield(1))
    });
    Ok(deadline)
}

/// Lets a guest work until it is done, its time is over, or it is stopped.
pub(crate) async fn within<T>(
    deadline: Instant,
    stopper: &Stopper,
    work: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Outcome> {
    if stopper.is_asked() {
        return Err(Outcome::Killed);
    }
    tokio::select! {
        returned = work => returned.map_err(|error| Outcome::from(&error)),
        () = stopper.stopped() => Err(Outcome::Killed),
        () = tokio::time::sleep_until(deadline.into()) => Err(Outcome::Deadline),
    }
}

/// Instantiates and runs. The start functions of a component are its code like any other, so they stand under the same limits.
async fn execute(
    store: &mut Store<Agent>,
    command: &CommandPre<Agent>,
    stopper: &Stopper,
    deadline: Instant,
) -> Outcome {
    let returned = within(deadline, stopper, async {
        let instance = command.instantiate_async(&mut *store).await?;
        store.data_mut().limiter.start();
        instance.wasi_cli_run().call_run(&mut *store).await
    });
    match returned.await {
        Ok(returned) => Outcome::from(returned),
        Err(outcome) => outcome,
    }
}

fn usage(store: &Store<Agent>, equipment: &Equipment, duration: u64) -> Usage {
    let agent = store.data();
    agent.tell_learner();
    let (sent, received) = agent.powers.traffic.counts();
    let left = store.get_fuel().unwrap_or(0).saturating_sub(agent.http.owed());
    Usage {
        fuel: equipment.limits.cpu.saturating_sub(left),
        memory: agent.limiter.peak_memory() as u64,
        duration,
        calls: agent.calls,
        output: equipment.output.written(),
        sent,
        received,
        messages: None,
    }
}

/// Milliseconds since `started`.
pub(crate) fn elapsed(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Logs the end of a run, and waits until that is durable.
pub(crate) async fn exit(powers: &Powers, outcome: &Outcome, usage: &Usage) -> Result<(), String> {
    let mut entry = powers.subject.exit(outcome, usage, &powers.denials, &powers.traffic);
    if let Some(learner) = &powers.learner {
        entry = record::learned(entry, learner);
    }
    append(&powers.log, entry).await
}

/// Appends an entry and waits until it is durable, without holding a thread.
pub(crate) async fn append(log: &Log, event: Event) -> Result<(), String> {
    let (done, is_done) = oneshot::channel();
    log.submit(event, move |written| {
        drop(done.send(written.map(drop).map_err(|error| error.to_string())));
    });
    is_done.await.unwrap_or_else(|_| Err("the log is closed".into()))
}

/// A limit as a size in memory. What is larger than that cannot be reached either.
pub(crate) fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
