//! Why a component does not run: what was refused, why, and the command that would change it.

use semver::Version;

use super::{ComponentError, ManifestError};
use crate::clock::Timestamp;
use crate::envelope::EnvelopeError;
use crate::id::{Did, Digest, Name};
use crate::trust::Revocation;

/// Why a component was refused. Each displays as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The file is no component, or its signature is out of place.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// It has no signature.
    #[error("the component is not signed")]
    Unsigned,
    /// A signature names no key by its identifier, so the file is not in its one form.
    #[error("the signature is refused: it names its signer as `{hint}`, which is not a canonical did:key")]
    KeyHint {
        /// What stands there, cut to a displayable length.
        hint: String,
    },
    /// Nobody who signed is trusted here.
    #[error("the component is signed by {}, and no operator trusts that key", listed(.signers))]
    UntrustedSigners {
        /// Who is said to have signed.
        signers: Vec<Did>,
    },
    /// The author's key, or that of the only signer, was revoked.
    #[error("the component is signed by {key}, which was revoked on {}: {}", .revocation.at, .revocation.reason)]
    KeyRevoked {
        /// The key.
        key: Did,
        /// When and why.
        revocation: Revocation,
    },
    /// No trusted key made any of the signatures.
    #[error("the signature does not verify: {0}")]
    Signature(EnvelopeError),
    /// What was signed is no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The signed statement is about another component.
    #[error(
        "the component was altered or the signature is another's: it has {found}, and {signed} was signed"
    )]
    Digest {
        /// The digest that was signed.
        signed: Digest,
        /// The digest of the component.
        found: Digest,
    },
    /// The author that the manifest names has not signed it.
    #[error("the manifest names {author} as its author, who is not one of its trusted signers")]
    AuthorDidNotSign {
        /// Whom the manifest names.
        author: Did,
    },
    /// Too few different trusted authors have signed for any level.
    #[error("the component has {valid} trusted signatures, and the level external requires {required}")]
    Threshold {
        /// How many different trusted authors have signed.
        valid: usize,
        /// How many the lowest level requires.
        required: usize,
    },
    /// The operators revoked this very component.
    #[error("{component} was revoked on {}: {}", .revocation.at, .revocation.reason)]
    ComponentRevoked {
        /// The component.
        component: Digest,
        /// When and why.
        revocation: Revocation,
    },
    /// Its time has not come.
    #[error("the component may not run before {not_before}, and it is {now}")]
    NotYetValid {
        /// Its first instant.
        not_before: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// Its time is over.
    #[error("the component's signature expired on {expires}, and it is {now}")]
    Expired {
        /// Its end.
        expires: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// A later version has run here.
    #[error("{name} {version} is older than {highest}, which has run here")]
    RolledBack {
        /// The agent.
        name: Name,
        /// The component's version.
        version: Version,
        /// The highest version that has run here.
        highest: Version,
    },
}

impl Refusal {
    /// The command that would change it, where there is one.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Component(error) => error.remedy(),
            Self::UntrustedSigners { signers } => {
                signers.first().map(|signer| format!("kos trust add {signer} --level external"))
            }
            Self::AuthorDidNotSign { author } => Some(format!("kos trust explain {author}")),
            Self::Unsigned
            | Self::KeyHint { .. }
            | Self::Signature(_)
            | Self::Manifest(_)
            | Self::Digest { .. }
            | Self::Expired { .. } => Some("kos sign AGENT.wasm   (by its author)".to_owned()),
            Self::Threshold { .. } => {
                Some("kos sign AGENT.wasm --key NAME   (by further trusted authors)".to_owned())
            }
            Self::KeyRevoked { .. } => {
                Some("kos sign AGENT.wasm --key NAME   (with the author's new key)".to_owned())
            }
            Self::RolledBack { name, highest, .. } => {
                Some(format!("use {name} {highest} or newer, or allow the rollback in its grant"))
            }
            Self::ComponentRevoked { .. } | Self::NotYetValid { .. } => None,
        }
    }

    /// The refusal's own word, for the log and for machines.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Component(_) => "not_a_component",
            Self::Unsigned => "unsigned",
            Self::KeyHint { .. } | Self::Signature(_) => "bad_signature",
            Self::UntrustedSigners { .. } => "untrusted",
            Self::KeyRevoked { .. } => "key_revoked",
            Self::Manifest(_) => "bad_manifest",
            Self::Digest { .. } => "altered",
            Self::AuthorDidNotSign { .. } => "author_did_not_sign",
            Self::Threshold { .. } => "too_few_signatures",
            Self::ComponentRevoked { .. } => "component_revoked",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::RolledBack { .. } => "rolled_back",
        }
    }
}

fn listed(signers: &[Did]) -> String {
    let texts: Vec<String> = signers.iter().map(ToString::to_string).collect();
    texts.join(" and ")
}
