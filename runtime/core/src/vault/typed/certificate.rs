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
        let content = block(label, value.len(), &mut lines).ok_or(NOT_PEM)?;
        if label == CERTIFICATE {
            let own_end = end_of(&content).ok_or(NOT_A_CERTIFICATE)?;
            end = end.or(Some(own_end));
        } else if !KEYS.contains(&label) {
            return Err("it holds something else than certificates and unencrypted private keys");
        }
    }
    end.ok_or("it holds no certificate")
}

/// The bytes of a block of at most `max` characters, up to the line that ends it.
fn block<'a>(
    label: &str,
    max: usize,
    lines: &mut impl Iterator<Item = &'a str>,
) -> Option<Zeroizing<Vec<u8>>> {
    // Never grown, as what growing leaves behind would not be erased.
    let mut encoded = Zeroizing::new(String::with_capacity(max));
    for line in lines {
        if line.strip_prefix("-----END ").and_then(|rest| rest.strip_suffix("-----")) == Some(label) {
            return STANDARD.decode(&*encoded).ok().map(Zeroizing::new).filter(|bytes| !bytes.is_empty());
        }
        if line.is_empty() {
            return None;
        }
        encoded.push_str(line);
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// A leaf, its authority, and the leaf's private key, made by OpenSSL 3.
    const CHAIN: &str = include_str!("../../../tests/certificates/chain.pem");

    fn blocks() -> Vec<String> {
        CHAIN.split("-----BEGIN ").skip(1).map(|block| format!("-----BEGIN {block}")).collect()
    }

    #[test]
    fn a_chain_ends_with_its_leaf() {
        let blocks = blocks();
        assert_eq!(blocks.len(), 3);
        let leaf = Timestamp::parse("2081-08-27T12:57:50Z").unwrap();
        let authority = Timestamp::parse("2109-01-13T12:57:50Z").unwrap();
        assert_eq!(check(CHAIN.as_bytes()), Ok(leaf));
        assert_eq!(check(blocks[0].as_bytes()), Ok(leaf));
        assert_eq!(check(blocks[1].as_bytes()), Ok(authority));
        let key_first = [&blocks[2][..], &blocks[0]].concat();
        assert_eq!(check(key_first.as_bytes()), Ok(leaf));
        assert_eq!(check(CHAIN.replace('\n', "\r\n").as_bytes()), Ok(leaf));
        assert_eq!(check(blocks.join("\n").as_bytes()), Ok(leaf), "with empty lines between");
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let blocks = blocks();
        let (leaf, key) = (&blocks[0], &blocks[2]);
        for text in [
            "",
            "certificate",
            key,
            &format!("comment\n{leaf}"),
            &format!("{leaf}comment\n"),
            &leaf.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
            &key.replace("PRIVATE KEY", "CERTIFICATE"),
            &format!("{leaf}{}", key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
            &format!("{leaf}{}", key.replace("PRIVATE KEY", "PUBLIC KEY")),
            &format!("{leaf}{}", key.replacen("-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1)),
            &blocks[1].replacen("MII", "MIJ", 1),
            &leaf.replacen("-----END", "AAAA\n-----END", 1),
            &leaf.replace("-----END CERTIFICATE-----", ""),
            &leaf.replace("-----END CERTIFICATE-----", "-----END PRIVATE KEY-----"),
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            &format!(" {leaf}"),
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
        assert!(check(b"\xff").is_err());
    }
}
