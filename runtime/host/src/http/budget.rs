//! What is relayed for an agent is charged to its fuel, at one unit for a byte (I7).
//!
//! Bytes pass while the guest waits, where its fuel cannot be touched. So each request sets aside what fuel is left as the
//! most that may pass until the next one, and charges what has passed by then.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmtime_wasi_http::Error;

/// How many bytes may still pass, and how many have passed since the last charge.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Account>);

#[derive(Debug, Default)]
struct Account {
    allowed: u64,
    passed: u64,
}

impl Budget {
    /// Lets so many bytes pass until the next charge.
    pub(super) fn allow(&self, bytes: u64) {
        self.account().allowed = bytes;
    }

    /// Ends the account so far: what is to be charged for it.
    pub(super) fn settle(&self) -> u64 {
        std::mem::take(&mut *self.account()).passed
    }

    /// What a charge would come to now.
    pub(super) fn owed(&self) -> u64 {
        self.account().passed
    }

    /// Counts bytes that pass now.
    ///
    /// # Errors
    /// When the agent's fuel does not last for them.
    pub(super) fn pass(&self, bytes: usize) -> Result<(), Error> {
        let mut account = self.account();
        let passed = account.passed.saturating_add(bytes as u64);
        if passed > account.allowed {
            return Err(Error::InternalError(Some("the agent has no fuel left for this body".into())));
        }
        account.passed = passed;
        Ok(())
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_up_to_the_fuel_and_are_charged_once() {
        let budget = Budget::default();
        assert!(budget.pass(1).is_err());
        budget.allow(10);
        assert!(budget.pass(6).is_ok() && budget.pass(4).is_ok());
        assert!(budget.pass(1).is_err());
        assert_eq!(budget.owed(), 10);
        assert_eq!(budget.settle(), 10);
        assert_eq!(budget.settle(), 0);
    }
}
