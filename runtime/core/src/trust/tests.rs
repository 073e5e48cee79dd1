//! The trust store under attack: forged, altered, rolled back, widened.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::time::Duration;

use super::*;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::crypto::{SecretKey, Signer as _};
use crate::envelope::Envelope;
use crate::home::{Home, HostConfig};
use crate::id::{Did, Digest, TrustLevel};
use crate::resource::NetworkAccess;

fn now() -> Timestamp {
    Timestamp::parse("2026-11-24T08:00:00Z").unwrap()
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn did(seed: u8) -> Did {
    key(seed).did()
}

/// A home that the operators 1, 2 and 3 govern, `threshold` of them together.
fn home(threshold: usize) -> (tempfile::TempDir, Home, HostConfig) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    let operators = vec![did(1), did(2), did(3)];
    let config = HostConfig::new(did(9), "kos.test/log".to_owned(), operators, threshold, now());
    (folder, home, config)
}

fn with_author(seed: u8, level: TrustLevel) -> TrustStore {
    TrustStore::initial(now()).add_author(did(seed), level, None, now()).unwrap().store
}

fn store_bytes(home: &Home) -> Vec<u8> {
    fs::read(home.trust().join(STORE_FILE)).unwrap()
}

#[test]
fn an_installed_store_is_loaded_with_its_signers() {
    let (_folder, home, config) = home(2);
    let store = with_author(7, TrustLevel::Partner);
    let installed = install(&home, &config, &store, &[&key(1), &key(3)], now()).unwrap();
    let loaded = VerifiedTrust::load(&home, &config, now()).unwrap();
    assert_eq!(loaded, installed);
    assert_eq!(loaded.store(), &store);
    let mut signers = vec![did(1), did(3)];
    signers.sort_unstable();
    assert_eq!(loaded.signers(), signers);
    assert_eq!(loaded.level_of(&did(7)), Some(TrustLevel::Partner));
}

#[test]
fn a_new_store_trusts_nobody() {
    let (_folder, home, config) = home(1);
    let trust = install(&home, &config, &TrustStore::initial(now()), &[&key(1)], now()).unwrap();
    for seed in 1..=9 {
        assert_eq!(trust.level_of(&did(seed)), None, "not even the operators are authors");
    }
}

#[test]
fn without_a_store_there_is_no_proof_and_the_way_out_is_named() {
    let (_folder, home, config) = home(1);
    let error = VerifiedTrust::load(&home, &config, now()).unwrap_err();
    assert!(matches!(error, TrustError::Missing { .. }));
    assert_eq!(error.remedy().unwrap(), "kos trust add did:key:… --level external");
}

#[test]
fn a_store_signed_by_somebody_else_is_refused() {
    let (_folder, home, config) = home(1);
    let store = with_author(7, TrustLevel::Trusted);
    let error = install(&home, &config, &store, &[&key(7)], now()).unwrap_err();
    assert!(matches!(error, TrustError::Envelope(_)), "{error}");
    let forged = store.sign(&[&key(7)]).unwrap().to_bytes().unwrap();
    fs::write(home.trust().join(STORE_FILE), forged).unwrap();
    assert!(matches!(VerifiedTrust::load(&home, &config, now()), Err(TrustError::Envelope(_))));
}

#[test]
fn too_few_operators_and_one_operator_twice_are_refused() {
    let (_folder, home, config) = home(2);
    let store = TrustStore::initial(now());
    for signers in [&[&key(1) as &dyn crate::crypto::Signer][..], &[&key(1), &key(1)], &[&key(1), &key(7)]] {
        let error = install(&home, &config, &store, signers, now()).unwrap_err();
        assert!(matches!(error, TrustError::Envelope(_)), "{error}");
    }
    assert!(!home.trust().join(STORE_FILE).exists());
}

