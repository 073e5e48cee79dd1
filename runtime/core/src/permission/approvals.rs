//! The questions that calls wait for: who asks for what, and what a person answered.
//!
//! In scope: one question for however many equal calls of a run, bounds for each agent, and that an answer is to exactly what
//! was shown. Out of scope: waiting and the log, which the host does: a question is shown once its entry is durable (I5).
//! Keeps I7: an agent that asks without end fills neither the log nor the operator's screen.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::approval::{Approval, Unapproved};
use super::grant_id::GrantId;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::line;

/// Questions of one agent that are open at once: as many as a person reads before they look alike.
pub const PENDING_MAX: usize = 8;
/// Questions that one agent asks in a minute; each is an entry of the log.
const ASKED_MAX: usize = 30;
/// In which time they are counted.
const ASKED_WINDOW: Duration = Duration::from_secs(60);
/// Refusals that are remembered, so that nobody is asked again until they agree. Beyond it the oldest is forgotten.
const REFUSED_MAX: usize = 1024;
/// Agents whose rates are remembered; more than run in one host.
const AGENTS_MAX: usize = 4096;

/// By what a question is named. It is random, so that nobody can aim at an answer to another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId([u8; 6]);

impl QuestionId {
    /// The name that these random bytes make.
    #[must_use]
    pub fn of(random: [u8; 6]) -> Self {
        Self(random)
    }
}

/// The text names no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the identifier of a question (12 lower-case hex digits)")]
pub struct QuestionIdError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

hex_as_text!(QuestionId, QuestionIdError, |text| QuestionIdError { text: line::shown(text) });

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// Whose call it is: the agent's reference.
    pub agent: String,
    /// The component's digest.
    pub component: String,
    /// In which run.
    pub run: String,
    /// For which capability.
    pub capability: Capability,
    /// For what: exactly what is judged.
    pub scope: String,
    /// Which manifest asks for the approval.
    pub grant: GrantId,
}

/// An open question, as a person is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// By what it is answered.
    pub question: QuestionId,
    /// What is asked.
    pub asking: Asking,
    /// Since when.
    pub since: Timestamp,
    /// Until when its calls wait.
    pub until: Timestamp,
    /// How many calls wait.
    pub calls: usize,
}

/// What a person answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// One call may be made.
    Once,
    /// None of these calls may be made, nor any like them in this run.
    Deny,
}

/// What a waiting call hears.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// It may be made, if the gate still allows it otherwise.
    Approved(Approval),
    /// It may not be made.
    Refused,
    /// The answer was for another call: it asks again.
    Again,
    /// The question could not be logged, so nobody was asked.
    Unlogged,
}

type Hears = Box<dyn FnOnce(Answered) + Send>;

/// The open questions of one host.
#[derive(Default)]
pub struct Approvals(Mutex<Questions>);

#[derive(Default)]
struct Questions {
    open: BTreeMap<QuestionId, Open>,
    refused: VecDeque<Asking>,
    /// When each agent has asked within the window, the oldest first.
    asked: BTreeMap<String, VecDeque<Timestamp>>,
    calls: u64,
}

struct Open {
    asking: Asking,
    since: Timestamp,
    until: Timestamp,
    /// Whether its entry is durable.
    is_logged: bool,
    waiting: VecDeque<(u64, Hears)>,
}

impl Approvals {
    /// Lets a call wait for the answer to a question: one that is open already, or a new one of this name. A new one is to be
    /// logged, and shown then ([`Approvals::show`]).
    ///
    /// # Errors
    /// [`Unapproved`] where nobody is asked: it was refused to this run before, or the agent asks too much.
    pub fn enter(
        self: &Arc<Self>,
        asking: Asking,
        name: QuestionId,
        (now, patience): (Timestamp, Duration),
        hears: impl FnOnce(Answered) + Send + 'static,
    ) -> Result<QuestionPlace, Unapproved> {
        let mut questions = self.lock();
        if questions.refused.contains(&asking) {
            return Err(Unapproved::Refused);
        }
        questions.calls = questions.calls.wrapping_add(1);
        let call = questions.calls;
        let known = questions.open.iter().find(|(_, open)| open.asking == asking).map(|(id, _)| *id);
        let (question, is_new) = match known {
            Some(question) => (question, false),
            None => {
                questions.admit(&asking.agent, now)?;
                if questions.open.contains_key(&name) {
                    return Err(Unapproved::Crowded);
                }
                (name, true)
            }
        };
        let until = now.saturating_add(patience);
        let open = questions.open.entry(question).or_insert_with(|| Open {
            asking,
            since: now,
            until,
            is_logged: false,
            waiting: VecDeque::new(),
        });
        open.until = open.until.max(until);
        open.waiting.push_back((call, Box::new(hears)));
        Ok(QuestionPlace { approvals: Arc::clone(self), question, call, is_new })
    }

