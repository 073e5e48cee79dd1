//! What an author signs: a component and its manifest, in one file, and the proof that both are as they were signed.
//!
//! Source: in-toto Statement v1 in DSSE v1.0.2; the WebAssembly component binary format. In scope: finding the
//! signature in the file, the manifest in its one form, signing, and the whole judgement of a component
//! ([`UnverifiedComponent::verify`]). Out of scope: whom the operators trust ([`crate::trust`]); what the agent may then
//! do ([`crate::permission`]).
//!
//! Invariants: nothing unsigned runs, the bytes that were hashed are the bytes that are handed on, and every key comes
//! from the operators' store (I1); a manifest that says anything unknown is refused (I2).

mod agent_file;
mod component;
mod declared;
mod error;
mod imports;
mod refusal;
mod section;
mod sign;
mod statement;
mod verify;

pub use agent_file::ManifestDefaults;
pub use component::UnverifiedComponent;
pub use declared::{AgentManifest, Declared, Instances, Resources, Service};
pub use error::ManifestError;
pub use imports::imports;
pub use refusal::Refusal;
pub use section::{COMPONENT_MAX, ComponentError, FILE_MAX, attach, strip};
pub use sign::{SignComponentError, sign};
pub use statement::{PREDICATE_TYPE, STATEMENT_PAYLOAD_TYPE, STATEMENT_TYPE};
pub use verify::{Rollback, VerifiedComponent};

/// A statement's payload, read and written again.
pub(crate) fn rewritten(payload: &[u8]) -> Option<Vec<u8>> {
    statement::ManifestStatement::from_payload(payload).ok()?.to_payload().ok()
}

#[cfg(test)]
mod tests;
