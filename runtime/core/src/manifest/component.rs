//! A component file as it was read: in form, and not yet to be believed.

use super::refusal::Refusal;
use super::section::{self, ComponentError};
use super::statement::ManifestStatement;
use super::{AgentManifest, imports};
use crate::envelope::Envelope;
use crate::id::{Did, Digest};

/// A component file, divided into the component and its signature. Neither is believed before
/// [`UnverifiedComponent::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedComponent {
    /// The component's bytes alone, without the signature.
    bytes: Vec<u8>,
    /// Of these bytes, made once.
    digest: Digest,
    envelope: Option<Envelope>,
}

impl UnverifiedComponent {
    /// Divides the bytes of one read of the file, whose signature is inside, or beside it in `detached`.
    ///
    /// An unsigned component can be looked at, and does not verify.
    ///
    /// # Errors
    /// [`ComponentError`] for a file that is no component, and a signature that is malformed or out of place.
    pub fn read(mut bytes: Vec<u8>, detached: Option<&[u8]>) -> Result<Self, ComponentError> {
        let frame = section::divide(&bytes)?;
        let embedded = frame.envelope.and_then(|range| bytes.get(range));
        let envelope = match (embedded, detached) {
            (Some(_), Some(_)) => return Err(ComponentError::EmbeddedAndDetached),
            (Some(envelope), None) | (None, Some(envelope)) => Some(Envelope::parse(envelope)?),
            (None, None) => None,
        };
        bytes.truncate(frame.component);
        Ok(Self { digest: Digest::of(&bytes), bytes, envelope })
    }

    /// The component without its signature.
    #[must_use]
    pub fn component_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of the component without its signature.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether there is a signature, of whomever and of whatever worth.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.envelope.is_some()
    }

    /// What the component imports, by name.
    ///
    /// # Errors
    /// [`ComponentError::Imports`].
    pub fn imports(&self) -> Result<Vec<String>, ComponentError> {
        imports::imports(&self.bytes)
    }

    /// The manifest as the file claims it, for display.
    ///
    /// # Errors
    /// [`Refusal::Unsigned`] or [`Refusal::Manifest`].
    pub fn unverified_manifest(&self) -> Result<AgentManifest, Refusal> {
        let envelope = self.envelope.as_ref().ok_or(Refusal::Unsigned)?;
        Ok(ManifestStatement::from_payload(envelope.unverified_payload())?.manifest)
    }

    /// Who is said to have signed, for display.
    #[must_use]
    pub fn unverified_signers(&self) -> Vec<Did> {
        let hints = self.envelope.iter().flat_map(Envelope::key_hints);
        hints.filter_map(|hint| hint.parse().ok()).collect()
    }

    /// The envelope as the file carries it, for adding a signature.
    #[must_use]
    pub fn unverified_envelope(&self) -> Option<&Envelope> {
        self.envelope.as_ref()
    }

    /// The bytes, their digest, and the signature.
    pub(super) fn into_parts(self) -> (Vec<u8>, Digest, Option<Envelope>) {
        (self.bytes, self.digest, self.envelope)
    }
}
