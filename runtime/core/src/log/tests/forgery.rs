//! A corpus of forged logs. Each is an honest log with one thing done to it, and each must be refused for its own reason.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::canonical::base64_encode;
use crate::crypto::{Signer, pae};
use crate::log::checkpoint::{Checkpoint, CheckpointError};
use crate::log::entry::{Entry, PAYLOAD_TYPE};
use crate::log::journal::{Header, push_batch};
use crate::log::note::NoteError;
use crate::log::reader::{LogReader, ReadError};
use crate::log::tile::{self, Edge, Kind, Tile};
use crate::log::tree::leaf_hash;
use crate::log::verify::{VerifyError, verify};

/// Two full bundles, which the journal has let go, and a partial one, which it still holds.
const SIZE: u64 = 520;

/// Writes a log of any bytes as entries, signed as a whole by `signer`, without a journal.
pub(super) fn lay_out(directory: &Path, entries: &[Vec<u8>], signer: &SecretKey) {
    let put = |tile: Tile, bytes: &[u8]| {
        let path = directory.join(tile.path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let mut edge = Edge::default();
    for entry in entries {
        edge.push(leaf_hash(entry), |full| put(full.tile, &full.bytes));
    }
    edge.partials().for_each(|(tile, bytes)| put(tile, &bytes));
    for (number, entries) in (0..).zip(entries.chunks(256)) {
        let mut bundle = Vec::new();
        entries.iter().for_each(|entry| assert!(tile::push_entry(&mut bundle, entry)));
        put(Tile { kind: Kind::Entries, number, width: entries.len() as u64 }, &bundle);
    }
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: edge.size(), root: edge.root() };
    let key = Vkey::new(ORIGIN, signer.did()).unwrap();
    fs::write(directory.join("checkpoint"), checkpoint.sign(&key, signer).unwrap()).unwrap();
}

fn honest() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, SIZE);
    log.close().unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    for found in fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        let target = to.join(found.file_name());
        if found.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&found.path(), &target);
        } else {
            fs::copy(found.path(), target).unwrap();
        }
    }
}

/// Every file of the log but the lock, which says nothing.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut list = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for found in fs::read_dir(directory).unwrap() {
            let path = found.unwrap().path();
            if path.is_dir() { open.push(path) } else { list.push(path) }
        }
    }
    list.retain(|path| !path.ends_with("lock"));
    list.sort();
    list
}

