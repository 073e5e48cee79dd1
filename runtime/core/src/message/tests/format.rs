//! The bytes of a message against another reader and writer of the same format.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::format::{Body, Unsigned, parse};
use super::attacks::{fields, signed_by};
use super::*;
use crate::canonical::{self, base64_bytes};

/// The format as serde has it, read strictly and compared with its canonical writing.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encryption: Option<Encryption>,
    from: Did,
    id: MessageId,
    #[serde(with = "base64_bytes")]
    nonce: [u8; 16],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<Value>,
    #[serde(with = "base64_bytes")]
    signature: [u8; 64],
    timestamp: Timestamp,
    to: Did,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Encryption {
    algorithm: String,
    #[serde(with = "base64_bytes")]
    ciphertext: Vec<u8>,
    #[serde(with = "base64_bytes")]
    ephemeral_key: [u8; 32],
    #[serde(with = "base64_bytes")]
    tag: [u8; 16],
}

/// Whether the other reader takes the bytes for a message.
fn is_message(bytes: &[u8]) -> bool {
    canonical::from_canonical::<Reference>(bytes, MESSAGE_MAX).is_ok_and(|message| {
        let payload = message.payload.as_ref();
        let is_text = payload.is_none_or(|payload| {
            payload.as_str().is_some_and(|text| canonical::base64_decode(text).is_ok())
        });
        let is_algorithm =
            message.encryption.as_ref().is_none_or(|sealed| sealed.algorithm == "X25519-ChaCha20-Poly1305");
        is_text && is_algorithm && (payload.is_some() != message.encryption.is_some())
    })
}

fn header(id: [u8; 16], nonce: [u8; 16], timestamp: u64) -> Header {
    Header {
        id: MessageId::from_bytes(id),
        from: Party::new(1).did(),
        to: Party::new(2).did(),
        timestamp: Timestamp::from_millis(timestamp),
        nonce,
    }
}

