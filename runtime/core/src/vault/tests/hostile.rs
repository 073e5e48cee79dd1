//! Files that were altered, cut, exchanged, or put together out of genuine parts.

use super::super::document::{Document, Entry};
use super::*;
use crate::canonical;

fn small() -> Vault {
    holding(&[("api_key/a", "marker-in-plaintext"), ("api_key/a", "2")])
}

fn is_refused(bytes: &[u8]) -> bool {
    matches!(parsed(bytes), Err(VaultError::Altered { .. } | VaultError::Malformed { .. }))
}

#[test]
fn every_flipped_bit_of_a_file_is_refused() {
    let bytes = bytes_of(&small());
    assert!(parsed(&bytes).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(is_refused(&altered), "bit {bit}");
    }
}

#[test]
fn a_file_cut_anywhere_or_with_anything_behind_it_is_refused() {
    let bytes = bytes_of(&small());
    for length in 0..bytes.len() {
        assert!(is_refused(&bytes[..length]), "cut at {length}");
    }
    for behind in [&b"\n"[..], b" ", b"{}", b"\0"] {
        assert!(is_refused(&[&bytes, behind].concat()));
    }
}

#[test]
fn another_writing_of_the_same_document_is_refused() {
    let text = String::from_utf8(bytes_of(&small())).unwrap();
    for altered in [
        text.replacen(':', ": ", 1),
        text.replacen("\"version\":1}", "\"version\":1,\"version\":1}", 1),
        text.replacen("\"version\":1}", "\"version\":1,\"more\":1}", 1),
        text.replacen("\"keepVersions\":3", "\"keepVersions\":3.0", 1),
        text.replacen("\"generation\"", "\"more\":0,\"generation\"", 1),
        text.replacen("api_key/a", "api_key\\/a", 1),
    ] {
        assert_ne!(altered, text);
        assert!(is_refused(altered.as_bytes()), "{altered}");
    }
    let newer = text.replace("},\"version\":1}", "},\"version\":2}");
    assert!(matches!(parsed(newer.as_bytes()), Err(VaultError::Malformed { .. })));
}

#[test]
fn the_file_of_another_environment_or_another_home_is_refused() {
    let bytes = bytes_of(&small());
    let altered = Err(VaultError::Altered { file: "test".to_owned() });
    let refused = |environment: &str, root: &[u8]| {
        Vault::parse(&bytes, &environment.parse().unwrap(), root, "test").map(|_| ())
    };
    assert_eq!(refused("production", &ROOT), altered);
    assert_eq!(refused("default", &[1; 32]), altered);
    assert_eq!(refused("default", &ROOT), Ok(()));
    let renamed =
        String::from_utf8(bytes).unwrap().replace("\"environment\":\"default\"", "\"environment\":\"prod\"");
    let refused = Vault::parse(renamed.as_bytes(), &"prod".parse().unwrap(), &ROOT, "test");
    assert_eq!(refused.map(|_| ()), altered);
}

#[test]
fn no_plaintext_stands_in_a_file() {
    let bytes = bytes_of(&small());
    for marker in [&b"marker-in-plaintext"[..], canonical::base64_encode(b"marker-in-plaintext").as_bytes()] {
        assert!(!bytes.windows(marker.len()).any(|window| window == marker));
    }
}

/// The vault with other entries, its checksum computed anew: what only the holder of the data key can make.
fn with_entries(vault: &Vault, change: impl FnOnce(&mut super::super::document::Entries)) -> Vault {
    let mut entries = vault.document.entries.clone();
    change(&mut entries);
    let document = Document {
        header: vault.document.header.clone(),
        derivation: vault.document.derivation.clone(),
        entries,
        last_modified: vault.document.last_modified,
    };
    parsed(&document.to_bytes(&vault.sealing).unwrap()).unwrap()
}

/// The same ciphertext under other facts.
fn relabelled(entry: &Entry, change: impl FnOnce(&mut Entry)) -> Entry {
    let mut entry = entry.clone();
    change(&mut entry);
    entry
}

fn is_unreadable(vault: &Vault, name: &str) -> bool {
    matches!(value(vault, name), Err(VaultError::Altered { .. }))
}

#[test]
fn a_secret_moved_to_another_name_type_or_vault_is_not_opened() {
    let vault = holding(&[("api_key/a", "1"), ("api_key/b", "2"), ("password/a", "3")]);
    let kept = |name: &str| vault.document.entries[&id(name)].clone();
    let exchanged = with_entries(&vault, |entries| {
        entries.insert(id("api_key/a"), kept("api_key/b"));
        entries.insert(id("api_key/b"), kept("api_key/a"));
    });
    assert!(is_unreadable(&exchanged, "api_key/a") && is_unreadable(&exchanged, "api_key/b"));
    assert_eq!(value(&exchanged, "password/a").unwrap(), "3");

    let retyped = relabelled(&kept("api_key/a").entry, |entry| entry.metadata.kind = SecretType::Password);
    let retyped = super::super::document::Kept::new(retyped).unwrap();
    assert!(is_unreadable(
        &with_entries(&vault, |entries| drop(entries.insert(id("password/a"), retyped))),
        "password/a"
    ));

    let other = holding(&[("api_key/a", "1")]);
    let foreign = other.document.entries[&id("api_key/a")].clone();
    assert!(is_unreadable(
        &with_entries(&vault, |entries| drop(entries.insert(id("api_key/a"), foreign))),
        "api_key/a"
    ));
}

#[test]
fn a_secret_under_another_version_generation_or_end_is_not_opened() {
    let vault = holding(&[("api_key/a", "1"), ("api_key/a", "2")]);
    let entry = vault.entry(&id("api_key/a")).unwrap();
    let older = entry.previous[0].clone();
    let changes: [Entry; 5] = [
        relabelled(entry, |entry| entry.generation += 1),
        relabelled(entry, |entry| entry.metadata.version += 1),
        relabelled(entry, |entry| entry.metadata.expires_at = Some(at(9_000))),
        // An older version as the present one, with and without its own number.
        Entry::new(older.sealed(), older.generation, entry.metadata.clone(), Vec::new()),
        Entry::new(older.sealed(), entry.generation, entry.metadata.clone(), Vec::new()),
    ];
    for changed in changes {
        let kept = super::super::document::Kept::new(changed.clone()).unwrap();
        let moved = with_entries(&vault, |entries| drop(entries.insert(id("api_key/a"), kept)));
        assert!(is_unreadable(&moved, "api_key/a"), "{changed:?}");
    }
    let access = relabelled(entry, |entry| entry.metadata.last_accessed = Some(at(7)));
    let kept = super::super::document::Kept::new(access).unwrap();
    let honest = with_entries(&vault, |entries| drop(entries.insert(id("api_key/a"), kept)));
    assert_eq!(value(&honest, "api_key/a").unwrap(), "2");
}

#[test]
fn an_entry_whose_metadata_names_another_type_is_malformed() {
    let vault = small();
    let text = String::from_utf8(bytes_of(&vault)).unwrap();
    let altered = text.replace("\"type\":\"api_key\"", "\"type\":\"password\"");
    assert!(matches!(parsed(altered.as_bytes()), Err(VaultError::Malformed { .. })));
}