fn change(path: PathBuf, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(&path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn swap(directory: &Path, one: &str, other: &str) {
    let (one, other) = (directory.join(one), directory.join(other));
    let bytes = fs::read(&one).unwrap();
    fs::copy(&other, &one).unwrap();
    fs::write(other, bytes).unwrap();
}

/// The entries of an honest log, to be laid out again after a change.
fn entries(directory: &Path) -> Vec<Vec<u8>> {
    LogReader::open(directory).unwrap().entries(0..SIZE).map(|item| item.unwrap().1).collect()
}

/// Lays out changed entries and puts the honest checkpoint back.
fn rebuild(directory: &Path, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut list = entries(directory);
    edit(&mut list);
    let checkpoint = fs::read(directory.join("checkpoint")).unwrap();
    lay_out(directory, &list, &host(1));
    fs::write(directory.join("checkpoint"), checkpoint).unwrap();
}

fn bundle(directory: &Path, number: u64, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut list: Vec<Vec<u8>> = LogReader::open(directory).unwrap().bundle(number).unwrap();
    let width = list.len() as u64;
    edit(&mut list);
    let mut bytes = Vec::new();
    list.iter().for_each(|entry| assert!(tile::push_entry(&mut bytes, entry)));
    fs::write(directory.join(Tile { kind: Kind::Entries, number, width }.path()), bytes).unwrap();
}

fn resign_checkpoint(directory: &Path, key: &Vkey, signer: &SecretKey, edit: impl FnOnce(&mut Checkpoint)) {
    let path = directory.join("checkpoint");
    let mut checkpoint = Checkpoint::read_unverified(&fs::read(&path).unwrap()).unwrap();
    edit(&mut checkpoint);
    fs::write(path, checkpoint.sign(key, signer).unwrap()).unwrap();
}

/// Rewrites the journal's last batch region: a header signed by `signer`, then `list`.
fn rewrite_journal(directory: &Path, signer: &SecretKey, list: &[Vec<u8>]) {
    let journal = LogReader::open(directory).unwrap().journal().unwrap().unwrap();
    let header: &Header = journal.unverified_header();
    let mut bytes = header.sign(signer).unwrap();
    let mut body = Vec::new();
    list.iter().for_each(|entry| assert!(tile::push_entry(&mut body, entry)));
    push_batch(&mut bytes, &header.salt, header.base(), 0, &body);
    fs::write(directory.join("journal"), bytes).unwrap();
}

fn tail(directory: &Path) -> Vec<Vec<u8>> {
    entries(directory).split_off(512)
}

/// What is done to a log, in words and in deed.
type Deed = (&'static str, fn(&Path));

type Attack = (&'static str, fn(&Path), fn(&VerifyError) -> bool);

macro_rules! refused {
    ($pattern:pat $(if $guard:expr)?) => { |error| matches!(error, $pattern $(if $guard)?) };
}

const ATTACKS: &[Attack] = &[
    (
        "the attacker signs everything with an own key",
        |log| {
            fs::remove_dir_all(log.join("tile")).unwrap();
            fs::remove_file(log.join("journal")).unwrap();
            fs::remove_file(log.join("checkpoint")).unwrap();
            let own = Log::on_disk(Arc::new(SystemDisk), false, log, ORIGIN, host(2), clock()).unwrap();
            fill(&own, SIZE);
            own.close().unwrap();
        },
        refused!(VerifyError::Read(ReadError::Checkpoint {
            source: CheckpointError::Note(NoteError::NotSigned { .. }),
            ..
        })),
    ),
    (
        "the attacker signs the checkpoint in the host's name",
        |log| {
            change(log.join("checkpoint"), |bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                let text = text.split_once("\n\n").unwrap().0.to_owned() + "\n";
                let mut signature = vkey().key_id().to_vec();
                signature.extend_from_slice(&host(2).sign(text.as_bytes()).unwrap());
                *bytes = format!("{text}\n\u{2014} {ORIGIN} {}\n", base64_encode(&signature)).into_bytes();
            });
        },
        refused!(VerifyError::Read(ReadError::Checkpoint {
            source: CheckpointError::Note(NoteError::Forged { .. }),
            ..
        })),
    ),
    (
        "the checkpoint is of another log of the same host",
        |log| {
            resign_checkpoint(log, &vkey(), &host(1), |checkpoint| {
                checkpoint.origin = "example.com/other".into()
            })
        },
        refused!(VerifyError::Read(ReadError::Checkpoint { source: CheckpointError::Origin { .. }, .. })),
    ),
    (
        "the checkpoint is signed under another name",
        |log| {
            let other = Vkey::new("example.com/other", host(1).did()).unwrap();
            resign_checkpoint(log, &other, &host(1), |_| {});
        },
        refused!(VerifyError::Read(ReadError::Checkpoint {
            source: CheckpointError::Note(NoteError::NotSigned { .. }),
            ..
        })),
    ),
    (
        "the size in the checkpoint is changed",
        |log| {
            change(log.join("checkpoint"), |bytes| {
                *bytes = String::from_utf8(bytes.clone()).unwrap().replacen("520", "512", 1).into_bytes()
            })
        },
        refused!(VerifyError::Read(ReadError::Checkpoint {
            source: CheckpointError::Note(NoteError::Forged { .. }),
            ..
        })),
    ),
    (
        "the checkpoint is cut off",
        |log| change(log.join("checkpoint"), |bytes| bytes.truncate(bytes.len() - 1)),
        refused!(VerifyError::Read(ReadError::Checkpoint { .. })),
    ),
    (
        "the signed root is of other entries",
        |log| resign_checkpoint(log, &vkey(), &host(1), |checkpoint| checkpoint.root = [7; 32]),
        refused!(VerifyError::WrongRoot { size: SIZE }),
    ),
    (
        "one byte of an entry is changed",
        |log| bundle(log, 1, |list| *list[44].iter_mut().rev().nth(5).unwrap() ^= 1),
        refused!(VerifyError::AlteredEntry { index: 300, .. }),
    ),
    (
        "an entry is changed and its hashes are recomputed",
        |log| rebuild(log, |list| *list[300].iter_mut().rev().nth(1).unwrap() ^= 1),
        refused!(VerifyError::AlteredEntry { index: 300, .. }),
    ),
    (
        "an entry is replaced by one that the attacker signed",
        |log| {
            rebuild(log, |list| {
                list[300] = Entry::seal(note(300), "00".repeat(16), Timestamp::from_millis(1_000), &*host(2))
                    .unwrap();
            });
        },
        refused!(VerifyError::AlteredEntry { index: 300, .. }),
    ),
    (
        "an entry is replaced by another true one",
        |log| bundle(log, 0, |list| list[7] = list[8].clone()),
        refused!(VerifyError::Mismatch { .. }),
    ),
    (
        "two entries change places",
        |log| bundle(log, 0, |list| list.swap(7, 8)),
        refused!(VerifyError::Mismatch { .. }),
    ),
    (
        "two entries change places and their hashes are recomputed",
        |log| rebuild(log, |list| list.swap(7, 300)),
        refused!(
            VerifyError::JournalMismatch { .. }
                | VerifyError::WrongRoot { .. }
                | VerifyError::Mismatch { .. }
        ),
    ),
    (
        "an entry stands twice at the end of its bundle",
        |log| bundle(log, 1, |list| list.push(list[255].clone())),
        refused!(VerifyError::Read(ReadError::ExtraBytes { .. })),
    ),
    (
        "the last entry of a bundle is gone",
        |log| bundle(log, 1, |list| drop(list.pop())),
        refused!(VerifyError::Read(ReadError::Truncated { .. })),
    ),
    (
        "the last entry of the log is gone from the partial bundle",
        |log| bundle(log, 2, |list| drop(list.pop())),
        refused!(VerifyError::Read(ReadError::Truncated { .. })),
    ),
    (
        "two bundles change places",
        |log| swap(log, "tile/entries/000", "tile/entries/001"),
        refused!(VerifyError::Mismatch { .. }),
    ),
    (
        "two tiles change places",
        |log| swap(log, "tile/0/000", "tile/0/001"),
        refused!(VerifyError::Mismatch { .. }),
    ),
    (
        "two bundles change places together with their tiles",
        |log| {
            swap(log, "tile/entries/000", "tile/entries/001");
            swap(log, "tile/0/000", "tile/0/001");
        },
        refused!(VerifyError::JournalMismatch { .. } | VerifyError::Mismatch { .. }),
    ),
    (
        "a hash of the second level is changed",
        |log| change(log.join("tile/1/000.p/2"), |bytes| bytes[40] ^= 1),
        refused!(VerifyError::Mismatch { path } if path.ends_with("tile/1/000.p/2")),
    ),
    (
        "a tile has a hash too many",
        |log| change(log.join("tile/0/002.p/8"), |bytes| bytes.extend_from_slice(&[0; 32])),
        refused!(VerifyError::Read(ReadError::ExtraBytes { .. })),
    ),
    (
        "a bundle has bytes behind its end",
        |log| change(log.join("tile/entries/000"), |bytes| bytes.push(0)),
        refused!(VerifyError::Read(ReadError::ExtraBytes { .. })),
    ),
    (
        "a partial tile of an older size is changed",
        |log| fs::write(log.join("tile/0/002.p/7"), [9; 7 * 32]).unwrap(),
        refused!(VerifyError::Mismatch { path } if path.ends_with("tile/0/002.p/7")),
    ),
    (
        "the journal's header is signed by the attacker",
        |log| rewrite_journal(log, &host(2), &tail(log)),
        refused!(VerifyError::Read(ReadError::Journal { .. })),
    ),
    (
        "the journal has another entry than the tiles",
        |log| {
            let mut list = tail(log);
            list[2] = list[3].clone();
            rewrite_journal(log, &host(1), &list);
        },
        refused!(VerifyError::JournalMismatch { .. }),
    ),
    (
        "the journal lacks an entry that is under the checkpoint",
        |log| {
            let mut list = tail(log);
            list.pop();
            rewrite_journal(log, &host(1), &list);
        },
        refused!(VerifyError::JournalMismatch { .. }),
    ),
    (
        "the attacker appends an own entry to the journal",
        |log| {
            let mut list = tail(log);
            list.push(
                Entry::seal(note(9), "00".repeat(16), Timestamp::from_millis(1_000), &*host(2)).unwrap(),
            );
            rewrite_journal(log, &host(1), &list);
        },
        refused!(VerifyError::AlteredEntry { index: SIZE, .. }),
    ),
    (
        "the journal is cut to nothing",
        |log| fs::write(log.join("journal"), b"").unwrap(),
        refused!(VerifyError::Read(ReadError::Journal { .. })),
    ),
];

#[test]
fn every_forged_log_is_refused_for_its_own_reason() {
    let honest = honest();
    verify(honest.path(), &vkey(), None).unwrap();
    for (name, attack, expected) in ATTACKS {
        let forged = tempfile::tempdir().unwrap();
        copy(honest.path(), forged.path());
        attack(forged.path());
        let error = verify(forged.path(), &vkey(), None).expect_err(name);
        assert!(expected(&error), "{name}: refused for another reason: {error:?}");
    }
}

#[test]
fn a_log_without_any_one_of_its_files_is_refused() {
    let honest = honest();
    for path in files(honest.path()) {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        // A copy without the journal is a whole log: what the journal alone held is then not part of it.
        let verified = verify(honest.path(), &vkey(), None);
        assert_eq!(verified.is_ok(), path.ends_with("journal"), "{}", path.display());
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, 5);
    log.publish().unwrap();
    fill(&log, 1);
    std::mem::forget(log);
    for path in files(folder.path()) {
        let bytes = fs::read(&path).unwrap();
        let places = (0..bytes.len()).step_by((bytes.len() / 60).max(1));
        for (place, bit) in places.zip((0..8).cycle()) {
            let mut altered = bytes.clone();
            altered[place] ^= 1 << bit;
            fs::write(&path, altered).unwrap();
            let verified = verify(folder.path(), &vkey(), None);
            // The last batch of the journal is under no checkpoint: damage there looks like a torn write, and is told so.
            let seen = verified.as_ref().map_or(true, |report| report.torn);
            assert!(seen, "{} byte {place} bit {bit}: {verified:?}", path.display());
        }
        fs::write(path, bytes).unwrap();
    }
}

/// Every bit of every file of a log of 260 entries; some minutes in a release build.
#[test]
#[ignore = "long"]
fn every_flipped_bit_of_every_file_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, 260);
    log.close().unwrap();
    let mut flips = 0_u64;
    for path in files(folder.path()) {
        let bytes = fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[place] ^= 1 << bit;
                fs::write(&path, altered).unwrap();
                let verified = verify(folder.path(), &vkey(), None);
                assert!(
                    verified.map_or(true, |report| report.torn),
                    "{} byte {place} bit {bit}",
                    path.display()
                );
                flips += 1;
            }
        }
        fs::write(path, bytes).unwrap();
    }
    println!("{flips} flipped bits");
}

