//! Compiling a component in a child process that can do nothing else.
//!
//! The compiler is the largest body of code that sees an author's bytes. It runs as a re-execution of the current program with
//! the hidden argument `__compile`: the component on stdin, a frame with the artifact on stdout, with limits on address space,
//! CPU time and files that the child sets on itself. Whatever becomes of it, the host gets an artifact or a typed refusal.
//!
//! In scope: the child, its limits, the frame. Out of scope: where artifacts are kept (`cache`).
//!
//! Keeps I7: a component that breaks or starves the compiler ends its own launch and nothing else.

mod child;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::text;

pub use child::child;

/// The hidden argument that makes a program the compiling child.
pub const CHILD_ARGUMENT: &str = "__compile";

/// Wall time of the child: a busy machine may give it a quarter of a core.
const CHILD_WALL: Duration = Duration::from_secs(480);

/// Largest artifact that is taken from the child. Machine code is about four times the size of wasm.
pub(crate) const ARTIFACT_BYTES: u64 = 512 << 20;

/// How late the compiler is ended when the kill switch is engaged.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often the progress hook is called, and how long a compilation runs before its first call.
const PROGRESS: Duration = Duration::from_secs(1);

/// First byte of a frame that carries an artifact.
const FRAME_ARTIFACT: u8 = b'A';

/// First byte of a frame that carries the compiler's complaint.
const FRAME_REFUSED: u8 = b'R';

/// Longest complaint that is kept.
const COMPLAINT_BYTES: usize = 512;

/// Why a component could not be compiled.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler understood the component and will not have it.
    #[error("the component is not valid: {complaint}")]
    Invalid {
        /// What the compiler says.
        complaint: String,
    },
    /// The compiler ended without an answer.
    #[error("the compiler broke on this component ({ended})")]
    Broke {
        /// How the child process ended.
        ended: String,
    },
    /// The compiler took too long.
    #[error("the compiler was stopped after {} s", after.as_secs())]
    Timeout {
        /// How long it had run.
        after: Duration,
    },
    /// The artifact is larger than the host takes.
    #[error("the compiled component is larger than {limit} bytes")]
    TooLarge {
        /// The largest that is taken.
        limit: u64,
    },
    /// The child process could not be started.
    #[error("cannot start the compiler: {source}")]
    Start {
        /// Why not.
        source: std::io::Error,
    },
}

/// Called about once a second while a component is being compiled, with the time it has taken so far.
pub type Progress = std::sync::Arc<dyn Fn(Duration) + Send + Sync>;

/// How components are compiled.
#[derive(Clone, Debug)]
pub(crate) enum Compiler {
    /// By `program __compile`.
    Child {
        /// A program that calls [`child`] before anything else.
        program: PathBuf,
        /// Its wall time.
        wall: Duration,
    },
    /// In this process: a test binary cannot be its own compiler.
    #[cfg(test)]
    Here,
}

impl Compiler {
    /// The running program, as its own compiler.
    pub(crate) fn this_program() -> Self {
        Self::program("/proc/self/exe".into())
    }

    pub(crate) fn program(program: PathBuf) -> Self {
        Self::Child { program, wall: CHILD_WALL }
    }

    /// The artifact of `component`.
    pub(crate) fn compile(
        &self,
        component: &[u8],
        progress: Option<&Progress>,
        is_killed: &AtomicBool,
    ) -> Result<Vec<u8>, CompileError> {
        match self {
            Self::Child { program, wall } => {
                let mut child = Command::new(program)
                    .arg(CHILD_ARGUMENT)
                    .env_clear()
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .map_err(|source| CompileError::Start { source })?;
                converse(&mut child, component, *wall, progress, is_killed)
            }
            #[cfg(test)]
            Self::Here => child::precompile(component),
        }
    }
}