proptest! {
    #[test]
    fn a_message_is_read_back_and_is_what_the_other_writer_writes(
        id: [u8; 16],
        nonce: [u8; 16],
        timestamp in 0_u64..253_402_300_799_999,
        body in prop::collection::vec(any::<u8>(), 0..100),
        is_sealed: bool,
        signature in prop::collection::vec(any::<u8>(), 64),
    ) {
        let signature: [u8; 64] = signature.try_into().unwrap();
        let body = if is_sealed {
            Body::Sealed([&[9; 32][..], &body, &[7; 16]].concat())
        } else {
            Body::Plain(body)
        };
        let header = header(id, nonce, timestamp);
        let unsigned = Unsigned::new(&header, &body);
        let bytes = unsigned.signed(&signature);
        prop_assert!(is_message(&bytes));
        let parsed = parse(&bytes).unwrap();
        prop_assert_eq!(&parsed.header, &header);
        prop_assert_eq!(&parsed.body, &body);
        prop_assert_eq!(parsed.signature, signature);
        let mut without = fields(&bytes);
        without.remove("signature");
        prop_assert_eq!(canonical::to_canonical(&without).unwrap(), unsigned.to_bytes());
        prop_assert_eq!(parsed.signed_part(&bytes), unsigned.to_bytes());
        let mut of_header = without;
        of_header.remove("payload");
        of_header.remove("encryption");
        prop_assert_eq!(canonical::to_canonical(&of_header).unwrap(), header.associated());
    }

    #[test]
    fn both_readers_take_the_same_bytes(position in 0_usize..10_000, byte: u8, length in 0_usize..3, is_sealed: bool) {
        let (from, to) = (Party::new(1), Party::new(2));
        let make = if is_sealed { sealed } else { plain };
        let mut bytes = make(&from, &to, at(0), &mut Dice(1));
        let position = position % bytes.len();
        let end = (position + length).min(bytes.len());
        bytes.splice(position..end, std::iter::repeat_n(byte, length.min(1)));
        match parse(&bytes) {
            Ok(_) => prop_assert!(is_message(&bytes)),
            // A weak ephemeral key is none in ours alone.
            Err(Rejection::Malformed { at }) => {
                let is_key = is_sealed && bytes[..at].ends_with(br#""ephemeralKey":""#);
                prop_assert!(is_key || !is_message(&bytes), "{}", String::from_utf8_lossy(&bytes));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SignedMessage::verify(bytes).is_err());
    }

    #[test]
    fn a_content_is_read_back(topic in "[!-~]{1,20}", body in prop::collection::vec(any::<u8>(), 0..100), id: [u8; 16]) {
        let Ok(topic) = topic.parse::<Topic>() else { return Ok(()) };
        for content in [
            Content::message(topic.clone(), body.clone()),
            Content::request(topic.clone(), body.clone(), Some(at(1))),
            Content::request(topic.clone(), body.clone(), None),
            Content::reply(MessageId::from_bytes(id), topic.clone(), body.clone()),
            Content::error(MessageId::from_bytes(id), topic.clone(), body.clone()),
        ] {
            let content = content.unwrap();
            prop_assert_eq!(Content::parse(&content.to_bytes().unwrap()).unwrap(), content);
        }
    }
}

#[test]
fn a_content_of_another_shape_is_refused() {
    for text in [
        "",
        "{}",
        r#"{"body":"","kind":"message"}"#,
        r#"{"body":"","kind":"Message","topic":"a"}"#,
        r#"{"body":"","kind":"order","topic":"a"}"#,
        r#"{"body":"","kind":"message","topic":""}"#,
        r#"{"body":"","kind":"message","topic":"a b"}"#,
        r#"{"body":"","kind":"message","topic":"a*"}"#,
        r#"{"body":"","kind":"message","topic":"!a"}"#,
        r#"{"body":"A","kind":"message","topic":"a"}"#,
        r#"{"kind":"message","topic":"a","body":""}"#,
        r#"{"body":"","deadline":5,"kind":"message","topic":"a"}"#,
        r#"{"body":"","deadline":null,"kind":"request","topic":"a"}"#,
        r#"{"body":"","deadline":5.5,"kind":"request","topic":"a"}"#,
        r#"{"body":"","kind":"reply","topic":"a"}"#,
        r#"{"body":"","inReplyTo":"00","kind":"reply","topic":"a"}"#,
        r#"{"body":"","inReplyTo":"00000000000000000000000000000000","kind":"request","topic":"a"}"#,
        r#"{"body":"","kind":"message","topic":"a","zone":1}"#,
        r#"{"body":"","body":"","kind":"message","topic":"a"}"#,
        r#"{"body":"","kind":"message","topic":"a"} "#,
    ] {
        assert_eq!(Content::parse(text.as_bytes()), Err(Rejection::Content), "{text}");
    }
    assert!(Content::parse(br#"{"body":"","kind":"message","topic":"a"}"#).is_ok());
    assert!("a".repeat(TOPIC_MAX + 1).parse::<Topic>().is_err());
}

#[test]
fn the_largest_body_fits_sealed_and_the_next_is_no_content() {
    let (from, to) = (Party::new(1), Party::new(2));
    let topic: Topic = "a".repeat(TOPIC_MAX).parse().unwrap();
    let id = MessageId::from_bytes([0; 16]);
    let largest = Content::reply(id, topic.clone(), vec![0xff; BODY_MAX]).unwrap();
    let message = Draft::new(&from.key, to.did(), largest, at(0), &[1; 32])
        .sealed(&to.agreement.agreement_key())
        .unwrap();
    assert!(message.as_bytes().len() <= MESSAGE_MAX);
    assert!(SignedMessage::verify(message.into_bytes()).is_ok());
    let refused = Content::message(topic, vec![0; BODY_MAX + 1]);
    assert_eq!(refused, Err(ContentError::TooLarge { size: BODY_MAX + 1 }));
}

#[test]
fn a_router_without_keys_verifies_and_cannot_read() {
    let (from, to) = (Party::new(1), Party::new(2));
    let bytes = sealed(&from, &to, at(0), &mut Dice(1));
    let message = SignedMessage::verify(bytes.clone()).unwrap();
    assert_eq!((message.header().from(), message.header().to()), (&from.did(), &to.did()));
    assert!(message.is_sealed());
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(!text.contains("receipts") && !text.contains(&canonical::base64_encode(b"for your eyes")));
    assert!(SignedMessage::verify(signed_by(&to.key, &fields(&bytes))).is_err());
}
