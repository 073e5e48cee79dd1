//! The commands' end: every live host of a home is asked in turn; hosts that died are passed over.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kos_core::canonical;
use kos_core::custody::Unlock;
use kos_core::durable::DurableError;
use kos_core::home::Home;
use kos_core::id::Name;
use zeroize::Zeroizing;

use super::opening::Opening;
use super::{ANSWER_BYTES, Answer, REQUEST_BYTES, Request, RunningAgent, is_alive, socket_path};

/// How long a host may take to answer: a reload reads and verifies every grant.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Why a live host could not be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It does not answer.
    #[error("the running host {host} does not answer: {source}")]
    Silent {
        /// Which host.
        host: String,
        /// What happened.
        source: std::io::Error,
    },
    /// It answers something else.
    #[error("the running host {host} did not do it: {cause}")]
    Answer {
        /// Which host.
        host: String,
        /// What it said.
        cause: String,
    },
    /// Some hosts were told, and some could not be.
    #[error("{silent} ({told} other running hosts did it)")]
    Untold {
        /// How many did it.
        told: usize,
        /// Which did not, and why.
        silent: String,
    },
    /// The request cannot be made.
    #[error("a running host cannot be asked this: {cause}")]
    Request {
        /// Why not.
        cause: String,
    },
    /// The directory of sockets cannot be read.
    #[error(transparent)]
    Durable(#[from] DurableError),
}

/// A live host and its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningHost {
    /// The host's identifier in the log.
    pub host: String,
    /// The environment whose secrets its runs use.
    pub environment: Option<Name>,
    /// Whether it has forgotten its keys until it is unlocked.
    pub locked: bool,
    /// Its runs.
    pub agents: Vec<RunningAgent>,
}

/// Who was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// How many hosts.
    pub hosts: usize,
    /// How many runs they have.
    pub runs: usize,
}

/// What runs in this home.
///
/// # Errors
/// [`ControlError`] when a live host does not answer.
pub fn ps(home: &Home) -> Result<Vec<RunningHost>, ControlError> {
    let mut hosts = Vec::new();
    for host in live_hosts(home)? {
        match ask(home, &host, &Request::Ps {})? {
            Some(Answer::Runs { runs: agents, environment, locked }) => {
                hosts.push(RunningHost { host, environment, locked, agents });
            }
            Some(other) => return Err(unexpected(host, other)),
            None => {}
        }
    }
    Ok(hosts)
}

/// Ends the run with this identifier, or every run of the agent with this name. Yields how many there were.
///
/// # Errors
/// [`ControlError`] when a live host does not answer.
pub fn stop(home: &Home, run: &str) -> Result<usize, ControlError> {
    Ok(tell(home, &Request::Stop { run: run.to_owned() })?.runs)
}

/// Ends every run of every host. Yields how many there were.
///
/// # Errors
/// [`ControlError`] when a live host does not answer.
pub fn stop_all(home: &Home) -> Result<usize, ControlError> {
    Ok(tell(home, &Request::StopAll {})?.runs)
}

/// Makes every live host judge its runs by what is installed now. Yields how many hosts there are; when this returns, the change is in
/// force in all of them.
///
/// # Errors
/// [`ControlError`] when a live host does not answer: the change may not be in force there.
pub fn reload(home: &Home) -> Result<usize, ControlError> {
    Ok(tell(home, &Request::Reload {})?.hosts)
}

/// Makes every live host forget its keys and secrets; its runs go on without.
///
/// # Errors
/// [`ControlError`] when a live host does not answer, or could not log it.
pub fn lock(home: &Home) -> Result<Told, ControlError> {
    tell(home, &Request::Lock {})
}

/// Gives every live host its keys and secrets back.
///
/// # Errors
/// [`ControlError`] when a live host does not answer, or `with` does not open a slot of its home.
pub fn unlock(home: &Home, with: &Unlock) -> Result<Told, ControlError> {
    let with = Opening::try_from(with).map_err(|error| ControlError::Request { cause: error.to_string() })?;
    tell(home, &Request::Unlock { with })
}

