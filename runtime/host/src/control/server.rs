//! The host's end: one thread, one request at a time, each with a time limit, from the home's owner only.

use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use kos_core::canonical;
use kos_core::custody::Unlock;
use kos_core::durable::Lock;
use zeroize::Zeroizing;

use super::lock::{BY_REQUEST, LockError};
use super::opening::Opening;
use super::{Answer, REQUEST_BYTES, Request, RunKind, RunningAgent, lock_path, socket_path};
use super::{approval, kill, listen, message};
use crate::host::Inner;
use crate::refusal::Refusal;
use crate::runs::ActiveRun;
use crate::service::Handled;

/// How long a client may take to say what it wants: it is a program on the same machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// The listening socket and the lock of one host. Both go with it.
pub(crate) struct Server {
    socket: PathBuf,
    lock: PathBuf,
    _held: Lock,
}

impl Server {
    pub(crate) fn start(inner: &Arc<Inner>) -> Result<Self, Refusal> {
        let system = |error: std::io::Error| Refusal::System { cause: format!("no control socket: {error}") };
        // A host is taken to live while its lock is held, so the socket is there before the lock is, and after it is gone.
        let socket = socket_path(&inner.home, &inner.id);
        let listener = bind(&socket).map_err(system)?;
        let lock = lock_path(&inner.home, &inner.id);
        let held = Lock::exclusive(&lock)?;
        let host = Arc::downgrade(inner);
        std::thread::Builder::new()
            .name("kos-control".into())
            .spawn(move || serve(&listener, &host))
            .map_err(system)?;
        Ok(Self { socket, lock, _held: held })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Wakes the thread, which then sees that the host is gone.
        drop(super::client::through_directory(&self.socket, |short| UnixStream::connect(short)));
        drop(fs::remove_file(&self.lock));
        drop(fs::remove_file(&self.socket));
    }
}

/// Binds through `/proc/self/fd`, as the path of a socket may have at most 107 bytes and that of a home any number.
fn bind(socket: &std::path::Path) -> std::io::Result<UnixListener> {
    super::client::through_directory(socket, |short| UnixListener::bind(short))
}

fn serve(listener: &UnixListener, host: &Weak<Inner>) {
    for stream in listener.incoming() {
        let Some(inner) = host.upgrade() else { return };
        match stream {
            Ok(stream) => {
                if let Err(error) = converse(&inner, &stream) {
                    tracing::debug!(%error, "a control connection ended early");
                }
            }
            // Out of descriptors, say: the same again at once would only burn the processor.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn converse(inner: &Inner, stream: &UnixStream) -> std::io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if peer.uid != rustix::process::geteuid() {
        return Ok(());
    }
    stream.set_write_timeout(Some(PATIENCE))?;
    let line = first_line(stream, PATIENCE)?;
    let answer = match canonical::from_strict(line.trim_ascii_end(), REQUEST_BYTES) {
        Ok(Request::Message { bytes, patience }) => {
            return message::carry(inner, bytes, patience, stream.try_clone()?);
        }
        Ok(Request::Listen { to }) => return listen::serve(inner, to, stream.try_clone()?),
        Ok(Request::Kill { engagement }) => return kill::carry_out(inner, &engagement, stream.try_clone()?),
        Ok(request) => answer(inner, request),
        Err(error) => Answer::Refused { cause: error.to_string() },
    };
    say(stream, &answer)
}

/// Answers, in one line.
pub(super) fn say(mut stream: &UnixStream, answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// What comes before the first line end and within `patience`, however it is split up, in a buffer that never moves, as
/// there may be a secret in it.
fn first_line(mut stream: &UnixStream, patience: Duration) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let began = Instant::now();
    let mut line = Zeroizing::new(vec![0; REQUEST_BYTES]);
    let mut length = 0;
    while let Some(free) = line.get_mut(length..).filter(|free| !free.is_empty()) {
        let rest = patience.saturating_sub(began.elapsed());
        if rest.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(rest))?;
        let read = match stream.read(free) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            // What a socket says when its time is over.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            read => read?,
        };
        let end = free.get(..read).and_then(|new| new.iter().position(|byte| *byte == b'\n'));
        length = length.saturating_add(end.unwrap_or(read));
        if read == 0 || end.is_some() {
            break;
        }
    }
    line.truncate(length);
    Ok(line)
}

fn answer(inner: &Inner, request: Request) -> Answer {
    match request {
        Request::Ps {} => Answer::Runs {
            runs: inner.runs.table().iter().map(|(run, active)| describe(run, active)).collect(),
            environment: inner.environment.clone(),
            locked: inner.is_locked(),
        },
        Request::Stop { run } => stop(inner, |id, active| *id == run || active.name == run),
        Request::StopAll {} => Answer::Done { runs: inner.runs.stop_all() },
        Request::Reload {} => {
            inner.reload();
            Answer::Done { runs: inner.runs.table().len() }
        }
        Request::Lock {} => told(inner.lock(BY_REQUEST)),
        Request::Unlock { with } => unlock(inner, with),
        Request::Questions {} => Answer::Questions { questions: inner.desk.pending() },
        Request::Answer { question, verdict } => approval::carry_out(inner, question, verdict),
        Request::Message { .. } | Request::Listen { .. } | Request::Kill { .. } => {
            Answer::Refused { cause: "this is answered by itself".into() }
        }
    }
}

fn unlock(inner: &Inner, with: Opening) -> Answer {
    match Unlock::try_from(with) {
        Ok(with) => told(inner.unlock(with)),
        Err(error) => Answer::Refused { cause: error.to_string() },
    }
}

fn told(done: Result<usize, LockError>) -> Answer {
    match done {
        Ok(runs) => Answer::Done { runs },
        Err(error) => Answer::Refused { cause: error.to_string() },
    }
}

fn stop(inner: &Inner, is_meant: impl Fn(&String, &ActiveRun) -> bool) -> Answer {
    let runs = inner.runs.table();
    let meant = runs.iter().filter(|(id, active)| is_meant(id, active));
    Answer::Done { runs: meant.inspect(|(_, active)| active.stopper.stop()).count() }
}

fn describe(run: &str, active: &ActiveRun) -> RunningAgent {
    RunningAgent {
        run: run.to_owned(),
        name: active.name.clone(),
        did: active.powers.description.did.clone(),
        component: active.component.digest().to_string(),
        started: active.started,
        kind: if active.handled.is_some() { RunKind::Service } else { RunKind::Task },
        handled: active.handled.as_ref().map(Handled::count),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_says_a_byte_now_and_then_has_no_more_time_than_another() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let talking = std::thread::spawn(move || {
            while client.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let refused = first_line(&server, Duration::from_millis(100)).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::TimedOut);
        drop(server);
        talking.join().unwrap();
    }
}
