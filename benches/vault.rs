//! The vault against its limits: using a secret against the bare operation and the durable entry that stands before it,
//! reading and storing among 10,000 secrets, and unlocking against the bare key derivation.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and has failed where it cannot go on"
)]

#[path = "../runtime/core/tests/foreign/mod.rs"]
mod foreign;
mod ratio;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Instant;

use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, KeyInit as _, Mac as _};
use kos_core::audited_vault::AuditedVault;
use kos_core::clock::SystemClock;
use kos_core::crypto::{SecretKey, Signer as _, pae};
use kos_core::custody::{self, Custodian, Kdf, KeyHandle, KeyName, Secret, SlotSpec, Unlock};
use kos_core::home::Home;
use kos_core::log::{Event, EventType, Log, PartyType};
use kos_core::vault::{Change, MacAlgorithm, Opening, Operation, SecretId};
use ratio::Ratio;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const ROUNDS: usize = 31;
const CALLERS: u32 = 64;
const SECRETS: usize = 10_000;
const PASSPHRASE: &str = "correct horse battery staple";

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    let slot = SlotSpec::Passphrase { secret: Zeroizing::new(PASSPHRASE.to_owned()), kdf: Kdf::standard() };
    let custodian: Arc<dyn Custodian> = Arc::new(custody::initialise(&home, &[slot]).unwrap());
    let vault = vault(&home, Arc::clone(&custodian));
    vault.change(by(), put("used", [7; 32].to_vec())).unwrap();
    let limit = Limit::new(&folder);
    using(&vault, &limit);
    fill(custodian.as_ref(), &vault);
    among_many(&vault, &limit);
    unlocking(&home);
}

fn vault(home: &Home, custodian: Arc<dyn Custodian>) -> AuditedVault {
    let host: KeyName = "host/host".parse().unwrap();
    custodian.create(&host).unwrap();
    let host = Arc::new(KeyHandle::new(Arc::clone(&custodian), host).unwrap());
    let log = Log::open(&home.log(), "kos.bench/log", host, Arc::new(SystemClock)).unwrap();
    AuditedVault::new(custodian, Arc::new(log), "default".parse().unwrap())
}

fn by() -> Event {
    Event::new(EventType::VaultAccess, PartyType::User, "did:key:bench")
}

fn put(name: &str, value: Vec<u8>) -> Change {
    Change::Put { id: id(name), value: Secret::new(value), expires_at: None }
}

fn id(name: &str) -> SecretId {
    format!("api_key/{name}").parse().unwrap()
}

/// What nobody can do without: the operation itself, and the entry's own costs as in the bench of the log.
struct Limit {
    key: SecretKey,
    file: File,
}

impl Limit {
    fn new(folder: &tempfile::TempDir) -> Self {
        let file = tempfile::tempfile_in(folder.path()).unwrap();
        file.write_all_at(&vec![0; 64 << 20], 0).unwrap();
        file.sync_all().unwrap();
        Self { key: SecretKey::generate().unwrap(), file }
    }

    fn entries(&self, count: u32, end: &mut u64) {
        let mut bytes = Vec::new();
        for _ in 0..count {
            let body = [b'e'; 400];
            let signature = self.key.sign(&pae("application/vnd.kos.entry.v1+json", &body)).unwrap();
            let leaf = Sha256::digest([&body[..], &signature].concat());
            bytes.extend_from_slice(&Sha256::digest([leaf, leaf].concat()));
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(&signature);
        }
        self.file.write_all_at(&bytes, *end).unwrap();
        self.file.sync_data().unwrap();
        *end = (*end + bytes.len() as u64) % (32 << 20);
    }
}

fn mac() -> Operation {
    Operation::Mac { algorithm: MacAlgorithm::HmacSha256, message: vec![1; 64] }
}

fn bare_mac() -> impl Sized {
    Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap().chain_update([1; 64]).finalize()
}

fn using(vault: &AuditedVault, limit: &Limit) {
    let mut end = 0;
    let ours = || vault.use_secret(by(), &id("used"), mac()).unwrap();
    let bare = || {
        limit.entries(1, &mut end);
        bare_mac()
    };
    Ratio::measure(ROUNDS, ours, bare).report("use of a secret, one caller", 1.3, 1);

    let (done, finished) = mpsc::channel();
    let callers: Vec<Sender<()>> = (0..CALLERS).map(|_| caller(vault.clone(), done.clone())).collect();
    let ours = || {
        callers.iter().for_each(|caller| caller.send(()).unwrap());
        callers.iter().for_each(|_| finished.recv().unwrap());
    };
    let bare = || {
        limit.entries(CALLERS, &mut end);
        (0..CALLERS).for_each(|_| drop(bare_mac()));
    };
    Ratio::measure(ROUNDS, ours, bare).report("use of a secret, 64 callers, each", 1.3, CALLERS);
}

/// A thread that uses the secret once for each word it gets.
fn caller(vault: AuditedVault, done: Sender<()>) -> Sender<()> {
    let (word, words) = mpsc::channel();
    thread::spawn(move || {
        while words.recv().is_ok() {
            vault.use_secret(by(), &id("used"), mac()).unwrap();
            done.send(()).unwrap();
        }
    });
    word
}

/// Stores 10,000 secrets in one change.
fn fill(custodian: &dyn Custodian, vault: &AuditedVault) {
    let key: KeyName = "operator/bench".parse().unwrap();
    let recipient = custodian.create(&key).unwrap().agreement_key;
    let names: Vec<String> = (0..SECRETS).map(|number| format!("k{number}")).collect();
    let document = foreign::exported(&recipient, names.iter().map(|name| (name.as_str(), &[7; 32][..])));
    vault.change(by(), Change::Import { document, opening: Opening::Key { key } }).unwrap();
}

fn among_many(vault: &AuditedVault, limit: &Limit) {
    let (mut end, mut number) = (0, 0);
    let mut next = || {
        number = (number + 7_919) % SECRETS;
        id(&format!("k{number}"))
    };
    let get = || vault.reveal(by(), &next()).unwrap();
    Ratio::measure(ROUNDS, get, || limit.entries(1, &mut end)).report("get among 10,000 secrets", 1.5, 1);
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|round| {
            let start = Instant::now();
            vault.change(by(), put(&format!("k{round}"), vec![8; 32])).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("put among 10,000 secrets: {:.2?} (goal <= 50 ms)", times[ROUNDS / 2]);
}

fn unlocking(home: &Home) {
    let passphrase = Unlock::Passphrase(Zeroizing::new(PASSPHRASE.to_owned()));
    let ours = || custody::unlock(home, &passphrase).unwrap();
    let bare = || {
        let parameters = Params::new(64 * 1024, 3, 4, Some(32)).unwrap();
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(PASSPHRASE.as_bytes(), &[1; 32], &mut key)
            .unwrap();
        key
    };
    Ratio::measure(5, ours, bare).report("unlocking by a passphrase", 1.05, 1);
}