/// Gives the child its component and takes the frame, both with other threads, so that the time is kept whatever the child does.
fn converse(
    child: &mut Child,
    component: &[u8],
    wall: Duration,
    progress: Option<&Progress>,
    is_killed: &AtomicBool,
) -> Result<Vec<u8>, CompileError> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let started = Instant::now();
    let (answer, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(component)));
        scope.spawn(move || {
            let mut frame = Vec::new();
            if let Some(pipe) = stdout {
                drop(pipe.take(ARTIFACT_BYTES.saturating_add(2)).read_to_end(&mut frame));
            }
            drop(answer.send(frame));
        });
        let frame = wait(&answers, started, wall, progress, is_killed);
        // The frame says all; a child that is still there has nothing more to give. The pipes close with it.
        let killed = frame.is_none() && child.kill().is_ok();
        let ended = child.wait();
        match frame {
            Some(frame) => unframe(frame, ended),
            None if killed => Err(CompileError::Timeout { after: started.elapsed() }),
            None => Err(CompileError::Broke { ended: "no answer".into() }),
        }
    })
}

fn wait(
    answers: &mpsc::Receiver<Vec<u8>>,
    started: Instant,
    wall: Duration,
    progress: Option<&Progress>,
    is_killed: &AtomicBool,
) -> Option<Vec<u8>> {
    let mut next_progress = PROGRESS;
    loop {
        let left = wall.checked_sub(started.elapsed()).filter(|_| !is_killed.load(Ordering::Acquire))?;
        match answers.recv_timeout(left.min(LOOK_EVERY)) {
            Ok(frame) => return Some(frame),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(progress) = progress.filter(|_| started.elapsed() >= next_progress) {
                    progress(started.elapsed());
                    next_progress = started.elapsed().saturating_add(PROGRESS);
                }
            }
        }
    }
}

/// A frame is a kind byte, the content, and the kind byte again: a child that dies while it writes leaves no second one.
fn unframe(
    mut frame: Vec<u8>,
    ended: std::io::Result<std::process::ExitStatus>,
) -> Result<Vec<u8>, CompileError> {
    if frame.len() as u64 > ARTIFACT_BYTES {
        return Err(CompileError::TooLarge { limit: ARTIFACT_BYTES });
    }
    let success = ended.as_ref().is_ok_and(std::process::ExitStatus::success);
    match (frame.first().copied(), frame.len() > 1 && frame.first() == frame.last(), success) {
        (Some(FRAME_ARTIFACT), true, true) => {
            frame.pop();
            frame.remove(0);
            Ok(frame)
        }
        (Some(FRAME_REFUSED), true, true) => Err(CompileError::Invalid { complaint: complaint(&frame) }),
        _ => Err(CompileError::Broke {
            ended: ended.map_or_else(|error| error.to_string(), |status| status.to_string()),
        }),
    }
}

fn complaint(frame: &[u8]) -> String {
    let said = frame.get(1..frame.len().saturating_sub(1)).unwrap_or_default();
    text::one_line(&String::from_utf8_lossy(said), COMPLAINT_BYTES)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set up its child has failed")]

    use super::*;

    fn converse_with(script: &str, wall: Duration) -> Result<Vec<u8>, CompileError> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        converse(&mut child, &vec![0; 1 << 20], wall, None, &AtomicBool::new(false))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_whole_frame_is_the_artifact() {
        assert_eq!(converse_with("cat >/dev/null; printf AcodeA", LONG).unwrap(), b"code");
    }

    #[test]
    fn a_compiler_that_complains_is_quoted_on_one_clean_line() {
        let error = converse_with(r"printf 'Rbad\033[31m\nthingR'", LONG).unwrap_err();
        assert_eq!(error.to_string(), "the component is not valid: bad thing");
    }

    #[test]
    fn a_compiler_that_dies_is_a_refusal() {
        for script in ["kill -9 $$", "printf Aco; kill -11 $$", "exit 0", "printf AcodeA; exit 1"] {
            assert!(matches!(converse_with(script, LONG), Err(CompileError::Broke { .. })), "{script}");
        }
    }

    #[test]
    fn a_compiler_that_hangs_is_stopped() {
        let error = converse_with("exec sleep 600", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, CompileError::Timeout { .. }), "{error}");
    }
}
