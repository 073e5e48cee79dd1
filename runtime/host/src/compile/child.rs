//! The child's side: it takes away from itself what compiling does not need, then compiles.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{CHILD_ARGUMENT, COMPLAINT_BYTES, CompileError, FRAME_ARTIFACT, FRAME_REFUSED};
use crate::engine;
use crate::text;

/// Address space of the child. The largest component measured (18 MB of Python) needs 1.1 GiB.
const CHILD_ADDRESS_SPACE: u64 = 4 << 30;

/// CPU seconds of the child: four times the largest component measured on a slow core.
const CHILD_CPU_SECONDS: u64 = 120;

/// Open files of the child: its three pipes, and what the loader needs.
const CHILD_FILES: u64 = 16;

/// Largest component that the child reads; the same cap as for what is signed, with room.
const COMPONENT_BYTES: u64 = 128 << 20;

/// Becomes the compiling child if this process was started as one. Programs that launch agents call this before anything else.
#[must_use]
pub fn child() -> Option<ExitCode> {
    let is_child = std::env::args_os().nth(1).is_some_and(|argument| argument == CHILD_ARGUMENT);
    is_child.then(child_main)
}

fn child_main() -> ExitCode {
    match restrict().map_err(CompileFailure::from).and_then(|()| compile_stdin()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(CompileFailure) => ExitCode::FAILURE,
    }
}

/// The child could not do its work at all; the parent sees no frame.
struct CompileFailure;

impl<E: std::error::Error> From<E> for CompileFailure {
    fn from(_: E) -> Self {
        Self
    }
}

/// Limits that this process can no longer raise.
fn restrict() -> rustix::io::Result<()> {
    for (resource, limit) in [
        (Resource::As, CHILD_ADDRESS_SPACE),
        (Resource::Cpu, CHILD_CPU_SECONDS),
        (Resource::Nofile, CHILD_FILES),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}

fn compile_stdin() -> Result<(), CompileFailure> {
    let mut component = Vec::new();
    std::io::stdin().lock().take(COMPONENT_BYTES).read_to_end(&mut component)?;
    let (kind, content) = match precompile(&component) {
        Ok(artifact) => (FRAME_ARTIFACT, artifact),
        Err(CompileError::Invalid { complaint }) => (FRAME_REFUSED, complaint.into_bytes()),
        Err(_) => return Err(CompileFailure),
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&[kind])?;
    stdout.write_all(&content)?;
    stdout.write_all(&[kind])?;
    Ok(stdout.flush()?)
}

pub(super) fn precompile(component: &[u8]) -> Result<Vec<u8>, CompileError> {
    let invalid = |error: wasmtime::Error| CompileError::Invalid {
        complaint: text::one_line(&format!("{error:#}"), COMPLAINT_BYTES),
    };
    engine::for_compiling().and_then(|engine| engine.precompile_component(component)).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_invalid() {
        let error = precompile(b"\0asm\x01\0\0\0").expect_err("a core module");
        assert!(matches!(error, CompileError::Invalid { .. }), "{error}");
    }
}
