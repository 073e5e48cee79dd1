//! The bytes of a message.
//!
//! A message has one writing: its fields stand in one order, and no value has a character that JSON escapes. So it is
//! read by walking along what would be written, which leaves no room for a second key, an unknown field, white space or
//! anything behind, and needs no second writing to compare with.

use std::ops::Range;

use super::MESSAGE_MAX;
use super::error::Rejection;
use super::header::{Header, MessageId};
use crate::canonical;
use crate::clock::Timestamp;

/// The encapsulated X25519 key.
const EPHEMERAL_KEY: usize = 32;
/// The tag of ChaCha20-Poly1305.
const TAG: usize = 16;
/// The digits of the largest number with sixteen, which no timestamp exceeds.
const TIMESTAMP_DIGITS: usize = 16;

const SEALED_OPEN: &str = r#"{"encryption":{"algorithm":"X25519-ChaCha20-Poly1305","ciphertext":""#;
const EPHEMERAL_OPEN: &str = r#"","ephemeralKey":""#;
const TAG_OPEN: &str = r#"","tag":""#;
const FROM_AFTER_SEALED: &str = r#""},"from":""#;
const FROM_FIRST: &str = r#"{"from":""#;
const ID_OPEN: &str = r#"","id":""#;
const NONCE_OPEN: &str = r#"","nonce":""#;
const PAYLOAD_OPEN: &str = r#"","payload":""#;
const SIGNATURE_OPEN: &str = r#"","signature":""#;
const TIMESTAMP_OPEN: &str = r#"","timestamp":"#;
const TO_OPEN: &str = r#","to":""#;
const CLOSE: &str = r#""}"#;

/// The X25519 keys of small order in their canonical form; with these anybody knows the shared secret. RFC 7748,
/// section 6.1, asks for the check; the five values follow from the curve.
const SMALL_ORDER: [[u8; EPHEMERAL_KEY]; 5] = [
    [0; 32],
    little_endian(1),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    below_prime(0xec),
];

/// What a message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// The content as it is.
    Plain(Vec<u8>),
    /// The content sealed to the recipient: encapsulated key, ciphertext and tag.
    Sealed(Vec<u8>),
}

/// A message without its signature, in two parts: the signature's field stands between them.
pub(super) struct Unsigned {
    head: String,
    tail: String,
}

impl Unsigned {
    pub(super) fn new(header: &Header, body: &Body) -> Self {
        let Header { id, from, to, timestamp, nonce } = header;
        let nonce = canonical::base64_encode(nonce);
        let mut head = String::new();
        match body {
            Body::Plain(_) => head.push_str(FROM_FIRST),
            Body::Sealed(sealed) => {
                let (ephemeral, rest) = sealed.split_at_checked(EPHEMERAL_KEY).unwrap_or((sealed, &[]));
                let (ciphertext, tag) =
                    rest.split_last_chunk::<TAG>().map_or((rest, &[][..]), |(text, tag)| (text, tag));
                head.push_str(SEALED_OPEN);
                head.push_str(&canonical::base64_encode(ciphertext));
                head.push_str(EPHEMERAL_OPEN);
                head.push_str(&canonical::base64_encode(ephemeral));
                head.push_str(TAG_OPEN);
                head.push_str(&canonical::base64_encode(tag));
                head.push_str(FROM_AFTER_SEALED);
            }
        }
        head.push_str(&format!("{from}{ID_OPEN}{id}{NONCE_OPEN}{nonce}"));
        if let Body::Plain(payload) = body {
            head.push_str(PAYLOAD_OPEN);
            head.push_str(&canonical::base64_encode(payload));
        }
        let tail = format!("{TIMESTAMP_OPEN}{}{TO_OPEN}{to}{CLOSE}", timestamp.as_millis());
        Self { head, tail }
    }

    /// What is signed, before its encoding.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), self.tail.as_bytes()].concat()
    }

    /// The message with its signature.
    pub(super) fn signed(&self, signature: &[u8; 64]) -> Vec<u8> {
        let signature = canonical::base64_encode(signature);
        [&self.head, SIGNATURE_OPEN, &signature, &self.tail].concat().into_bytes()
    }
}

/// A message as it says it is: nothing in it is believed yet.
pub(super) struct Parsed {
    pub(super) header: Header,
    pub(super) body: Body,
    pub(super) signature: [u8; 64],
    /// Where the signature's field stands; what is around it is signed.
    pub(super) signature_field: Range<usize>,
}

impl Parsed {
    /// What must have been signed, before its encoding. `bytes` are those that were parsed.
    pub(super) fn signed_part(&self, bytes: &[u8]) -> Vec<u8> {
        let head = bytes.get(..self.signature_field.start).unwrap_or_default();
        let tail = bytes.get(self.signature_field.end..).unwrap_or_default();
        [head, tail].concat()
    }
}

