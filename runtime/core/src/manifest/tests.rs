//! Components under attack: altered, forged, swapped, revoked, out of time, and not components at all.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod agent_file;
mod judgement;
mod section;
mod statement;
mod sweep;

use super::*;
use crate::clock::Timestamp;
use crate::crypto::{SecretKey, Signer};
use crate::envelope::Envelope;
use crate::home::{Home, HostConfig};
use crate::id::{Did, TrustLevel};
use crate::trust::{TrustStore, VerifiedTrust, install};

/// The author in most tests.
const AUTHOR: u8 = 7;
/// A key that nobody trusts.
const ATTACKER: u8 = 66;

fn now() -> Timestamp {
    Timestamp::parse("2026-11-24T08:00:00Z").unwrap()
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn did(seed: u8) -> Did {
    key(seed).did()
}

/// A component that imports `kos:agent/crypto@0.1.0` and has a custom section of its own.
fn component() -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.extend_from_slice(b"\x07\x03\x01\x42\x00");
    bytes.extend_from_slice(b"\x0a\x1b\x01\x00\x16kos:agent/crypto@0.1.0\x05\x00");
    bytes.extend_from_slice(b"\x00\x05\x04name");
    bytes
}

const AGENT_FILE: &str = r#"
name = "notary"
version = "0.1.0"
description = "Signs receipts"
expires = "365d"
[capabilities]
"crypto.hash" = { scope = ["sha-512", "blake3"], reason = "digests" }
"crypto.sign" = { scope = ["receipt"], reason = "receipts" }
"identity.self" = {}
[resources]
memory = "16MiB"
storage = "none"
network = "none"
"#;

fn manifest_of(author: u8) -> AgentManifest {
    AgentManifest::from_toml(AGENT_FILE, &ManifestDefaults { author: did(author), now: now() }).unwrap()
}

fn signed_by(author: u8, signers: &[u8]) -> Vec<u8> {
    let keys: Vec<SecretKey> = signers.iter().copied().map(key).collect();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    let envelope = sign(&component(), &manifest_of(author), &signers).unwrap();
    attach(&component(), &envelope).unwrap()
}

fn signed() -> Vec<u8> {
    signed_by(AUTHOR, &[AUTHOR])
}

/// The store of one operator, after `edit`, in force.
fn trust_after(edit: impl FnOnce(TrustStore) -> TrustStore) -> VerifiedTrust {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    let config = HostConfig::new(did(9), "kos.test/log".to_owned(), vec![did(1)], 1, now());
    install(&home, &config, &edit(TrustStore::initial(now())), &[&key(1)], now()).unwrap()
}

/// The authors' levels, in force.
fn trust_in(authors: &[(u8, TrustLevel)]) -> VerifiedTrust {
    trust_after(|store| {
        authors.iter().fold(store, |store, (seed, level)| {
            store.add_author(did(*seed), *level, None, now()).unwrap().store
        })
    })
}

fn trust() -> VerifiedTrust {
    trust_in(&[(AUTHOR, TrustLevel::Partner)])
}

fn verify(file: &[u8], trust: &VerifiedTrust) -> Result<VerifiedComponent, Refusal> {
    UnverifiedComponent::read(file.to_vec(), None)?.verify(trust, now())
}
