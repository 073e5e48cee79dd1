//! WASI 0.2 as agents get it: all of it linked, with nothing behind it that was not granted.
//!
//! Rust's std, Python and JavaScript import clocks, files and sockets whether they use them or not. So every interface is there;
//! there is no environment, no directory and no socket unless granted.
//!
//! In scope: what stands behind the base interfaces. Out of scope: storage and network, which have modules of their own.

use wasmtime::component::Linker;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::agent::Agent;
use crate::network;
use crate::output::Output;
use crate::storage::{self, Directory, GUEST_PATH};

/// Most random bytes in one call: the host makes them before the guest has room for them.
const RANDOM_BYTES: u64 = 1 << 20;

/// The base interfaces, for every agent.
pub(crate) fn add_to_linker(linker: &mut Linker<Agent>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    storage::add_to_linker(linker)?;
    network::add_to_linker(linker)
}

/// Where an agent's standard input comes from.
#[derive(Clone, Debug, Default)]
pub enum Stdin {
    /// There is none.
    #[default]
    Empty,
    /// The process's own.
    Inherit,
    /// These bytes.
    Bytes(Vec<u8>),
}

/// The base context: arguments, standard streams, and the agent's directory if it has one.
pub(crate) fn context(
    arguments: &[String],
    stdin: Stdin,
    output: &Output,
    directory: Option<&Directory>,
) -> wasmtime::Result<WasiCtxBuilder> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .args(arguments)
        .stdout(output.stdout.clone())
        .stderr(output.stderr.clone())
        .max_random_size(RANDOM_BYTES);
    match stdin {
        Stdin::Empty => {}
        Stdin::Inherit => drop(builder.inherit_stdin()),
        Stdin::Bytes(bytes) => drop(builder.stdin(MemoryInputPipe::new(bytes))),
    }
    if let Some(directory) = directory {
        builder.preopened_dir(directory.path(), GUEST_PATH, FsPerms::ReadWrite)?;
    }
    Ok(builder)
}
