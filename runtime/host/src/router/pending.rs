//! Requests that wait for their answers.
//!
//! In scope: which answer belongs to which request, once, and from nobody but the peer that was asked. Out of scope: how long
//! somebody waits.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kos_core::id::Did;
use kos_core::message::{Content, Kind, MessageId, SignedMessage};
use tokio::sync::oneshot;

/// The body of a reply, or the peer's own word for why there is none.
pub(super) type Reply = Result<Vec<u8>, Option<String>>;

/// A request, by who sent it and its identifier, which senders choose.
type Asked = (Did, MessageId);

/// The request is there, and another's to answer.
struct SomebodyElses;

/// The requests without an answer, by their senders.
#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<Did, HashMap<MessageId, Waiting>>>);

struct Waiting {
    /// The same as in its [`Awaited`].
    place: Arc<()>,
    peer: Did,
    end: End,
}

/// Who waits.
enum End {
    /// An agent of this host.
    Here(oneshot::Sender<Reply>),
    /// Somebody outside, who opens the answer with a key of their own.
    Outside(oneshot::Sender<SignedMessage>),
}

/// What is waited for; nobody waits any more when it is dropped.
pub(super) struct Awaited<T> {
    pending: Arc<Pending>,
    asked: Asked,
    place: Arc<()>,
    pub(super) answer: oneshot::Receiver<T>,
}

impl<T> Drop for Awaited<T> {
    fn drop(&mut self) {
        let is_this = |waiting: &Waiting| Arc::ptr_eq(&waiting.place, &self.place);
        drop(self.pending.take(&self.asked, is_this));
    }
}

impl Pending {
    /// Waits for the answer of `peer` to a request of an agent of this host.
    pub(super) fn here(self: &Arc<Self>, from: Did, request: MessageId, peer: Did) -> Awaited<Reply> {
        self.wait((from, request), peer, End::Here)
    }

    /// Waits for the answer of `peer` to a request from outside.
    pub(super) fn outside(
        self: &Arc<Self>,
        from: Did,
        request: MessageId,
        peer: Did,
    ) -> Awaited<SignedMessage> {
        self.wait((from, request), peer, End::Outside)
    }

    fn wait<T>(
        self: &Arc<Self>,
        asked: Asked,
        peer: Did,
        end: impl FnOnce(oneshot::Sender<T>) -> End,
    ) -> Awaited<T> {
        let ((sender, answer), place) = (oneshot::channel(), Arc::new(()));
        // A copy waits for nothing: the answer is for who asked first.
        if let Entry::Vacant(free) = self.table().entry(asked.0).or_default().entry(asked.1) {
            free.insert(Waiting { place: Arc::clone(&place), peer, end: end(sender) });
        }
        Awaited { pending: Arc::clone(self), asked, place, answer }
    }

    /// There will be no answer.
    pub(super) fn forget(&self, from: &Did, request: MessageId) {
        drop(self.take(&(*from, request), |_| true));
    }

    /// Whether somebody waits for an answer of `peer` to an agent of this host.
    pub(super) fn is_asked(&self, asker: &Did, peer: &Did) -> bool {
        let is_theirs = |waiting: &Waiting| waiting.peer == *peer && matches!(waiting.end, End::Here(_));
        self.table().get(asker).is_some_and(|requests| requests.values().any(is_theirs))
    }

    /// Gives an answer from `peer` to the agent of this host that waits for it. False if it asked somebody else; an answer
    /// that nobody waits for any more is none.
    pub(super) fn give(&self, to: &Did, peer: &Did, content: Content) -> bool {
        let Some(request) = content.in_reply_to() else { return false };
        let is_theirs = |waiting: &Waiting| waiting.peer == *peer && matches!(waiting.end, End::Here(_));
        match self.take(&(*to, request), is_theirs) {
            Ok(Some(Waiting { end: End::Here(waiting), .. })) => {
                // Nobody waits any more when the agent was stopped.
                let _ = waiting.send(reply(content));
                true
            }
            Ok(_) => true,
            Err(SomebodyElses) => false,
        }
    }

