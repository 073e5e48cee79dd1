//! What each change makes.

use proptest::prelude::*;

use super::*;
use crate::canonical;

fn versions(vault: &Vault, name: &str) -> Vec<u32> {
    vault.versions(&id(name)).unwrap().iter().map(|version| version.version).collect()
}

#[test]
fn every_change_makes_the_next_generation() {
    let vault = holding(&[("api_key/a", "1"), ("api_key/a", "2")]);
    assert_eq!((empty().generation(), vault.generation()), (0, 2));
    for change in [
        Change::RotateKey,
        Change::KeepVersions { versions: 1 },
        Change::Restore { id: id("api_key/a"), version: 1 },
        Change::Rename { from: id("api_key/a"), to: id("api_key/b") },
        Change::Remove { id: id("api_key/a") },
    ] {
        assert_eq!(changed(&vault, &change).generation(), 3, "{change:?}");
    }
}

#[test]
fn a_secret_keeps_its_last_versions_the_newest_first() {
    let mut vault = holding(&[("api_key/a", "1")]);
    for number in 2..=6 {
        vault = changed(&vault, &put("api_key/a", &number.to_string()));
    }
    assert_eq!(versions(&vault, "api_key/a"), [6, 5, 4, 3]);
    assert_eq!(value(&vault, "api_key/a").unwrap(), "6");
    let listed = vault.list();
    assert_eq!((listed[0].version, listed[0].created, listed[0].changed), (6, at(1_000), at(1_005)));

    let fewer = changed(&vault, &Change::KeepVersions { versions: 1 });
    assert_eq!(versions(&fewer, "api_key/a"), [6, 5]);
    let none = changed(&vault, &Change::KeepVersions { versions: 0 });
    assert_eq!(versions(&changed(&none, &put("api_key/a", "7")), "api_key/a"), [7]);
    assert!(matches!(
        try_change(&vault, &Change::KeepVersions { versions: 101 }),
        Err(VaultError::Malformed { .. })
    ));
}

#[test]
fn a_restored_version_is_the_newest_and_what_it_replaced_is_kept() {
    let vault = holding(&[("api_key/a", "old"), ("api_key/a", "new")]);
    let restored = changed(&vault, &Change::Restore { id: id("api_key/a"), version: 1 });
    assert_eq!(value(&restored, "api_key/a").unwrap(), "old");
    assert_eq!(versions(&restored, "api_key/a"), [3, 2, 1]);
    let again = changed(&restored, &Change::Restore { id: id("api_key/a"), version: 2 });
    assert_eq!(value(&again, "api_key/a").unwrap(), "new");
    assert_eq!(
        try_change(&vault, &Change::Restore { id: id("api_key/a"), version: 9 }).unwrap_err(),
        VaultError::NoSuchVersion { id: id("api_key/a"), version: 9 }
    );
}

#[test]
fn a_version_that_has_ended_is_not_restored() {
    let ending =
        Change::Put { id: id("api_key/a"), value: Secret::new(vec![1]), expires_at: Some(at(1_500)) };
    let vault = changed(&changed(&empty(), &ending), &put("api_key/a", "new"));
    let restore = Change::Restore { id: id("api_key/a"), version: 1 };
    assert!(changed_at(&vault, &restore, at(1_499)).is_ok());
    let refused = changed_at(&vault, &restore, at(1_500)).unwrap_err();
    assert_eq!(refused, VaultError::Expired { id: id("api_key/a"), at: at(1_500) }.into());
}

#[test]
fn a_renamed_secret_keeps_everything_but_its_name() {
    let vault = holding(&[("api_key/a", "1"), ("api_key/a", "2"), ("api_key/b", "3")]);
    let renamed = changed(&vault, &Change::Rename { from: id("api_key/a"), to: id("api_key/c") });
    assert_eq!(value(&renamed, "api_key/c").unwrap(), "2");
    assert_eq!(versions(&renamed, "api_key/c"), [2, 1]);
    assert!(matches!(value(&renamed, "api_key/a"), Err(VaultError::NoSuchSecret { .. })));
    let restored = changed(&renamed, &Change::Restore { id: id("api_key/c"), version: 1 });
    assert_eq!(value(&restored, "api_key/c").unwrap(), "1");

    let rename = |to: &str| try_change(&vault, &Change::Rename { from: id("api_key/a"), to: id(to) });
    assert!(matches!(rename("api_key/b"), Err(VaultError::Exists { .. })));
    assert!(matches!(rename("api_key/a"), Err(VaultError::Exists { .. })));
    assert!(matches!(rename("password/a"), Err(VaultError::Unsuitable { .. })));
    let missing = Change::Rename { from: id("api_key/z"), to: id("api_key/y") };
    assert!(matches!(try_change(&vault, &missing), Err(VaultError::NoSuchSecret { .. })));
}

