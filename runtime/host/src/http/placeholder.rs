//! `{{vault:TYPE/NAME}}`: where in a header value a secret goes.
//!
//! In scope: reading it. A value holds at most one, and nothing else in it is interpreted; a request with more, or with one
//! that is malformed, is not sent, as it would send the agent's mistake to the server.

use kos_core::vault::SecretId;

/// How a placeholder begins.
const OPENS: &[u8] = b"{{vault:";
/// How it ends.
const CLOSES: &[u8] = b"}}";

/// The value holds more than one placeholder, or none that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header value holds at most one placeholder, {{{{vault:TYPE/NAME}}}}")]
pub(super) struct PlaceholderError;

/// A header value with a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    before: Vec<u8>,
    id: SecretId,
    after: Vec<u8>,
}

impl Template {
    /// Reads a header value; none where no placeholder begins in it.
    pub(super) fn read(value: &[u8]) -> Result<Option<Self>, PlaceholderError> {
        let Some((before, rest)) = split(value, OPENS) else { return Ok(None) };
        let (id, after) = split(rest, CLOSES).ok_or(PlaceholderError)?;
        if split(after, OPENS).is_some() {
            return Err(PlaceholderError);
        }
        let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()).ok_or(PlaceholderError)?;
        Ok(Some(Self { before: before.to_vec(), id, after: after.to_vec() }))
    }

    /// Which secret goes there.
    pub(super) fn id(&self) -> &SecretId {
        &self.id
    }

    /// The value with the secret in its place.
    pub(super) fn filled(&self, secret: &[u8]) -> Vec<u8> {
        [&self.before, secret, &self.after].concat()
    }
}

/// What stands before and after the first `separator`.
fn split<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    let (before, rest) = text.split_at(at);
    Some((before, rest.get(separator.len()..)?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_secret_takes_the_place_of_its_placeholder_alone() {
        let template = Template::read(b"Bearer {{vault:api_key/weather}}; {x}").unwrap().unwrap();
        assert_eq!(template.id().to_string(), "api_key/weather");
        assert_eq!(template.filled(b"s3cret"), b"Bearer s3cret; {x}");
    }

    #[test]
    fn a_value_in_which_no_placeholder_begins_stays_as_it_is() {
        for value in
            ["", "Bearer x", "{{vault}}", "{{ vault:api_key/a }}", "{vault:api_key/a}", "{{env:HOME}}"]
        {
            assert_eq!(Template::read(value.as_bytes()), Ok(None), "{value}");
        }
    }

    #[test]
    fn two_placeholders_or_a_malformed_one_are_refused() {
        for value in [
            "{{vault:api_key/a}}{{vault:api_key/b}}",
            "{{vault:api_key/a}} {{vault:",
            "{{vault:api_key/a",
            "{{vault:}}",
            "{{vault:a}}",
            "{{vault:ssh/a}}",
            "{{vault: api_key/a}}",
            "{{vault:{{vault:api_key/a}}}}",
        ] {
            assert_eq!(Template::read(value.as_bytes()), Err(PlaceholderError), "{value}");
        }
    }
}
