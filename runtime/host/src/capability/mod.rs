//! What an agent can be given: one file per interface of the contract.
//!
//! Each function asks the gate first and hands the grant to the operation, so that an operation without a check does not
//! compile (I3). The agent gets a coarse error; the log gets the cause.
//!
//! In scope: the wiring between contract, gate and core. Out of scope: the rules (`kos_core::permission`).

pub(crate) mod audit;
pub(crate) mod call;
pub(crate) mod crypto;
pub(crate) mod identity;
pub(crate) mod messaging;
mod vault;

use wasmtime::component::{HasSelf, Linker};

use crate::agent::Agent;
use crate::bindings;

/// An interface of the contract that this host implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Interface {
    Identity,
    Crypto,
    Audit,
    Vault,
    Messaging,
}

impl Interface {
    pub(crate) const ALL: [Self; 5] =
        [Self::Identity, Self::Crypto, Self::Audit, Self::Vault, Self::Messaging];

    /// The interface's name within the package.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Crypto => "crypto",
            Self::Audit => "audit",
            Self::Vault => "vault",
            Self::Messaging => "messaging",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interface| interface.name() == name)
    }

    /// Puts the interface's functions where a component that imports them finds them.
    pub(crate) fn add_to(self, linker: &mut Linker<Agent>) -> wasmtime::Result<()> {
        match self {
            Self::Identity => bindings::identity::add_to_linker::<_, HasSelf<Agent>>(linker, |agent| agent),
            Self::Crypto => crypto::add_to_linker(linker),
            Self::Audit => bindings::audit::add_to_linker::<_, HasSelf<Agent>>(linker, |agent| agent),
            Self::Vault => vault::add_to_linker(linker),
            Self::Messaging => messaging::add_to_linker(linker),
        }
    }
}
