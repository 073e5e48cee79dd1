//! The vault and its log together, without processes and kills.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod faults;
mod together;

use super::*;
use crate::clock::SystemClock;
use crate::custody::KeyHandle;
use crate::custody::testing::{TestHome, open_home, reopened};
use crate::home::Home;
use crate::log::entry::Entry;
use crate::log::reader::LogReader;
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

/// The details of the entries of a log, in order.
fn entries(home: &Home, vault: &AuditedVault) -> Vec<Entry> {
    vault.log.publish().unwrap();
    let reader = LogReader::open(&home.log()).unwrap();
    let entries = reader.entries(0..reader.size().unwrap());
    entries.map(|entry| Entry::parse_unverified(&entry.unwrap().1).unwrap()).collect()
}

#[test]
fn every_access_and_change_is_in_the_log_with_its_facts_and_no_secret() {
    let (test, vault) = opened();
    let marker = "marker-that-is-secret";
    let weather = id("api_key/weather");
    vault.change(by(), put("api_key/weather", marker)).unwrap();
    vault.reveal(by(), &weather).unwrap();
    vault.send(by(), &weather, "example.com:443").unwrap();
    vault.use_secret(by(), &weather, Operation::Derive { context: "c".to_owned(), length: 32 }).unwrap();
    vault.versions(by(), &weather).unwrap();
    vault.change(by(), Change::RotateKey).unwrap();
    let kdf = crate::custody::Kdf::board();
    vault.export(by(), Recipient::Passphrase { passphrase: secret("p"), kdf }).unwrap();
    vault.list(by()).unwrap();

    let entries = entries(&test.home, &vault);
    let words: Vec<&str> = entries.iter().map(|entry| entry.details["operation"].as_str().unwrap()).collect();
    assert_eq!(words, ["put", "reveal", "send", "derive", "versions", "rotate-key", "export", "list"]);
    for entry in &entries {
        assert_eq!(entry.details["environment"], "default");
        let target = entry.target.as_ref().unwrap();
        let is_of_one =
            !["rotate-key", "export", "list"].contains(&entry.details["operation"].as_str().unwrap());
        let expected = if is_of_one { ("secret", "api_key/weather") } else { ("vault", "default") };
        assert_eq!((target.kind.as_str(), target.id.as_str()), expected);
        let is_change = ["put", "rotate-key"].contains(&entry.details["operation"].as_str().unwrap());
        assert_eq!(entry.details.contains_key("vault"), is_change, "{entry:?}");
        assert!(!format!("{entry:?}").contains(marker));
    }
    assert_eq!(entries[2].details["audience"], "example.com:443");
    assert_eq!(entries[5].details["vault"]["generation"], 2);
}

#[test]
fn an_older_vault_is_refused_though_the_host_was_restarted() {
    let (test, vault) = opened();
    vault.change(by(), put("api_key/a", "old")).unwrap();
    let path = test.home.vault().join("default.json");
    let old = std::fs::read(&path).unwrap();
    vault.change(by(), put("api_key/a", "new")).unwrap();
    // The entries that note the vault have long left the journal.
    for _ in 0..600 {
        vault.log.submit(by(), |_| {});
    }
    vault.log.close().unwrap();
    drop(vault);
    std::fs::write(&path, old).unwrap();
    let vault = another(&test.home);
    assert!(matches!(
        vault.reveal(by(), &id("api_key/a")),
        Err(AuditedVaultError::Custody(CustodyError::Vault(VaultError::RolledBack { .. })))
    ));
    assert!(vault.change(by(), put("api_key/a", "x")).is_err());
}

#[test]
fn a_vault_is_carried_to_another_home() {
    let (_test, vault) = opened();
    vault.change(by(), put("api_key/a", "1")).unwrap();
    let (_elsewhere, other) = opened();
    let key: crate::custody::KeyName = "operator/olivia".parse().unwrap();
    let public = other.custodian.create(&key).unwrap();
    let document = vault.export(by(), Recipient::Key { key: public.agreement_key }).unwrap();
    let import = Change::Import { document, opening: crate::vault::Opening::Key { key } };
    other.change(by(), import.clone()).unwrap();
    assert_eq!(other.reveal(by(), &id("api_key/a")).unwrap(), secret("1"));
    assert!(matches!(
        other.change(by(), import),
        Err(AuditedVaultError::Custody(CustodyError::Vault(VaultError::Exists { .. })))
    ));
}
