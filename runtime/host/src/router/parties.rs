//! The runs that receive in this process.
//!
//! In scope: who receives what is for an identifier, and its inbox, which is open from the first message until the last of its
//! runs has left. Out of scope: judging (`router`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kos_core::id::Did;
use kos_core::message::{Accepted, Inbox, Judged, Rejection};

use crate::agent::Powers;
use crate::mailbox::Mailbox;
use crate::transport::Receiving;

/// The runs that receive, by their agents' identifiers.
pub(super) struct Parties {
    /// Where the floors of inboxes lie.
    floors: PathBuf,
    table: Mutex<HashMap<Did, Seats>>,
}

/// Who receives for one identifier. It stays when all have left: there are no more than agents of the home.
#[derive(Default)]
struct Seats {
    /// In the order in which they entered.
    parties: Vec<Arc<Party>>,
    inbox: Arc<Mutex<Option<Inbox>>>,
    /// How many they are.
    seated: Arc<AtomicUsize>,
}

/// A run that receives.
pub(super) struct Party {
    pub(super) did: Did,
    pub(super) mailbox: Mailbox,
    pub(super) powers: Arc<Powers>,
    /// Where the floors of inboxes lie.
    floors: PathBuf,
    inbox: Arc<Mutex<Option<Inbox>>>,
    /// How many receive for the identifier, this one or others.
    seated: Arc<AtomicUsize>,
}

/// A place among those who receive; given back when dropped.
pub(crate) struct Entered {
    parties: Arc<Parties>,
    party: Arc<Party>,
    /// What listens for the recipient outside the process.
    listening: Option<Arc<Receiving>>,
}

impl Entered {
    /// The same place, and what listens for it outside the process.
    pub(super) fn listening(mut self, listening: Option<Arc<Receiving>>) -> Self {
        self.listening = listening;
        self
    }
}

impl Parties {
    pub(super) fn new(floors: PathBuf) -> Self {
        Self { floors, table: Mutex::default() }
    }

    pub(super) fn enter(self: &Arc<Self>, did: Did, mailbox: Mailbox, powers: Arc<Powers>) -> Entered {
        let mut table = self.table();
        let seats = table.entry(did).or_default();
        let inbox = Arc::clone(&seats.inbox);
        let seated = Arc::clone(&seats.seated);
        let party = Arc::new(Party { did, mailbox, powers, floors: self.floors.clone(), inbox, seated });
        seats.parties.push(Arc::clone(&party));
        seats.seated.store(seats.parties.len(), Ordering::Release);
        Entered { parties: Arc::clone(self), party, listening: None }
    }

    /// Who receives what is for `did`.
    pub(super) fn find(&self, did: &Did) -> Option<Arc<Party>> {
        self.table().get(did)?.parties.first().cloned()
    }

    /// Whether it was the last of its agent.
    fn leave(&self, party: &Arc<Party>) -> bool {
        let mut table = self.table();
        let Some(seats) = table.get_mut(&party.did) else { return true };
        seats.parties.retain(|other| !Arc::ptr_eq(other, party));
        seats.seated.store(seats.parties.len(), Ordering::Release);
        seats.parties.is_empty()
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Did, Seats>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Party {
    /// Receives a message, once. Waits for the disk.
    pub(super) fn accept(&self, judged: Judged) -> Result<Accepted, Rejection> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        // A run that another has taken the place of meanwhile still receives for that one.
        if self.seated.load(Ordering::Acquire) == 0 {
            return Err(Rejection::Recipient);
        }
        let inbox = match &mut *inbox {
            Some(inbox) => inbox,
            closed => closed.insert(self.open()?),
        };
        inbox.accept(judged)
    }

    fn open(&self) -> Result<Inbox, Rejection> {
        let opened = Inbox::open_in(&self.floors, self.did);
        opened.map_err(|error| Rejection::Unrecorded { cause: error.to_string() })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.parties.leave(&self.party) {
            return;
        }
        let inbox = self.party.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = inbox.map(Inbox::close) {
            tracing::warn!(%error, "what is sent to an agent in the next second will be refused");
        }
    }
}
