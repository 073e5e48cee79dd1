//! The router: from a signed message to the mailbox of whom it is for, one for each host.
//!
//! In scope: which runs receive in this process, judging what arrives for them, answers to their requests. Out of scope: what a
//! sender may send (`capability::messaging`), what a message is (`kos_core::message`), how they travel (`transport`).
//!
//! A message within the process is signed and verified like any other, and not sealed. What arrives is judged in this order:
//! its signature, its recipient, its time, its sender's key, whether the recipient is granted anything of this sender, whether it
//! is new, its content, and the recipient's grants for its topic. So a sender that is not heard changes nothing that the recipient
//! remembers, and hears what it would hear of nobody.
//!
//! Keeps I4 (each message is judged by what is in force when it arrives), I7 (a full mailbox holds its senders back, and each
//! kind of rejection is an entry once) and I9 (nothing is received twice).

mod answer;
mod directory;
mod listeners;
mod parties;
mod pending;
mod remote;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kos_core::clock::{Clock, Timestamp};
use kos_core::crypto;
use kos_core::home::{Home, HostConfig};
use kos_core::id::{AgreementKey, Did, Name};
use kos_core::message::{Accepted, Content, Draft, Kind, MessageId, Rejection, SignedMessage};
use kos_core::permission::marker::{MessagingReceive, MessagingSend};
use kos_core::permission::{Grant, Reason};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use self::answer::Unanswered;
use self::directory::{Directory, Known};
use self::listeners::Listeners;
use self::parties::{Parties, Party};
use self::pending::Pending;
use crate::agent::Powers;
use crate::mailbox::{Delivery, Mailbox, Message, Unput};
use crate::transport::Transport;

pub(crate) use self::parties::Entered;
pub(crate) use self::remote::Arrival;

/// How long a sender waits while the mailbox is full.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a message was not delivered, as its sender hears it: what the recipient does not accept looks like nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undelivered {
    #[error("nobody receives this there")]
    Unreachable,
    #[error("the mailbox has no room for this sender now")]
    Limited,
    #[error("it cannot be delivered now")]
    Unavailable,
    #[error("there was no answer in time")]
    TimedOut,
    #[error("the peer did not handle it")]
    Failed(Option<String>),
}

impl From<&Rejection> for Undelivered {
    fn from(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::Full => Self::Limited,
            Rejection::Unrecorded { .. } | Rejection::Custody { .. } | Rejection::BehindFloor { .. } => {
                Self::Unavailable
            }
            _ => Self::Unreachable,
        }
    }
}

/// Finds the mailbox for a message.
pub(crate) struct Router {
    runtime: Handle,
    clock: Arc<dyn Clock>,
    known: Known,
    parties: Arc<Parties>,
    listeners: Arc<Listeners>,
    pending: Arc<Pending>,
    /// How messages leave the process, if they do.
    transport: OnceLock<Transport>,
}

/// A message that was judged.
enum Arrived {
    /// Somebody waited for it and has it.
    Answer,
    /// For the mailbox.
    Letter(Letter),
}

/// A message for a mailbox.
pub(crate) struct Letter {
    party: Arc<Party>,
    delivery: Box<Delivery>,
}

impl Letter {
    /// Puts it into the mailbox, and waits while that is full.
    pub(crate) async fn put(self) -> Result<(), Unput> {
        self.party.mailbox.put(*self.delivery).await?;
        self.party.powers.traffic.received();
        Ok(())
    }
}

/// Whom a text names, and the scopes that do.
pub(crate) struct Peer {
    /// None where nobody is named.
    did: Option<Did>,
    /// The scopes of peer and topic, the most exact first.
    pub(crate) forms: Vec<String>,
}

impl Peer {
    /// Whether `to` could name anybody.
    pub(crate) fn is_named_by(to: &str) -> bool {
        to.parse::<Did>().is_ok() || to.parse::<Name>().is_ok()
    }

    /// Who it is, with the proof that this peer may be sent to.
    fn allowed_by(&self, grant: &Grant<'_, MessagingSend>) -> Result<Did, Undelivered> {
        let is_covered = self.forms.iter().any(|form| grant.covers(form));
        self.did.filter(|_| is_covered).ok_or(Undelivered::Unreachable)
    }
}

impl Router {
    pub(crate) fn new(home: Home, config: HostConfig, clock: Arc<dyn Clock>, runtime: Handle) -> Self {
        Self {
            runtime,
            clock,
            parties: Arc::new(Parties::new(home.messages())),
            known: Known::new(home, config),
            listeners: Arc::default(),
            pending: Arc::default(),
            transport: OnceLock::new(),
        }
    }

    /// A run receives from now on what is for `did`, until the result is dropped. Of several runs of one agent, the one that
    /// entered first does.
    pub(crate) fn enter(
        self: &Arc<Self>,
        did: Did,
        name: &Name,
        mailbox: Mailbox,
        powers: Arc<Powers>,
    ) -> Entered {
        self.known.met(&did, name.as_str());
        self.parties.enter(did, mailbox, powers).listening(self.listen(did))
    }

