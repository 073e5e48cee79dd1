//! Messages to and from other processes and machines, over a NATS server that is not trusted.
//!
//! What leaves is sealed to its recipient and signed; what arrives is judged like any message. So a server, and whoever sits
//! on the way, can withhold and delay, and can neither read, alter, re-address nor repeat. The server keeps what it took until
//! a host says that it was handled, for at most a day (`kos_core::message::STREAM_AGE`).
//!
//! In scope: the connection, sending, and which recipients are listened for. Out of scope: judging (`router`), where a server may
//! be ([`server`]), what the host shows it ([`credentials`]), one recipient's messages ([`receiving`]).
//!
//! Keeps I5 (a secret's entry before its use) and I8 (what a server took is not lost by a host that dies).

mod credentials;
mod receiving;
mod server;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{ConnectOptions, Event};
use kos_core::clock::Clock;
use kos_core::id::Did;
use kos_core::message::{AGE, MESSAGE_MAX, STREAM_AGE, SignedMessage};
use kos_core::vault::SecretId;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

pub(crate) use self::credentials::Credentials;
pub(crate) use self::receiving::Receiving;
pub use self::server::{Server, ServerError};
use crate::in_hand::InHand;
use crate::router::{Router, Undelivered};

/// The stream that holds every message until it was handled.
const STREAM: &str = "KOS";
/// What the subject of each recipient begins with.
const SUBJECTS: &str = "kos.msg";

/// How long a server may take to say that it has a message; beyond it, its sender hears that it is not known whether it has.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many messages of one recipient wait: as many as its inbox remembers of one sender, so that a sender that is alone loses none.
const WAITING_MAX: i64 = kos_core::message::IDS_MAX as i64;

/// The longest pause between two attempts to connect.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The first pause, which doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// By which server messages travel, and how the host shows who it is.
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// The server.
    pub server: Server,
    /// The secret of the host's environment that the server asks for.
    pub secret: Option<SecretId>,
    /// Whose certificates are believed; the system's where no file is named.
    pub roots: Option<PathBuf>,
}

/// A connection to a server.
pub(crate) struct Transport {
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
    receiving: Mutex<HashMap<Did, Weak<Receiving>>>,
}

/// What sending and receiving share.
struct Shared {
    context: Context,
    /// Told at each connection.
    connected: Arc<Notify>,
    /// Where it is noted what was handled.
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    in_hand: Arc<InHand>,
}

impl Transport {
    /// Connects in the background, and again whenever the connection is lost.
    ///
    /// # Errors
    /// [`ServerError`] where the server must not be connected to, or its roots cannot be read.
    pub(crate) fn open(
        options: &TransportOptions,
        credentials: Option<Credentials>,
        folder: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServerError> {
        let addresses = options.server.addresses()?;
        let system = |error: std::io::Error| ServerError::System { cause: error.to_string() };
        // A thread of its own: a host that runs one agent has none that would go on while nobody waits.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kos-transport")
            .enable_all()
            .build()
            .map_err(system)?;
        let connected = Arc::new(Notify::new());
        let told = Arc::clone(&connected);
        let connect = match credentials {
            Some(credentials) => {
                ConnectOptions::with_auth_callback(move |nonce| credentials.clone().show(nonce))
            }
            None => ConnectOptions::new(),
        };
        let connect = connect
            .name("kos")
            .retry_on_initial_connect()
            .ignore_discovered_servers()
            .require_tls(options.server.is_tls())
            .tls_client_config(options.server.tls(options.roots.as_deref())?)
            .reconnect_delay_callback(pause)
            .event_callback(move |event| {
                let told = Arc::clone(&told);
                async move {
                    tracing::debug!(%event, "the message server");
                    if event == Event::Connected {
                        told.notify_waiters();
                    }
                }
            });
        let client = runtime
            .block_on(connect.connect(addresses))
            .map_err(|error| ServerError::System { cause: error.to_string() })?;
        // It starts a task of its own.
        let entered = runtime.enter();
        let mut context = jetstream::new(client);
        drop(entered);
        context.set_timeout(PATIENCE);
        let shared = Arc::new(Shared { context, connected, folder, clock, in_hand: Arc::default() });
        Ok(Self { runtime: Some(runtime), shared, receiving: Mutex::default() })
    }

    /// Gives a sealed message to the server. It is there, durable, when this returns.
    pub(crate) async fn send(&self, message: SignedMessage) -> Result<(), Undelivered> {
        let shared = Arc::clone(&self.shared);
        let Some(runtime) = &self.runtime else { return Err(Undelivered::Unavailable) };
        let sending = runtime.spawn(async move { shared.send(message).await });
        sending.await.unwrap_or(Err(Undelivered::Unavailable))
    }

    /// As [`Transport::send`], for a thread that may wait.
    pub(crate) fn send_blocking(&self, message: SignedMessage) -> Result<(), Undelivered> {
        match &self.runtime {
            Some(runtime) => runtime.handle().block_on(self.shared.send(message)),
            None => Err(Undelivered::Unavailable),
        }
    }

    /// Takes what arrives for `did` to the router until the result, and each other one of the same recipient, is dropped.
    pub(crate) fn receive(&self, did: Did, router: &Arc<Router>) -> Option<Arc<Receiving>> {
        let mut table = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiving) = table.get(&did).and_then(Weak::upgrade) {
            return Some(receiving);
        }
        let receiving = Arc::new(Receiving::start(
            self.runtime.as_ref()?.handle(),
            Arc::clone(&self.shared),
            Arc::downgrade(router),
            did,
        ));
        table.insert(did, Arc::downgrade(&receiving));
        Some(receiving)
    }

