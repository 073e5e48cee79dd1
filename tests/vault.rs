//! Secrets that agents use and do not read: right results, none without the grant, and nothing that the log does not know (I2, I4,
//! I5, I6).

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Ended, World, path_text, permissions};

/// What the agent needs besides, to be started.
const BESIDES: &str = "\"vault.list\" = { scope = [\"jwt/nothing\"] }\n";
/// Every capability of the interface, for the names that the tests use.
const ALL: &str = r#"
"vault.list" = { scope = ["api_key/*"] }
"vault.put" = { scope = ["api_key/*", "password/*"] }
"vault.delete" = { scope = ["api_key/*"] }
"vault.use" = { scope = ["api_key/*"] }
"vault.reveal" = { scope = ["api_key/*"] }
"#;
/// A key of the length that ciphers and signatures take.
const KEY: &str = "0123456789abcdef0123456789abcdef";
/// The beginning of an Ed25519 seed as PKCS#8 (RFC 8410).
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Each capability, and a call of it for a secret that is there.
fn calls(encrypted: &str) -> [(&'static str, String); 9] {
    [
        ("vault.list", "list api_key/*".to_owned()),
        ("vault.put", "put api_key/other value".to_owned()),
        ("vault.use", "sign api_key/a abc".to_owned()),
        ("vault.use", "mac api_key/a abc".to_owned()),
        ("vault.use", "encrypt aes api_key/a abc".to_owned()),
        ("vault.use", format!("decrypt aes api_key/a {encrypted}")),
        ("vault.use", "derive api_key/a session 32".to_owned()),
        ("vault.reveal", "reveal api_key/a".to_owned()),
        ("vault.delete", "delete api_key/other".to_owned()),
    ]
}

/// A moment that comes while a test waits for it, in milliseconds since 1970.
fn soon() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_millis() + 3_000
}

/// A world in which the agent has stored secrets; and what it encrypted under one of them.
fn keeping() -> (World, String) {
    let world = World::trusting("trusted");
    let encrypted = store(&world);
    (world, encrypted)
}

/// Has the agent store `api_key/a` and `api_key/other`, under a grant that ends with it, and encrypt under the first.
fn store(world: &World) -> String {
    let probe = world.signed("probe-vault");
    let grant = world.grant(&probe, &permissions(ALL));
    let mut agent = world.converse(&probe);
    assert_eq!(agent.ask(&format!("put api_key/a {KEY}")), "stored");
    assert_eq!(agent.ask("put api_key/other value"), "stored");
    let encrypted = agent.ask("encrypt aes api_key/a abc");
    agent.end().succeeded();
    world.kos(&["grants", "revoke", &grant]).succeeded();
    encrypted
}

/// What the log says of accesses, oldest first: the operation and the secret.
fn accesses(world: &World) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    world
        .entries_of("vault_access")
        .iter()
        .map(|entry| (text(&entry["details"]["operation"]), text(&entry["target"]["id"])))
        .collect()
}

// [granted: vault.sign, vault.mac, vault.encrypt, vault.decrypt, vault.derive]
#[test]
fn what_is_made_with_a_secret_is_what_openssl_makes_with_it() {
    let (world, _) = keeping();
    let agent = world.signed("probe-vault");
    world.grant(&agent, &permissions(ALL));
    let mut agent = world.converse(&agent);
    let openssl = |arguments: &[&str]| Ended::of(Command::new("openssl").args(arguments)).succeeded().stdout;
    let message = world.write("message", "abc");
    let message = path_text(&message);

    let mac = openssl(&["dgst", "-sha256", "-hmac", KEY, message]);
    assert!(mac.trim().ends_with(&agent.ask("mac api_key/a abc")), "{mac}");

    let private = world.write("key.der", [PKCS8.as_slice(), KEY.as_bytes()].concat());
    let signature = hex::decode(agent.ask("sign api_key/a abc")).expect("hex");
    let signature = world.write("signature", signature);
    openssl(&[
        "pkeyutl",
        "-verify",
        "-keyform",
        "DER",
        "-rawin",
        "-inkey",
        path_text(&private),
        "-in",
        message,
        "-sigfile",
        path_text(&signature),
    ]);

    let derived = openssl(&[
        "kdf",
        "-keylen",
        "32",
        "-kdfopt",
        "digest:SHA512",
        "-kdfopt",
        &format!("key:{KEY}"),
        "-kdfopt",
        "info:kos/vault-derive/v1/session",
        "HKDF",
    ]);
    let derived = derived.trim().replace(':', "").to_lowercase();
    assert_eq!(agent.ask("derive api_key/a session 32"), derived);

    for cipher in ["aes", "chacha"] {
        let encrypted = agent.ask(&format!("encrypt {cipher} api_key/a abc"));
        assert_eq!(encrypted.len(), 2 * (12 + 3 + 16));
        assert_eq!(agent.ask(&format!("decrypt {cipher} api_key/a {encrypted}")), hex::encode("abc"));
        let cut = &encrypted[..encrypted.len() - 2];
        for last in ["00", "01"].iter().filter(|last| !encrypted.ends_with(**last)) {
            assert_eq!(agent.ask(&format!("decrypt {cipher} api_key/a {cut}{last}")), "invalid");
        }
    }
    agent.end().succeeded();
}

