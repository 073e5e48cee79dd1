//! The state of each vault, followed from entry to entry.

use std::fs;

use super::*;
use crate::id::{Digest, Name};
use crate::log::journal::Header;
use crate::log::verify::{VerifyError, verify};

fn environment(text: &str) -> Name {
    text.parse().unwrap()
}

fn noted(generation: u64) -> Noted {
    Noted { generation, digest: Digest::of(&generation.to_be_bytes()) }
}

fn of(event_type: EventType, environment: &str, generation: u64) -> Event {
    let Noted { generation, digest } = noted(generation);
    let detail = serde_json::json!({
        "environment": environment,
        "generation": generation,
        "digest": digest.to_string(),
    });
    Event::new(event_type, PartyType::System, "host").with("vault", detail)
}

fn told(environment: &str, generation: u64) -> Event {
    of(EventType::VaultAccess, environment, generation)
}

#[test]
fn the_newest_entry_tells_the_state_of_each_vault() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    assert_eq!(log.noted_vault(&environment("default")), None);
    log.append(told("default", 1)).unwrap();
    log.append(of(EventType::SystemModification, "staging", 7)).unwrap();
    log.append(told("default", 2)).unwrap();
    assert_eq!(log.noted_vault(&environment("default")), Some(noted(2)));
    assert_eq!(log.noted_vault(&environment("staging")), Some(noted(7)));
    assert_eq!(log.noted_vault(&environment("other")), None);
}

#[test]
fn the_state_of_a_vault_survives_restarts_and_any_number_of_entries() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    log.append(told("default", 1)).unwrap();
    log.append(told("staging", 2)).unwrap();
    fill(&log, 600);
    log.append(told("staging", 3)).unwrap();
    log.close().unwrap();
    drop(log);
    for _ in 0..2 {
        let log = open(folder.path()).unwrap();
        assert_eq!(log.noted_vault(&environment("default")), Some(noted(1)));
        assert_eq!(log.noted_vault(&environment("staging")), Some(noted(3)));
        fill(&log, 300);
        log.close().unwrap();
        verify(folder.path(), &vkey(), None).unwrap();
    }
}

#[test]
fn what_another_process_told_is_known_once_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(folder.path()).unwrap(), open(folder.path()).unwrap());
    one.append(told("default", 1)).unwrap();
    assert_eq!(other.noted_vault(&environment("default")), None);
    assert_eq!(other.newest_noted_vault(&environment("default")).unwrap(), Some(noted(1)));
    assert_eq!(other.noted_vault(&environment("default")), Some(noted(1)));
}

#[test]
fn an_entry_of_another_kind_or_a_detail_of_another_shape_tells_of_no_vault() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    for event_type in EventType::ALL {
        if ![EventType::VaultAccess, EventType::SystemModification].contains(&event_type) {
            log.append(of(event_type, "default", 1)).unwrap();
        }
    }
    let digest = Digest::of(b"x").to_string();
    for detail in [
        serde_json::json!("default"),
        serde_json::json!({"environment": "default", "generation": 1}),
        serde_json::json!({"environment": "default", "generation": "1", "digest": digest}),
        serde_json::json!({"environment": "Default", "generation": 1, "digest": digest}),
        serde_json::json!({"environment": "default", "generation": 1, "digest": "sha256:0"}),
        serde_json::json!({"environment": "default", "generation": 1, "digest": digest, "more": 1}),
    ] {
        log.append(Event::new(EventType::VaultAccess, PartyType::System, "host").with("vault", detail))
            .unwrap();
    }
    assert_eq!(log.noted_vault(&environment("default")), None);
}

/// The header of the journal in `folder`, changed and signed again.
fn with_header(folder: &Path, change: impl FnOnce(&mut Header)) {
    let path = folder.join("journal");
    let bytes = fs::read(&path).unwrap();
    let (mut header, length) = Header::open(&bytes, &host(1).did()).unwrap();
    change(&mut header);
    let mut forged = header.sign(host(1).as_ref()).unwrap();
    forged.extend_from_slice(&bytes[in_memory(length)..]);
    fs::write(path, forged).unwrap();
}

#[test]
fn a_journal_that_tells_another_state_than_the_entries_is_refused_by_the_verifier() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    log.append(told("default", 1)).unwrap();
    fill(&log, 600);
    log.close().unwrap();
    drop(log);
    let honest = fs::read(folder.path().join("journal")).unwrap();
    let mismatch = |change: fn(&mut Header)| {
        fs::write(folder.path().join("journal"), &honest).unwrap();
        with_header(folder.path(), change);
        matches!(verify(folder.path(), &vkey(), None), Err(VerifyError::JournalMismatch { .. }))
    };
    assert!(mismatch(|header| header.noted_vaults.clear()));
    assert!(mismatch(|header| header.noted_vaults[0].generation = 2));
    assert!(!mismatch(|_| {}));
}

#[test]
fn a_journal_without_vaults_is_written_as_it_was_before_there_were_any() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, 300);
    log.close().unwrap();
    let bytes = fs::read(folder.path().join("journal")).unwrap();
    assert!(!bytes.windows(11).any(|window| window == b"notedVaults"));
    assert!(bytes.windows(8).any(|window| window == b"openRuns"));
}
