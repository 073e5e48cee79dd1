//! One recipient's messages: from the server to the router, one after another, and back to the server that they were handled.
//!
//! A message is acknowledged when it was handled and that is noted on disk, or when it is refused for good. Until then the server
//! keeps it, and brings it again to this host or to another of the same recipient. While its mailbox is full, nothing more is
//! asked for.
//!
//! In scope: the order of judging, handing over, noting and acknowledging. Out of scope: judging (`router`).
//!
//! Keeps I8: what was not noted comes again, and what was noted is not handled again.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer};
use async_nats::jetstream::{AckKind, Message};
use kos_core::id::Did;
use kos_core::message::{Header, StreamInbox};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};

use super::{Shared, subject, token};
use crate::in_hand::Held;
use crate::router::{Arrival, Router};

/// How long a server waits for a word about a message before it brings it again: so long the messages in hand of a host that died
/// stay where they are.
const WORD: Duration = Duration::from_secs(6);
/// How often the server hears that a message is in hand.
const IN_HAND: Duration = Duration::from_secs(2);
/// How many messages of a recipient are in hand at once, over all its hosts. Fewer than an inbox remembers, so that none that comes
/// again is behind its sender's floor.
const IN_HAND_MAX: i64 = 1_024;
/// How long a question for the next message stays open.
const OPEN: Duration = Duration::from_secs(20);
/// How long to wait before something is tried again that did not work.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a message waits that cannot be judged now.
const LATER: Duration = Duration::from_secs(3);

/// What a recipient has taken from the server, shared by what goes on with it.
pub(crate) type Inbox = Arc<Mutex<StreamInbox>>;

/// A recipient is listened for until this is dropped.
#[derive(Debug)]
pub(crate) struct Receiving {
    /// Closed when nobody listens any more.
    _listening: watch::Sender<()>,
}

/// What listens.
struct Listener {
    shared: Arc<Shared>,
    router: Weak<Router>,
    did: Did,
}

/// A message that was taken from the server.
struct Taken {
    message: Message,
    header: Header,
    inbox: Inbox,
    _held: Held,
}

impl Receiving {
    pub(super) fn start(runtime: &Handle, shared: Arc<Shared>, router: Weak<Router>, did: Did) -> Self {
        let (listening, stop) = watch::channel(());
        let listener = Listener { shared, router, did };
        runtime.spawn(async move { until_closed(stop, listener.listen()).await });
        Self { _listening: listening }
    }
}

/// Goes on until it ends, or the sender of `stop` is gone.
async fn until_closed<T>(mut stop: watch::Receiver<()>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        _ = stop.changed() => None,
        done = work => Some(done),
    }
}

impl Listener {
    async fn listen(&self) {
        let inbox = loop {
            match self.open().await {
                Ok(inbox) => break inbox,
                Err(error) => tracing::debug!(%error, "a recipient's messages are not asked for yet"),
            }
            sleep(PAUSE).await;
        };
        loop {
            if let Err(error) = self.take_all(&inbox).await {
                tracing::debug!(%error, "a recipient's messages cannot be asked for now");
                sleep(PAUSE).await;
            }
        }
    }

    /// Opens what the recipient has handled. While another process of the home has it open, that one receives.
    async fn open(&self) -> Result<Inbox, async_nats::Error> {
        let (folder, did, now) = (self.shared.folder.clone(), self.did, self.shared.clock.now());
        let opened = spawn_blocking(move || {
            kos_core::durable::create_private_dir(&folder)?;
            Ok(StreamInbox::open(&folder.join(format!("{}.handled", token(&did))), did, now)?)
        });
        opened.await?.map(|inbox| Arc::new(Mutex::new(inbox)))
    }

    /// Takes one message after another, until there is a new connection.
    async fn take_all(&self, inbox: &Inbox) -> Result<(), async_nats::Error> {
        let reconnected = self.shared.connected.notified();
        tokio::pin!(reconnected);
        reconnected.as_mut().enable();
        let consumer = self.consumer().await?;
        loop {
            let next = async {
                let mut batch: Batch = consumer.batch().max_messages(1).expires(OPEN).messages().await?;
                next(&mut batch).await.transpose()
            };
            // A question that was asked before the connection was lost has no answer.
            let next = tokio::select! {
                () = &mut reconnected => return Ok(()),
                next = next => next?,
            };
            if let Some(message) = next {
                self.take(inbox, message).await;
            }
        }
    }

    /// The one consumer of the recipient, which all its hosts share.
    async fn consumer(&self) -> Result<Consumer<Config>, async_nats::Error> {
        let name = token(&self.did);
        let config = Config {
            durable_name: Some(name.clone()),
            filter_subject: subject(&self.did),
            ack_policy: AckPolicy::Explicit,
            ack_wait: WORD,
            max_ack_pending: IN_HAND_MAX,
            ..Config::default()
        };
        Ok(self.shared.stream().await?.get_or_create_consumer(&name, config).await?)
    }

    async fn take(&self, inbox: &Inbox, message: Message) {
        let Some(router) = self.router.upgrade() else { return };
        let held = self.shared.in_hand.hold();
        let comes_again = message.info().is_ok_and(|info| info.delivered > 1);
        let arrival = {
            let (router, inbox) = (Arc::clone(&router), Arc::clone(inbox));
            let (did, bytes) = (self.did, message.payload.to_vec());
            spawn_blocking(move || router.arrive(&did, &inbox, bytes, comes_again)).await
        };
        match arrival {
            Ok(Arrival::Final) => tell(&message, AckKind::Ack).await,
            Ok(Arrival::InHand) => {}
            Ok(Arrival::Later) | Err(_) => tell(&message, AckKind::Nak(Some(LATER))).await,
            Ok(Arrival::Letter { letter, header, handled }) => {
                let taken = Taken { message, header: *header, inbox: Arc::clone(inbox), _held: held };
                tokio::spawn(taken.settle(handled));
                // Where the agent is gone, the delivery says by itself that it was not handled.
                let _ = letter.put().await;
            }
        }
    }
}

async fn next(batch: &mut Batch) -> Option<Result<Message, async_nats::Error>> {
    std::future::poll_fn(|context| futures_core::Stream::poll_next(std::pin::Pin::new(&mut *batch), context))
        .await
}

impl Taken {
    /// Waits for the message's end, and tells the server.
    async fn settle(self, mut handled: oneshot::Receiver<bool>) {
        let mut ticks = interval(IN_HAND);
        let is_handled = loop {
            tokio::select! {
                handled = &mut handled => break handled.unwrap_or(false),
                _ = ticks.tick() => tell(&self.message, AckKind::Progress).await,
            }
        };
        if is_handled {
            while let Err(error) = self.note().await {
                tracing::warn!(%error, "it cannot be noted that a message was handled");
                tell(&self.message, AckKind::Progress).await;
                sleep(PAUSE).await;
            }
            tell(&self.message, AckKind::Ack).await;
        } else {
            self.inbox.lock().unwrap_or_else(PoisonError::into_inner).withdrawn(&self.header);
            tell(&self.message, AckKind::Nak(None)).await;
        }
    }

    async fn note(&self) -> Result<(), async_nats::Error> {
        let (inbox, header) = (Arc::clone(&self.inbox), self.header.clone());
        let noted =
            spawn_blocking(move || inbox.lock().unwrap_or_else(PoisonError::into_inner).handled(&header));
        Ok(noted.await??)
    }
}

/// Tells the server. It brings the message again where that does not reach it.
async fn tell(message: &Message, word: AckKind) {
    if let Err(error) = message.ack_with(word).await {
        tracing::debug!(%error, "the message server was not told");
    }
}
