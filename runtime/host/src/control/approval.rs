//! Questions that agents' calls wait for, and their answers, over the control socket.
//!
//! In scope: listing and answering, from the home's owner only, as for every request. Out of scope: what an answer does
//! (`approval`). No agent reaches the socket: it lies in the home, and no grant opens the home to a guest.

use kos_core::home::Home;
use kos_core::permission::{Pending, QuestionId, Verdict};

use super::client::{ControlError, ask, live_hosts, unexpected};
use super::{Answer, Request};
use crate::host::Inner;

/// The open questions of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostQuestions {
    /// The host's identifier in the log.
    pub host: String,
    /// Its questions, the oldest first.
    pub questions: Vec<Pending>,
}

/// What agents wait for in this home.
///
/// # Errors
/// [`ControlError`] when a live host does not answer.
pub fn questions(home: &Home) -> Result<Vec<HostQuestions>, ControlError> {
    let mut hosts = Vec::new();
    for host in live_hosts(home)? {
        match ask(home, &host, &Request::Questions {})? {
            Some(Answer::Questions { questions }) => hosts.push(HostQuestions { host, questions }),
            Some(other) => return Err(unexpected(host, other)),
            None => {}
        }
    }
    Ok(hosts)
}

/// Answers a question, whichever host asks it. False where none does any more.
///
/// # Errors
/// [`ControlError`] when a live host does not answer, or could not log it.
pub fn answer(home: &Home, question: QuestionId, verdict: Verdict) -> Result<bool, ControlError> {
    for host in live_hosts(home)? {
        match ask(home, &host, &Request::Answer { question, verdict })? {
            Some(Answer::Done { runs: 0 }) | None => {}
            Some(Answer::Done { .. }) => return Ok(true),
            Some(other) => return Err(unexpected(host, other)),
        }
    }
    Ok(false)
}

pub(super) fn carry_out(inner: &Inner, question: QuestionId, verdict: Verdict) -> Answer {
    match inner.answer(question, verdict) {
        Ok(is_answered) => Answer::Done { runs: usize::from(is_answered) },
        Err(error) => Answer::Refused { cause: format!("the log cannot be written: {error}") },
    }
}
