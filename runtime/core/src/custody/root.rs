//! The root key: one random key, from which everything that custody protects is derived or under which it is wrapped.
//!
//! In scope: its life in memory and the keys derived from it. Out of scope: how it is kept ([`super::slot`]).

use zeroize::Zeroizing;

use super::locked::LockedKey;
use super::request::MacPurpose;
use super::wrap::{self, Salt};
use crate::crypto::{self, CryptoError};

/// 32 random bytes in locked memory, so that a move copies no secret; erased when dropped. Not printable.
pub(super) struct RootKey(LockedKey<32>);

impl RootKey {
    /// A new random root key.
    pub(super) fn generate() -> Result<Self, CryptoError> {
        let bytes = Zeroizing::new(crypto::random::<32>()?);
        Ok(Self(LockedKey::copied(&bytes)))
    }

    /// The root key with these bytes, if they are 32.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        <&[u8; 32]>::try_from(bytes).ok().map(|bytes| Self(LockedKey::copied(bytes)))
    }

    /// The bytes, for the slots that wrap them.
    pub(super) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// Wraps the private half of a key, bound to its public half.
    pub(super) fn wrap_key(
        &self,
        salt: &Salt,
        associated: &[u8],
        secret: &[u8],
    ) -> Result<wrap::Wrapped, CryptoError> {
        wrap::wrap(self.expose(), salt, "kos/key/v1", associated, secret)
    }

    /// Opens what [`Self::wrap_key`] made.
    pub(super) fn unwrap_key(
        &self,
        salt: &Salt,
        associated: &[u8],
        wrapped: &wrap::Wrapped,
    ) -> Result<Zeroizing<Vec<u8>>, wrap::UnwrapError> {
        wrap::unwrap(self.expose(), salt, "kos/key/v1", associated, wrapped)
    }

    /// The key that authenticates the slots' file.
    pub(super) fn slots_key(&self) -> Zeroizing<[u8; 32]> {
        wrap::derive(self.expose(), None, "kos/slots-mac/v1")
    }

    /// The key that authenticates things of the host's own.
    pub(super) fn mac_key(&self, purpose: MacPurpose) -> LockedKey<32> {
        match purpose {
            MacPurpose::Artifact => {
                LockedKey::copied(&wrap::derive(self.expose(), None, "kos/mac/artifact/v1"))
            }
        }
    }
}
