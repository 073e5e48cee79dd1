//! Launching a loaded component: its powers, its limits, its launch entry, its task.
//!
//! In scope: what belongs to one run and is made before it begins. Out of scope: judging and compiling (`load`), running (`run`).
//!
//! Keeps I5: the launch entry is durable before the agent's first instruction; if it cannot be written, nothing runs.

use std::sync::{Arc, Mutex};

use kos_core::custody::KeyName;
use kos_core::ledger::Noted;
use kos_core::log::Log;
use kos_core::manifest::UnverifiedComponent;
use kos_core::permission::{DenialLedger, Gate, LimitSet, Limits, MemoryAccess, Recorder};
use kos_core::resource::StorageAccess;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use wasmtime::component::ResourceTable;

use crate::agent::{Agent, Powers};
use crate::capability::audit::Notes;
use crate::host::Inner;
use crate::http::Http;
use crate::limits::Limiter;
use crate::load::Loaded;
use crate::network::Network;
use crate::outcome::Outcome;
use crate::output::Sink;
use crate::rate::Rate;
use crate::record::Subject;
use crate::refusal::Refusal;
use crate::run::{ExitReport, Stopper, Task, Usage, size};
use crate::runs::ActiveRun;
use crate::storage::{Directory, Quota};
use crate::wasi::{self, Stdin};

/// What to launch, and how its run is connected to the world.
#[derive(Debug)]
pub struct LaunchRequest {
    /// The file as the operator named it, for messages.
    pub shown: String,
    /// The component.
    pub component: UnverifiedComponent,
    /// How it runs.
    pub options: RunOptions,
}

/// How one run is connected to the world.
#[derive(Debug)]
pub struct RunOptions {
    /// Arguments after the agent's name.
    pub arguments: Vec<String>,
    /// Limits to lower for this run.
    pub limits: LimitSet,
    /// Where standard input comes from.
    pub stdin: Stdin,
    /// Where standard output goes.
    pub stdout: Sink,
    /// Where standard error goes.
    pub stderr: Sink,
    /// What stands before each line in brackets, where several agents share a terminal.
    pub prefix: Option<String>,
}

impl Default for RunOptions {
    /// No arguments, the granted limits, no input, the process's own output, no prefix.
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            limits: LimitSet::default(),
            stdin: Stdin::Empty,
            stdout: Sink::stdout(),
            stderr: Sink::stderr(),
            prefix: None,
        }
    }
}

/// A run that has begun.
#[derive(Debug)]
pub struct Run {
    id: String,
    runtime: Arc<Runtime>,
    report: oneshot::Receiver<ExitReport>,
    stopper: Stopper,
}

impl Run {
    /// The run's identifier in the log.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What ends the run from outside.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits until the run is over and its exit entry is durable. Not for use within an async task.
    #[expect(clippy::must_use_candidate, reason = "waiting for the end is often all that is wanted")]
    pub fn wait(self) -> ExitReport {
        self.runtime.block_on(self.report).unwrap_or_else(|_| broken())
    }
}

/// The task is gone without a report: the host itself broke, and the next host to open the log will say so there.
fn broken() -> ExitReport {
    ExitReport {
        outcome: Outcome::Trap { message: "the host broke".into() },
        usage: Usage::default(),
        unlogged: Some("the host broke".into()),
    }
}

