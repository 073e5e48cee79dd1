//! Export and import.

use super::*;
use crate::crypto::AgreementSecret;
use crate::custody::Kdf;

fn passphrase(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn to_passphrase(kdf: Kdf) -> Recipient {
    Recipient::Passphrase { passphrase: passphrase("open sesame"), kdf }
}

fn full() -> Vault {
    let ending =
        Change::Put { id: id("api_key/e"), value: Secret::new(vec![1]), expires_at: Some(at(1_500)) };
    changed(&holding(&[("api_key/a", "1"), ("api_key/a", "2"), ("password/b", "3")]), &ending)
}

fn imported_into(vault: &Vault, imported: &Vault) -> Result<Vault, VaultError> {
    let accesses = Accesses::new();
    let with = Circumstances { now: at(9_000), root: &ROOT, accesses: &accesses, imported: Some(imported) };
    let change =
        Change::Import { document: Vec::new(), opening: Opening::Passphrase { passphrase: passphrase("") } };
    match vault.changed(&change, &with) {
        Ok(vault) => Ok(vault),
        Err(CustodyError::Vault(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn by_passphrase(document: &[u8], text: &str) -> Result<Vault, CustodyError> {
    Vault::imported_by_passphrase(document, &passphrase(text))
}

#[test]
fn an_exported_vault_is_taken_over_whole_with_its_history() {
    let vault = full();
    let document = vault.export(&to_passphrase(Kdf::board())).unwrap();
    let imported = imported_into(&empty(), &by_passphrase(&document, "open sesame").unwrap()).unwrap();
    assert_eq!(imported.list(), vault.list());
    for name in ["api_key/a", "password/b"] {
        assert_eq!(value(&imported, name), value(&vault, name));
        assert_eq!(imported.versions(&id(name)), vault.versions(&id(name)));
    }
    assert!(matches!(value(&imported, "api_key/e"), Err(VaultError::Expired { .. })));
    let restored = changed(&imported, &Change::Restore { id: id("api_key/a"), version: 1 });
    assert_eq!(value(&restored, "api_key/a").unwrap(), "1");
    assert_eq!(value(&parsed(&bytes_of(&imported)).unwrap(), "api_key/a").unwrap(), "2");
}

#[test]
fn a_vault_of_any_environment_is_taken_over_into_any() {
    let other = Vault::begin(&"staging".parse().unwrap(), &[3; 32], at(1)).unwrap();
    let document = changed(&other, &put("api_key/s", "5")).export(&to_passphrase(Kdf::board())).unwrap();
    let imported = imported_into(&empty(), &by_passphrase(&document, "open sesame").unwrap()).unwrap();
    assert_eq!(value(&imported, "api_key/s").unwrap(), "5");
}

#[test]
fn an_exported_vault_has_the_shape_that_the_specification_names() {
    let document = full().export(&to_passphrase(Kdf::specification())).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(value["masterKeyDerivation"]["algorithm"], "PBKDF2");
    assert_eq!(value["masterKeyDerivation"]["iterations"], 200_000);
    for field in ["salt", "dataKey"] {
        assert!(!value["masterKeyDerivation"][field].is_null(), "{field}");
    }
    for field in ["ciphertext", "iv", "tag", "metadata"] {
        assert!(!value["encryptedData"]["api_key/a"][field].is_null(), "{field}");
    }
    for field in ["checksum", "lastModified"] {
        assert!(!value["integrity"][field].is_null(), "{field}");
    }
    assert!(by_passphrase(&document, "open sesame").is_ok());
}

#[test]
fn an_exported_vault_opens_with_its_own_passphrase_or_key_alone() {
    let document = full().export(&to_passphrase(Kdf::board())).unwrap();
    let wrong = CustodyError::from(VaultError::WrongOpening);
    assert_eq!(by_passphrase(&document, "open sesamE").map(|_| ()), Err(wrong.clone()));
    let (key, other) = (AgreementSecret::from_bytes(&[5; 32]), AgreementSecret::from_bytes(&[6; 32]));
    assert_eq!(Vault::imported_by_key(&document, &key).map(|_| ()), Err(wrong.clone()));

    let sealed = full().export(&Recipient::Key { key: key.agreement_key() }).unwrap();
    let opened = Vault::imported_by_key(&sealed, &key).unwrap();
    assert_eq!(value(&opened, "api_key/a").unwrap(), "2");
    assert_eq!(Vault::imported_by_key(&sealed, &other).map(|_| ()), Err(wrong.clone()));
    assert_eq!(by_passphrase(&sealed, "open sesame").map(|_| ()), Err(wrong.clone()));
    assert_eq!(by_passphrase(&bytes_of(&full()), "open sesame").map(|_| ()), Err(wrong));
}

#[test]
fn every_flipped_bit_of_an_exported_vault_is_refused() {
    let key = AgreementSecret::from_bytes(&[5; 32]);
    let document =
        holding(&[("api_key/a", "1")]).export(&Recipient::Key { key: key.agreement_key() }).unwrap();
    for bit in 0..document.len() * 8 {
        let mut altered = document.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(Vault::imported_by_key(&altered, &key).is_err(), "bit {bit}");
    }
    for length in 0..document.len() {
        assert!(Vault::imported_by_key(&document[..length], &key).is_err(), "cut at {length}");
    }
}

#[test]
fn parameters_below_the_floor_or_beyond_the_cap_are_refused_before_any_work() {
    let of = |kdf| String::from_utf8(full().export(&to_passphrase(kdf)).unwrap()).unwrap();
    let (pbkdf2, argon2) = (of(Kdf::specification()), of(Kdf::board()));
    for (document, from, to) in [
        (&pbkdf2, "\"iterations\":200000", "\"iterations\":199999"),
        (&pbkdf2, "\"iterations\":200000", "\"iterations\":2000001"),
        (&argon2, "\"memoryKib\":19456", "\"memoryKib\":19455"),
        (&argon2, "\"memoryKib\":19456", "\"memoryKib\":4294967295"),
        (&argon2, "\"iterations\":2", "\"iterations\":1"),
        (&argon2, "\"iterations\":2", "\"iterations\":11"),
        (&argon2, "\"parallelism\":1", "\"parallelism\":0"),
        (&argon2, "\"parallelism\":1", "\"parallelism\":17"),
    ] {
        let altered = document.replace(from, to);
        assert_ne!(&altered, document);
        let refused = by_passphrase(altered.as_bytes(), "open sesame").map(|_| ());
        assert!(matches!(refused, Err(CustodyError::Kdf(_))), "{to}: {refused:?}");
    }
    let raised = argon2.replace("\"iterations\":2", "\"iterations\":3");
    let refused = by_passphrase(raised.as_bytes(), "open sesame").map(|_| ());
    assert_eq!(refused, Err(VaultError::WrongOpening.into()));
}

#[test]
fn an_import_over_a_name_that_is_there_takes_over_nothing() {
    let vault = holding(&[("password/b", "mine")]);
    let refused = imported_into(&vault, &full()).map(|_| ());
    assert_eq!(refused, Err(VaultError::Exists { id: id("password/b"), environment: environment() }));
    assert_eq!(vault.list().len(), 1);
}

#[test]
fn an_import_of_a_value_that_is_not_of_its_type_is_refused() {
    let mut forged = empty();
    let label =
        super::super::sealing::Label { id: &id("password/p"), expires_at: None, version: 1, generation: 0 };
    let sealed = forged.sealing.seal(label, b"two\nlines").unwrap();
    let metadata = super::super::document::EntryMetadata {
        changed: at(1),
        created: at(1),
        expires_at: None,
        last_accessed: None,
        kind: SecretType::Password,
        version: 1,
    };
    let entry = super::super::document::Entry::new(sealed, 0, metadata, Vec::new());
    forged.insert(&id("password/p"), entry).unwrap();
    assert!(matches!(imported_into(&empty(), &forged).map(|_| ()), Err(VaultError::Value { .. })));
}

#[test]
fn nothing_is_exported_to_an_empty_passphrase() {
    let to = Recipient::Passphrase { passphrase: passphrase(""), kdf: Kdf::board() };
    assert!(matches!(full().export(&to), Err(CustodyError::UnusableSecret { .. })));
}
