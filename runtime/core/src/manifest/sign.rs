//! Signing a component: what an author does once per version.

use super::section::{self, ComponentError};
use super::statement::{ManifestStatement, STATEMENT_PAYLOAD_TYPE};
use super::{AgentManifest, ManifestError};
use crate::crypto::Signer;
use crate::envelope::{Envelope, EnvelopeError};
use crate::id::{Did, Digest};

/// Why a component was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignComponentError {
    /// The file is no component.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The component does not validate, so no host could run it.
    #[error("the component is invalid: {cause}")]
    Invalid {
        /// What is wrong, and where.
        cause: String,
    },
    /// The manifest is out of form.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The author that the manifest names is not among the signers.
    #[error("the manifest names {author} as its author, who is not one of the signers")]
    AuthorDoesNotSign {
        /// Whom the manifest names.
        author: Did,
    },
    /// A signer could not sign, or there are too many.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// Signs a component and its manifest by each of `signers`, the manifest's author among them. A signature that the file
/// has already is not part of what is signed.
///
/// # Errors
/// [`SignComponentError`], each variant with its cause.
pub fn sign(
    file: &[u8],
    manifest: &AgentManifest,
    signers: &[&dyn Signer],
) -> Result<Envelope, SignComponentError> {
    let component = section::strip(file)?;
    wasmparser::Validator::new()
        .validate_all(component)
        .map_err(|error| SignComponentError::Invalid { cause: error.to_string() })?;
    if !signers.iter().any(|signer| signer.did() == manifest.author) {
        return Err(SignComponentError::AuthorDoesNotSign { author: manifest.author });
    }
    let statement = ManifestStatement { digest: Digest::of(component), manifest: manifest.clone() };
    Ok(Envelope::sign(STATEMENT_PAYLOAD_TYPE, statement.to_payload()?, signers)?)
}
