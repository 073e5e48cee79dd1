//! Secrets computed from the files of a home by the documented formats, with HKDF and AES-GCM alone, and a search for them in the
//! memory of another process.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use serde_json::Value;
use sha2::Sha512;

/// How much is read at once; no secret is nearly as long.
const CHUNK: usize = 1 << 20;

/// How often each needle is in the readable memory of a process.
pub(crate) fn count(pid: u32, needles: &[&[u8]]) -> Vec<usize> {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let longest = needles.iter().map(|needle| needle.len()).max().unwrap();
    let (mut hits, mut read) = (vec![0; needles.len()], 0_u64);
    let mut chunk = vec![0; CHUNK + longest];
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        // The kernel's own pages in a process are not its memory.
        if !rest.starts_with('r') || rest.ends_with("[vvar]") || rest.ends_with("[vsyscall]") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [mut start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        while start < end {
            let wanted = usize::try_from(end - start).unwrap().min(chunk.len());
            // What cannot be read, such as a guard page, holds nothing.
            let Ok(length @ 1..) = memory.read_at(&mut chunk[..wanted], start) else { break };
            for (hits, needle) in hits.iter_mut().zip(needles) {
                *hits += occurrences(&chunk[..length], needle);
            }
            read += length as u64;
            // The end of a chunk is read again with the next, as a needle may lie across.
            let overlap = if length < wanted || start + length as u64 >= end { 0 } else { longest - 1 };
            start += (length - overlap) as u64;
        }
    }
    assert!(read > 1 << 20, "only {read} bytes of {pid} could be read");
    hits
}

/// As a plain search would find, but fast in a build without optimisation: few places begin as the needle does.
fn occurrences(haystack: &[u8], needle: &[u8]) -> usize {
    let first = u64::from_ne_bytes(needle[..8].try_into().unwrap());
    let starts_so = |window: &&[u8]| u64::from_ne_bytes((*window).try_into().unwrap()) == first;
    let places = haystack.windows(8).enumerate().filter(|(_, window)| starts_so(window));
    places.filter(|(at, _)| haystack[*at..].starts_with(needle)).count()
}

/// The secret of the home's key file, and the root key that it opens.
pub(crate) fn root_key(home: &Path, key_file: &Path) -> (Vec<u8>, Vec<u8>) {
    let secret = std::fs::read(key_file).unwrap();
    let slots = json(&home.join("slots.json"));
    let slot = &slots["slots"][0];
    let key = derived(Some(&bytes(&slot["salt"])), &secret, "kos/slot-secret/v1", 32);
    let root = unwrapped(&key, slot, "kos/slot/v1", &slot["info"]);
    (secret, root)
}

/// The Ed25519 seed and the X25519 secret in a key's file.
pub(crate) fn private_halves(home: &Path, root: &[u8], key: &str) -> [Vec<u8>; 2] {
    let file = json(&home.join(format!("keys/{}.json", key.replace('/', "-"))));
    let private = unwrapped(root, &file, "kos/key/v1", &file["public"]);
    let (seed, agreement) = private.split_at(32);
    [seed.to_vec(), agreement.to_vec()]
}

fn unwrapped(key: &[u8], holder: &Value, purpose: &str, associated: &Value) -> Vec<u8> {
    let schedule = derived(Some(&bytes(&holder["salt"])), key, purpose, 76);
    assert_eq!(schedule[44..], bytes(&holder["wrapped"]["commitment"]), "the key is the right one");
    let aad = serde_json_canonicalizer::to_vec(associated).unwrap();
    let nonce = Nonce::try_from(&schedule[32..44]).unwrap();
    let ciphertext = bytes(&holder["wrapped"]["ciphertext"]);
    let cipher = Aes256Gcm::new_from_slice(&schedule[..32]).unwrap();
    cipher.decrypt(&nonce, Payload { msg: &ciphertext, aad: &aad }).unwrap()
}

pub(crate) fn derived(salt: Option<&[u8]>, secret: &[u8], purpose: &str, length: usize) -> Vec<u8> {
    let mut output = vec![0; length];
    Hkdf::<Sha512>::new(salt, secret).expand(purpose.as_bytes(), &mut output).unwrap();
    output
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn bytes(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}