#[test]
fn a_flip_in_any_byte_of_the_store_is_refused_or_changes_nothing() {
    let (_folder, home, config) = home(1);
    let trust = install(&home, &config, &with_author(7, TrustLevel::External), &[&key(1)], now()).unwrap();
    let bytes = store_bytes(&home);
    for index in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[index] ^= 1 << (index % 8);
        fs::write(home.trust().join(STORE_FILE), altered).unwrap();
        if let Ok(loaded) = VerifiedTrust::load(&home, &config, now()) {
            assert_eq!(loaded, trust, "byte {index}: only the hint of a key may differ");
        }
    }
}

#[test]
fn a_store_signed_for_another_use_is_refused() {
    let (_folder, home, config) = home(1);
    let payload = TrustStore::initial(now()).to_payload().unwrap();
    let envelope = Envelope::sign("application/vnd.kos.permissions.v1+json", payload, &[&key(1)]).unwrap();
    assert!(matches!(install_signed(&home, &config, envelope, now()), Err(TrustError::Envelope(_))));
}

#[test]
fn a_document_in_another_form_is_refused_although_it_is_signed() {
    let (_folder, home, config) = home(1);
    let text = String::from_utf8(with_author(7, TrustLevel::External).to_payload().unwrap()).unwrap();
    let cases = [
        ("white space", format!("{text} ")),
        ("unknown field", text.replacen('{', "{\"aaa\":1,", 1)),
        ("duplicate key", text.replacen("\"version\":2", "\"version\":2,\"version\":2", 1)),
        ("missing policy", text.replacen("\"external\":{", "\"externa\":{", 1)),
        ("unknown capability", text.replace("audit.note", "audit.all")),
        ("unknown level", text.replace("\"level\":\"external\",\"since\"", "\"level\":\"friend\",\"since\"")),
        ("unsorted", text.replacen("\"audit.note\",\"crypto.hash\"", "\"crypto.hash\",\"audit.note\"", 1)),
        ("twice", text.replacen("\"audit.note\",", "\"audit.note\",\"audit.note\",", 1)),
        ("no signatures required", text.replacen("\"signatures\":1", "\"signatures\":0", 1)),
        ("unreachable threshold", text.replacen("\"signatures\":1", "\"signatures\":17", 1)),
        ("version zero", text.replacen("\"version\":2", "\"version\":0", 1)),
        ("not an object", "[]".to_owned()),
        ("empty", String::new()),
    ];
    for (flaw, altered) in cases {
        assert_ne!(altered, text, "{flaw}");
        let envelope = Envelope::sign(TRUST_PAYLOAD_TYPE, altered.into_bytes(), &[&key(1)]).unwrap();
        let error = install_signed(&home, &config, envelope, now()).unwrap_err();
        assert!(!matches!(error, TrustError::Envelope(_)), "{flaw}: {error}");
    }
}

#[test]
fn an_older_store_is_refused_after_a_newer_one_was_in_force() {
    let (_folder, home, config) = home(1);
    let first = with_author(7, TrustLevel::Trusted);
    install(&home, &config, &first, &[&key(1)], now()).unwrap();
    let old = store_bytes(&home);
    let second = first.revoke_key(did(7), "lost", now()).unwrap().store;
    install(&home, &config, &second, &[&key(1)], now()).unwrap();
    fs::write(home.trust().join(STORE_FILE), &old).unwrap();
    let error = VerifiedTrust::load(&home, &config, now()).unwrap_err();
    assert!(matches!(error, TrustError::RolledBack { version: 2, floor: 3 }), "{error}");
    let envelope = Envelope::parse(&old).unwrap();
    let error = install_signed(&home, &config, envelope, now()).unwrap_err();
    assert!(matches!(error, TrustError::Stale { version: 2, current: 3 }), "{error}");
}

#[test]
fn a_newer_store_copied_into_place_raises_the_floor_when_it_is_loaded() {
    let (_folder, home, config) = home(1);
    let first = TrustStore::initial(now());
    install(&home, &config, &first, &[&key(1)], now()).unwrap();
    let old = store_bytes(&home);
    let second = first.add_author(did(7), TrustLevel::External, None, now()).unwrap().store;
    let newer = second.sign(&[&key(2)]).unwrap().to_bytes().unwrap();
    fs::write(home.trust().join(STORE_FILE), newer).unwrap();
    assert_eq!(VerifiedTrust::load(&home, &config, now()).unwrap().store().version, 2);
    fs::write(home.trust().join(STORE_FILE), old).unwrap();
    assert!(matches!(
        VerifiedTrust::load(&home, &config, now()),
        Err(TrustError::RolledBack { version: 1, floor: 2 })
    ));
}

