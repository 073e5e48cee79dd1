//! A key as a document under a passphrase, to carry an operator's or author's key to another home.
//!
//! In scope: the document, strict and complete: role, identifier and creation are authenticated, the private half is
//! wrapped under Argon2id of the passphrase. Out of scope: who may carry a key ([`super::policy`]).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::CustodyError;
use super::kdf::Kdf;
use super::key_name::KeyName;
use super::keyring::KeyPair;
use super::request::{PublicKeys, Secret};
use super::wrap::{self, Salt, UnwrapError, Wrapped};
use crate::canonical::{self, base64_bytes};

/// A document has about 900 bytes.
const DOCUMENT_MAX: usize = 8 * 1024;
/// The format that this program writes and reads, which is also the first thing to be seen in it.
const FORMAT: &str = "kos-key-v1";
/// What the private half is bound to besides.
const PURPOSE: &str = "kos/export/v1";
const DOCUMENT: &str = "the exported key";
const PASSPHRASE: &str = "passphrase";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    header: Header,
    #[serde(with = "base64_bytes")]
    salt: Salt,
    wrapped: Wrapped,
}

/// What is to be seen of an exported key, all of it authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Header {
    format: String,
    public: PublicKeys,
    kdf: Kdf,
}

/// The document of a key.
pub(super) fn export(pair: &KeyPair, passphrase: &Secret) -> Result<Vec<u8>, CustodyError> {
    if passphrase.expose().is_empty() {
        let cause = "it is empty".to_owned();
        return Err(CustodyError::UnusableSecret { kind: PASSPHRASE.to_owned(), cause });
    }
    let header = Header { format: FORMAT.to_owned(), public: pair.public.clone(), kdf: Kdf::standard() };
    let salt = wrap::salt()?;
    let key = header.kdf.derive(passphrase.expose(), &salt)?;
    let wrapped = wrap::wrap(&key, &salt, PURPOSE, &associated(&header)?, pair.private().as_ref())?;
    canonical::to_canonical(&Document { header, salt, wrapped }).map_err(malformed())
}

/// The pair in a document, under the name `key`, whose role must be the document's.
pub(super) fn import(key: &KeyName, passphrase: &Secret, document: &[u8]) -> Result<KeyPair, CustodyError> {
    let document: Document = canonical::from_canonical(document, DOCUMENT_MAX).map_err(malformed())?;
    let Document { header, salt, wrapped } = document;
    if header.format != FORMAT {
        let cause = "its format is not known to this version".to_owned();
        return Err(CustodyError::Malformed { file: DOCUMENT.to_owned(), cause });
    }
    if header.public.key.role != key.role {
        let reason = format!("the document holds a key of an {}", header.public.key.role.as_str());
        return Err(CustodyError::forbidden(key, "be imported", &reason));
    }
    let wrapping = header.kdf.derive(passphrase.expose(), &salt)?;
    let altered = || CustodyError::altered(Path::new(DOCUMENT));
    let private = wrap::unwrap(&wrapping, &salt, PURPOSE, &associated(&header)?, &wrapped).map_err(
        |error| match error {
            UnwrapError::WrongKey => CustodyError::WrongSecret { kind: PASSPHRASE.to_owned() },
            UnwrapError::Altered => altered(),
        },
    )?;
    let pair = KeyPair::of_private(key, &private, header.public.created).ok_or_else(altered)?;
    let is_same = pair.public.did == header.public.did
        && pair.public.agreement_key == header.public.agreement_key
        && pair.public.attestation == header.public.attestation;
    if is_same { Ok(pair) } else { Err(altered()) }
}

/// A document as it would be written.
pub(crate) fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    let document: Document = canonical::from_canonical(bytes, DOCUMENT_MAX).ok()?;
    canonical::to_canonical(&document).ok()
}

fn associated(header: &Header) -> Result<Vec<u8>, CustodyError> {
    canonical::to_canonical(header).map_err(malformed())
}

fn malformed() -> impl FnOnce(canonical::CanonicalError) -> CustodyError {
    CustodyError::malformed(Path::new(DOCUMENT))
}
