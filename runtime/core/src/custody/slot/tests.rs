use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::super::testing::{
    SECRET as SECRET_BYTES, empty_home, key, open_home, passphrase, reopened, secret, secret_slot,
};
use super::super::{Custodian as _, CustodyError, Request, initialise, unlock as unlock_home};
use super::*;

fn passphrase_slot(text: &str, kdf: Kdf) -> SlotSpec {
    SlotSpec::Passphrase { secret: Zeroizing::new(text.to_owned()), kdf }
}

#[test]
fn every_kind_of_slot_opens_the_same_keys() {
    let test = empty_home();
    let path = test.folder.path().join("root.key");
    let specs = [
        passphrase_slot("correct horse", Kdf::board()),
        passphrase_slot("battery staple", Kdf::specification()),
        SlotSpec::KeyFile { path: path.clone() },
        secret_slot([7; 32]),
    ];
    let made = initialise(&test.home, &specs).unwrap().create(&key("author/alice")).unwrap();
    for way in
        [passphrase("correct horse"), passphrase("battery staple"), Unlock::KeyFile(path), secret([7; 32])]
    {
        let custodian = unlock_home(&test.home, &way).unwrap();
        assert_eq!(custodian.public(&key("author/alice")).unwrap(), made, "{way:?}");
    }
}

#[test]
fn a_wrong_secret_is_one_clear_error_for_every_kind() {
    let test = empty_home();
    let path = test.folder.path().join("root.key");
    let specs =
        [passphrase_slot("correct horse", Kdf::board()), SlotSpec::KeyFile { path }, secret_slot([7; 32])];
    drop(initialise(&test.home, &specs).unwrap());
    let other = test.folder.path().join("other.key");
    secret_file::read_or_create_key_file(&other).unwrap();
    for way in [passphrase("correct horsf"), passphrase(""), Unlock::KeyFile(other), secret([8; 32])] {
        let error = unlock_home(&test.home, &way).unwrap_err();
        assert!(matches!(error, CustodyError::WrongSecret { .. }), "{error}");
    }
    let error = unlock_home(&test.home, &passphrase("x")).unwrap_err();
    assert_eq!(error.to_string(), "the passphrase is wrong: it opens no slot of this home");
}

#[test]
fn a_kind_of_secret_without_a_slot_is_told_apart_from_a_wrong_one() {
    let (test, _custodian) = open_home();
    let error = unlock_home(&test.home, &passphrase("x")).unwrap_err();
    assert_eq!(error, CustodyError::NoSuchSlot { kind: "passphrase".to_owned() });
}

#[test]
fn every_flipped_bit_of_the_slots_file_is_refused() {
    let test = empty_home();
    let path = test.folder.path().join("root.key");
    let specs = [secret_slot(SECRET_BYTES), SlotSpec::KeyFile { path }];
    drop(initialise(&test.home, &specs).unwrap());
    let honest = fs::read(test.home.slots_file()).unwrap();
    for bit in 0..honest.len() * 8 {
        let mut altered = honest.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(open_bytes(&altered).is_err(), "bit {bit} of {}", String::from_utf8_lossy(&altered));
    }
    assert!(open_bytes(&honest).is_ok());
}

fn open_bytes(bytes: &[u8]) -> Result<RootKey, CustodyError> {
    let path = Path::new("slots.json");
    SlotsFile::parse(bytes, path)?.open(&secret(SECRET_BYTES), path)
}

fn slot_unlock(home: &Home) -> Result<RootKey, CustodyError> {
    unlock(home, &secret(SECRET_BYTES))
}