    /// Shows a question whose entry is durable.
    pub fn show(&self, question: QuestionId) {
        if let Some(open) = self.lock().open.get_mut(&question) {
            open.is_logged = true;
        }
    }

    /// Gives a question up that could not be logged.
    pub fn give_up(&self, question: QuestionId) {
        let given_up = self.lock().open.remove(&question);
        for (_, hears) in given_up.into_iter().flat_map(|open| open.waiting) {
            hears(Answered::Unlogged);
        }
    }

    /// The questions that can be answered, the oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        let questions = self.lock();
        let shown = questions.open.iter().filter(|(_, open)| open.is_logged);
        let mut pending: Vec<Pending> = shown.map(|(question, open)| open.pending(*question)).collect();
        pending.sort_by_key(|pending| (pending.since, pending.question));
        pending
    }

    /// The question of this name, where it can be answered.
    #[must_use]
    pub fn find(&self, question: QuestionId) -> Option<Pending> {
        let questions = self.lock();
        questions.open.get(&question).filter(|open| open.is_logged).map(|open| open.pending(question))
    }

    /// Carries an answer out, whose entry is durable. False where nobody waits for it any more.
    pub fn answer(&self, question: QuestionId, verdict: Verdict) -> bool {
        let mut questions = self.lock();
        let Some(open) = questions.open.remove(&question) else { return false };
        if verdict == Verdict::Deny {
            if questions.refused.len() >= REFUSED_MAX {
                questions.refused.pop_front();
            }
            questions.refused.push_back(open.asking.clone());
        }
        drop(questions);
        let mut waiting = open.waiting.into_iter();
        if verdict == Verdict::Once
            && let Some((_, hears)) = waiting.next()
        {
            let Asking { capability, scope, grant, .. } = open.asking;
            hears(Answered::Approved(Approval { capability, scope, grant }));
        }
        for (_, hears) in waiting {
            hears(if verdict == Verdict::Deny { Answered::Refused } else { Answered::Again });
        }
        true
    }

    fn leave(&self, question: QuestionId, call: u64) {
        let mut questions = self.lock();
        if let Some(open) = questions.open.get_mut(&question) {
            open.waiting.retain(|(other, _)| *other != call);
            if open.waiting.is_empty() {
                questions.open.remove(&question);
            }
        }
    }

    // A panic under the lock is none of ours: nothing there can fail half-way.
    fn lock(&self) -> MutexGuard<'_, Questions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Approvals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Approvals of {} questions", self.lock().open.len())
    }
}

impl Questions {
    /// Whether the agent may ask one more question, and counts it if so.
    fn admit(&mut self, agent: &str, now: Timestamp) -> Result<(), Unapproved> {
        let is_theirs = |open: &&Open| open.asking.agent == agent;
        if self.open.values().filter(is_theirs).count() >= PENDING_MAX {
            return Err(Unapproved::Crowded);
        }
        self.asked.retain(|_, asked| {
            asked.retain(|instant| now.saturating_since(*instant) < ASKED_WINDOW);
            !asked.is_empty()
        });
        if self.asked.len() >= AGENTS_MAX && !self.asked.contains_key(agent) {
            return Err(Unapproved::Crowded);
        }
        let asked = self.asked.entry(agent.to_owned()).or_default();
        if asked.len() >= ASKED_MAX {
            return Err(Unapproved::Crowded);
        }
        asked.push_back(now);
        Ok(())
    }
}

impl Open {
    fn pending(&self, question: QuestionId) -> Pending {
        let (asking, since, until) = (self.asking.clone(), self.since, self.until);
        Pending { question, asking, since, until, calls: self.waiting.len() }
    }
}

/// A call's place before a question; given up when dropped. A question that nobody waits for is none.
#[derive(Debug)]
pub struct QuestionPlace {
    approvals: Arc<Approvals>,
    question: QuestionId,
    call: u64,
    is_new: bool,
}

impl QuestionPlace {
    /// The question.
    #[must_use]
    pub fn question(&self) -> QuestionId {
        self.question
    }

    /// Whether the question is new, and so is to be logged by whoever entered it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

impl Drop for QuestionPlace {
    fn drop(&mut self) {
        self.approvals.leave(self.question, self.call);
    }
}
