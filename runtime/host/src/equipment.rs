//! What the instances of one run are equipped with: their output, their directory, their network, their limits.
//!
//! In scope: making the state of a store, for the first instance of a run and for each after it. Out of scope: who may have what,
//! which is decided before (`launch`).

use std::sync::Arc;

use kos_core::permission::{Limits, MemoryAccess};
use wasmtime::component::ResourceTable;

use crate::agent::{Agent, Powers};
use crate::capability::messaging::Messages;
use crate::http::{Http, Places, Tls};
use crate::limits::Limiter;
use crate::network::Network;
use crate::output::Output;
use crate::router::Router;
use crate::run::size;
use crate::storage::{Directory, Quota};
use crate::wasi::{self, Stdin};

/// What each instance of a run gets. Given back when dropped.
pub(crate) struct Equipment {
    pub(crate) arguments: Vec<String>,
    pub(crate) stdin: Stdin,
    pub(crate) output: Output,
    pub(crate) limits: Limits,
    pub(crate) memory: MemoryAccess,
    pub(crate) network: Network,
    pub(crate) tls: Arc<Tls>,
    pub(crate) requests: Places,
    pub(crate) router: Arc<Router>,
    pub(crate) powers: Arc<Powers>,
    pub(crate) directory: Option<Directory>,
}

/// What one instance leaves to the next of the same run: how much of the run's own limits is spent.
pub(crate) struct Spent {
    quota: Option<Quota>,
    calls: u64,
}

impl Equipment {
    /// What a run begins with.
    pub(crate) fn unspent(&self) -> std::io::Result<Spent> {
        let quota = self.directory.as_ref().map(|directory| self.quota(directory)).transpose()?;
        Ok(Spent { quota, calls: 0 })
    }

    fn quota(&self, directory: &Directory) -> std::io::Result<Quota> {
        Quota::of(directory.path(), self.limits.storage, self.limits.files)
    }

    /// The state of an instance's store.
    pub(crate) fn agent(&self, spent: Spent) -> wasmtime::Result<Agent> {
        let limits = &self.limits;
        let mut context =
            wasi::context(&self.arguments, self.stdin.clone(), &self.output, self.directory.as_ref())?;
        self.network.grant(&mut context, &self.powers);
        let mut table = ResourceTable::new();
        table.set_max_capacity(size(limits.handles));
        let mut limiter = Limiter::new(size(limits.memory), size(limits.table), size(limits.instances));
        if self.memory < MemoryAccess::Write {
            limiter.keep_size_after_start();
        }
        Ok(Agent {
            wasi: context.build(),
            table,
            limiter,
            http: Http::new(Arc::clone(&self.powers), Arc::clone(&self.tls), self.requests.clone()),
            powers: Arc::clone(&self.powers),
            messages: Messages::new(Arc::clone(&self.router)),
            network: self.network.clone(),
            quota: spent.quota,
            calls: spent.calls,
        })
    }

    /// The state of the next instance, after one that has ended. What that one left in a temporary directory is gone.
    pub(crate) fn next_agent(&self, spent: Spent) -> wasmtime::Result<Agent> {
        let quota = match (&self.directory, spent.quota) {
            (Some(directory), _) if directory.is_temporary() => {
                directory.empty()?;
                Some(self.quota(directory)?)
            }
            (_, quota) => quota.map(Quota::of_next_instance),
        };
        self.agent(Spent { quota, calls: spent.calls })
    }
}

impl From<Agent> for Spent {
    fn from(agent: Agent) -> Self {
        Self { quota: agent.quota, calls: agent.calls }
    }
}
