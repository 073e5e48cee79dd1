//! The keyring: one file per key, its public half in clear and its private half wrapped under the root key.
//!
//! In scope: making, loading, caching and removing keys, and what is done with them. Out of scope: who may ask for
//! what ([`super::policy`]). It lives inside the custodian alone. A file that another process has changed is seen at
//! the next use, so that a removed key is gone and a rotated one is new at once (I4).

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::CustodyError;
use super::key_name::{KeyName, KeyRole};
use super::lock::HostKeys;
use super::locked::LockedKey;
use super::request::{AGREEMENT_KEY_TYPE, MacPurpose, PublicKeys, Secret, Signature};
use super::root::RootKey;
use super::vaults::{Asked, Vaults, Which};
use super::wrap::{self, Salt, Wrapped};
use super::write::WriteLock;
use super::{policy, portable, rotation};
use crate::canonical::{self, base64_bytes};
use crate::clock::{Clock, Timestamp};
use crate::crypto::{self, AgreementSecret, PublicHalf, SignError, Signer, pae};
use crate::durable;
use crate::envelope::Envelope;
use crate::home::Home;
use crate::id::{Did, Name};
use crate::vault::{Change, Noted, Opening, Vault, VaultAnswer, VaultRequest};

/// A key file has about 800 bytes.
const FILE_MAX: u64 = 8 * 1024;
/// The format that this program writes and reads.
const FILE_VERSION: u32 = 1;
/// An Ed25519 seed and an X25519 secret.
const PRIVATE_BYTES: usize = 64;

/// The keys of one home, and the root key that protects them.
pub(super) struct Keyring {
    home: Home,
    root: RootKey,
    artifact_key: LockedKey<32>,
    clock: Arc<dyn Clock>,
    loaded: HashMap<KeyName, Loaded>,
    /// Behind a pointer, so that whoever holds a keyring or none need not have room for them.
    vaults: Box<Vaults>,
}

impl Keyring {
    pub(super) fn new(home: Home, root: RootKey, clock: Arc<dyn Clock>) -> Self {
        let artifact_key = root.mac_key(MacPurpose::Artifact);
        Self { home, root, artifact_key, clock, loaded: HashMap::new(), vaults: Box::default() }
    }

    /// The same, with what a lock left of its vaults.
    pub(super) fn with_vaults(self, vaults: Box<Vaults>) -> Self {
        Self { vaults, ..self }
    }

    pub(super) fn create(&mut self, key: &KeyName) -> Result<PublicKeys, CustodyError> {
        let pair = KeyPair::generate(key, self.clock.now())?;
        self.store_new(&pair)?;
        Ok(pair.public)
    }

    pub(super) fn public(&mut self, key: &KeyName) -> Result<PublicKeys, CustodyError> {
        Ok(self.pair(key)?.public.clone())
    }

