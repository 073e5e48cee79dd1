//! Files that the log does not know of.

use super::super::{Files, Which};
use super::*;
use crate::vault::Vault;

fn is_rolled_back(answer: &Result<String, VaultError>) -> bool {
    matches!(answer, Err(VaultError::RolledBack { .. }))
}

#[test]
fn an_older_file_put_back_is_refused_at_once_and_after_a_restart() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "old"));
    let old = fs::read(file(&test.home)).unwrap();
    asker.change(put("api_key/a", "new"));
    let new = fs::read(file(&test.home)).unwrap();
    fs::write(file(&test.home), &old).unwrap();
    for asker in [asker.restarted(&test.home), asker] {
        let Err(VaultError::RolledBack { found, expected, .. }) = asker.reveal("api_key/a") else {
            panic!("an older file was opened")
        };
        assert!(found.starts_with("generation 1 (sha256:"), "{found}");
        assert!(expected.starts_with("generation 2 (sha256:"), "{expected}");
        assert!(matches!(asker.prepare(put("api_key/a", "x")), Err(VaultError::RolledBack { .. })));
        fs::write(file(&test.home), &new).unwrap();
        assert_eq!(asker.reveal("api_key/a").unwrap(), "new");
        fs::write(file(&test.home), &old).unwrap();
    }
}

#[test]
fn a_file_that_is_gone_is_no_empty_vault() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    fs::remove_file(file(&test.home)).unwrap();
    let Err(VaultError::RolledBack { found, .. }) = asker.reveal("api_key/a") else {
        panic!("a vault without its file was opened")
    };
    assert_eq!(found, "nothing");
    fs::remove_dir_all(test.home.vault()).unwrap();
    assert!(is_rolled_back(&asker.reveal("api_key/a")));
}

#[test]
fn a_file_that_the_log_knows_nothing_of_is_refused() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    asker.noted = None;
    for asker in [asker.restarted(&test.home), asker] {
        let Err(VaultError::RolledBack { expected, .. }) = asker.reveal("api_key/a") else {
            panic!("a vault was opened that the log knows nothing of")
        };
        assert_eq!(expected, "nothing");
        assert!(asker.prepare(put("api_key/b", "2")).is_err());
    }
}

#[test]
fn every_flipped_byte_and_cut_of_a_file_is_refused_for_what_it_is() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    let honest = fs::read(file(&test.home)).unwrap();
    let is_altered = |answer: Result<String, VaultError>| {
        matches!(answer, Err(VaultError::Altered { .. } | VaultError::Malformed { .. }))
    };
    for place in 0..honest.len() {
        let mut altered = honest.clone();
        altered[place] ^= 1;
        fs::write(file(&test.home), &altered).unwrap();
        assert!(is_altered(asker.reveal("api_key/a")), "byte {place}");
    }
    for length in (0..honest.len()).step_by(7) {
        fs::write(file(&test.home), &honest[..length]).unwrap();
        assert!(is_altered(asker.reveal("api_key/a")), "cut at {length}");
    }
    fs::write(file(&test.home), &honest).unwrap();
    assert_eq!(asker.reveal("api_key/a").unwrap(), "1");
}

#[test]
fn a_file_of_another_environment_or_another_home_is_refused() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    let mut staging =
        Asker { environment: "staging", noted: None, ..Asker::of(Arc::clone(&asker.custodian)) };
    staging.change(put("api_key/a", "2"));
    let (elsewhere, mut other) = opened();
    other.change(put("api_key/a", "3"));
    for foreign in [test.home.vault().join("staging.json"), file(&elsewhere.home)] {
        fs::copy(foreign, file(&test.home)).unwrap();
        assert!(matches!(asker.reveal("api_key/a"), Err(VaultError::Altered { .. })));
    }
    // Even if the log were to know of them.
    for (foreign, noted) in
        [(test.home.vault().join("staging.json"), staging.noted), (file(&elsewhere.home), other.noted)]
    {
        fs::copy(foreign, file(&test.home)).unwrap();
        asker.noted = noted;
        assert!(matches!(asker.reveal("api_key/a"), Err(VaultError::Altered { .. })));
    }
}

#[test]
fn a_prepared_state_that_was_altered_is_not_put_in_place() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    let noted = asker.prepare(put("api_key/a", "2")).unwrap();
    let mut next = asker.restarted(&test.home);
    drop(asker);
    let path = next_files(&test.home).pop().unwrap();
    let honest = fs::read(&path).unwrap();
    next.noted = Some(noted);
    for place in (0..honest.len()).step_by(11) {
        let mut altered = honest.clone();
        altered[place] ^= 1;
        fs::write(&path, &altered).unwrap();
        assert!(is_rolled_back(&next.reveal("api_key/a")), "byte {place}");
    }
    fs::write(&path, &honest).unwrap();
    assert_eq!(next.reveal("api_key/a").unwrap(), "2");
}

#[test]
fn a_file_beyond_the_cap_is_not_read() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    fs::File::create(file(&test.home)).unwrap().set_len(crate::vault::DOCUMENT_MAX + 1).unwrap();
    assert!(matches!(asker.reveal("api_key/a"), Err(VaultError::Malformed { .. })));
}

#[test]
fn a_file_that_goes_while_it_is_read_is_no_empty_vault() {
    let (test, _) = opened();
    let environment = "default".parse().unwrap();
    let noted = Noted { generation: 7, digest: Digest::of(b"") };
    let which = Which { home: &test.home, environment: &environment, noted: Some(noted) };
    let vault = Vault::begin(&environment, &[7; 32], Timestamp::from_millis(0)).unwrap();
    let mut files = Files::default();
    assert!(matches!(
        files.load(which, noted, vault),
        Err(CustodyError::Vault(VaultError::RolledBack { .. }))
    ));
}