// [granted: vault.list, vault.put, vault.delete, vault.reveal]
#[test]
fn what_is_stored_is_listed_revealed_and_removed_in_later_runs() {
    let world = World::trusting("partner");
    let agent = world.granted_with("probe-vault", &permissions(ALL));
    let ask = |call: &str| {
        let call: Vec<&str> = call.split(' ').collect();
        world.run(&agent, &call).succeeded().stdout.trim_end().to_owned()
    };
    assert_eq!(ask("list api_key/*"), "");
    assert_eq!(ask("put api_key/b first"), "stored");
    assert_eq!(ask("put api_key/a other"), "stored");
    assert_eq!(ask("put api_key/b second"), "stored");
    assert_eq!(ask("list api_key/*"), "api_key/a@1 api_key/b@2");
    assert_eq!(ask("list api_key/b"), "api_key/b@2");
    assert_eq!(ask("reveal api_key/b"), hex::encode("second"));
    assert_eq!(ask("delete api_key/b"), "removed");
    assert_eq!(ask("reveal api_key/b"), "denied");
    assert_eq!(ask("delete api_key/b"), "denied");
    assert_eq!(ask("list api_key/*"), "api_key/a@1");
    world.kos(&["log", "verify"]).succeeded();
}

// [denied: vault.list, vault.put, vault.delete, vault.sign, vault.mac, vault.encrypt, vault.decrypt, vault.derive, vault.reveal]
#[test]
fn each_access_is_denied_when_only_the_others_are_granted() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe-vault");
    let mut made = Vec::new();
    for missing in ["vault.list", "vault.put", "vault.delete", "vault.use", "vault.reveal"] {
        let encrypted = store(&world);
        let others: String =
            ALL.lines().filter(|rule| !rule.contains(missing)).flat_map(|rule| [rule, "\n"]).collect();
        let grant = world.grant(&probe, &permissions(&others));
        let mut agent = world.converse(&probe);
        for (capability, call) in calls(&encrypted) {
            assert_eq!(agent.ask(&call) == "denied", capability == missing, "{call} without {missing}");
        }
        agent.end().succeeded();
        world.kos(&["grants", "revoke", &grant]).succeeded();
        made.push((missing.to_owned(), "not-granted".to_owned()));
    }
    assert_eq!(world.denials(), made);
}

// [denied: vault.list, vault.put, vault.delete, vault.sign, vault.mac, vault.encrypt, vault.decrypt, vault.derive, vault.reveal]
#[test]
fn each_access_is_denied_outside_its_scope() {
    let (world, encrypted) = keeping();
    let probe = world.signed("probe-vault");
    let elsewhere = ALL.replace("\"api_key/*\"", "\"api_key/b*\", \"password/a\"");
    world.grant(&probe, &permissions(&elsewhere));
    let before = accesses(&world);
    let mut agent = world.converse(&probe);
    for (_, call) in calls(&encrypted) {
        assert_eq!(agent.ask(&call), "denied", "{call}");
    }
    agent.end().succeeded();
    let denied = ["vault.list", "vault.put", "vault.use", "vault.reveal", "vault.delete"];
    assert_eq!(world.denials(), denied.map(|name| (name.to_owned(), "scope-not-covered".to_owned())));
    assert_eq!(accesses(&world), before, "nothing was accessed");
}