#[test]
fn a_slots_file_that_is_cut_long_or_written_another_way_is_refused() {
    let (test, _custodian) = open_home();
    let honest = fs::read_to_string(test.home.slots_file()).unwrap();
    for length in 0..honest.len() {
        assert!(open_bytes(&honest.as_bytes()[..length]).is_err(), "cut at {length}");
    }
    for altered in [
        format!("{honest}\n"),
        format!(" {honest}"),
        honest.replacen('{', "{\"debug\":true,", 1),
        honest.replacen("\"version\":1", "\"version\":1,\"version\":1", 1),
        honest.replacen("\"version\":1", "\"version\":2", 1),
        honest.replacen("\"secret\":{}", "\"secret\":{\"kdf\":1}", 1),
        honest.replacen("\"secret\":{}", "\"magic\":{}", 1),
        "x".repeat(100_000),
        "[".repeat(60_000),
    ] {
        assert_ne!(altered, honest);
        fs::write(test.home.slots_file(), &altered).unwrap();
        let error = slot_unlock(&test.home).err().unwrap();
        assert!(
            matches!(error, CustodyError::Malformed { .. } | CustodyError::Storage { .. }),
            "{error}: {altered:.200}"
        );
    }
}

#[test]
fn a_slot_moved_into_another_homes_file_is_refused() {
    let (one, _one) = open_home();
    let (two, _two) = open_home();
    let (mut mixed, other) = (SlotsFile::read(&one.home).unwrap(), SlotsFile::read(&two.home).unwrap());
    mixed.slots.insert(0, other.slots[0].clone());
    fs::write(one.home.slots_file(), canonical::to_canonical(&mixed).unwrap()).unwrap();
    assert!(matches!(slot_unlock(&one.home), Err(CustodyError::Altered { .. })));
    mixed.slots.remove(1);
    fs::write(one.home.slots_file(), canonical::to_canonical(&mixed).unwrap()).unwrap();
    assert!(matches!(slot_unlock(&one.home), Err(CustodyError::Altered { .. })));
}

#[test]
fn slots_put_in_another_order_or_left_out_are_refused() {
    let (test, _custodian) = open_home();
    add(&test.home, &secret(SECRET_BYTES), secret_slot([9; 32])).unwrap();
    let honest = SlotsFile::read(&test.home).unwrap();
    let mut swapped = honest.clone();
    swapped.slots.reverse();
    let mut cut = honest.clone();
    cut.slots.pop();
    let mut twice = honest.clone();
    twice.slots.push(honest.slots[0].clone());
    for altered in [swapped, cut, twice] {
        fs::write(test.home.slots_file(), canonical::to_canonical(&altered).unwrap()).unwrap();
        assert!(matches!(slot_unlock(&test.home), Err(CustodyError::Altered { .. })));
    }
}

#[test]
fn cheaper_or_ruinous_parameters_in_the_file_are_refused_before_any_derivation() {
    let test = empty_home();
    drop(initialise(&test.home, &[passphrase_slot("correct horse", Kdf::board())]).unwrap());
    let honest = fs::read_to_string(test.home.slots_file()).unwrap();
    let started = std::time::Instant::now();
    for (from, to) in [
        ("\"memoryKib\":19456", "\"memoryKib\":8"),
        ("\"memoryKib\":19456", "\"memoryKib\":4294967295"),
        ("\"passes\":2", "\"passes\":1"),
        ("\"passes\":2", "\"passes\":1000000"),
        ("\"lanes\":1", "\"lanes\":0"),
        ("\"lanes\":1", "\"lanes\":16777215"),
    ] {
        let altered = honest.replacen(from, to, 1);
        assert_ne!(altered, honest);
        fs::write(test.home.slots_file(), altered).unwrap();
        let error = unlock_home(&test.home, &passphrase("correct horse")).unwrap_err();
        assert!(matches!(error, CustodyError::Kdf(_)), "{error}");
    }
    assert!(started.elapsed().as_millis() < 200, "nothing was derived");
}

#[test]
fn other_parameters_within_the_bounds_open_nothing() {
    let test = empty_home();
    drop(initialise(&test.home, &[passphrase_slot("correct horse", Kdf::board())]).unwrap());
    let honest = fs::read_to_string(test.home.slots_file()).unwrap();
    for (from, to) in [("\"passes\":2", "\"passes\":3"), ("\"label\":\"passphrase\"", "\"label\":\"mine\"")] {
        fs::write(test.home.slots_file(), honest.replacen(from, to, 1)).unwrap();
        let error = unlock_home(&test.home, &passphrase("correct horse")).unwrap_err();
        assert!(matches!(error, CustodyError::WrongSecret { .. } | CustodyError::Altered { .. }), "{error}");
    }
}

