//! Secrets that the operator did not grant, or granted for something else; names that look like granted ones.

use kos_sdk::Error;
use kos_sdk::bindings::kos::agent::vault as raw;
use kos_sdk::vault::{self, Cipher, Mac, SECRET_BYTES};

use crate::Attack;
use crate::verdict::Verdict;

/// Beyond the standard limit of a host call's payload (16 MiB), within the memory that is granted.
const PAYLOAD: usize = 20 * 1024 * 1024;
/// A key of the one length that ciphers take.
const KEY: &[u8] = &[7; 32];

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("vault-reveal-with-use", "denied", reveal_with_use),
    Attack::new("vault-delete-with-put", "denied", delete_with_put),
    Attack::new("vault-use-outside-scope", "denied", || {
        mac(&[
            "api_key/host",
            "password/db",
            "jwt/session",
            "certificate/site",
            "api_key/rogue",
            "password/rogue-a",
        ])
    }),
    Attack::new("vault-put-outside-scope", "denied", || put(&["api_key/host", "api_key/rogue", "x"], KEY)),
    Attack::new("vault-name-with-dots", "denied", || {
        mac(&[
            "api_key/../password/x",
            "../vault/default.json",
            "./api_key/rogue-a",
            "api_key//rogue-a",
            "/etc/passwd",
        ])
    }),
    Attack::new("vault-name-malformed-in-scope", "invalid", || {
        mac(&[
            "api_key/rogue-/../../password/x",
            "api_key/rogue-a/../host",
            "api_key/rogue-",
            "api_key/rogue-A",
            "api_key/rogue-*",
            "api_key/rogue-a.json",
            "api_key/rogue-a\\..",
            &format!("api_key/rogue-{}", "a".repeat(200)),
        ])
    }),
    Attack::new("vault-name-other-case", "denied", || {
        mac(&["API_KEY/rogue-a", "Api_Key/rogue-a", "api_key/ROGUE-a"])
    }),
    Attack::new("vault-name-lookalike", "denied", || {
        mac(&[
            "api_key/rogue\u{2010}a",
            "\u{430}pi_key/rogue-a",
            "api_key\u{2215}rogue-a",
            "api_key/rogue-\u{430}",
        ])
    }),
    Attack::new("vault-name-unprintable", "denied", || {
        mac(&["api_key/rogue-a\0", "api_key/rogue-a\n", " api_key/rogue-a", "api_key/rogue-a\u{200b}"])
    }),
    Attack::new("vault-name-wildcard", "denied", || {
        mac(&["*", "api_key/*", "!api_key/rogue-a", "api_key/rogu?-a"])
    }),
    Attack::new("vault-name-long", "denied", || mac(&[&"api_key/rogue-a".repeat(10_000), ""])),
    Attack::new("vault-list-beyond-scope", "denied", || {
        Verdict::agreed(
            ["*", "api_key/*", "api_key/rogue*", "a*", "password/*", "!api_key/rogue-a", ""]
                .map(|pattern| vault::list(pattern).into()),
        )
    }),
    Attack::new("vault-list-malformed", "invalid", || {
        Verdict::agreed(["api_key/rogue-**", "api_key/rogue-*a"].map(|pattern| vault::list(pattern).into()))
    }),
    Attack::new("vault-list-hidden", "ok", list_hidden),
    Attack::new("vault-oracle", "denied", oracle),
    Attack::new("vault-put-too-large", "invalid", || {
        Verdict::agreed(
            [vec![b'a'; SECRET_BYTES + 1], Vec::new()].map(|value| put(&["api_key/rogue-large"], &value)),
        )
    }),
    Attack::new("vault-put-other-type", "invalid", put_other_type),
    Attack::new("vault-put-payload", "payload", || put(&["api_key/rogue-payload"], &vec![0; PAYLOAD])),
    Attack::new("vault-associated-payload", "payload", || {
        vault::encrypt("api_key/rogue-key", Cipher::Aes256Gcm, &vec![0; PAYLOAD], b"a").into()
    }),
    Attack::new("vault-denied-payload", "payload", || {
        vault::mac("password/db", Mac::HmacSha256, &vec![0; PAYLOAD]).into()
    }),
    Attack::new("vault-derive-malformed", "invalid", derive_malformed),
    Attack::new("vault-decrypt-forged", "invalid", decrypt_forged),
    Attack::new("vault-use-unsuitable", "invalid", use_unsuitable),
    Attack::new("vault-flood", "limited", flood),
    Attack::new("vault-flood-missing", "limited", flood_missing),
    Attack::new("vault-flood-denied", "denied", || {
        Verdict::agreed((0..50_000).map(|turn| vault::reveal(&format!("api_key/rogue-{turn}")).into()))
    }),
];

fn mac(names: &[&str]) -> Verdict {
    Verdict::agreed(names.iter().map(|name| vault::mac(name, Mac::HmacSha256, b"a").into()))
}

fn put(names: &[&str], value: &[u8]) -> Verdict {
    Verdict::agreed(names.iter().map(|name| vault::put(name, value, None).into()))
}

/// Does something with a secret of its own, which is there.
fn with_own(name: &str, value: &[u8], attack: impl FnOnce() -> Verdict) -> Verdict {
    match vault::put(name, value, None) {
        Ok(()) => attack(),
        Err(error) => Verdict::Unexpected(error.to_string()),
    }
}

