//! The public promises, kept through the real binaries: one file per word.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

mod support;

mod alerts;
mod amend;
mod approval;
mod audit;
mod author;
mod cli;
mod contract;
mod crypto;
mod explain;
mod http;
mod hygiene;
mod identity;
mod kill_switch;
mod launch;
mod learn;
mod limits;
mod listen;
mod log;
mod many;
mod memory;
mod messaging;
mod nats;
mod operator;
mod permission;
mod receipt;
mod resource;
mod service;
mod stop;
mod vault;
mod vault_command;