#[test]
fn weak_parameters_and_useless_secrets_make_no_slot() {
    let test = empty_home();
    let short = SlotSpec::Secret { secret: Zeroizing::new(vec![7; 31]) };
    for spec in [
        passphrase_slot("correct horse", Kdf::Pbkdf2Sha512 { rounds: 199_999 }),
        passphrase_slot("correct horse", Kdf::Argon2id { memory_kib: 1024, passes: 2, lanes: 1 }),
        passphrase_slot("", Kdf::board()),
        short,
    ] {
        assert!(initialise(&test.home, &[spec]).is_err());
        assert!(!test.home.slots_file().exists(), "nothing was written");
    }
    assert_eq!(initialise(&test.home, &[]).unwrap_err(), CustodyError::SlotCount);
}

#[test]
fn an_initialised_home_is_not_initialised_again() {
    let (test, custodian) = open_home();
    let made = custodian.create(&key("author/alice")).unwrap();
    let error = initialise(&test.home, &[secret_slot([9; 32])]).unwrap_err();
    assert_eq!(error, CustodyError::AlreadyInitialised);
    assert_eq!(reopened(&test.home).public(&key("author/alice")).unwrap(), made);
}

#[test]
fn a_slot_is_added_only_by_an_unlock_and_then_opens() {
    let (test, custodian) = open_home();
    let made = custodian.create(&key("author/alice")).unwrap();
    assert!(add(&test.home, &secret([1; 32]), secret_slot([9; 32])).is_err());
    let info = add(&test.home, &secret(SECRET_BYTES), secret_slot([9; 32])).unwrap();
    assert_eq!(info.kind(), "secret");
    assert_eq!(list(&test.home).unwrap().len(), 2);
    let other = unlock_home(&test.home, &secret([9; 32])).unwrap();
    assert_eq!(other.public(&key("author/alice")).unwrap(), made);
}

#[test]
fn no_more_slots_than_fit_are_added() {
    let (test, _custodian) = open_home();
    for count in 1..=SLOTS_MAX {
        let seed = u8::try_from(count).unwrap();
        let added = add(&test.home, &secret(SECRET_BYTES), secret_slot([seed; 32]));
        assert_eq!(added.is_ok(), count < SLOTS_MAX, "{count}");
    }
    assert!(slot_unlock(&test.home).is_ok());
}

#[test]
fn a_removed_slot_opens_no_more_and_the_last_one_stays() {
    let (test, _custodian) = open_home();
    let first = list(&test.home).unwrap()[0].id.clone();
    let refused = remove(&test.home, &secret(SECRET_BYTES), &first).unwrap_err();
    assert_eq!(refused, CustodyError::LastSlot { id: first.clone() });
    assert!(slot_unlock(&test.home).is_ok());

    add(&test.home, &secret(SECRET_BYTES), secret_slot([9; 32])).unwrap();
    assert!(remove(&test.home, &secret([1; 32]), &first).is_err(), "not without an unlock");
    assert!(matches!(
        remove(&test.home, &secret([9; 32]), "0123456789abcdef"),
        Err(CustodyError::UnknownSlot { .. })
    ));
    remove(&test.home, &secret([9; 32]), &first).unwrap();
    assert!(matches!(slot_unlock(&test.home), Err(CustodyError::WrongSecret { .. })));
    assert!(unlock(&test.home, &secret([9; 32])).is_ok());
}