    pub(super) fn list(&mut self) -> Result<Vec<PublicKeys>, CustodyError> {
        let directory = self.home.keys();
        let failed = |error: std::io::Error| CustodyError::Storage {
            cause: format!("cannot list {}: {error}", directory.display()),
        };
        let mut keys = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            if let Some(key) = key_of_file(&entry.map_err(failed)?.path()) {
                match self.public(&key) {
                    Ok(public) => keys.push(public),
                    // Another process has just removed it.
                    Err(CustodyError::NoSuchKey { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        keys.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(keys)
    }

    pub(super) fn sign(
        &mut self,
        key: &KeyName,
        did: &Did,
        message: &[u8],
    ) -> Result<Signature, CustodyError> {
        policy::may_sign(key, message)?;
        Ok(self.pair_of(key, did)?.sign(message))
    }

    pub(super) fn sign_many(
        &mut self,
        key: &KeyName,
        did: &Did,
        messages: &[Vec<u8>],
    ) -> Result<Vec<Signature>, CustodyError> {
        messages.iter().try_for_each(|message| policy::may_sign(key, message))?;
        let pair = self.pair_of(key, did)?;
        Ok(messages.iter().map(|message| pair.sign(message)).collect())
    }

    pub(super) fn open(
        &mut self,
        key: &KeyName,
        did: &Did,
        info: &[u8],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Secret, CustodyError> {
        crypto::open(&self.pair_of(key, did)?.agreement(), info, associated, sealed)
            .map(Secret::from)
            .map_err(|_| CustodyError::Sealed { key: key.clone() })
    }

    pub(super) fn mac(&self, purpose: MacPurpose, message: &[u8]) -> [u8; 32] {
        match purpose {
            MacPurpose::Artifact => *blake3::keyed_hash(self.artifact_key.expose(), message).as_bytes(),
        }
    }

    pub(super) fn export(&mut self, key: &KeyName, passphrase: &Secret) -> Result<Vec<u8>, CustodyError> {
        policy::may_travel(key, "be exported")?;
        portable::export(self.pair(key)?, passphrase)
    }

    pub(super) fn import(
        &mut self,
        key: &KeyName,
        passphrase: &Secret,
        document: &[u8],
    ) -> Result<PublicKeys, CustodyError> {
        policy::may_travel(key, "be imported")?;
        let pair = portable::import(key, passphrase, document)?;
        self.store_new(&pair)?;
        Ok(pair.public)
    }

    /// Three steps, each whole or not at all: keep the old key, keep the statement, and last put the new key in place.
    /// Cut short before the last, the old key stays in force, and the next attempt begins anew.
    pub(super) fn rotate(&mut self, key: &KeyName) -> Result<(PublicKeys, Envelope), CustodyError> {
        policy::may_rotate(key)?;
        let lock = WriteLock::take(&self.home)?;
        let next = KeyPair::generate(key, self.clock.now())?;
        let path = self.path(key);
        let previous = self.pair(key)?;
        let old = durable::read_regular(&path, FILE_MAX)?;
        let statement = rotation::state(previous, &next)?;
        let bytes =
            statement.to_bytes().map_err(|error| CustodyError::Storage { cause: error.to_string() })?;
        let kept = rotation::kept_beside(&path, &previous.public.did);
        lock.replace(&kept.key, &old)?;
        lock.replace(&kept.statement, &bytes)?;
        lock.replace(&path, &self.file_of(&next)?)?;
        Ok((next.public, statement))
    }

    pub(super) fn remove(&mut self, key: &KeyName) -> Result<(), CustodyError> {
        policy::may_remove(key)?;
        let lock = WriteLock::take(&self.home)?;
        let path = self.path(key);
        if !path.exists() {
            return Err(CustodyError::NoSuchKey { key: key.clone() });
        }
        for kept in rotation::all_kept_beside(&path)? {
            lock.remove(&kept)?;
        }
        lock.remove(&path)?;
        self.loaded.remove(key);
        Ok(())
    }

    pub(super) fn vault(
        &mut self,
        environment: &Name,
        noted: Option<Noted>,
        not_before: Timestamp,
        request: &VaultRequest,
    ) -> Result<VaultAnswer, CustodyError> {
        let imported = self.imported(request)?;
        let now = self.clock.now().max(not_before);
        let which = Which { home: &self.home, environment, noted };
        let asked = Asked { which, root: &self.root, now, imported };
        self.vaults.answer(&asked, request)
    }

    /// The vault that an import takes over.
    fn imported(&mut self, request: &VaultRequest) -> Result<Option<Vault>, CustodyError> {
        let VaultRequest::Prepare { change: Change::Import { document, opening } } = request else {
            return Ok(None);
        };
        match opening {
            Opening::Passphrase { passphrase } => {
                Vault::imported_by_passphrase(document, passphrase).map(Some)
            }
            Opening::Key { key } => Vault::imported_by_key(document, &self.pair(key)?.agreement()).map(Some),
        }
    }

    /// What is left of it once it is locked. Everything else is erased; a host's key that cannot be read now is not there.
    pub(super) fn into_host_keys(mut self) -> HostKeys {
        let entries = fs::read_dir(self.home.keys()).into_iter().flatten().flatten();
        for key in entries.filter_map(|entry| key_of_file(&entry.path())) {
            if key.role == KeyRole::Host {
                drop(self.pair(&key));
            }
        }
        self.vaults.lock();
        HostKeys::of(self.loaded.drain().map(|(key, loaded)| (key, loaded.pair)), self.vaults)
    }

    fn path(&self, key: &KeyName) -> PathBuf {
        self.home.keys().join(format!("{}-{}.json", key.role.as_str(), key.name))
    }

    fn store_new(&self, pair: &KeyPair) -> Result<(), CustodyError> {
        let key = &pair.public.key;
        let bytes = self.file_of(pair)?;
        let lock = WriteLock::take(&self.home)?;
        let path = self.path(key);
        if path.exists() {
            return Err(CustodyError::KeyExists { key: key.clone() });
        }
        lock.replace(&path, &bytes)
    }

    fn file_of(&self, pair: &KeyPair) -> Result<Vec<u8>, CustodyError> {
        let path = self.path(&pair.public.key);
        let salt = wrap::salt()?;
        let associated = associated(&pair.public, &path)?;
        let wrapped = self.root.wrap_key(&salt, &associated, pair.private().as_ref())?;
        let file = KeyFile { version: FILE_VERSION, public: pair.public.clone(), salt, wrapped };
        canonical::to_canonical(&file).map_err(CustodyError::malformed(&path))
    }

    /// The pair, read anew when its file is not the one that was read before.
    fn pair(&mut self, key: &KeyName) -> Result<&KeyPair, CustodyError> {
        let path = self.path(key);
        let Some(stamp) = Stamp::of(&path)? else {
            self.loaded.remove(key);
            return Err(CustodyError::NoSuchKey { key: key.clone() });
        };
        if self.loaded.get(key).is_none_or(|loaded| loaded.stamp != stamp) {
            self.loaded.remove(key);
            let pair = self.read(key, &path)?;
            self.loaded.insert(key.clone(), Loaded { stamp, pair });
        }
        let loaded = self.loaded.get(key).ok_or_else(|| CustodyError::NoSuchKey { key: key.clone() })?;
        Ok(&loaded.pair)
    }

    /// The pair, if it is the one that whoever asks believes it to be.
    fn pair_of(&mut self, key: &KeyName, did: &Did) -> Result<&KeyPair, CustodyError> {
        let pair = self.pair(key)?;
        if pair.public.did == *did { Ok(pair) } else { Err(CustodyError::Replaced { key: key.clone() }) }
    }

    fn read(&self, key: &KeyName, path: &Path) -> Result<KeyPair, CustodyError> {
        let bytes = durable::read_regular(path, FILE_MAX).map_err(|error| {
            if error.is_not_found() { CustodyError::NoSuchKey { key: key.clone() } } else { error.into() }
        })?;
        self.opened(key, path, &bytes)
    }

    /// The pair in the bytes of a key file, if they are the very ones that were written for this key.
    fn opened(&self, key: &KeyName, path: &Path, bytes: &[u8]) -> Result<KeyPair, CustodyError> {
        let file: KeyFile =
            canonical::from_canonical(bytes, bytes.len()).map_err(CustodyError::malformed(path))?;
        if file.version != FILE_VERSION || file.public.key != *key {
            return Err(CustodyError::altered(path));
        }
        let associated = associated(&file.public, path)?;
        let private = self
            .root
            .unwrap_key(&file.salt, &associated, &file.wrapped)
            .map_err(|_| CustodyError::altered(path))?;
        KeyPair::from_private(file.public, &private).ok_or_else(|| CustodyError::altered(path))
    }
}

/// A key pair in use. Its private halves lie in locked memory and are taken from there for each use.
pub(super) struct KeyPair {
    pub(super) public: PublicKeys,
    signing: PublicHalf,
    seed: LockedKey<32>,
    agreement: LockedKey<32>,
}

impl KeyPair {
    pub(super) fn generate(key: &KeyName, now: Timestamp) -> Result<Self, CustodyError> {
        let (seed, agreement) = (crypto::random::<32>()?, crypto::random::<32>()?);
        Ok(Self::new(key, &Zeroizing::new(seed), &Zeroizing::new(agreement), now))
    }

    fn new(key: &KeyName, seed: &[u8; 32], agreement: &[u8; 32], created: Timestamp) -> Self {
        let signing = PublicHalf::of_seed(seed);
        let agreement_key = AgreementSecret::from_bytes(agreement).agreement_key();
        let attestation = signing.danger_sign_with(seed, &pae(AGREEMENT_KEY_TYPE, agreement_key.as_bytes()));
        let public = PublicKeys { key: key.clone(), did: signing.did(), agreement_key, attestation, created };
        Self { public, signing, seed: LockedKey::copied(seed), agreement: LockedKey::copied(agreement) }
    }

    /// The pair of an authenticated public half and its private bytes, if they belong together. The agreement key and
    /// its attestation are taken as authenticated: to derive and verify them again would double the cost of a load.
    fn from_private(public: PublicKeys, private: &[u8]) -> Option<Self> {
        let (seed, agreement) = halves(private)?;
        let signing = PublicHalf::of_seed(seed);
        if signing.did() != public.did {
            return None;
        }
        Some(Self { public, signing, seed: LockedKey::copied(seed), agreement: LockedKey::copied(agreement) })
    }

    /// The pair of private bytes alone.
    pub(super) fn of_private(key: &KeyName, private: &[u8], created: Timestamp) -> Option<Self> {
        let (seed, agreement) = halves(private)?;
        Some(Self::new(key, seed, agreement, created))
    }

    /// The private halves, for whoever encrypts them.
    pub(super) fn private(&self) -> Zeroizing<[u8; PRIVATE_BYTES]> {
        let mut bytes = Zeroizing::new([0; PRIVATE_BYTES]);
        let halves = self.seed.expose().iter().chain(self.agreement.expose());
        for (to, from) in bytes.iter_mut().zip(halves) {
            *to = *from;
        }
        bytes
    }

    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.signing.danger_sign_with(self.seed.expose(), message))
    }

    /// For one use; erased after it.
    fn agreement(&self) -> AgreementSecret {
        AgreementSecret::from_bytes(self.agreement.expose())
    }
}

impl Signer for KeyPair {
    fn did(&self) -> Did {
        self.public.did
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(Self::sign(self, message).0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeyFile {
    version: u32,
    public: PublicKeys,
    #[serde(with = "base64_bytes")]
    salt: Salt,
    wrapped: Wrapped,
}

struct Loaded {
    stamp: Stamp,
    pair: KeyPair,
}

/// Which file was read: a replaced one has another inode or another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Nothing for a file that is not there.
    pub(super) fn of(path: &Path) -> Result<Option<Self>, CustodyError> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self {
                device: metadata.dev(),
                inode: metadata.ino(),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(CustodyError::Storage { cause: format!("cannot look at {}: {error}", path.display()) })
            }
        }
    }
}

/// The Ed25519 seed, and the X25519 secret.
fn halves(private: &[u8]) -> Option<(&[u8; 32], &[u8; 32])> {
    match private.as_chunks::<32>() {
        ([seed, agreement], []) => Some((seed, agreement)),
        _ => None,
    }
}

/// What a private half is bound to: all of the public half, its role and name included.
fn associated(public: &PublicKeys, path: &Path) -> Result<Vec<u8>, CustodyError> {
    canonical::to_canonical(public).map_err(CustodyError::malformed(path))
}

/// The key whose file this is; nothing for locks, temporary files and what rotation keeps.
fn key_of_file(path: &Path) -> Option<KeyName> {
    let (role, name) = path.file_name()?.to_str()?.strip_suffix(".json")?.split_once('-')?;
    let role = KeyRole::ALL.into_iter().find(|known| known.as_str() == role)?;
    Some(KeyName::new(role, name.parse().ok()?))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
