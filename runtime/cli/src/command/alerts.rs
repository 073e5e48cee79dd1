//! `kos alerts`: what of the log is told to somebody, and where.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use kos_core::alert::{AlertConfig, Destination, Raised, Severity};
use kos_core::clock::{Clock as _, SystemClock, display_span};
use kos_core::home::{Home, HostConfig};
use kos_core::log::Log;
use kos_host::alert::{Terminal, Watch, WatchOptions, try_once};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{Ended, log};
use crate::context::Context;
use crate::failure::{Explain as _, FAILED, Failure};
use crate::output::{BAD, CARE, Columns, FAINT, Output, cell, clean, paint};
use crate::session::Session;
use crate::unlock::UnlockArguments;

/// `kos alerts …`.
#[derive(Debug, Subcommand)]
pub enum Alerts {
    /// Read alerts.toml and show its rules; those that hold without it, where there is none.
    Check(Check),
    /// Send an alert to each sink, and say what arrived.
    Test(Test),
    /// Show the last alerts of the log, and follow.
    Tail(Tail),
    /// Follow the log for all hosts of this home, and send alerts, until interrupted.
    Run(Run),
}

/// `kos alerts check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Another file than the home's.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// `kos alerts test`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 every sink has taken it, 1 one has not.")]
pub struct Test {}

/// `kos alerts tail`.
#[derive(Debug, Args)]
pub struct Tail {
    /// Go on with each new alert, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// Among how many of the log's last entries.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10_000)]
    count: u64,
}

/// `kos alerts run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Rules and sinks stand in alerts.toml in the home. A kos-run follows too while it runs; one of
them at a time does, and each entry is looked at once. Alerts are in the log as well:
kos alerts tail.")]
pub struct Run {
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl Alerts {
    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn run(&self, context: &Context) -> Ended {
        match self {
            Self::Check(command) => command.run(context),
            Self::Test(_) => test(context),
            Self::Tail(command) => log::tail::Tail::of_alerts(command.follow, command.count).run(context),
            Self::Run(command) => command.run(context),
        }
    }
}

impl Check {
    fn run(&self, context: &Context) -> Ended {
        let config = match &self.file {
            Some(file) => parse(file)?,
            None => read(&context.open_home()?.0)?.0,
        };
        context.output.answer(&config, || table(&config))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn test(context: &Context) -> Ended {
    let (home, config) = context.open_home()?;
    let (alerts, _) = read(&home)?;
    let raised = Raised::test(SystemClock.now());
    let mut is_good = true;
    for (name, destination) in &alerts.sinks {
        let told = try_once(&home, &config, destination, terminal(context.output), &raised);
        is_good &= told.is_ok();
        context.output.line(match (&told, context.output.is_json()) {
            (told, true) => json!({ "sink": name, "error": told.as_ref().err() }).to_string(),
            (Ok(()), false) => format!("{name}: it arrived"),
            (Err(cause), false) => format!("{name}: {}", paint(BAD, clean(cause))),
        })?;
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

impl Run {
    fn run(&self, context: &Context) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let (alerts, is_written) = read(&session.home)?;
        let log = Arc::new(session.log()?);
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        let Session { home, config, .. } = session;
        let watch = start(home, config, (alerts, is_written), &log, context.output)?;
        context.output.remark("following the log; interrupt to end");
        signals.forever().next();
        watch.finish();
        Arc::into_inner(log).map_or(Ok(()), |log| log.close())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Begins to follow beside a host, where there is somebody to tell: what `alerts.toml` names, else a person at the terminal.
///
/// # Errors
/// When `alerts.toml` is not understood: whoever wrote it counts on it.
pub(super) fn beside_a_host(
    home: &Home,
    config: &HostConfig,
    log: &Arc<Log>,
    output: Output,
    is_attended: bool,
) -> Result<Option<Watch>, Failure> {
    let (alerts, is_written) = read(home)?;
    if !is_written && !is_attended {
        return Ok(None);
    }
    start(home.clone(), config.clone(), (alerts, is_written), log, output).map(Some)
}

fn start(
    home: Home,
    config: HostConfig,
    (alerts, is_continued): (AlertConfig, bool),
    log: &Arc<Log>,
    output: Output,
) -> Result<Watch, Failure> {
    let (log, terminal) = (Arc::clone(log), terminal(output));
    Ok(Watch::start(WatchOptions { home, config, alerts, is_continued, log, terminal })?)
}

/// The home's rules, and whether they are written there.
fn read(home: &Home) -> Result<(AlertConfig, bool), Failure> {
    let file = home.alerts_file();
    if file.exists() { Ok((parse(&file)?, true)) } else { Ok((AlertConfig::standard()?, false)) }
}

fn parse(file: &PathBuf) -> Result<AlertConfig, Failure> {
    let refused = || format!("{} is not understood", file.display());
    AlertConfig::from_toml(&fs::read_to_string(file).doing(refused())?).doing(refused())
}

fn terminal(output: Output) -> Terminal {
    Arc::new(move |raised: &Raised| {
        let style = if raised.severity == Severity::Critical { BAD } else { CARE };
        let text = clean(&raised.message());
        output.raw_remark(if output.is_json() {
            json!({ "alert": raised }).to_string()
        } else {
            format!(
                "{} {text} {}",
                paint(style, format!("alert {}:", raised.rule)),
                paint(FAINT, raised.time)
            )
        });
    })
}

fn table(config: &AlertConfig) -> String {
    let mut table = Columns::new(&["RULE", "SEVERITY", "EVENTS", "COUNT", "WITHIN", "SINKS"]);
    for rule in &config.rules {
        let events: Vec<&str> = rule.events.iter().map(|event| event.as_str()).collect();
        let sinks: Vec<&str> = rule.sinks.iter().map(|sink| sink.as_str()).collect();
        table.row([
            cell(&rule.name),
            cell(rule.severity.as_str()),
            cell(events.join(",")),
            cell(rule.count),
            cell(display_span(rule.within)),
            cell(sinks.join(",")),
        ]);
    }
    let mut text = table.or_else("no rules");
    for (name, destination) in &config.sinks {
        let place = match destination {
            Destination::Terminal => "terminal".to_owned(),
            Destination::File { path } => format!("file {}", path.display()),
            Destination::Syslog { path } => format!("syslog {}", path.display()),
            Destination::Webhook { server, target } => format!("webhook https://{server}{target}"),
        };
        text.push_str(&format!("\n{name}: {}", clean(&place)));
    }
    text
}