/// Tells every live host, also when one of them fails.
fn tell(home: &Home, request: &Request) -> Result<Told, ControlError> {
    let (mut sum, mut hosts, mut failed) = (0_usize, 0_usize, Vec::new());
    for host in live_hosts(home)? {
        match ask(home, &host, request) {
            Ok(Some(Answer::Done { runs })) => {
                sum = sum.saturating_add(runs);
                hosts = hosts.saturating_add(1);
            }
            Ok(Some(other)) => failed.push(unexpected(host, other)),
            Ok(None) => {}
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() {
        return Ok(Told { hosts, runs: sum });
    }
    let silent = failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Err(ControlError::Untold { told: hosts, silent })
}

pub(super) fn unexpected(host: String, answer: Answer) -> ControlError {
    let cause = match answer {
        Answer::Refused { cause } => cause,
        Answer::Runs { .. }
        | Answer::Done { .. }
        | Answer::Questions { .. }
        | Answer::Delivered { .. }
        | Answer::Undelivered { .. }
        | Answer::Listening {}
        | Answer::Heard { .. } => "it answered another question".to_owned(),
    };
    ControlError::Answer { host, cause }
}

pub(super) fn live_hosts(home: &Home) -> Result<Vec<String>, ControlError> {
    let directory = home.run();
    let failed = |source| DurableError::Io { action: "list", path: directory.clone(), source };
    let mut hosts = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(host) = name.to_str().and_then(|name| name.strip_suffix(".lock"))
            && is_alive(home, host)?
        {
            hosts.push(host.to_owned());
        }
    }
    hosts.sort();
    Ok(hosts)
}

/// Asks one host. None if it ended meanwhile.
pub(super) fn ask(home: &Home, host: &str, request: &Request) -> Result<Option<Answer>, ControlError> {
    ask_patiently(home, host, request, PATIENCE)
}

/// As [`ask`], where the answer may take so long.
pub(super) fn ask_patiently(
    home: &Home,
    host: &str,
    request: &Request,
    patience: Duration,
) -> Result<Option<Answer>, ControlError> {
    match exchange(&socket_path(home, host), request, patience) {
        Ok(line) => match canonical::from_strict(line.trim_ascii_end(), line.len()) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => Err(ControlError::Answer { host: host.to_owned(), cause: error.to_string() }),
        },
        Err(_) if !is_alive(home, host)? => Ok(None),
        Err(source) => Err(ControlError::Silent { host: host.to_owned(), source }),
    }
}

fn exchange(socket: &Path, request: &Request, patience: Duration) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    asked(socket, request, patience)?.take(ANSWER_BYTES).read_until(b'\n', &mut answer)?;
    Ok(answer)
}

/// Makes a request, whose answers are lines, each within this time.
pub(super) fn asked(
    socket: &Path,
    request: &Request,
    patience: Duration,
) -> std::io::Result<BufReader<UnixStream>> {
    let mut stream = through_directory(socket, |short| UnixStream::connect(short))?;
    // Whoever listens there must be the home's owner too, as what is said may be a secret.
    if rustix::net::sockopt::socket_peercred(&stream)?.uid != rustix::process::geteuid() {
        return Err(std::io::ErrorKind::PermissionDenied.into());
    }
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&written(request)?)?;
    Ok(BufReader::new(stream))
}

/// A request as a line, in a buffer that never moves, as there may be a secret in it.
pub(super) fn written(request: &Request) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(vec![0; REQUEST_BYTES]);
    let mut rest = line.as_mut_slice();
    serde_json::to_writer(&mut rest, request)?;
    rest.write_all(b"\n")?;
    let left = rest.len();
    line.truncate(REQUEST_BYTES.saturating_sub(left));
    Ok(line)
}

/// Calls `with` with a path of the socket that is short enough for the kernel: the path of a socket may have at most 107 bytes, that of
/// a home any number.
pub(super) fn through_directory<T>(
    socket: &Path,
    with: impl FnOnce(&Path) -> std::io::Result<T>,
) -> std::io::Result<T> {
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let directory = File::open(directory)?;
    with(&PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}