fn reveal_with_use() -> Verdict {
    with_own("api_key/rogue-reveal", KEY, || vault::reveal("api_key/rogue-reveal").into())
}

fn delete_with_put() -> Verdict {
    with_own("api_key/rogue-delete", KEY, || vault::delete("api_key/rogue-delete").into())
}

/// Its grant denies the listing of one secret within the pattern.
fn list_hidden() -> Verdict {
    with_own("api_key/rogue-hidden", KEY, || match vault::list("api_key/rogue-*") {
        Ok(secrets) => match secrets.iter().find(|secret| secret.name == "api_key/rogue-hidden") {
            Some(secret) => Verdict::Succeeded(secret.name.clone()),
            None => Verdict::Ok,
        },
        Err(error) => Verdict::Unexpected(error.to_string()),
    })
}

/// Whether there is a secret must not be told by how its absence is refused.
fn oracle() -> Verdict {
    with_own("api_key/rogue-there", KEY, || {
        Verdict::agreed([
            vault::mac("api_key/rogue-absent", Mac::HmacSha256, b"a").into(),
            vault::sign("api_key/rogue-absent", b"a").into(),
            vault::derive("api_key/rogue-absent", "a", 32).into(),
            vault::mac("api_key/absent", Mac::HmacSha256, b"a").into(),
            vault::reveal("api_key/rogue-there").into(),
            vault::reveal("api_key/rogue-absent").into(),
            vault::delete("api_key/rogue-there").into(),
            vault::delete("api_key/rogue-absent").into(),
        ])
    })
}

fn put_other_type() -> Verdict {
    Verdict::agreed([
        put(&["password/rogue-a"], b"two\nlines"),
        put(&["password/rogue-a"], b"\xff\xfe"),
        put(&["jwt/rogue-a"], b"not.a.token"),
        put(&["jwt/rogue-a"], b"eyJhbGciOiJub25lIn0.e30."),
        put(&["certificate/rogue-a"], b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        put(&["certificate/rogue-a"], KEY),
    ])
}

fn derive_malformed() -> Verdict {
    let long = "a".repeat(65);
    with_own("api_key/rogue-derive", KEY, || {
        let contexts = ["", "A", "a b", "a/../b", "a\0", "\u{e9}", long.as_str()];
        let contexts = contexts.map(|context| vault::derive("api_key/rogue-derive", context, 32).into());
        let lengths =
            [0, 65, u32::MAX].map(|length| vault::derive("api_key/rogue-derive", "a", length).into());
        Verdict::agreed(contexts.into_iter().chain(lengths))
    })
}

fn decrypt_forged() -> Verdict {
    let name = "api_key/rogue-cipher";
    let judged = vault::put(name, KEY, None).and_then(|()| {
        let made = vault::encrypt(name, Cipher::Aes256Gcm, b"a", b"text")?;
        let mut altered = made.clone();
        altered.iter_mut().for_each(|byte| *byte ^= 1);
        let cut = made.get(1..).unwrap_or_default();
        Ok(Verdict::agreed([
            vault::decrypt(name, Cipher::Aes256Gcm, b"b", &made).into(),
            vault::decrypt(name, Cipher::ChaCha20Poly1305, b"a", &made).into(),
            vault::decrypt(name, Cipher::Aes256Gcm, b"a", &altered).into(),
            vault::decrypt(name, Cipher::Aes256Gcm, b"a", cut).into(),
            vault::decrypt(name, Cipher::Aes256Gcm, b"a", &[0; 27]).into(),
            vault::decrypt(name, Cipher::Aes256Gcm, b"a", b"").into(),
        ]))
    });
    judged.unwrap_or_else(|error| Verdict::Unexpected(error.to_string()))
}

/// A secret that is neither a seed nor of a cipher's length.
fn use_unsuitable() -> Verdict {
    let name = "api_key/rogue-short";
    with_own(name, b"short", || {
        Verdict::agreed([
            vault::sign(name, b"a").into(),
            vault::encrypt(name, Cipher::Aes256Gcm, b"", b"a").into(),
            vault::encrypt(name, Cipher::ChaCha20Poly1305, b"", b"a").into(),
        ])
    })
}

/// Each is allowed; all of them are not.
fn flood() -> Verdict {
    with_own("api_key/rogue-flood", KEY, || {
        let once =
            || raw::mac("api_key/rogue-flood", raw::MacAlgorithm::HmacSha256, b"a").map_err(Error::from);
        let refusal = (0..100_000).find_map(|_| once().err());
        refusal.map_or_else(
            || Verdict::Succeeded("100,000 accesses".to_owned()),
            |error| Err::<(), _>(error).into(),
        )
    })
}

/// Each is refused because there is nothing, which the log hears of; it must not hear of all of them.
fn flood_missing() -> Verdict {
    let ask = |turn: u32| vault::mac(&format!("api_key/rogue-absent-{turn}"), Mac::HmacSha256, b"a");
    let other = (0..100_000).map(ask).find(|answer| *answer != Err(Error::Denied));
    other.map_or_else(|| Verdict::Succeeded("100,000 accesses".to_owned()), Verdict::from)
}