    /// Gives an answer to whoever waits for it outside, or back.
    pub(super) fn give_outside(
        &self,
        request: MessageId,
        answer: SignedMessage,
    ) -> Result<(), Box<SignedMessage>> {
        let is_theirs = |waiting: &Waiting| {
            matches!(waiting.end, End::Outside(_)) && waiting.peer == *answer.header().from()
        };
        match self.take(&(*answer.header().to(), request), is_theirs) {
            Ok(Some(Waiting { end: End::Outside(waiting), .. })) => {
                let _ = waiting.send(answer);
                Ok(())
            }
            Ok(_) | Err(SomebodyElses) => Err(Box::new(answer)),
        }
    }

    /// Takes a request out, if there is one and `is_meant` says so of it.
    fn take(
        &self,
        (from, request): &Asked,
        is_meant: impl FnOnce(&Waiting) -> bool,
    ) -> Result<Option<Waiting>, SomebodyElses> {
        let mut table = self.table();
        let Some(requests) = table.get_mut(from) else { return Ok(None) };
        match requests.get(request) {
            None => return Ok(None),
            Some(waiting) if is_meant(waiting) => {}
            Some(_) => return Err(SomebodyElses),
        }
        let taken = requests.remove(request);
        if requests.is_empty() {
            table.remove(from);
        }
        Ok(taken)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Did, HashMap<MessageId, Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reply(content: Content) -> Reply {
    let is_reply = content.kind() == Kind::Reply;
    let body = content.into_body();
    if is_reply {
        return Ok(body);
    }
    let word = String::from_utf8(body).unwrap_or_default();
    Err(Some(word).filter(|word| !word.is_empty()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use kos_core::crypto::{SecretKey, Signer as _};

    use super::*;

    fn did(seed: u8) -> Did {
        SecretKey::from_seed(&[seed; 32]).did()
    }

    fn reply_to(request: MessageId) -> Content {
        Content::reply(request, "t".parse().unwrap(), b"yes".to_vec()).unwrap()
    }

    #[test]
    fn an_answer_counts_once_and_from_the_peer_that_was_asked_alone() {
        let (asker, peer, stranger) = (did(1), did(2), did(3));
        let (pending, request) = (Arc::new(Pending::default()), MessageId::from_bytes([7; 16]));
        let mut awaited = pending.here(asker, request, peer);
        assert!(!pending.give(&asker, &stranger, reply_to(request)));
        assert!(awaited.answer.try_recv().is_err());
        assert!(pending.give(&asker, &peer, reply_to(request)));
        assert_eq!(awaited.answer.try_recv().unwrap(), Ok(b"yes".to_vec()));
        assert!(pending.give(&asker, &peer, reply_to(request)), "late, and nobody's");
        assert!(pending.table().is_empty());
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_forgotten_and_another_asker_has_its_own() {
        let (pending, request) = (Arc::new(Pending::default()), MessageId::from_bytes([7; 16]));
        let gone = pending.here(did(1), request, did(2));
        let mut other = pending.here(did(3), request, did(2));
        drop(gone);
        assert!(pending.give(&did(3), &did(2), reply_to(request)));
        assert!(other.answer.try_recv().is_ok());
    }

    #[test]
    fn a_copy_of_a_request_takes_nothing_from_the_first() {
        let (pending, request) = (Arc::new(Pending::default()), MessageId::from_bytes([7; 16]));
        let mut first = pending.here(did(1), request, did(2));
        let copy = pending.here(did(1), request, did(2));
        drop(copy);
        assert!(pending.give(&did(1), &did(2), reply_to(request)));
        assert_eq!(first.answer.try_recv().unwrap(), Ok(b"yes".to_vec()));
        let next = pending.here(did(1), request, did(2));
        drop(first);
        assert_eq!(pending.table().len(), 1, "what was answered takes nothing with it");
        drop(next);
        assert!(pending.table().is_empty());
    }

    #[test]
    fn a_word_for_why_there_is_none_is_told_and_none_is_none() {
        let request = MessageId::from_bytes([7; 16]);
        let error = |word: &str| Content::error(request, "t".parse().unwrap(), word.into()).unwrap();
        assert_eq!(reply(error("denied")), Err(Some("denied".into())));
        assert_eq!(reply(error("")), Err(None));
    }
}
