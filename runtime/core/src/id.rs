//! Names that cannot be mistaken: identifiers of keys, agents and components, each with one canonical text form.
//!
//! Source: the did:key method (W3C CCG), RFC 8032 (Ed25519), RFC 7748 (X25519).
//! In scope: parsing, display, strict signature verification. Out of scope: private keys ([`crate::crypto`]).

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The multicodec prefix of an Ed25519 public key (0xed as a varint).
const ED25519_PREFIX: [u8; 2] = [0xed, 0x01];
/// The multicodec prefix of an X25519 public key (0xec as a varint).
const X25519_PREFIX: [u8; 2] = [0xec, 0x01];
/// `did:key:z` and at most 48 base58 characters for 34 bytes; longer text is refused before it is decoded.
const DID_TEXT_MAX: usize = 64;
/// Long enough for a telling name, short enough for a file name with a suffix.
const NAME_MAX: usize = 64;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not `did:key:z…` of the expected key kind, or not in canonical form.
    #[error("`{text}` is not a canonical did:key of an {kind} key")]
    Did {
        /// What was given, cut to a displayable length.
        text: String,
        /// The key kind that was expected.
        kind: &'static str,
    },
    /// The bytes are no point of the curve, or a point of small order that verifies anything.
    #[error("the public key is not a valid, strong Ed25519 key")]
    WeakKey,
    /// Not a name.
    #[error("`{text}` is not a name: 1 to {NAME_MAX} of a-z, 0-9 and inner `-`, beginning with a letter")]
    Name {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// Not `did:key:…#name`.
    #[error("`{text}` is not an agent reference (`did:key:…#name`)")]
    AgentRef {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// Not `sha256:` and 64 lower-case hex digits.
    #[error("`{text}` is not a digest (`sha256:` and 64 lower-case hex digits)")]
    Digest {
        /// What was given, cut to a displayable length.
        text: String,
    },
    /// Not a trust level.
    #[error("`{text}` is not a trust level (trusted, partner or external)")]
    TrustLevel {
        /// What was given, cut to a displayable length.
        text: String,
    },
}

/// Implements serde for a type whose one form is its text.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Text of an identifier that is so many bytes: lower-case hex digits, exactly; anything else is the error that `$refused` makes
/// of it.
macro_rules! hex_as_text {
    ($type:ident, $error:ty, $refused:expr) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, formatter)
            }
        }

        impl std::str::FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let mut id = Self(Default::default());
                match hex::decode_to_slice(text, &mut id.0) {
                    Ok(()) if hex::encode(id.0) == text => Ok(id),
                    _ => Err($refused(text)),
                }
            }
        }

        serde_as_text!($type);
    };
}

/// The identifier of whoever holds an Ed25519 key: `did:key:z6Mk…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did([u8; 32]);

impl Did {
    /// The identifier of an Ed25519 public key (32 bytes, RFC 8032 encoding).
    ///
    /// # Errors
    /// [`IdError::WeakKey`] when the bytes are not a point of the curve or are of small order.
    pub fn from_public_key(bytes: &[u8; 32]) -> Result<Self, IdError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| IdError::WeakKey)?;
        if key.is_weak() {
            return Err(IdError::WeakKey);
        }
        Ok(Self(*bytes))
    }

    /// The identifier of a private key's holder. A key made from a seed is never of small order.
    pub(crate) fn of_verifying(key: &VerifyingKey) -> Self {
        Self(key.to_bytes())
    }

    /// The Ed25519 public key (32 bytes).
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` over `message` was made by the holder, by the strict rules of RFC 8032 (canonical
    /// encodings, no small-order components).
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }
}

impl fmt::Display for Did {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&did_text(ED25519_PREFIX, &self.0))
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Did {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = parse_did(text, ED25519_PREFIX)
            .ok_or_else(|| IdError::Did { text: shown(text), kind: "Ed25519" })?;
        Self::from_public_key(&bytes)
    }
}

serde_as_text!(Did);

/// An X25519 public key, to which messages are sealed: `did:key:z6LS…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgreementKey([u8; 32]);

impl AgreementKey {
    /// The key with this encoding (32 bytes, RFC 7748).
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's encoding (32 bytes).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for AgreementKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&did_text(X25519_PREFIX, &self.0))
    }
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for AgreementKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_did(text, X25519_PREFIX)
            .map(Self)
            .ok_or_else(|| IdError::Did { text: shown(text), kind: "X25519" })
    }
}

serde_as_text!(AgreementKey);

/// A short name that is safe in a file name: 1 to 64 of `a-z 0-9 -`, beginning with a letter, not ending in `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_name = text.len() <= NAME_MAX
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if is_name { Ok(Self(text.to_owned())) } else { Err(IdError::Name { text: shown(text) }) }
    }
}

serde_as_text!(Name);

/// An agent before and after it has keys: the name that its author gave it, `did:key:z6Mk…#name`.
///
/// Two authors who use the same name mean two agents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentRef {
    /// Who signs the agent's components.
    pub author: Did,
    /// What the author calls it.
    pub name: Name,
}

impl fmt::Display for AgentRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.author, self.name)
    }
}

impl FromStr for AgentRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (author, name) = text.split_once('#').ok_or_else(|| IdError::AgentRef { text: shown(text) })?;
        Ok(Self { author: author.parse()?, name: name.parse()? })
    }
}

serde_as_text!(AgentRef);

/// The SHA-256 digest of a component: `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest as 64 lower-case hex digits, without the algorithm.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = || IdError::Digest { text: shown(text) };
        let digits = text.strip_prefix("sha256:").ok_or_else(refused)?;
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refused())?;
        Ok(Self(bytes))
    }
}

