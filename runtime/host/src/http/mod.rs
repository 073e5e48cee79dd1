//! `wasi:http` as agents get it: HTTPS requests, each judged by the gate, with secrets that the host puts in.
//!
//! A guest that imports `wasi:http` and makes no request needs no grant, as some language runtimes import it whether it is
//! used or not. There is no incoming handler.
//!
//! In scope: outgoing requests. Out of scope: who may make them (`kos_core::permission`), and where secrets live
//! (`kos_core::audited_vault`).
//!
//! Keeps I3 and I4 (each request and each part of a body is judged), I5 (a secret's entry is durable before it leaves), I6
//! (the guest has a placeholder, never the secret) and I7 (what is relayed is the agent's computing).

mod body;
mod budget;
mod connect;
mod exchange;
mod forms;
mod mask;
mod placeholder;
mod post;
mod secret;
mod time;
mod tls;
mod watch;

use std::sync::Arc;

use ::http::header::{HeaderName, TE, TRAILER};
use ::http::uri::Scheme;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{self, ErrorCode};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx,
    WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::agent::{Agent, Powers};
use crate::capability::call::{Call, burn, enter};

pub(crate) use budget::Budget;
pub(crate) use post::post;
pub(crate) use tls::{Tls, TlsError, trusting};

use exchange::Exchange;

/// The interface that sends requests, at the release of WASI that wasmtime-wasi-http has.
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

/// Requests of one agent that are under way at once: what a browser allows itself for a few servers. Each holds a socket
/// and the buffers of a TLS connection.
const REQUESTS: usize = 16;

/// The header fields of one message, in bytes: four times what common servers accept.
const HEADER_BYTES: usize = 64 << 10;

/// Bytes of a request's body that are kept for a slow server, twice: each open body holds them in the host's memory.
const BODY_BYTES: usize = 16 << 10;

/// Fuel of one request on top of its bytes: a TLS handshake takes about a million instructions.
const REQUEST_FUEL: u64 = 1_000_000;

/// One request's place among those of its run, held by whatever still works for it.
type Place = Arc<OwnedSemaphorePermit>;

/// The places of one run's requests, whichever of its instances makes them.
#[derive(Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(REQUESTS)))
    }
}

/// What one instance has of HTTP.
pub(crate) struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
}

impl Http {
    pub(crate) fn new(powers: Arc<Powers>, tls: Arc<Tls>, places: Places) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(HEADER_BYTES);
        let budget = Arc::default();
        Self { context, hooks: Hooks { powers, tls, budget, places } }
    }

    /// What wasmtime-wasi-http works on.
    pub(crate) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { ctx: &mut self.context, table, hooks: &mut self.hooks }
    }

    /// Fuel for bytes that were relayed and are not charged yet.
    pub(crate) fn owed(&self) -> u64 {
        self.hooks.budget.owed()
    }

    /// Ends the account of one message: what is to be charged for it. Of what is on its way still, no more than `left` may pass.
    pub(crate) fn settle(&self, left: u64) -> u64 {
        let owed = self.hooks.budget.settle();
        self.hooks.budget.allow(left.saturating_sub(owed));
        owed
    }
}

impl WasiHttpView for Agent {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.http.view(&mut self.table)
    }
}

/// The interfaces, for an agent that imports them.
pub(crate) fn add_to_linker(linker: &mut Linker<Agent>) -> wasmtime::Result<()> {
    let options = types::LinkOptions::default();
    types::add_to_linker::<_, WasiHttp>(linker, &options, Agent::http)?;
    linker.instance(HANDLER)?.func_wrap("handle", handle)
}

type Request = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
type Answer = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

/// Counts the request, charges it and what was relayed since the last one, and begins it.
fn handle(mut call: Call<'_>, (request, options): Request) -> wasmtime::Result<(Answer,)> {
    enter(&mut call, &[])?;
    let budget = Arc::clone(&call.data().http.hooks.budget);
    burn(&mut call, budget.settle().saturating_add(REQUEST_FUEL))?;
    budget.allow(call.get_fuel()?);
    let owned = options.as_ref().map(|options| Resource::<RequestOptions>::new_own(options.rep()));
    let mut view = call.data_mut().http();
    let begun = view.handle(request, options);
    // The options were handed over with the request, and wasmtime-wasi-http only looks at them.
    if let Some(owned) = owned {
        view.table.delete(owned)?;
    }
    match begun {
        Ok(response) => Ok((Ok(response),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

/// What wasmtime-wasi-http asks of its host.
struct Hooks {
    powers: Arc<Powers>,
    tls: Arc<Tls>,
    budget: Arc<Budget>,
    places: Places,
}

type Sent = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(::http::Response<WasiBody>, Sent), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn is_supported_scheme(&mut self, scheme: &Scheme) -> bool {
        *scheme == Scheme::HTTPS
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: ::http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _read: Sent,
    ) -> Sending {
        let Ok(place) = Arc::clone(&self.places.0).try_acquire_owned() else {
            return Box::new(std::future::ready(Err(Error::ConnectionLimitReached)));
        };
        let exchange = Exchange {
            powers: Arc::clone(&self.powers),
            tls: Arc::clone(&self.tls),
            budget: Arc::clone(&self.budget),
            place: Arc::new(place),
        };
        Box::new(exchange.perform(request, options.unwrap_or_default()))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_BYTES
    }
}

/// Fields that are about one connection and not about a message (RFC 9110 section 7.6.1), and the server's name, which is
/// the URL's.
fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name)
        || *name == TE
        || *name == TRAILER
        || name.as_str().starts_with("proxy-")
}
