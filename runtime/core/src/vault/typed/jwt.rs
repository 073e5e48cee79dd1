//! Tokens in their compact form.
//!
//! Source: RFC 7519, RFC 7515 (compact serialisation). In scope: three parts of strict base64url, a header that names a
//! signing algorithm, a payload with an optional end. Out of scope: the signature, which only the issuer's key verifies.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::canonical;
use crate::clock::Timestamp;
use crate::vault::SECRET_MAX;

/// Checks a token, and gives its `exp`.
pub(super) fn check(value: &[u8]) -> Result<Option<Timestamp>, &'static str> {
    let text = str::from_utf8(value).map_err(|_| "it is not text")?;
    let mut parts = text.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("it has not three parts with a dot between them");
    };
    let header = object(header, "its header is not base64url of a JSON object")?;
    match header.get("alg").and_then(Value::as_str) {
        Some(algorithm) if !algorithm.is_empty() && !algorithm.eq_ignore_ascii_case("none") => {}
        Some(_) => return Err("it is not signed: its algorithm is `none`"),
        None => return Err("its header names no algorithm"),
    }
    let payload = object(payload, "its payload is not base64url of a JSON object")?;
    let signature = decode(signature).ok_or("its signature is not base64url without padding")?;
    if signature.is_empty() {
        return Err("it has no signature");
    }
    payload.get("exp").map(end).transpose()
}

/// A NumericDate: seconds, perhaps with a fraction, which is cut off.
fn end(exp: &Value) -> Result<Timestamp, &'static str> {
    let seconds = exp.as_u64().or_else(|| {
        let seconds = exp.as_f64().filter(|seconds| (0.0..1e15).contains(seconds))?;
        // Whole after the floor, and within the bounds just checked.
        format!("{:.0}", seconds.floor()).parse().ok()
    });
    let seconds = seconds.ok_or("its `exp` is not a time in seconds")?;
    Ok(Timestamp::from_millis(seconds.saturating_mul(1_000)))
}

fn object(part: &str, cause: &'static str) -> Result<Map<String, Value>, &'static str> {
    let bytes = decode(part).ok_or(cause)?;
    canonical::from_strict(&bytes, SECRET_MAX).map_err(|_| cause)
}

fn decode(part: &str) -> Option<Zeroizing<Vec<u8>>> {
    URL_SAFE_NO_PAD.decode(part).ok().map(Zeroizing::new)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        [header, payload, "signature"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    /// The example of RFC 7519, section 3.1.
    const PUBLISHED: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn the_published_token_ends_when_it_says() {
        let end = check(PUBLISHED.as_bytes()).unwrap().unwrap();
        assert_eq!(end, Timestamp::from_millis(1_300_819_380_000));
        assert_eq!(end.to_string(), "2011-03-22T18:43:00Z");
    }

    #[test]
    fn an_end_is_optional_and_may_have_a_fraction() {
        let header = r#"{"alg":"EdDSA"}"#;
        assert_eq!(check(token(header, "{}").as_bytes()), Ok(None));
        let end = check(token(header, r#"{"exp":12.9}"#).as_bytes()).unwrap();
        assert_eq!(end, Some(Timestamp::from_millis(12_000)));
        for exp in ["-1", "\"12\"", "null", "[]", "1e300"] {
            assert!(check(token(header, &format!(r#"{{"exp":{exp}}}"#)).as_bytes()).is_err(), "{exp}");
        }
    }

    #[test]
    fn what_is_no_signed_token_is_refused() {
        let unsigned = token(r#"{"alg":"none"}"#, "{}");
        let bare =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode("{}"));
        for text in [
            "",
            "a.b",
            "a.b.c.d",
            &unsigned,
            &unsigned.replace("bm9uZQ", "Tm9OZQ"),
            &bare,
            &token("{}", "{}"),
            &token(r#"{"alg":7}"#, "{}"),
            &token(r#"{"alg":"HS256"}"#, "[]"),
            &token(r#"{"alg":"HS256","alg":"none"}"#, "{}"),
            &format!("{PUBLISHED}="),
            &format!("{PUBLISHED}\n"),
            &PUBLISHED.replace('-', "+"),
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
        assert!(check(b"\xff.\xff.\xff").is_err());
    }
}
