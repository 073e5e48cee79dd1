//! Whose signatures count, for what, and until when.

use semver::Version;

use super::*;
use crate::crypto::Signer;
use crate::envelope::EnvelopeError;
use crate::id::Digest;
use crate::manifest::statement::ManifestStatement;
use crate::trust::TrustPolicy;

#[test]
fn a_component_of_a_trusted_author_verifies_with_all_its_facts() {
    let verified = verify(&signed(), &trust()).unwrap();
    assert_eq!(verified.bytes(), component());
    assert_eq!(verified.digest(), Digest::of(&component()));
    assert_eq!(verified.manifest(), &manifest_of(AUTHOR));
    assert_eq!(verified.agent().to_string(), format!("{}#notary", did(AUTHOR)));
    assert_eq!(verified.level(), TrustLevel::Partner);
    assert_eq!(verified.signers(), [did(AUTHOR)]);
}

#[test]
fn an_unsigned_component_is_refused() {
    let refused = verify(&component(), &trust()).unwrap_err();
    assert_eq!(refused, Refusal::Unsigned);
    assert!(refused.remedy().unwrap().starts_with("kos sign AGENT.wasm"));
}

#[test]
fn an_empty_trust_store_means_nobody() {
    let refused = verify(&signed(), &trust_in(&[])).unwrap_err();
    assert_eq!(refused, Refusal::UntrustedSigners { signers: vec![did(AUTHOR)] });
    assert_eq!(refused.remedy().unwrap(), format!("kos trust add {} --level external", did(AUTHOR)));
}

#[test]
fn an_attacker_who_signs_everything_again_with_an_own_key_is_refused() {
    assert_eq!(
        verify(&signed_by(ATTACKER, &[ATTACKER]), &trust()),
        Err(Refusal::UntrustedSigners { signers: vec![did(ATTACKER)] })
    );
}

#[test]
fn an_attacker_who_claims_to_be_the_author_is_refused() {
    let mut manifest = manifest_of(ATTACKER);
    manifest.author = did(AUTHOR);
    assert_eq!(
        sign(&component(), &manifest, &[&key(ATTACKER)]),
        Err(SignComponentError::AuthorDoesNotSign { author: did(AUTHOR) })
    );
    let statement = ManifestStatement { digest: Digest::of(&component()), manifest }.to_payload().unwrap();
    let forged = Envelope::sign(STATEMENT_PAYLOAD_TYPE, statement, &[&key(ATTACKER)]).unwrap();
    let renamed = String::from_utf8(forged.to_bytes().unwrap())
        .unwrap()
        .replace(&did(ATTACKER).to_string(), &did(AUTHOR).to_string());
    for envelope in [forged, Envelope::parse(renamed.as_bytes()).unwrap()] {
        let refused = verify(&attach(&component(), &envelope).unwrap(), &trust()).unwrap_err();
        assert!(
            matches!(
                refused,
                Refusal::UntrustedSigners { .. } | Refusal::Signature(EnvelopeError::Threshold { .. })
            ),
            "{refused}"
        );
    }
}

#[test]
fn a_trusted_author_cannot_sign_in_the_name_of_another() {
    let manifest = manifest_of(8);
    let statement = ManifestStatement { digest: Digest::of(&component()), manifest }.to_payload().unwrap();
    let envelope = Envelope::sign(STATEMENT_PAYLOAD_TYPE, statement, &[&key(AUTHOR)]).unwrap();
    let trust = trust_in(&[(AUTHOR, TrustLevel::External), (8, TrustLevel::Trusted)]);
    assert_eq!(
        verify(&attach(&component(), &envelope).unwrap(), &trust),
        Err(Refusal::AuthorDidNotSign { author: did(8) })
    );
}

#[test]
fn a_stranger_who_also_signs_changes_nothing() {
    let verified = verify(&signed_by(AUTHOR, &[ATTACKER, AUTHOR]), &trust()).unwrap();
    assert_eq!(verified.signers(), [did(AUTHOR)]);
    assert_eq!(verified.level(), TrustLevel::Partner);
}

