//! Slots: the ways to unlock the one root key, each wrapping the same key under its own secret.
//!
//! In scope: `slots.json` and its changes; each slot's kind, parameters and label are authenticated with its wrapping,
//! and the file as a whole by the root key. Out of scope: what the root key protects (the keyring). An old copy
//! of the file keeps a removed slot usable; whoever could have copied the file is shut out by new keys only.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::error::CustodyError;
use super::kdf::Kdf;
use super::locked::LockedBytes;
use super::root::RootKey;
use super::secret_file::{self, KEY_FILE, SECRET_MAX, SECRET_MIN};
pub use super::secret_file::{read_credential, read_secret};
use super::wrap::{self, Salt, UnwrapError, Wrapped};
use super::write::WriteLock;
use crate::canonical::{self, base64_bytes};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::crypto;
use crate::durable;
use crate::home::Home;

/// Enough ways to unlock one home; with the caps of each, trying all of them takes seconds.
pub const SLOTS_MAX: usize = 8;
/// Room for that many slots with long paths.
const FILE_MAX: u64 = 64 * 1024;
/// The format that this program writes and reads.
const FILE_VERSION: u32 = 1;
/// What a wrapped root key is bound to.
const PURPOSE: &str = "kos/slot/v1";
const PASSPHRASE: &str = "passphrase";
const SECRET: &str = "secret";

/// A slot to be made, with its secret.
#[derive(Clone)]
#[non_exhaustive]
pub enum SlotSpec {
    /// Unlocked by a passphrase; its bytes are taken as they are.
    Passphrase {
        /// The passphrase.
        secret: Zeroizing<String>,
        /// What a guess costs.
        kdf: Kdf,
    },
    /// Unlocked by a file of 32 random bytes, which is made if it is not there.
    KeyFile {
        /// Where it lies, best not beside the home.
        path: PathBuf,
    },
    /// Unlocked by a secret of at least 32 random bytes from a descriptor or a service manager's credential.
    Secret {
        /// The secret.
        secret: Zeroizing<Vec<u8>>,
    },
}

impl std::fmt::Debug for SlotSpec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passphrase { kdf, .. } => {
                formatter.debug_struct("Passphrase").field("kdf", kdf).finish_non_exhaustive()
            }
            Self::KeyFile { path } => formatter.debug_struct("KeyFile").field("path", path).finish(),
            Self::Secret { .. } => formatter.debug_struct("Secret").finish_non_exhaustive(),
        }
    }
}

/// What unlocks a slot.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Unlock {
    /// A passphrase.
    Passphrase(Zeroizing<String>),
    /// A key file, wherever it lies now.
    KeyFile(PathBuf),
    /// A secret from a descriptor or a service manager's credential.
    Secret(Zeroizing<Vec<u8>>),
}

impl Unlock {
    fn kind(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => PASSPHRASE,
            Self::KeyFile(_) => KEY_FILE,
            Self::Secret(_) => SECRET,
        }
    }

    /// The secret bytes.
    fn read(&self) -> Result<LockedBytes, CustodyError> {
        match self {
            Self::Passphrase(passphrase) => Ok(LockedBytes::copied(passphrase.as_bytes())),
            Self::KeyFile(path) => Ok(LockedBytes::copied(&secret_file::read_key_file(path)?)),
            Self::Secret(secret) => checked_secret(secret),
        }
    }
}

impl std::fmt::Debug for Unlock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Unlock by {}", self.kind())
    }
}

/// How a slot's secret becomes the key that wraps the root key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Method {
    /// By a password hash.
    Passphrase {
        /// Which, and at what price.
        kdf: Kdf,
    },
    /// By HKDF of a key file.
    KeyFile {
        /// Where it lay when the slot was made.
        path: PathBuf,
    },
    /// By HKDF of a secret that somebody hands over.
    Secret {},
}

