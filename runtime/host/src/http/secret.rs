//! Secrets that the host puts into a request, for an audience that they were granted for.
//!
//! In scope: the entry, which is durable before the secret is there, and what a secret must be to be sent and recognised
//! again. Keeps I5 and I6.

use std::sync::Arc;

use ::http::header::{ACCEPT_ENCODING, HeaderName, RANGE};
use ::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use kos_core::audience::Audience;
use kos_core::custody::Secret;
use kos_core::permission::marker::VaultSend;
use kos_core::permission::{Denied, Grant, Reason};
use kos_core::vault::SecretId;
use wasmtime_wasi_http::Error;
use zeroize::Zeroizing;

use super::mask::Mask;
use super::placeholder::Template;
use crate::access::{Refused, access};
use crate::agent::Powers;
use crate::approval::authorize;

/// Secrets in one request: a key, its name, a signature, and one to spare.
const SECRETS: usize = 4;

/// The shortest secret that is sent: what is shorter cannot be told from ordinary text in a response.
const SHORTEST: usize = 8;

/// The longest: as long as the whole head of a request that common servers accept.
const LONGEST: usize = 8 << 10;

/// The header fields of a request that hold a placeholder.
pub(super) struct Templates(Vec<(HeaderName, usize, Template)>);

impl Templates {
    /// Reads the fields of a request.
    ///
    /// # Errors
    /// When a placeholder is malformed, there are too many, or the request asks for a part of the response, in which a part
    /// of a secret would not be recognised.
    pub(super) fn read(fields: &HeaderMap) -> Result<Self, Error> {
        let mut found = Vec::new();
        for name in fields.keys() {
            for (place, value) in fields.get_all(name).iter().enumerate() {
                if let Some(template) =
                    Template::read(value.as_bytes()).map_err(|_| Error::ConfigurationError)?
                {
                    found.push((name.clone(), place, template));
                }
            }
        }
        if found.len() > SECRETS || !found.is_empty() && fields.contains_key(RANGE) {
            return Err(Error::ConfigurationError);
        }
        Ok(Self(found))
    }

    /// The scopes that the secrets must be granted for.
    pub(super) fn scopes(&self, audience: &Audience) -> Vec<String> {
        self.0.iter().map(|(_, _, template)| format!("{audience}/{}", template.id())).collect()
    }

    /// Puts the secrets in; what masks them in the response, if there are any.
    ///
    /// # Errors
    /// When one of them is not granted for the audience, or cannot be sent.
    pub(super) async fn fill(
        self,
        fields: &mut HeaderMap,
        powers: &Arc<Powers>,
        audience: &Audience,
    ) -> Result<Option<Mask>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut secrets = Vec::with_capacity(self.0.len());
        for ((name, place, template), scope) in self.0.iter().zip(self.scopes(audience)) {
            let grant = authorize::<VaultSend>(powers, &scope).await.map_err(|denied| heard(&denied))?;
            let secret = send(grant, powers, template.id(), audience).await?;
            let value = value(template, &secret)?;
            if let Some(field) = fields.iter_mut().filter(|(field, _)| *field == name).nth(*place) {
                *field.1 = value;
            }
            secrets.push(secret);
        }
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(Some(Mask::of(secrets.iter().map(|secret| secret.expose().trim_ascii()))))
    }
}

/// The secret, once its entry is durable.
async fn send(
    grant: Grant<'_, VaultSend>,
    powers: &Powers,
    id: &SecretId,
    audience: &Audience,
) -> Result<Secret, Error> {
    let (id, audience) = (id.clone(), audience.to_string());
    let sent = access(grant, powers, move |vault, by| vault.send(by, &id, &audience)).await;
    sent.map_err(|refused| match refused {
        Refused::Limited => Error::ConnectionLimitReached,
        Refused::Denied(denied) => heard(&denied),
        Refused::Vault(error) => {
            tracing::warn!(%error, "a secret was not put into a request");
            Error::InternalError(None)
        }
        Refused::Unavailable => Error::InternalError(None),
    })
}

/// What the agent hears of a denial. What it may do and only cannot now, it hears so.
fn heard(denied: &Denied) -> Error {
    if denied.reason == Reason::Locked { Error::InternalError(None) } else { Error::HttpRequestDenied }
}

/// The header value with the secret in it, erased when the request is gone.
fn value(template: &Template, secret: &Secret) -> Result<HeaderValue, Error> {
    if !(SHORTEST..=LONGEST).contains(&secret.expose().trim_ascii().len()) {
        return Err(Error::ConfigurationError);
    }
    let filled = Bytes::from_owner(Zeroizing::new(template.filled(secret.expose())));
    let mut value = HeaderValue::from_maybe_shared(filled).map_err(|_| Error::ConfigurationError)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn template() -> Template {
        Template::read(b"Bearer {{vault:api_key/a}}").unwrap().unwrap()
    }

    fn filled(secret: &[u8]) -> Result<HeaderValue, Error> {
        value(&template(), &Secret::new(secret.to_vec()))
    }

    #[test]
    fn a_secret_that_is_no_header_value_or_no_secret_is_not_sent() {
        assert_eq!(filled(b"12345678").unwrap(), "Bearer 12345678");
        assert!(filled(b"12345678").unwrap().is_sensitive());
        for secret in [&b"1234567"[..], b"1234567 ", b"12345678\r\nx: y", b"12345678\n", b"1234\x005678", b""]
        {
            assert!(matches!(filled(secret), Err(Error::ConfigurationError)), "{secret:?}");
        }
        assert!(filled(&vec![b'x'; LONGEST + 1]).is_err());
    }

    #[test]
    fn each_placeholder_is_found_where_it_stands() {
        let mut fields = HeaderMap::new();
        fields.append("x-key", HeaderValue::from_static("plain"));
        fields.append("x-key", HeaderValue::from_static("{{vault:api_key/b}}"));
        fields.append("authorization", HeaderValue::from_static("Bearer {{vault:api_key/a}}"));
        let mut scopes = Templates::read(&fields).unwrap().scopes(&"a.example:443".parse().unwrap());
        scopes.sort_unstable();
        assert_eq!(scopes, ["a.example:443/api_key/a", "a.example:443/api_key/b"]);
    }

    #[test]
    fn a_part_of_a_response_is_not_asked_for_with_a_secret() {
        let mut fields = HeaderMap::new();
        fields.append(RANGE, HeaderValue::from_static("bytes=7-9"));
        assert!(Templates::read(&fields).is_ok());
        fields.append("x-key", HeaderValue::from_static("{{vault:api_key/b}}"));
        assert!(Templates::read(&fields).is_err());
    }
}