    /// Who listens from outside.
    pub(crate) fn listeners(&self) -> &Arc<Listeners> {
        &self.listeners
    }

    /// The trust store or the records of agents changed.
    pub(crate) fn reload(&self) {
        self.known.forget();
    }

    /// Whom `to` names: an identifier, or the name of an agent of the home.
    pub(crate) fn peer(&self, to: &str, topic: &str) -> Peer {
        let known = self.known();
        let did = to.parse().ok().or_else(|| known.named(to));
        let forms = did.map_or_else(|| vec![format!("name:{to}/{topic}")], |did| known.forms(&did, topic));
        Peer { did, forms }
    }

    /// The scopes of a peer and a topic, the most exact first.
    pub(crate) fn forms(&self, peer: &Did, topic: &str) -> Vec<String> {
        self.known().forms(peer, topic)
    }

    /// The present, as messages have it.
    pub(crate) fn present(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether what waits in a mailbox may still be taken out of it: grants and trust may have changed.
    pub(crate) fn may_still_receive(&self, powers: &Powers, message: &Message) -> bool {
        let known = self.known();
        let forms = known.forms(&message.sender, &message.topic);
        known.judge(&message.sender).is_ok() && powers.gate.covers_any::<MessagingReceive>(&borrowed(&forms))
    }

    /// Sends a message of an agent of this host.
    pub(crate) async fn send(
        self: &Arc<Self>,
        grant: Grant<'_, MessagingSend>,
        by: &Arc<Powers>,
        peer: &Peer,
        content: Content,
    ) -> Result<MessageId, Undelivered> {
        let to = peer.allowed_by(&grant)?;
        let message = self.signed(by, to, content).await?;
        let id = message.header().id();
        self.dispatch(message).await?;
        by.traffic.sent();
        Ok(id)
    }

    /// Sends a request of an agent of this host, and waits for its answer until `deadline`.
    pub(crate) async fn request(
        self: &Arc<Self>,
        grant: Grant<'_, MessagingSend>,
        by: &Arc<Powers>,
        peer: &Peer,
        content: Content,
        deadline: Instant,
    ) -> Result<Vec<u8>, Undelivered> {
        let to = peer.allowed_by(&grant)?;
        let asking = async {
            let message = self.signed(by, to, content).await?;
            let (from, id) = (*message.header().from(), message.header().id());
            let mut awaited = self.pending.here(from, id, to);
            self.dispatch(message).await?;
            by.traffic.sent();
            match (&mut awaited.answer).await {
                Ok(reply) => reply.map_err(Undelivered::Failed),
                Err(_) => Err(Undelivered::Unavailable),
            }
        };
        timeout_at(deadline, asking).await.unwrap_or(Err(Undelivered::TimedOut))
    }

    /// Delivers a message from outside; for a request, waits at most so long for its answer, which its sender opens.
    pub(crate) async fn carry(
        self: &Arc<Self>,
        message: SignedMessage,
        patience: Duration,
    ) -> Result<Option<SignedMessage>, Undelivered> {
        let header = message.header();
        let mut awaited = self.pending.outside(*header.from(), header.id(), *header.to());
        let carrying = async {
            if !self.deliver(message).await? {
                return Ok(None);
            }
            (&mut awaited.answer).await.map(Some).map_err(|_| Undelivered::Unavailable)
        };
        timeout(patience, carrying).await.unwrap_or(Err(Undelivered::TimedOut))
    }

    /// Signs, and verifies what comes out as if it came from anywhere.
    async fn signed(
        &self,
        by: &Arc<Powers>,
        to: Did,
        content: Content,
    ) -> Result<SignedMessage, Undelivered> {
        let (by, now, leaves_for) = (Arc::clone(by), self.clock.now(), self.leaves_for(&to));
        let signing = spawn_blocking(move || signed(&by, to, content, now, leaves_for));
        signing.await.ok().flatten().ok_or(Undelivered::Unavailable)
    }

    /// Puts a message into the mailbox of whom it is for, and waits while that is full. Whether it wants an answer.
    async fn deliver(self: &Arc<Self>, message: SignedMessage) -> Result<bool, Undelivered> {
        if let Some(listener) = self.listeners.find(message.header().to()) {
            self.known().judge(message.header().from()).map_err(|rejection| Undelivered::from(&rejection))?;
            return match timeout(PATIENCE, listener.send(message)).await {
                Ok(sent) => sent.map(|()| false).map_err(|_| Undelivered::Unreachable),
                Err(_) => Err(Undelivered::Limited),
            };
        }
        let router = Arc::clone(self);
        let judging = spawn_blocking(move || router.receive(message));
        match judging.await.map_err(|_| Undelivered::Unavailable)?? {
            Arrived::Answer => Ok(false),
            Arrived::Letter(letter) => {
                let is_request = letter.delivery.message.is_request;
                match timeout(PATIENCE, letter.put()).await {
                    Ok(Ok(())) => Ok(is_request),
                    Ok(Err(Unput::Gone)) => Err(Undelivered::Unreachable),
                    Ok(Err(Unput::Refused)) | Err(_) => Err(Undelivered::Limited),
                }
            }
        }
    }

    /// Judges a message for its recipient.
    fn receive(self: &Arc<Self>, message: SignedMessage) -> Result<Arrived, Undelivered> {
        let party = self.parties.find(message.header().to()).ok_or(Undelivered::Unreachable)?;
        let (id, from) = (message.header().id(), *message.header().from());
        self.judged(&party, message).map_err(|rejection| {
            party.powers.reject(Some((id, &from)), &rejection);
            Undelivered::from(&rejection)
        })
    }

    fn judged(self: &Arc<Self>, party: &Arc<Party>, message: SignedMessage) -> Result<Arrived, Rejection> {
        let known = self.known();
        let judge = |sender: &Did| self.could_hear(party, &known, sender);
        let accepted = party.accept(message.judged(&party.did, self.clock.now(), judge)?)?;
        let content = accepted.open(&party.powers.key)?;
        match content.kind() {
            Kind::Reply | Kind::Error => {
                let header = accepted.header();
                let is_theirs = self.pending.give(header.to(), header.from(), content);
                if is_theirs { Ok(Arrived::Answer) } else { Err(Rejection::Denied) }
            }
            Kind::Message | Kind::Request => {
                self.letter(party, &known, &accepted, content).map(Arrived::Letter)
            }
        }
    }

    /// Whether anything of a sender could be heard now: its key is in good standing, and some topic of it is granted to the
    /// recipient, or it was asked.
    fn could_hear(&self, party: &Party, known: &Directory, sender: &Did) -> Result<(), Rejection> {
        known.judge(sender)?;
        let stems = known.forms(sender, "");
        match party.powers.gate.could_allow::<MessagingReceive>(&borrowed(&stems)) {
            Ok(()) => Ok(()),
            Err(_) if self.pending.is_asked(&party.did, sender) => Ok(()),
            Err(reason) => Err(refused(&reason)),
        }
    }

    fn letter(
        self: &Arc<Self>,
        party: &Arc<Party>,
        known: &Directory,
        accepted: &Accepted,
        content: Content,
    ) -> Result<Letter, Rejection> {
        let header = accepted.header();
        let forms = known.forms(header.from(), content.topic().as_str());
        let allowed = party.powers.gate.authorize_any::<MessagingReceive>(&borrowed(&forms));
        let _heard = allowed.map_err(|denied| refused(&denied.reason))?;
        let (topic, is_request) = (content.topic().clone(), content.kind() == Kind::Request);
        let message = Message {
            id: header.id().to_string(),
            sender: *header.from(),
            timestamp: header.timestamp(),
            topic: topic.to_string(),
            is_request,
            payload: content.into_body(),
        };
        let answer: crate::mailbox::Answer = if is_request {
            let (router, by) = (Arc::clone(self), Arc::clone(&party.powers));
            Unanswered::new(router, by, *header.from(), header.id(), topic).into_answer()
        } else {
            Box::new(|_| {})
        };
        Ok(Letter { party: Arc::clone(party), delivery: Box::new(Delivery { message, answer }) })
    }

    /// Signs an answer and brings it to whoever waits for it. None if that cannot be done.
    fn answer(
        self: &Arc<Self>,
        by: &Powers,
        to: Did,
        request: MessageId,
        content: Option<Content>,
    ) -> Option<()> {
        let answer = signed(by, to, content?, self.clock.now(), self.leaves_for(&to))?;
        match self.pending.give_outside(request, answer) {
            Ok(()) => Some(()),
            Err(answer) if answer.is_sealed() => self.transport()?.send_blocking(*answer).ok(),
            Err(answer) => self.receive(*answer).ok().map(drop),
        }
    }

    /// The mailbox of an agent that is reachable.
    #[cfg(test)]
    pub(crate) fn find(&self, did: &Did) -> Option<Mailbox> {
        self.parties.find(did).map(|party| party.mailbox.clone())
    }

    fn known(&self) -> Arc<Directory> {
        self.known.now(self.clock.now())
    }
}

/// What a recipient's gate says of a sender.
fn refused(reason: &Reason) -> Rejection {
    match reason {
        Reason::Locked => Rejection::Custody { cause: reason.to_string() },
        _ => Rejection::Denied,
    }
}

/// Signs a message, and seals it first if it leaves the process.
fn signed(
    by: &Powers,
    to: Did,
    content: Content,
    now: Timestamp,
    leaves_for: Option<AgreementKey>,
) -> Option<SignedMessage> {
    let signing = || -> Result<SignedMessage, Box<dyn std::error::Error>> {
        let draft = Draft::new(&*by.key, to, content, now, &crypto::random()?);
        let message = match leaves_for {
            Some(key) => draft.sealed(&key)?,
            None => draft.signed()?,
        };
        Ok(SignedMessage::verify(message.into_bytes())?)
    };
    signing().inspect_err(|error| tracing::warn!(%error, "an agent's message was not signed")).ok()
}

/// Scopes as gates take them.
pub(crate) fn borrowed(forms: &[String]) -> Vec<&str> {
    forms.iter().map(String::as_str).collect()
}
