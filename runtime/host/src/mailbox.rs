//! What waits for one agent: messages that were judged already, in the order of their arrival.
//!
//! In scope: the bounded queue between the router, which judges, and the agent, which handles. Out of scope: who may send
//! (`router`), and what is done with a message (`service`, `capability::messaging`).
//!
//! Keeps I7: a full mailbox holds its senders back, and nobody else.

use kos_core::clock::Timestamp;
use kos_core::id::Did;
use tokio::sync::mpsc;

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

/// Where the router puts what an agent may receive.
#[derive(Clone)]
pub(crate) struct Mailbox(mpsc::Sender<Delivery>);

/// Where the agent takes it from.
pub(crate) struct Letters(mpsc::Receiver<Delivery>);

/// A mailbox for at most so many messages.
pub(crate) fn mailbox(messages: usize) -> (Mailbox, Letters) {
    let (sender, receiver) = mpsc::channel(messages.max(1));
    (Mailbox(sender), Letters(receiver))
}

impl Mailbox {
    /// Puts a message in, and waits while it is full. Gives it back when the agent is gone.
    pub(crate) async fn put(&self, delivery: Delivery) -> Result<(), Box<Delivery>> {
        self.0.send(delivery).await.map_err(|unsent| Box::new(unsent.0))
    }
}

impl Letters {
    /// Waits for the next message. None when nobody can send any more.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        self.0.recv().await
    }
}
