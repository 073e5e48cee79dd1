//! A vault's files in the hands of a custodian: the steps of a change, and what stands beside them.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod crash;
mod rollback;
mod steps;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::testing::{TestHome, open_home, reopened};
use super::super::{Answer, Custodian, CustodyError, Request, Secret};
use crate::clock::Timestamp;
use crate::home::Home;
use crate::id::Digest;
use crate::vault::{Change, Noted, SecretId, VaultAnswer, VaultError, VaultRequest};

fn id(text: &str) -> SecretId {
    text.parse().unwrap()
}

fn put(name: &str, value: &str) -> Change {
    Change::Put { id: id(name), value: Secret::new(value.as_bytes().to_vec()), expires_at: None }
}

/// Whoever asks a custodian, with what the log knows of.
struct Asker {
    custodian: Arc<dyn Custodian>,
    environment: &'static str,
    noted: Option<Noted>,
    not_before: Timestamp,
}

impl Asker {
    fn of(custodian: Arc<dyn Custodian>) -> Self {
        Self { custodian, environment: "default", noted: None, not_before: Timestamp::from_millis(0) }
    }

    /// A new process that knows the same.
    fn restarted(&self, home: &Home) -> Self {
        Self { custodian: reopened(home), ..*self }
    }

    fn ask(&self, request: VaultRequest) -> Result<VaultAnswer, VaultError> {
        let (noted, not_before) = (self.noted, self.not_before);
        let environment = self.environment.parse().unwrap();
        match self.custodian.ask(Request::Vault { environment, noted, not_before, request }) {
            Ok(Answer::Vault { answer }) => Ok(answer),
            Err(CustodyError::Vault(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    fn prepare(&self, change: Change) -> Result<Noted, VaultError> {
        match self.ask(VaultRequest::Prepare { change })? {
            VaultAnswer::Prepared { noted } => Ok(noted),
            other => panic!("{other:?}"),
        }
    }

    fn keep(&mut self, noted: Noted) -> Result<(), VaultError> {
        self.noted = Some(noted);
        self.ask(VaultRequest::Keep).map(|answer| assert_eq!(answer, VaultAnswer::Done))
    }

    fn change(&mut self, change: Change) {
        let noted = self.prepare(change).unwrap();
        self.keep(noted).unwrap();
    }

    fn reveal(&self, name: &str) -> Result<String, VaultError> {
        match self.ask(VaultRequest::Reveal { id: id(name) })? {
            VaultAnswer::Revealed { value } => Ok(String::from_utf8(value.expose().to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn count(&self) -> usize {
        match self.ask(VaultRequest::List).unwrap() {
            VaultAnswer::List { secrets } => secrets.len(),
            other => panic!("{other:?}"),
        }
    }
}

fn opened() -> (TestHome, Asker) {
    let (test, custodian) = open_home();
    (test, Asker::of(custodian))
}

fn file(home: &Home) -> PathBuf {
    home.vault().join("default.json")
}

/// The states that are beside the vault.
fn next_files(home: &Home) -> Vec<PathBuf> {
    let listing = fs::read_dir(home.vault()).unwrap().map(|entry| entry.unwrap().path());
    listing.filter(|path| path.extension().is_some_and(|extension| extension == "next")).collect()
}
