//! The manifest on its way: an in-toto Statement v1 about one component, as canonical JSON.
//!
//! Source: in-toto attestation framework, Statement v1. One meaning has one byte form: the payload must be canonical
//! (RFC 8785), so that a manifest has one digest.

use serde::{Deserialize, Serialize};

use super::{AgentManifest, ManifestError};
use crate::canonical;
use crate::id::{Digest, Name};
use crate::line;

/// What an envelope that holds a statement says it holds.
pub const STATEMENT_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The statement's own type.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What the statement says about the component: an agent's manifest.
pub const PREDICATE_TYPE: &str = "https://kos.dev/agent-manifest/v1";
/// Every capability with the most scopes of ordinary length.
const STATEMENT_MAX: usize = 64 << 10;

/// A statement as it was read: in form, and not yet compared with any component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ManifestStatement {
    pub(super) digest: Digest,
    pub(super) manifest: AgentManifest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: AgentManifest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: Name,
    digest: DigestSet,
}

/// in-toto writes a digest as the algorithm's name and bare hex digits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestSet {
    #[serde(with = "bare_hex")]
    sha256: Digest,
}

impl ManifestStatement {
    /// The statement's canonical bytes.
    pub(super) fn to_payload(&self) -> Result<Vec<u8>, ManifestError> {
        self.manifest.check()?;
        let payload = canonical::to_canonical(&Statement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![Subject {
                name: self.manifest.name.clone(),
                digest: DigestSet { sha256: self.digest },
            }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: self.manifest.clone(),
        })?;
        if payload.len() > STATEMENT_MAX {
            return Err(
                canonical::CanonicalError::TooLarge { size: payload.len(), max: STATEMENT_MAX }.into()
            );
        }
        Ok(payload)
    }

    /// Reads a statement in its one form.
    pub(super) fn from_payload(payload: &[u8]) -> Result<Self, ManifestError> {
        let statement: Statement = canonical::from_canonical(payload, STATEMENT_MAX)?;
        check_kind("_type", &statement.kind, STATEMENT_TYPE)?;
        check_kind("predicateType", &statement.predicate_type, PREDICATE_TYPE)?;
        let count = statement.subject.len();
        let [subject] = <[Subject; 1]>::try_from(statement.subject)
            .map_err(|_: Vec<Subject>| ManifestError::Subjects { count })?;
        let manifest = statement.predicate;
        manifest.check()?;
        if subject.name != manifest.name {
            return Err(ManifestError::SubjectName { subject: subject.name, name: manifest.name });
        }
        Ok(Self { digest: subject.digest.sha256, manifest })
    }
}

fn check_kind(field: &'static str, found: &str, expected: &str) -> Result<(), ManifestError> {
    if found == expected {
        return Ok(());
    }
    Err(ManifestError::Kind { field, found: line::shown(found) })
}

/// Serde adapter: a digest as bare hex digits.
mod bare_hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::id::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let digits = String::deserialize(deserializer)?;
        format!("sha256:{digits}").parse().map_err(de::Error::custom)
    }
}
