//! Certificates as PEM: a chain, with or without its private key.
//!
//! Source: RFC 7468 (PEM), RFC 5280 (certificates). In scope: the blocks and the end of the first certificate, the leaf.
//! Out of scope: whether the chain leads to anybody, and whether the key is the certificate's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::clock::Timestamp;

const CERTIFICATE: &str = "CERTIFICATE";
/// What may stand beside the certificates.
const KEYS: [&str; 3] = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"];

const NOT_PEM: &str = "it is not PEM: BEGIN and END lines with base64 between them";
const NOT_A_CERTIFICATE: &str = "a CERTIFICATE block holds no X.509 certificate";

/// Checks PEM, and gives the end of the first certificate.
pub(super) fn check(value: &[u8]) -> Result<Timestamp, &'static str> {
    let text = str::from_utf8(value).map_err(|_| NOT_PEM)?;
    let mut end = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let label = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
        let label = label.ok_or(NOT_PEM)?;
        let content = block(label, &mut lines).ok_or(NOT_PEM)?;
        if label == CERTIFICATE {
            let own_end = end_of(&content).ok_or(NOT_A_CERTIFICATE)?;
            end = end.or(Some(own_end));
        } else if !KEYS.contains(&label) {
            return Err("it holds something else than certificates and unencrypted private keys");
        }
    }
    end.ok_or("it holds no certificate")
}

/// The bytes of a block, up to the line that ends it.
fn block<'a>(label: &str, lines: &mut impl Iterator<Item = &'a str>) -> Option<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::new());
    for line in lines {
        if line.strip_prefix("-----END ").and_then(|rest| rest.strip_suffix("-----")) == Some(label) {
            return (!content.is_empty()).then_some(content);
        }
        // Whole lines are whole groups: only the last may have padding.
        let bytes = Zeroizing::new(STANDARD.decode(line).ok().filter(|bytes| !bytes.is_empty())?);
        // Grown by hand, as what is left behind by growing would not be erased.
        let mut grown = Zeroizing::new(Vec::with_capacity(content.len() + bytes.len()));
        grown.extend_from_slice(&content);
        grown.extend_from_slice(&bytes);
        content = grown;
    }
    None
}

fn end_of(certificate: &[u8]) -> Option<Timestamp> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    if !rest.is_empty() {
        return None;
    }
    // One that ended before 1970 ended long ago all the same.
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Some(Timestamp::from_millis(seconds.saturating_mul(1_000)))
}
