//! The log fails, or its process dies, at every call that a change makes: the vault is as it was or as it was to be, what
//! was acknowledged is there, and it goes on unaided (I5, I8).

use std::path::Path;

use super::*;
use crate::durable::simulated::{Fault, IO_ERROR, NO_SPACE, SimulatedDisk};

/// What follows a fault.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The same process opens its log again.
    Reopened,
    /// Another process comes.
    Restarted,
    /// The machine starts anew, and of what was not synchronised all, nothing, or every other write survives.
    PowerCut(Survives),
}

#[derive(Clone, Copy, Debug)]
enum Survives {
    All,
    Nothing,
    EveryOther,
}

const FAULTS: [Fault; 4] =
    [Fault::Refused(IO_ERROR), Fault::Lied(IO_ERROR), Fault::RefusedThenKilled(IO_ERROR), Fault::Killed];
const AFTER: [Then; 5] = [
    Then::Reopened,
    Then::Restarted,
    Then::PowerCut(Survives::All),
    Then::PowerCut(Survives::Nothing),
    Then::PowerCut(Survives::EveryOther),
];

fn vault_on(disk: &SimulatedDisk, custodian: Arc<dyn Custodian>) -> AuditedVault {
    let host = Arc::new(KeyHandle::new(Arc::clone(&custodian), "host/host".parse().unwrap()).unwrap());
    let disk = Arc::new(disk.clone());
    let log =
        Log::on_disk(disk, false, Path::new("/log"), "kos.test/log", host, Arc::new(SystemClock)).unwrap();
    AuditedVault::new(custodian, Arc::new(log), "default".parse().unwrap())
}

fn cut(disk: &SimulatedDisk, survives: Survives) {
    let mut turn = false;
    disk.cut_power(&mut || match survives {
        Survives::All => true,
        Survives::Nothing => false,
        Survives::EveryOther => {
            turn = !turn;
            turn
        }
    });
}

/// One change, which meets `fault` at the call `at`. Says whether it did.
fn round(change: &Change, fault: Fault, then: Then, at: u64) -> bool {
    let (test, custodian) = open_home();
    custodian.create(&"host/host".parse().unwrap()).unwrap();
    let disk = SimulatedDisk::default();
    let mut vault = vault_on(&disk, custodian);
    vault.change(by(), put("api_key/a", "old")).unwrap();
    vault.change(by(), put("api_key/b", "kept")).unwrap();
    disk.fail_at(at, fault);
    let outcome = vault.change(by(), change.clone());
    let was_met = !disk.is_armed();
    match then {
        Then::Reopened => {
            disk.revive();
            if was_met {
                vault.log.reopen().unwrap();
            }
        }
        Then::Restarted => {
            drop(vault);
            disk.revive();
            vault = vault_on(&disk, reopened(&test.home));
        }
        Then::PowerCut(survives) => {
            std::mem::forget(vault);
            cut(&disk, survives);
            vault = vault_on(&disk, reopened(&test.home));
        }
    }
    let case = format!("{fault:?} at call {at}, then {then:?}");
    let value = vault.reveal(by(), &id("api_key/a"));
    let value = value.unwrap_or_else(|error| panic!("{case}: {error}"));
    assert!([secret("old"), secret("new")].contains(&value), "{case}");
    if outcome.is_ok() {
        assert_eq!(value, secret("new"), "{case}: it was acknowledged");
    }
    assert_eq!(vault.reveal(by(), &id("api_key/b")).unwrap(), secret("kept"), "{case}");
    vault.change(by(), put("api_key/c", "next")).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(vault.reveal(by(), &id("api_key/a")).unwrap(), value, "{case}: it does not change its mind");
    assert_eq!(vault.list(by()).unwrap().len(), 3, "{case}");
    was_met
}

#[test]
fn a_log_that_fails_at_any_call_loses_nothing_of_the_vault() {
    for fault in FAULTS {
        for then in AFTER {
            let mut at = 0;
            while round(&put("api_key/a", "new"), fault, then, at) {
                at += 1;
            }
            assert!(at > 3, "a change makes several calls");
        }
    }
}

#[test]
fn nothing_is_revealed_that_the_log_could_not_note_before() {
    let (_test, custodian) = open_home();
    custodian.create(&"host/host".parse().unwrap()).unwrap();
    let disk = SimulatedDisk::default();
    let vault = vault_on(&disk, custodian);
    vault.change(by(), put("api_key/a", "1")).unwrap();
    disk.fail_at(1, Fault::Refused(NO_SPACE));
    assert!(matches!(vault.reveal(by(), &id("api_key/a")), Err(AuditedVaultError::Log(_))));
    disk.fail_at(1, Fault::Refused(NO_SPACE));
    let mac = Operation::Mac { algorithm: MacAlgorithm::HmacSha256, message: Vec::new() };
    assert!(matches!(vault.use_secret(by(), &id("api_key/a"), mac), Err(AuditedVaultError::Log(_))));
}
