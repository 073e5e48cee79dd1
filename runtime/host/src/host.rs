//! The host: what all runs of one process share.
//!
//! In scope: opening and closing, the table of runs, and making a change of trust or grants reach them. Out of scope: each step of a
//! launch, which has a module of its own.
//!
//! Keeps I4: after [`Host::reload`] the next call of every run is judged by what is in force now.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kos_core::audited_vault::AuditedVault;
use kos_core::clock::{Clock, MonotoneClock};
use kos_core::crypto;
use kos_core::custody::{Custodian, KeyHandle, KeyName, KeyRole};
use kos_core::home::{Home, HostConfig};
use kos_core::id::{AgentRef, Name};
use kos_core::log::Log;
use kos_core::manifest::{UnverifiedComponent, VerifiedComponent};
use kos_core::permission::{UseLedger, VerifiedGrant};
use kos_core::vault::{DEFAULT_ENVIRONMENT, SecretId};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use wasmtime::Engine;

use crate::approval::Desk;
use crate::cache::Cache;
use crate::compile::{Compiler, Progress};
use crate::control;
use crate::engine::{self, Capacity};
use crate::epoch::Ticker;
use crate::http::Tls;
use crate::in_hand::InHand;
use crate::kill_switch::{self, KillSwitch};
use crate::launch::{LaunchRequest, Run, RunOptions};
use crate::linked::Linked;
use crate::load::Loaded;
use crate::output::Writer;
use crate::record;
use crate::refusal::Refusal;
use crate::router::Router;
use crate::runs::Runs;
use crate::service::Backoff;
use crate::transport::{Credentials, Transport, TransportOptions};

/// The name of the host's own key.
const HOST_KEY: &str = "default";

/// How long a host that ends waits for its runs, whose output may have a slow reader.
const GRACE: Duration = Duration::from_secs(5);

/// What a host is made of. All but the first five have sensible values from [`HostOptions::new`].
pub struct HostOptions {
    /// The state directory.
    pub home: Home,
    /// Its configuration.
    pub config: HostConfig,
    /// Its keys.
    pub custodian: Arc<dyn Custodian>,
    /// Its log.
    pub log: Arc<Log>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// How many agents may run at once. Where it is one, the agent runs on the thread that waits for it ([`Run::wait`]).
    pub capacity: Capacity,
    /// The environment: whose vault the agents use, and what conditions of grants may ask for. Where none is named, the vault is that
    /// of `default`.
    pub environment: Option<Name>,
    /// Called about once a second while a component is being compiled.
    pub progress: Option<Progress>,
    /// The program that compiles; the running one where none is named.
    pub compiler: Option<PathBuf>,
    /// How a service that broke is launched again.
    pub backoff: Backoff,
    /// By which server messages leave the process and come into it; none do where there is none.
    pub transport: Option<TransportOptions>,
    /// A grant that counts in this process and is installed nowhere, such as that of a run that learns. Its entry stands in the
    /// log before the host is opened (I5).
    pub lent: Option<VerifiedGrant>,
}

impl HostOptions {
    /// One agent at a time, no environment, no progress.
    #[must_use]
    pub fn new(
        home: Home,
        config: HostConfig,
        custodian: Arc<dyn Custodian>,
        log: Arc<Log>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            home,
            config,
            custodian,
            log,
            clock,
            capacity: Capacity::ONE,
            environment: None,
            progress: None,
            compiler: None,
            backoff: Backoff::STANDARD,
            transport: None,
            lent: None,
        }
    }
}

/// A running host.
pub struct Host {
    pub(crate) inner: Arc<Inner>,
    _control: control::Server,
}

impl Host {
    /// Opens a host on a home, and its control socket.
    ///
    /// # Errors
    /// [`Refusal`] when the keys, the engine or the socket cannot be had.
    pub fn open(options: HostOptions) -> Result<Self, Refusal> {
        let compiler = options.compiler.clone().map_or_else(Compiler::this_program, Compiler::program);
        Self::with_compiler(options, compiler)
    }

    pub(crate) fn with_compiler(options: HostOptions, compiler: Compiler) -> Result<Self, Refusal> {
        let transport = options.transport.clone();
        let inner = Arc::new(Inner::new(options, compiler)?);
        if let Some(transport) = transport {
            inner.travel_by(&transport)?;
        }
        control::log_own_locks(&inner);
        kill_switch::watch(&inner)?;
        let control = control::Server::start(&inner)?;
        control::close_orphans(&inner)?;
        Ok(Self { inner, _control: control })
    }

