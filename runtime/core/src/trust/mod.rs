//! Whom the operator trusts, how far, and what each level may hold at most: the signed trust store.
//!
//! Source: the specification's `TrustPolicy`; DSSE v1.0.2. In scope: the document, its edits, its installation, and the
//! proof that it is the operators' newest ([`VerifiedTrust`]). Out of scope: which keys are the operators', which is
//! `host.json`'s ([`crate::home`]).
//!
//! Invariants: an empty store means nobody (I1); a ceiling only ever narrows, and a lower level never holds more than a
//! higher one (I2); an older store, however well signed, is refused once a newer one was seen.

mod change;
mod error;
mod explain;
mod file;
mod policy;
mod store;
mod verified;

pub use change::Change;
pub use error::TrustError;
pub use explain::TrustExplanation;
pub use file::{STORE_FILE, install, install_signed};
pub use policy::{CeilingPattern, Policies, ResourceLimits, Restrictions, TrustPolicy};
pub use store::{AuthorTrust, Revocation, TRUST_PAYLOAD_TYPE, TrustStore};
pub use verified::VerifiedTrust;

/// A trust store's payload, read and written again.
pub(crate) fn rewritten(payload: &[u8]) -> Option<Vec<u8>> {
    TrustStore::from_payload(payload).ok()?.to_payload().ok()
}

#[cfg(test)]
mod tests;