/// Reads a message, which must be written in its one way.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Rejection> {
    if bytes.len() > MESSAGE_MAX {
        return Err(Rejection::TooLarge { size: bytes.len() });
    }
    let mut reader = Reader { bytes, at: 0 };
    let sealed = if reader.skip(SEALED_OPEN) { Some(reader.sealed()?) } else { None };
    reader.expect(if sealed.is_some() { FROM_AFTER_SEALED } else { FROM_FIRST })?;
    let from = reader.text()?;
    reader.expect(ID_OPEN)?;
    let id: MessageId = reader.text()?;
    reader.expect(NONCE_OPEN)?;
    let nonce = reader.array()?;
    let body = match sealed {
        Some(sealed) => Body::Sealed(sealed),
        None => {
            reader.expect(PAYLOAD_OPEN)?;
            Body::Plain(reader.base64()?)
        }
    };
    let start = reader.at;
    reader.expect(SIGNATURE_OPEN)?;
    let signature = reader.array()?;
    let signature_field = start..reader.at;
    reader.expect(TIMESTAMP_OPEN)?;
    let timestamp = reader.timestamp()?;
    reader.expect(TO_OPEN)?;
    let to = reader.text()?;
    reader.expect(CLOSE)?;
    if reader.at != bytes.len() {
        return Err(reader.malformed());
    }
    Ok(Parsed { header: Header { id, from, to, timestamp, nonce }, body, signature, signature_field })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn malformed(&self) -> Rejection {
        Rejection::Malformed { at: self.at }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Whether `text` stands here; if so, it is passed.
    fn skip(&mut self, text: &str) -> bool {
        let is_here = self.rest().starts_with(text.as_bytes());
        self.at += if is_here { text.len() } else { 0 };
        is_here
    }

    fn expect(&mut self, text: &str) -> Result<(), Rejection> {
        if self.skip(text) { Ok(()) } else { Err(self.malformed()) }
    }

    /// The text up to the next quote.
    fn quoted(&self) -> Result<&'a str, Rejection> {
        let end = self.rest().iter().position(|byte| *byte == b'"').ok_or_else(|| self.malformed())?;
        let text = self.rest().get(..end).unwrap_or_default();
        std::str::from_utf8(text).map_err(|_| self.malformed())
    }

    fn text<T: std::str::FromStr>(&mut self) -> Result<T, Rejection> {
        let text = self.quoted()?;
        let value = text.parse().map_err(|_| self.malformed())?;
        self.at += text.len();
        Ok(value)
    }

    fn base64(&mut self) -> Result<Vec<u8>, Rejection> {
        let text = self.quoted()?;
        let value = canonical::base64_decode(text).map_err(|_| self.malformed())?;
        self.at += text.len();
        Ok(value)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Rejection> {
        let malformed = self.malformed();
        self.base64()?.try_into().map_err(|_| malformed)
    }

    /// The rest of the encryption's fields, put together as HPKE has them.
    fn sealed(&mut self) -> Result<Vec<u8>, Rejection> {
        let ciphertext = self.base64()?;
        self.expect(EPHEMERAL_OPEN)?;
        let malformed = self.malformed();
        let ephemeral = self.array::<EPHEMERAL_KEY>()?;
        if !is_strong(&ephemeral) {
            return Err(malformed);
        }
        self.expect(TAG_OPEN)?;
        let tag = self.array::<TAG>()?;
        Ok([&ephemeral[..], &ciphertext, &tag].concat())
    }

    fn timestamp(&mut self) -> Result<Timestamp, Rejection> {
        let digits =
            self.rest().iter().take(TIMESTAMP_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
        let text = self.rest().get(..digits).unwrap_or_default();
        let value = std::str::from_utf8(text)
            .ok()
            .filter(|text| *text == "0" || !text.starts_with('0'))
            .and_then(|text| text.parse().ok())
            .filter(|millis| Timestamp::from_millis(*millis).as_millis() == *millis)
            .ok_or_else(|| self.malformed())?;
        self.at += digits;
        Ok(Timestamp::from_millis(value))
    }
}

/// Whether an X25519 key has its canonical form, below the prime 2^255 - 19, and is not of small order.
fn is_strong(key: &[u8; EPHEMERAL_KEY]) -> bool {
    let is_canonical = key.iter().rev().lt(below_prime(0xed).iter().rev());
    is_canonical && !SMALL_ORDER.contains(key)
}

/// The number 2^255 - 256 and `low`, in little-endian form.
const fn below_prime(low: u8) -> [u8; EPHEMERAL_KEY] {
    let mut bytes = [0xff; EPHEMERAL_KEY];
    bytes[0] = low;
    bytes[EPHEMERAL_KEY - 1] = 0x7f;
    bytes
}

const fn little_endian(low: u8) -> [u8; EPHEMERAL_KEY] {
    let mut bytes = [0; EPHEMERAL_KEY];
    bytes[0] = low;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{self, CryptoError};
    use crate::id::AgreementKey;

    #[test]
    fn keys_of_small_order_or_in_another_form_are_not_strong() {
        for key in SMALL_ORDER {
            assert!(!is_strong(&key));
            let sealed = crypto::seal(&AgreementKey::from_bytes(key), b"", b"", b"x");
            assert_eq!(sealed, Err(CryptoError::Recipient), "{key:?} is of small order");
        }
        for low in 0xed..=0xff {
            assert!(!is_strong(&below_prime(low)), "{low}");
        }
        let mut topmost = little_endian(9);
        assert!(is_strong(&topmost) && is_strong(&below_prime(0xeb)));
        topmost[31] |= 0x80;
        assert!(!is_strong(&topmost));
    }
}