serde_as_text!(Digest);

/// How far an author is trusted. Each level has a ceiling in the operator's trust store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustLevel {
    /// A stranger whose code may run in a small box.
    External,
    /// Somebody the operator works with.
    Partner,
    /// The operator's own.
    Trusted,
}

impl TrustLevel {
    /// Every level, from the least to the most trusted.
    pub const ALL: [Self; 3] = [Self::External, Self::Partner, Self::Trusted];

    /// The level's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Partner => "partner",
            Self::Trusted => "trusted",
        }
    }
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for TrustLevel {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| IdError::TrustLevel { text: shown(text) })
    }
}

serde_as_text!(TrustLevel);

fn did_text(prefix: [u8; 2], key: &[u8; 32]) -> String {
    let mut bytes = Vec::with_capacity(34);
    bytes.extend_from_slice(&prefix);
    bytes.extend_from_slice(key);
    format!("did:key:z{}", bs58::encode(bytes).into_string())
}

/// The key in `text`, if `text` is exactly the form that [`did_text`] writes.
fn parse_did(text: &str, prefix: [u8; 2]) -> Option<[u8; 32]> {
    if text.len() > DID_TEXT_MAX {
        return None;
    }
    let bytes = bs58::decode(text.strip_prefix("did:key:z")?).into_vec().ok()?;
    let key: [u8; 32] = bytes.strip_prefix(&prefix)?.try_into().ok()?;
    (did_text(prefix, &key) == text).then_some(key)
}

/// `text` cut so that an error stays one line whatever was given.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(80).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const RFC8032_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const RFC8032_DID: &str = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw";

    fn rfc8032_did() -> Did {
        let mut key = [0; 32];
        hex::decode_to_slice(RFC8032_KEY, &mut key).unwrap();
        Did::from_public_key(&key).unwrap()
    }

    #[test]
    fn the_rfc_8032_key_has_its_published_did_and_back() {
        assert_eq!(rfc8032_did().to_string(), RFC8032_DID);
        assert_eq!(RFC8032_DID.parse::<Did>().unwrap(), rfc8032_did());
    }

    #[test]
    fn the_rfc_8032_signature_verifies_and_an_altered_one_does_not() {
        let mut signature = [0; 64];
        hex::decode_to_slice(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            &mut signature,
        )
        .unwrap();
        assert!(rfc8032_did().verify(b"", &signature));
        assert!(!rfc8032_did().verify(b"x", &signature));
        signature[63] ^= 1;
        assert!(!rfc8032_did().verify(b"", &signature));
    }

    #[test]
    fn a_did_in_another_form_is_refused() {
        let padded = format!("did:key:z1{}", &RFC8032_DID[9..]);
        for text in [
            "",
            "did:key:",
            "did:key:z",
            "did:web:example.org",
            &RFC8032_DID[..RFC8032_DID.len() - 1],
            &format!("{RFC8032_DID}1"),
            &format!(" {RFC8032_DID}"),
            &RFC8032_DID.to_uppercase(),
            &padded,
            &"z".repeat(10_000),
            &AgreementKey::from_bytes([9; 32]).to_string(),
        ] {
            assert!(text.parse::<Did>().is_err(), "{text}");
        }
    }

    #[test]
    fn keys_of_small_order_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(Did::from_public_key(&identity), Err(IdError::WeakKey));
        assert_eq!(Did::from_public_key(&[0; 32]), Err(IdError::WeakKey));
    }

    #[test]
    fn an_agreement_key_is_written_as_z6ls() {
        let key = AgreementKey::from_bytes([9; 32]);
        assert!(key.to_string().starts_with("did:key:z6LS"));
        assert_eq!(key.to_string().parse::<AgreementKey>().unwrap(), key);
        assert!(RFC8032_DID.parse::<AgreementKey>().is_err());
    }

    #[test]
    fn names_that_could_leave_a_directory_are_refused() {
        for text in ["", "-a", "a-", "1a", "A", "a/b", "..", "a.b", "a\0", "é", &"a".repeat(65)] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        assert!("notary-2".parse::<Name>().is_ok());
        assert!("a".repeat(64).parse::<Name>().is_ok());
    }

    #[test]
    fn an_agent_reference_is_read_back() {
        let agent = AgentRef { author: rfc8032_did(), name: "notary".parse().unwrap() };
        assert_eq!(agent.to_string(), format!("{RFC8032_DID}#notary"));
        assert_eq!(agent.to_string().parse::<AgentRef>().unwrap(), agent);
        assert!(RFC8032_DID.parse::<AgentRef>().is_err());
        assert!(format!("{RFC8032_DID}#a#b").parse::<AgentRef>().is_err());
    }

    #[test]
    fn a_digest_has_one_form() {
        let digest = Digest::of(b"abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse::<Digest>().unwrap(), digest);
        assert!(text.to_uppercase().parse::<Digest>().is_err());
        assert!(text.replace("ba", "BA").parse::<Digest>().is_err());
        assert!(text[..70].parse::<Digest>().is_err());
    }

    #[test]
    fn trust_levels_are_ordered_and_closed() {
        assert!(TrustLevel::Trusted > TrustLevel::Partner && TrustLevel::Partner > TrustLevel::External);
        assert_eq!("partner".parse::<TrustLevel>().unwrap(), TrustLevel::Partner);
        assert!("Partner".parse::<TrustLevel>().is_err());
        assert!("root".parse::<TrustLevel>().is_err());
    }
}