#[test]
fn a_second_store_with_the_same_version_is_refused() {
    let (_folder, home, config) = home(1);
    install(&home, &config, &with_author(7, TrustLevel::External), &[&key(1)], now()).unwrap();
    let other = with_author(8, TrustLevel::Trusted).sign(&[&key(1)]).unwrap();
    fs::write(home.trust().join(STORE_FILE), other.to_bytes().unwrap()).unwrap();
    assert!(matches!(VerifiedTrust::load(&home, &config, now()), Err(TrustError::Forked { version: 2 })));
    assert!(matches!(
        install_signed(&home, &config, other, now()),
        Err(TrustError::Stale { version: 2, current: 2 })
    ));
}

#[test]
fn the_floor_holds_when_the_store_is_deleted() {
    let (_folder, home, config) = home(1);
    let store = with_author(7, TrustLevel::External);
    install(&home, &config, &store, &[&key(1)], now()).unwrap();
    fs::remove_file(home.trust().join(STORE_FILE)).unwrap();
    let error = install(&home, &config, &TrustStore::initial(now()), &[&key(1)], now()).unwrap_err();
    assert!(matches!(error, TrustError::Stale { version: 1, current: 2 }), "{error}");
}

#[test]
fn a_damaged_floor_refuses_and_is_never_taken_for_none() {
    let (_folder, home, config) = home(1);
    install(&home, &config, &TrustStore::initial(now()), &[&key(1)], now()).unwrap();
    for damaged in ["", "1", "{\"version\":1}", "{\"digest\":\"sha256:00\",\"version\":1}"] {
        fs::write(home.trust().join("floor"), damaged).unwrap();
        assert!(
            matches!(VerifiedTrust::load(&home, &config, now()), Err(TrustError::Floor { .. })),
            "{damaged}"
        );
    }
}

#[test]
fn a_floor_that_cannot_be_written_refuses_the_store() {
    let (_folder, home, config) = home(1);
    let bytes = TrustStore::initial(now()).sign(&[&key(1)]).unwrap().to_bytes().unwrap();
    fs::write(home.trust().join(STORE_FILE), bytes).unwrap();
    fs::create_dir(home.trust().join("floor")).unwrap();
    assert!(matches!(VerifiedTrust::load(&home, &config, now()), Err(TrustError::Durable(_))));
}

#[test]
fn after_a_crash_between_the_two_files_the_newer_store_is_loaded() {
    let (_folder, home, config) = home(1);
    let first = TrustStore::initial(now());
    install(&home, &config, &first, &[&key(1)], now()).unwrap();
    let floor = fs::read(home.trust().join("floor")).unwrap();
    let second = first.add_author(did(7), TrustLevel::External, None, now()).unwrap().store;
    let trust = install(&home, &config, &second, &[&key(1)], now()).unwrap();
    fs::write(home.trust().join("floor"), floor).unwrap();
    assert_eq!(VerifiedTrust::load(&home, &config, now()).unwrap(), trust);
}

#[test]
fn of_two_edits_of_one_version_the_second_is_refused() {
    let (_folder, home, config) = home(1);
    let base = TrustStore::initial(now());
    install(&home, &config, &base, &[&key(1)], now()).unwrap();
    let one = base.add_author(did(7), TrustLevel::External, None, now()).unwrap().store;
    let two = base.revoke_key(did(8), "lost", now()).unwrap().store;
    install(&home, &config, &one, &[&key(1)], now()).unwrap();
    let error = install(&home, &config, &two, &[&key(2)], now()).unwrap_err();
    assert!(matches!(error, TrustError::Stale { version: 2, current: 2 }), "{error}");
}

