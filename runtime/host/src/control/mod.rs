//! Talking to running hosts: `kos ps`, `kos stop`, `kos vault lock`, `kos message`, and telling them of a change.
//!
//! Each host holds a lock and listens on a socket in `run/`. The lock says that it lives, whatever became of the socket; the
//! socket takes one JSON request per line from the home's owner and nobody else. A request may hold a secret: both ends erase it.
//!
//! In scope: the protocol, its two ends, and closing the runs of hosts that died. Out of scope: what the requests do (`host`).

mod approval;
mod client;
mod kill;
mod listen;
mod lock;
mod message;
mod opening;
mod server;

use std::path::PathBuf;

use kos_core::canonical::base64_bytes;
use kos_core::clock::Timestamp;
use kos_core::durable::{DurableError, Lock};
use kos_core::home::Home;
use kos_core::id::{Did, Name};
use kos_core::kill_switch::Engagement;
use kos_core::message::MESSAGE_MAX;
use kos_core::permission::{Pending, QuestionId, Verdict};
use kos_core::recovery;
use serde::{Deserialize, Serialize};

pub use approval::{HostQuestions, answer, questions};
pub use client::{ControlError, RunningHost, Told, lock, ps, reload, stop, stop_all, unlock};
pub use kill::{Killed, KilledHost, Manner, kill};
pub use listen::listen;
pub(crate) use lock::log_own_locks;
pub use lock::{LockError, Locker};
pub use message::{Undeliverable, deliver};
pub(crate) use server::Server;

use self::opening::Opening;
use crate::host::Inner;
use crate::refusal::Refusal;
use crate::storage;

/// Longest request: the largest message in base64, and room for what is around it.
const REQUEST_BYTES: usize = MESSAGE_MAX / 3 * 4 + 8192;

/// Longest answer: 10,000 runs of 300 bytes.
const ANSWER_BYTES: u64 = 4 << 20;

/// What is asked of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    /// Which runs are there?
    Ps {},
    /// End this run, or every run of the agent with this name.
    Stop { run: String },
    /// End every run.
    StopAll {},
    /// Judge every run by what is installed now.
    Reload {},
    /// Forget the keys and secrets.
    Lock {},
    /// Obtain the keys again.
    Unlock { with: Opening },
    /// End every run and launch nothing more. Two answers: how many there are, and that none executes any more.
    Kill { engagement: Engagement },
    /// Which calls wait for a person?
    Questions {},
    /// A person's answer to one of them.
    Answer { question: QuestionId, verdict: Verdict },
    /// Deliver a signed message, in base64; for a request, wait so many milliseconds for its answer.
    Message {
        #[serde(with = "base64_bytes")]
        bytes: Vec<u8>,
        patience: u64,
    },
    /// Hand on what is for this operator, until the connection ends.
    Listen { to: Did },
}

/// What a host answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case", deny_unknown_fields)]
enum Answer {
    /// The runs, their environment, and whether the host is locked.
    Runs { runs: Vec<RunningAgent>, environment: Option<Name>, locked: bool },
    /// It is done; `runs` were concerned.
    Done { runs: usize },
    /// The calls that wait for a person.
    Questions { questions: Vec<Pending> },
    /// The message lies in the mailbox; for a request, with its signed answer in base64.
    Delivered { reply: Option<String> },
    /// The message was not delivered, or its answer did not come: in one word.
    Undelivered { reason: String },
    /// What is for the operator follows, message by message.
    Listening {},
    /// A signed message, in base64.
    Heard {
        #[serde(with = "base64_bytes")]
        bytes: Vec<u8>,
    },
    /// The request was not understood, or not carried out.
    Refused { cause: String },
}

/// A run, as its host describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RunningAgent {
    /// The run's identifier in the log.
    pub run: String,
    /// The agent's name.
    pub name: String,
    /// The agent's own identifier.
    pub did: String,
    /// Its component's digest.
    pub component: String,
    /// When the run began.
    pub started: Timestamp,
    /// Whether it ends by itself.
    pub kind: RunKind,
    /// How many messages it has handled, where it is a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handled: Option<u64>,
}

