//! Hashes: FIPS 180-4 SHA-512, and BLAKE3.

use std::sync::{Mutex, PoisonError};

use kos_core::permission::Grant;
use kos_core::permission::marker::CryptoHash;
use sha2::{Digest as _, Sha512};

use crate::bindings::Error;
use crate::bindings::crypto::Algorithm;

/// The scope in which `crypto.hash` is granted for `algorithm`.
pub(super) fn scope(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha512 => "sha-512",
        Algorithm::Blake3 => "blake3",
    }
}

/// The hash of `data`.
pub(super) fn once(_: &Grant<'_, CryptoHash>, algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
    match algorithm {
        Algorithm::Sha512 => Sha512::digest(data).to_vec(),
        Algorithm::Blake3 => blake3::hash(data).as_bytes().to_vec(),
    }
}

/// A hash being computed. The lock is never contended: one store runs on one thread. It lets data be read from the guest's memory
/// while the state behind a shared reference changes.
#[expect(unreachable_pub, reason = "the generated bindings name it in public items of their own")]
pub struct Hasher {
    algorithm: Algorithm,
    state: Mutex<Option<State>>,
}

enum State {
    Sha512(Sha512),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub(super) fn open(_: &Grant<'_, CryptoHash>, algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
            Algorithm::Blake3 => State::Blake3(Box::default()),
        };
        Self { algorithm, state: Mutex::new(Some(state)) }
    }

    pub(super) fn scope(&self) -> &'static str {
        scope(self.algorithm)
    }

    pub(super) fn update(&self, _: &Grant<'_, CryptoHash>, data: &[u8]) -> Result<(), Error> {
        match self.state.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            None => return Err(finished()),
            Some(State::Sha512(hasher)) => hasher.update(data),
            Some(State::Blake3(hasher)) => drop(hasher.update(data)),
        }
        Ok(())
    }

    pub(super) fn finish(&self, _: &Grant<'_, CryptoHash>) -> Result<Vec<u8>, Error> {
        match self.state.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Err(finished()),
            Some(State::Sha512(hasher)) => Ok(hasher.finalize().to_vec()),
            Some(State::Blake3(hasher)) => Ok(hasher.finalize().as_bytes().to_vec()),
        }
    }
}

fn finished() -> Error {
    Error::Invalid("the hash is finished".into())
}
