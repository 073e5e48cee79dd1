//! `kos-run`: launches agents.

mod learn;
mod lock;
mod named;
mod report;
mod signals;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use clap::Parser;
use indicatif::ProgressBar;
use kos_core::custody::{Custodian as _, Request};
use kos_core::id::Name;
use kos_core::kill_switch::Engagement;
use kos_core::log::Log;
use kos_core::manifest::UnverifiedComponent;
use kos_core::permission::{LimitSet, Limits};
use kos_core::vault::{DEFAULT_ENVIRONMENT, SecretId};
use kos_host::alert::Watch;
use kos_host::{
    Capacity, Host, HostOptions, Loaded, Progress, Refusal, Run, RunOptions, Server, Stdin, TransportOptions,
};

use self::learn::{LearnArguments, Learning};
use self::lock::LockAfter;
use self::named::{LeftOut, Named, Read};
use self::report::{Ended as RunEnded, refused};
use self::signals::Signals;
use super::{Ended, alerts};
use crate::component;
use crate::context::Context;
use crate::failure::{Failure, stderr_is_terminal};
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// The exit status when the component is not accepted.
const REFUSED: u8 = 126;
/// The exit status when the host could not do its part.
const HOST_FAILED: u8 = 125;

/// Runs signed agents with exactly what they are granted.
#[derive(Debug, Parser)]
#[command(name = "kos-run", version, after_help = AFTER_HELP)]
pub struct KosRun {
    /// The agents' components, or directories of them (*.wasm); several run at the same time, their output prefixed with
    /// their names.
    #[arg(required = true, value_name = "AGENT.wasm|DIR")]
    components: Vec<PathBuf>,
    /// The state directory [default: $KOS_HOME, else the platform's data directory].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Lower limits for this run: memory=16MiB,cpu=1G,duration=5s.
    #[arg(long, value_name = "LIMITS", value_parser = Limits::parse_overrides)]
    pub(super) limit: Option<LimitSet>,
    /// The environment: whose secrets the agents use, and what grants may ask for.
    #[arg(long = "env", value_name = "NAME", default_value = DEFAULT_ENVIRONMENT)]
    environment: Name,
    /// Lock the keys and secrets after so long without a use, such as 15m, or never [default: 15m where a passphrase
    /// unlocked them, else never].
    #[arg(long, value_name = "DURATION")]
    lock_after: Option<LockAfter>,
    /// The signature of one agent, where it lies in a file of another name than AGENT.wasm.signature.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Send to agents of other processes and machines, and hear from them, by this NATS server with JetStream:
    /// tls://HOST[:PORT], or nats://HOST[:PORT] for one on this machine.
    #[arg(long, value_name = "URL")]
    nats: Option<Server>,
    /// The secret of the vault that the server asks for: password/NAME holds USER:PASSWORD; api_key/NAME holds a
    /// token, the seed of an nkey, or the text of a credentials file.
    #[arg(long, value_name = "TYPE/NAME", requires = "nats")]
    nats_secret: Option<SecretId>,
    /// Believe these certificates, in PEM, and not the system's, when the server shows its own.
    #[arg(long, value_name = "FILE", requires = "nats")]
    nats_ca: Option<PathBuf>,
    /// Report each run, and errors, as one line of JSON on stderr; stdout stays the agents'.
    #[arg(long)]
    pub json: bool,
    /// Leave out remarks and progress.
    #[arg(long, short)]
    pub(super) quiet: bool,
    #[command(flatten)]
    learning: LearnArguments,
    #[command(flatten)]
    unlock: UnlockArguments,
    /// Arguments for the agents.
    #[arg(last = true, value_name = "ARGS", help_heading = "Arguments")]
    arguments: Vec<String>,
}

/// A host, and what goes on beside it.
struct Opened {
    host: Host,
    log: Arc<Log>,
    learning: Option<Learning>,
    watch: Option<Watch>,
}

/// An agent that was launched.
struct Running {
    shown: String,
    is_service: bool,
    run: Run,
}

/// What a script needs to know.
const AFTER_HELP: &str = "\
Tasks run to their end; services handle messages until they are stopped (Ctrl-C, SIGTERM, kos stop). A
service that breaks is launched again; a sender whose messages break it again and again is refused for a
while. Of a directory, every agent runs that is not refused; one that is named itself and refused stops all.

Limits: memory, cpu (units of fuel), duration, output, payload, table, handles, instances,
note-bytes, notes-per-minute, accesses-per-minute, secret-bytes, mailbox, storage, files. A run lowers
what is granted, it never raises it. In a service, cpu and duration are those of a message.