#[test]
fn a_store_from_the_far_future_is_refused() {
    let (_folder, home, config) = home(1);
    let day = Duration::from_secs(24 * 3_600);
    let soon = TrustStore::initial(now().saturating_add(day));
    let late = TrustStore::initial(now().saturating_add(day + Duration::from_millis(1)));
    let error = install(&home, &config, &late, &[&key(1)], now()).unwrap_err();
    assert!(matches!(error, TrustError::FromTheFuture { .. }), "{error}");
    assert!(install(&home, &config, &soon, &[&key(1)], now()).is_ok());
}

#[test]
fn an_oversized_store_is_refused_before_it_is_read() {
    let (_folder, home, config) = home(1);
    fs::write(home.trust().join(STORE_FILE), vec![b' '; (4 << 20) + 1]).unwrap();
    assert!(matches!(VerifiedTrust::load(&home, &config, now()), Err(TrustError::Durable(_))));
}

#[test]
fn a_revoked_key_is_trusted_no_more_and_never_again() {
    let store = with_author(7, TrustLevel::Trusted);
    let change = store.revoke_key(did(7), "the laptop was stolen", now()).unwrap();
    assert_eq!(change.store.authors.len(), 0);
    assert_eq!(change.summary, format!("{} is revoked: the laptop was stolen", did(7)));
    assert_eq!(change.details["change"], "revoke_key");
    assert_eq!(change.details["before"], "trusted");
    let error = change.store.add_author(did(7), TrustLevel::External, None, now()).unwrap_err();
    assert!(matches!(error, TrustError::KeyRevoked { .. }), "{error}");
    assert!(matches!(change.store.revoke_key(did(7), "again", now()), Err(TrustError::KeyRevoked { .. })));
}

#[test]
fn a_store_that_names_a_revoked_key_as_an_author_does_not_trust_it() {
    let (_folder, home, config) = home(1);
    let mut store = with_author(7, TrustLevel::Trusted);
    store.revoked_keys.insert(did(7), Revocation { at: now(), reason: "lost".to_owned() });
    let trust = install(&home, &config, &store, &[&key(1)], now()).unwrap();
    assert_eq!(trust.level_of(&did(7)), None);
}

#[test]
fn edits_say_what_they_change() {
    let store = TrustStore::initial(now());
    let added = store.add_author(did(7), TrustLevel::External, Some("Ada".to_owned()), now()).unwrap();
    assert_eq!(added.store.version, 2);
    assert_eq!(added.summary, format!("{} is trusted as external", did(7)));
    assert_eq!(added.details["label"], "Ada");
    let moved = added.store.add_author(did(7), TrustLevel::Partner, None, now()).unwrap();
    assert_eq!(moved.summary, format!("{} is moved from external to partner", did(7)));
    assert_eq!(moved.store.authors[&did(7)].label.as_deref(), Some("Ada"));
    let removed = moved.store.remove_author(&did(7), now()).unwrap();
    assert_eq!(removed.store.version, 4);
    assert!(removed.store.authors.is_empty());
    let digest = Digest::of(b"component");
    let revoked = removed.store.revoke_component(digest, "it leaks", now()).unwrap();
    assert_eq!(revoked.details["component"], digest.to_string());
}

#[test]
fn edits_that_change_nothing_or_lie_are_refused() {
    let store = with_author(7, TrustLevel::External);
    assert!(matches!(
        store.add_author(did(7), TrustLevel::External, None, now()),
        Err(TrustError::Unchanged { .. })
    ));
    assert!(matches!(store.remove_author(&did(8), now()), Err(TrustError::UnknownAuthor { .. })));
    for reason in ["", "a\nb", "a\x1b[2J", &"a".repeat(257)] {
        assert!(
            matches!(store.revoke_key(did(7), reason, now()), Err(TrustError::Text { .. })),
            "{reason:?}"
        );
    }
    let label = Some("trusted\u{202e}".to_owned());
    assert!(matches!(
        store.add_author(did(8), TrustLevel::External, label, now()),
        Err(TrustError::Text { .. })
    ));
    let policy = store.policy(TrustLevel::External).clone();
    assert!(matches!(store.set_policy(policy, now()), Err(TrustError::Unchanged { .. })));
}

