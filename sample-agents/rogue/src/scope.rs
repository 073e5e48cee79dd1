//! Calls that the operator did not grant, and scopes that look like granted ones.

use kos_sdk::crypto::{Algorithm, Hasher};
use kos_sdk::{audit, crypto, identity};

use crate::Attack;
use crate::verdict::Verdict;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("open-ungranted", "denied", || crypto::open(b"", &[0; 48]).into()),
    Attack::new("seal-ungranted", "denied", seal_ungranted),
    Attack::new("seal-malformed-recipient", "denied", || crypto::seal("did:key:zzzz", b"", b"").into()),
    Attack::new("grants-ungranted", "denied", || identity::grants().into()),
    Attack::new("hash-outside-scope", "denied", || crypto::hash(Algorithm::Sha512, b"").into()),
    Attack::new("hasher-outside-scope", "denied", || Hasher::new(Algorithm::Sha512).into()),
    Attack::new("sign-outside-scope", "denied", || sign(&["payment"])),
    Attack::new("sign-longer-than-scope", "denied", || sign(&["receipt-2", "receipts", "receipt/x"])),
    Attack::new("sign-shorter-than-scope", "denied", || sign(&["receip", "r", ""])),
    Attack::new("sign-wildcard", "denied", || sign(&["*", "rec*", "receipt*", "?eceipt", ".*", "[a-z]+"])),
    Attack::new("sign-negation", "denied", || sign(&["!receipt", "!payment", "!"])),
    Attack::new("sign-other-case", "denied", || sign(&["RECEIPT", "Receipt"])),
    Attack::new("sign-with-spaces", "denied", || {
        sign(&[" receipt", "receipt ", "receipt\n", "\treceipt", "receipt\r\n"])
    }),
    Attack::new("sign-with-nul", "denied", || sign(&["receipt\0", "\0receipt", "receipt\0payment"])),
    Attack::new("sign-with-separators", "denied", || {
        sign(&["receipt,payment", "receipt;payment", "receipt|payment", "receipt\",\"payment", "receipt%00"])
    }),
    Attack::new("sign-with-dots", "denied", || {
        sign(&["receipt/../payment", "../receipt", "./receipt", "receipt/."])
    }),
    Attack::new("sign-lookalike", "denied", || sign(&["r\u{435}ceipt", "\u{ff52}eceipt", "re\u{327}ceipt"])),
    Attack::new("sign-invisible", "denied", || {
        sign(&["receipt\u{200b}", "\u{feff}receipt", "\u{202e}tpiecer", "rec\u{ad}eipt"])
    }),
    Attack::new("sign-host-format", "denied", || {
        sign(&["x/../message.v1+json", "../permissions.v1+json", "entry.v1+json", "receipt 4 DSSEv1"])
    }),
    Attack::new("sign-long-context", "denied", || sign(&["receipt".repeat(10_000).as_str()])),
    Attack::new("sign-malformed-in-scope", "invalid", || {
        sign(&["probe-/../x", "probe-*", "probe-A", &"probe-".repeat(11)])
    }),
    Attack::new("sign-unprintable-in-scope", "denied", || sign(&["probe- ", "probe-\0", "probe-\u{e9}"])),
    Attack::new("note-outside-scope", "denied", || note(&["system", "agent_launch", ""])),
    Attack::new("note-topic-tricks", "denied", || {
        note(&[
            "rogue/../system",
            "rogue\n\u{2014} host.example AAAA",
            "rogue\u{1b}[2J",
            "rogue\",\"actor\":\"system",
        ])
    }),
    Attack::new("note-malformed-in-scope", "invalid", || {
        note(&["probe-\"", "probe-A", &"probe-".repeat(11)])
    }),
    Attack::new("note-unprintable-in-scope", "denied", || {
        note(&["probe-\n\u{2014} host.example AAAA", "probe-\0", "probe-\u{1b}[2J"])
    }),
    Attack::new("note-too-long", "invalid", || {
        audit::note("rogue", &"a".repeat(audit::TEXT_BYTES + 1)).into()
    }),
    Attack::new("verify-outside-scope", "denied", || verify("did:web:example.com")),
    Attack::new("verify-malformed-signer", "invalid", || verify_with_tails(&["#key", "1"])),
    Attack::new("verify-unprintable-signer", "denied", || verify_with_tails(&[" ", "\n", "\0"])),
    Attack::new("verify-weak-signer", "invalid", || Verdict::agreed(WEAK_SIGNERS.map(verify))),
    Attack::new("verify-other-kind-of-key", "invalid", verify_other_kind_of_key),
    Attack::new("verify-short-signature", "invalid", verify_short_signature),
    Attack::new("verify-forged-signature", "ok", verify_forged_signature),
];

/// Public keys of small order: some signatures verify under them for any message.
const WEAK_SIGNERS: [&str; 2] = [
    "did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP",
    "did:key:z6MkeXATEjyXENzBXBxgC5EHk2JE5aqd7qMGGtDpLUH1e2Sj",
];

/// To its own key, which exists: a denial must not depend on that.
fn seal_ungranted() -> Verdict {
    identity::me().and_then(|me| crypto::seal(&me.agreement_key, b"", b"secret")).into()
}

fn sign(contexts: &[&str]) -> Verdict {
    Verdict::agreed(contexts.iter().map(|context| crypto::sign(context, b"a").into()))
}

fn note(topics: &[&str]) -> Verdict {
    Verdict::agreed(topics.iter().map(|topic| audit::note(topic, "a").into()))
}

fn verify(signer: &str) -> Verdict {
    crypto::verify(signer, "receipt", b"a", &[0; crypto::SIGNATURE_BYTES]).into()
}

/// Its own identifier, no longer in its one form.
fn verify_with_tails(tails: &[&str]) -> Verdict {
    match identity::me() {
        Ok(me) => Verdict::agreed(tails.iter().map(|tail| verify(&format!("{}{tail}", me.did)))),
        Err(error) => Verdict::Unexpected(error.to_string()),
    }
}

/// An X25519 key where an Ed25519 key belongs.
fn verify_other_kind_of_key() -> Verdict {
    match identity::me() {
        Ok(me) => verify(&me.agreement_key),
        Err(error) => Verdict::Unexpected(error.to_string()),
    }
}

fn verify_short_signature() -> Verdict {
    identity::me().and_then(|me| crypto::verify(&me.did, "receipt", b"a", &[0; 63])).into()
}

/// Its own signature counts for its own message and use, and for nothing else.
fn verify_forged_signature() -> Verdict {
    let judged = identity::me().and_then(|me| {
        let signature = crypto::sign("receipt", b"a")?;
        Ok([
            crypto::verify(&me.did, "receipt", b"a", &signature)?,
            crypto::verify(&me.did, "receipt", b"b", &signature)?,
            crypto::verify(&me.did, "payment", b"a", &signature)?,
            crypto::verify(&me.did, "receipt", b"a", &[0; crypto::SIGNATURE_BYTES])?,
            crypto::verify(&me.author, "receipt", b"a", &signature)?,
        ])
    });
    match judged {
        Ok([true, false, false, false, false]) => Verdict::Ok,
        Ok(other) => Verdict::Succeeded(format!("{other:?}")),
        Err(error) => Verdict::Unexpected(error.to_string()),
    }
}
