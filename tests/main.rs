//! The public promises, kept through the real binaries: one file per word.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

mod support;

mod alerts;
mod audit;
mod author;
mod cli;
mod contract;
mod crypto;
mod explain;
mod http;
mod hygiene;
mod identity;
mod launch;
mod learn;
mod limits;
mod log;
mod memory;
mod messaging;
mod operator;
mod permission;
mod resource;
mod service;
mod stop;
mod vault;
mod vault_command;