    /// Waits until what was handled is noted and the server knows, and no longer than that.
    pub(crate) fn finish(&self, longest: Duration) {
        self.shared.in_hand.wait_until_none(longest);
        let Some(runtime) = &self.runtime else { return };
        let client = self.shared.context.client();
        let flushed = async { tokio::time::timeout(longest, client.flush()).await };
        if client.connection_state() == State::Connected && runtime.block_on(flushed).is_err() {
            tracing::warn!("the message server was not told of all that was handled; it brings that again");
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // It may be dropped by a task, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Transport")
    }
}

impl Shared {
    async fn send(&self, message: SignedMessage) -> Result<(), Undelivered> {
        if self.context.client().connection_state() != State::Connected {
            return Err(Undelivered::Unavailable);
        }
        let (to, id) = (*message.header().to(), message.header().id().to_string());
        let payload = bytes::Bytes::from(message.into_bytes());
        let publish = || PublishMessage::build().message_id(&id).payload(payload.clone());
        let mut published = self.publish(&to, publish()).await;
        if published.as_ref().is_err_and(|error| error.kind() == PublishErrorKind::StreamNotFound)
            && self.stream().await.is_ok()
        {
            published = self.publish(&to, publish()).await;
        }
        published.map_err(|error| {
            tracing::warn!(%error, "the message server did not take a message");
            if is_full(&error) { Undelivered::Limited } else { Undelivered::Unavailable }
        })
    }

    async fn publish(&self, to: &Did, publish: PublishMessage) -> Result<(), PublishError> {
        self.context.send_publish(subject(to), publish).await?.await.map(drop)
    }

    /// The stream, which is made where the server has none.
    async fn stream(&self) -> Result<jetstream::stream::Stream, async_nats::Error> {
        let made = self.context.get_or_create_stream(Config {
            name: STREAM.into(),
            subjects: vec![format!("{SUBJECTS}.*")],
            retention: RetentionPolicy::WorkQueue,
            max_age: STREAM_AGE,
            max_messages_per_subject: WAITING_MAX,
            max_message_size: i32::try_from(MESSAGE_MAX)?,
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            duplicate_window: AGE,
            ..Config::default()
        });
        Ok(made.await?)
    }
}

/// Whether the server has as many messages for the recipient as it keeps.
fn is_full(error: &PublishError) -> bool {
    let source =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    source.is_some_and(|source| source.error_code() == ErrorCode::STREAM_STORE_FAILED)
}

/// Where a recipient's messages are.
fn subject(did: &Did) -> String {
    format!("{SUBJECTS}.{}", token(did))
}

/// An identifier as a part of a subject.
fn token(did: &Did) -> String {
    did.to_string().chars().filter(char::is_ascii_alphanumeric).collect()
}

fn pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    PAUSE_MIN.saturating_mul(2_u32.saturating_pow(doublings)).min(PAUSE_MAX)
}
