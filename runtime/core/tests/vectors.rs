//! The primitives against published values, each file naming its source; none is skipped, and the counts are fixed.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
use chacha20poly1305::ChaCha20Poly1305;
use hkdf::Hkdf;
use kos_core::audited_vault::{AuditedVault, AuditedVaultError};
use kos_core::canonical;
use kos_core::clock::{SystemClock, Timestamp};
use kos_core::crypto::{self, AgreementSecret, SecretKey, Signer as _};
use kos_core::custody::{self, Custodian, CustodyError, KeyHandle, Secret, SlotSpec};
use kos_core::home::Home;
use kos_core::id::Did;
use kos_core::log::{Event, EventType, Log, PartyType};
use kos_core::message::{Content, Draft, MESSAGE_TYPE, SignedMessage};
use kos_core::vault::{Change, Cipher, MacAlgorithm, Operation, SecretId, VaultError};
use serde_json::{Map, Value};
use sha2::{Sha256, Sha512};

/// The vectors of a file, which must be exactly as many as are known to be in it.
macro_rules! vectors {
    ($file:literal, $count:literal) => {{
        let text = include_str!(concat!("vectors/", $file, ".json"));
        let document: Value = serde_json::from_str(text).unwrap();
        let vectors = document["vectors"].as_array().unwrap().clone();
        assert_eq!(vectors.len(), $count, $file);
        vectors
    }};
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap()
}

fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(vector, field)).unwrap()
}

fn array<const N: usize>(vector: &Value, field: &str) -> [u8; N] {
    bytes(vector, field).try_into().unwrap()
}

fn number(vector: &Value, field: &str) -> u32 {
    vector[field].as_u64().unwrap().try_into().unwrap()
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut altered = bytes.to_vec();
    *altered.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
    altered
}

#[test]
fn ed25519_signs_and_verifies_the_published_signatures() {
    for vector in vectors!("ed25519", 4) {
        let key = SecretKey::from_seed(&array(&vector, "seed"));
        let (message, signature) = (bytes(&vector, "message"), array::<64>(&vector, "signature"));
        let did = Did::from_public_key(&array(&vector, "publicKey")).unwrap();
        assert_eq!(key.did(), did, "{vector}");
        assert_eq!(key.sign(&message).unwrap(), signature, "{vector}");
        assert!(did.verify(&message, &signature), "{vector}");
        for bit in 0..signature.len() * 8 {
            let altered = flipped(&signature, bit).try_into().unwrap();
            assert!(!did.verify(&message, &altered), "bit {bit} of {vector}");
        }
    }
}

#[test]
fn the_first_published_key_has_its_did() {
    let vectors = vectors!("ed25519", 4);
    let did = Did::from_public_key(&array(&vectors[0], "publicKey")).unwrap();
    assert_eq!(did.to_string(), "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw");
}

#[test]
fn x25519_derives_the_published_public_keys() {
    for vector in vectors!("x25519", 2) {
        let secret = AgreementSecret::from_bytes(&array(&vector, "secret"));
        assert_eq!(secret.agreement_key().as_bytes(), &array(&vector, "publicKey"), "{vector}");
    }
}

