//! The ways to make a hostile message of honest ones, each by its name and with the answer it must get.

use serde_json::{Map, Value, json};

use super::*;
use crate::canonical::{base64_decode, base64_encode, to_canonical};

/// A hostile message, and by which names it may be refused.
pub(super) type Attack = (String, Vec<u8>, &'static [&'static str]);

const MALFORMED: &[&str] = &["malformed"];
const SIGNATURE: &[&str] = &["signature"];

/// The order of the group of Ed25519, little-endian (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

pub(super) fn fields(bytes: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(bytes).unwrap()
}

pub(super) fn written(fields: &Map<String, Value>) -> Vec<u8> {
    to_canonical(fields).unwrap()
}

/// The fields with the signature that `key` makes over the others.
pub(super) fn signed_by(key: &SecretKey, fields: &Map<String, Value>) -> Vec<u8> {
    let mut fields = fields.clone();
    fields.remove("signature");
    let signature = key.sign(&crypto::pae(MESSAGE_TYPE, &written(&fields))).unwrap();
    fields.insert("signature".to_owned(), json!(base64_encode(&signature)));
    written(&fields)
}

/// Each bit flipped.
pub(super) fn flips(bytes: &[u8]) -> impl Iterator<Item = Attack> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut altered = bytes.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        let allowed: &[&str] = &["malformed", "signature"];
        (format!("bit {bit}"), altered, allowed)
    })
}

/// Each field exchanged for the other message's, one at a time: under the old signature, and signed by a third.
pub(super) fn swapped(one: &[u8], other: &[u8], thief: &Party) -> Vec<Attack> {
    let (one, other) = (fields(one), fields(other));
    let mut attacks = Vec::new();
    for (field, value) in &other {
        let mut altered = one.clone();
        altered.insert(field.clone(), value.clone());
        if altered == one {
            continue;
        }
        let allowed: &[&str] = &["signature", "malformed"];
        attacks.push((format!("{field} of another"), written(&altered), allowed));
        attacks.push((
            format!("{field} of another, signed by a thief"),
            signed_by(&thief.key, &altered),
            allowed,
        ));
    }
    attacks
}

/// What a relay can do with its own keys.
pub(super) fn relayed(
    sealed: &[u8],
    me: &Party,
    relay: &Party,
    now: Timestamp,
    dice: &mut Dice,
) -> Vec<Attack> {
    let honest = fields(sealed);
    let own = fields(&super::sealed(relay, me, now, dice));
    let mut resealed = honest.clone();
    resealed.insert("encryption".to_owned(), own["encryption"].clone());
    let mut stolen = own.clone();
    stolen.insert("encryption".to_owned(), honest["encryption"].clone());
    let mut unsealed = honest.clone();
    unsealed.remove("encryption");
    unsealed.insert("payload".to_owned(), fields(&plain(relay, me, now, dice))["payload"].clone());
    let mut redirected = honest.clone();
    redirected.insert("to".to_owned(), json!(relay.did()));
    vec![
        ("resealed and signed by the relay".to_owned(), signed_by(&relay.key, &resealed), SIGNATURE),
        ("laid open and signed by the relay".to_owned(), signed_by(&relay.key, &unsealed), SIGNATURE),
        (
            "sealed by another, in the relay's own name".to_owned(),
            signed_by(&relay.key, &stolen),
            &["sealed"],
        ),
        ("redirected".to_owned(), written(&redirected), SIGNATURE),
        ("redirected and signed by the relay".to_owned(), signed_by(&relay.key, &redirected), SIGNATURE),
        ("for somebody else".to_owned(), plain(relay, relay, now, dice), &["recipient"]),
    ]
}

