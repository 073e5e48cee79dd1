//! Typed secrets: a value is checked for the form of its type before it is stored.
//!
//! In scope: the form, and the end that a value names itself. Out of scope: whether a certificate or a token is trusted by
//! anybody. A cause never repeats a part of the value.

mod certificate;
mod jwt;

use super::error::VaultError;
use super::secret::SecretType;
use crate::clock::Timestamp;

/// Longer than any password that a person or a service keeps.
const PASSWORD_MAX: usize = 1024;

/// Checks a value for its type, and gives the end that it names itself.
pub(super) fn check(kind: SecretType, value: &[u8]) -> Result<Option<Timestamp>, VaultError> {
    let checked = match kind {
        SecretType::ApiKey => Ok(None),
        SecretType::Certificate => certificate::check(value).map(Some),
        SecretType::Password => password(value).map(|()| None),
        SecretType::Jwt => jwt::check(value),
    };
    checked.map_err(|cause| VaultError::Value { kind, cause: cause.to_owned() })
}

fn password(value: &[u8]) -> Result<(), &'static str> {
    if value.len() > PASSWORD_MAX {
        return Err("it has more than 1024 bytes");
    }
    let text = str::from_utf8(value).map_err(|_| "it is not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("it is not one line without control characters");
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn an_api_key_is_any_bytes() {
        assert_eq!(check(SecretType::ApiKey, &[0, 255, 10]), Ok(None));
    }

    #[test]
    fn a_password_is_one_line_of_text() {
        for password in ["x", "correct horse battery staple", "pâté 🐎", &"x".repeat(PASSWORD_MAX)] {
            assert_eq!(check(SecretType::Password, password.as_bytes()), Ok(None), "{password}");
        }
        let long = "x".repeat(PASSWORD_MAX + 1);
        for bytes in [&b"two\nlines"[..], b"end\n", b"tab\t", b"\x7f", b"nul\0", b"\xff\xfe", long.as_bytes()]
        {
            let refused = check(SecretType::Password, bytes).unwrap_err();
            assert!(matches!(refused, VaultError::Value { kind: SecretType::Password, .. }), "{bytes:?}");
        }
    }
}
