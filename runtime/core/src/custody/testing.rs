//! What the tests of custody share: a home in a temporary directory, unlocked by a secret that costs nothing.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Custodian, KeyName, SlotSpec, ThreadCustodian, Unlock};
use crate::home::Home;

/// The secret of every test's first slot.
pub(crate) const SECRET: [u8; 32] = [0x53; 32];

pub(crate) struct TestHome {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) home: Home,
}

/// A home without slots.
#[expect(clippy::unwrap_used, reason = "a test without its directory has failed")]
pub(crate) fn empty_home() -> TestHome {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    TestHome { folder, home }
}

/// A home with one slot, and its custodian.
#[expect(clippy::unwrap_used, reason = "a test without its home has failed")]
pub(crate) fn open_home() -> (TestHome, Arc<ThreadCustodian>) {
    let test = empty_home();
    let custodian = super::initialise(&test.home, &[secret_slot(SECRET)]).unwrap();
    (test, Arc::new(custodian))
}

/// The home's custodian again, as another process would have it.
#[expect(clippy::unwrap_used, reason = "a test without its custodian has failed")]
pub(crate) fn reopened(home: &Home) -> Arc<dyn Custodian> {
    Arc::new(super::unlock(home, &secret(SECRET)).unwrap())
}

pub(crate) fn secret_slot(secret: [u8; 32]) -> SlotSpec {
    SlotSpec::Secret { secret: Zeroizing::new(secret.to_vec()) }
}

pub(crate) fn secret(secret: [u8; 32]) -> Unlock {
    Unlock::Secret(Zeroizing::new(secret.to_vec()))
}

pub(crate) fn passphrase(text: &str) -> Unlock {
    Unlock::Passphrase(Zeroizing::new(text.to_owned()))
}

#[expect(clippy::unwrap_used, reason = "a test with a malformed name has failed")]
pub(crate) fn key(text: &str) -> KeyName {
    text.parse().unwrap()
}
