use std::collections::BTreeSet;
use std::thread;

use super::super::testing::{SECRET, key, open_home, reopened, secret};
use super::super::{Answer, Custodian, KeyHandle, Request, unlock};
use super::*;
use crate::crypto::SecretKey;
use crate::id::AgreementKey;

const ALICE: &str = "author/alice";

/// The path of a key's file, as an intruder would find it.
fn file_of(home: &Home, key: &str) -> PathBuf {
    home.keys().join(format!("{}.json", key.replace('/', "-")))
}

/// The keyring itself, without a thread around it.
fn keyring_of(home: &Home) -> Keyring {
    let root = super::super::slot::unlock(home, &secret(SECRET)).unwrap();
    Keyring::new(home.clone(), root, Arc::new(crate::clock::SystemClock))
}

fn sign(custodian: &dyn Custodian, name: &str, message: &[u8]) -> Result<[u8; 64], CustodyError> {
    let did = custodian.public(&key(name))?.did;
    match custodian.ask(Request::Sign { key: key(name), did, message: message.to_vec() })? {
        Answer::Signature { signature } => Ok(signature.0),
        other => panic!("{other:?}"),
    }
}

fn export(custodian: &dyn Custodian, name: &str, passphrase: &str) -> Result<Vec<u8>, CustodyError> {
    let passphrase = Secret::new(passphrase.as_bytes().to_vec());
    match custodian.ask(Request::Export { key: key(name), passphrase })? {
        Answer::Exported { document } => Ok(document),
        other => panic!("{other:?}"),
    }
}

fn import(
    custodian: &dyn Custodian,
    name: &str,
    passphrase: &str,
    document: &[u8],
) -> Result<PublicKeys, CustodyError> {
    let passphrase = Secret::new(passphrase.as_bytes().to_vec());
    match custodian.ask(Request::Import { key: key(name), passphrase, document: document.to_vec() })? {
        Answer::Public { public } => Ok(public),
        other => panic!("{other:?}"),
    }
}