    /// The host's identifier, under which its runs stand in the log.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Launches an agent. A refusal by policy is logged.
    ///
    /// # Errors
    /// [`Refusal`]: nothing of the agent has run.
    pub fn launch(&self, request: LaunchRequest) -> Result<Run, Refusal> {
        let loaded = self.load(&request.shown, request.component)?;
        self.start(&loaded, request.options)
    }

    /// Makes a component ready to be launched any number of times. A refusal by policy is logged.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn load(&self, shown: &str, component: UnverifiedComponent) -> Result<Loaded, Refusal> {
        let digest = component.digest();
        self.inner.load(shown, component).map_err(|refusal| self.inner.logged(refusal, shown, Some(digest)))
    }

    /// Begins a run of a loaded component. What is in force now counts, also if it changed since it was loaded.
    ///
    /// # Errors
    /// [`Refusal`]: nothing of the agent has run.
    pub fn start(&self, loaded: &Loaded, options: RunOptions) -> Result<Run, Refusal> {
        let started = if loaded.generation == self.inner.generation() {
            self.inner.start(loaded, options)
        } else {
            self.inner.judged_again(loaded).and_then(|loaded| self.inner.start(&loaded, options))
        };
        started.map_err(|refusal| self.inner.logged(refusal, &loaded.shown, Some(loaded.digest())))
    }

    /// Makes every run be judged by the trust store and the grants that are installed now, from its next call on. Runs of what is
    /// no longer trusted end.
    pub fn reload(&self) {
        self.inner.reload();
    }

    /// What locks this host from another thread.
    #[must_use]
    pub fn locker(&self) -> control::Locker {
        control::Locker::of(&self.inner)
    }

    /// What stops everything on this host from another thread, and keeps it stopped.
    #[must_use]
    pub fn kill_switch(&self) -> KillSwitch {
        KillSwitch::of(&self.inner)
    }

    /// Ends every run.
    pub fn stop_all(&self) {
        let _runs = self.inner.runs.stop_all();
    }
}

impl Drop for Host {
    /// Ends every run, and waits until their exits are logged and those who sent them messages have heard of it.
    fn drop(&mut self) {
        self.stop_all();
        let ended = self.inner.runs.wait_until_empty();
        drop(self.inner.runtime.block_on(async { tokio::time::timeout(GRACE, ended).await }));
        self.inner.router.listeners().close();
        self.inner.carried.wait_until_none(GRACE);
        if let Some(transport) = self.inner.router.transport() {
            transport.finish(GRACE);
        }
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Host {}", self.inner.id)
    }
}

/// What the parts of a host share.
pub(crate) struct Inner {
    pub(crate) id: String,
    pub(crate) home: Home,
    pub(crate) config: HostConfig,
    pub(crate) custodian: Arc<dyn Custodian>,
    pub(crate) host_key: KeyHandle,
    pub(crate) log: Arc<Log>,
    /// One for all runs, so that their changes of the vault wait for each other and not for a lock of the file.
    pub(crate) vault: AuditedVault,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) environment: Option<Name>,
    pub(crate) progress: Option<Progress>,
    pub(crate) capacity: Capacity,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) engine: Engine,
    pub(crate) ticker: Ticker,
    pub(crate) cache: Cache,
    pub(crate) compiler: Compiler,
    pub(crate) linked: Linked,
    pub(crate) tls: Arc<Tls>,
    pub(crate) writer: Writer,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) router: Arc<Router>,
    /// Messages that outside senders wait for.
    pub(crate) carried: Arc<InHand>,
    pub(crate) backoff: Backoff,
    pub(crate) lent: Option<VerifiedGrant>,
    /// Where calls wait for a person.
    pub(crate) desk: Arc<Desk>,
    uses: Mutex<HashMap<AgentRef, Arc<UseLedger>>>,
    pub(crate) generation: AtomicU64,
    /// Whether this process launches nothing more, whatever becomes of the home.
    pub(crate) is_killed: AtomicBool,
}

