//! Who listens from outside: people whom the agents of this process may send to.
//!
//! In scope: handing a message on as it was signed, to one listener for each identifier. Out of scope: who may listen
//! (`control`), and judging what arrives, which the listener does with an inbox of its own.
//!
//! Keeps I7: a listener that does not read holds its senders back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kos_core::id::Did;
use kos_core::message::SignedMessage;
use tokio::sync::mpsc;

/// Messages that wait for a listener: a person reads no faster.
const WAITING: usize = 16;

/// The listeners of one host.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<HashMap<Did, mpsc::Sender<SignedMessage>>>);

/// What is for one identifier. Nobody listens any more when it is dropped.
pub(crate) struct Listening {
    listeners: Arc<Listeners>,
    did: Did,
    pub(crate) messages: mpsc::Receiver<SignedMessage>,
}

impl Listeners {
    /// Listens for `did`. None where somebody does already.
    pub(crate) fn enter(self: &Arc<Self>, did: Did) -> Option<Listening> {
        let (sender, messages) = mpsc::channel(WAITING);
        match self.table().entry(did) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(free) => free.insert(sender),
        };
        Some(Listening { listeners: Arc::clone(self), did, messages })
    }

    pub(super) fn find(&self, did: &Did) -> Option<mpsc::Sender<SignedMessage>> {
        self.table().get(did).cloned()
    }

    /// The host ends, and with it each listener's wait.
    pub(crate) fn close(&self) {
        self.table().clear();
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Did, mpsc::Sender<SignedMessage>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.messages.close();
        let mut table = self.listeners.table();
        if table.get(&self.did).is_some_and(mpsc::Sender::is_closed) {
            table.remove(&self.did);
        }
    }
}
