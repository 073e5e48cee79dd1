//! The contract in `wit/`, as Rust types.
//!
//! In scope: types and traits that the compiler derives from the WIT: of the world `service`, whose imports are all that there are. Out of scope: what they do (`capability`).
//! The traits of `crypto`, `vault` and `messaging` are not used: their functions are wired by hand, to read lists in place.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "kos:agent/service",
    imports: {
        "kos:agent/audit.note": async | trappable,
        "kos:agent/identity.self": async | trappable,
        "kos:agent/identity.grants": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: { "kos:agent/crypto.hasher": crate::capability::crypto::Hasher },
});

pub(crate) use kos::agent::messaging::DeliveryError;
pub(crate) use kos::agent::types::{Error, Message};
pub(crate) use kos::agent::{audit, crypto, identity, vault};

impl From<kos_core::permission::Denied> for Error {
    /// The agent hears that it may not; the log has heard why. What it may do and only cannot now, it hears so.
    fn from(denied: kos_core::permission::Denied) -> Self {
        match denied.reason {
            kos_core::permission::Reason::Locked => Self::Unavailable,
            _ => Self::Denied,
        }
    }
}
