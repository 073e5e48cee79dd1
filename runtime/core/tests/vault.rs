//! The vault from outside: its documents against another implementation of the format (I9).

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod foreign;

use std::sync::Arc;

use kos_core::audited_vault::AuditedVault;
use kos_core::clock::{SystemClock, Timestamp};
use kos_core::custody::{self, Custodian, KeyHandle, KeyName, Secret, SlotSpec};
use kos_core::home::Home;
use kos_core::log::{Event, EventType, Log, PartyType};
use kos_core::vault::{Change, Opening};

fn by() -> Event {
    Event::new(EventType::VaultAccess, PartyType::User, "did:key:tester")
}

#[test]
fn a_vault_that_another_implementation_wrote_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    let slot = SlotSpec::Secret { secret: vec![7; 32].into() };
    let custodian: Arc<dyn Custodian> = Arc::new(custody::initialise(&home, &[slot]).unwrap());
    let host: KeyName = "host/host".parse().unwrap();
    custodian.create(&host).unwrap();
    let host = Arc::new(KeyHandle::new(Arc::clone(&custodian), host).unwrap());
    let log = Log::open(&home.log(), "kos.test/log", host, Arc::new(SystemClock)).unwrap();
    let key: KeyName = "operator/olivia".parse().unwrap();
    let recipient = custodian.create(&key).unwrap().agreement_key;
    let vault = AuditedVault::new(custodian, Arc::new(log), "default".parse().unwrap());

    let secrets: [(&str, &[u8]); 3] = [("weather", b"one"), ("a", &[0, 255]), ("b-2", b"three")];
    let document = foreign::exported(&recipient, secrets);
    vault.change(by(), Change::Import { document, opening: Opening::Key { key } }).unwrap();
    for (name, value) in secrets {
        let id = format!("api_key/{name}").parse().unwrap();
        assert_eq!(vault.reveal(by(), &id).unwrap(), Secret::new(value.to_vec()), "{name}");
    }
    let listed = vault.list(by()).unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(
        (listed[0].created, listed[0].changed),
        (Timestamp::from_millis(1), Timestamp::from_millis(2))
    );
}
