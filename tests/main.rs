//! The public promises, kept through the real binaries: one file per word.

mod support;

mod contract;
mod hygiene;
mod launch;
mod limits;
mod log;
