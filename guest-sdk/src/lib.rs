//! What the author of a kOS agent imports.
//!
//! An agent is an ordinary program with a `main`, compiled to a WebAssembly component by
//! `cargo build --release --target wasm32-wasip2`. Standard input, output, arguments, clocks and randomness come from the
//! standard library; what this crate adds are the *capabilities* of the host: what an agent gets only when its author
//! declared it, its operator granted it and its author's trust level allows it.
//!
//! ```no_run
//! use kos_sdk::{Error, crypto, identity};
//!
//! fn main() -> Result<(), Error> {
//!     let me = identity::me()?;
//!     let receipt = crypto::sign("receipt", b"seen")?;
//!     println!("{} signed: {} bytes", me.did, receipt.len());
//!     Ok(())
//! }
//! ```
//!
//! # The contract
//!
//! - Each function names the capability it needs, and the scope that is compared with the grant. Any call may come back
//!   [`Error::Denied`], also one that succeeded a moment ago: permissions are judged at each call, and an operator may
//!   revoke them while the agent runs.
//! - An agent that calls nothing of a module does not import it, and needs no grant for it. An agent that is linked
//!   against a module of which it holds *no* capability is not started at all; `kos-run` then names what is missing.
//! - No function hands out a private key. The agent's own key is made at its first launch and stays with the host.
//! - Dates, sizes and texts are bounded by the host. A call far beyond its bounds ends the agent with an outcome of its
//!   own (`payload`, `handles`, …), which the log keeps.
//!
//! One module for each word of the contract in `wit/`: [`identity`], [`crypto`], [`vault`], [`messaging`], [`audit`], and
//! [`Error`] for all of them;
//! `http`, with the feature of that name, is for requests;
//! [`handler`] is for an agent that answers messages instead of running once.
//!
//! On any other target the crate compiles, for documentation and for tests of an agent's own logic, but a call into it
//! panics: there is no host to answer.

pub mod audit;
pub mod crypto;
mod error;
pub mod handler;
#[cfg(feature = "http")]
pub mod http;
pub mod identity;
pub mod messaging;
pub mod vault;

pub use error::Error;

/// What the WIT binding generator makes of `wit/`. Not part of the interface of this crate: it changes with the
/// generator. That a component exports the handler is said where [`service!`] is used, so an agent with a `main` does not.
#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, reason = "the generator's code, not ours")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "service",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_service",
        default_bindings_module: "kos_sdk::bindings",
    });
}
