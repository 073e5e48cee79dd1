//! What a message carries: its kind, its topic and its body, which no router sees where the message is sealed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MESSAGE_MAX;
use super::error::{ContentError, Rejection};
use super::header::MessageId;
use crate::canonical::{self, CanonicalError, base64_bytes};
use crate::clock::Timestamp;

/// A body is base64 within base64, 16/9 of its size, so that it fits into a message of [`MESSAGE_MAX`] bytes, sealed or
/// not.
pub const BODY_MAX: usize = 512 * 1024;
/// A scope has the peer before the topic, up to 69 of the 256 characters of a scope.
pub const TOPIC_MAX: usize = 128;

/// What a message is about, as scopes name it: 1 to 128 printable ASCII characters without spaces, without `*` and
/// without a leading `!`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(String);

impl Topic {
    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Topic {
    type Err = ContentError;

    fn from_str(text: &str) -> Result<Self, ContentError> {
        let is_topic = (1..=TOPIC_MAX).contains(&text.len())
            && !text.starts_with('!')
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        if is_topic { Ok(Self(text.to_owned())) } else { Err(ContentError::topic(text)) }
    }
}

serde_as_text!(Topic);

/// What a message is to its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Wants no answer.
    Message,
    /// Wants an answer.
    Request,
    /// Answers a request.
    Reply,
    /// Says why a request has no answer.
    Error,
}

/// What a message carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Content {
    kind: Kind,
    topic: Topic,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<MessageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    #[serde(with = "base64_bytes")]
    body: Vec<u8>,
}

impl Content {
    /// A message that wants no answer.
    ///
    /// # Errors
    /// [`ContentError::TooLarge`] beyond [`BODY_MAX`] bytes.
    pub fn message(topic: Topic, body: Vec<u8>) -> Result<Self, ContentError> {
        Self { kind: Kind::Message, topic, in_reply_to: None, deadline: None, body }.checked()
    }

    /// A request, whose answer is of no use after `deadline`.
    ///
    /// # Errors
    /// As [`Content::message`].
    pub fn request(topic: Topic, body: Vec<u8>, deadline: Option<Timestamp>) -> Result<Self, ContentError> {
        Self { kind: Kind::Request, topic, in_reply_to: None, deadline, body }.checked()
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// As [`Content::message`].
    pub fn reply(in_reply_to: MessageId, topic: Topic, body: Vec<u8>) -> Result<Self, ContentError> {
        Self { kind: Kind::Reply, topic, in_reply_to: Some(in_reply_to), deadline: None, body }.checked()
    }

    /// Why a request has no answer.
    ///
    /// # Errors
    /// As [`Content::message`].
    pub fn error(in_reply_to: MessageId, topic: Topic, body: Vec<u8>) -> Result<Self, ContentError> {
        Self { kind: Kind::Error, topic, in_reply_to: Some(in_reply_to), deadline: None, body }.checked()
    }

    /// What it is to its recipient.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is about.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The request that a reply or an error answers.
    #[must_use]
    pub fn in_reply_to(&self) -> Option<MessageId> {
        self.in_reply_to
    }

    /// When a request no longer needs its answer.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Gives the body away.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        canonical::from_canonical::<Self>(bytes, MESSAGE_MAX)
            .map_err(|_| Rejection::Content)?
            .checked()
            .map_err(|_| Rejection::Content)
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::to_canonical(self)
    }

    fn checked(self) -> Result<Self, ContentError> {
        let is_answer = matches!(self.kind, Kind::Reply | Kind::Error);
        if self.in_reply_to.is_some() != is_answer || (self.deadline.is_some() && self.kind != Kind::Request)
        {
            return Err(ContentError::Fields);
        }
        if self.body.len() > BODY_MAX {
            return Err(ContentError::TooLarge { size: self.body.len() });
        }
        Ok(self)
    }
}
