//! Who shares a batch: those that come while it is signed, and no longer than a few times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Weak, mpsc};

use super::*;
use crate::crypto::SignError;
use crate::id::Did;
use crate::log::verify::verify;

/// Signs, and each time has one more event come in between.
struct Interrupted {
    key: Arc<SecretKey>,
    log: Mutex<Weak<Log>>,
    come: AtomicU64,
    told: mpsc::Sender<Result<Position, LogError>>,
}

impl Signer for Interrupted {
    fn did(&self) -> Did {
        self.key.did()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.key.sign(message)
    }

    fn sign_many(&self, messages: Vec<Vec<u8>>) -> Result<Vec<[u8; 64]>, SignError> {
        if let Some(log) = self.log.lock().unwrap().upgrade()
            && self.come.load(Ordering::Relaxed) > 0
        {
            let number = self.come.fetch_sub(1, Ordering::Relaxed);
            let told = self.told.clone();
            log.submit(note(number), move |outcome| told.send(outcome).unwrap());
        }
        messages.iter().map(|message| self.sign(message)).collect()
    }
}

/// A log into which `come` events come while others are signed, one each time, and what they are told.
fn interrupted(directory: &Path, come: u64) -> (Arc<Log>, mpsc::Receiver<Result<Position, LogError>>) {
    let (told, hears) = mpsc::channel();
    let signer =
        Arc::new(Interrupted { key: host(1), log: Mutex::default(), come: AtomicU64::new(come), told });
    let held = Arc::clone(&signer) as _;
    let log = Arc::new(Log::on_disk(Arc::new(SystemDisk), false, directory, ORIGIN, held, clock()).unwrap());
    *signer.log.lock().unwrap() = Arc::downgrade(&log);
    (log, hears)
}

/// How many batches stand in the journal: each begins with its salt.
fn batches(log: &Log, directory: &Path) -> usize {
    let salt = log.shared.writer().state.header.salt;
    let journal = std::fs::read(directory.join("journal")).unwrap();
    journal.windows(salt.len()).filter(|bytes| *bytes == salt).count()
}

#[test]
fn who_comes_while_a_batch_is_signed_becomes_durable_with_it_and_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let (log, hears) = interrupted(folder.path(), 2);
    assert_eq!(log.append(note(0)).unwrap().index, 0);
    let positions: Vec<u64> = hears.try_iter().map(|told| told.unwrap().index).collect();
    assert_eq!((positions, batches(&log, folder.path())), (vec![1, 2], 1));
    log.publish().unwrap();
    assert_eq!(verify(folder.path(), &vkey(), None).unwrap().checkpoint.size, 3);
}

#[test]
fn a_stream_of_events_holds_no_batch_open() {
    let folder = tempfile::tempdir().unwrap();
    let (log, hears) = interrupted(folder.path(), 50);
    log.append(note(0)).unwrap();
    assert_eq!(hears.try_iter().filter(Result::is_ok).count(), 50);
    assert!((2..=26).contains(&batches(&log, folder.path())));
    assert_eq!(log.size().unwrap(), 51);
}

#[test]
fn a_caller_whose_reply_nobody_gives_waits_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    assert_eq!(log.append_then::<()>(note(0), |written, _| assert!(written.is_ok())).unwrap(), None);
    let given = log.append_then(note(1), |written, reply| {
        std::thread::spawn(move || reply.give(written.unwrap().index));
    });
    assert_eq!(given.unwrap(), Some(1));
}