#[test]
fn the_envelope_of_another_component_is_refused() {
    let other = b"\0asm\x0d\0\x01\0";
    let envelope = sign(other, &manifest_of(AUTHOR), &[&key(AUTHOR)]).unwrap();
    let swapped = attach(&component(), &envelope).unwrap();
    let expected = Refusal::Digest { signed: Digest::of(other), found: Digest::of(&component()) };
    assert_eq!(verify(&swapped, &trust()), Err(expected));
}

#[test]
fn a_signature_for_another_use_is_refused() {
    let payload = sign(&component(), &manifest_of(AUTHOR), &[&key(AUTHOR)]).unwrap();
    let payload = payload.unverified_payload().to_vec();
    let envelope =
        Envelope::sign("application/vnd.kos.permissions.v1+json", payload, &[&key(AUTHOR)]).unwrap();
    assert!(matches!(
        verify(&attach(&component(), &envelope).unwrap(), &trust()),
        Err(Refusal::Signature(EnvelopeError::PayloadType { .. }))
    ));
}

#[test]
fn the_signature_of_another_statement_is_refused() {
    let mut other = manifest_of(AUTHOR);
    other.version = Version::new(9, 9, 9);
    let bytes = |envelope: Envelope| String::from_utf8(envelope.to_bytes().unwrap()).unwrap();
    let one = bytes(sign(&component(), &manifest_of(AUTHOR), &[&key(AUTHOR)]).unwrap());
    let two = bytes(sign(&component(), &other, &[&key(AUTHOR)]).unwrap());
    let signatures = |text: &str| text[text.find("\"signatures\"").unwrap()..].to_owned();
    let mixed = one.replace(&signatures(&one), &signatures(&two));
    assert_ne!(mixed, one);
    let envelope = Envelope::parse(mixed.as_bytes()).unwrap();
    assert!(matches!(
        verify(&attach(&component(), &envelope).unwrap(), &trust()),
        Err(Refusal::Signature(EnvelopeError::Threshold { valid: 0, .. }))
    ));
}

#[test]
fn a_hint_that_is_no_identifier_is_refused() {
    let envelope = sign(&component(), &manifest_of(AUTHOR), &[&key(AUTHOR)]).unwrap();
    let text = String::from_utf8(envelope.to_bytes().unwrap()).unwrap();
    for hint in ["", "author", "did:key:z6Mk", &format!("{}1", did(AUTHOR))] {
        let altered = text.replace(&did(AUTHOR).to_string(), hint);
        let envelope = Envelope::parse(altered.as_bytes()).unwrap();
        assert!(matches!(
            verify(&attach(&component(), &envelope).unwrap(), &trust()),
            Err(Refusal::KeyHint { .. })
        ));
    }
}

/// A store in which the partner level takes two signatures, and so does the external one if `external` says so.
fn trust_with_thresholds(authors: &[(u8, TrustLevel)], external: usize) -> VerifiedTrust {
    trust_after(|mut store| {
        for (level, signatures) in [(TrustLevel::External, external), (TrustLevel::Partner, 2)] {
            let policy = TrustPolicy { signatures, ..store.policy(level).clone() };
            if policy != *store.policy(level) {
                store = store.set_policy(policy, now()).unwrap().store;
            }
        }
        for (seed, level) in authors {
            store = store.add_author(did(*seed), *level, None, now()).unwrap().store;
        }
        store
    })
}

#[test]
fn with_one_signature_too_few_the_level_is_lowered() {
    let trust = trust_with_thresholds(&[(AUTHOR, TrustLevel::Partner), (8, TrustLevel::Partner)], 1);
    assert_eq!(verify(&signed(), &trust).unwrap().level(), TrustLevel::External);
    let both = verify(&signed_by(AUTHOR, &[AUTHOR, 8]), &trust).unwrap();
    assert_eq!(both.level(), TrustLevel::Partner);
    assert_eq!(both.signers().len(), 2);
}

