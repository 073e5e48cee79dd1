//! The state of each vault that the newest entry tells of, so that an older file in its place is seen.
//!
//! In scope: the detail `vault` of `vault_access` and `system_modification` entries. Out of scope: opening a vault
//! ([`crate::custody`]). A detail of another shape tells of no vault.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{Digest, Name};
use crate::vault::Noted;

/// The state of one vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotedVault {
    /// Whose vault: the environment.
    pub environment: Name,
    /// The number of the state.
    pub generation: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
}

impl NotedVault {
    pub(super) fn new(environment: &Name, noted: &Noted) -> Self {
        Self { environment: environment.clone(), generation: noted.generation, digest: noted.digest }
    }

    pub(super) fn of_detail(detail: &Value) -> Option<Self> {
        Self::deserialize(detail).ok()
    }

    pub(super) fn noted(&self) -> Noted {
        Noted { generation: self.generation, digest: self.digest }
    }
}
