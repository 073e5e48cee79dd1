//! The kill switch over the control sockets: every live host at once, and the processes of those that do not answer.
//!
//! In scope: both ends of the request, and ending a process that does not carry it out. Out of scope: what a host does
//! (`kill_switch`), and the file that it would see without being told.

use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use kos_core::canonical;
use kos_core::home::Home;
use kos_core::kill_switch::Engagement;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::client::{ControlError, live_hosts, through_directory, written};
use super::{ANSWER_BYTES, Answer, Request, is_alive, server, socket_path};
use crate::epoch::Guests;
use crate::host::Inner;

/// How long a host may take before its process is ended: a tick for each of a thousand guests.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often is looked whether something has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What became of the hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Killed {
    /// Each host that lived.
    pub hosts: Vec<KilledHost>,
}

/// What became of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KilledHost {
    /// Its identifier in the log.
    pub host: String,
    /// How many runs it said it had.
    pub agents: usize,
    /// How they ended.
    pub manner: Manner,
}

/// How the runs of a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It ended them itself.
    Stopped,
    /// It did not, and its process was ended. Its runs are logged as recovered by the next host.
    ProcessEnded,
    /// It lives and did not answer, and its process could not be ended either.
    NotStopped,
}

impl Killed {
    /// How many runs were ended.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.hosts.iter().map(|host| host.agents).sum()
    }

    /// The hosts that may still be executing something.
    pub fn not_stopped(&self) -> impl Iterator<Item = &str> {
        let left = self.hosts.iter().filter(|host| host.manner == Manner::NotStopped);
        left.map(|host| host.host.as_str())
    }
}

/// Ends every run of every host of a home. When this returns, nothing of any agent executes, but for the hosts that
/// [`Killed::not_stopped`] names. With `and_processes`, the processes of the hosts have ended as well.
///
/// # Errors
/// [`ControlError::Durable`] when it cannot be known which hosts live.
pub fn kill(home: &Home, engagement: &Engagement, and_processes: bool) -> Result<Killed, ControlError> {
    let request = written(&Request::Kill { engagement: engagement.clone() });
    let request = request.map_err(|error| ControlError::Request { cause: error.to_string() })?;
    let hosts = live_hosts(home)?;
    let hosts = std::thread::scope(|scope| {
        let one = |host: String| {
            let request = &request;
            scope.spawn(move || kill_one(home, host, request, and_processes))
        };
        let asked: Vec<_> = hosts.into_iter().map(one).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    });
    Ok(Killed { hosts })
}

fn kill_one(home: &Home, host: String, request: &[u8], and_processes: bool) -> KilledHost {
    let began = Instant::now();
    let is_gone = || is_alive(home, &host).is_ok_and(|alive| !alive);
    let Ok(mut stream) = through_directory(&socket_path(home, &host), |short| UnixStream::connect(short))
    else {
        // It sees the file all the same, and ends when its runs have.
        let manner = if wait_until(began, is_gone) { Manner::Stopped } else { Manner::NotStopped };
        return KilledHost { host, agents: 0, manner };
    };
    let process = rustix::net::sockopt::socket_peercred(&stream).ok().map(|peer| peer.pid);
    let mut agents = 0;
    let told = ask(&mut stream, request, &mut agents);
    // One that ended before its second answer has stopped as well.
    let is_stopped = (told.is_ok() && !and_processes) || wait_until(began, is_gone);
    let manner = if is_stopped {
        Manner::Stopped
    } else if process.is_some_and(|process| end(process, is_gone)) {
        Manner::ProcessEnded
    } else {
        Manner::NotStopped
    };
    KilledHost { host, agents, manner }
}

/// Waits for both answers.
fn ask(stream: &mut UnixStream, request: &[u8], agents: &mut usize) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answers = BufReader::new(stream.take(ANSWER_BYTES));
    *agents = answer(&mut answers)?;
    answer(&mut answers).map(drop)
}

fn answer(answers: &mut impl std::io::BufRead) -> std::io::Result<usize> {
    let mut line = Vec::new();
    answers.read_until(b'\n', &mut line)?;
    match canonical::from_strict(line.trim_ascii_end(), line.len()) {
        Ok(Answer::Done { runs }) => Ok(runs),
        Ok(_) | Err(_) => Err(std::io::ErrorKind::InvalidData.into()),
    }
}

/// Ends a process that answers for a host which still lives; whether the host is gone then.
fn end(process: Pid, is_gone: impl Fn() -> bool) -> bool {
    let Ok(process) = pidfd_open(process, PidfdFlags::empty()) else { return is_gone() };
    // Alive after its process was taken hold of: it is that process, and no later one of the same number.
    if is_gone() {
        return true;
    }
    let sent = pidfd_send_signal(&process, Signal::KILL);
    sent.is_ok() && wait_until(Instant::now(), is_gone)
}

fn wait_until(began: Instant, is_so: impl Fn() -> bool) -> bool {
    loop {
        if is_so() {
            return true;
        }
        if began.elapsed() >= PATIENCE {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The host's end. The second answer has a thread of its own, which does not hold the host: it is free to end meanwhile.
pub(super) fn carry_out(inner: &Inner, engagement: &Engagement, stream: UnixStream) -> std::io::Result<()> {
    let runs = inner.engage(engagement);
    let guests = inner.ticker.guests();
    server::say(&stream, &Answer::Done { runs })?;
    let waiting = move || say_when_still(&guests, &stream);
    std::thread::Builder::new().name("kos-still".into()).spawn(waiting).map(drop)
}

fn say_when_still(guests: &Guests, stream: &UnixStream) {
    let answer = if wait_until(Instant::now(), || guests.count() == 0) {
        Answer::Done { runs: 0 }
    } else {
        Answer::Refused { cause: "its guests go on".into() }
    };
    if let Err(error) = server::say(stream, &answer) {
        tracing::debug!(%error, "nobody waits for the kill switch to be in force");
    }
}
