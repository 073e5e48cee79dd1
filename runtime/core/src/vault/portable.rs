//! A vault as a document for another home: the specification's `SecureVault`, encrypted to a passphrase or to a key.
//!
//! Source: RFC 8018 (PBKDF2), RFC 9106 (Argon2id), RFC 9180 (HPKE). In scope: writing and opening the document, and taking its
//! secrets over. Out of scope: who may export and import. An exported vault is a vault of its own: it has its own
//! identifier and data key, under which every secret and its history is encrypted anew.

use super::change::{Resealing, altered, earlier, made};
use super::document::{Claimed, DOCUMENT_MAX, Document, Entries, Entry, EntryMetadata, KeyDerivation, Older};
use super::error::VaultError;
use super::request::Recipient;
use super::sealing::{Label, Sealing, VaultId};
use super::secret::{SECRET_MAX, SecretId};
use super::state::{Vault, malformed};
use super::typed;
use crate::crypto::{self, AgreementSecret};
use crate::custody::wrap::{self, UnwrapError};
use crate::custody::{CustodyError, Kdf, Secret};

/// What the document is called in errors.
const DOCUMENT: &str = "the exported vault";

impl Vault {
    /// The vault as a document that `to` opens.
    pub(crate) fn export(&self, to: &Recipient) -> Result<Vec<u8>, CustodyError> {
        let mut header = self.document.header.clone();
        header.id = VaultId(crypto::random::<16>()?);
        let sealing = Sealing::generate(header.id.clone(), &header.environment)?;
        let mut entries = Entries::new();
        for (id, kept) in &self.document.entries {
            let resealing =
                Resealing { from: (&self.sealing, id), to: (&sealing, id), generation: header.generation };
            entries.insert(id.clone(), made(resealing.entry(&kept.entry)?)?);
        }
        let derivation = derivation(&sealing, to)?;
        let document = Document { header, derivation, entries, last_modified: self.document.last_modified };
        Ok(document.to_bytes(&sealing).map_err(malformed(DOCUMENT))?)
    }

    /// The vault in a document that was exported to a passphrase.
    pub(crate) fn imported_by_passphrase(document: &[u8], passphrase: &Secret) -> Result<Self, CustodyError> {
        let imported = Imported::parse(document)?;
        let (kdf, salt, data_key) = match &imported.document.derivation {
            KeyDerivation::Pbkdf2 { data_key, iterations, salt } => {
                (Kdf::Pbkdf2Sha512 { rounds: *iterations }, salt, data_key)
            }
            KeyDerivation::Argon2id { data_key, iterations, memory_kib, parallelism, salt } => {
                let kdf = Kdf::Argon2id { memory_kib: *memory_kib, passes: *iterations, lanes: *parallelism };
                (kdf, salt, data_key)
            }
            KeyDerivation::Root { .. } | KeyDerivation::Hpke { .. } => {
                return Err(VaultError::WrongOpening.into());
            }
        };
        let key = kdf.derive(passphrase.expose(), salt)?;
        let header = &imported.document.header;
        let sealing =
            Sealing::unwrapped(key.as_ref(), header.id.clone(), &header.environment, data_key.clone())
                .map_err(|error| match error {
                    UnwrapError::WrongKey => VaultError::WrongOpening,
                    UnwrapError::Altered => document_altered(),
                })?;
        imported.opened(sealing)
    }

    /// The vault in a document that was exported to a key.
    pub(crate) fn imported_by_key(document: &[u8], key: &AgreementSecret) -> Result<Self, CustodyError> {
        let imported = Imported::parse(document)?;
        let KeyDerivation::Hpke { recipient, sealed } = &imported.document.derivation else {
            return Err(VaultError::WrongOpening.into());
        };
        if *recipient != key.agreement_key() {
            return Err(VaultError::WrongOpening.into());
        }
        let header = &imported.document.header;
        let sealing = Sealing::unsealed(key, header.id.clone(), &header.environment, sealed)
            .map_err(|_| document_altered())?;
        imported.opened(sealing)
    }

