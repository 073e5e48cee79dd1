//! Messages as a whole: what is honest arrives once, and nothing else arrives.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod attacks;
mod format;
mod honest;
mod hostile;
mod receiving;
mod window;

use std::path::PathBuf;

use super::*;
use crate::clock::Timestamp;
use crate::crypto::{self, AgreementSecret, SecretKey, Signer as _};
use crate::id::Did;

/// A day in 2026, far enough from the epoch that ages can be taken from it.
const START: u64 = 1_790_000_000_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

/// Whoever sends or receives.
struct Party {
    key: SecretKey,
    agreement: AgreementSecret,
}

impl Party {
    fn new(seed: u8) -> Self {
        Self { key: SecretKey::from_seed(&[seed; 32]), agreement: AgreementSecret::from_bytes(&[seed; 32]) }
    }

    fn did(&self) -> Did {
        self.key.did()
    }
}

/// Numbers that look random and are the same in each run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn randomness(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes());
        }
        bytes
    }
}

fn content(body: &str) -> Content {
    Content::message("receipts".parse().unwrap(), body.as_bytes().to_vec()).unwrap()
}

fn draft<'a>(from: &'a Party, to: &Party, body: &str, now: Timestamp, dice: &mut Dice) -> Draft<'a> {
    Draft::new(&from.key, to.did(), content(body), now, &dice.randomness())
}

fn plain(from: &Party, to: &Party, now: Timestamp, dice: &mut Dice) -> Vec<u8> {
    draft(from, to, "in the clear", now, dice).signed().unwrap().into_bytes()
}

fn sealed(from: &Party, to: &Party, now: Timestamp, dice: &mut Dice) -> Vec<u8> {
    draft(from, to, "for your eyes", now, dice).sealed(&to.agreement.agreement_key()).unwrap().into_bytes()
}

/// A recipient with its inbox on a disk.
struct Receiver {
    party: Party,
    folder: tempfile::TempDir,
    inbox: Option<Inbox>,
}

impl Receiver {
    fn new(seed: u8) -> Self {
        let mut receiver =
            Self { party: Party::new(seed), folder: tempfile::tempdir().unwrap(), inbox: None };
        receiver.reopen();
        receiver
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("inbox.json")
    }

    fn file(&self) -> Option<Vec<u8>> {
        std::fs::read(self.path()).ok()
    }

    /// As after a crash, if the inbox was open.
    fn reopen(&mut self) {
        self.inbox = None;
        self.inbox = Some(Inbox::open(&self.path(), self.party.did()).unwrap());
    }

    fn restart(&mut self) {
        self.inbox.take().unwrap().close().unwrap();
        self.reopen();
    }

    fn inbox(&mut self) -> &mut Inbox {
        self.inbox.as_mut().unwrap()
    }

    fn accept(&mut self, bytes: &[u8], now: Timestamp) -> Result<Accepted, Rejection> {
        let message = SignedMessage::verify(bytes.to_vec())?;
        let judged = message.judged(&self.party.did(), now, |_| Ok(()))?;
        self.inbox().accept(judged)
    }

    fn open(&self, accepted: &Accepted) -> Result<Content, Rejection> {
        accepted.open_with(|info, associated, sealed| {
            crypto::open(&self.party.agreement, info, associated, sealed).map_err(|_| Rejection::Sealed)
        })
    }

    fn receive(&mut self, bytes: &[u8], now: Timestamp) -> Result<Content, Rejection> {
        let accepted = self.accept(bytes, now)?;
        self.open(&accepted)
    }

    fn name(&mut self, bytes: &[u8], now: Timestamp) -> &'static str {
        self.receive(bytes, now).map_or_else(|rejection| rejection.name(), |_| "received")
    }
}
