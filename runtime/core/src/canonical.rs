//! JSON that means one thing: strict parsing, and the canonical form that is signed.
//!
//! Source: RFC 8259 (JSON), RFC 8785 (JCS), RFC 4648 (base64).
//! In scope: size caps, duplicate keys, trailing bytes, canonical bytes, strict base64. Unknown fields are each
//! type's own matter (`deny_unknown_fields`).

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

/// Why bytes are not the document they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// Larger than any honest document of its kind.
    #[error("the document has {size} bytes; at most {max} are read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The cap in bytes.
        max: usize,
    },
    /// Not JSON, or JSON of another shape; the cause names line and column.
    #[error("the document is malformed: {cause}")]
    Malformed {
        /// What is wrong, and where.
        cause: String,
    },
    /// Valid JSON, but not the one canonical way to write it.
    #[error("the document is not in canonical form (RFC 8785)")]
    NotCanonical,
    /// Not standard, padded, canonical base64.
    #[error("the text is not canonical base64")]
    Base64,
}

/// The canonical bytes of a value (JCS).
///
/// # Errors
/// [`CanonicalError::Malformed`] for a value that JSON cannot hold.
pub fn to_canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    serde_json_canonicalizer::to_vec(value)
        .map_err(|error| CanonicalError::Malformed { cause: error.to_string() })
}

/// Reads a document of at most `max` bytes: UTF-8, no duplicate key at any depth, nothing behind it.
///
/// # Errors
/// [`CanonicalError::TooLarge`] or [`CanonicalError::Malformed`].
pub fn from_strict<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, CanonicalError> {
    if bytes.len() > max {
        return Err(CanonicalError::TooLarge { size: bytes.len(), max });
    }
    serde_json::from_slice::<UniqueKeys>(bytes).map_err(malformed)?;
    serde_json::from_slice(bytes).map_err(malformed)
}

/// Reads a document as [`from_strict`] does, which must also be written in the one canonical way.
///
/// # Errors
/// As [`from_strict`], and [`CanonicalError::NotCanonical`].
pub fn from_canonical<T: DeserializeOwned + Serialize>(
    bytes: &[u8],
    max: usize,
) -> Result<T, CanonicalError> {
    let value: T = from_strict(bytes, max)?;
    if to_canonical(&value)? != bytes {
        return Err(CanonicalError::NotCanonical);
    }
    Ok(value)
}

/// Standard base64 with padding (RFC 4648, section 4).
#[must_use]
pub fn base64_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of standard, padded base64 without white space or stray bits.
///
/// # Errors
/// [`CanonicalError::Base64`].
pub fn base64_decode(text: &str) -> Result<Vec<u8>, CanonicalError> {
    STANDARD.decode(text).map_err(|_| CanonicalError::Base64)
}

/// Serde adapter: bytes as base64 text, for `Vec<u8>` and arrays.
pub mod base64_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    /// Writes bytes as base64.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::base64_encode(bytes.as_ref()))
    }

    /// Reads canonical base64 of the right length.
    ///
    /// # Errors
    /// Those of the deserializer, and for text that is not canonical base64 of the field's length.
    pub fn deserialize<'de, T: TryFrom<Vec<u8>>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = super::base64_decode(&text).map_err(de::Error::custom)?;
        T::try_from(bytes).map_err(|_| de::Error::custom("the base64 text has the wrong length"))
    }
}

/// JSON in which no object has a key twice; keeps nothing.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeysVisitor)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = UniqueKeys;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_str<E>(self, _: &str) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<UniqueKeys, A::Error> {
        while sequence.next_element::<UniqueKeys>()?.is_some() {}
        Ok(UniqueKeys)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueKeys, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(de::Error::custom(format_args!("the key `{}` stands twice", key.escape_debug())));
            }
            keys.insert(key);
            map.next_value::<UniqueKeys>()?;
        }
        Ok(UniqueKeys)
    }
}

fn malformed(error: serde_json::Error) -> CanonicalError {
    CanonicalError::Malformed { cause: error.to_string() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_rfc_8785_examples_have_their_published_form() {
        let cases = [
            (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
            (
                r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]}"#,
                r#"{"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}"#,
            ),
            (r#"{"literals":[null,true,false]}"#, r#"{"literals":[null,true,false]}"#),
            (
                r#"{"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"}"#,
                "{\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
            ),
        ];
        for (given, expected) in cases {
            let value: Value = from_strict(given.as_bytes(), 1_000).unwrap();
            assert_eq!(String::from_utf8(to_canonical(&value).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn a_duplicate_key_is_refused_at_any_depth_and_in_any_spelling() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":{"a":1,"b":2,"a":3}}"#, r#"[[{"a":1,"\u0061":2}]]"#] {
            let error = from_strict::<Value>(text.as_bytes(), 100).unwrap_err();
            assert!(error.to_string().contains("the key `a` stands twice"), "{error}");
        }
    }

    #[test]
    fn malformed_documents_are_refused() {
        for bytes in [&b""[..], b"{", b"{} ", b"{}x", b"\xff", b"nul", b"{'a':1}", b"[1,]", b"\xef\xbb\xbf{}"]
        {
            let strict = from_strict::<Value>(bytes, 100);
            let canonical = from_canonical::<Value>(bytes, 100);
            assert!(canonical.is_err(), "{bytes:?}");
            assert!(strict.is_err() || bytes == b"{} ", "{bytes:?}");
        }
    }

    #[test]
    fn a_document_over_the_cap_is_refused_before_it_is_parsed() {
        assert_eq!(from_strict::<Value>(b"[1,2]", 4), Err(CanonicalError::TooLarge { size: 5, max: 4 }));
    }

    #[test]
    fn endless_nesting_is_refused() {
        assert!(from_strict::<Value>("[".repeat(100_000).as_bytes(), 1_000_000).is_err());
    }

    #[test]
    fn only_the_canonical_writing_is_canonical() {
        assert!(from_canonical::<BTreeMap<String, u64>>(br#"{"a":1,"b":2}"#, 100).is_ok());
        for text in [r#"{"b":2,"a":1}"#, r#"{"a":1, "b":2}"#, r#"{"a":1,"b":2}"#.trim_end_matches('}')] {
            assert!(from_canonical::<BTreeMap<String, u64>>(text.as_bytes(), 100).is_err(), "{text}");
        }
        assert_eq!(from_canonical::<Value>(br#"{"a":"\u0061"}"#, 100), Err(CanonicalError::NotCanonical));
    }

    #[test]
    fn base64_in_another_form_is_refused() {
        assert_eq!(base64_decode("AQI=").unwrap(), [1, 2]);
        for text in ["AQI", "AQJ=", "AQI==", "AQ I=", "AQI=\n", "-_8=", "A"] {
            assert_eq!(base64_decode(text), Err(CanonicalError::Base64), "{text}");
        }
    }
}
