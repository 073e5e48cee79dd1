//! Calls that wait for a person: the one way by which capabilities that can wait ask the gate.
//!
//! In scope: asking, waiting no longer than the rule says, and the entry of each question. Out of scope: the questions
//! (`kos_core::permission::Approvals`), and answering them (`control`). A call that waits holds no thread; the end of its
//! run ends it at once.
//!
//! Keeps I3 (what was approved is judged again, everything of it), I4 (a change of grants is judged at once by what waits) and
//! I5 (a question is shown once its entry is durable).

use std::sync::Arc;

use kos_core::clock::Clock;
use kos_core::crypto;
use kos_core::log::{Event, EventType, PartyType};
use kos_core::permission::marker::CapabilityMarker;
use kos_core::permission::{
    Answered, Approvals, Asked, Asking, Denied, Grant, Pending, QuestionId, QuestionPlace, Unapproved,
    Verdict, Waiting,
};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::agent::Powers;
use crate::host::Inner;

/// The questions of one host, and what makes waiting calls judge themselves again.
pub(crate) struct Desk {
    questions: Arc<Approvals>,
    changed: Notify,
    clock: Arc<dyn Clock>,
}

impl Desk {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { questions: Arc::default(), changed: Notify::new(), clock }
    }

    /// Has every waiting call judged again, by what is in force now.
    pub(crate) fn judge_again(&self) {
        self.changed.notify_waiters();
    }

    /// The questions that can be answered.
    pub(crate) fn pending(&self) -> Vec<Pending> {
        self.questions.pending()
    }
}

/// Asks the gate for a call, and a person where a rule wants one.
///
/// # Errors
/// [`Denied`], which the log has heard of.
pub(crate) async fn authorize<'a, C: CapabilityMarker>(
    powers: &'a Powers,
    scope: &'a str,
) -> Result<Grant<'a, C>, Denied> {
    match powers.gate.ask(scope)? {
        Asked::Allowed(grant) => Ok(grant),
        Asked::Waiting(waiting) => Box::pin(wait(powers, waiting)).await,
    }
}

/// As [`authorize`], for a call that can be named in several forms.
///
/// # Errors
/// [`Denied`], which the log has heard of.
pub(crate) async fn authorize_any<'a, C: CapabilityMarker>(
    powers: &'a Powers,
    forms: &[&'a str],
) -> Result<Grant<'a, C>, Denied> {
    match powers.gate.ask_any(forms)? {
        Asked::Allowed(grant) => Ok(grant),
        Asked::Waiting(waiting) => Box::pin(wait(powers, waiting)).await,
    }
}

async fn wait<'a, C: CapabilityMarker>(
    powers: &'a Powers,
    mut waiting: Waiting<'a, C>,
) -> Result<Grant<'a, C>, Denied> {
    let until = Instant::now() + waiting.patience();
    loop {
        let (hears, mut answer) = oneshot::channel();
        let place = match enter(powers, &waiting, hears) {
            Ok(place) => place,
            Err(lack) => return Err(powers.gate.unapproved(&waiting, lack)),
        };
        let answered = loop {
            let changed = powers.desk.changed.notified();
            // What changed before this moment is judged here; what changes from now on wakes the call.
            match powers.gate.ask_again(&waiting)? {
                Asked::Allowed(grant) => return Ok(grant),
                Asked::Waiting(now) if now.id() != waiting.id() || now.scope() != waiting.scope() => {
                    waiting = now;
                    break Answered::Again;
                }
                Asked::Waiting(_) => {}
            }
            tokio::select! {
                answered = &mut answer => break answered.unwrap_or(Answered::Again),
                () = sleep_until(until) => {
                    drop(place);
                    // An answer that came in the same moment counts.
                    match answer.try_recv() {
                        Ok(answered) => break answered,
                        Err(_) => return Err(powers.gate.unapproved(&waiting, Unapproved::TimedOut)),
                    }
                }
                () = changed => {}
            }
        };
        match answered {
            Answered::Approved(approval) => return powers.gate.approved(&waiting, &approval),
            Answered::Refused => return Err(powers.gate.unapproved(&waiting, Unapproved::Refused)),
            Answered::Unlogged => return Err(powers.gate.unapproved(&waiting, Unapproved::Unlogged)),
            Answered::Again => {}
        }
    }
}

/// Enters a call before its question, and has a new question logged.
fn enter<C: CapabilityMarker>(
    powers: &Powers,
    waiting: &Waiting<'_, C>,
    hears: oneshot::Sender<Answered>,
) -> Result<QuestionPlace, Unapproved> {
    let asking = Asking {
        agent: powers.subject.agent.clone(),
        component: powers.subject.digest.to_string(),
        run: powers.subject.run.clone(),
        capability: waiting.capability(),
        scope: waiting.scope().to_owned(),
        grant: waiting.id(),
    };
    let name = QuestionId::of(crypto::random().map_err(|_| Unapproved::Unlogged)?);
    let entry = powers.subject.asked(&asking, name);
    let moment = (powers.desk.clock.now(), waiting.patience());
    let questions = &powers.desk.questions;
    let place = questions.enter(asking, name, moment, move |answered| {
        // Nobody waits any more when the run has ended.
        let _ = hears.send(answered);
    })?;
    if place.is_new() {
        let questions = Arc::clone(questions);
        powers.log.submit(entry, move |written| match written {
            Ok(_) => questions.show(name),
            Err(error) => {
                tracing::error!(%error, "a question could not be logged, so nobody is asked");
                questions.give_up(name);
            }
        });
    }
    Ok(place)
}

impl Inner {
    /// Answers a question, entry first. False where there is none of this name.
    pub(crate) fn answer(
        &self,
        question: QuestionId,
        verdict: Verdict,
    ) -> Result<bool, kos_core::log::LogError> {
        let Some(pending) = self.desk.questions.find(question) else { return Ok(false) };
        let (event_type, answer) = match verdict {
            Verdict::Once => (EventType::PermissionGrant, "once"),
            Verdict::Deny => (EventType::PermissionDenied, "deny"),
        };
        let Asking { agent, component, run, capability, scope, grant } = pending.asking;
        let event = Event::new(event_type, PartyType::User, self.config.host.to_string())
            .on("approval", question.to_string())
            .with("answer", answer)
            .with("reason", "approval")
            .with("agent", agent)
            .with("component", component)
            .with("run", run)
            .with("capability", capability.to_string())
            .with("scope", scope)
            .with("grant", grant.to_string());
        self.log.append(event)?;
        Ok(self.desk.questions.answer(question, verdict))
    }
}