impl Inner {
    fn new(options: HostOptions, compiler: Compiler) -> Result<Self, Refusal> {
        let engine = engine::for_running(options.capacity)
            .map_err(|error| Refusal::System { cause: format!("{error:#}") })?;
        let system = |error: std::io::Error| Refusal::System { cause: error.to_string() };
        let host_name = HOST_KEY.parse().map_err(|_| Refusal::System { cause: "no host key".into() })?;
        let host_key =
            KeyHandle::new(Arc::clone(&options.custodian), KeyName::new(KeyRole::Host, host_name))?;
        let vault = vault(&options)?;
        // A clock that was set back while no host ran revives no grant: the log knows how late it has been (I4).
        let clock: Arc<dyn Clock> =
            Arc::new(MonotoneClock::starting_at(options.clock, options.log.last_timestamp()));
        let runtime = Arc::new(runtime(options.capacity).map_err(system)?);
        let router = Router::new(
            options.home.clone(),
            options.config.clone(),
            Arc::clone(&clock),
            runtime.handle().clone(),
        );
        Ok(Self {
            id: identifier()?,
            cache: Cache::new(options.home.cache(), engine.clone()),
            ticker: Ticker::new(engine.clone()),
            places: Arc::new(Semaphore::new(options.capacity.agents() as usize)),
            writer: Writer::start().map_err(system)?,
            runtime,
            linked: Linked::default(),
            tls: Arc::new(Tls::of(&options.home)),
            runs: Arc::default(),
            router: Arc::new(router),
            carried: Arc::default(),
            backoff: options.backoff,
            lent: options.lent,
            desk: Arc::new(Desk::new(Arc::clone(&clock))),
            uses: Mutex::default(),
            generation: AtomicU64::new(0),
            is_killed: AtomicBool::new(false),
            home: options.home,
            config: options.config,
            custodian: options.custodian,
            log: options.log,
            vault,
            clock,
            environment: options.environment,
            progress: options.progress,
            capacity: options.capacity,
            host_key,
            engine,
            compiler,
        })
    }

    /// Messages leave the process and come into it from now on.
    fn travel_by(&self, options: &TransportOptions) -> Result<(), Refusal> {
        let shown = |secret: &SecretId| {
            let audience = options.server.to_string();
            Credentials::new(self.vault.clone(), secret.clone(), self.id.clone(), audience)
        };
        let credentials = options.secret.as_ref().map(shown);
        let clock = Arc::clone(&self.clock);
        self.router.travel_by(Transport::open(options, credentials, self.home.messages(), clock)?);
        Ok(())
    }

    /// Grows with each reload.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The counts of uses of an agent, which all its runs share.
    pub(crate) fn uses(&self, component: &VerifiedComponent) -> Arc<UseLedger> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = || Arc::new(UseLedger::kept_in(self.home.uses()));
        Arc::clone(uses.entry(component.agent()).or_insert_with(kept))
    }

    /// Notes a refusal by policy in the log. It is refused either way.
    pub(crate) fn logged(
        &self,
        refusal: Refusal,
        shown: &str,
        digest: Option<kos_core::id::Digest>,
    ) -> Refusal {
        if refusal.is_policy()
            && let Err(error) = self.log.append(record::refused(&self.id, shown, digest, &refusal))
        {
            tracing::error!(%error, "a refused launch could not be logged");
        }
        refusal
    }
}

/// The vault of the host's environment.
fn vault(options: &HostOptions) -> Result<AuditedVault, Refusal> {
    let environment = match &options.environment {
        Some(environment) => environment.clone(),
        None => {
            DEFAULT_ENVIRONMENT.parse().map_err(|_| Refusal::System { cause: "no environment".into() })?
        }
    };
    Ok(AuditedVault::new(Arc::clone(&options.custodian), Arc::clone(&options.log), environment))
}

/// A run's or host's identifier.
pub(crate) fn identifier() -> Result<String, Refusal> {
    let bytes: [u8; 16] = crypto::random().map_err(|error| Refusal::System { cause: error.to_string() })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// As many worker threads as there are processors, and no more than there can be agents. A single agent has none: whoever waits
/// for its end runs it.
fn runtime(capacity: Capacity) -> std::io::Result<Runtime> {
    if capacity == Capacity::ONE {
        return tokio::runtime::Builder::new_current_thread().enable_all().build();
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.min(capacity.agents() as usize))
        .thread_name("kos-agent")
        .enable_all()
        .build()
}