/// What kind of run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// It does one thing and ends.
    Task,
    /// It waits for messages.
    Service,
}

impl RunKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Service => "service",
        }
    }
}

fn socket_path(home: &Home, host: &str) -> PathBuf {
    home.run().join(format!("{host}.sock"))
}

fn lock_path(home: &Home, host: &str) -> PathBuf {
    home.run().join(format!("{host}.lock"))
}

/// Whether the host with this identifier is running. Identifiers come from the log, so anything else than ours is dead.
fn is_alive(home: &Home, host: &str) -> Result<bool, DurableError> {
    let is_identifier = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = lock_path(home, host);
    if !is_identifier || !path.exists() {
        return Ok(false);
    }
    Ok(Lock::try_exclusive(&path)?.is_none())
}

/// Writes the exit entries that hosts which died could not write, and removes what their runs left behind (I8).
pub(crate) fn close_orphans(inner: &Inner) -> Result<(), Refusal> {
    // A host whose lock cannot be looked at is taken to live: a wrong `recovered` would be worse than a late one.
    let is_alive = |host: &str| host == inner.id || is_alive(&inner.home, host).unwrap_or(true);
    for run in recovery::close_orphans(&inner.log, is_alive)? {
        tracing::warn!(run = run.run, agent = run.agent, "a run whose host died was closed");
        storage::remove_left_behind(&inner.home.storage(), &run.run);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set up its home has failed")]

    use kos_core::canonical;

    use super::*;

    fn parse(line: &str) -> Option<Request> {
        canonical::from_strict(line.as_bytes(), 4096).ok()
    }

    #[test]
    fn requests_are_parsed_strictly() {
        assert_eq!(parse(r#"{"command":"ps"}"#), Some(Request::Ps {}));
        assert_eq!(parse(r#"{"command":"stop","run":"x"}"#), Some(Request::Stop { run: "x".into() }));
        for line in [
            "",
            "null",
            r#"{"command":"stop"}"#,
            r#"{"command":"ps","extra":1}"#,
            r#"{"command":"ps","command":"stop-all"}"#,
            r#"{"command":"launch"}"#,
            r#"{"command":"ps"} {"command":"stop-all"}"#,
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn the_longest_secret_fits_a_request_and_is_not_printed() {
        use kos_core::custody::Unlock;
        let passphrase =
            Unlock::Passphrase("\u{1}\"\\é".repeat(4096).chars().take(3000).collect::<String>().into());
        for unlock in
            [passphrase, Unlock::Secret(vec![0xff; 4096].into()), Unlock::KeyFile("/etc/kos/key".into())]
        {
            let request = Request::Unlock { with: Opening::try_from(&unlock).unwrap() };
            let line = serde_json::to_vec(&request).unwrap();
            assert!(line.len() < REQUEST_BYTES, "{}", line.len());
            let Some(Request::Unlock { with }) = canonical::from_strict(&line, line.len()).ok() else {
                unreachable!("what was written is read");
            };
            assert!(Unlock::try_from(with).unwrap() == unlock);
            assert!(format!("{request:?}").len() < 80, "{request:?}");
        }
        assert_eq!(parse(r#"{"command":"unlock","with":{"passphrase":"not base64"}}"#), None);
        assert_eq!(parse(r#"{"command":"unlock","with":{"passphrase":"eA==","x":1}}"#), None);
        assert_eq!(parse(r#"{"command":"unlock"}"#), None);
        assert!(parse(r#"{"command":"lock"}"#).is_some());
    }

    #[test]
    fn a_host_lives_as_long_as_it_holds_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::create(directory.path().join("home")).unwrap();
        assert!(!is_alive(&home, "0a").unwrap());
        let lock = Lock::try_exclusive(&lock_path(&home, "0a")).unwrap();
        assert!(is_alive(&home, "0a").unwrap());
        drop(lock);
        assert!(!is_alive(&home, "0a").unwrap());
        assert!(!is_alive(&home, "../../etc/passwd").unwrap());
    }
}