/// Logs that the host's own key signed as a whole, with an entry in them that it must never have signed so.
#[test]
fn entries_in_any_but_the_one_form_are_refused_under_a_true_checkpoint() {
    let seal = |number: u64, millis: u64| {
        Entry::seal(note(number), format!("{number:032x}"), Timestamp::from_millis(millis), &*host(1))
            .unwrap()
    };
    let text = || String::from_utf8(seal(1, 5)).unwrap();
    let signed = |unsigned: &str| {
        let signature = base64_encode(&host(1).sign(&pae(PAYLOAD_TYPE, unsigned.as_bytes())).unwrap());
        unsigned.replacen(",\"timestamp\"", &format!(",\"signature\":\"{signature}\",\"timestamp\""), 1)
    };
    let without_signature = {
        let text = text();
        let (head, rest) = text.split_once("\"signature\":\"").unwrap();
        format!("{head}{}", rest.split_once("\",").unwrap().1)
    };
    assert!(Entry::verify(signed(&without_signature).as_bytes(), &host(1).did()).is_ok());
    let cases = [
        ("white space", text().replacen("{\"actor\"", "{ \"actor\"", 1)),
        ("a key twice", text().replacen("{\"actor\"", "{\"eventType\":\"alert\",\"actor\"", 1)),
        ("a key twice in the details", text().replacen("\"number\":1", "\"number\":1,\"number\":1", 1)),
        (
            "an unknown member",
            signed(&without_signature.replacen(",\"timestamp\"", ",\"rank\":1,\"timestamp\"", 1)),
        ),
        ("an unknown event type", signed(&without_signature.replacen("\"alert\"", "\"holiday\"", 1))),
        (
            "another order of members",
            signed(&without_signature.replacen(
                "\"id\":\"host\",\"type\":\"system\"",
                "\"type\":\"system\",\"id\":\"host\"",
                1,
            )),
        ),
        (
            "a number in another form",
            signed(&without_signature.replacen("\"number\":1", "\"number\":1.0", 1)),
        ),
        ("no signature", without_signature.clone()),
        ("a signature in another base64", text().replacen("==\"", "=\"", 1)),
        ("bytes behind it", text() + " "),
        ("nothing", String::new()),
    ];
    for (name, forged) in cases {
        let folder = tempfile::tempdir().unwrap();
        lay_out(folder.path(), &[seal(0, 5), forged.into_bytes(), seal(2, 5)], &host(1));
        let error = verify(folder.path(), &vkey(), None).expect_err(name);
        assert!(matches!(error, VerifyError::AlteredEntry { index: 1, .. }), "{name}: {error:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path(), &[seal(0, 5), seal(1, 4)], &host(1));
    assert!(matches!(verify(folder.path(), &vkey(), None), Err(VerifyError::OutOfOrder { index: 1 })));
}

#[test]
fn a_history_that_the_host_itself_rewrote_is_seen_against_a_pinned_checkpoint() {
    let honest = honest();
    let pinned = fs::read(honest.path().join("checkpoint")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, SIZE + 10);
    log.close().unwrap();
    verify(folder.path(), &vkey(), None).unwrap();
    let error = verify(folder.path(), &vkey(), Some(&pinned)).unwrap_err();
    assert!(matches!(error, VerifyError::Inconsistent { pinned: SIZE }));
    let foreign = Checkpoint::read_unverified(&pinned).unwrap().sign(&vkey(), &*host(2)).unwrap();
    let error = verify(folder.path(), &vkey(), Some(&foreign)).unwrap_err();
    assert!(matches!(error, VerifyError::Pinned(_)));
}

/// The writer is no easier to fool than the verifier: it signs nothing over what it did not write.
#[test]
fn the_writer_refuses_a_folder_that_was_tampered_with() {
    let attacks: [Deed; 7] = [
        ("an own entry in the journal", |log| {
            let mut list = tail(log);
            list.push(
                Entry::seal(note(9), "00".repeat(16), Timestamp::from_millis(1_000), &*host(2)).unwrap(),
            );
            rewrite_journal(log, &host(1), &list);
        }),
        ("another entry in the journal", |log| {
            let mut list = tail(log);
            list[2] = list[3].clone();
            rewrite_journal(log, &host(1), &list);
        }),
        ("a shorter journal", |log| rewrite_journal(log, &host(1), &tail(log)[..4])),
        ("a header by the attacker", |log| rewrite_journal(log, &host(2), &tail(log))),
        ("no journal", |log| fs::remove_file(log.join("journal")).unwrap()),
        ("a checkpoint by the attacker", |log| resign_checkpoint(log, &vkey(), &host(2), |_| {})),
        ("a checkpoint of another root", |log| {
            resign_checkpoint(log, &vkey(), &host(1), |checkpoint| checkpoint.root = [7; 32]);
        }),
    ];
    let honest = honest();
    for (name, attack) in attacks {
        let forged = tempfile::tempdir().unwrap();
        copy(honest.path(), forged.path());
        attack(forged.path());
        let opened = open(forged.path());
        assert!(matches!(opened, Err(LogError::Tampered { .. })), "{name}: {:?}", opened.err());
    }
}
