//! From a passphrase to 32 bytes, at a price for whoever guesses.
//!
//! Source: RFC 9106 (Argon2id), RFC 8018 (PBKDF2), OWASP's password storage figures for the floors.
//! In scope: the parameters, their floors and caps. Out of scope: what the bytes unlock ([`super::slot`]).

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use sha2::Sha512;
use zeroize::Zeroizing;

/// OWASP's smallest recommended memory for Argon2id with two passes; less is refused.
const MEMORY_KIB_MIN: u32 = 19 * 1024;
/// A small board has 256 MiB in all; more would let an altered file end the process by want of memory.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// One pass at 19 MiB is below what OWASP recommends.
const PASSES_MIN: u32 = 2;
/// At 256 MiB, ten passes are about two seconds; more would let an altered file stall every start.
const PASSES_MAX: u32 = 10;
/// RFC 9106 recommends 4 lanes; more than 16 brings nothing on the machines this runs on.
const LANES_MAX: u32 = 16;
/// The rounds that the specification names; fewer are refused.
const ROUNDS_MIN: u32 = 200_000;
/// Ten times the floor, about one second; more would let an altered file stall every start.
const ROUNDS_MAX: u32 = 2_000_000;

/// How a passphrase becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Kdf {
    /// Argon2id, version 1.3.
    Argon2id {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
        /// Lanes, which may be filled at the same time.
        lanes: u32,
    },
    /// PBKDF2 with HMAC-SHA512.
    Pbkdf2Sha512 {
        /// Iterations.
        rounds: u32,
    },
}

/// Why parameters are refused before anything is derived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("the key derivation's {parameter} is {value}; between {min} and {max} is accepted")]
pub struct KdfError {
    /// Which parameter.
    pub parameter: String,
    /// What it is.
    pub value: u32,
    /// The floor: less is too easy to guess against.
    pub min: u32,
    /// The cap: more would stall or starve the machine.
    pub max: u32,
}

impl Kdf {
    /// For desktops and servers: Argon2id, 64 MiB, 3 passes, 4 lanes (RFC 9106's second recommendation).
    #[must_use]
    pub fn standard() -> Self {
        Self::Argon2id { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }

    /// For small boards: Argon2id, 19 MiB, 2 passes, 1 lane (OWASP's floor).
    #[must_use]
    pub fn board() -> Self {
        Self::Argon2id { memory_kib: MEMORY_KIB_MIN, passes: PASSES_MIN, lanes: 1 }
    }

    /// As the specification words it: PBKDF2 with HMAC-SHA512 and 200,000 rounds.
    #[must_use]
    pub fn specification() -> Self {
        Self::Pbkdf2Sha512 { rounds: ROUNDS_MIN }
    }

    /// Whether every parameter is between its floor and its cap. Costs nothing.
    ///
    /// # Errors
    /// [`KdfError`] names the first that is not.
    pub fn check(&self) -> Result<(), KdfError> {
        match *self {
            Self::Argon2id { memory_kib, passes, lanes } => {
                within("memory in KiB", memory_kib, MEMORY_KIB_MIN, MEMORY_KIB_MAX)?;
                within("number of passes", passes, PASSES_MIN, PASSES_MAX)?;
                within("number of lanes", lanes, 1, LANES_MAX)
            }
            Self::Pbkdf2Sha512 { rounds } => within("number of rounds", rounds, ROUNDS_MIN, ROUNDS_MAX),
        }
    }

    /// The 32 bytes of `passphrase` and `salt`, after [`Kdf::check`].
    pub(crate) fn derive(&self, passphrase: &[u8], salt: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, KdfError> {
        self.check()?;
        let mut key = Zeroizing::new([0; 32]);
        match *self {
            Self::Argon2id { memory_kib, passes, lanes } => {
                // Neither call fails within the bounds just checked; the error is what is left to say.
                let refused = |_| KdfError {
                    parameter: "memory in KiB".to_owned(),
                    value: memory_kib,
                    min: MEMORY_KIB_MIN,
                    max: MEMORY_KIB_MAX,
                };
                let parameters = Params::new(memory_kib, passes, lanes, Some(key.len())).map_err(refused)?;
                let mut memory = Zeroizing::new(vec![Block::new(); parameters.block_count()]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
                    .hash_password_into_with_memory(passphrase, salt, key.as_mut(), memory.as_mut_slice())
                    .map_err(refused)?;
            }
            Self::Pbkdf2Sha512 { rounds } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(passphrase, salt, rounds, key.as_mut());
            }
        }
        Ok(key)
    }
}

fn within(parameter: &str, value: u32, min: u32, max: u32) -> Result<(), KdfError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(KdfError { parameter: parameter.to_owned(), value, min, max })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn parameters_beyond_floor_or_cap_are_refused_before_any_work() {
        let argon2 = |memory_kib, passes, lanes| Kdf::Argon2id { memory_kib, passes, lanes };
        let started = std::time::Instant::now();
        for kdf in [
            argon2(MEMORY_KIB_MIN - 1, 2, 1),
            argon2(MEMORY_KIB_MAX + 1, 2, 1),
            argon2(u32::MAX, u32::MAX, u32::MAX),
            argon2(MEMORY_KIB_MIN, 1, 1),
            argon2(MEMORY_KIB_MIN, PASSES_MAX + 1, 1),
            argon2(MEMORY_KIB_MIN, 2, 0),
            argon2(MEMORY_KIB_MIN, 2, LANES_MAX + 1),
            Kdf::Pbkdf2Sha512 { rounds: 0 },
            Kdf::Pbkdf2Sha512 { rounds: ROUNDS_MIN - 1 },
            Kdf::Pbkdf2Sha512 { rounds: u32::MAX },
        ] {
            assert!(kdf.check().is_err(), "{kdf:?}");
            assert!(kdf.derive(b"passphrase", &[0; 32]).is_err(), "{kdf:?}");
        }
        assert!(started.elapsed().as_millis() < 50, "nothing was derived");
    }

    /// Computed by OpenSSL 3 from the passphrase `passphrase` and a salt of 32 ones; the first two stand in
    /// `tests/vectors/argon2id.json` too.
    const BY_OPENSSL: [(&str, Kdf); 3] = [
        (
            "3c1e72b2150c96fd369bac0587f42e8719d09dc234f34e7db27323300a205a81",
            Kdf::Argon2id { memory_kib: 65_536, passes: 3, lanes: 4 },
        ),
        (
            "37172ccc1714cb2ef96ba337aef6b9e49929b12ad7d6b6f651afeafeb592bf76",
            Kdf::Argon2id { memory_kib: 19_456, passes: 2, lanes: 1 },
        ),
        (
            "ea82ded19f0cade846734bc84e0d67dc149e0fc216384de5ebbeaa4a7c02de59",
            Kdf::Pbkdf2Sha512 { rounds: 200_000 },
        ),
    ];

    #[test]
    fn every_profile_derives_what_another_implementation_derives() {
        let profiles = [Kdf::standard(), Kdf::board(), Kdf::specification()];
        for (profile, (expected, parameters)) in profiles.into_iter().zip(BY_OPENSSL) {
            assert_eq!(profile, parameters);
            let key = profile.derive(b"passphrase", &[1; 32]).unwrap();
            assert_eq!(hex::encode(*key), expected, "{profile:?}");
            assert_ne!(hex::encode(*profile.derive(b"passphrasE", &[1; 32]).unwrap()), expected);
            assert_ne!(hex::encode(*profile.derive(b"passphrase", &[2; 32]).unwrap()), expected);
        }
    }
}
