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
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::agent::{Agent, Powers};
use crate::epoch::Running;
use crate::outcome::{Ended, Outcome};
use crate::output::Output;
use crate::storage::Directory;

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

    fn is_asked(&self) -> bool {
        self.0.is_asked.load(Ordering::Acquire)
    }
}

/// Everything that one run needs, and gives back when dropped.
pub(crate) struct Task {
    pub(crate) command: CommandPre<Agent>,
    pub(crate) agent: Agent,
    pub(crate) limits: Limits,
    pub(crate) output: Output,
    pub(crate) stopper: Stopper,
    pub(crate) directory: Option<Directory>,
    pub(crate) ticks: Running,
    pub(crate) place: OwnedSemaphorePermit,
}

impl Task {
    /// Runs the agent to its end, and returns when its exit entry is durable.
    pub(crate) async fn run(self) -> ExitReport {
        let Self { command, agent, limits, output, stopper, directory, ticks, place } = self;
        let powers = Arc::clone(&agent.powers);
        let started = Instant::now();
        let mut store = Store::new(command.engine(), agent);
        let outcome = match prepare(&mut store, &limits, &stopper, started) {
            Ok(deadline) => execute(&mut store, &command, &stopper, deadline).await,
            Err(error) => Outcome::from(&error),
        };
        let duration = started.elapsed();
        output.finish().await;
        let usage = usage(&store, &limits, &output, duration);
        drop((store, directory, ticks));
        let unlogged = exit(&powers, &outcome, &usage).await.err();
        drop(place);
        ExitReport { outcome, usage, unlogged }
    }
}

/// Sets every limit of the store.
fn prepare(
    store: &mut Store<Agent>,
    limits: &Limits,
    stopper: &Stopper,
    started: Instant,
) -> wasmtime::Result<Instant> {
    let deadline = started + Duration::from_millis(limits.duration);
    let stopper = stopper.clone();
    store.limiter(|agent| &mut agent.limiter);
    store.set_fuel(limits.cpu)?;
    store.set_hostcall_fuel(size(limits.payload));
    store.set_max_component_handles(size(limits.handles));
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

/// Instantiates and runs. The start functions of a component are its code like any other, so they stand under the same limits.
async fn execute(
    store: &mut Store<Agent>,
    command: &CommandPre<Agent>,
    stopper: &Stopper,
    deadline: Instant,
) -> Outcome {
    if stopper.is_asked() {
        return Outcome::Killed;
    }
    let work = async {
        let instance = command.instantiate_async(&mut *store).await?;
        store.data_mut().limiter.start();
        instance.wasi_cli_run().call_run(&mut *store).await
    };
    tokio::select! {
        returned = work => Outcome::from(returned),
        () = stopper.0.asked.notified() => Outcome::Killed,
        () = tokio::time::sleep_until(deadline.into()) => Outcome::Deadline,
    }
}

fn usage(store: &Store<Agent>, limits: &Limits, output: &Output, duration: Duration) -> Usage {
    let agent = store.data();
    Usage {
        fuel: limits.cpu.saturating_sub(store.get_fuel().unwrap_or(0).saturating_sub(agent.http.owed())),
        memory: agent.limiter.peak_memory() as u64,
        duration: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        calls: agent.calls,
        output: output.written(),
    }
}

async fn exit(powers: &Powers, outcome: &Outcome, usage: &Usage) -> Result<(), String> {
    append(&powers.log, powers.subject.exit(outcome, usage, &powers.denials)).await
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