impl Method {
    fn kind(&self) -> &'static str {
        match self {
            Self::Passphrase { .. } => PASSPHRASE,
            Self::KeyFile { .. } => KEY_FILE,
            Self::Secret {} => SECRET,
        }
    }

    fn check(&self) -> Result<(), CustodyError> {
        match self {
            Self::Passphrase { kdf } => Ok(kdf.check()?),
            Self::KeyFile { .. } | Self::Secret {} => Ok(()),
        }
    }

    fn key(&self, secret: &[u8], salt: &Salt) -> Result<Zeroizing<[u8; 32]>, CustodyError> {
        match self {
            Self::Passphrase { kdf } => Ok(kdf.derive(secret, salt)?),
            Self::KeyFile { .. } | Self::Secret {} => {
                Ok(wrap::derive(secret, Some(salt), "kos/slot-secret/v1"))
            }
        }
    }
}

/// What is to be seen of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SlotInfo {
    /// Its identifier: 16 hex digits.
    pub id: String,
    /// What unlocks it.
    pub method: Method,
    /// What it is called in lists.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
}

impl SlotInfo {
    /// What unlocks it, in a word or two.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.method.kind()
    }

    /// Where its key file lay when it was made, if a key file unlocks it.
    #[must_use]
    pub fn key_file(&self) -> Option<&Path> {
        match &self.method {
            Method::KeyFile { path } => Some(path),
            Method::Passphrase { .. } | Method::Secret {} => None,
        }
    }

    /// Whether a passphrase unlocks it.
    #[must_use]
    pub fn is_passphrase(&self) -> bool {
        matches!(self.method, Method::Passphrase { .. })
    }
}

/// The slots of a home. Nothing here is authenticated before an unlock.
///
/// # Errors
/// [`CustodyError::NotInitialised`], or what is wrong with the file.
pub fn list(home: &Home) -> Result<Vec<SlotInfo>, CustodyError> {
    Ok(SlotsFile::read(home)?.slots.into_iter().map(|slot| slot.info).collect())
}

/// Adds a slot, which an existing one must allow.
///
/// # Errors
/// Those of unlocking, and [`CustodyError::SlotCount`] when no more fit.
#[expect(clippy::needless_pass_by_value, reason = "the secret is not needed once it has its slot")]
pub fn add(home: &Home, unlock: &Unlock, spec: SlotSpec) -> Result<SlotInfo, CustodyError> {
    let lock = WriteLock::take(home)?;
    let (mut file, root) = SlotsFile::unlocked(home, unlock)?;
    if file.slots.len() >= SLOTS_MAX {
        return Err(CustodyError::SlotCount);
    }
    let slot = Slot::made(&spec, &root)?;
    let info = slot.info.clone();
    file.slots.push(slot);
    file.write(home, &root, &lock)?;
    Ok(info)
}

/// Replaces a slot by another, in one step: the old secret opens nothing from then on, and whatever happens meanwhile,
/// there is the one or the other. Nothing that the root key protects is encrypted anew.
///
/// # Errors
/// Those of unlocking, and [`CustodyError::UnknownSlot`].
#[expect(clippy::needless_pass_by_value, reason = "the secret is not needed once it has its slot")]
pub fn replace(home: &Home, unlock: &Unlock, id: &str, spec: SlotSpec) -> Result<SlotInfo, CustodyError> {
    let lock = WriteLock::take(home)?;
    let (mut file, root) = SlotsFile::unlocked(home, unlock)?;
    let unknown = || CustodyError::UnknownSlot { id: id.to_owned() };
    let slot = file.slots.iter_mut().find(|slot| slot.info.id == id).ok_or_else(unknown)?;
    *slot = Slot::made(&spec, &root)?;
    let info = slot.info.clone();
    file.write(home, &root, &lock)?;
    Ok(info)
}

/// Removes a slot. The last one stays: see [`destroy`].
///
/// # Errors
/// Those of unlocking, [`CustodyError::UnknownSlot`] and [`CustodyError::LastSlot`].
pub fn remove(home: &Home, unlock: &Unlock, id: &str) -> Result<(), CustodyError> {
    let lock = WriteLock::take(home)?;
    let (mut file, root) = SlotsFile::unlocked(home, unlock)?;
    let before = file.slots.len();
    file.slots.retain(|slot| slot.info.id != id);
    if file.slots.len() == before {
        return Err(CustodyError::UnknownSlot { id: id.to_owned() });
    }
    if file.slots.is_empty() {
        return Err(CustodyError::LastSlot { id: id.to_owned() });
    }
    file.write(home, &root, &lock)
}

