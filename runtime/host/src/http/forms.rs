//! The forms in which a server may say a secret back.
//!
//! In scope: as it is, base64 (RFC 4648, both alphabets, wherever it begins within a longer text), hex, percent-encoded (RFC
//! 3986, and as browsers' forms do), escaped in JSON (RFC 8259) and in HTML. Out of scope: compressed, encrypted, hashed,
//! split, or encoded twice. A server that wants to can always tell; this keeps secrets from those that echo.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use zeroize::Zeroizing;

/// A text that gives a secret away.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) text: Zeroizing<Vec<u8>>,
    /// Whether the character before it holds bits of the secret, too, if it is of a base64 alphabet.
    pub(super) before: bool,
    /// The same of the character after it.
    pub(super) after: bool,
}

impl Form {
    fn whole(text: Vec<u8>) -> Self {
        Self { text: Zeroizing::new(text), before: false, after: false }
    }
}

/// Every form of a secret, each once.
pub(super) fn of(secret: &[u8]) -> Vec<Form> {
    let mut forms = vec![Form::whole(secret.to_vec())];
    for alphabet in [STANDARD, URL_SAFE] {
        let engine = GeneralPurpose::new(&alphabet, NO_PAD);
        forms.extend((0..3).map(|offset| base64(&engine, secret, offset)));
    }
    forms.push(Form::whole(hex(secret, "", Case::Lower)));
    forms.push(Form::whole(hex(secret, "", Case::Upper)));
    for case in [Case::Lower, Case::Upper] {
        forms.extend(KEPT.map(|kept| Form::whole(percent(secret, kept, case))));
    }
    forms.extend(ESCAPES.iter().map(|escapes| Form::whole(escaped(secret, escapes))));
    let mut distinct: Vec<Form> = Vec::new();
    for form in forms {
        if !distinct.contains(&form) {
            distinct.push(form);
        }
    }
    distinct
}

/// The characters of a base64 text that hold bits of the secret alone, where `offset` bytes stand before it (modulo 3).
fn base64(engine: &GeneralPurpose, secret: &[u8], offset: usize) -> Form {
    let padded = Zeroizing::new([&vec![0; offset], secret].concat());
    let encoded = Zeroizing::new(engine.encode(&*padded).into_bytes());
    let (start, end) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
    Form {
        text: Zeroizing::new(encoded.get(start..end).unwrap_or_default().to_vec()),
        before: offset != 0,
        after: !padded.len().is_multiple_of(3),
    }
}

#[derive(Clone, Copy)]
enum Case {
    Lower,
    Upper,
}

fn hex(bytes: &[u8], prefix: &str, case: Case) -> Vec<u8> {
    let mut text = String::with_capacity(bytes.len() * (prefix.len() + 2));
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = match case {
            Case::Lower => write!(text, "{prefix}{byte:02x}"),
            Case::Upper => write!(text, "{prefix}{byte:02X}"),
        };
    }
    text.into_bytes()
}

/// What an encoder leaves as it is beside letters and digits: nothing, and not even those; a component of a URL by the RFC;
/// one in JavaScript; a whole URL in JavaScript; a form, in which a space is a plus sign.
const KEPT: [Option<&[u8]>; 5] =
    [None, Some(b"-._~"), Some(b"-._~!'()*"), Some(b"-._~!'()*;/?:@&=+$,#"), Some(b"-._* ")];

fn percent(secret: &[u8], kept: Option<&[u8]>, case: Case) -> Vec<u8> {
    let is_kept = |byte: u8| kept.is_some_and(|marks| byte.is_ascii_alphanumeric() || marks.contains(&byte));
    let mut text = Vec::with_capacity(secret.len() * 3);
    for byte in secret {
        match byte {
            b' ' if is_kept(b' ') => text.push(b'+'),
            byte if is_kept(*byte) => text.push(*byte),
            byte => text.extend(hex(&[*byte], "%", case)),
        }
    }
    text
}

/// The longest escape, so that no text is moved while it grows and left behind.
const ESCAPE_MAX: usize = 6;

type Escapes = &'static [(u8, &'static str)];

/// JSON without and with the escape that it leaves free; HTML as most libraries and as Go's write it.
const ESCAPES: [Escapes; 4] = [
    &[(b'"', "\\\""), (b'\\', "\\\\"), (b'\t', "\\t")],
    &[(b'"', "\\\""), (b'\\', "\\\\"), (b'\t', "\\t"), (b'/', "\\/")],
    &[(b'&', "&amp;"), (b'<', "&lt;"), (b'>', "&gt;"), (b'"', "&quot;"), (b'\'', "&#39;")],
    &[(b'&', "&amp;"), (b'<', "&lt;"), (b'>', "&gt;"), (b'"', "&#34;"), (b'\'', "&#39;")],
];

fn escaped(secret: &[u8], escapes: Escapes) -> Vec<u8> {
    let mut text = Vec::with_capacity(secret.len() * ESCAPE_MAX);
    for byte in secret {
        match escapes.iter().find(|(escaped, _)| escaped == byte) {
            Some((_, escape)) => text.extend(escape.as_bytes()),
            None => text.push(*byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(secret: &str, text: &str) -> bool {
        of(secret.as_bytes()).iter().any(|form| form.text.as_slice() == text.as_bytes())
    }

    #[test]
    fn each_form_is_what_others_make_of_the_secret() {
        let secret = "p@ss \"w/rd\\é";
        assert!(has(secret, secret));
        assert!(has(secret, "70407373202277 2f72645cc3a9".replace(' ', "").as_str()));
        assert!(has(secret, "7040737320227 72F72645CC3A9".replace(' ', "").as_str()));
        assert!(has(secret, "p%40ss%20%22w%2Frd%5C%C3%A9"));
        assert!(has(secret, "p%40ss%20%22w%2frd%5c%c3%a9"));
        assert!(has(secret, "p@ss%20%22w/rd%5C%C3%A9"));
        assert!(has(secret, "p%40ss+%22w%2Frd%5C%C3%A9"));
        assert!(has(secret, "p@ss \\\"w/rd\\\\é"));
        assert!(has(secret, "p@ss \\\"w\\/rd\\\\é"));
        assert!(has(secret, "p@ss &quot;w/rd\\é"));
    }

    #[test]
    fn base64_is_found_wherever_the_secret_begins() {
        let secret = "s3cret-t0ken";
        for before in ["", "a", "ab", "abc", "user:", "x=1&"] {
            for after in ["", "b", "bc"] {
                let encoded =
                    GeneralPurpose::new(&STANDARD, NO_PAD).encode(format!("{before}{secret}{after}"));
                let is_found = of(secret.as_bytes()).iter().any(|form| {
                    encoded.as_bytes().windows(form.text.len()).any(|window| window == form.text.as_slice())
                });
                assert!(is_found, "{encoded}");
            }
        }
    }

    #[test]
    fn a_form_is_never_shorter_than_the_secret() {
        assert!(of(b"12345678").iter().all(|form| form.text.len() >= 8));
    }
}