#[test]
fn a_new_data_key_encrypts_everything_anew_and_loses_nothing() {
    let vault = holding(&[("api_key/a", "1"), ("api_key/a", "2"), ("password/b", "3")]);
    let rotated = changed(&vault, &Change::RotateKey);
    for name in ["api_key/a", "password/b"] {
        assert_eq!(value(&rotated, name), value(&vault, name));
        assert_ne!(rotated.entry(&id(name)).unwrap().sealed(), vault.entry(&id(name)).unwrap().sealed());
    }
    let restored = changed(&rotated, &Change::Restore { id: id("api_key/a"), version: 1 });
    assert_eq!(value(&restored, "api_key/a").unwrap(), "1");
    assert!(
        rotated
            .sealing
            .open(
                vault.entry(&id("api_key/a")).unwrap().label(&id("api_key/a")),
                vault.entry(&id("api_key/a")).unwrap().sealed()
            )
            .is_err()
    );
}

#[test]
fn a_secret_that_is_not_there_is_neither_removed_nor_restored() {
    for change in
        [Change::Remove { id: id("api_key/a") }, Change::Restore { id: id("api_key/a"), version: 1 }]
    {
        assert!(matches!(try_change(&empty(), &change), Err(VaultError::NoSuchSecret { .. })), "{change:?}");
    }
}

#[test]
fn a_secret_of_no_bytes_or_too_many_is_refused() {
    let of = |size| Change::Put { id: id("api_key/a"), value: Secret::new(vec![7; size]), expires_at: None };
    for size in [0, SECRET_MAX + 1] {
        assert_eq!(try_change(&empty(), &of(size)).unwrap_err(), VaultError::Size);
    }
    for size in [1, SECRET_MAX] {
        assert!(try_change(&empty(), &of(size)).is_ok());
    }
}

#[test]
fn a_secret_ends_when_it_or_its_own_form_says_whichever_is_first() {
    // {"alg":"HS256"} and {"exp":5}: five seconds after the epoch.
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjV9.c2ln";
    let put = |expires_at: Option<u64>| Change::Put {
        id: id("jwt/t"),
        value: Secret::new(token.as_bytes().to_vec()),
        expires_at: expires_at.map(at),
    };
    for (given, end) in [(None, 5_000), (Some(4_000), 4_000), (Some(6_000), 5_000)] {
        let vault = changed(&empty(), &put(given));
        assert_eq!(vault.list()[0].expires_at, Some(at(end)), "{given:?}");
        assert!(vault.find(&id("jwt/t"), at(end - 1)).is_ok());
        assert!(matches!(vault.find(&id("jwt/t"), at(end)), Err(VaultError::Expired { .. })));
    }
    let over = changed_at(&empty(), &put(None), at(5_000));
    assert!(matches!(over, Err(CustodyError::Vault(VaultError::Expired { .. }))));
}

#[test]
fn the_next_state_tells_of_accesses_and_never_of_earlier_ones() {
    let vault = holding(&[("api_key/a", "1"), ("api_key/b", "2")]);
    let access = |vault: &Vault, millis| {
        let accesses = Accesses::from([(id("api_key/a"), at(millis)), (id("api_key/gone"), at(1))]);
        let with = Circumstances { now: at(9), root: &ROOT, accesses: &accesses, imported: None };
        vault.changed(&put("api_key/b", "3"), &with).unwrap()
    };
    let accessed = access(&vault, 7_000);
    let last = |vault: &Vault| vault.list().iter().map(|known| known.last_accessed).collect::<Vec<_>>();
    assert_eq!(last(&accessed), [Some(at(7_000)), None]);
    assert_eq!(last(&access(&accessed, 6_000)), [Some(at(7_000)), None]);
    assert_eq!(last(&parsed(&bytes_of(&accessed)).unwrap()), [Some(at(7_000)), None]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_a_vault_holds_its_file_is_canonical_and_reads_back(
        puts in prop::collection::vec(
            ("[a-z][a-z0-9]{0,8}", prop::collection::vec(any::<u8>(), 1..80), prop::option::of(10_000_u64..u64::MAX)),
            0..8,
        ),
        keep in 0_u32..4,
    ) {
        let mut vault = changed(&empty(), &Change::KeepVersions { versions: keep });
        for (name, value, end) in &puts {
            let change = Change::Put {
                id: id(&format!("api_key/{name}")),
                value: Secret::new(value.clone()),
                expires_at: end.map(at),
            };
            vault = changed(&vault, &change);
        }
        let bytes = bytes_of(&vault);
        let read = parsed(&bytes).unwrap();
        prop_assert_eq!(read.list(), vault.list());
        prop_assert_eq!(bytes_of(&read), bytes.clone());
        for (name, value, _) in puts.iter().rev() {
            let id = id(&format!("api_key/{name}"));
            let last = puts.iter().rfind(|(other, ..)| other == name).map(|(_, value, _)| value);
            prop_assert!(last.is_some() && !value.is_empty());
            prop_assert_eq!(Some(&*read.find(&id, at(2_000)).unwrap().open().unwrap()), last);
        }
        let value: serde_json::Value = canonical::from_strict(&bytes, bytes.len()).unwrap();
        prop_assert_eq!(canonical::to_canonical(&value).unwrap(), bytes);
    }
}
