//! Messages that leave the process, and those that come into it, by the transport.
//!
//! In scope: to whom a message is sealed, and judging what arrives for a recipient of this process. Out of scope: how it travels
//! (`transport`).
//!
//! What arrives is judged in the order of every message, but by what its recipient has handled of the stream rather than by the
//! window of the last minutes (`kos_core::message::StreamInbox`).

use std::sync::{Arc, Mutex, PoisonError};

use kos_core::id::{AgreementKey, Did};
use kos_core::message::{Accepted, Header, Kind, Rejection, SignedMessage, StreamInbox};
use tokio::sync::oneshot;

use super::directory::Directory;
use super::{Letter, Party, Router, Undelivered};
use crate::mailbox::{Delivery, Failed};
use crate::transport::{Receiving, Transport};

/// What became of a message that arrived.
pub(crate) enum Arrival {
    /// It was refused or handled: it need not come again.
    Final,
    /// It cannot be judged now.
    Later,
    /// A copy of it is with its recipient.
    InHand,
    /// For the mailbox. It is told whether it was handled.
    Letter { letter: Letter, header: Box<Header>, handled: oneshot::Receiver<bool> },
}

/// Says whether a message was handled, also if nobody handles it.
struct Handling {
    told: Option<oneshot::Sender<bool>>,
    /// A request that is given up was answered so, and need not come again.
    is_request: bool,
}

impl Handling {
    fn tell(&mut self, is_handled: bool) {
        if let Some(told) = self.told.take() {
            // Nobody listens any more when the host ends.
            let _ = told.send(is_handled);
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.tell(self.is_request);
    }
}

impl Router {
    /// Messages travel by this from now on.
    pub(crate) fn travel_by(&self, transport: Transport) {
        // There is one transport for each host, and it is set once.
        let _ = self.transport.set(transport);
    }

    /// How messages travel, if they do.
    pub(crate) fn transport(&self) -> Option<&Transport> {
        self.transport.get()
    }

    pub(super) fn listen(self: &Arc<Self>, did: Did) -> Option<Arc<Receiving>> {
        self.transport()?.receive(did, self)
    }

    /// The key that a message to `to` is sealed to, if it leaves the process.
    pub(super) fn leaves_for(&self, to: &Did) -> Option<AgreementKey> {
        self.transport()?;
        if self.parties.find(to).is_some() {
            return None;
        }
        self.known().agreement_key(to)
    }

    /// Gives a message that was sealed to the transport, and another to its recipient in this process.
    pub(super) async fn dispatch(self: &Arc<Self>, message: SignedMessage) -> Result<(), Undelivered> {
        match self.transport() {
            Some(transport) if message.is_sealed() => transport.send(message).await,
            _ => self.deliver(message).await.map(drop),
        }
    }

    /// Judges what the transport brought for `did`. Waits for the disk.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        did: &Did,
        inbox: &Mutex<StreamInbox>,
        bytes: Vec<u8>,
        comes_again: bool,
    ) -> Arrival {
        let Some(party) = self.parties.find(did) else { return Arrival::Later };
        let message = match SignedMessage::verify(bytes) {
            Ok(message) => message,
            Err(rejection) => {
                party.powers.reject(None, &rejection);
                return Arrival::Final;
            }
        };
        let header = message.header().clone();
        let known = self.known();
        let accepted = {
            let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
            if inbox.is_in_hand(&header) {
                return Arrival::InHand;
            }
            let judge = |sender: &Did| self.could_hear(&party, &known, sender);
            message.judged_in_stream(did, self.clock.now(), judge).and_then(|judged| inbox.accept(judged))
        };
        let judged = accepted.and_then(|accepted| {
            self.taken(&party, &known, &accepted, inbox).inspect_err(|_| {
                inbox.lock().unwrap_or_else(PoisonError::into_inner).withdrawn(accepted.header());
            })
        });
        judged.unwrap_or_else(|rejection| {
            // What was handled comes again where its acknowledgement was lost. A copy of it comes for the first time.
            if rejection == Rejection::Replayed && comes_again {
                return Arrival::Final;
            }
            party.powers.reject(Some((header.id(), header.from())), &rejection);
            if passes(&rejection) { Arrival::Later } else { Arrival::Final }
        })
    }

    fn taken(
        self: &Arc<Self>,
        party: &Arc<Party>,
        known: &Directory,
        accepted: &Accepted,
        inbox: &Mutex<StreamInbox>,
    ) -> Result<Arrival, Rejection> {
        let (header, now) = (accepted.header(), self.clock.now());
        let content = accepted.open(&party.powers.key)?;
        if matches!(content.kind(), Kind::Reply | Kind::Error) {
            if !self.pending.give(header.to(), header.from(), content) {
                return Err(Rejection::Denied);
            }
            let noted = inbox.lock().unwrap_or_else(PoisonError::into_inner).handled(header);
            // Nobody waits for it any more, so it says nothing if it comes again.
            drop(noted.inspect_err(|error| tracing::warn!(%error, "an answer that came was not noted")));
            return Ok(Arrival::Final);
        }
        if content.deadline().is_some_and(|deadline| deadline < now) {
            return Err(Rejection::Stale { sent: header.timestamp(), now });
        }
        let is_request = content.kind() == Kind::Request;
        if !is_request && party.mailbox.refuses(header.from()) {
            // Before its use is spent: it is brought again when its sender is taken from again.
            inbox.lock().unwrap_or_else(PoisonError::into_inner).withdrawn(header);
            return Ok(Arrival::Later);
        }
        let Letter { party, delivery } = self.letter(party, known, accepted, content)?;
        let (told, handled) = oneshot::channel();
        let delivery = Box::new(followed(*delivery, Handling { told: Some(told), is_request }));
        Ok(Arrival::Letter { letter: Letter { party, delivery }, header: Box::new(header.clone()), handled })
    }
}

/// The same delivery, which says whether it was handled.
fn followed(Delivery { message, answer }: Delivery, mut handling: Handling) -> Delivery {
    let answer: crate::mailbox::Answer = Box::new(move |handled| {
        let may_come_again = matches!(handled, Err(Failed::Stopped)) && !handling.is_request;
        answer(handled);
        handling.tell(!may_come_again);
    });
    Delivery { message, answer }
}

/// Whether the same message may be received later.
fn passes(rejection: &Rejection) -> bool {
    matches!(
        rejection,
        Rejection::Full | Rejection::Future { .. } | Rejection::Unrecorded { .. } | Rejection::Custody { .. }
    )
}
