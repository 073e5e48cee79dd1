//! What names a message: its identifier, the two parties, its time.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MESSAGE_TYPE;
use super::error::ContentError;
use crate::canonical;
use crate::clock::Timestamp;
use crate::id::Did;

/// Random, so that no two senders, nor one after a restart, choose the same by chance.
pub(super) const ID_BYTES: usize = 16;
/// As many as the identifier has.
pub(super) const NONCE_BYTES: usize = 16;

/// A message's identifier, which its sender chose at random: 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; ID_BYTES]);

impl MessageId {
    /// The identifier with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }
}

hex_as_text!(MessageId, ContentError, ContentError::id);

/// Everything of a message but what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub(super) id: MessageId,
    pub(super) from: Did,
    pub(super) to: Did,
    pub(super) timestamp: Timestamp,
    pub(super) nonce: [u8; NONCE_BYTES],
}

impl Header {
    /// The message's identifier.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Who signed it.
    #[must_use]
    pub fn from(&self) -> &Did {
        &self.from
    }

    /// For whom it is.
    #[must_use]
    pub fn to(&self) -> &Did {
        &self.to
    }

    /// When its sender says it was sent.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// HPKE's `info`: what it is for, and between whom. All parts have a fixed length.
    pub(super) fn info(&self) -> Vec<u8> {
        [MESSAGE_TYPE.as_bytes(), self.from.public_key(), self.to.public_key()].concat()
    }

    /// HPKE's `aad`: the canonical header.
    pub(super) fn associated(&self) -> Vec<u8> {
        let Self { id, from, to, timestamp, nonce } = self;
        let (nonce, timestamp) = (canonical::base64_encode(nonce), timestamp.as_millis());
        format!(r#"{{"from":"{from}","id":"{id}","nonce":"{nonce}","timestamp":{timestamp},"to":"{to}"}}"#)
            .into_bytes()
    }
}
