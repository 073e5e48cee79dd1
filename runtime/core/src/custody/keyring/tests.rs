use std::collections::BTreeSet;
use std::thread;

use super::super::testing::{SECRET, key, open_home, reopened, secret};
use super::super::{Answer, Custodian, KeyHandle, Request, ThreadCustodian, unlock};
use super::*;
use crate::id::AgreementKey;

const ALICE: &str = "author/alice";

/// The path of a key's file, as an intruder would find it.
fn file_of(home: &Home, key: &str) -> PathBuf {
    home.keys().join(format!("{}.json", key.replace('/', "-")))
}

fn sign(custodian: &dyn Custodian, name: &str, message: &[u8]) -> Result<[u8; 64], CustodyError> {
    match custodian.ask(Request::Sign { key: key(name), message: message.to_vec() })? {
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
