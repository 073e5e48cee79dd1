//! The handle of one key in custody: all of custody that the code which serves a guest ever holds (I6).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::CustodyError;
use super::key_name::KeyName;
use super::request::{Answer, Custodian, PublicKeys, Request, Signature};
use crate::crypto::{SignError, Signer};
use crate::id::Did;

/// One key: it signs and opens with this key and can ask for nothing else.
#[derive(Clone)]
pub struct KeyHandle {
    custodian: Arc<dyn Custodian>,
    public: PublicKeys,
}

impl KeyHandle {
    /// The handle of a key that is there.
    ///
    /// # Errors
    /// [`CustodyError::NoSuchKey`], or what is wrong with the key's file.
    #[expect(clippy::needless_pass_by_value, reason = "a handle is made for a name, which it then is")]
    pub fn new(custodian: Arc<dyn Custodian>, key: KeyName) -> Result<Self, CustodyError> {
        let public = custodian.public(&key)?;
        Ok(Self { custodian, public })
    }

    /// The key's public half.
    #[must_use]
    pub fn public(&self) -> &PublicKeys {
        &self.public
    }

    /// Opens what was sealed to this key (HPKE).
    ///
    /// # Errors
    /// [`CustodyError::Sealed`] for what is not for this key or was altered.
    pub fn open_sealed(
        &self,
        info: &[u8],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let request = Request::Open {
            key: self.public.key.clone(),
            did: self.public.did,
            info: info.to_vec(),
            associated: associated.to_vec(),
            sealed: sealed.to_vec(),
        };
        let Answer::Opened { plaintext } = self.custodian.ask(request)? else {
            return Err(CustodyError::Answer);
        };
        Ok(plaintext.into_inner())
    }

    fn failed(&self, error: &CustodyError) -> SignError {
        SignError { signer: self.public.did, cause: error.to_string() }
    }
}

impl Signer for KeyHandle {
    fn did(&self) -> Did {
        self.public.did
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let request =
            Request::Sign { key: self.public.key.clone(), did: self.public.did, message: message.to_vec() };
        match self.custodian.ask(request) {
            Ok(Answer::Signature { signature: Signature(bytes) }) => Ok(bytes),
            Ok(_) => Err(self.failed(&CustodyError::Answer)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// In one round trip.
    fn sign_many(&self, messages: Vec<Vec<u8>>) -> Result<Vec<[u8; 64]>, SignError> {
        let count = messages.len();
        let request = Request::SignMany { key: self.public.key.clone(), did: self.public.did, messages };
        match self.custodian.ask(request) {
            Ok(Answer::Signatures { signatures }) if signatures.len() == count => {
                Ok(signatures.into_iter().map(|Signature(bytes)| bytes).collect())
            }
            Ok(_) => Err(self.failed(&CustodyError::Answer)),
            Err(error) => Err(self.failed(&error)),
        }
    }
}

impl std::fmt::Debug for KeyHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "KeyHandle of {}", self.public.key)
    }
}
