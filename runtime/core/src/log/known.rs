//! What a log tells of its newest entry without waiting for the disk.
//!
//! In scope: a copy of it for those who do not write. Out of scope: keeping account ([`super::followed`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::state::State;
use crate::clock::Timestamp;
use crate::id::Name;
use crate::vault::Noted;

/// The newest that is known. A copy follows the log.
#[derive(Clone, Default)]
pub(crate) struct Known(Arc<Mutex<Newest>>);

#[derive(Default)]
struct Newest {
    timestamp: Option<Timestamp>,
    vaults: BTreeMap<Name, Noted>,
    engaged: Option<u64>,
}

impl Known {
    pub(super) fn update(&self, state: &State) {
        let mut newest = self.newest();
        newest.timestamp = Some(state.last_timestamp);
        newest.engaged = state.followed.engaged();
        if newest.vaults != *state.followed.vaults() {
            newest.vaults.clone_from(state.followed.vaults());
        }
    }

    /// When the newest entry was written; the beginning of time where there is none.
    pub(super) fn timestamp(&self) -> Timestamp {
        self.newest().timestamp.unwrap_or(Timestamp::from_millis(0))
    }

    /// The state of an environment's vault.
    pub(crate) fn vault(&self, environment: &Name) -> Option<Noted> {
        self.newest().vaults.get(environment).copied()
    }

    /// The entry by which everything was stopped, unless it was released.
    pub(super) fn engaged(&self) -> Option<u64> {
        self.newest().engaged
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
