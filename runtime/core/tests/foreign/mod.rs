//! An exported vault by another hand: the format as its documentation says, with no code of the vault.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use hkdf::Hkdf;
use kos_core::canonical::{base64_encode, to_canonical};
use kos_core::crypto;
use kos_core::id::AgreementKey;
use serde_json::{Map, Value, json};
use sha2::Sha512;

const DATA_KEY: [u8; 32] = [7; 32];
const VAULT: [u8; 16] = [1; 16];
const ENVIRONMENT: &str = "elsewhere";
const GENERATION: u64 = 5;

/// A document for the holder of `recipient`, with these API keys by name and value.
pub(crate) fn exported<'a>(
    recipient: &AgreementKey,
    secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Vec<u8> {
    let entries: Map<String, Value> =
        secrets.into_iter().map(|(name, value)| (format!("api_key/{name}"), entry(name, value))).collect();
    let bound = framed(&[&VAULT, ENVIRONMENT.as_bytes()]);
    let sealed = crypto::seal(recipient, b"kos/vault-export/v1", &bound, &DATA_KEY).unwrap();
    let mut document = json!({
        "version": 1,
        "vault": {
            "id": hex::encode(VAULT),
            "environment": ENVIRONMENT,
            "generation": GENERATION,
            "keepVersions": 3,
        },
        "masterKeyDerivation": {
            "algorithm": "HPKE",
            "recipient": recipient.to_string(),
            "sealed": base64_encode(&sealed),
        },
        "encryptedData": entries,
        "integrity": { "lastModified": 3 },
    });
    let key: [u8; 32] = expanded(None, "kos/vault-checksum/v1", 32).try_into().unwrap();
    let checksum = blake3::keyed_hash(&key, &to_canonical(&document).unwrap());
    if let Some(integrity) = document.get_mut("integrity").and_then(Value::as_object_mut) {
        integrity.insert("checksum".to_owned(), base64_encode(checksum.as_bytes()).into());
    }
    to_canonical(&document).unwrap()
}

fn entry(name: &str, value: &[u8]) -> Value {
    let salt: [u8; 32] = crypto::random().unwrap();
    let schedule = expanded(Some(&salt), "kos/vault-secret/v1", 76);
    let (key, rest) = schedule.split_at(32);
    let (iv, commitment) = rest.split_at(12);
    let version = 1_u32;
    let associated = framed(&[
        &VAULT,
        ENVIRONMENT.as_bytes(),
        name.as_bytes(),
        b"api_key",
        b"",
        &version.to_be_bytes(),
        &GENERATION.to_be_bytes(),
    ]);
    let sealed = Aes256Gcm::new_from_slice(key)
        .unwrap()
        .encrypt(iv.try_into().unwrap(), Payload { msg: value, aad: &associated })
        .unwrap();
    let (ciphertext, tag) = sealed.split_at(value.len());
    json!({
        "ciphertext": base64_encode(ciphertext),
        "iv": base64_encode(iv),
        "tag": base64_encode(tag),
        "salt": base64_encode(&salt),
        "commitment": base64_encode(commitment),
        "generation": GENERATION,
        "metadata": { "type": "api_key", "created": 1, "changed": 2, "version": version },
        "previous": [],
    })
}

fn expanded(salt: Option<&[u8]>, purpose: &str, length: usize) -> Vec<u8> {
    let mut output = vec![0; length];
    Hkdf::<Sha512>::new(salt, &DATA_KEY).expand(purpose.as_bytes(), &mut output).unwrap();
    output
}

/// Each field behind its length.
fn framed(fields: &[&[u8]]) -> Vec<u8> {
    fields.iter().flat_map(|field| [&(field.len() as u64).to_be_bytes()[..], field].concat()).collect()
}
