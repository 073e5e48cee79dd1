//! `kos kill-switch`: everything stops, and stays stopped until operators sign that it is over.

mod destroy;
mod resume;
mod status;

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use kos_core::custody;
use kos_core::home::{Home, HostConfig};
use kos_core::kill_switch::{self, Cause, Engagement, this_user};
use kos_host::control::{self, Killed, Manner};
use serde_json::json;

use super::Ended;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{BAD, CARE, GOOD, clean, paint};
use crate::prompt;
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// The reason when none is given.
const NO_REASON: &str = "no reason given";
/// What a person types to stop everything.
const WORD: &str = "kill";

/// How long the log may take, after everything has stopped: another process may hold it.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// `kos kill-switch`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Every agent of every running host ends, whatever it does, with the outcome `killed`; launches
are refused (status 126 of kos-run) until `kos kill-switch resume`, also after a restart. When
this returns with 0, nothing of any agent executes. No key is needed, and no log.

A file at HOME/run/kill does the same, whatever is in it, and SIGUSR2 to a kos-run. Removing the
file releases nothing: the log knows."
)]
pub struct KillSwitch {
    #[command(subcommand)]
    action: Option<Action>,
    /// Why, in one line, for those who read the log.
    #[arg(long, value_name = "TEXT", default_value = NO_REASON)]
    reason: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    destroy: destroy::Destroy,
    #[command(flatten)]
    unlock: UnlockArguments,
}

/// What else can be done about it.
#[derive(Debug, Subcommand)]
enum Action {
    /// Show whether everything is stopped, since when and why.
    Status(status::Status),
    /// Sign that it is over: as many operators as the home demands.
    Resume(resume::Resume),
}

impl KillSwitch {
    /// Stops everything, or does what the subcommand says.
    ///
    /// # Errors
    /// When a host may not have stopped, or launches may not be refused.
    pub fn run(&self, context: &Context) -> Ended {
        match &self.action {
            None => self.engage(context),
            Some(Action::Status(command)) => command.run(context),
            Some(Action::Resume(command)) => command.run(context),
        }
    }

    fn engage(&self, context: &Context) -> Ended {
        let (home, config) = context.open_home()?;
        self.confirm(&home)?;
        self.destroy.confirm(&home)?;
        let began = Instant::now();
        let engagement = Engagement::new(Cause::Command, this_user(), &self.reason);
        let engagement = if self.destroy.is_asked() { engagement.destroying() } else { engagement };
        let kept = kill_switch::engage(&home, &engagement);
        let killed = control::kill(&home, &engagement, self.destroy.is_asked());
        let took = began.elapsed();
        // Everything has stopped, or has not; only now the log.
        let logged = self.log(&home, &config, &engagement, killed.as_ref().ok());
        let killed = killed.doing("it is not known which hosts run, so some may not have stopped")?;
        let destroyed = self.destroy.carry_out(&home);
        report(context, &killed, took, logged.as_ref().err(), destroyed.as_ref())?;
        kept.doing("everything has stopped, and launches may not be refused").or_try("kos kill-switch")?;
        let left: Vec<&str> = killed.not_stopped().collect();
        if !left.is_empty() {
            return Err(Failure::new(format!("not stopped: {}", left.join(", ")))
                .why("the host does not answer, and its process could not be ended")
                .remedy("kill -9 the process kos-run"));
        }
        destroyed.map_or(Ok(()), |destroyed| destroy::check(&destroyed))?;
        Ok(ExitCode::SUCCESS)
    }

    fn confirm(&self, home: &Home) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !prompt::is_possible() {
            return Err(Failure::new("nobody can be asked whether to stop everything").remedy("--yes"));
        }
        crate::output::Output::new(false, false)
            .raw_remark(format!("Every agent of {} stops now.", home.root().display()));
        prompt::confirm(WORD)
    }

    /// The entry with the sum of all hosts, each of which writes its own. Nobody is asked for a passphrase here, and a log
    /// that does not answer is not waited for.
    fn log(
        &self,
        home: &Home,
        config: &HostConfig,
        engagement: &Engagement,
        killed: Option<&Killed>,
    ) -> Result<(), Failure> {
        let (agents, hosts) = killed.map_or((0, 0), |killed| (killed.agents(), killed.hosts.len()));
        let event = engagement.event(&config.host, home, agents).with("hosts", hosts);
        let (unlock, home, config) = (self.unlock.clone(), home.clone(), config.clone());
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            let logged = unlock
                .unlock_unasked(&home)
                .and_then(|custodian| Session::new(home, config, custodian).record(event));
            // Whoever waited has given up, if this fails.
            let _ = done.send(logged);
        });
        is_done.recv_timeout(LOG_PATIENCE).unwrap_or_else(|_| Err(Failure::new("the log does not answer")))
    }
}

fn report(
    context: &Context,
    killed: &Killed,
    took: Duration,
    unlogged: Option<&Failure>,
    destroyed: Option<&custody::Destroyed>,
) -> Result<(), Failure> {
    let by_force = killed.hosts.iter().filter(|host| host.manner == Manner::ProcessEnded).count();
    let value = json!({
        "engaged": true,
        "agents": killed.agents(),
        "hosts": killed.hosts.len(),
        "processesEnded": by_force,
        "notStopped": killed.not_stopped().collect::<Vec<_>>(),
        "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "destroyed": destroyed.map(destroy::to_json),
        "unlogged": unlogged.map(Failure::to_json),
    });
    context.output.answer(&value, || {
        let mut lines = vec![paint(
            BAD,
            format!(
                "stopped: {} in {}, in {} ms; nothing is launched until `kos kill-switch resume`",
                counted(killed.agents(), "agent"),
                counted(killed.hosts.len(), "host"),
                took.as_millis()
            ),
        )];
        if by_force > 0 {
            lines.push(paint(CARE, format!("{} did not answer and was ended", counted(by_force, "process"))));
        }
        match unlogged {
            None => lines.push(paint(GOOD, "the log holds it")),
            Some(failure) => lines.push(paint(
                CARE,
                format!(
                    "no entry of this command: {}; running hosts write their own, and the next one does",
                    clean(&failure.to_string())
                ),
            )),
        }
        lines.extend(destroyed.map(destroy::for_person));
        lines.join("\n")
    })
}

fn counted(count: usize, what: &str) -> String {
    let plural = match (count, what) {
        (1, _) => "",
        (_, "process") => "es",
        _ => "s",
    };
    format!("{count} {what}{plural}")
}