    /// Stores every secret of `imported` with its history, or none.
    pub(super) fn import(&mut self, imported: &Self) -> Result<(), CustodyError> {
        for (id, kept) in &imported.document.entries {
            self.check_free(id)?;
            let entry = self.taken_over(id, &kept.entry, &imported.sealing)?;
            self.insert(id, entry)?;
        }
        Ok(())
    }

    /// A secret of another vault, of which each version is of its type. Ends are kept and not judged: a vault with secrets
    /// that have ended is taken over all the same.
    fn taken_over(&self, id: &SecretId, entry: &Entry, from: &Sealing) -> Result<Entry, CustodyError> {
        let versions = std::iter::once(entry.metadata.version)
            .chain(entry.previous.iter().map(|older| older.version))
            .chain([0]);
        if !versions.is_sorted_by(|newer, older| newer > older) {
            let cause = format!("the versions of `{id}` are not in order");
            return Err(VaultError::Malformed { file: DOCUMENT.to_owned(), cause }.into());
        }
        let generation = self.generation();
        let take = |label: Label<'_>, sealed| {
            let value = from.open(label, sealed).map_err(|_| altered(id))?;
            if value.is_empty() || value.len() > SECRET_MAX {
                return Err(VaultError::Size.into());
            }
            let expires_at = earlier(label.expires_at, typed::check(id.kind, &value)?);
            let sealed = self.sealing.seal(Label { expires_at, generation, ..label }, &value)?;
            Ok::<_, CustodyError>((sealed, expires_at))
        };
        let (sealed, expires_at) = take(entry.label(id), entry.sealed())?;
        let mut previous = Vec::new();
        for older in entry.previous.iter().take(self.versions_kept()) {
            let (sealed, expires_at) = take(older.label(id), older.sealed())?;
            previous.push(Older::new(sealed, generation, older.version, older.changed, expires_at));
        }
        let metadata = EntryMetadata { expires_at, ..entry.metadata.clone() };
        Ok(Entry::new(sealed, generation, metadata, previous))
    }
}

/// A document whose data key is not had yet.
struct Imported {
    document: Document,
    claimed: Claimed,
}

impl Imported {
    fn parse(document: &[u8]) -> Result<Self, VaultError> {
        let max = usize::try_from(DOCUMENT_MAX).unwrap_or(usize::MAX);
        let (document, claimed) = Document::parse(document, max).map_err(malformed(DOCUMENT))?;
        Ok(Self { document, claimed })
    }

    fn opened(self, sealing: Sealing) -> Result<Vault, CustodyError> {
        if !self.document.check(&self.claimed, &sealing).map_err(malformed(DOCUMENT))? {
            return Err(document_altered().into());
        }
        Ok(Vault { document: self.document, sealing: sealing.into() })
    }
}

/// The data key, for whoever opens the document.
fn derivation(sealing: &Sealing, to: &Recipient) -> Result<KeyDerivation, CustodyError> {
    match to {
        Recipient::Key { key } => {
            Ok(KeyDerivation::Hpke { recipient: *key, sealed: sealing.sealed_to(key)? })
        }
        Recipient::Passphrase { passphrase, kdf } => {
            if passphrase.expose().is_empty() {
                let cause = "it is empty".to_owned();
                return Err(CustodyError::UnusableSecret { kind: "passphrase".to_owned(), cause });
            }
            let salt = wrap::salt()?;
            let data_key = sealing.wrapped(kdf.derive(passphrase.expose(), &salt)?.as_ref())?;
            Ok(match *kdf {
                Kdf::Argon2id { memory_kib, passes, lanes } => KeyDerivation::Argon2id {
                    data_key,
                    iterations: passes,
                    memory_kib,
                    parallelism: lanes,
                    salt,
                },
                Kdf::Pbkdf2Sha512 { rounds } => KeyDerivation::Pbkdf2 { data_key, iterations: rounds, salt },
            })
        }
    }
}

fn document_altered() -> VaultError {
    VaultError::Altered { file: DOCUMENT.to_owned() }
}