#[test]
fn what_was_verified_is_refused_when_the_store_no_longer_takes_it_for_what_it_was() {
    let authors = [(AUTHOR, TrustLevel::Partner), (8, TrustLevel::Partner)];
    let trust = trust_in(&authors);
    let (alone, both) = (signed(), signed_by(AUTHOR, &[AUTHOR, 8]));
    let alone = verify(&alone, &trust).unwrap();
    assert_eq!(alone.check_again(&trust, now()), Ok(()));
    // Partners must now be two.
    let raised = trust_with_thresholds(&authors, 1);
    let refused = Refusal::UntrustedSigners { signers: vec![did(AUTHOR)] };
    assert_eq!(alone.check_again(&raised, now()), Err(refused));
    let both = verify(&both, &raised).unwrap();
    assert_eq!(both.check_again(&raised, now()), Ok(()));
    // The second of them is no partner any more.
    let demoted = trust_with_thresholds(&[(AUTHOR, TrustLevel::Partner), (8, TrustLevel::External)], 1);
    assert!(matches!(both.check_again(&demoted, now()), Err(Refusal::UntrustedSigners { .. })));
}

#[test]
fn a_signer_of_a_lower_level_does_not_count_for_a_higher_one() {
    let trust = trust_with_thresholds(&[(AUTHOR, TrustLevel::Partner), (8, TrustLevel::External)], 1);
    assert_eq!(verify(&signed_by(AUTHOR, &[AUTHOR, 8]), &trust).unwrap().level(), TrustLevel::External);
}

#[test]
fn a_signer_of_a_higher_level_does_not_raise_the_author() {
    let trust = trust_in(&[(AUTHOR, TrustLevel::External), (8, TrustLevel::Trusted)]);
    assert_eq!(verify(&signed_by(AUTHOR, &[AUTHOR, 8]), &trust).unwrap().level(), TrustLevel::External);
}

#[test]
fn too_few_signatures_for_every_level_are_refused() {
    let trust = trust_with_thresholds(&[(AUTHOR, TrustLevel::Partner), (8, TrustLevel::Partner)], 2);
    assert_eq!(verify(&signed(), &trust), Err(Refusal::Threshold { valid: 1, required: 2 }));
    assert_eq!(
        verify(&signed_by(AUTHOR, &[AUTHOR, ATTACKER]), &trust),
        Err(Refusal::Threshold { valid: 1, required: 2 })
    );
}

#[test]
fn the_same_key_twice_counts_once() {
    let trust = trust_with_thresholds(&[(AUTHOR, TrustLevel::Partner), (8, TrustLevel::Partner)], 2);
    let envelope = sign(&component(), &manifest_of(AUTHOR), &[&key(AUTHOR)]).unwrap();
    let text = String::from_utf8(envelope.to_bytes().unwrap()).unwrap();
    let start = text.find("[{").unwrap() + 1;
    let one = &text[start..text.rfind(']').unwrap()];
    let renamed = one.replace(&did(AUTHOR).to_string(), &did(8).to_string());
    for second in [one, &renamed] {
        let doubled = text.replace(one, &format!("{one},{second}"));
        let envelope = Envelope::parse(doubled.as_bytes()).unwrap();
        assert_eq!(
            verify(&attach(&component(), &envelope).unwrap(), &trust),
            Err(Refusal::Threshold { valid: 1, required: 2 })
        );
    }
}

#[test]
fn a_revoked_author_is_refused_with_when_and_why() {
    let revoke = |store: TrustStore| {
        let store = store.add_author(did(AUTHOR), TrustLevel::Trusted, None, now()).unwrap().store;
        let store = store.add_author(did(8), TrustLevel::Trusted, None, now()).unwrap().store;
        store.revoke_key(did(AUTHOR), "stolen", now()).unwrap().store
    };
    let trust = trust_after(revoke);
    for signers in [&[AUTHOR][..], &[AUTHOR, 8]] {
        let refused = verify(&signed_by(AUTHOR, signers), &trust).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "the component is signed by {}, which was revoked on 2026-11-24T08:00:00Z: stolen",
                did(AUTHOR)
            )
        );
    }
}

#[test]
fn a_revoked_second_signer_does_not_count() {
    let trust = trust_after(|store| {
        let policy = TrustPolicy { signatures: 2, ..store.policy(TrustLevel::Partner).clone() };
        let store = store.set_policy(policy, now()).unwrap().store;
        let store = store.add_author(did(AUTHOR), TrustLevel::Partner, None, now()).unwrap().store;
        let store = store.add_author(did(8), TrustLevel::Partner, None, now()).unwrap().store;
        store.revoke_key(did(8), "left", now()).unwrap().store
    });
    let verified = verify(&signed_by(AUTHOR, &[AUTHOR, 8]), &trust).unwrap();
    assert_eq!((verified.level(), verified.signers()), (TrustLevel::External, &[did(AUTHOR)][..]));
}

