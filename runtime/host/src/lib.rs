//! Gives a verified agent its powers, through wasmtime.
//!
//! A [`Host`] runs agents of one home. Each launch goes through the same steps: the component is verified, its agent is
//! identified, its grants are computed, its imports are compared with them, it is compiled in a child process or taken
//! from the cache, the launch is logged, and then it runs, under limits that each have their own [`Outcome`].
//!
//! In scope: wasmtime, WASI, the interfaces of the contract, the control socket. Out of scope: the rules and the formats
//! (`kos_core`), words for people (the command line).

mod access;
mod agent;
pub mod alert;
mod approval;
mod bindings;
mod cache;
mod capability;
pub mod compile;
pub mod control;
mod engine;
mod epoch;
mod equipment;
mod host;
mod http;
mod in_hand;
mod interfaces;
mod kill_switch;
mod launch;
mod limits;
mod linked;
mod load;
mod mailbox;
mod network;
mod outcome;
mod output;
mod rate;
mod record;
mod refusal;
mod reload;
mod router;
mod run;
mod runs;
mod service;
mod storage;
mod stream;
mod text;
mod traffic;
mod transport;
mod wasi;

pub use cache::Cached;
pub use compile::{CompileError, Progress};
pub use engine::Capacity;
pub use host::{Host, HostOptions};
pub use kill_switch::KillSwitch;
pub use launch::{LaunchRequest, Run, RunOptions};
pub use load::{Loaded, read_component};
pub use outcome::Outcome;
pub use output::Sink;
pub use refusal::Refusal;
pub use run::{ExitReport, Stopper, Usage};
pub use service::{Backoff, Messages};
pub use storage::StorageError;
pub use transport::{Server, ServerError, TransportOptions};
pub use wasi::Stdin;

#[cfg(test)]
mod tests;