// [denied: vault.list, vault.put, vault.delete, vault.sign, vault.mac, vault.encrypt, vault.decrypt, vault.derive, vault.reveal]
#[test]
fn each_access_is_denied_once_its_rule_has_ended() {
    let (world, encrypted) = keeping();
    let probe = world.signed("probe-vault");
    world.grant(&probe, &permissions(BESIDES));
    world.grant(&probe, &permissions(&ALL.replace("] }", "], expires = \"3s\" }")));
    let mut agent = world.converse(&probe);
    agent.ask_until("list api_key/*", "denied");
    for (_, call) in calls(&encrypted) {
        assert_eq!(agent.ask(&call), "denied", "{call}");
    }
    agent.end().succeeded();
    let mut denied = world.denials();
    denied.sort();
    let expected = ["vault.delete", "vault.list", "vault.put", "vault.reveal", "vault.use"];
    assert_eq!(denied, expected.map(|name| (name.to_owned(), "expired".to_owned())));
}

// [denied: vault.list, vault.put, vault.delete, vault.sign, vault.mac, vault.encrypt, vault.decrypt, vault.derive, vault.reveal]
#[test]
fn each_access_is_denied_once_its_grant_is_revoked() {
    let (world, encrypted) = keeping();
    let probe = world.signed("probe-vault");
    world.grant(&probe, &permissions(BESIDES));
    let grant = world.grant(&probe, &permissions(ALL));
    let mut agent = world.converse(&probe);
    for (_, call) in calls(&encrypted) {
        assert!(!["denied", "invalid", "unavailable"].contains(&agent.ask(&call).as_str()), "{call}");
    }
    world.kos(&["grants", "revoke", &grant, "--reason", "a test"]).succeeded();
    let before = accesses(&world);
    for (_, call) in calls(&encrypted) {
        assert_eq!(agent.ask(&call), "denied", "{call}");
    }
    agent.end().succeeded();
    assert_eq!(world.denials().len(), 5);
    assert_eq!(accesses(&world), before);
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn every_access_is_in_the_log_before_it_is_answered() {
    let (world, encrypted) = keeping();
    let probe = world.signed("probe-vault");
    world.grant(&probe, &permissions(ALL));
    let mut agent = world.converse(&probe);
    for (_, call) in calls(&encrypted) {
        let before = accesses(&world).len();
        assert_ne!(agent.ask(&call), "denied");
        // The agent is still running: the entry was durable before the answer.
        let entries = world.entries_of("vault_access");
        assert_eq!(entries.len(), before + 1, "{call}");
        let entry = &entries[before];
        let word = call.split(' ').next().expect("a word").replace("delete", "remove");
        assert_eq!(entry["details"]["operation"], *word, "{call}");
        assert_eq!(entry["details"]["environment"], "default");
        let named = call.split(' ').find(|word| word.starts_with("api_key/")).filter(|_| word != "list");
        assert_eq!(entry["target"]["id"], *named.unwrap_or("default"), "{call}");
        assert!(entry["actor"]["id"].as_str().is_some_and(|id| id.starts_with("did:key:z6Mk")));
        assert!(entry["details"]["agent"].as_str().is_some_and(|agent| agent.ends_with("#probe-vault")));
    }
    agent.end().succeeded();
    let log = world.kos(&["log", "show", "--all", "--json"]).succeeded().stdout;
    assert!(!log.contains(KEY) && !log.contains(&hex::encode(KEY)));
    world.kos(&["log", "verify"]).succeeded();
}

#[test]
fn using_a_secret_and_reading_it_are_granted_apart() {
    let (world, _) = keeping();
    let probe = world.signed("probe-vault");
    let ask = |call: [&str; 3]| world.run(&probe, &call[..]).succeeded().stdout.trim_end().to_owned();
    let (mac, reveal) = (["mac", "api_key/a", "x"], ["reveal", "api_key/a", ""]);
    let using = world.grant(&probe, &permissions("\"vault.use\" = { scope = [\"api_key/a\"] }"));
    assert_eq!((ask(mac).len(), ask(reveal)), (64, "denied".to_owned()));
    world.kos(&["grants", "revoke", &using]).succeeded();
    world.grant(&probe, &permissions("\"vault.reveal\" = { scope = [\"api_key/a\"] }"));
    assert_eq!((ask(mac), ask(reveal)), ("denied".to_owned(), hex::encode(KEY)));
}

#[test]
fn an_absent_an_ended_and_an_ungranted_secret_are_one_answer_and_three_reasons() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe-vault");
    world.grant(
        &probe,
        &permissions(&ALL.replace("use\" = { scope = [\"api_key/*\"", "use\" = { scope = [\"api_key/a*\"")),
    );
    let mut agent = world.converse(&probe);
    assert_eq!(agent.ask("put api_key/b value"), "stored");
    assert_eq!(agent.ask(&format!("put-until {} api_key/a-short value", soon())), "stored");
    assert_eq!(agent.ask("put-until 1000 api_key/a-over value"), "invalid");
    agent.ask_until("mac api_key/a-short x", "denied");
    for call in ["mac api_key/b x", "mac api_key/absent x", "mac api_key/a-short x", "reveal api_key/a-short"]
    {
        assert_eq!(agent.ask(call), "denied", "{call}");
    }
    // Neither is the secret listed as one that can be used, nor is it gone.
    assert_eq!(agent.ask("list api_key/a*"), "api_key/a-short@1");
    assert_eq!(agent.ask("put api_key/a-short anew"), "stored");
    assert_eq!(agent.ask("reveal api_key/a-short"), hex::encode("anew"));
    assert_eq!(agent.ask("repeat 20 mac api_key/absent x"), "denied 20");
    agent.end().succeeded();
    let denied: Vec<(String, String)> = world.denials();
    let expected = [
        ("vault.use", "secret-expired"),
        ("vault.use", "scope-not-covered"),
        ("vault.use", "no-such-secret"),
        ("vault.reveal", "secret-expired"),
    ];
    assert_eq!(denied, expected.map(|(capability, reason)| (capability.to_owned(), reason.to_owned())));
    let exit = &world.entries_of("agent_exit")[0];
    let counted = exit["details"]["denials"].as_array().expect("the denials");
    let absent = counted.iter().find(|kind| kind["reason"] == "no-such-secret").expect("its count");
    assert_eq!(absent["count"], 21);
}