Exit status, of the first agent in order that did not end well, else of the first that was left out:
  0-255  the agent's own, when it ended by itself
  124    its time was over (duration)
  125    the host failed (home, keys, log, compiler), or the command line is not understood
  126    refused: not signed, not trusted, revoked, expired, or not granted what it imports; or everything
         was stopped (kos kill-switch)
  127    there is no such agent
  134    it broke (trap)
  137    it was stopped: kos stop, the kill switch, a signal, or a limit (memory, cpu, stack, table,
         instances, handles, payload, output, notes)
Why a run ended stands in the log (kos log tail), and with --json on stderr.
The first SIGINT or SIGTERM stops the agents and logs their ends; the second ends this process.
SIGUSR1 locks the keys and secrets at once, as kos vault lock does; kos vault unlock brings them back.
SIGUSR2 engages the kill switch, as kos kill-switch does.";

impl KosRun {
    /// Reads the command line. One that is not understood ends the process with 125, which no agent's own mistake
    /// looks like; `--help` and `--version` end it with 0.
    #[must_use]
    pub fn from_command_line() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            // Nothing is left to do where the message cannot be written.
            let _ = error.print();
            std::process::exit(if error.use_stderr() { i32::from(HOST_FAILED) } else { 0 })
        })
    }

    /// Launches the agents and waits for them.
    ///
    /// # Errors
    /// When nothing was launched: the refusal, or why the host cannot work.
    pub fn run(self) -> Ended {
        let context = Context::new(self.home.as_deref(), self.json, self.quiet).map_err(host_failed)?;
        let mut left_out = LeftOut::default();
        let agents = self.read(&context, &mut left_out)?;
        let signals = Signals::watch(context.output).map_err(host_failed)?;
        let Opened { host, log, learning, watch } = self.open(&context, &agents).map_err(host_failed)?;
        signals.kill_with(host.kill_switch());
        signals.lock_with(host.locker(), context.output);
        let ended = self.launch_all(&context, &host, agents, &signals, &mut left_out, learning.as_ref());
        drop(host);
        watch.into_iter().for_each(Watch::finish);
        publish(log);
        let ended = ended?;
        if let Some(learning) = &learning {
            learning.finish(&context, &ended).map_err(host_failed)?;
        }
        let status = ended.iter().map(RunEnded::exit_status).find(|status| *status != 0);
        Ok(ExitCode::from(status.or_else(|| left_out.exit_status()).unwrap_or(0)))
    }

    /// Every component is read before anything else happens.
    fn read(&self, context: &Context, left_out: &mut LeftOut) -> Result<Vec<Read>, Failure> {
        let named = named::expand(&self.components).map_err(host_failed)?;
        if self.signature.is_some() && named.len() > 1 {
            return Err(
                Failure::new("--signature is of one agent, and several are named").status(HOST_FAILED)
            );
        }
        let mut agents = Vec::new();
        for named in named {
            let component = self.read_one(context, &named);
            if let Some(component) = left_out.keep(context, &named, component)? {
                agents.push(Read { named, component });
            }
        }
        Ok(agents)
    }

    fn read_one(&self, context: &Context, named: &Named) -> Result<UnverifiedComponent, Failure> {
        let path = &named.path;
        match &self.signature {
            Some(signature) if path.exists() => {
                component::read(path, Some(signature)).map_err(|failure| failure.status(REFUSED))
            }
            _ => kos_host::read_component(path).map_err(|refusal| refused(context, &named.shown(), &refusal)),
        }
    }

    fn open(&self, context: &Context, agents: &[Read]) -> Result<Opened, Failure> {
        let (home, config) = context.open_home()?;
        let (custodian, unlocked_by) = self.unlock.unlock_with(&home).map_err(|failure| {
            // Keys that were destroyed, or a passphrase that nobody types: the reason that is in force comes first.
            match Engagement::found(&home) {
                Some(found) => refused(context, "the host", &Refusal::KillSwitch { why: found.reason }),
                None => failure,
            }
        })?;
        let lock_after = self.lock_after.unwrap_or_else(|| LockAfter::standard(&unlocked_by));
        drop(unlocked_by);
        custodian.ask(Request::AutoLock { after: lock_after.duration() })?;
        let session = Session::new(home, config, custodian);
        let log = Arc::new(session.log()?);
        let learning = match agents.first() {
            Some(first) => self.learning.begin(&session, &log, &self.environment, first)?,
            None => None,
        };
        let Session { home, config, custodian, clock } = session;
        let is_attended = !self.quiet && !self.json && stderr_is_terminal();
        let watch = alerts::beside_a_host(&home, &config, &log, context.output, is_attended)?;
        let mut options = HostOptions::new(home, config, custodian, Arc::clone(&log), clock);
        options.environment = Some(self.environment.clone());
        options.lent = learning.as_ref().map(|learning| learning.lent.clone());
        options.capacity = Capacity::of(u32::try_from(agents.len()).unwrap_or(u32::MAX));
        options.transport = self.nats.clone().map(|server| TransportOptions {
            server,
            secret: self.nats_secret.clone(),
            roots: self.nats_ca.clone(),
        });
        options.progress = is_attended.then(progress);
        let host = Host::open(options).map_err(|refusal| refused(context, "the host", &refusal))?;
        Ok(Opened { host, log, learning, watch })
    }

    /// All agents are judged and compiled before the first is started, so that a refusal of one that was named leaves nothing
    /// running.
    fn launch_all(
        &self,
        context: &Context,
        host: &Host,
        agents: Vec<Read>,
        signals: &Signals,
        left_out: &mut LeftOut,
        learning: Option<&Learning>,
    ) -> Result<Vec<RunEnded>, Failure> {
        let is_one = agents.len() == 1;
        let mut loaded: Vec<(usize, Named, Loaded)> = Vec::new();
        for (place, Read { named, component }) in agents.into_iter().enumerate() {
            let shown = named.shown();
            let one = host.load(&shown, component).map_err(|refusal| refused(context, &shown, &refusal));
            if let Some(one) = left_out.keep(context, &named, one)? {
                loaded.push((place, named, one));
            }
        }
        let mut runs = Vec::new();
        let mut refusal = None;
        for (place, named, one) in &loaded {
            let shown = named.shown();
            let mut options = self.options(one.name(), is_one);
            options.learner = learning.filter(|_| *place == 0).map(|learning| Arc::clone(&learning.learner));
            match signals.start(|| host.start(one, options)) {
                Some(Ok(run)) => {
                    runs.push(Running { shown, is_service: one.is_service(), run });
                }
                Some(Err(error)) => {
                    let failure = Err::<(), _>(refused(context, &shown, &error));
                    if let Err(failure) = left_out.keep(context, named, failure) {
                        refusal = Some(failure);
                        signals.stop_all();
                        break;
                    }
                }
                None => break,
            }
        }
        let ended = self.wait_for_all(context, runs);
        refusal.map_or(Ok(ended), Err)
    }

    fn options(&self, name: &str, is_one: bool) -> RunOptions {
        RunOptions {
            arguments: self.arguments.clone(),
            limits: self.limit.clone().unwrap_or_default(),
            stdin: if is_one { Stdin::Inherit } else { Stdin::Empty },
            prefix: (!is_one).then(|| name.to_owned()),
            ..RunOptions::default()
        }
    }

    /// Tasks first: the end of one is told while services go on. The result is in the order of the command line.
    fn wait_for_all(&self, context: &Context, runs: Vec<Running>) -> Vec<RunEnded> {
        let mut runs: Vec<_> = runs.into_iter().enumerate().collect();
        runs.sort_by_key(|(_, running)| running.is_service);
        let mut ended: Vec<_> =
            runs.into_iter().map(|(place, running)| (place, self.wait(context, running))).collect();
        ended.sort_by_key(|(place, _)| *place);
        ended.into_iter().map(|(_, ended)| ended).collect()
    }

    fn wait(&self, context: &Context, running: Running) -> RunEnded {
        let Running { shown, run, .. } = running;
        let id = run.id().to_owned();
        let ended = RunEnded { shown, run: id, report: run.wait() };
        ended.tell(context, self);
        ended
    }
}

/// What is durable already is made public; that it cannot be now, the next host repairs.
fn publish(log: Arc<Log>) {
    let closed = match Arc::into_inner(log) {
        Some(log) => log.close(),
        None => Ok(()),
    };
    if let Err(error) = closed {
        tracing::warn!(%error, "the log was not published");
    }
}

/// A line on the terminal once compiling has taken a second.
fn progress() -> Progress {
    let spinner: OnceLock<ProgressBar> = OnceLock::new();
    Arc::new(move |elapsed| {
        let spinner = spinner.get_or_init(ProgressBar::new_spinner);
        spinner.set_message(format!("compiling, once for this component ({} s)", elapsed.as_secs()));
        spinner.tick();
    })
}

fn host_failed(failure: Failure) -> Failure {
    if failure.exit_status() == crate::failure::FAILED { failure.status(HOST_FAILED) } else { failure }
}
