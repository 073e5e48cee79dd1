//! Messages from outside the process, over the control socket.
//!
//! In scope: bringing them to the router and their answers back, without keeping other requests waiting. Out of scope:
//! signing them and opening what comes back, which their sender does.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use kos_core::canonical;
use kos_core::home::Home;
use kos_core::message::SignedMessage;

use super::client::{ControlError, ask_patiently, live_hosts, unexpected};
use super::{Answer, Request, server};
use crate::host::Inner;
use crate::router::Undelivered;

/// Messages that are on their way at the same time; each has a thread.
const CARRIED_MAX: usize = 16;

/// Longest wait for an answer: beyond an hour nobody looks at the terminal.
const PATIENCE_MAX: Duration = Duration::from_secs(3_600);

/// How much longer than the answer the connection may take: a full mailbox, and writing it all.
const SLACK: Duration = Duration::from_secs(10);

/// Why a message from outside was not delivered, or has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Undeliverable {
    /// No running host has anybody who receives it.
    #[error("nobody receives this: no such agent is running, or it does not accept the message")]
    Unreachable,
    /// A host says so.
    #[error("it was not delivered: {reason}")]
    Undelivered {
        /// In one word.
        reason: String,
    },
    /// What came back is no signed message.
    #[error("the answer is no signed message: {cause}")]
    Answer {
        /// What is wrong.
        cause: String,
    },
    /// A host cannot be asked.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// Delivers a signed message through whichever running host has its recipient; for a request, waits so long for its
/// answer, whose signature is verified when this returns, and which nobody has opened.
///
/// # Errors
/// [`Undeliverable`].
pub fn deliver(
    home: &Home,
    message: &SignedMessage,
    patience: Duration,
) -> Result<Option<SignedMessage>, Undeliverable> {
    let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let request = Request::Message { bytes: message.as_bytes().to_vec(), patience: milliseconds };
    let patience = patience.min(PATIENCE_MAX).saturating_add(SLACK);
    for host in live_hosts(home)? {
        match ask_patiently(home, &host, &request, patience)? {
            Some(Answer::Delivered { reply }) => return reply.as_deref().map(verified).transpose(),
            Some(Answer::Undelivered { reason }) if reason == name(&Undelivered::Unreachable) => {}
            Some(Answer::Undelivered { reason }) => return Err(Undeliverable::Undelivered { reason }),
            Some(other) => return Err(unexpected(host, other).into()),
            None => {}
        }
    }
    Err(Undeliverable::Unreachable)
}

fn verified(answer: &str) -> Result<SignedMessage, Undeliverable> {
    let malformed = |cause: String| Undeliverable::Answer { cause };
    let bytes = canonical::base64_decode(answer).map_err(|error| malformed(error.to_string()))?;
    SignedMessage::verify(bytes).map_err(|rejection| malformed(rejection.to_string()))
}

/// Brings a message to the router on a thread of its own, which answers.
pub(super) fn carry(inner: &Inner, bytes: Vec<u8>, patience: u64, stream: UnixStream) -> std::io::Result<()> {
    let message = match SignedMessage::verify(bytes) {
        Ok(message) => message,
        Err(rejection) => return server::say(&stream, &Answer::Refused { cause: rejection.to_string() }),
    };
    let Some(place) = inner.carried.hold_of(CARRIED_MAX) else {
        return server::say(&stream, &undelivered(&Undelivered::Limited));
    };
    let patience = Duration::from_millis(patience).min(PATIENCE_MAX);
    let (runtime, router) = (Arc::clone(&inner.runtime), Arc::clone(&inner.router));
    std::thread::Builder::new().name("kos-message".into()).spawn(move || {
        let _place = place;
        let carried = runtime.block_on(async {
            tokio::select! {
                biased;
                carried = router.carry(message, patience) => Some(carried),
                () = hung_up(&stream) => None,
            }
        });
        let answer = match carried {
            Some(Ok(reply)) => {
                Answer::Delivered { reply: reply.map(|reply| canonical::base64_encode(reply.as_bytes())) }
            }
            Some(Err(error)) => undelivered(&error),
            None => return,
        };
        let said = stream.set_nonblocking(false).and_then(|()| server::say(&stream, &answer));
        if let Err(error) = said {
            tracing::debug!(%error, "nobody waits for the end of a message any more");
        }
    })?;
    Ok(())
}

/// Waits until the other end has gone, which says nothing more before that.
pub(super) async fn hung_up(stream: &UnixStream) {
    let watched = stream.try_clone().and_then(|stream| {
        stream.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(stream)
    });
    let Ok(watched) = watched else { return std::future::pending().await };
    let mut said = [0; 64];
    loop {
        match watched.readable().await.and_then(|()| watched.try_read(&mut said)) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}

fn undelivered(error: &Undelivered) -> Answer {
    Answer::Undelivered { reason: name(error).to_owned() }
}

fn name(error: &Undelivered) -> &'static str {
    match error {
        Undelivered::Unreachable => "unreachable",
        Undelivered::Limited => "limited",
        Undelivered::Unavailable => "unavailable",
        Undelivered::TimedOut => "timed-out",
        Undelivered::Failed(_) => "failed",
    }
}
