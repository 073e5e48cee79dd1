//! Key rotation: the old key states that the new one follows it, so that whoever knows the old can know the new.
//!
//! In scope: the statement, signed by both keys, and where the old key is kept. Out of scope: who then trusts the new
//! key, which is each verifier's own decision (I1).

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::CustodyError;
use super::keyring::KeyPair;
use crate::canonical::{self, CanonicalError};
use crate::clock::Timestamp;
use crate::envelope::{Envelope, EnvelopeError};
use crate::id::{AgreementKey, Did, Digest};

/// What a rotation statement is signed as.
pub const ROTATION_TYPE: &str = "application/vnd.kos.key-rotation.v1+json";
/// A statement has about 300 bytes.
const STATEMENT_MAX: usize = 4 * 1024;
/// Old and new: the old says who follows, the new that it is held.
const SIGNERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
/// 64 bits of the old identifier tell the old keys of one name apart.
const SUFFIX: usize = 16;

/// That one key follows another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rotation {
    /// The key that is given up.
    pub previous: Did,
    /// The key that follows it.
    pub next: Did,
    /// Where messages are sealed to from now on.
    pub next_agreement_key: AgreementKey,
    /// When the new key was made.
    pub rotated: Timestamp,
}

impl Rotation {
    /// The rotation that both of its keys have signed.
    ///
    /// # Errors
    /// [`EnvelopeError`] for a statement that is malformed, or that one of the two has not signed.
    pub fn verify(statement: Envelope) -> Result<Self, EnvelopeError> {
        let claimed: Self = canonical::from_canonical(statement.unverified_payload(), STATEMENT_MAX)?;
        if claimed.previous == claimed.next {
            let cause = "a key does not follow itself".to_owned();
            return Err(CanonicalError::Malformed { cause }.into());
        }
        statement.verify(ROTATION_TYPE, [claimed.previous, claimed.next], SIGNERS)?;
        Ok(claimed)
    }
}

/// The statement that `next` follows `previous`.
pub(super) fn state(previous: &KeyPair, next: &KeyPair) -> Result<Envelope, CustodyError> {
    let rotation = Rotation {
        previous: previous.public.did,
        next: next.public.did,
        next_agreement_key: next.public.agreement_key,
        rotated: next.public.created,
    };
    let payload =
        canonical::to_canonical(&rotation).map_err(CustodyError::malformed(Path::new("rotation")))?;
    Envelope::sign(ROTATION_TYPE, payload, &[previous, next])
        .map_err(|error| CustodyError::Storage { cause: error.to_string() })
}

/// Where rotation keeps an old key and the statement that ended it.
pub(super) struct Kept {
    pub(super) key: PathBuf,
    pub(super) statement: PathBuf,
}

/// Beside `path`, under a name that is no key's.
pub(super) fn kept_beside(path: &Path, previous: &Did) -> Kept {
    let digest = Digest::of(previous.public_key()).to_hex();
    let suffix: String = digest.chars().take(SUFFIX).collect();
    Kept {
        key: path.with_extension(format!("{suffix}.old")),
        statement: path.with_extension(format!("{suffix}.rotation")),
    }
}

/// All that rotations have kept beside `path`.
pub(super) fn all_kept_beside(path: &Path) -> Result<Vec<PathBuf>, CustodyError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| CustodyError::Storage {
        cause: format!("cannot list {}: {error}", directory.display()),
    };
    let prefix = format!("{}.", path.file_stem().unwrap_or_default().to_string_lossy());
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&prefix) && (name.ends_with(".old") || name.ends_with(".rotation")) {
            kept.push(path);
        }
    }
    Ok(kept)
}
