//! What waits for one agent: messages that were judged already; of each sender in the order of their arrival.
//!
//! In scope: the bounded queue between the router, which judges, and the agent, which handles. Out of scope: who may send
//! (`router`), and what is done with a message (`service`, `capability::messaging`).
//!
//! Keeps I7: who fills its share of a mailbox is held back, and nobody else.

mod queues;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kos_core::clock::Timestamp;
use kos_core::id::Did;
use tokio::sync::Notify;

use self::queues::Queues;
use crate::bindings::Error;

/// A message that the recipient may receive.
#[derive(Debug)]
pub(crate) struct Message {
    /// Its identifier.
    pub(crate) id: String,
    /// The key that signed it.
    pub(crate) sender: Did,
    /// When it was sent, by its sender's clock.
    pub(crate) timestamp: Timestamp,
    /// What it is about.
    pub(crate) topic: String,
    /// The content.
    pub(crate) payload: Vec<u8>,
    /// Whether its sender waits for a reply.
    pub(crate) is_request: bool,
}

/// What a handler made of a message.
pub(crate) type Handled = Result<Option<Vec<u8>>, Failed>;

/// Why a message was not handled.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The handler says so.
    Error(Error),
    /// The handler broke, or met a limit: its sender learns no more.
    Broken,
    /// Its run was stopped meanwhile, which says nothing of the message.
    Stopped,
}

/// Hears what the handler made of a message.
pub(crate) type Answer = Box<dyn FnOnce(Handled) + Send>;

/// A message on its way, and who hears of its end.
pub(crate) struct Delivery {
    pub(crate) message: Message,
    pub(crate) answer: Answer,
}

/// Why a message cannot be put into a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unput {
    /// The agent is gone.
    Gone,
    /// Its sender is refused for a while.
    Refused,
}

/// Where the router puts what an agent may receive.
#[derive(Clone)]
pub(crate) struct Mailbox(Arc<Shared>);

/// Where the agent takes it from. What is left there goes with it.
pub(crate) struct Letters(Arc<Shared>);

struct Shared {
    /// None when the agent is gone.
    state: Mutex<Option<State>>,
    arrived: Notify,
}

struct State {
    queues: Queues,
    /// The senders of whom nothing is taken, and until when.
    refused: HashMap<Did, Instant>,
}

/// A mailbox for at most so many messages.
pub(crate) fn mailbox(messages: usize) -> (Mailbox, Letters) {
    let state = State { queues: Queues::of(messages), refused: HashMap::new() };
    let shared = Arc::new(Shared { state: Mutex::new(Some(state)), arrived: Notify::new() });
    (Mailbox(Arc::clone(&shared)), Letters(shared))
}

impl Mailbox {
    /// Puts a message in, and waits while it does not fit.
    pub(crate) async fn put(&self, delivery: Delivery) -> Result<(), Unput> {
        let held_back = {
            let mut state = self.0.state();
            let State { queues, refused } = state.as_mut().ok_or(Unput::Gone)?;
            let sender = delivery.message.sender;
            if refused.get(&sender).is_some_and(|until| Instant::now() < *until) {
                return Err(Unput::Refused);
            }
            refused.remove(&sender);
            queues.put(delivery)
        };
        match held_back {
            Some(is_put) => is_put.await.unwrap_or(Err(Unput::Gone)),
            None => {
                self.0.arrived.notify_one();
                Ok(())
            }
        }
    }

    /// Whether nothing is taken of a sender now.
    pub(crate) fn refuses(&self, sender: &Did) -> bool {
        let state = self.0.state();
        let until = state.as_ref().and_then(|state| state.refused.get(sender));
        until.is_some_and(|until| Instant::now() < *until)
    }

    /// Takes nothing more of a sender until then, and gives back what is there as not handled.
    pub(crate) fn refuse(&self, sender: Did, until: Instant) {
        let mut state = self.0.state();
        let Some(State { queues, refused }) = state.as_mut() else { return };
        refused.insert(sender, until);
        let removed = queues.remove_all_of(&sender);
        drop(state);
        self.0.arrived.notify_one();
        removed.into_iter().for_each(|delivery| (delivery.answer)(Err(Failed::Broken)));
    }
}

impl Letters {
    /// Waits for the next message: the senders have their turns.
    pub(crate) async fn next(&mut self) -> Delivery {
        loop {
            let taken = self.0.state().as_mut().and_then(|state| state.queues.take());
            if let Some(delivery) = taken {
                return delivery;
            }
            self.0.arrived.notified().await;
        }
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        // What an answer does when it is dropped needs no lock of ours.
        let left = self.0.state().take();
        drop(left);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