#[test]
fn what_a_grant_denies_is_neither_used_nor_listed() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe-vault");
    let grant = world.grant(&probe, &permissions(ALL));
    let mut agent = world.converse(&probe);
    for name in ["a", "b", "hidden-a", "hidden-b"] {
        assert_eq!(agent.ask(&format!("put api_key/{name} value")), "stored");
    }
    assert_eq!(agent.ask("put password/a value"), "stored");
    agent.end().succeeded();
    world.kos(&["grants", "revoke", &grant]).succeeded();

    let rules = r#"
"vault.list" = { scope = ["*", "!api_key/hidden-*", "!password/*"], conditions = ["uses<=4"] }
"vault.use" = { scope = ["api_key/*", "!api_key/hidden-a"] }
"#;
    world.grant(&probe, &permissions(rules));
    let mut agent = world.converse(&probe);
    assert_eq!(agent.ask("list *"), "api_key/a@1 api_key/b@1");
    assert_eq!(agent.ask("list api_key/*"), "api_key/a@1 api_key/b@1");
    assert_eq!(agent.ask("list api_key/h*"), "");
    assert_eq!(agent.ask("list api_key/hidden-*"), "denied");
    assert_eq!(agent.ask("list api_key/b"), "api_key/b@1");
    assert_eq!(agent.ask("list api_key/b"), "denied", "its uses are used up");
    assert_eq!(agent.ask("mac api_key/hidden-a x"), "denied");
    assert_eq!(agent.ask("mac api_key/hidden-b x").len(), 64);
    agent.end().succeeded();
}

#[test]
fn each_environment_has_its_own_secrets_and_grants_can_ask_for_one() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe-vault");
    let rules = r#"
"vault.put" = { scope = ["api_key/*"] }
"vault.reveal" = { scope = ["api_key/*"] }
"vault.delete" = { scope = ["api_key/*"], conditions = ["environment=staging"] }
"#;
    world.grant(&probe, &permissions(rules));
    let ask = |environment: &str, call: &[&str]| {
        let mut command = world.kos_run_command();
        command.args(["--env", environment]).arg(&probe).arg("--").args(call);
        Ended::of(&mut command).succeeded().stdout.trim_end().to_owned()
    };
    for environment in ["staging", "production"] {
        assert_eq!(ask(environment, &["put", "api_key/a", environment]), "stored");
    }
    assert_eq!(ask("staging", &["reveal", "api_key/a"]), hex::encode("staging"));
    assert_eq!(ask("production", &["reveal", "api_key/a"]), hex::encode("production"));
    assert_eq!(world.run(&probe, &["reveal", "api_key/a"]).succeeded().stdout, "denied\n");
    assert_eq!(ask("production", &["delete", "api_key/a"]), "denied");
    assert_eq!(ask("staging", &["delete", "api_key/a"]), "removed");
    assert_eq!(ask("staging", &["reveal", "api_key/a"]), "denied");
    assert_eq!(ask("production", &["reveal", "api_key/a"]), hex::encode("production"));
    let mut reasons: Vec<String> = world.denials().into_iter().map(|(_, reason)| reason).collect();
    reasons.sort();
    assert_eq!(reasons, ["condition", "no-such-secret", "no-such-secret"]);
    assert_eq!(accesses_in(&world, "production"), ["put", "reveal", "reveal"]);
}