impl Inner {
    /// Begins a run.
    pub(crate) fn start(self: &Arc<Self>, loaded: &Loaded, options: RunOptions) -> Result<Run, Refusal> {
        let (now, stops) = (self.clock.now(), self.runs.stops());
        self.check_unlocked()?;
        loaded.effective.check_launch(now)?;
        let limits = loaded.effective.limits(now).lowered(&options.limits)?;
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Refusal::Full { agents: self.capacity.agents() })?;
        let subject = Arc::new(self.subject(loaded)?);
        let task = self.task(loaded, options, limits, &subject, place)?;
        self.log.append(subject.launch(&loaded.component, &loaded.permissions, &limits, loaded.cached))?;
        Ok(self.spawn(loaded, &subject, task, stops))
    }

    fn subject(&self, loaded: &Loaded) -> Result<Subject, Refusal> {
        Ok(Subject {
            run: crate::host::identifier()?,
            host: self.id.clone(),
            did: loaded.description.did.clone(),
            agent: loaded.component.agent().to_string(),
            digest: loaded.component.digest(),
        })
    }

    /// Everything of the run but its entry.
    fn task(
        &self,
        loaded: &Loaded,
        options: RunOptions,
        limits: Limits,
        subject: &Arc<Subject>,
        place: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<Task, Refusal> {
        let system = |error: std::io::Error| Refusal::System { cause: error.to_string() };
        let now = self.clock.now();
        let access = loaded.effective.resources(now);
        let powers = Arc::new(self.powers(loaded, &limits, subject));
        let directory = self.directory(loaded, access.storage, &subject.run)?;
        let quota = directory
            .as_ref()
            .map(|directory| Quota::of(directory.path(), limits.storage, limits.files))
            .transpose()
            .map_err(system)?;
        let output =
            self.writer.streams(limits.output, options.prefix.as_deref(), options.stdout, options.stderr);
        let mut arguments = vec![loaded.description.name.clone()];
        arguments.extend(options.arguments);
        let mut context = wasi::context(&arguments, options.stdin, &output, directory.as_ref())
            .map_err(|error| Refusal::System { cause: error.to_string() })?;
        let network = Network::new(access.network, loaded.effective.network_hosts(now).cloned());
        network.grant(&mut context, &powers);
        let mut table = ResourceTable::new();
        table.set_max_capacity(size(limits.handles));
        let mut limiter = Limiter::new(size(limits.memory), size(limits.table), size(limits.instances));
        if access.memory < MemoryAccess::Write {
            limiter.keep_size_after_start();
        }
        let agent = Agent {
            wasi: context.build(),
            table,
            limiter,
            http: Http::new(Arc::clone(&powers), Arc::clone(&self.tls)),
            powers,
            notes: Notes::new(limits.note_bytes, limits.notes_per_minute),
            network,
            quota,
            calls: 0,
        };
        let ticks = self.ticker.run().map_err(system)?;
        let stopper = Stopper::default();
        Ok(Task { command: loaded.command.clone(), agent, limits, output, stopper, directory, ticks, place })
    }

    fn powers(&self, loaded: &Loaded, limits: &Limits, subject: &Arc<Subject>) -> Powers {
        let denials = Arc::new(DenialLedger::new());
        let recorder = recorder(&self.log, subject, &denials);
        let mut gate = Gate::new(loaded.effective.clone(), Arc::clone(&self.clock), recorder)
            .locked_by(self.custodian.lock_state())
            .sharing(Arc::clone(&loaded.uses));
        if let Some(environment) = &self.environment {
            gate = gate.in_environment(environment.clone());
        }
        Powers {
            gate,
            description: Arc::clone(&loaded.description),
            denials,
            key: Arc::clone(&loaded.key),
            log: Arc::clone(&self.log),
            vault: self.vault.clone(),
            accesses: Mutex::new(Rate::per_minute(limits.accesses_per_minute)),
            subject: Arc::clone(subject),
            payload: size(limits.payload),
        }
    }

    fn directory(
        &self,
        loaded: &Loaded,
        access: StorageAccess,
        run: &str,
    ) -> Result<Option<Directory>, Refusal> {
        let storage = self.home.storage();
        Ok(match access {
            StorageAccess::None => None,
            StorageAccess::Temporary => Some(Directory::temporary(&storage, run)?),
            StorageAccess::Persistent => {
                let KeyName { name, .. } = KeyName::of_agent(&loaded.component.agent());
                Some(Directory::persistent(&storage, name.as_str())?)
            }
        })
    }

    fn spawn(self: &Arc<Self>, loaded: &Loaded, subject: &Subject, task: Task, stops: u64) -> Run {
        let (sender, report) = oneshot::channel();
        let stopper = task.stopper.clone();
        let active = self.runs.enter(
            subject.run.clone(),
            ActiveRun {
                name: loaded.description.name.clone(),
                component: Arc::clone(&loaded.component),
                powers: Arc::clone(&task.agent.powers),
                stopper: stopper.clone(),
                started: self.clock.now(),
            },
            stops,
        );
        self.catch_up(loaded.generation, &subject.run);
        self.runtime.spawn(async move {
            let report = task.run().await;
            drop(active);
            drop(sender.send(report));
        });
        Run { id: subject.run.clone(), runtime: Arc::clone(&self.runtime), report, stopper }
    }
}

/// Writes the first denial of each kind; the exit entry counts the rest (I7).
fn recorder(log: &Arc<Log>, subject: &Arc<Subject>, denials: &Arc<DenialLedger>) -> Recorder {
    let (log, subject, denials) = (Arc::clone(log), Arc::clone(subject), Arc::clone(denials));
    Arc::new(move |denied| {
        if denials.note(denied) == Noted::First {
            log.submit(subject.denied(denied), |written| {
                if let Err(error) = written {
                    tracing::error!(%error, "a denial could not be logged");
                }
            });
        }
    })
}