#[test]
fn a_removed_author_is_a_stranger_again() {
    let trust = trust_after(|store| {
        let store = store.add_author(did(AUTHOR), TrustLevel::Partner, None, now()).unwrap().store;
        store.remove_author(&did(AUTHOR), now()).unwrap().store
    });
    assert!(matches!(verify(&signed(), &trust), Err(Refusal::UntrustedSigners { .. })));
}

#[test]
fn a_revoked_component_is_refused_whoever_signed_it() {
    let trust = trust_after(|store| {
        let store = store.add_author(did(AUTHOR), TrustLevel::Trusted, None, now()).unwrap().store;
        store.revoke_component(Digest::of(&component()), "it leaks", now()).unwrap().store
    });
    let refused = verify(&signed(), &trust).unwrap_err();
    assert!(matches!(refused, Refusal::ComponentRevoked { .. }));
    assert!(refused.to_string().ends_with("was revoked on 2026-11-24T08:00:00Z: it leaks"), "{refused}");
}

#[test]
fn a_component_runs_neither_before_its_time_nor_from_its_end_on() {
    let read = || UnverifiedComponent::read(signed(), None).unwrap();
    let trust = trust();
    let end = manifest_of(AUTHOR).expires.unwrap();
    let before = |instant: Timestamp| Timestamp::from_millis(instant.as_millis() - 1);
    assert!(matches!(read().verify(&trust, before(now())), Err(Refusal::NotYetValid { .. })));
    assert!(read().verify(&trust, now()).is_ok());
    assert!(read().verify(&trust, before(end)).is_ok());
    assert!(matches!(read().verify(&trust, end), Err(Refusal::Expired { .. })));
}

#[test]
fn an_older_version_than_has_run_is_refused_unless_the_operators_allow_it() {
    let verified = verify(&signed(), &trust()).unwrap();
    let same = Version::new(0, 1, 0);
    let newer = Version::new(0, 1, 1);
    assert!(verified.check_not_rolled_back(&same, Rollback::Refused).is_ok());
    let refused = verified.check_not_rolled_back(&newer, Rollback::Refused).unwrap_err();
    assert_eq!(refused.to_string(), "notary 0.1.0 is older than 0.1.1, which has run here");
    assert!(verified.check_not_rolled_back(&newer, Rollback::Allowed).is_ok());
    assert!(
        verified.check_not_rolled_back(&Version::parse("0.1.0-rc.1").unwrap(), Rollback::Refused).is_ok()
    );
}

#[test]
fn what_is_only_claimed_says_so_and_needs_a_signature_to_be_shown() {
    let read = UnverifiedComponent::read(signed_by(ATTACKER, &[ATTACKER]), None).unwrap();
    assert_eq!(read.unverified_manifest().unwrap(), manifest_of(ATTACKER));
    assert_eq!(read.unverified_signers(), [did(ATTACKER)]);
    let unsigned = UnverifiedComponent::read(component(), None).unwrap();
    assert_eq!(unsigned.unverified_manifest(), Err(Refusal::Unsigned));
}

#[test]
fn every_refusal_is_one_line() {
    let trust = trust();
    let other =
        attach(&component(), &sign(b"\0asm\x0d\0\x01\0", &manifest_of(AUTHOR), &[&key(AUTHOR)]).unwrap());
    for file in [&b""[..], b"\0asm\x01\0\0\0", b"\x7fELF", &component(), &other.unwrap()] {
        let refused = verify(file, &trust).unwrap_err();
        assert!(!refused.to_string().contains('\n') && refused.remedy().is_some(), "{refused}");
    }
}

#[test]
fn a_second_author_adds_a_signature_to_a_signed_file() {
    let read = UnverifiedComponent::read(signed(), None).unwrap();
    let mut envelope = read.unverified_envelope().unwrap().clone();
    envelope.add_signature(&key(8) as &dyn Signer).unwrap();
    let trust = trust_in(&[(AUTHOR, TrustLevel::Partner), (8, TrustLevel::Partner)]);
    let verified = verify(&attach(&signed(), &envelope).unwrap(), &trust).unwrap();
    assert_eq!(verified.signers().len(), 2);
}
