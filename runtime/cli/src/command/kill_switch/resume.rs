//! `kos kill-switch resume`: the signed release, made here or on the operators' machines.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kos_core::clock::Clock as _;
use kos_core::envelope::Envelope;
use kos_core::kill_switch::{self, Engagement, Mark, ResumeError, VerifiedResume};
use kos_core::log::Log;
use kos_core::trust::VerifiedTrust;
use serde_json::json;

use crate::command::Ended;
use crate::command::trust::read_envelope;
use crate::component::write_public;
use crate::context::Context;
use crate::failure::{Explain as _, Failure};
use crate::output::{GOOD, paint};
use crate::session::{Session, as_signers};
use crate::unlock::UnlockArguments;

/// `kos kill-switch resume`.
#[derive(Debug, Args)]
#[command(after_help = "\
Where several operators must sign (kos init --threshold N):
  kos kill-switch resume --reason TEXT -o resume.json     on the host, which knows what is to be released
  kos cosign resume.json                                  each of the others
  kos kill-switch resume resume.json                      on the host
A release is of one engagement: it releases none that came before or after it.")]
pub(super) struct Resume {
    /// A release that operators have signed.
    #[arg(value_name = "FILE", conflicts_with_all = ["output", "reason"])]
    signed: Option<PathBuf>,
    /// Why it is safe to go on.
    #[arg(long, value_name = "TEXT", default_value = super::NO_REASON)]
    reason: String,
    /// Write the release to FILE, signed by the operators of this home, instead of putting it in force.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArguments,
}

impl Resume {
    pub(super) fn run(&self, context: &Context) -> Ended {
        let session = Session::open(context, &self.unlock)?;
        let _lock = session.lock_changes()?;
        // Before anything else: a file that is put there from now on is not released.
        let mark = Mark::of(&session.home);
        let log = session.log()?;
        let engagement = engagement(&session, &log)?;
        if let Some(path) = &self.output {
            return self.sign_into(context, &session, engagement, path);
        }
        let envelope = match &self.signed {
            Some(path) => read_envelope(path)?,
            None => self.release(&session, engagement).sign(&as_signers(&session.operators()?))?,
        };
        let verified = verified(&session, envelope, engagement)?;
        log.append(verified.event()).doing("the log cannot be written, so everything stays stopped")?;
        log.close()?;
        let is_removed = mark.map_or(Ok(true), |mark| mark.remove(&session.home))?;
        if !is_removed || kill_switch::is_engaged(&session.home) {
            return Err(Failure::new("everything was stopped again meanwhile, and stays stopped")
                .remedy("kos kill-switch status"));
        }
        let reason = &verified.resume().reason;
        context
            .output
            .answer(&json!({ "engaged": false, "engagement": engagement, "reason": reason }), || {
                paint(GOOD, format!("released the engagement of entry {engagement}; agents may be launched"))
            })?;
        Ok(ExitCode::SUCCESS)
    }

    fn release(&self, session: &Session, engagement: u64) -> kill_switch::Resume {
        kill_switch::Resume {
            engagement,
            host: session.config.host,
            issued: session.clock.now(),
            reason: self.reason.clone(),
        }
    }

    fn sign_into(&self, context: &Context, session: &Session, engagement: u64, path: &Path) -> Ended {
        let operators = session.local_operators()?;
        if operators.is_empty() {
            return Err(Failure::new("no operator's key lies in this home").remedy("kos key list"));
        }
        let envelope = self.release(session, engagement).sign(&as_signers(&operators))?;
        write_public(path, &envelope.to_bytes()?)?;
        let value = json!({ "engagement": engagement, "file": path, "signers": operators.len() });
        context.output.answer(&value, || {
            format!(
                "{}\n{} of {} operators have signed; `kos cosign {path}` adds one, `kos kill-switch resume {path}` puts it in force",
                paint(GOOD, format!("wrote the release of entry {engagement}")),
                operators.len(),
                session.config.threshold,
                path = path.display()
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The engagement in force. A file that the log does not know of is told to it first.
fn engagement(session: &Session, log: &Log) -> Result<u64, Failure> {
    if let Some(index) = log.newest_engagement()? {
        return Ok(index);
    }
    let found = Engagement::found(&session.home)
        .ok_or_else(|| Failure::new("the kill switch is not engaged").remedy("kos kill-switch status"))?;
    let event = found.event(&session.config.host, &session.home, 0);
    Ok(log.append(event).doing("the log cannot be written, so everything stays stopped")?.index)
}

fn verified(session: &Session, envelope: Envelope, engagement: u64) -> Result<VerifiedResume, Failure> {
    let trust = VerifiedTrust::load(&session.home, &session.config, session.clock.now())?;
    VerifiedResume::check(envelope, &session.config, &trust, engagement).map_err(|error| {
        let remedy = match error {
            ResumeError::Envelope(_) | ResumeError::Revoked { .. } => {
                Some("kos cosign FILE, on an operator's machine")
            }
            ResumeError::Engagement { .. } | ResumeError::Host { .. } => {
                Some("kos kill-switch resume -o FILE, here")
            }
            _ => None,
        };
        let failure = Failure::from(error);
        remedy.into_iter().fold(failure, Failure::remedy)
    })
}
