//! A stored entry: the spec's `AuditEntry` as JCS bytes, signed by the host.
//!
//! In scope: writing the canonical bytes and checking them. Out of scope: order and Merkle proof, which are the log's.
//! The signature covers PAE([`PAYLOAD_TYPE`], JCS of the entry without `signature`). Keeps I9.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::event::{Event, EventType, Party, Target};
use super::tile::MAX_ENTRY;
use crate::canonical::{self, CanonicalError, base64_encode};
use crate::clock::Timestamp;
use crate::crypto::{SignError, Signer, pae};
use crate::id::Did;

/// The payload type under which an entry is signed.
pub const PAYLOAD_TYPE: &str = "application/vnd.kos.entry.v1+json";

/// `"signature":"` + 88 characters of base64 + `",`: what signing adds to an entry.
const SIGNATURE_FIELD: usize = 103;

/// Why an entry is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Not the canonical JSON of an entry.
    #[error(transparent)]
    Form(#[from] CanonicalError),
    /// Longer than a bundle can carry.
    #[error("the entry would have {size} bytes; an entry has at most 65535: shorten its details")]
    TooLong {
        /// Its length in bytes.
        size: usize,
    },
    /// Not signed by the key it should be signed by.
    #[error("the entry is not signed by {by}")]
    Signature {
        /// The expected signer.
        by: Did,
    },
    /// The signer gave no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// An entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Who acts.
    pub actor: Party,
    /// The facts, by name.
    pub details: Map<String, Value>,
    /// The kind of event.
    pub event_type: EventType,
    /// Unique: 32 hexadecimal digits.
    pub id: String,
    /// The host's signature, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// What is acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// When; never earlier than the entry before.
    pub timestamp: Timestamp,
}

/// An Ed25519 signature as base64 text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(#[serde(with = "canonical::base64_bytes")] [u8; 64]);

impl Signature {
    /// The 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl Entry {
    /// The bytes of `event` at `timestamp`, signed.
    ///
    /// # Errors
    /// [`EntryError::TooLong`], [`EntryError::Form`] for details that JSON cannot hold, [`EntryError::Sign`].
    pub fn seal(
        event: Event,
        id: String,
        timestamp: Timestamp,
        signer: &dyn Signer,
    ) -> Result<Vec<u8>, EntryError> {
        let draft = Draft::new(event, id, timestamp)?;
        let signature = signer.sign(&draft.message())?;
        Ok(draft.signed(&signature))
    }

    /// Reads an entry in strict canonical form; says nothing about its signature.
    ///
    /// # Errors
    /// [`EntryError::Form`].
    pub fn parse_unverified(bytes: &[u8]) -> Result<Self, EntryError> {
        Ok(canonical::from_canonical(bytes, MAX_ENTRY)?)
    }

    /// Reads an entry in strict canonical form that `host` signed.
    ///
    /// # Errors
    /// [`EntryError::Form`], [`EntryError::Signature`].
    pub fn verify(bytes: &[u8], host: &Did) -> Result<Self, EntryError> {
        let mut entry = Self::parse_unverified(bytes)?;
        let signature = entry.signature.take().ok_or(EntryError::Signature { by: *host })?;
        let unsigned = canonical::to_canonical(&entry)?;
        if !host.verify(&pae(PAYLOAD_TYPE, &unsigned), signature.as_bytes()) {
            return Err(EntryError::Signature { by: *host });
        }
        entry.signature = Some(signature);
        Ok(entry)
    }
}

/// An entry that lacks only its signature.
pub(super) struct Draft {
    /// Its bytes before the signature.
    head: Vec<u8>,
    /// Its bytes behind the signature.
    tail: Vec<u8>,
}

