//! Launching a loaded component: its powers, its limits, its launch entry, its task.
//!
//! In scope: what belongs to one run and is made before it begins. Out of scope: judging and compiling (`load`), running (`run`).
//!
//! Keeps I5: the launch entry is durable before the agent's first instruction; if it cannot be written, nothing runs.

use std::sync::Arc;

use kos_core::custody::KeyName;
use kos_core::ledger::Noted;
use kos_core::log::Log;
use kos_core::manifest::UnverifiedComponent;
use kos_core::permission::{DenialLedger, Gate, Learner, LimitSet, Limits, Recorder};
use kos_core::resource::StorageAccess;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::agent::{Agent, Allowance, Powers};
use crate::equipment::Equipment;
use crate::host::Inner;
use crate::http::Places;
use crate::linked::Program;
use crate::load::Loaded;
use crate::mailbox;
use crate::network::Network;
use crate::outcome::Outcome;
use crate::output::Sink;
use crate::record::{self, Subject};
use crate::refusal::Refusal;
use crate::router;
use crate::run::{ExitReport, Stopper, Task, Usage, size};
use crate::runs::{ActiveRun, Entered};
use crate::service::Handled;
use crate::storage::Directory;
use crate::traffic::Traffic;
use crate::wasi::Stdin;

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
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Arguments after the agent's name.
    pub arguments: Vec<String>,
    /// Limits to lower for this run.
    pub limits: LimitSet,
    /// Where standard input comes from. A service has none.
    pub stdin: Stdin,
    /// Where standard output goes.
    pub stdout: Sink,
    /// Where standard error goes.
    pub stderr: Sink,
    /// What stands before each line in brackets, where several agents share a terminal.
    pub prefix: Option<String>,
    /// What remembers each use, where the run is there to learn them. The launch entry says so.
    pub learner: Option<Arc<Learner>>,
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
            learner: None,
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
    pub(crate) fn new(
        id: String,
        runtime: Arc<Runtime>,
        report: oneshot::Receiver<ExitReport>,
        stopper: Stopper,
    ) -> Self {
        Self { id, runtime, report, stopper }
    }

    /// The run's identifier in the log; that of the first, where a service is launched again.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What ends the run from outside.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits until the run is over and its exit entry is durable; for a service, until it is not launched again either. Not for use within an async task.
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
        let stops = self.runs.stops();
        let limits = self.limits(loaded, &options)?;
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Refusal::Full { agents: self.capacity.agents() })?;
        let command = match &loaded.program {
            Program::Task(command) => command.clone(),
            Program::Service(program) => {
                return self.start_service(loaded, program, options, place, stops);
            }
        };
        let equipment = self.equipment(loaded, options, limits, Arc::new(Allowance::new(&limits)))?;
        let mut agent = equipment
            .agent(equipment.unspent().map_err(Refusal::system)?)
            .map_err(|error| Refusal::System { cause: error.to_string() })?;
        let powers = Arc::clone(&agent.powers);
        let reachable = self.reachable(loaded, &mut agent, &limits)?;
        let ticks = self.ticker.ticks().map_err(Refusal::system)?;
        let task = Task { command, agent, equipment, stopper: Stopper::default(), ticks };
        self.log_launch(loaded, &powers, &limits)?;
        Ok(self.spawn(loaded, &powers, task, (place, reachable), stops))
    }

    /// Makes a task reachable that has messages, until the result is dropped. What it may send and take is judged then.
    fn reachable(
        &self,
        loaded: &Loaded,
        agent: &mut Agent,
        limits: &Limits,
    ) -> Result<Option<router::Entered>, Refusal> {
        if !loaded.has_messages {
            return Ok(None);
        }
        let (mailbox, letters) = mailbox::mailbox(size(limits.mailbox));
        agent.messages.receive_from(letters);
        let name = loaded.component.agent().name;
        Ok(Some(self.router.enter(loaded.identifier()?, &name, mailbox, Arc::clone(&agent.powers))))
    }

    /// The limits of a run that may begin now.
    pub(crate) fn limits(&self, loaded: &Loaded, options: &RunOptions) -> Result<Limits, Refusal> {
        let now = self.clock.now();
        self.check_released()?;
        self.check_unlocked()?;
        loaded.effective.check_launch(now)?;
        Ok(loaded.effective.limits(now).lowered(&options.limits)?)
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

    /// What the instances of a run get.
    pub(crate) fn equipment(
        &self,
        loaded: &Loaded,
        options: RunOptions,
        limits: Limits,
        allowance: Arc<Allowance>,
    ) -> Result<Equipment, Refusal> {
        let now = self.clock.now();
        let access = loaded.effective.resources(now);
        let subject = Arc::new(self.subject(loaded)?);
        let directory = self.directory(loaded, access.storage, &subject.run)?;
        let powers = self.powers(loaded, &limits, &subject, allowance, options.learner);
        let mut arguments = vec![loaded.description.name.clone()];
        arguments.extend(options.arguments);
        Ok(Equipment {
            arguments,
            stdin: options.stdin,
            output: self.writer.streams(
                limits.output,
                options.prefix.as_deref(),
                options.stdout,
                options.stderr,
            ),
            memory: access.memory,
            network: Network::new(access.network, loaded.effective.network_hosts(now).cloned()),
            tls: Arc::clone(&self.tls),
            requests: Places::default(),
            router: Arc::clone(&self.router),
            powers: Arc::new(powers),
            limits,
            directory,
        })
    }

    /// The launch is in the log when this returns (I5).
    pub(crate) fn log_launch(
        &self,
        loaded: &Loaded,
        powers: &Powers,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let mut entry = powers.subject.launch(&loaded.component, &loaded.permissions, limits, loaded.cached);
        if loaded.is_service() {
            entry = entry.with("instances", loaded.instances().as_str());
        }
        if powers.learner.is_some() {
            entry = entry.with("learning", true);
        }
        self.log.append(entry)?;
        Ok(())
    }

    fn powers(
        &self,
        loaded: &Loaded,
        limits: &Limits,
        subject: &Arc<Subject>,
        allowance: Arc<Allowance>,
        learner: Option<Arc<Learner>>,
    ) -> Powers {
        let denials = Arc::new(DenialLedger::new());
        let recorder = recorder(&self.log, subject, &denials);
        let mut gate = Gate::new(loaded.effective.clone(), Arc::clone(&self.clock), recorder)
            .locked_by(self.custodian.lock_state())
            .sharing(Arc::clone(&loaded.uses));
        if let Some(environment) = &self.environment {
            gate = gate.in_environment(environment.clone());
        }
        if let Some(learner) = &learner {
            gate = gate.observed_by(learner.observer());
        }
        Powers {
            gate,
            description: Arc::clone(&loaded.description),
            denials,
            key: Arc::clone(&loaded.key),
            desk: Arc::clone(&self.desk),
            log: Arc::clone(&self.log),
            vault: self.vault.clone(),
            allowance,
            subject: Arc::clone(subject),
            payload: size(limits.payload),
            traffic: Traffic::default(),
            learner,
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

    /// Enters a run into the host's table, to be judged by what is in force now.
    pub(crate) fn enter(
        &self,
        loaded: &Loaded,
        powers: &Arc<Powers>,
        stopper: &Stopper,
        handled: Option<Handled>,
        stops: u64,
    ) -> Entered {
        let run = &powers.subject.run;
        let active = ActiveRun {
            name: loaded.description.name.clone(),
            component: Arc::clone(&loaded.component),
            powers: Arc::clone(powers),
            stopper: stopper.clone(),
            started: self.clock.now(),
            handled,
        };
        let entered = self.runs.enter(run.clone(), active, stops);
        self.catch_up(loaded.generation, run);
        entered
    }

    fn spawn(
        self: &Arc<Self>,
        loaded: &Loaded,
        powers: &Arc<Powers>,
        task: Task,
        place: (OwnedSemaphorePermit, Option<router::Entered>),
        stops: u64,
    ) -> Run {
        let (sender, report) = oneshot::channel();
        let stopper = task.stopper.clone();
        let active = self.enter(loaded, powers, &stopper, None, stops);
        self.runtime.spawn(async move {
            let report = task.run().await;
            drop((place, active));
            drop(sender.send(report));
        });
        Run::new(powers.subject.run.clone(), Arc::clone(&self.runtime), report, stopper)
    }
}

/// Writes the first denial of each kind; the exit entry counts the rest (I7).
fn recorder(log: &Arc<Log>, subject: &Arc<Subject>, denials: &Arc<DenialLedger>) -> Recorder {
    let (log, subject, denials) = (Arc::clone(log), Arc::clone(subject), Arc::clone(denials));
    Arc::new(move |denied| {
        if denials.note(denied) == Noted::First {
            record::submit(&log, subject.denied(denied), "a denial could not be logged");
        }
    })
}