#[test]
fn destroying_the_slots_ends_every_key_and_every_way_to_them() {
    let (test, custodian) = open_home();
    custodian.create(&key("author/alice")).unwrap();
    assert!(custodian.ask(Request::Destroy).is_ok());
    assert_eq!(custodian.ask(Request::List), Err(CustodyError::Gone));
    assert_eq!(list(&test.home).unwrap_err(), CustodyError::NotInitialised);
    assert_eq!(unlock_home(&test.home, &secret(SECRET_BYTES)).unwrap_err(), CustodyError::NotInitialised);
    let reborn = initialise(&test.home, &[secret_slot(SECRET_BYTES)]).unwrap();
    assert!(matches!(reborn.public(&key("author/alice")), Err(CustodyError::Altered { .. })));
}

#[test]
fn a_locked_home_can_be_destroyed_without_a_secret() {
    let (test, custodian) = open_home();
    drop(custodian);
    destroy(&test.home).unwrap();
    assert_eq!(destroy(&test.home), Err(CustodyError::NotInitialised));
    let names: Vec<_> =
        fs::read_dir(test.home.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("slots")), "{names:?}");
}

#[test]
fn the_list_names_where_a_key_file_lies_and_costs_no_secret() {
    let test = empty_home();
    let path = test.folder.path().join("root.key");
    let specs = [SlotSpec::KeyFile { path: path.clone() }, passphrase_slot("correct horse", Kdf::board())];
    drop(initialise(&test.home, &specs).unwrap());
    let slots = list(&test.home).unwrap();
    assert_eq!(slots[0].key_file(), Some(path.as_path()));
    assert_eq!(slots[0].label, format!("key file {}", path.display()));
    assert!(slots[1].is_passphrase() && slots[1].key_file().is_none());
    assert_eq!(fs::metadata(test.home.slots_file()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_moved_key_file_still_opens_and_an_open_one_does_not() {
    let test = empty_home();
    let (path, moved) = (test.folder.path().join("root.key"), test.folder.path().join("moved.key"));
    drop(initialise(&test.home, &[SlotSpec::KeyFile { path: path.clone() }]).unwrap());
    fs::rename(&path, &moved).unwrap();
    assert!(unlock_home(&test.home, &Unlock::KeyFile(moved.clone())).is_ok());
    assert!(matches!(
        unlock_home(&test.home, &Unlock::KeyFile(path)),
        Err(CustodyError::UnusableSecret { .. })
    ));
    fs::set_permissions(&moved, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(unlock_home(&test.home, &Unlock::KeyFile(moved)).is_err());
}

#[test]
fn whatever_a_dying_writer_leaves_beside_the_slots_changes_nothing() {
    let (test, custodian) = open_home();
    let made = custodian.create(&key("author/alice")).unwrap();
    let next = {
        let (mut file, root) = SlotsFile::unlocked(&test.home, &secret(SECRET_BYTES)).unwrap();
        file.slots.push(Slot::made(&secret_slot([9; 32]), &root).unwrap());
        file.mac = file.computed_mac(&root).unwrap();
        canonical::to_canonical(&file).unwrap()
    };
    let temporary = test.home.root().join(format!(".slots.json.{}-0.tmp", std::process::id()));
    for length in (0..=next.len()).step_by(50) {
        fs::write(&temporary, &next[..length]).unwrap();
        assert!(slot_unlock(&test.home).is_ok(), "cut at {length}");
    }
    add(&test.home, &secret(SECRET_BYTES), secret_slot([9; 32])).unwrap();
    assert!(!temporary.exists(), "the next writer has cleared it away");
    let custodian = unlock_home(&test.home, &secret([9; 32])).unwrap();
    assert_eq!(custodian.public(&key("author/alice")).unwrap(), made);
}

#[test]
fn no_secret_is_printed() {
    let specs = [passphrase_slot("open sesame", Kdf::board()), secret_slot([0x53; 32])];
    let ways = [passphrase("open sesame"), secret([0x53; 32])];
    let shown = format!("{specs:?} {ways:?}");
    for secret in ["sesame", "83, 83", "5353", "SSSS"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_replaced_slot_opens_by_its_new_secret_alone_and_nothing_else_changes() {
    let test = empty_home();
    let specs = [passphrase_slot("old", Kdf::board()), secret_slot(SECRET_BYTES)];
    let custodian = initialise(&test.home, &specs).unwrap();
    let made = custodian.create(&key("author/alice")).unwrap();
    let key_file = test.home.keys().join("author-alice.json");
    let (kept, before) = (fs::read(&key_file).unwrap(), list(&test.home).unwrap());
    let id = before[0].id.clone();
    let wrong = replace(&test.home, &passphrase("new"), &id, passphrase_slot("new", Kdf::board()));
    assert!(matches!(wrong, Err(CustodyError::WrongSecret { .. })));
    let unknown = replace(&test.home, &passphrase("old"), "00", passphrase_slot("new", Kdf::board()));
    assert_eq!(unknown, Err(CustodyError::UnknownSlot { id: "00".to_owned() }));
    assert_eq!(list(&test.home).unwrap(), before);
    let slot = replace(&test.home, &passphrase("old"), &id, passphrase_slot("new", Kdf::board())).unwrap();
    assert_eq!(list(&test.home).unwrap(), [slot, before[1].clone()]);
    assert_eq!(fs::read(&key_file).unwrap(), kept);
    let refused = unlock_home(&test.home, &passphrase("old")).unwrap_err();
    assert!(matches!(refused, CustodyError::WrongSecret { .. }), "{refused}");
    for way in [passphrase("new"), secret(SECRET_BYTES)] {
        let custodian = unlock_home(&test.home, &way).unwrap();
        assert_eq!(custodian.public(&key("author/alice")).unwrap(), made, "{way:?}");
    }
}

#[test]
fn the_last_slot_can_be_replaced_and_so_can_one_of_as_many_as_fit() {
    let (test, _custodian) = open_home();
    for number in 1..SLOTS_MAX {
        add(&test.home, &secret(SECRET_BYTES), secret_slot([u8::try_from(number).unwrap(); 32])).unwrap();
    }
    let ids: Vec<_> = list(&test.home).unwrap().into_iter().map(|slot| slot.id).collect();
    replace(&test.home, &secret(SECRET_BYTES), &ids[1], secret_slot([99; 32])).unwrap();
    assert!(slot_unlock_with(&test.home, [1; 32]).is_err());
    assert!(slot_unlock_with(&test.home, [99; 32]).is_ok());
    for id in &ids[2..] {
        remove(&test.home, &secret(SECRET_BYTES), id).unwrap();
    }
    let last = list(&test.home).unwrap().remove(1).id;
    remove(&test.home, &secret(SECRET_BYTES), &last).unwrap();
    replace(&test.home, &secret(SECRET_BYTES), &ids[0], secret_slot([98; 32])).unwrap();
    assert!(slot_unlock_with(&test.home, [98; 32]).is_ok());
    assert!(slot_unlock_with(&test.home, SECRET_BYTES).is_err());
}

#[test]
fn a_replacement_that_is_cut_short_leaves_the_old_slot_and_can_be_made_again() {
    let (test, _custodian) = open_home();
    let id = list(&test.home).unwrap().remove(0).id;
    let old = fs::read(test.home.slots_file()).unwrap();
    replace(&test.home, &secret(SECRET_BYTES), &id, secret_slot([99; 32])).unwrap();
    let new = fs::read(test.home.slots_file()).unwrap();
    fs::write(test.home.slots_file(), &old).unwrap();
    let temporary = test.home.root().join(format!(".slots.json.{}.tmp", std::process::id()));
    for length in [0, 1, new.len() / 2, new.len()] {
        fs::write(&temporary, &new[..length]).unwrap();
        assert!(slot_unlock_with(&test.home, SECRET_BYTES).is_ok(), "the old slot, {length} bytes in");
        assert!(slot_unlock_with(&test.home, [99; 32]).is_err());
    }
    replace(&test.home, &secret(SECRET_BYTES), &id, secret_slot([99; 32])).unwrap();
    assert!(!temporary.exists() && slot_unlock_with(&test.home, [99; 32]).is_ok());
}

fn slot_unlock_with(home: &Home, bytes: [u8; 32]) -> Result<RootKey, CustodyError> {
    super::unlock(home, &secret(bytes))
}
