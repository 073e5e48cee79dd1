//! What becomes of a request once somebody has it.
//!
//! In scope: one answer to each request, also where its handler is gone. Out of scope: who waits for it (`pending`).

use std::sync::Arc;

use kos_core::id::Did;
use kos_core::message::{Content, MessageId, Topic};

use super::Router;
use crate::agent::Powers;
use crate::bindings::Error;
use crate::mailbox::{Answer, Failed, Handled};
use crate::text;

/// Longest word of a peer's handler that is told to who asked.
const WORD_BYTES: usize = 256;

/// A request that has no answer yet. If it is dropped so, its sender hears that it was not handled.
pub(super) struct Unanswered {
    router: Arc<Router>,
    by: Arc<Powers>,
    to: Did,
    request: MessageId,
    topic: Topic,
    is_answered: bool,
}

impl Unanswered {
    pub(super) fn new(
        router: Arc<Router>,
        by: Arc<Powers>,
        to: Did,
        request: MessageId,
        topic: Topic,
    ) -> Self {
        Self { router, by, to, request, topic, is_answered: false }
    }

    /// What the handler of the request calls.
    pub(super) fn into_answer(mut self) -> Answer {
        Box::new(move |handled| self.give(handled))
    }

    fn give(&mut self, handled: Handled) {
        self.is_answered = true;
        let content = content(self.request, &self.topic, handled);
        let (router, by, to, request) =
            (Arc::clone(&self.router), Arc::clone(&self.by), self.to, self.request);
        let runtime = router.runtime.clone();
        drop(runtime.spawn_blocking(move || {
            if router.answer(&by, to, request, content).is_none() {
                router.pending.forget(&to, request);
            }
        }));
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.is_answered {
            self.give(Err(Failed::Broken));
        }
    }
}

/// A reply, or in its place why there is none.
fn content(request: MessageId, topic: &Topic, handled: Handled) -> Option<Content> {
    let failed = |word: String| Content::error(request, topic.clone(), word.into_bytes()).ok();
    match handled {
        Ok(body) => Content::reply(request, topic.clone(), body.unwrap_or_default())
            .ok()
            .or_else(|| failed(String::new())),
        Err(Failed::Error(error)) => failed(word(&error)),
        Err(Failed::Broken | Failed::Stopped) => failed(String::new()),
    }
}

fn word(error: &Error) -> String {
    match error {
        Error::Denied => "denied".into(),
        Error::Invalid(what) => format!("invalid: {}", text::one_line(what, WORD_BYTES)),
        Error::Limited => "limited".into(),
        Error::Unavailable => "unavailable".into(),
    }
}
