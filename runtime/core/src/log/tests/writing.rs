//! Appending, sharing a folder, publishing, recovering from a process that died.

use std::sync::Barrier;
use std::sync::mpsc;

use super::*;
use crate::log::entry::Entry;
use crate::log::proof;
use crate::log::reader::LogReader;
use crate::log::verify::{VerifyError, verify};

#[test]
fn a_log_that_was_closed_verifies_and_proves_every_entry() {
    for size in [0, 1, 2, 255, 256, 257] {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        fill(&log, size);
        log.close().unwrap();
        let report = verify(folder.path(), &vkey(), None).unwrap();
        assert_eq!((report.checkpoint.size, report.tail, report.torn), (size, 0, false));
        let reader = LogReader::open(folder.path()).unwrap();
        let entries: Vec<_> = reader.entries(0..u64::MAX).map(Result::unwrap).collect();
        assert_eq!(entries.len() as u64, size);
        for (index, entry) in entries.iter().step_by(51) {
            let proof = proof::prove(folder.path(), *index).unwrap();
            assert_eq!(proof::verify(&proof, &vkey(), entry).unwrap().index, *index);
        }
    }
}

#[test]
fn entries_that_are_not_published_yet_are_read_and_verified_from_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, 3);
    log.publish().unwrap();
    fill(&log, 2);
    let report = verify(folder.path(), &vkey(), None).unwrap();
    assert_eq!((report.checkpoint.size, report.tail), (3, 2));
    let reader = LogReader::open(folder.path()).unwrap();
    assert_eq!(reader.size().unwrap(), 5);
    let indices: Vec<u64> = reader.entries(1..9).map(|item| item.unwrap().0).collect();
    assert_eq!(indices, [1, 2, 3, 4]);
}

#[test]
fn a_process_that_died_without_closing_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, 300);
    std::mem::forget(log);
    let log = open(folder.path()).unwrap();
    assert_eq!(log.size().unwrap(), 300);
    assert_eq!(log.append(note(300)).unwrap().index, 300);
    log.close().unwrap();
    assert_eq!(verify(folder.path(), &vkey(), None).unwrap().checkpoint.size, 301);
}

#[test]
fn a_long_log_moves_its_entries_into_tiles_and_opens_from_a_short_journal() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let log = open(folder.path()).unwrap();
        assert_eq!(log.size().unwrap(), round * 600);
        fill(&log, 600);
        log.close().unwrap();
        verify(folder.path(), &vkey(), None).unwrap();
    }
    let journal = LogReader::open(folder.path()).unwrap().journal().unwrap().unwrap();
    assert_eq!(journal.unverified_header().base(), 1792);
    assert!(!folder.path().join("tile/entries/000.p").exists(), "partial tiles of full ones are removed");
}

#[test]
fn time_in_the_log_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let log =
        Log::on_disk(Arc::new(SystemDisk), false, folder.path(), ORIGIN, host(1), clock.clone()).unwrap();
    assert_eq!(log.append(note(0)).unwrap().timestamp.as_millis(), 1_000);
    clock.set(Timestamp::from_millis(5));
    assert_eq!(log.append(note(1)).unwrap().timestamp.as_millis(), 1_000);
    log.close().unwrap();
    let log = Log::on_disk(Arc::new(SystemDisk), false, folder.path(), ORIGIN, host(1), clock).unwrap();
    assert_eq!(log.last_timestamp().as_millis(), 1_000);
    assert_eq!(log.append(note(2)).unwrap().timestamp.as_millis(), 1_000);
}

