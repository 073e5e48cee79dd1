//! Several processes' worth of custodians and logs on one home.

use super::*;
use crate::log::verify::verify;

/// How many secrets each writer stores.
const EACH: usize = 12;

#[test]
fn writers_in_several_processes_lose_no_update_and_wait_for_nobody_for_ever() {
    let (test, first) = opened();
    first.change(by(), Change::KeepVersions { versions: 100 }).unwrap();
    let second = another(&test.home);
    // Two of them within one process, and one in another.
    let again =
        AuditedVault::new(Arc::clone(&first.custodian), Arc::clone(&first.log), first.environment.clone());
    thread::scope(|scope| {
        for (writer, vault) in [&first, &again, &second].into_iter().enumerate() {
            scope.spawn(move || {
                for number in 0..EACH {
                    let own = format!("api_key/w{writer}-{number}");
                    vault.change(by(), put(&own, &own)).unwrap();
                    vault.change(by(), put("api_key/shared", &own)).unwrap();
                    assert_eq!(vault.reveal(by(), &id(&own)).unwrap(), secret(&own));
                }
            });
        }
    });
    for vault in [&first, &second, &another(&test.home)] {
        for writer in 0..3 {
            for number in 0..EACH {
                let own = format!("api_key/w{writer}-{number}");
                assert_eq!(vault.reveal(by(), &id(&own)).unwrap(), secret(&own));
            }
        }
        let versions = vault.versions(by(), &id("api_key/shared")).unwrap();
        assert_eq!(versions.len(), 3 * EACH, "every version is there once");
        assert_eq!(vault.list(by()).unwrap().len(), 3 * EACH + 1);
    }
    let key = first.log.vkey().clone();
    first.log.publish().unwrap();
    verify(&test.home.log(), &key, None).unwrap();
}

#[test]
fn what_one_process_changes_is_seen_by_another_at_once() {
    let (test, first) = opened();
    let second = another(&test.home);
    for number in 0..10 {
        let (writer, reader) = if number % 2 == 0 { (&first, &second) } else { (&second, &first) };
        writer.change(by(), put("api_key/a", &number.to_string())).unwrap();
        assert_eq!(reader.reveal(by(), &id("api_key/a")).unwrap(), secret(&number.to_string()));
    }
    second.change(by(), Change::Remove { id: id("api_key/a") }).unwrap();
    assert!(first.reveal(by(), &id("api_key/a")).is_err());
}

#[test]
fn accesses_at_once_get_each_its_own_answer_and_its_own_entry() {
    const CALLERS: usize = 16;
    let (test, vault) = opened();
    for number in 0..CALLERS {
        vault.change(by(), put(&format!("api_key/k{number}"), &number.to_string())).unwrap();
    }
    thread::scope(|scope| {
        for number in 0..CALLERS {
            let vault = &vault;
            scope.spawn(move || {
                for _ in 0..EACH {
                    let revealed = vault.reveal(by(), &id(&format!("api_key/k{number}"))).unwrap();
                    assert_eq!(revealed, secret(&number.to_string()));
                }
                assert!(vault.reveal(by(), &id("api_key/none")).is_err());
            });
        }
    });
    vault.log.publish().unwrap();
    let reader = LogReader::open(&test.home.log()).unwrap();
    let revealed = reader.entries(0..u64::MAX).filter(|item| {
        Entry::parse_unverified(&item.as_ref().unwrap().1).unwrap().details["operation"] == "reveal"
    });
    assert_eq!(revealed.count(), CALLERS * (EACH + 1));
}
