//! One running agent: what its store holds.
//!
//! In scope: the state that host functions reach. Out of scope: making it (`run`), and what a capability does (`capability`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use kos_core::audited_vault::AuditedVault;
use kos_core::custody::KeyHandle;
use kos_core::custody::agents::AgentRecord;
use kos_core::log::Log;
use kos_core::manifest::VerifiedComponent;
use kos_core::permission::{DenialLedger, Gate, Learner, Limits};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::approval::Desk;
use crate::capability::audit::Notes;
use crate::capability::messaging::Messages;
use crate::http::Http;
use crate::limits::Limiter;
use crate::network::Network;
use crate::outcome::Ended;
use crate::rate::Rate;
use crate::record::Subject;
use crate::storage::Quota;
use crate::traffic::Traffic;

/// Who the agent is, in the words of the contract.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) did: String,
    pub(crate) agreement_key: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) author: String,
    pub(crate) trust_level: String,
}

impl Description {
    /// From the agent's record and what its author signed.
    pub(crate) fn of(record: &AgentRecord, component: &VerifiedComponent) -> Self {
        let agent = component.agent();
        Self {
            did: record.identity.did.to_string(),
            agreement_key: record.agreement_key.to_string(),
            name: agent.name.to_string(),
            version: component.manifest().version.to_string(),
            author: agent.author.to_string(),
            trust_level: component.level().to_string(),
        }
    }
}

/// What an agent may still do to the log and the vault, which all agents share. A service that breaks and is launched again has
/// what the run before has left of it (I7).
#[derive(Debug)]
pub(crate) struct Allowance {
    /// How often secrets are accessed, by whichever interface.
    accesses: Mutex<Rate>,
    /// How many bytes of secrets may still be stored.
    secret_bytes: AtomicU64,
    /// How much may still be noted.
    notes: Mutex<Notes>,
}

impl Allowance {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            accesses: Mutex::new(Rate::per_minute(limits.accesses_per_minute)),
            secret_bytes: AtomicU64::new(limits.secret_bytes),
            notes: Mutex::new(Notes::new(limits.note_bytes, limits.notes_per_minute)),
        }
    }
}

/// What stands behind the capabilities of one run.
pub(crate) struct Powers {
    /// The one gate (I3).
    pub(crate) gate: Gate,
    /// Who the agent is.
    pub(crate) description: Arc<Description>,
    /// The denials so far.
    pub(crate) denials: Arc<DenialLedger>,
    /// The agent's own key, which stays in custody (I6).
    pub(crate) key: Arc<KeyHandle>,
    /// Where its calls wait for a person.
    pub(crate) desk: Arc<Desk>,
    /// The host's log.
    pub(crate) log: Arc<Log>,
    /// The vault of the run's environment.
    pub(crate) vault: AuditedVault,
    /// What it may still do to what all agents share.
    pub(crate) allowance: Arc<Allowance>,
    /// Whose run it is, in the log.
    pub(crate) subject: Arc<Subject>,
    /// The most bytes that one host call may carry.
    pub(crate) payload: usize,
    /// What it sent and received.
    pub(crate) traffic: Traffic,
    /// What remembers its uses, where the run is there to learn them.
    pub(crate) learner: Option<Arc<Learner>>,
}

impl Powers {
    /// Whether the agent's rate allows an access to a secret now, and counts it if so: each is an entry of the log (I7).
    pub(crate) fn admits_access(&self) -> bool {
        self.allowance.accesses.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now())
    }

    /// Whether the run may store so many bytes more in the vault, which all agents share, and takes them if so (I7).
    pub(crate) fn admits_secret(&self, bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(bytes);
        self.allowance.secret_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Whether the agent's rate allows a note of so many bytes now. One beyond its size ends the agent.
    pub(crate) fn admits_note(&self, bytes: usize) -> Result<bool, Ended> {
        self.allowance.notes.lock().unwrap_or_else(PoisonError::into_inner).admit(bytes, Instant::now())
    }
}

/// The data of a store.
pub(crate) struct Agent {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) powers: Arc<Powers>,
    pub(crate) messages: Messages,
    pub(crate) network: Network,
    pub(crate) http: Http,
    pub(crate) quota: Option<Quota>,
    /// How many capability calls were made, whatever became of them.
    pub(crate) calls: u64,
}

impl Agent {
    /// Tells a run that learns what this instance made of its memory and its directory.
    pub(crate) fn tell_learner(&self) {
        let Some(learner) = &self.powers.learner else { return };
        if self.limiter.has_grown() {
            learner.note_growth();
        }
        if self.quota.as_ref().is_some_and(Quota::holds_anything) {
            learner.note_storage();
        }
    }
}

impl WasiView for Agent {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
