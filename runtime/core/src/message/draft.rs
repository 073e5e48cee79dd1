//! A message before it is signed.

use super::MESSAGE_TYPE;
use super::content::Content;
use super::error::DraftError;
use super::format::{Body, Unsigned};
use super::header::{Header, ID_BYTES, MessageId, NONCE_BYTES};
use super::verify::SignedMessage;
use crate::clock::Timestamp;
use crate::crypto::{self, Signer};
use crate::id::{AgreementKey, Did};

/// A message that nobody has signed yet. It is signed as it is within one process, and sealed before it leaves it.
pub struct Draft<'a> {
    signer: &'a dyn Signer,
    header: Header,
    content: Content,
}

impl<'a> Draft<'a> {
    /// A message from the holder of `signer` to `to`, sent at `now`. Its identifier and nonce are the 32 bytes of
    /// `randomness`, which is [`crypto::random`]'s and used for one message only.
    #[must_use]
    pub fn new(
        signer: &'a dyn Signer,
        to: Did,
        content: Content,
        now: Timestamp,
        randomness: &[u8; ID_BYTES + NONCE_BYTES],
    ) -> Self {
        let (mut id, mut nonce) = ([0; ID_BYTES], [0; NONCE_BYTES]);
        let (first, second) = randomness.split_at(ID_BYTES);
        id.copy_from_slice(first);
        nonce.copy_from_slice(second);
        let header = Header { id: MessageId::from_bytes(id), from: signer.did(), to, timestamp: now, nonce };
        Self { signer, header, content }
    }

    /// The message's identifier, by which a reply will name it.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.header.id
    }

    /// Signs the message as it is.
    ///
    /// # Errors
    /// [`DraftError::Sign`] when the key cannot be used now.
    pub fn signed(self) -> Result<SignedMessage, DraftError> {
        let body = Body::Plain(self.content.to_bytes()?);
        self.sign(body)
    }

    /// Seals the message to its recipient's agreement key, whose attestation the caller has checked, and signs it.
    ///
    /// # Errors
    /// [`DraftError::Seal`] for a key that cannot be sealed to, and as [`Draft::signed`].
    pub fn sealed(self, recipient: &AgreementKey) -> Result<SignedMessage, DraftError> {
        let (info, associated) = (self.header.info(), self.header.associated());
        let sealed = crypto::seal(recipient, &info, &associated, &self.content.to_bytes()?)?;
        self.sign(Body::Sealed(sealed))
    }

    fn sign(self, body: Body) -> Result<SignedMessage, DraftError> {
        let unsigned = Unsigned::new(&self.header, &body);
        let signature = self.signer.sign(&crypto::pae(MESSAGE_TYPE, &unsigned.to_bytes()))?;
        Ok(SignedMessage::of_draft(self.header, body, unsigned.signed(&signature)))
    }
}