#[test]
fn a_lower_level_is_never_allowed_more_than_a_higher_one() {
    let store = TrustStore::initial(now());
    let external = store.policy(TrustLevel::External).clone();
    let mut widened = vec![external.clone(); 5];
    widened[0].capabilities = vec![CeilingPattern::Everything];
    widened[1].restrictions.network_access = NetworkAccess::Full;
    widened[2].restrictions.resource_limits.memory = 1 << 40;
    widened[3].restrictions.resource_limits.duration = 1 << 40;
    widened[4].capabilities = vec![CeilingPattern::Interface("crypto")];
    for policy in widened {
        let error = store.set_policy(policy, now()).unwrap_err();
        assert!(matches!(error, TrustError::NotNested { .. }), "{error}");
    }
    let stricter = TrustPolicy { signatures: 2, ..external };
    assert_eq!(store.set_policy(stricter, now()).unwrap().store.policy(TrustLevel::External).signatures, 2);
}

#[test]
fn the_standard_ceilings_are_as_documented() {
    let store = TrustStore::initial(now());
    let allowed = |level| -> Vec<Capability> {
        Capability::ALL.into_iter().filter(|capability| store.policy(level).allows(*capability)).collect()
    };
    assert_eq!(allowed(TrustLevel::Trusted), Capability::ALL);
    assert_eq!(allowed(TrustLevel::Partner), Capability::ALL);
    assert_eq!(
        allowed(TrustLevel::External),
        [
            Capability::IdentitySelf,
            Capability::IdentityGrants,
            Capability::CryptoHash,
            Capability::CryptoVerify,
            Capability::AuditNote
        ]
    );
    assert_eq!(store.policy(TrustLevel::External).restrictions.network_access, NetworkAccess::None);
}

#[test]
fn a_ceiling_is_a_capability_an_interface_or_everything() {
    for text in ["*", "crypto.*", "crypto.hash"] {
        assert_eq!(text.parse::<CeilingPattern>().unwrap().to_string(), text);
    }
    for text in ["", "**", "crypto", "crypto*", "cry.*", ".*", "crypto.hash.*", "safe.*", "!*"] {
        assert!(matches!(text.parse::<CeilingPattern>(), Err(TrustError::Ceiling { .. })), "{text}");
    }
}

#[test]
fn an_explanation_names_the_rule_and_the_way_to_change_it() {
    let (_folder, home, config) = home(1);
    let store = with_author(7, TrustLevel::Partner).revoke_key(did(8), "lost", now()).unwrap().store;
    let trust = install(&home, &config, &store, &[&key(1)], now()).unwrap();
    let stranger = trust.explain(&did(6));
    assert!(stranger.to_string().contains("no operator has named it"));
    assert_eq!(stranger.remedy().unwrap(), format!("kos trust add {} --level external", did(6)));
    let partner = trust.explain(&did(7)).to_string();
    for part in
        ["is trusted as partner", "memory 256MiB", "duration 1d", "cpu 1T", "version 3", "crypto.open"]
    {
        assert!(partner.contains(part), "{part} is missing in {partner}");
    }
    let revoked = trust.explain(&did(8));
    assert!(revoked.to_string().contains("it was revoked on 2026-11-24T08:00:00Z: lost"));
    assert_eq!(revoked.remedy(), None);
}

#[test]
fn of_many_writers_of_one_version_exactly_one_wins() {
    let (_folder, home, config) = home(1);
    let base = TrustStore::initial(now());
    install(&home, &config, &base, &[&key(1)], now()).unwrap();
    let installed = std::thread::scope(|scope| {
        let writers: Vec<_> = (10..26)
            .map(|seed| {
                let (home, config, base) = (&home, &config, &base);
                scope.spawn(move || {
                    let next = base.add_author(did(seed), TrustLevel::External, None, now()).unwrap().store;
                    install(home, config, &next, &[&key(1)], now()).is_ok()
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(installed, 1);
    assert_eq!(VerifiedTrust::load(&home, &config, now()).unwrap().store().authors.len(), 1);
}