#[test]
fn hpke_opens_the_published_ciphertext_and_no_other() {
    for vector in vectors!("hpke-x25519-chacha20poly1305", 1) {
        let secret = AgreementSecret::from_bytes(&array(&vector, "recipientSecret"));
        assert_eq!(secret.agreement_key().as_bytes(), &array(&vector, "recipientKey"), "{vector}");
        let (info, associated) = (bytes(&vector, "info"), bytes(&vector, "associated"));
        let sealed = [bytes(&vector, "encapsulated"), bytes(&vector, "ciphertext")].concat();
        let opened = crypto::open(&secret, &info, &associated, &sealed).unwrap();
        assert_eq!(*opened, bytes(&vector, "plaintext"), "{vector}");
        for bit in 0..sealed.len() * 8 {
            let altered = flipped(&sealed, bit);
            // X25519 ignores the topmost bit of a public key, but HPKE binds the encoding as it was sent.
            assert!(crypto::open(&secret, &info, &associated, &altered).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn aes_256_gcm_has_the_published_ciphertexts_and_tags() {
    for vector in vectors!("aes-256-gcm", 4) {
        aead::<Aes256Gcm>(&vector);
    }
}

#[test]
fn chacha20_poly1305_has_the_published_ciphertext_and_tag() {
    for vector in vectors!("chacha20-poly1305", 1) {
        aead::<ChaCha20Poly1305>(&vector);
    }
}

fn aead<A: Aead + KeyInit>(vector: &Value) {
    let cipher = A::new_from_slice(&bytes(vector, "key")).unwrap();
    let nonce = bytes(vector, "nonce");
    let nonce = nonce.as_slice().try_into().unwrap();
    let (plaintext, associated) = (bytes(vector, "plaintext"), bytes(vector, "associated"));
    let expected = [bytes(vector, "ciphertext"), bytes(vector, "tag")].concat();
    let sealed = cipher.encrypt(nonce, Payload { msg: &plaintext, aad: &associated }).unwrap();
    assert_eq!(sealed, expected, "{vector}");
    let opened = cipher.decrypt(nonce, Payload { msg: &expected, aad: &associated }).unwrap();
    assert_eq!(opened, plaintext, "{vector}");
    for bit in 0..expected.len() * 8 {
        let altered = flipped(&expected, bit);
        let refused = cipher.decrypt(nonce, Payload { msg: &altered, aad: &associated });
        assert!(refused.is_err(), "bit {bit} of {vector}");
    }
}

#[test]
fn hkdf_expands_to_the_published_bytes() {
    for vector in vectors!("hkdf-sha256", 3) {
        let mut output = vec![0; bytes(&vector, "okm").len()];
        let (salt, info) = (bytes(&vector, "salt"), bytes(&vector, "info"));
        Hkdf::<Sha256>::new(Some(&salt), &bytes(&vector, "ikm")).expand(&info, &mut output).unwrap();
        assert_eq!(output, bytes(&vector, "okm"), "{vector}");
    }
    for vector in vectors!("hkdf-sha512", 3) {
        let mut output = vec![0; bytes(&vector, "okm").len()];
        let (salt, info) = (bytes(&vector, "salt"), bytes(&vector, "info"));
        Hkdf::<Sha512>::new(Some(&salt), &bytes(&vector, "ikm")).expand(&info, &mut output).unwrap();
        assert_eq!(output, bytes(&vector, "okm"), "{vector}");
    }
}

#[test]
fn pbkdf2_hmac_sha512_derives_the_published_keys() {
    for vector in vectors!("pbkdf2-hmac-sha512", 5) {
        let mut key = [0; 64];
        let (password, salt) = (text(&vector, "password"), text(&vector, "salt"));
        let rounds = number(&vector, "rounds");
        pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), salt.as_bytes(), rounds, &mut key);
        assert_eq!(key, array(&vector, "key"), "{vector}");
    }
}

#[test]
fn argon2id_has_the_published_tag() {
    for vector in vectors!("argon2id", 3) {
        let parameters = ParamsBuilder::new()
            .m_cost(number(&vector, "memoryKib"))
            .t_cost(number(&vector, "passes"))
            .p_cost(number(&vector, "lanes"))
            .data(AssociatedData::new(&bytes(&vector, "associated")).unwrap())
            .build()
            .unwrap();
        let secret = bytes(&vector, "secret");
        let argon2 =
            Argon2::new_with_secret(&secret, Algorithm::Argon2id, Version::V0x13, parameters).unwrap();
        let mut tag = [0; 32];
        argon2.hash_password_into(&bytes(&vector, "password"), &bytes(&vector, "salt"), &mut tag).unwrap();
        assert_eq!(tag, array(&vector, "tag"), "{vector}");
    }
}

#[test]
fn keyed_blake3_has_the_published_tags() {
    for vector in vectors!("blake3-keyed", 2) {
        let input: Vec<u8> = (0..=250).cycle().take(number(&vector, "length").try_into().unwrap()).collect();
        let tag = blake3::keyed_hash(&array(&vector, "key"), &input);
        assert_eq!(tag.as_bytes(), &array(&vector, "tag"), "{vector}");
    }
}

/// A vault in a home of its own, whose operations are given the published secrets.
struct Operations {
    vault: AuditedVault,
    id: SecretId,
    _folder: tempfile::TempDir,
}

impl Operations {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path().join("home")).unwrap();
        let slot = SlotSpec::Secret { secret: vec![7; 32].into() };
        let custodian: Arc<dyn Custodian> = Arc::new(custody::initialise(&home, &[slot]).unwrap());
        let host = "host/host".parse().unwrap();
        custodian.create(&host).unwrap();
        let host = Arc::new(KeyHandle::new(Arc::clone(&custodian), host).unwrap());
        let log = Log::open(&home.log(), "kos.test/log", host, Arc::new(SystemClock)).unwrap();
        let vault = AuditedVault::new(custodian, Arc::new(log), "default".parse().unwrap());
        Self { vault, id: "api_key/vector".parse().unwrap(), _folder: folder }
    }

    fn hold(&self, secret: Vec<u8>) {
        let change = Change::Put { id: self.id.clone(), value: Secret::new(secret), expires_at: None };
        self.vault.change(by(), change).unwrap();
    }

    fn make(&self, operation: Operation) -> Result<Vec<u8>, AuditedVaultError> {
        Ok(self.vault.use_secret(by(), &self.id, operation)?.expose().to_vec())
    }
}

fn by() -> Event {
    Event::new(EventType::VaultAccess, PartyType::User, "did:key:tester")
}

#[test]
fn a_secret_of_the_vault_signs_the_published_signatures() {
    let operations = Operations::new();
    for vector in vectors!("ed25519", 4) {
        operations.hold(bytes(&vector, "seed"));
        let signature = operations.make(Operation::Sign { message: bytes(&vector, "message") }).unwrap();
        assert_eq!(signature, bytes(&vector, "signature"), "{vector}");
    }
}

