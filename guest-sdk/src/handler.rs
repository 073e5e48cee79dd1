//! What a service does with a message.
//!
//! A service is a library (`crate-type = ["cdylib"]`) instead of a program with a `main`: the host keeps it and calls it
//! once for each message.
//!
//! ```no_run
//! use kos_sdk::{Error, handler::Message};
//!
//! fn echo(message: Message) -> Result<Option<Vec<u8>>, Error> {
//!     Ok(Some(message.payload))
//! }
//!
//! kos_sdk::service!(echo);
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Error;
use crate::bindings::exports::kos::agent::handler as raw;
use crate::bindings::kos::agent::types;

/// A message that the host has verified.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The message's identifier.
    pub id: String,
    /// Who sent it: the `did:key:z6Mk…` that the host checked its signature against.
    pub sender: String,
    /// When it was sent, by its sender's clock; the host bounds how far that is off.
    pub sent: SystemTime,
    /// What it is about.
    pub topic: String,
    /// The content, decrypted where it came encrypted.
    pub payload: Vec<u8>,
    /// Whether its sender waits for a reply.
    pub is_request: bool,
}

impl From<raw::Message> for Message {
    fn from(raw::Message { id, sender, timestamp, topic, payload, is_request }: raw::Message) -> Self {
        let sent = UNIX_EPOCH + Duration::from_millis(timestamp);
        Self { id, sender, sent, topic, payload, is_request }
    }
}

/// Makes a service of a function from [`Message`] to `Result<Option<Vec<u8>>, Error>`: `Some` is the reply to a request,
/// `None` an empty one, and an [`Error`] goes to the sender in its place.
///
/// Used once, in a crate of the type `cdylib`. The component exports `kos:agent/handler`. It is called for
/// what the agent may receive (`messaging.receive`).
#[macro_export]
macro_rules! service {
    ($handle:path) => {
        const _: () = {
            struct Service;

            impl $crate::bindings::exports::kos::agent::handler::Guest for Service {
                fn handle(
                    message: $crate::bindings::exports::kos::agent::handler::Message,
                ) -> ::core::result::Result<
                    ::core::option::Option<::std::vec::Vec<u8>>,
                    $crate::bindings::kos::agent::types::Error,
                > {
                    $crate::handler::answer($handle, message)
                }
            }

    $crate::bindings::export_service!(Service with_types_in $crate::bindings);
        };
    };
}

/// Calls the author's function for [`service!`](crate::service).
#[doc(hidden)]
pub fn answer(
    handle: impl FnOnce(Message) -> Result<Option<Vec<u8>>, Error>,
    message: raw::Message,
) -> Result<Option<Vec<u8>>, types::Error> {
    Ok(handle(message.into())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> raw::Message {
        raw::Message {
            id: "m".into(),
            sender: "did:key:z6Mk".into(),
            timestamp: 1_500,
            topic: "t".into(),
            is_request: true,
            payload: b"a".to_vec(),
        }
    }

    #[test]
    fn the_function_gets_the_message_and_its_reply_goes_back() {
        let reply = answer(
            |message| {
                assert_eq!(message.sent, UNIX_EPOCH + Duration::from_millis(1_500));
                Ok(Some(message.payload))
            },
            message(),
        );
        assert!(matches!(reply, Ok(Some(payload)) if payload == b"a"));
    }

    #[test]
    fn an_error_of_the_function_goes_to_the_sender() {
        let reply = answer(|_| Err(Error::Invalid("payload".into())), message());
        assert!(matches!(reply, Err(types::Error::Invalid(what)) if what == "payload"));
    }
}
