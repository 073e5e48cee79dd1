//! What is linked already, so that it is linked once.
//!
//! In scope: a linker for each set of interfaces, a command for each component. Out of scope: which interfaces a component may have
//! (`load`).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use kos_core::id::Digest;
use wasmtime::Engine;
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::agent::Agent;
use crate::capability::Interface;
use crate::http;
use crate::interfaces::Imports;
use crate::wasi;

/// Most components that a host keeps linked. More are linked again when they are launched.
const LINKED: usize = 256;

/// What decides which linker a component has: its interfaces of the contract, and whether it imports HTTP.
type Wanted = (BTreeSet<Interface>, bool);

/// What is linked already: a linker for each set of interfaces, and a command for each component.
#[derive(Default)]
pub(crate) struct Linked {
    linkers: Mutex<HashMap<Wanted, Arc<Linker<Agent>>>>,
    commands: Mutex<HashMap<Digest, CommandPre<Agent>>>,
}

impl Linked {
    pub(crate) fn command(&self, digest: &Digest) -> Option<CommandPre<Agent>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    pub(crate) fn keep(&self, digest: Digest, command: &CommandPre<Agent>) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if commands.len() >= LINKED {
            commands.clear();
        }
        commands.insert(digest, command.clone());
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
