//! What stands in front of wasmtime-wasi's sockets: the run's network and its gate.
//!
//! In scope: replacing the interfaces that ask only once, or not at all. Out of scope: what each then asks (`lookup`, `tcp`).

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::SocketError;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, HostNetwork, Network as NetworkHandle};
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup, tcp};
use wasmtime_wasi::sockets::{WasiSocketsCtxView, WasiSocketsView as _};

use super::Network;
use crate::agent::{Agent, Powers};

/// Replaces wasmtime-wasi's name lookup and TCP by these.
pub(crate) fn add_to_linker(linker: &mut Linker<Agent>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    ip_name_lookup::add_to_linker::<Agent, Sockets<'static>>(linker, sockets)?;
    tcp::add_to_linker::<Agent, Sockets<'static>>(linker, sockets)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The sockets of one agent, and what it may reach.
pub(super) struct Sockets<'a> {
    pub(super) inner: WasiSocketsCtxView<'a>,
    pub(super) network: Network,
    pub(super) powers: Arc<Powers>,
}

impl HasData for Sockets<'static> {
    type Data<'a> = Sockets<'a>;
}

impl network::Host for Sockets<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.inner.network_error_code(error)
    }
}

impl HostNetwork for Sockets<'_> {
    fn drop(&mut self, network: Resource<NetworkHandle>) -> wasmtime::Result<()> {
        HostNetwork::drop(&mut self.inner, network)
    }
}

fn sockets(agent: &mut Agent) -> Sockets<'_> {
    let (network, powers) = (agent.network.clone(), Arc::clone(&agent.powers));
    Sockets { inner: agent.sockets(), network, powers }
}
