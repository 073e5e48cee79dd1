//! Cryptography with keys that the agent never sees: right results, and none without the grant (I2, I4, I6).

use std::process::Command;

use kos_core::id::Did;

use crate::support::{Ended, World, path_text, permissions};

/// FIPS 180-4 and BLAKE3 of `abc`.
const SHA512_ABC: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                          2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
const BLAKE3_ABC: &str = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
/// The beginning of an Ed25519 key as SubjectPublicKeyInfo (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What the probe needs besides, to be started.
const BESIDES: &str = "\"identity.self\" = {}\n\"audit.note\" = { scope = [\"probe\"] }\n";
/// Every capability of the interface, for the scopes that the tests use.
const ALL: &str = r#"
"crypto.hash" = { scope = ["sha-512", "blake3"] }
"crypto.sign" = { scope = ["receipt"] }
"crypto.verify" = { scope = ["did:key:z6Mk*"] }
"crypto.seal" = { scope = ["did:key:z6LS*"] }
"crypto.open" = {}
"#;

fn rules(crypto: &str) -> String {
    format!("{BESIDES}{crypto}")
}

/// Each capability, and a call of it that a grant of [`ALL`] covers, by an agent with these keys.
fn calls(did: &str, key: &str) -> [(&'static str, String); 6] {
    let signature = "00".repeat(64);
    [
        ("crypto.hash", "hash blake3 abc".to_owned()),
        ("crypto.hash", "hasher sha-512 abc".to_owned()),
        ("crypto.sign", "sign receipt abc".to_owned()),
        ("crypto.verify", format!("verify {did} receipt abc {signature}")),
        ("crypto.seal", format!("seal {key} abc")),
        // Not sealed to anybody: `invalid` when it is allowed.
        ("crypto.open", format!("open {}", "00".repeat(48))),
    ]
}

// [granted: crypto.hash, crypto.hasher.open, crypto.hasher.update, crypto.hasher.finish]
#[test]
fn hashes_are_those_of_the_published_vectors() {
    let world = World::trusting("external");
    let probe = world.probe(&rules(r#""crypto.hash" = { scope = ["*"] }"#));
    let mut agent = world.converse(&probe);
    for call in ["hash", "hasher"] {
        assert_eq!(agent.ask(&format!("{call} sha-512 abc")), SHA512_ABC);
        assert_eq!(agent.ask(&format!("{call} blake3 abc")), BLAKE3_ABC);
    }
    agent.end().succeeded();
}

// [granted: crypto.sign, crypto.verify]
#[test]
fn a_signature_verifies_with_openssl_and_with_the_contract() {
    let world = World::trusting("partner");
    let probe = world.probe(&rules(ALL));
    let mut agent = world.converse(&probe);
    let me = agent.ask("self");
    let did = me.split(' ').next().expect("a DID");
    let signature = agent.ask("sign receipt hello");
    assert_eq!(agent.ask(&format!("verify {did} receipt hello {signature}")), "true");
    assert_eq!(agent.ask(&format!("verify {did} receipt jello {signature}")), "false");
    assert_eq!(agent.ask(&format!("verify {did} invoice hello {signature}")), "false");
    assert_eq!(agent.ask(&format!("verify {} receipt hello {signature}", world.author())), "false");
    agent.end().succeeded();

    let verify = |message: &str| {
        let key = did.parse::<Did>().expect("a DID");
        let key = world.write("key.der", [SPKI.as_slice(), key.public_key()].concat());
        let signature = world.write("signature", hex::decode(&signature).expect("hex"));
        let message = world.write("message", message);
        let mut openssl = Command::new("openssl");
        openssl.args([
            "pkeyutl",
            "-verify",
            "-pubin",
            "-keyform",
            "DER",
            "-rawin",
            "-inkey",
            path_text(&key),
        ]);
        openssl.args(["-in", path_text(&message), "-sigfile", path_text(&signature)]);
        Ended::of(&mut openssl)
    };
    verify("DSSEv1 33 application/vnd.kos.agent.receipt 5 hello").succeeded();
    assert_ne!(verify("hello").status, 0, "the bare message was signed");
}

// [granted: crypto.seal, crypto.open]
#[test]
fn what_is_sealed_opens_in_a_later_run_of_the_same_agent_and_in_no_other() {
    let world = World::trusting("trusted");
    let probe = world.probe(&rules(ALL));
    let me = world.run(&probe, &["self"]).succeeded().stdout;
    let key = me.split(' ').nth(1).expect("an agreement key");
    let sealed = world.run(&probe, &["seal", key, "secret"]).succeeded().stdout;
    let sealed = sealed.trim();
    assert_eq!(sealed.len(), 2 * (32 + 6 + 16));
    assert!(!sealed.contains(&hex::encode("secret")));
    let open = |agent, sealed: &str| world.run(agent, &["open", sealed]).succeeded().stdout;
    assert_eq!(open(&probe, sealed).trim(), hex::encode("secret"));
    let altered =
        format!("{}{}", &sealed[..sealed.len() - 2], if sealed.ends_with("00") { "01" } else { "00" });
    assert_eq!(open(&probe, &altered).trim(), "invalid");

    // The same component, signed by another author, is another agent with keys of its own.
    let bob = world.new_author("bob");
    world.kos(&["trust", "add", &bob, "--level", "trusted"]).succeeded();
    let other = world.signed_by("bob", "probe");
    world.grant(&other, &permissions(&rules(ALL)));
    assert_eq!(open(&other, sealed).trim(), "invalid");
}

// [denied: crypto.hash, crypto.hasher.open, crypto.sign, crypto.verify, crypto.seal, crypto.open]
#[test]
fn each_call_is_denied_when_only_the_others_are_granted() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    let mut made = Vec::new();
    for missing in ["crypto.hash", "crypto.sign", "crypto.verify", "crypto.seal", "crypto.open"] {
        let others: String =
            ALL.lines().filter(|rule| !rule.contains(missing)).flat_map(|rule| [rule, "\n"]).collect();
        let grant = world.grant(&probe, &permissions(&rules(&others)));
        let mut agent = world.converse(&probe);
        let me = agent.ask("self");
        let me: Vec<&str> = me.split(' ').collect();
        for (capability, call) in calls(me[0], me[1]) {
            assert_eq!(agent.ask(&call) == "denied", capability == missing, "{call} without {missing}");
        }
        agent.end().succeeded();
        world.kos(&["grants", "revoke", &grant]).succeeded();
        made.push((missing.to_owned(), "not-granted".to_owned()));
    }
    assert_eq!(world.denials(), made);
}

// [denied: crypto.hash, crypto.hasher.open, crypto.sign, crypto.verify, crypto.seal]
#[test]
fn each_call_is_denied_outside_its_scope() {
    let world = World::trusting("trusted");
    let elsewhere =
        ALL.replace("\"sha-512\", \"blake3\"", "\"sha-512\"").replace("\"receipt\"", "\"receipts\"");
    let elsewhere = elsewhere.replace("z6Mk*", "z6Mkaaaa*").replace("z6LS*", "z6LSaaaa*");
    let probe = world.probe(&rules(&elsewhere));
    let mut agent = world.converse(&probe);
    let me = agent.ask("self");
    let me: Vec<&str> = me.split(' ').collect();
    for (capability, call) in calls(me[0], me[1]) {
        let call = call.replace("hasher sha-512", "hasher blake3");
        assert_eq!(agent.ask(&call) == "denied", capability != "crypto.open", "{call}");
    }
    agent.end().succeeded();
    let denied = ["crypto.hash", "crypto.sign", "crypto.verify", "crypto.seal"];
    assert_eq!(world.denials(), denied.map(|name| (name.to_owned(), "scope-not-covered".to_owned())));
}

// [denied: crypto.hasher.update, crypto.hasher.finish]
#[test]
fn a_hasher_is_judged_at_each_of_its_calls() {
    for (uses, calls) in [(1, 2), (2, 3)] {
        let world = World::trusting("trusted");
        let rule = format!("\"crypto.hash\" = {{ scope = [\"blake3\"], conditions = [\"uses<={uses}\"] }}");
        let probe = world.probe(&rules(&rule));
        assert_eq!(world.run(&probe, &["hasher", "blake3", "abc"]).succeeded().stdout, "denied\n");
        let exits = world.entries_of("agent_exit");
        assert_eq!(exits[0]["details"]["usage"]["calls"], calls, "denied at another call");
        assert_eq!(world.denials(), [("crypto.hash".to_owned(), "exhausted".to_owned())]);
    }
}

// [denied: crypto.hash, crypto.hasher.open, crypto.sign, crypto.verify, crypto.seal, crypto.open]
#[test]
fn each_call_is_denied_once_its_rule_has_ended() {
    let world = World::trusting("trusted");
    let probe = world.probe(&rules(r#""crypto.hash" = { scope = ["nothing"] }"#));
    let ending = ALL.replace("] }", "], expires = \"4s\" }").replace("{}", "{ expires = \"4s\" }");
    world.grant(&probe, &permissions(&ending));
    let mut agent = world.converse(&probe);
    let me = agent.ask("self");
    let me: Vec<&str> = me.split(' ').collect();
    for (_, call) in calls(me[0], me[1]) {
        agent.ask_until(&call, "denied");
    }
    agent.end().succeeded();
    let mut denied = world.denials();
    denied.sort();
    let expected = ["crypto.hash", "crypto.open", "crypto.seal", "crypto.sign", "crypto.verify"];
    assert_eq!(denied, expected.map(|name| (name.to_owned(), "expired".to_owned())));
}

// [denied: crypto.hash, crypto.hasher.open, crypto.sign, crypto.verify, crypto.seal, crypto.open]
#[test]
fn each_call_is_denied_once_its_grant_is_revoked() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    let grant = world.grant(&probe, &permissions(&rules(ALL)));
    world.grant(&probe, &permissions(BESIDES));
    let mut agent = world.converse(&probe);
    let me = agent.ask("self");
    let me: Vec<&str> = me.split(' ').collect();
    for (_, call) in calls(me[0], me[1]) {
        assert_ne!(agent.ask(&call), "denied", "{call}");
    }
    world.kos(&["grants", "revoke", &grant, "--reason", "a test"]).succeeded();
    for (_, call) in calls(me[0], me[1]) {
        assert_eq!(agent.ask(&call), "denied", "{call}");
    }
    agent.end().succeeded();
    assert_eq!(world.denials().len(), 5);
    world.kos(&["log", "verify"]).succeeded();
}