fn rotate(custodian: &dyn Custodian, name: &str) -> Result<(PublicKeys, Envelope), CustodyError> {
    match custodian.ask(Request::Rotate { key: key(name) })? {
        Answer::Rotated { public, statement } => Ok((public, statement)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_created_key_signs_for_its_did_and_is_there_after_a_restart() {
    let (test, custodian) = open_home();
    let made = custodian.create(&key(ALICE)).unwrap();
    assert!(made.is_attested());
    let custodians: [Arc<dyn Custodian>; 2] = [custodian, reopened(&test.home)];
    for custodian in custodians {
        let handle = KeyHandle::new(custodian, key(ALICE)).unwrap();
        assert_eq!(handle.public(), &made);
        assert!(made.did.verify(b"message", &handle.sign(b"message").unwrap()));
    }
}

#[test]
fn a_key_that_is_there_is_not_made_again() {
    let (test, custodian) = open_home();
    let made = custodian.create(&key(ALICE)).unwrap();
    let error = custodian.create(&key(ALICE)).unwrap_err();
    assert_eq!(error, CustodyError::KeyExists { key: key(ALICE) });
    assert_eq!(reopened(&test.home).public(&key(ALICE)).unwrap(), made);
    assert_eq!(custodian.create_or_load(&key(ALICE)).unwrap(), made);
}

#[test]
fn a_key_that_is_not_there_is_told_apart_for_every_request() {
    let (_test, custodian) = open_home();
    let refused = CustodyError::NoSuchKey { key: key(ALICE) };
    assert_eq!(custodian.public(&key(ALICE)).unwrap_err(), refused);
    assert_eq!(sign(&*custodian, ALICE, b"").unwrap_err(), refused);
    assert_eq!(export(&*custodian, ALICE, "p").unwrap_err(), refused);
    assert_eq!(rotate(&*custodian, ALICE).unwrap_err(), refused);
    assert_eq!(custodian.ask(Request::Remove { key: key(ALICE) }), Err(refused.clone()));
    assert_eq!(KeyHandle::new(custodian, key(ALICE)).unwrap_err(), refused);
}

#[test]
fn every_flipped_bit_of_a_key_file_is_refused() {
    let (test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    let (keyring, path) = (keyring_of(&test.home), file_of(&test.home, ALICE));
    let honest = fs::read(&path).unwrap();
    for bit in 0..honest.len() * 8 {
        let mut altered = honest.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let error = keyring.opened(&key(ALICE), &path, &altered).err().unwrap();
        assert!(
            matches!(error, CustodyError::Altered { .. } | CustodyError::Malformed { .. }),
            "bit {bit}: {error}"
        );
    }
    assert!(keyring.opened(&key(ALICE), &path, &honest).is_ok());
}

#[test]
fn a_key_file_that_is_cut_or_written_another_way_is_refused() {
    let (test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    let (keyring, path) = (keyring_of(&test.home), file_of(&test.home, ALICE));
    let honest = fs::read_to_string(&path).unwrap();
    for length in 0..honest.len() {
        let cut = &honest.as_bytes()[..length];
        assert!(keyring.opened(&key(ALICE), &path, cut).is_err(), "cut at {length}");
    }
    for altered in [
        format!("{honest}\n"),
        honest.replacen('{', "{\"note\":1,", 1),
        honest.replacen("\"version\":1", "\"version\":2", 1),
        honest.replacen("\"version\":1", "\"version\":1,\"version\":1", 1),
        "[".repeat(8_000),
        "x".repeat(9_000),
    ] {
        assert_ne!(altered, honest);
        fs::write(&path, &altered).unwrap();
        assert!(keyring.read(&key(ALICE), &path).is_err(), "{altered:.100}");
    }
}

#[test]
fn a_key_file_under_another_name_or_role_or_in_another_home_is_refused() {
    let (test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    for name in ["author/bob", "operator/alice", "agent/alice"] {
        fs::copy(file_of(&test.home, ALICE), file_of(&test.home, name)).unwrap();
        assert!(matches!(custodian.public(&key(name)), Err(CustodyError::Altered { .. })), "{name}");
        assert!(matches!(sign(&*custodian, name, b""), Err(CustodyError::Altered { .. })), "{name}");
    }
    let (other, strangers) = open_home();
    fs::copy(file_of(&test.home, ALICE), file_of(&other.home, ALICE)).unwrap();
    assert!(matches!(strangers.public(&key(ALICE)), Err(CustodyError::Altered { .. })));
}

#[test]
fn halves_of_two_key_files_make_no_key() {
    let (test, custodian) = open_home();
    let read = |name: &str| -> KeyFile {
        custodian.create(&key(name)).unwrap();
        canonical::from_canonical(&fs::read(file_of(&test.home, name)).unwrap(), 8_192).unwrap()
    };
    let (alice, bob) = (read(ALICE), read("author/bob"));
    let write = |file: &KeyFile| {
        durable::replace(&file_of(&test.home, ALICE), &canonical::to_canonical(file).unwrap()).unwrap();
        custodian.public(&key(ALICE)).is_ok()
    };
    let mut mixed = alice.clone();
    mixed.public.agreement_key = AgreementKey::from_bytes(*bob.public.agreement_key.as_bytes());
    assert!(!write(&mixed));
    mixed = KeyFile { public: PublicKeys { key: key(ALICE), ..bob.public.clone() }, ..alice.clone() };
    assert!(!write(&mixed));
    mixed = KeyFile { salt: bob.salt, wrapped: bob.wrapped.clone(), ..alice.clone() };
    assert!(!write(&mixed));
    assert!(write(&alice));
}

#[test]
fn the_private_halves_are_nowhere_in_the_files() {
    let (test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    let keyring = keyring_of(&test.home);
    let pair = keyring.read(&key(ALICE), &file_of(&test.home, ALICE)).unwrap();
    let private = pair.private();
    let files = [file_of(&test.home, ALICE), test.home.slots_file()];
    for file in files.map(|file| String::from_utf8(fs::read(file).unwrap()).unwrap()) {
        for half in [&private[..32], &private[32..], &keyring.root.expose()[..], &SECRET[..]] {
            let text = canonical::base64_encode(half);
            assert!(!file.contains(&text[..40]) && !file.contains(&hex::encode(half)));
        }
    }
}

#[test]
fn the_same_key_is_never_wrapped_twice_the_same_way() {
    let (test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    let keyring = keyring_of(&test.home);
    let pair = keyring.read(&key(ALICE), &file_of(&test.home, ALICE)).unwrap();
    let files: BTreeSet<Vec<u8>> = (0..20).map(|_| keyring.file_of(&pair).unwrap()).collect();
    assert_eq!(files.len(), 20);
}

#[test]
fn sealed_bytes_open_for_their_key_alone() {
    let (_test, custodian) = open_home();
    let alice =
        KeyHandle::new(custodian.clone(), custodian.create(&key("agent/alice")).unwrap().key).unwrap();
    let bob = KeyHandle::new(custodian.clone(), custodian.create(&key("agent/bob")).unwrap().key).unwrap();
    let sealed = crypto::seal(&alice.public().agreement_key, b"info", b"header", b"hello").unwrap();
    assert_eq!(*alice.open_sealed(b"info", b"header", &sealed).unwrap(), b"hello");
    let refused = CustodyError::Sealed { key: key("agent/bob") };
    assert_eq!(bob.open_sealed(b"info", b"header", &sealed).unwrap_err(), refused);
    assert!(alice.open_sealed(b"info", b"other", &sealed).is_err());
    assert!(alice.open_sealed(b"info", b"header", b"").is_err());
}

#[test]
fn many_messages_are_signed_in_order_or_not_at_all() {
    let (_test, custodian) = open_home();
    let made = custodian.create(&key("agent/alice")).unwrap();
    let handle = KeyHandle::new(custodian, made.key.clone()).unwrap();
    let messages: Vec<Vec<u8>> = (0..5_u8).map(|number| vec![number; 3]).collect();
    let signatures = handle.sign_many(messages.clone()).unwrap();
    assert_eq!(signatures.len(), 5);
    assert!(messages.iter().zip(&signatures).all(|(message, signature)| made.did.verify(message, signature)));
    let reserved = pae(AGREEMENT_KEY_TYPE, &[0; 32]);
    assert!(handle.sign_many(vec![b"fine".to_vec(), reserved]).is_err());
}

#[test]
fn a_mac_is_the_same_after_a_restart_and_another_in_another_home() {
    let (test, custodian) = open_home();
    let tag = custodian.mac(MacPurpose::Artifact, b"artifact").unwrap();
    assert_eq!(reopened(&test.home).mac(MacPurpose::Artifact, b"artifact").unwrap(), tag);
    assert_ne!(custodian.mac(MacPurpose::Artifact, b"artifacT").unwrap(), tag);
    assert_ne!(open_home().1.mac(MacPurpose::Artifact, b"artifact").unwrap(), tag);
}

#[test]
fn an_exported_key_is_the_same_key_in_another_home() {
    let (_test, custodian) = open_home();
    let made = custodian.create(&key(ALICE)).unwrap();
    let document = export(&*custodian, ALICE, "carry me").unwrap();
    let (_other, elsewhere) = open_home();
    let imported = import(&*elsewhere, "author/alice-2", "carry me", &document).unwrap();
    assert_eq!(imported, PublicKeys { key: key("author/alice-2"), ..made.clone() });
    let sealed = crypto::seal(&made.agreement_key, b"", b"", b"hello").unwrap();
    let handle = KeyHandle::new(elsewhere.clone(), imported.key).unwrap();
    assert_eq!(*handle.open_sealed(b"", b"", &sealed).unwrap(), b"hello");
    assert!(made.did.verify(b"x", &handle.sign(b"x").unwrap()));
    let again = import(&*elsewhere, "author/alice-2", "carry me", &document).unwrap_err();
    assert_eq!(again, CustodyError::KeyExists { key: key("author/alice-2") });
}

#[test]
fn an_exported_key_opens_with_its_passphrase_alone_and_only_in_its_role() {
    let (_test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    let document = export(&*custodian, ALICE, "carry me").unwrap();
    let wrong = import(&*custodian, "author/bob", "carry mE", &document).unwrap_err();
    assert!(matches!(wrong, CustodyError::WrongSecret { .. }), "{wrong}");
    for name in ["operator/bob", "agent/bob", "host/bob"] {
        let error = import(&*custodian, name, "carry me", &document).unwrap_err();
        assert!(matches!(error, CustodyError::Forbidden { .. }), "{name}: {error}");
    }
    assert!(export(&*custodian, ALICE, "").is_err());
}

#[test]
fn an_altered_export_is_refused() {
    let (_test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    let document = export(&*custodian, ALICE, "carry me").unwrap();
    let text = String::from_utf8(document.clone()).unwrap();
    // The fields that cost no derivation to refuse are flipped bit by bit, the others once each.
    for altered in [
        format!("{text}\n"),
        text.replacen('{', "{\"note\":1,", 1),
        text.replacen("\"passes\":3", "\"passes\":1", 1),
        text.replacen("\"memoryKib\":65536", "\"memoryKib\":4294967295", 1),
        text.replacen("\"lanes\":4", "\"lanes\":3", 1),
        text.replacen("author/alice", "author/alicf", 1),
        text.replacen("kos-key-v1", "kos-key-v2", 1),
        text.replacen("\"created\":1", "\"created\":2", 1),
        "x".repeat(9_000),
    ] {
        assert_ne!(altered, text);
        assert!(import(&*custodian, "author/bob", "carry me", altered.as_bytes()).is_err(), "{altered}");
    }
    let field = |name: &str| text.find(&format!("\"{name}\":\"")).unwrap() + name.len() + 4;
    for name in ["salt", "ciphertext", "commitment", "attestation", "did", "agreementKey"] {
        let mut altered = document.clone();
        let position = field(name) + 15;
        altered[position] = if altered[position] == b'A' { b'B' } else { b'A' };
        assert!(import(&*custodian, "author/bob", "carry me", &altered).is_err(), "{name}");
    }
    assert!(import(&*custodian, "author/bob", "carry me", &document).is_ok());
}

#[test]
fn the_keys_of_agents_and_of_the_host_never_leave() {
    let (_test, custodian) = open_home();
    for name in ["agent/alice", "host/host"] {
        custodian.create(&key(name)).unwrap();
        let error = export(&*custodian, name, "carry me").unwrap_err();
        assert!(matches!(error, CustodyError::Forbidden { .. }), "{error}");
        assert!(matches!(rotate(&*custodian, name), Err(CustodyError::Forbidden { .. })));
    }
    let removed = custodian.ask(Request::Remove { key: key("host/host") });
    assert!(matches!(removed, Err(CustodyError::Forbidden { .. })));
}

#[test]
fn a_rotated_key_is_new_and_the_old_one_says_so() {
    let (test, custodian) = open_home();
    let old = custodian.create(&key(ALICE)).unwrap();
    let (new, statement) = rotate(&*custodian, ALICE).unwrap();
    assert_ne!(new.did, old.did);
    assert_eq!(reopened(&test.home).public(&key(ALICE)).unwrap(), new);
    assert!(new.did.verify(b"x", &sign(&*custodian, ALICE, b"x").unwrap()));
    let rotation = rotation::Rotation::verify(statement.clone()).unwrap();
    assert_eq!((rotation.previous, rotation.next), (old.did, new.did));
    assert_eq!(rotation.next_agreement_key, new.agreement_key);
    let kept = rotation::kept_beside(&file_of(&test.home, ALICE), &old.did);
    assert_eq!(fs::read(kept.statement).unwrap(), statement.to_bytes().unwrap());
    assert!(kept.key.exists());
    assert_eq!(custodian.list().unwrap(), [new], "what is kept is no key of the list");
}

#[test]
fn a_rotation_that_one_of_the_two_keys_has_not_signed_is_refused() {
    let (old, new) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let rotation = |previous: &SecretKey, next: &SecretKey| rotation::Rotation {
        previous: previous.did(),
        next: next.did(),
        next_agreement_key: AgreementKey::from_bytes([9; 32]),
        rotated: Timestamp::from_millis(1),
    };
    let signed = |rotation: &rotation::Rotation, signers: &[&dyn Signer]| {
        let payload = canonical::to_canonical(rotation).unwrap();
        rotation::Rotation::verify(Envelope::sign(rotation::ROTATION_TYPE, payload, signers).unwrap())
    };
    assert!(signed(&rotation(&old, &new), &[&old, &new]).is_ok());
    assert!(signed(&rotation(&old, &new), &[&old]).is_err());
    assert!(signed(&rotation(&old, &new), &[&new]).is_err());
    assert!(signed(&rotation(&old, &old), &[&old]).is_err());
}

#[test]
fn a_rotation_cut_short_at_any_step_leaves_the_old_key_or_the_new() {
    let (test, custodian) = open_home();
    let old = custodian.create(&key(ALICE)).unwrap();
    let path = file_of(&test.home, ALICE);
    let old_file = fs::read(&path).unwrap();
    let (new, statement) = rotate(&*custodian, ALICE).unwrap();
    let new_file = fs::read(&path).unwrap();
    let kept = rotation::kept_beside(&path, &old.did);
    let steps = [
        (kept.key.clone(), old_file.clone()),
        (kept.statement.clone(), statement.to_bytes().unwrap()),
        (path.clone(), new_file),
    ];
    for done in 0..=steps.len() {
        for kept in [&kept.key, &kept.statement] {
            let _ = fs::remove_file(kept);
        }
        durable::replace(&path, &old_file).unwrap();
        for (path, bytes) in &steps[..done] {
            durable::replace(path, bytes).unwrap();
        }
        if let Some((path, bytes)) = steps.get(done) {
            let name = path.file_name().unwrap().to_str().unwrap();
            fs::write(path.with_file_name(format!(".{name}.1-0.tmp")), &bytes[..bytes.len() / 2]).unwrap();
        }
        let expected = if done == steps.len() { &new } else { &old };
        let custodian = reopened(&test.home);
        assert_eq!(custodian.public(&key(ALICE)).unwrap(), *expected, "after {done} steps");
        let (next, statement) = rotate(&*custodian, ALICE).unwrap();
        assert_eq!(rotation::Rotation::verify(statement).unwrap().previous, expected.did);
        assert_eq!(custodian.public(&key(ALICE)).unwrap(), next);
    }
}

#[test]
fn a_removed_key_is_gone_with_all_that_was_kept_of_it() {
    let (test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    custodian.create(&key("author/alice-2")).unwrap();
    rotate(&*custodian, ALICE).unwrap();
    rotate(&*custodian, "author/alice-2").unwrap();
    custodian.ask(Request::Remove { key: key(ALICE) }).unwrap();
    assert_eq!(sign(&*custodian, ALICE, b"").unwrap_err(), CustodyError::NoSuchKey { key: key(ALICE) });
    let names: Vec<String> = fs::read_dir(test.home.keys())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.starts_with("author-alice.")), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("author-alice-2.")).count(), 3, "{names:?}");
}

#[test]
fn what_another_process_removes_or_rotates_is_in_force_at_the_next_use() {
    let (test, running) = open_home();
    let made = running.create(&key("author/alice")).unwrap();
    running.create(&key("author/bob")).unwrap();
    let handle = KeyHandle::new(running.clone(), key("author/alice")).unwrap();
    sign(&*running, "author/bob", b"x").unwrap();
    let operator = reopened(&test.home);
    operator.ask(Request::Remove { key: key("author/bob") }).unwrap();
    let (rotated, _) = rotate(&*operator, ALICE).unwrap();
    assert!(matches!(sign(&*running, "author/bob", b"x"), Err(CustodyError::NoSuchKey { .. })));
    assert_eq!(running.public(&key(ALICE)).unwrap(), rotated);
    let error = handle.sign(b"x").unwrap_err();
    assert_eq!(error.signer, made.did, "a handle is of the key that it was made for");
    assert!(error.cause.contains("another key by now"), "{error}");
}

#[test]
fn the_list_has_every_key_once_and_nothing_else() {
    let (test, custodian) = open_home();
    for name in ["operator/me", "author/bob", "author/alice", "agent/notary-0123456789abcdef", "host/host"] {
        custodian.create(&key(name)).unwrap();
    }
    fs::write(test.home.keys().join(".author-x.json.1-0.tmp"), "{").unwrap();
    fs::write(test.home.keys().join("readme.txt"), "not a key").unwrap();
    let listed: Vec<String> = custodian.list().unwrap().iter().map(|public| public.key.to_string()).collect();
    let expected =
        ["host/host", "operator/me", "author/alice", "author/bob", "agent/notary-0123456789abcdef"];
    assert_eq!(listed, expected);
}

#[test]
fn a_damaged_key_in_the_list_is_named_and_not_left_out() {
    let (test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    fs::write(file_of(&test.home, "author/bob"), "{}").unwrap();
    assert!(custodian.list().unwrap_err().to_string().contains("author-bob.json"));
}

#[test]
fn of_many_custodians_that_make_one_key_at_once_one_wins_and_all_have_it() {
    let (test, _custodian) = open_home();
    let custodians: Vec<Arc<dyn Custodian>> = (0..8).map(|_| reopened(&test.home)).collect();
    let results: Vec<Result<PublicKeys, CustodyError>> = thread::scope(|scope| {
        let made: Vec<_> = custodians
            .iter()
            .map(|custodian| scope.spawn(|| custodian.create(&key("agent/alice"))))
            .collect();
        made.into_iter().map(|made| made.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let loaded: BTreeSet<String> = custodians
        .iter()
        .map(|custodian| custodian.create_or_load(&key("agent/alice")).unwrap().did.to_string())
        .collect();
    assert_eq!(loaded.len(), 1);
}

#[test]
fn whatever_a_dying_writer_leaves_of_a_new_key_is_no_key_and_in_nobodys_way() {
    let (test, custodian) = open_home();
    custodian.create(&key("author/bob")).unwrap();
    let bytes = fs::read(file_of(&test.home, "author/bob")).unwrap();
    for count in 0..3 {
        let name = format!(".author-alice.json.{}-{count}.tmp", std::process::id());
        fs::write(test.home.keys().join(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    let restarted = reopened(&test.home);
    assert!(matches!(restarted.public(&key(ALICE)), Err(CustodyError::NoSuchKey { .. })));
    restarted.create(&key(ALICE)).unwrap();
    assert_eq!(restarted.list().unwrap().len(), 2);
    let leftovers = fs::read_dir(test.home.keys())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"))
        .count();
    assert_eq!(leftovers, 0);
}

#[test]
fn nothing_of_custody_prints_a_secret() {
    let (test, custodian) = open_home();
    custodian.create(&key(ALICE)).unwrap();
    let handle = KeyHandle::new(custodian.clone(), key(ALICE)).unwrap();
    let sealed = crypto::seal(&handle.public().agreement_key, b"", b"", b"top secret").unwrap();
    let opened = custodian.ask(Request::Open {
        key: key(ALICE),
        did: handle.public().did,
        info: Vec::new(),
        associated: Vec::new(),
        sealed,
    });
    let shown = format!("{opened:?} {handle:?} {custodian:?}");
    assert!(!shown.contains("top secret") && !shown.contains("116, 111, 112"), "{shown}");
    let wrong = super::super::testing::passphrase("open sesame");
    let errors = [
        unlock(&test.home, &wrong).unwrap_err(),
        export(&*custodian, "author/none", "open sesame").unwrap_err(),
        import(&*custodian, "author/x", "open sesame", b"{}").unwrap_err(),
    ];
    for error in errors {
        assert!(!format!("{error} {error:?}").contains("sesame"), "{error:?}");
    }
}
