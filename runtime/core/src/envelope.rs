//! The one envelope for everything that is signed: DSSE v1.0.2.
//!
//! In scope: signing, strict parsing, counting signatures by distinct keys. Out of scope: whose keys count; that is
//! the caller's, from the operator's own files and never from the envelope (I1).

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError, base64_bytes};
use crate::crypto::{SignError, Signer, pae};
use crate::id::Did;

/// Room for a component's manifest or a trust store with thousands of keys.
pub const ENVELOPE_MAX: usize = 4 << 20;
/// More signers than any threshold needs; each costs a verification per key.
const SIGNATURES_MAX: usize = 16;
/// A media type is short; a longer one is no type of ours.
const PAYLOAD_TYPE_MAX: usize = 128;

/// Why an envelope is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not a DSSE envelope in strict form.
    #[error("the envelope is malformed: {0}")]
    Malformed(#[from] CanonicalError),
    /// Signed for another use.
    #[error("the envelope holds `{found}`, not `{expected}`")]
    PayloadType {
        /// What was asked for.
        expected: String,
        /// What it says it holds.
        found: String,
    },
    /// No signatures, or more than are looked at.
    #[error("the envelope has {count} signatures; between 1 and {SIGNATURES_MAX} are accepted")]
    SignatureCount {
        /// How many there are.
        count: usize,
    },
    /// Too few of the keys that count have signed.
    #[error("{valid} of the {threshold} required signatures verify against the {known} keys that count")]
    Threshold {
        /// Distinct known keys with a valid signature.
        valid: usize,
        /// Distinct known keys that must have signed.
        threshold: usize,
        /// How many keys count at all.
        known: usize,
    },
    /// A signer could not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// An envelope as it travels: nothing in it is believed before [`Envelope::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Envelope {
    #[serde(with = "base64_bytes")]
    payload: Vec<u8>,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    keyid: String,
    #[serde(with = "base64_bytes")]
    sig: [u8; 64],
}

impl Envelope {
    /// Signs `payload` for the use that `payload_type` names, by each of `signers`.
    ///
    /// # Errors
    /// [`EnvelopeError::Sign`], or [`EnvelopeError::SignatureCount`] for none or too many signers.
    pub fn sign(
        payload_type: &str,
        payload: Vec<u8>,
        signers: &[&dyn Signer],
    ) -> Result<Self, EnvelopeError> {
        let mut envelope = Self { payload, payload_type: payload_type.to_owned(), signatures: Vec::new() };
        for signer in signers {
            envelope.add_signature(*signer)?;
        }
        envelope.checked()
    }

    /// Adds one more signature over the same payload; an earlier one by the same signer is replaced.
    ///
    /// # Errors
    /// [`EnvelopeError::Sign`].
    pub fn add_signature(&mut self, signer: &dyn Signer) -> Result<(), EnvelopeError> {
        let keyid = signer.did().to_string();
        let sig = signer.sign(&pae(&self.payload_type, &self.payload))?;
        self.signatures.retain(|signature| signature.keyid != keyid);
        self.signatures.push(EnvelopeSignature { keyid, sig });
        Ok(())
    }

    /// Reads an envelope in its strict form. What it says is not yet to be believed.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] or [`EnvelopeError::SignatureCount`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        canonical::from_canonical::<Self>(bytes, ENVELOPE_MAX)?.checked()
    }

    /// The envelope's canonical bytes, as [`Envelope::parse`] reads them.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`]; not seen with text and bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        Ok(canonical::to_canonical(self)?)
    }

    /// What the envelope claims to hold, for display before or without verification.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// The use that the envelope claims.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// Who is said to have signed; a hint, which decides nothing.
    pub fn key_hints(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.keyid.as_str())
    }

    /// The payload, if at least `threshold` distinct ones of `keys` have signed it for the use `payload_type`.
    ///
    /// # Errors
    /// [`EnvelopeError::PayloadType`] or [`EnvelopeError::Threshold`].
    pub fn verify(
        self,
        payload_type: &str,
        keys: impl IntoIterator<Item = Did>,
        threshold: NonZeroUsize,
    ) -> Result<VerifiedPayload, EnvelopeError> {
        if self.payload_type != payload_type {
            let found = self.payload_type.chars().take(PAYLOAD_TYPE_MAX).collect();
            return Err(EnvelopeError::PayloadType { expected: payload_type.to_owned(), found });
        }
        let mut keys: Vec<Did> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let message = pae(&self.payload_type, &self.payload);
        let signers: Vec<Did> = keys.iter().copied().filter(|key| self.is_signed_by(key, &message)).collect();
        if signers.len() < threshold.get() {
            return Err(EnvelopeError::Threshold {
                valid: signers.len(),
                threshold: threshold.get(),
                known: keys.len(),
            });
        }
        Ok(VerifiedPayload { payload: self.payload, signers })
    }

    /// Whether any signature is `key`'s. One that names a key is tried for that key alone, and one that names none
    /// for every key, so that a large trust store does not cost a verification per signature and key.
    fn is_signed_by(&self, key: &Did, message: &[u8]) -> bool {
        let text = key.to_string();
        self.signatures
            .iter()
            .filter(|signature| signature.keyid == text || signature.keyid.parse::<Did>().is_err())
            .any(|signature| key.verify(message, &signature.sig))
    }

    fn checked(self) -> Result<Self, EnvelopeError> {
        match self.signatures.len() {
            1..=SIGNATURES_MAX => Ok(self),
            count => Err(EnvelopeError::SignatureCount { count }),
        }
    }
}

