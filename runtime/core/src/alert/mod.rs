//! Alerts: what of the log needs a human's eye, and in which words it is sent there.
//!
//! In scope: the rules, counting within a window, and the form of an alert. Out of scope: following the log and sending, which
//! are the host's.
//!
//! Keeps I6: an alert is made of names that we chose or that operators signed, and never of an agent's own text, so that no
//! agent sends a secret out by being refused. Keeps I7: what is remembered is bounded, and so is how often one is raised.

mod config;
mod entry;
mod raised;
mod watcher;

#[cfg(test)]
mod tests;

pub use config::{AlertConfig, AlertConfigError, Destination, Rule, Severity};
pub use raised::{EVENT_TYPE, Raised};
pub use watcher::Watcher;
