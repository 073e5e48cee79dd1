//! Which mailbox belongs to whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kos_core::id::{Did, Name};

use crate::agent::Powers;
use crate::mailbox::Mailbox;

/// The mailboxes of one host.
#[derive(Default)]
pub(crate) struct Router(Mutex<HashMap<Did, Mailbox>>);

impl Router {
    /// Makes an agent reachable until the result is dropped.
    pub(crate) fn enter(
        self: &Arc<Self>,
        did: Did,
        _name: Name,
        mailbox: Mailbox,
        _powers: Arc<Powers>,
    ) -> Entered {
        self.mailboxes().insert(did, mailbox);
        Entered { router: Arc::clone(self), did }
    }

    /// The mailbox of an agent that is reachable.
    pub(crate) fn find(&self, did: &Did) -> Option<Mailbox> {
        self.mailboxes().get(did).cloned()
    }

    fn mailboxes(&self) -> MutexGuard<'_, HashMap<Did, Mailbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the router.
pub(crate) struct Entered {
    router: Arc<Router>,
    did: Did,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.router.mailboxes().remove(&self.did);
    }
}
