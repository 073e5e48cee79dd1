//! The vault and its log together, without processes and kills.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::clock::SystemClock;
use crate::custody::KeyHandle;
use crate::custody::testing::{TestHome, open_home, reopened};
use crate::home::Home;
use crate::log::{EventType, PartyType};
use crate::vault::MacAlgorithm;

fn id(text: &str) -> SecretId {
    text.parse().unwrap()
}

fn by() -> Event {
    Event::new(EventType::VaultAccess, PartyType::User, "did:key:tester")
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn put(name: &str, value: &str) -> Change {
    Change::Put { id: id(name), value: secret(value), expires_at: None }
}

/// A home with a host key, its custodian, and its log.
fn opened() -> (TestHome, AuditedVault) {
    let (test, custodian) = open_home();
    custodian.create(&"host/host".parse().unwrap()).unwrap();
    let vault = vault_of(&test.home, custodian);
    (test, vault)
}

/// Log and custodian over a home, as one process has them.
fn vault_of(home: &Home, custodian: Arc<dyn Custodian>) -> AuditedVault {
    let host = Arc::new(KeyHandle::new(Arc::clone(&custodian), "host/host".parse().unwrap()).unwrap());
    let log = Log::open(&home.log(), "kos.test/log", host, Arc::new(SystemClock)).unwrap();
    AuditedVault::new(custodian, Arc::new(log), "default".parse().unwrap())
}

fn another(home: &Home) -> AuditedVault {
    vault_of(home, reopened(home))
}

#[test]
fn a_secret_is_stored_used_revealed_listed_and_removed() {
    let (_test, vault) = opened();
    assert!(vault.list(by()).unwrap().is_empty());
    vault.change(by(), put("api_key/weather", "key")).unwrap();
    let operation = Operation::Mac { algorithm: MacAlgorithm::HmacSha256, message: b"message".to_vec() };
    let tag = vault.use_secret(by(), &id("api_key/weather"), operation).unwrap();
    assert_eq!(tag.expose().len(), 32);
    assert_eq!(vault.reveal(by(), &id("api_key/weather")).unwrap(), secret("key"));
    let listed = vault.list(by()).unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].last_accessed.is_some());
    vault.change(by(), Change::Remove { id: id("api_key/weather") }).unwrap();
    assert!(vault.list(by()).unwrap().is_empty());
    assert!(matches!(
        vault.reveal(by(), &id("api_key/weather")),
        Err(AuditedVaultError::Custody(CustodyError::Vault(VaultError::NoSuchSecret { .. })))
    ));
}

#[test]
fn what_was_stored_is_there_for_the_next_process() {
    let (test, vault) = opened();
    vault.change(by(), put("password/db", "one")).unwrap();
    vault.change(by(), put("password/db", "two")).unwrap();
    drop(vault);
    let vault = another(&test.home);
    assert_eq!(vault.reveal(by(), &id("password/db")).unwrap(), secret("two"));
    assert_eq!(vault.versions(by(), &id("password/db")).unwrap().len(), 2);
}