impl Draft {
    /// # Errors
    /// As [`Entry::seal`], but for [`EntryError::Sign`].
    pub(super) fn new(event: Event, id: String, timestamp: Timestamp) -> Result<Self, EntryError> {
        // JCS sorts the members: actor, details, eventType, id, signature, target, timestamp. Written out here, as only
        // the details have names that are not known; what is signed is the same text without `signature`.
        let Event { event_type, actor, target, details } = event;
        let mut head = br#"{"actor":{"id":"#.to_vec();
        push_json(&mut head, &actor.id)?;
        head.extend_from_slice(br#","type":"#);
        push_json(&mut head, &actor.kind)?;
        head.extend_from_slice(br#"},"details":"#);
        head.extend_from_slice(&canonical::to_canonical(&details)?);
        head.extend_from_slice(br#","eventType":"#);
        push_json(&mut head, &event_type)?;
        head.extend_from_slice(br#","id":"#);
        push_json(&mut head, &id)?;
        head.push(b',');
        let mut tail = Vec::new();
        if let Some(target) = target {
            tail.extend_from_slice(br#""target":{"id":"#);
            push_json(&mut tail, &target.id)?;
            tail.extend_from_slice(br#","type":"#);
            push_json(&mut tail, &target.kind)?;
            tail.extend_from_slice(b"},");
        }
        tail.extend_from_slice(br#""timestamp":"#);
        push_json(&mut tail, &timestamp)?;
        tail.push(b'}');
        let size = head.len() + tail.len() + SIGNATURE_FIELD;
        if size > MAX_ENTRY {
            return Err(EntryError::TooLong { size });
        }
        Ok(Self { head, tail })
    }

    /// What the host signs.
    pub(super) fn message(&self) -> Vec<u8> {
        pae(PAYLOAD_TYPE, &[&self.head[..], &self.tail].concat())
    }

    /// The entry's bytes.
    pub(super) fn signed(self, signature: &[u8; 64]) -> Vec<u8> {
        let Self { mut head, tail } = self;
        head.extend_from_slice(br#""signature":""#);
        head.extend_from_slice(base64_encode(signature).as_bytes());
        head.extend_from_slice(br#"","#);
        head.extend_from_slice(&tail);
        head
    }
}

/// The time in the bytes of an entry that is known to be well formed, without parsing it: the last member.
pub(super) fn timestamp_of(bytes: &[u8]) -> Option<Timestamp> {
    let members = bytes.strip_suffix(b"}")?;
    let digits = members.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (head, digits) = members.split_at_checked(members.len() - digits)?;
    head.ends_with(b"\"timestamp\":").then_some(())?;
    std::str::from_utf8(digits).ok()?.parse().ok().map(Timestamp::from_millis)
}

/// Appends a string, a number or a unit variant: JSON of these is canonical as serde_json writes it.
fn push_json<T: Serialize>(bytes: &mut Vec<u8>, value: &T) -> Result<(), CanonicalError> {
    serde_json::to_writer(bytes, value)
        .map_err(|error| CanonicalError::Malformed { cause: error.to_string() })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::super::event::PartyType;
    use super::*;
    use crate::crypto::SecretKey;

    fn host() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn event() -> Event {
        Event::new(EventType::AgentLaunch, PartyType::Agent, "did:key:z6Mk")
            .with("run", "r1")
            .with("nested", serde_json::json!({"b": 1, "a": [1.5, "é\n"]}))
    }

    fn seal(event: Event) -> Vec<u8> {
        Entry::seal(event, "00".repeat(16), Timestamp::from_millis(5), &host()).unwrap()
    }

    #[test]
    fn a_sealed_entry_is_canonical_and_verifies() {
        for event in [event(), event().on("component", "sha256:00")] {
            let bytes = seal(event.clone());
            let entry = Entry::verify(&bytes, &host().did()).unwrap();
            assert_eq!(
                (entry.details, entry.target, entry.actor),
                (event.details, event.target, event.actor)
            );
            assert!(bytes.starts_with(
                br#"{"actor":{"id":"did:key:z6Mk","type":"agent"},"details":{"nested":{"a":[1.5,"#
            ));
        }
    }

    proptest! {
        #[test]
        fn whatever_text_an_event_carries_its_entry_is_canonical(
            actor in any::<String>(),
            target in prop::option::of((any::<String>(), any::<String>())),
            facts in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
            millis in 0_u64..253_402_300_799_999,
        ) {
            let mut event = Event::new(EventType::AgentExit, PartyType::User, actor);
            if let Some((kind, id)) = target {
                event = event.on(kind, id);
            }
            for (name, value) in facts {
                event = event.with(name, value);
            }
            let id = "0f".repeat(16);
            let bytes = Entry::seal(event.clone(), id, Timestamp::from_millis(millis), &host()).unwrap();
            let entry = Entry::verify(&bytes, &host().did()).unwrap();
            prop_assert_eq!((entry.actor, entry.target, entry.details), (event.actor, event.target, event.details));
        }
    }

    #[test]
    fn an_entry_with_any_bit_flipped_does_not_verify() {
        let bytes = seal(event());
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                *altered.get_mut(place).unwrap() ^= 1 << bit;
                assert!(Entry::verify(&altered, &host().did()).is_err(), "byte {place}, bit {bit}");
            }
        }
    }

    #[test]
    fn an_entry_signed_by_another_key_does_not_verify() {
        let other = SecretKey::from_seed(&[8; 32]).did();
        assert_eq!(Entry::verify(&seal(event()), &other), Err(EntryError::Signature { by: other }));
    }

    #[test]
    fn an_entry_in_another_form_does_not_verify() {
        let text = String::from_utf8(seal(event())).unwrap();
        let spaced = text.replacen(':', ": ", 1);
        let doubled = text.replacen("\"timestamp\":5", "\"timestamp\":5,\"timestamp\":5", 1);
        let unknown = text.replacen("\"timestamp\":5", "\"timestamp\":5,\"unknown\":5", 1);
        let signature = text.find("\"signature\"").unwrap();
        let mut unsigned = text.clone();
        unsigned.replace_range(signature..signature + SIGNATURE_FIELD, "");
        for altered in [spaced, doubled, unknown, unsigned, format!("{text} "), format!(" {text}")] {
            assert!(Entry::verify(altered.as_bytes(), &host().did()).is_err(), "{altered}");
        }
    }

    #[test]
    fn the_longest_entry_fits_and_one_byte_more_is_refused() {
        let empty = seal(Event::new(EventType::Alert, PartyType::System, "")).len();
        let of = |size: usize| Event::new(EventType::Alert, PartyType::System, "x".repeat(size - empty));
        assert_eq!(seal(of(MAX_ENTRY)).len(), MAX_ENTRY);
        let refused = Entry::seal(of(MAX_ENTRY + 1), "00".repeat(16), Timestamp::from_millis(5), &host());
        assert_eq!(refused, Err(EntryError::TooLong { size: MAX_ENTRY + 1 }));
    }
}
