//! A vault's states without files and log.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod changes;
mod hostile;
mod travelling;

use super::change::{Accesses, Circumstances};
use super::*;
use crate::clock::Timestamp;
use crate::custody::{CustodyError, Secret};
use crate::id::Name;

const ROOT: [u8; 32] = [0x72; 32];

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn environment() -> Name {
    "default".parse().unwrap()
}

fn id(text: &str) -> SecretId {
    text.parse().unwrap()
}

fn put(name: &str, value: &str) -> Change {
    Change::Put { id: id(name), value: Secret::new(value.as_bytes().to_vec()), expires_at: None }
}

fn empty() -> Vault {
    Vault::begin(&environment(), &ROOT, at(1)).unwrap()
}

fn changed_at(vault: &Vault, change: &Change, now: Timestamp) -> Result<Vault, CustodyError> {
    let accesses = Accesses::new();
    vault.changed(change, &Circumstances { now, root: &ROOT, accesses: &accesses, imported: None })
}

fn try_change(vault: &Vault, change: &Change) -> Result<Vault, VaultError> {
    match changed_at(vault, change, at(1_000 + vault.generation())) {
        Ok(vault) => Ok(vault),
        Err(CustodyError::Vault(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn changed(vault: &Vault, change: &Change) -> Vault {
    try_change(vault, change).unwrap()
}

fn holding(secrets: &[(&str, &str)]) -> Vault {
    secrets.iter().fold(empty(), |vault, (name, value)| changed(&vault, &put(name, value)))
}

fn bytes_of(vault: &Vault) -> Vec<u8> {
    vault.to_bytes("test").unwrap().0
}

fn parsed(bytes: &[u8]) -> Result<Vault, VaultError> {
    Vault::parse(bytes, &environment(), &ROOT, "test")
}

fn value(vault: &Vault, name: &str) -> Result<String, VaultError> {
    let opened = vault.find(&id(name), at(2_000))?.open()?;
    Ok(String::from_utf8(opened.to_vec()).unwrap())
}