#[test]
fn many_threads_of_many_writers_share_a_folder_without_a_gap() {
    const WRITERS: u64 = 3;
    const THREADS: u64 = 4;
    const EVENTS: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let barrier = Barrier::new(in_memory(WRITERS * THREADS));
    let logs: Vec<Log> =
        (0..WRITERS).map(|_| Log::open(folder.path(), ORIGIN, host(1), clock()).unwrap()).collect();
    let mut indices: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = logs
            .iter()
            .flat_map(|log| (0..THREADS).map(move |_| log))
            .map(|log| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    (0..EVENTS).map(|number| log.append(note(number)).unwrap().index).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    indices.sort_unstable();
    assert_eq!(indices, (0..WRITERS * THREADS * EVENTS).collect::<Vec<_>>());
    for log in logs {
        log.close().unwrap();
    }
    let report = verify(folder.path(), &vkey(), None).unwrap();
    assert_eq!(report.checkpoint.size, WRITERS * THREADS * EVENTS);
}

#[test]
fn a_writer_follows_when_another_moves_the_journal_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    fill(&first, 10);
    let second = open(folder.path()).unwrap();
    fill(&second, 590);
    second.close().unwrap();
    assert_eq!(first.append(note(600)).unwrap().index, 600);
    first.close().unwrap();
    assert_eq!(verify(folder.path(), &vkey(), None).unwrap().checkpoint.size, 601);
}

#[test]
fn a_submitted_event_is_called_back_with_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), ORIGIN, host(1), clock()).unwrap();
    let (sender, receiver) = mpsc::channel();
    for number in 0..50 {
        let sender = sender.clone();
        log.submit(note(number), move |outcome| sender.send(outcome.unwrap().index).unwrap());
    }
    let mut indices: Vec<u64> = receiver.iter().take(50).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..50).collect::<Vec<_>>());
    log.close().unwrap();
    assert_eq!(verify(folder.path(), &vkey(), None).unwrap().checkpoint.size, 50);
}

#[test]
fn an_event_that_is_too_long_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    let long = note(0).with("text", "x".repeat(70_000));
    assert!(matches!(log.append(long), Err(LogError::Entry(entry::EntryError::TooLong { .. }))));
    assert_eq!(log.append(note(0)).unwrap().index, 0);
}

#[test]
fn every_identifier_is_unique_and_every_entry_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, 100);
    log.close().unwrap();
    let reader = LogReader::open(folder.path()).unwrap();
    let mut ids: Vec<String> = reader
        .entries(0..100)
        .map(|item| Entry::verify(&item.unwrap().1, &host(1).did()).unwrap().id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}

#[test]
fn another_host_or_another_name_does_not_open_the_log() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap().append(note(0)).unwrap();
    let other = Log::on_disk(Arc::new(SystemDisk), false, folder.path(), ORIGIN, host(2), clock());
    assert!(matches!(other, Err(LogError::Tampered { .. })));
    let other =
        Log::on_disk(Arc::new(SystemDisk), false, folder.path(), "example.com/other", host(1), clock());
    assert!(matches!(other, Err(LogError::Tampered { .. } | LogError::OtherLog { .. })));
}

#[test]
fn a_pinned_checkpoint_shows_that_the_log_was_cut_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    fill(&log, 5);
    log.publish().unwrap();
    let old = std::fs::read(folder.path().join("checkpoint")).unwrap();
    fill(&log, 5);
    log.close().unwrap();
    let new = std::fs::read(folder.path().join("checkpoint")).unwrap();
    verify(folder.path(), &vkey(), Some(&old)).unwrap();
    std::fs::write(folder.path().join("checkpoint"), &old).unwrap();
    let cut = verify(folder.path(), &vkey(), Some(&new));
    assert!(matches!(cut, Err(VerifyError::OlderThanPinned { pinned: 10, found: 5 })));
}

#[test]
fn a_closed_log_takes_nothing_and_what_was_submitted_before_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path(), ORIGIN, host(1), clock()).unwrap();
    let (sender, receiver) = mpsc::channel();
    for number in 0..20 {
        let sender = sender.clone();
        log.submit(note(number), move |outcome| sender.send(outcome.is_ok()).unwrap());
    }
    log.close().unwrap();
    assert!(receiver.iter().take(20).all(|stored| stored));
    assert!(matches!(log.append(note(20)), Err(LogError::Closed)));
    log.submit(note(20), move |outcome| sender.send(matches!(outcome, Err(LogError::Closed))).unwrap());
    assert!(receiver.recv().unwrap());
    assert_eq!(verify(folder.path(), &vkey(), None).unwrap().checkpoint.size, 20);
}