/// Writings that the sender signs, or an altered one of what it signed.
pub(super) fn miswritten(bytes: &[u8], sender: &Party) -> Vec<Attack> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let honest = fields(bytes);
    let mut attacks = Vec::new();
    let time = honest["timestamp"].to_string();
    let quoted = |name: &str| honest[name].as_str().unwrap().to_owned();
    let (id, nonce) = (quoted("id"), quoted("nonce"));
    for (name, from, to) in [
        ("a second key", "\"id\":".to_owned(), format!("\"id\":\"{id}\",\"id\":")),
        ("a second key in another spelling", "\"id\":".to_owned(), format!("\"\\u0069d\":\"{id}\",\"id\":")),
        ("an unknown field", "\"nonce\"".to_owned(), "\"note\":1,\"nonce\"".to_owned()),
        ("white space", "\",\"".to_owned(), "\", \"".to_owned()),
        ("an escape", format!("\"{id}\""), format!("\"\\u00{:02x}{}\"", id.as_bytes()[0], &id[1..])),
        ("upper-case digits", format!("\"id\":\"{id}\""), format!("\"id\":\"{}A\"", &id[1..])),
        ("a short identifier", format!("\"id\":\"{id}\""), format!("\"id\":\"{}\"", &id[2..])),
        ("base64 without its end", nonce.clone(), nonce.trim_end_matches('=').to_owned()),
        ("base64 with stray bits", nonce.clone(), nonce.replace("==", "/=")),
        ("base64 with a line feed", nonce.clone(), format!("{nonce}\\n")),
        ("a number with a fraction", time.clone(), format!("{time}.0")),
        ("a number with an exponent", time.clone(), format!("{time}e0")),
        ("a number with a leading zero", time.clone(), format!("0{time}")),
        ("a negative number", time.clone(), format!("-{time}")),
        ("a number in quotes", time.clone(), format!("\"{time}\"")),
        ("a number without end", time.clone(), "9".repeat(40)),
        ("a number after the year 9999", time.clone(), "253402300800000".to_owned()),
        ("nothing for a number", time, "null".to_owned()),
        ("another case", "\"from\"".to_owned(), "\"From\"".to_owned()),
    ] {
        let altered = text.replacen(&from, &to, 1);
        assert_ne!(altered, text, "{name}");
        attacks.push((name.to_owned(), altered.into_bytes(), MALFORMED));
    }
    for end in ["\n", " ", "}", "\0", "{}", &text] {
        attacks.push((format!("{end:?} behind"), format!("{text}{end}").into_bytes(), MALFORMED));
        attacks.push((format!("{end:?} before"), format!("{end}{text}").into_bytes(), MALFORMED));
    }
    for cut in 0..text.len() {
        attacks.push((format!("cut at {cut}"), text.as_bytes()[..cut].to_vec(), MALFORMED));
    }
    attacks.push(("too large".to_owned(), vec![b'{'; MESSAGE_MAX + 1], &["too-large"]));
    attacks.extend(misshapen(&honest, sender));
    attacks.push(("a signature in another form".to_owned(), malleable(&honest), SIGNATURE));
    attacks
}

/// Messages of another shape, with a good signature of their sender.
fn misshapen(honest: &Map<String, Value>, sender: &Party) -> Vec<Attack> {
    let encryption = json!({"algorithm": "X25519-ChaCha20-Poly1305", "ciphertext": "AAAA",
        "ephemeralKey": base64_encode(&[9; 32]), "tag": base64_encode(&[0; 16])});
    let changed = |change: &dyn Fn(&mut Map<String, Value>)| {
        let mut altered = honest.clone();
        change(&mut altered);
        signed_by(&sender.key, &altered)
    };
    let mut attacks = vec![
        (
            "an added field".to_owned(),
            changed(&|fields| drop(fields.insert("zone".to_owned(), json!("x")))),
            MALFORMED,
        ),
        (
            "payload and encryption".to_owned(),
            changed(&|fields| {
                fields.insert("payload".to_owned(), json!("AAAA"));
                fields.insert("encryption".to_owned(), encryption.clone());
            }),
            MALFORMED,
        ),
        (
            "neither payload nor encryption".to_owned(),
            changed(&|fields| {
                fields.remove("payload");
                fields.remove("encryption");
            }),
            MALFORMED,
        ),
        (
            "a payload that is null".to_owned(),
            changed(&|fields| {
                fields.insert("payload".to_owned(), Value::Null);
            }),
            MALFORMED,
        ),
    ];
    for field in ["id", "from", "to", "timestamp", "nonce"] {
        attacks.push((format!("no {field}"), changed(&|fields| drop(fields.remove(field))), MALFORMED));
    }
    let mut small = vec![("algorithm", json!("X25519-AES256-GCM")), ("algorithm", json!("none"))];
    let mut one = [0; 32];
    one[0] = 1;
    let mut topmost = [9; 32];
    topmost[31] |= 0x80;
    for weak in [[0; 32], one, topmost, [0xff; 32]] {
        small.push(("ephemeralKey", json!(base64_encode(&weak))));
    }
    small.push(("tag", json!(base64_encode(&[0; 15]))));
    small.push(("extra", json!("")));
    for (field, value) in small {
        let mut encryption = encryption.clone();
        encryption[field] = value.clone();
        let altered = changed(&|fields| {
            fields.remove("payload");
            fields.insert("encryption".to_owned(), encryption.clone());
        });
        attacks.push((format!("{field} {value}"), altered, MALFORMED));
    }
    attacks
}

/// The same signature with the group's order added to its scalar, which a lax verifier accepts too.
fn malleable(honest: &Map<String, Value>) -> Vec<u8> {
    let mut signature = base64_decode(honest["signature"].as_str().unwrap()).unwrap();
    let mut carry = 0_u16;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    let mut altered = honest.clone();
    altered.insert("signature".to_owned(), json!(base64_encode(&signature)));
    written(&altered)
}
