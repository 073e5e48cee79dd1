//! What a key of each role may do.
//!
//! A stolen or fooled caller gets no more than its key's role needs: the host key signs no grants, an agent's key is
//! never copied, and what custody itself states about keys cannot be had by asking for a signature (I6).

use super::error::CustodyError;
use super::key_name::{KeyName, KeyRole};
use super::request::AGREEMENT_KEY_TYPE;
use super::rotation::ROTATION_TYPE;

/// The first word of a pre-authentication encoding.
const PAE_MARK: &[u8] = b"DSSEv1 ";
/// What only custody itself states, when it makes a key.
const RESERVED: [&str; 2] = [AGREEMENT_KEY_TYPE, ROTATION_TYPE];
/// What only a host states.
const HOSTS: [&str; 4] = [
    "application/vnd.kos.entry.v1+json",
    "application/vnd.kos.journal.v1+json",
    super::agents::RECORD_TYPE,
    super::agents::peers::PEER_TYPE,
];
/// What a host signs besides: receipts of runs. Checkpoints are notes, which have no payload type.
const HOST_MAY: [&str; 1] = ["application/vnd.kos.receipt.v1+json"];

/// Whether `key` may sign `message`.
pub(super) fn may_sign(key: &KeyName, message: &[u8]) -> Result<(), CustodyError> {
    let Some(payload_type) = payload_type(message) else { return Ok(()) };
    let is_one_of = |types: &[&str]| types.iter().any(|known| known.as_bytes() == payload_type);
    if is_one_of(&RESERVED) {
        return Err(CustodyError::forbidden(key, "sign this", "only custody itself states it"));
    }
    match key.role {
        KeyRole::Host if is_one_of(&HOSTS) || is_one_of(&HOST_MAY) => Ok(()),
        KeyRole::Host => Err(CustodyError::forbidden(key, "sign this", "a host's key signs its log only")),
        KeyRole::Operator | KeyRole::Author | KeyRole::Agent if is_one_of(&HOSTS) => {
            Err(CustodyError::forbidden(
                key,
                "sign this",
                "only a host's key signs entries, journals and records",
            ))
        }
        KeyRole::Operator | KeyRole::Author | KeyRole::Agent => Ok(()),
    }
}

/// Whether `key` may leave custody, or come in from outside.
pub(super) fn may_travel(key: &KeyName, operation: &str) -> Result<(), CustodyError> {
    match key.role {
        KeyRole::Operator | KeyRole::Author => Ok(()),
        KeyRole::Host => {
            Err(CustodyError::forbidden(key, operation, "a host's key moves with its home only"))
        }
        KeyRole::Agent => Err(CustodyError::forbidden(key, operation, "an agent's key never leaves custody")),
    }
}

/// Whether `key` may be replaced by a new one.
pub(super) fn may_rotate(key: &KeyName) -> Result<(), CustodyError> {
    match key.role {
        KeyRole::Operator | KeyRole::Author => Ok(()),
        KeyRole::Host => Err(CustodyError::forbidden(key, "rotate", "its log is verified by this key")),
        KeyRole::Agent => Err(CustodyError::forbidden(key, "rotate", "its identity is this key")),
    }
}

/// Whether `key` may be removed.
pub(super) fn may_remove(key: &KeyName) -> Result<(), CustodyError> {
    match key.role {
        KeyRole::Operator | KeyRole::Author | KeyRole::Agent => Ok(()),
        KeyRole::Host => Err(CustodyError::forbidden(key, "be removed", "its home could not log any more")),
    }
}

/// The type in a pre-authentication encoding: `DSSEv1 SP length SP type SP …`. Nothing for other bytes.
fn payload_type(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(PAE_MARK)?;
    let space = rest.iter().position(|byte| *byte == b' ')?;
    let (length, rest) = (rest.get(..space)?, rest.get(space + 1..)?);
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    rest.get(..length)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::crypto::pae;

    fn may(key: &str, message: &[u8]) -> bool {
        may_sign(&key.parse().unwrap(), message).is_ok()
    }

    #[test]
    fn nobody_is_given_a_statement_that_only_custody_makes() {
        for key in ["host/h", "operator/o", "author/a", "agent/a"] {
            for reserved in RESERVED {
                assert!(!may(key, &pae(reserved, b"anything")), "{key} {reserved}");
            }
        }
    }

    #[test]
    fn a_host_signs_entries_and_notes_but_no_grants_components_or_messages() {
        for signed in HOSTS.iter().chain(&HOST_MAY) {
            assert!(may("host/h", &pae(signed, b"")));
        }
        assert!(may("host/h", "kos.test/log\n1\nhash\n".as_bytes()));
        for refused in [
            "application/vnd.kos.permissions.v1+json",
            "application/vnd.kos.trust.v1+json",
            "application/vnd.in-toto+json",
            "application/vnd.kos.message.v1+json",
            "",
        ] {
            assert!(!may("host/h", &pae(refused, b"")), "{refused}");
        }
    }

    #[test]
    fn nobody_else_signs_what_only_a_host_states() {
        for key in ["operator/o", "author/a", "agent/a"] {
            assert!(HOSTS.iter().all(|signed| !may(key, &pae(signed, b"{}"))), "{key}");
            assert!(may(key, &pae("application/vnd.kos.message.v1+json", b"{}")), "{key}");
        }
    }

    #[test]
    fn bytes_that_only_begin_like_an_encoding_have_no_type() {
        for bytes in [&b"DSSEv1 "[..], b"DSSEv1 5", b"DSSEv1 99 short", b"DSSEv1 x type ", b"DSSEv2 0  0 "] {
            assert_eq!(payload_type(bytes), None);
        }
        assert_eq!(payload_type(b"DSSEv1 4 a bc 0 "), Some(&b"a bc"[..]));
    }
}
