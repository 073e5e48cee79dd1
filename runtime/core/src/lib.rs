//! The rules and formats of kOS: identity, signatures, permissions, custody and the log.
//!
//! Nothing here knows WebAssembly execution, async runtimes or the command line. Time, randomness and disk are
//! parameters, so that tests own them. The order of the modules below is the order in which they may import
//! one another.

#[macro_use]
pub mod id;
pub mod audience;
pub mod capability;
pub mod clock;
pub mod crypto;
pub mod durable;
pub mod ledger;
mod line;
pub mod quantity;
pub mod resource;
pub mod scope;

pub mod canonical;
pub mod envelope;
pub mod home;

pub mod custody;
pub mod trust;
pub mod vault;

pub mod manifest;

pub mod permission;

pub mod log;
pub mod message;

pub mod alert;
pub mod audited_vault;
#[doc(hidden)]
pub mod fuzzing;
pub mod kill_switch;
pub mod receipt;
pub mod recovery;
