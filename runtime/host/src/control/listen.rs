//! Listening from outside: `kos message listen`, over the control socket.
//!
//! In scope: handing what is for an operator of the home to who holds the operator's key, as it was signed. Out of scope:
//! judging and opening it, which the listener does; answers, which are messages like any other (`message`).

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};

use kos_core::canonical;
use kos_core::home::Home;
use kos_core::id::Did;
use kos_core::message::SignedMessage;

use super::client::{ControlError, PATIENCE, asked, live_hosts, unexpected};
use super::message::hung_up;
use super::{Answer, REQUEST_BYTES, Request, is_alive, server, socket_path};
use crate::host::Inner;

/// Listens for an operator on every running host: each message goes to the result as it was signed. Hosts that are started later
/// are not heard.
///
/// # Errors
/// [`ControlError`] when a live host does not answer, or refuses.
pub fn listen(home: &Home, operator: &Did) -> Result<mpsc::Receiver<SignedMessage>, ControlError> {
    let (sender, messages) = mpsc::channel();
    for host in live_hosts(home)? {
        let first = asked(&socket_path(home, &host), &Request::Listen { to: *operator }, PATIENCE)
            .and_then(|mut lines| Ok((next(&mut lines)?, lines)));
        let (answer, mut lines) = match first {
            Ok(first) => first,
            Err(_) if !is_alive(home, &host)? => continue,
            Err(source) => return Err(ControlError::Silent { host, source }),
        };
        match answer {
            Some(Answer::Listening {}) => {}
            Some(other) => return Err(unexpected(host, other)),
            None => continue,
        }
        let silent = |source| ControlError::Silent { host: host.clone(), source };
        // Messages come when they come.
        lines.get_ref().set_read_timeout(None).map_err(silent)?;
        let sender = sender.clone();
        std::thread::Builder::new()
            .name("kos-listen".into())
            .spawn(move || {
                while let Ok(Some(Answer::Heard { bytes })) = next(&mut lines) {
                    let Ok(message) = SignedMessage::verify(bytes) else { return };
                    if sender.send(message).is_err() {
                        return;
                    }
                }
            })
            .map_err(silent)?;
    }
    Ok(messages)
}

/// The next answer; none where the host has ended.
fn next(lines: &mut BufReader<UnixStream>) -> std::io::Result<Option<Answer>> {
    let mut line = Vec::new();
    lines.by_ref().take(REQUEST_BYTES as u64).read_until(b'\n', &mut line)?;
    Ok(canonical::from_strict(line.trim_ascii_end(), REQUEST_BYTES).ok())
}

/// Hands on what is for an operator until it hangs up, on a thread of its own.
pub(super) fn serve(inner: &Inner, to: Did, stream: UnixStream) -> std::io::Result<()> {
    let refuse = |cause: &str| server::say(&stream, &Answer::Refused { cause: cause.into() });
    if !inner.config.operators.contains(&to) {
        return refuse("who listens is no operator of this home");
    }
    let Some(mut listening) = inner.router.listeners().enter(to) else {
        return refuse("somebody listens for this operator already");
    };
    server::say(&stream, &Answer::Listening {})?;
    let runtime = Arc::clone(&inner.runtime);
    std::thread::Builder::new().name("kos-listen".into()).spawn(move || {
        loop {
            let heard = runtime.block_on(async {
                tokio::select! {
                    message = listening.messages.recv() => message,
                    () = hung_up(&stream) => None,
                }
            });
            let Some(message) = heard else { return };
            let heard = Answer::Heard { bytes: message.into_bytes() };
            if stream.set_nonblocking(false).and_then(|()| server::say(&stream, &heard)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