/// Removes every slot, and so every key of this home for ever. Needs no secret: in need, whoever holds the files may
/// end it. The old bytes are overwritten as far as the file system lets us; the promise is only that the slots are gone.
///
/// # Errors
/// [`CustodyError::NotInitialised`] or [`CustodyError::Storage`].
pub fn destroy(home: &Home) -> Result<(), CustodyError> {
    let lock = WriteLock::take(home)?;
    lock.erase(&home.slots_file())
}

/// Writes the first slots of a home around a new root key.
pub(super) fn initialise(home: &Home, specs: &[SlotSpec]) -> Result<RootKey, CustodyError> {
    let lock = WriteLock::take(home)?;
    if home.slots_file().exists() {
        return Err(CustodyError::AlreadyInitialised);
    }
    if !(1..=SLOTS_MAX).contains(&specs.len()) {
        return Err(CustodyError::SlotCount);
    }
    let root = RootKey::generate()?;
    let slots = specs.iter().map(|spec| Slot::made(spec, &root)).collect::<Result<Vec<_>, _>>()?;
    SlotsFile { version: FILE_VERSION, slots, mac: [0; 32] }.write(home, &root, &lock)?;
    Ok(root)
}

/// The root key of a home.
pub(super) fn unlock(home: &Home, unlock: &Unlock) -> Result<RootKey, CustodyError> {
    SlotsFile::unlocked(home, unlock).map(|(_, root)| root)
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Slot {
    info: SlotInfo,
    #[serde(with = "base64_bytes")]
    salt: Salt,
    wrapped: Wrapped,
}

impl Slot {
    fn made(spec: &SlotSpec, root: &RootKey) -> Result<Self, CustodyError> {
        let (method, label, secret) = prepared(spec)?;
        method.check()?;
        let id = hex::encode(crypto::random::<8>()?);
        let info = SlotInfo { id, method, label, created: SystemClock.now() };
        let salt = wrap::salt()?;
        let key = info.method.key(secret.expose(), &salt)?;
        let wrapped = wrap::wrap(&key, &salt, PURPOSE, &associated(&info)?, root.expose())?;
        Ok(Self { info, salt, wrapped })
    }

    /// The root key, if `secret` is this slot's.
    fn open(&self, secret: &[u8], file: &Path) -> Result<Option<RootKey>, CustodyError> {
        let key = self.info.method.key(secret, &self.salt)?;
        match wrap::unwrap(&key, &self.salt, PURPOSE, &associated(&self.info)?, &self.wrapped) {
            Ok(bytes) => RootKey::from_slice(&bytes).map(Some).ok_or_else(|| CustodyError::altered(file)),
            Err(UnwrapError::WrongKey) => Ok(None),
            Err(UnwrapError::Altered) => Err(CustodyError::altered(file)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SlotsFile {
    version: u32,
    slots: Vec<Slot>,
    /// Keyed BLAKE3 under a key derived from the root key, over the canonical slots.
    #[serde(with = "base64_bytes")]
    mac: [u8; 32],
}

impl SlotsFile {
    fn read(home: &Home) -> Result<Self, CustodyError> {
        let path = home.slots_file();
        let bytes = durable::read_regular(&path, FILE_MAX).map_err(|error| {
            if error.is_not_found() { CustodyError::NotInitialised } else { error.into() }
        })?;
        Self::parse(&bytes, &path)
    }

    /// Everything about the file that can be judged without a secret, before any derivation.
    fn parse(bytes: &[u8], path: &Path) -> Result<Self, CustodyError> {
        let file: Self =
            canonical::from_canonical(bytes, bytes.len()).map_err(CustodyError::malformed(path))?;
        if file.version != FILE_VERSION {
            let cause = format!("its format {} is not known to this version", file.version);
            return Err(CustodyError::Malformed { file: path.display().to_string(), cause });
        }
        if !(1..=SLOTS_MAX).contains(&file.slots.len()) {
            return Err(CustodyError::SlotCount);
        }
        file.slots.iter().try_for_each(|slot| slot.info.method.check())?;
        Ok(file)
    }

    fn unlocked(home: &Home, unlock: &Unlock) -> Result<(Self, RootKey), CustodyError> {
        let file = Self::read(home)?;
        let root = file.open(unlock, &home.slots_file())?;
        Ok((file, root))
    }

    /// The root key, if a slot of the kind opens and the whole file is as it was written.
    fn open(&self, unlock: &Unlock, path: &Path) -> Result<RootKey, CustodyError> {
        let kind = unlock.kind();
        let mut fitting = self.slots.iter().filter(|slot| slot.info.kind() == kind).peekable();
        if fitting.peek().is_none() {
            return Err(CustodyError::NoSuchSlot { kind: kind.to_owned() });
        }
        let secret = unlock.read()?;
        for slot in fitting {
            if let Some(root) = slot.open(secret.expose(), path)? {
                let is_whole = bool::from(self.computed_mac(&root)?.ct_eq(&self.mac));
                return if is_whole { Ok(root) } else { Err(CustodyError::altered(path)) };
            }
        }
        Err(CustodyError::WrongSecret { kind: kind.to_owned() })
    }

    fn write(&mut self, home: &Home, root: &RootKey, lock: &WriteLock) -> Result<(), CustodyError> {
        self.mac = self.computed_mac(root)?;
        let path = home.slots_file();
        let bytes = canonical::to_canonical(self).map_err(CustodyError::malformed(&path))?;
        lock.replace(&path, &bytes)
    }

    fn computed_mac(&self, root: &RootKey) -> Result<[u8; 32], CustodyError> {
        let bytes =
            canonical::to_canonical(&self.slots).map_err(CustodyError::malformed(Path::new("slots")))?;
        Ok(*blake3::keyed_hash(&root.slots_key(), &bytes).as_bytes())
    }
}

/// The file of the slots, read without any secret and written again.
pub(crate) fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    canonical::to_canonical(&SlotsFile::parse(bytes, Path::new("slots")).ok()?).ok()
}

/// What a slot's wrapping is bound to: all that is to be seen of it.
fn associated(info: &SlotInfo) -> Result<Vec<u8>, CustodyError> {
    canonical::to_canonical(info).map_err(CustodyError::malformed(Path::new("slots")))
}

/// The method, label and secret of a slot to be made.
fn prepared(spec: &SlotSpec) -> Result<(Method, String, LockedBytes), CustodyError> {
    match spec {
        SlotSpec::Passphrase { secret, kdf } => {
            if secret.is_empty() {
                return Err(unusable(PASSPHRASE, "it is empty"));
            }
            let bytes = LockedBytes::copied(secret.as_bytes());
            Ok((Method::Passphrase { kdf: *kdf }, PASSPHRASE.to_owned(), bytes))
        }
        SlotSpec::KeyFile { path } => {
            let path = std::path::absolute(path).map_err(|error| unusable(KEY_FILE, &error.to_string()))?;
            if path.to_str().is_none() {
                return Err(unusable(KEY_FILE, "its path is not UTF-8"));
            }
            let bytes = LockedBytes::copied(&secret_file::read_or_create_key_file(&path)?);
            Ok((Method::KeyFile { path: path.clone() }, format!("{KEY_FILE} {}", path.display()), bytes))
        }
        SlotSpec::Secret { secret } => Ok((Method::Secret {}, SECRET.to_owned(), checked_secret(secret)?)),
    }
}

fn checked_secret(secret: &[u8]) -> Result<LockedBytes, CustodyError> {
    if !(SECRET_MIN..=SECRET_MAX).contains(&secret.len()) {
        let cause = format!("it must have between {SECRET_MIN} and {SECRET_MAX} bytes");
        return Err(unusable(SECRET, &cause));
    }
    Ok(LockedBytes::copied(secret))
}

fn unusable(kind: &str, cause: &str) -> CustodyError {
    CustodyError::UnusableSecret { kind: kind.to_owned(), cause: cause.to_owned() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
