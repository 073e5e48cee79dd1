//! What `kos-run` says of refusals and of runs that are over.

use kos_core::permission::LimitName;
use kos_host::{ExitReport, Outcome, Refusal};
use serde_json::{Value, json};

use super::KosRun;
use crate::context::Context;
use crate::failure::Failure;

/// How the core names the component when it does not know the file.
const COMPONENT: &str = "AGENT.wasm";

/// A run that is over.
pub(super) struct Ended {
    pub(super) shown: String,
    pub(super) run: String,
    pub(super) report: ExitReport,
}

impl Ended {
    pub(super) fn exit_status(&self) -> u8 {
        self.report.exit_status()
    }

    /// Says how the run ended: in JSON always, in words where the agent's own status does not say all.
    pub(super) fn tell(&self, context: &Context, options: &KosRun) {
        if options.json {
            context.output.raw_remark(self.to_json());
        } else if !options.quiet
            && let Some(failure) = self.for_person(options)
        {
            failure.report("kos-run", false);
        }
    }

    fn to_json(&self) -> Value {
        let report = &self.report;
        json!({
            "agent": self.shown,
            "run": self.run,
            "outcome": report.outcome.name(),
            "message": report.outcome.to_string(),
            "status": self.exit_status(),
            "usage": report.usage,
            "unlogged": report.unlogged,
        })
    }

    fn for_person(&self, options: &KosRun) -> Option<Failure> {
        if let Some(cause) = &self.report.unlogged {
            return Some(
                Failure::new(format!("the end of {} could not be logged", self.shown))
                    .why(cause)
                    .remedy("the next kos-run of this home logs it as recovered"),
            );
        }
        let failure = match &self.report.outcome {
            Outcome::Ok | Outcome::Error { .. } => return None,
            Outcome::Trap { message } => Failure::new(format!("{} broke", self.shown)).why(message),
            Outcome::Killed => Failure::new(format!("{} was stopped", self.shown)),
            outcome => Failure::new(format!("{} was stopped at its limit: {outcome}", self.shown)),
        };
        let limit = match self.report.outcome.limit() {
            None => return Some(failure),
            // Two limits end a run so: the bytes of its notes are the one that a run spends.
            Some("notes") => LimitName::NoteBytes.as_str(),
            Some(limit) => limit,
        };
        let is_lowered = limit
            .parse::<LimitName>()
            .is_ok_and(|name| options.limit.as_ref().is_some_and(|limits| limits.named(name).is_some()));
        Some(if is_lowered {
            failure.remedy(format!("a higher --limit {limit}=…"))
        } else {
            failure.remedy(format!(
                "a grant with a higher `{limit}`: kos grant {} PERMISSIONS.toml --replace",
                self.shown
            ))
        })
    }
}

/// A refusal as a person reads it: what, why, and the command that would change it.
pub(super) fn refused(context: &Context, shown: &str, refusal: &Refusal) -> Failure {
    let named = |text: &str| text.replace(COMPONENT, shown);
    let failure = match refusal {
        Refusal::NotFound { .. } => Failure::new(refusal),
        _ if refusal.is_policy() => {
            Failure::new(format!("refused: {shown}")).why(named(&refusal.to_string()))
        }
        _ => Failure::new(format!("{shown} was not launched")).why(refusal),
    };
    let remedy = refusal.remedy().unwrap_or_default();
    let with_remedies = remedy.lines().fold(failure, |failure, line| {
        let line = named(line);
        failure.remedy(if line.starts_with("kos ") { context.command(&line) } else { line })
    });
    with_remedies.status(refusal.exit_status())
}
