//! Checks the notary's receipt with OpenSSL and the key in its `did:key`: nothing of kOS takes part.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::stage::{Stage, alter, text};
use crate::shell::{self, say};

/// The multicodec prefix of an Ed25519 public key (did:key, section 3).
const ED25519_PREFIX: [u8; 2] = [0xed, 0x01];
/// What stands before an Ed25519 public key in a SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Checks that the receipt is signed by the key that it names and tells the hash of `input`.
pub(crate) fn check(stage: &Stage, receipt: &str, input: &str) -> Result<()> {
    let receipt = Receipt::parse(receipt)?;
    let folder = stage.whole(&stage.file("receipt"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    say(format!("  signed by {}", receipt.signer));
    if !shell::is_available("openssl") {
        write(&folder, "receipt.json", receipt.text.as_bytes())?;
        say("  OpenSSL is not installed, so the signature is NOT CHECKED by other means than our own");
        return Ok(());
    }
    let files = receipt.write(&folder)?;
    ensure!(files.verifies(&files.message)?, "OpenSSL finds the receipt's signature wrong");
    let altered = folder.join("message.altered");
    alter(&files.message, &altered)?;
    ensure!(!files.verifies(&altered)?, "OpenSSL takes the signature for another message's");
    say("ok  OpenSSL verifies the signature with the key in that did:key, and refuses it for one bit less");
    let digest = sha512(&stage.whole(input))?;
    ensure!(receipt.sha512 == digest, "the receipt tells {}, the file has {digest}", receipt.sha512);
    say(format!("ok  the SHA-512 in it is that of {input}"));
    Ok(())
}

/// The parts of a receipt.
struct Receipt {
    text: String,
    signer: String,
    /// What was signed: the pre-authentication encoding of DSSE v1.0.2.
    message: Vec<u8>,
    signature: Vec<u8>,
    sha512: String,
}

impl Receipt {
    fn parse(line: &str) -> Result<Self> {
        let start = line.find('{').with_context(|| format!("the notary printed no receipt: {line}"))?;
        let json = line.get(start..).unwrap_or_default();
        let envelope: Value = serde_json::from_str(json).context("the receipt is not JSON")?;
        let kind = text(&envelope, "/payloadType")?;
        let payload = STANDARD.decode(text(&envelope, "/payload")?).context("the payload is not base64")?;
        let signature =
            STANDARD.decode(text(&envelope, "/signatures/0/sig")?).context("the signature is not base64")?;
        let statement: Value = serde_json::from_slice(&payload).context("the payload is not JSON")?;
        let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        message.extend_from_slice(&payload);
        Ok(Self {
            text: json.to_owned(),
            signer: text(&envelope, "/signatures/0/keyid")?,
            message,
            signature,
            sha512: text(&statement, "/sha512")?,
        })
    }

    /// Writes the parts as files for OpenSSL.
    fn write(&self, folder: &Path) -> Result<Files> {
        write(folder, "receipt.json", self.text.as_bytes())?;
        Ok(Files {
            message: write(folder, "message", &self.message)?,
            signature: write(folder, "signature", &self.signature)?,
            key: write(folder, "key.der", &public_key(&self.signer)?)?,
        })
    }
}

struct Files {
    message: PathBuf,
    signature: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Whether OpenSSL accepts the signature for a message.
    fn verifies(&self, message: &Path) -> Result<bool> {
        let status = Command::new("openssl")
            .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey"])
            .arg(&self.key)
            .arg("-in")
            .arg(message)
            .arg("-sigfile")
            .arg(&self.signature)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("cannot start openssl")?;
        Ok(status.success())
    }
}

/// The key inside a `did:key`, in the form that OpenSSL reads.
fn public_key(did: &str) -> Result<Vec<u8>> {
    let base58 = did.strip_prefix("did:key:z").with_context(|| format!("{did} is no did:key"))?;
    let bytes = bs58::decode(base58).into_vec().with_context(|| format!("{did} is not base58"))?;
    let Some(key) = bytes.strip_prefix(&ED25519_PREFIX) else { bail!("{did} is no Ed25519 key") };
    Ok([SPKI_PREFIX.as_slice(), key].concat())
}

fn sha512(file: &Path) -> Result<String> {
    let output = shell::output(Command::new("openssl").args(["dgst", "-sha512", "-r"]).arg(file))?;
    Ok(output.split_whitespace().next().unwrap_or_default().to_owned())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_rfc_8032_test_1_is_found_in_its_did() {
        let der = public_key("did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw").unwrap();
        assert_eq!(der.len(), 44);
        assert_eq!(der.get(12..16).unwrap(), [0xd7, 0x5a, 0x98, 0x01]);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        assert!(public_key("did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc").is_err());
    }
}
