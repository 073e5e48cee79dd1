//! Whether what a request was allowed by is still in force, for as long as its bodies stream (I4).

use std::sync::Arc;

use kos_core::permission::marker::{HttpRequest, VaultSend};
use wasmtime_wasi_http::Error;

use crate::agent::Powers;

/// The scopes that a request was allowed for. Looking at them spends nothing.
#[derive(Clone)]
pub(super) struct Watch {
    powers: Arc<Powers>,
    request: Arc<str>,
    secrets: Arc<[String]>,
}

impl Watch {
    /// For a request that was allowed as `request`, with secrets that were allowed as `secrets`.
    pub(super) fn new(powers: Arc<Powers>, request: &str, secrets: Vec<String>) -> Self {
        Self { powers, request: request.into(), secrets: secrets.into() }
    }

    /// # Errors
    /// When one of them is granted no more.
    pub(super) fn check(&self) -> Result<(), Error> {
        let gate = &self.powers.gate;
        let is_in_force = gate.covers::<HttpRequest>(&self.request)
            && self.secrets.iter().all(|scope| gate.covers::<VaultSend>(scope));
        if is_in_force { Ok(()) } else { Err(Error::HttpRequestDenied) }
    }
}