/// Bytes that enough of the right keys have signed: exactly those that were verified.
///
/// Only [`Envelope::verify`] makes one.
///
/// ```compile_fail
/// let forged = kos_core::envelope::VerifiedPayload { payload: vec![], signers: vec![] };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPayload {
    payload: Vec<u8>,
    signers: Vec<Did>,
}

impl VerifiedPayload {
    /// The signed bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Which of the keys that count have signed, each once, in order.
    #[must_use]
    pub fn signers(&self) -> &[Did] {
        &self.signers
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    const TYPE: &str = "application/vnd.kos.test.v1+json";
    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn signed_by(signers: &[&dyn Signer]) -> Envelope {
        Envelope::sign(TYPE, b"payload".to_vec(), signers).unwrap()
    }

    fn two() -> NonZeroUsize {
        NonZeroUsize::new(2).unwrap()
    }

    #[test]
    fn an_envelope_is_read_back_and_verifies() {
        let envelope = Envelope::parse(&signed_by(&[&key(1)]).to_bytes().unwrap()).unwrap();
        let verified = envelope.verify(TYPE, [key(1).did(), key(2).did()], ONE).unwrap();
        assert_eq!(verified.payload(), b"payload");
        assert_eq!(verified.signers(), [key(1).did()]);
    }

    #[test]
    fn a_key_that_the_caller_does_not_name_counts_for_nothing() {
        let envelope = signed_by(&[&key(1)]);
        assert!(matches!(
            envelope.clone().verify(TYPE, [key(2).did()], ONE),
            Err(EnvelopeError::Threshold { valid: 0, threshold: 1, known: 1 })
        ));
        assert!(envelope.verify(TYPE, [], ONE).is_err(), "no keys means nobody");
    }

    #[test]
    fn one_key_twice_counts_once() {
        let mut envelope = signed_by(&[&key(1)]);
        envelope.signatures.push(envelope.signatures[0].clone());
        envelope.signatures[1].keyid = "another".to_owned();
        let keys = [key(1).did(), key(1).did(), key(2).did()];
        assert!(matches!(
            envelope.verify(TYPE, keys, two()),
            Err(EnvelopeError::Threshold { valid: 1, threshold: 2, known: 2 })
        ));
    }

    #[test]
    fn two_of_three_keys_are_enough_for_two() {
        let envelope = signed_by(&[&key(1), &key(3)]);
        let keys = [key(1).did(), key(2).did(), key(3).did()];
        assert_eq!(envelope.verify(TYPE, keys, two()).unwrap().signers().len(), 2);
    }

    #[test]
    fn a_signature_for_one_use_is_none_for_another() {
        let mut envelope = signed_by(&[&key(1)]);
        assert!(matches!(
            envelope.clone().verify("application/other", [key(1).did()], ONE),
            Err(EnvelopeError::PayloadType { .. })
        ));
        envelope.payload_type = "application/other".to_owned();
        assert!(envelope.verify("application/other", [key(1).did()], ONE).is_err());
    }

    #[test]
    fn a_wrong_hint_does_not_decide() {
        let mut envelope = signed_by(&[&key(1)]);
        envelope.signatures[0].keyid = String::new();
        assert!(envelope.clone().verify(TYPE, [key(1).did()], ONE).is_ok());
        envelope.signatures[0].keyid = key(2).did().to_string();
        assert!(envelope.verify(TYPE, [key(2).did()], ONE).is_err());
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bytes = signed_by(&[&key(1)]).to_bytes().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let accepted = Envelope::parse(&altered)
                .and_then(|envelope| envelope.verify(TYPE, [key(1).did()], ONE))
                .is_ok_and(|verified| {
                    verified.payload() != b"payload" || verified.signers() != [key(1).did()]
                });
            assert!(!accepted, "bit {bit}");
        }
    }

    #[test]
    fn none_and_too_many_signatures_are_refused() {
        assert!(matches!(
            Envelope::sign(TYPE, Vec::new(), &[]),
            Err(EnvelopeError::SignatureCount { count: 0 })
        ));
        let keys: Vec<SecretKey> = (1..=17).map(key).collect();
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
        assert!(matches!(
            Envelope::sign(TYPE, Vec::new(), &signers),
            Err(EnvelopeError::SignatureCount { count: 17 })
        ));
    }

    #[test]
    fn unknown_fields_and_other_writings_are_refused() {
        let text = String::from_utf8(signed_by(&[&key(1)]).to_bytes().unwrap()).unwrap();
        for altered in [
            text.replace("{\"payload\"", "{\"extra\":1,\"payload\""),
            text.replace("\"payload\":", "\"payload\": "),
            text.replace("\"keyid\"", "\"keyId\""),
            format!("{text}\n"),
            text.replacen("cGF5bG9hZA==", "cGF5bG9hZB==", 1),
        ] {
            assert_ne!(altered, text);
            assert!(
                matches!(Envelope::parse(altered.as_bytes()), Err(EnvelopeError::Malformed(_))),
                "{altered}"
            );
        }
    }
}