/// The operations on the vault of one environment, oldest first.
fn accesses_in(world: &World, environment: &str) -> Vec<String> {
    let entries = world.entries_of("vault_access");
    let within = entries.iter().filter(|entry| entry["details"]["environment"] == environment);
    within.filter_map(|entry| entry["details"]["operation"].as_str().map(str::to_owned)).collect()
}

#[test]
fn accesses_beyond_the_agents_rate_are_limited_and_not_logged() {
    let (world, _) = keeping();
    let probe = world.signed("probe-vault");
    world.grant(&probe, &format!("{}[limits]\naccesses-per-minute = \"5\"\n", permissions(ALL)));
    let before = accesses(&world).len();
    let mut agent = world.converse(&probe);
    assert_eq!(agent.ask("repeat 3 mac api_key/a x"), "ok 3");
    assert_eq!(agent.ask("repeat 3 mac api_key/absent x"), "denied 2, limited 1");
    for call in ["list api_key/*", "reveal api_key/a", "delete api_key/a", "put api_key/a b"] {
        assert_eq!(agent.ask(call), "limited", "{call}");
    }
    agent.end().succeeded();
    assert_eq!(accesses(&world).len(), before + 5);

    let mut command = world.kos_run_command();
    command.arg(&probe).args([
        "--limit",
        "accesses-per-minute=1",
        "--",
        "repeat",
        "2",
        "mac",
        "api_key/a",
        "x",
    ]);
    assert_eq!(Ended::of(&mut command).succeeded().stdout, "limited 1, ok 1\n");
}

#[test]
fn a_run_stores_no_more_than_its_share_of_the_vault() {
    let (world, _) = keeping();
    let probe = world.signed("probe-vault");
    world.grant(&probe, &format!("{}[limits]\nsecret-bytes = \"2KiB\"\n", permissions(ALL)));
    let mut agent = world.converse(&probe);
    assert_eq!(agent.ask("repeat 5 put api_key/a b"), "limited 2, ok 3");
    assert_eq!(agent.ask("mac api_key/a x").len(), 64, "what was stored is used");
    agent.end().succeeded();
}

#[test]
fn a_flood_of_accesses_leaves_a_small_log() {
    let world = World::trusting("trusted");
    let rogue = world.granted("rogue");
    for (attack, end) in [("flood", "limited"), ("flood-missing", "limited"), ("flood-denied", "denied")] {
        let ended = world.run(&rogue, &[&format!("vault-{attack}")]).succeeded();
        assert_eq!(ended.stdout, format!("vault-{attack}: {end}\n"));
    }
    // A hundred for each of two, as its grant says, though they began in different minutes.
    assert!((101..=400).contains(&accesses(&world).len()), "{} accesses", accesses(&world).len());
    assert_eq!(world.denials().len(), 2);
}

#[test]
fn an_agent_without_a_grant_for_the_vault_is_not_started() {
    let world = World::trusting("trusted");
    let keeper = world.granted_with("keeper", &permissions("\"identity.self\" = {}"));
    world.run(&keeper, &[]).ended_with(126).saying("vault.use").saying("kos grant");
    assert!(world.entries_of("agent_launch").is_empty());
}

#[test]
fn the_keeper_uses_its_key_and_is_denied_to_read_it() {
    let world = World::trusting("trusted");
    let keeper = world.granted("keeper");
    let given = world.write("given", "a key of the weather service\n");
    let mut command = world.kos_run_command();
    command.arg(&keeper).stdin(std::fs::File::open(given).expect("what is given"));
    let first = Ended::of(&mut command).succeeded().stdout;
    assert!(first.contains("api_key/weather: stored") && first.contains("version 1"), "{first}");
    assert!(first.contains("signed ") && first.contains("denied to read"), "{first}");
    let second = world.run(&keeper, &[]).succeeded().stdout;
    assert!(!second.contains("stored") && second.contains("denied to read"), "{second}");
    let signed = |shown: &str| shown.lines().find(|line| line.contains("signed")).map(str::to_owned);
    assert_eq!(signed(&first), signed(&second));
    assert!(world.denials().contains(&("vault.reveal".to_owned(), "not-granted".to_owned())));
}