#[test]
fn a_secret_of_the_vault_makes_the_published_macs() {
    let operations = Operations::new();
    let check = |vectors: Vec<Value>, algorithm| {
        for vector in vectors {
            operations.hold(bytes(&vector, "key"));
            let mac =
                operations.make(Operation::Mac { algorithm, message: bytes(&vector, "message") }).unwrap();
            let tag = bytes(&vector, "tag");
            assert_eq!(mac.get(..tag.len()), Some(&tag[..]), "{vector}");
        }
    };
    check(vectors!("hmac-sha256", 7), MacAlgorithm::HmacSha256);
    check(vectors!("hmac-sha512", 7), MacAlgorithm::HmacSha512);
}

#[test]
fn a_secret_of_the_vault_decrypts_the_published_ciphertexts_and_no_others() {
    let operations = Operations::new();
    let check = |vectors: Vec<Value>, cipher| {
        for vector in vectors {
            operations.hold(bytes(&vector, "key"));
            let open = |ciphertext: Vec<u8>| {
                let associated = bytes(&vector, "associated");
                operations.make(Operation::Decrypt { cipher, associated, ciphertext })
            };
            let sealed =
                [bytes(&vector, "nonce"), bytes(&vector, "ciphertext"), bytes(&vector, "tag")].concat();
            assert_eq!(open(sealed.clone()).unwrap(), bytes(&vector, "plaintext"), "{vector}");
            let refused = open(flipped(&sealed, sealed.len() * 8 - 1)).unwrap_err();
            assert!(
                matches!(refused, AuditedVaultError::Custody(CustodyError::Vault(VaultError::Ciphertext))),
                "{vector}"
            );
        }
    };
    check(vectors!("aes-256-gcm", 4), Cipher::Aes256Gcm);
    check(vectors!("chacha20-poly1305", 1), Cipher::ChaCha20Poly1305);
}

#[test]
fn jcs_orders_and_writes_as_published() {
    for vector in vectors!("jcs", 3) {
        let written = canonical::to_canonical(&vector["value"]).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), text(&vector, "canonical"), "{vector}");
    }
}

#[test]
fn a_message_has_the_bytes_and_the_signature_of_the_vector() {
    for vector in vectors!("message", 2) {
        let sender = SecretKey::from_seed(&array(&vector, "senderSeed"));
        let (from, to): (Did, Did) =
            (text(&vector, "from").parse().unwrap(), text(&vector, "to").parse().unwrap());
        let message_bytes = text(&vector, "message").as_bytes().to_vec();
        let message = SignedMessage::verify(message_bytes.clone()).unwrap();
        assert_eq!((message.header().from(), message.header().to()), (&from, &to), "{vector}");
        assert_eq!(sender.did(), from, "{vector}");

        let mut fields: Map<String, Value> = serde_json::from_slice(&message_bytes).unwrap();
        let signature = fields.remove("signature").unwrap();
        let signed = canonical::to_canonical(&fields).unwrap();
        assert_eq!(signed, text(&vector, "signed").as_bytes(), "{vector}");
        let expected = bytes(&vector, "signature");
        assert_eq!(canonical::base64_decode(signature.as_str().unwrap()).unwrap(), expected, "{vector}");
        let again = sender.sign(&crypto::pae(MESSAGE_TYPE, &signed)).unwrap();
        assert_eq!(again.to_vec(), expected, "{vector}");
        assert_eq!(message.is_sealed(), vector.get("info").is_some());
    }
}

#[test]
fn a_plain_message_is_made_as_the_vector_says() {
    let vectors = vectors!("message", 2);
    let vector = &vectors[0];
    let sender = SecretKey::from_seed(&array(vector, "senderSeed"));
    let content =
        Content::request(text(vector, "topic").parse().unwrap(), bytes(vector, "body"), None).unwrap();
    let now = Timestamp::from_millis(vector["timestamp"].as_u64().unwrap());
    let to = text(vector, "to").parse().unwrap();
    let message = Draft::new(&sender, to, content, now, &array(vector, "randomness")).signed().unwrap();
    assert_eq!(message.as_bytes(), text(vector, "message").as_bytes());
}

#[test]
fn a_sealed_message_opens_with_the_info_and_the_associated_bytes_of_the_vector() {
    let vectors = vectors!("message", 2);
    let vector = &vectors[1];
    let secret = AgreementSecret::from_bytes(&array(vector, "recipientAgreementSecret"));
    let fields: Value = serde_json::from_str(text(vector, "message")).unwrap();
    let part = |name: &str| canonical::base64_decode(fields["encryption"][name].as_str().unwrap()).unwrap();
    let sealed = [part("ephemeralKey"), part("ciphertext"), part("tag")].concat();
    let (info, associated) = (bytes(vector, "info"), text(vector, "associated").as_bytes());
    let opened = crypto::open(&secret, &info, associated, &sealed).unwrap();
    assert_eq!(*opened, text(vector, "content").as_bytes());
}
