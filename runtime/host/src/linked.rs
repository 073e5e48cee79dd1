//! What is linked already, so that it is linked once.
//!
//! In scope: a linker for each set of interfaces, a program for each component. Out of scope: which interfaces a component may have
//! (`load`).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use kos_core::id::Digest;
use wasmtime::Engine;
use wasmtime::component::{InstancePre, Linker};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::agent::Agent;
use crate::bindings::ServicePre;
use crate::capability::Interface;
use crate::http;
use crate::interfaces::Imports;
use crate::refusal::Refusal;
use crate::wasi;

/// Most components that a host keeps linked. More are linked again when they are launched.
const LINKED: usize = 256;

/// What decides which linker a component has: its interfaces of the contract, and whether it imports HTTP.
type Wanted = (BTreeSet<Interface>, bool);

/// A component that is linked: what its host can do with it.
#[derive(Clone)]
pub(crate) enum Program {
    /// Its `main` is run once.
    Task(CommandPre<Agent>),
    /// It handles messages.
    Service(ServicePre<Agent>),
}

impl Program {
    /// What a component is, by what it exports.
    pub(crate) fn of(instance: InstancePre<Agent>) -> Result<Self, Refusal> {
        match (CommandPre::new(instance.clone()), ServicePre::new(instance)) {
            (Ok(command), Err(_)) => Ok(Self::Task(command)),
            (Err(_), Ok(service)) => Ok(Self::Service(service)),
            (Ok(_), Ok(_)) => Err(Refusal::TwoMains),
            (Err(_), Err(_)) => Err(Refusal::NoMain),
        }
    }
}

/// What is linked already: a linker for each set of interfaces, and a program for each component.
#[derive(Default)]
pub(crate) struct Linked {
    linkers: Mutex<HashMap<Wanted, Arc<Linker<Agent>>>>,
    programs: Mutex<HashMap<Digest, Program>>,
}

impl Linked {
    pub(crate) fn program(&self, digest: &Digest) -> Option<Program> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    pub(crate) fn keep(&self, digest: Digest, program: &Program) {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if programs.len() >= LINKED {
            programs.clear();
        }
        programs.insert(digest, program.clone());
    }

    pub(crate) fn linker(&self, engine: &Engine, imports: &Imports) -> wasmtime::Result<Arc<Linker<Agent>>> {
        let wanted = (imports.interfaces.clone(), imports.http);
        let mut linkers = self.linkers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linker) = linkers.get(&wanted) {
            return Ok(Arc::clone(linker));
        }
        let mut linker = Linker::new(engine);
        wasi::add_to_linker(&mut linker)?;
        if imports.http {
            http::add_to_linker(&mut linker)?;
        }
        for interface in &imports.interfaces {
            interface.add_to(&mut linker)?;
        }
        let linker = Arc::new(linker);
        linkers.insert(wanted, Arc::clone(&linker));
        Ok(linker)
    }
}
