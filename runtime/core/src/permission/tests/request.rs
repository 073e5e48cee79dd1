//! What operators write, and what is told them when it is not understood.

use proptest::prelude::*;

use super::*;
use crate::manifest::{Instances, Service};

const EXAMPLE: &str = r#"
expires = "30d"           # required; a span, a date, or "never"
pin = "component"
[capabilities]
"crypto.hash" = { scope = ["sha-512", "blake3"] }
"crypto.sign" = { scope = ["receipt", "!receipt-internal"], conditions = ["rate<=100/1m"], expires = "7d" }
"crypto.open" = "deny"
"identity.self" = {}
[resources]
memory = "write"
storage = "none"
network = "restricted"
hosts = ["api.example.org:443"]
[limits]
memory = "16MiB"
cpu = "10G"
duration = "30s"
"#;

fn issuance() -> Issuance {
    Issuance { agent: agent(), component: component(), signed_by: key(9).did(), now: at(5_000) }
}

fn refusal(text: &str) -> String {
    PermissionRequest::from_toml(text).unwrap_err().to_string()
}

#[test]
fn the_documented_example_becomes_the_document_that_it_describes() {
    let permissions = PermissionRequest::from_toml(EXAMPLE).unwrap().into_permissions(issuance()).unwrap();
    const DAY: u64 = 86_400_000;
    assert_eq!(permissions.expires, Expiry::At(at(5_000 + 30 * DAY)));
    assert_eq!((permissions.not_before, permissions.timestamp), (at(5_000), at(5_000)));
    assert_eq!(permissions.pin, Pin::Component { component: component() });
    let rule = |capability| &permissions.capabilities[&capability];
    assert_eq!(*rule(Capability::CryptoHash), allow(&["sha-512", "blake3"]));
    let mut sign = on_condition(&["receipt", "!receipt-internal"], &["rate<=100/1m"]);
    sign.expiry = Some(at(5_000 + 7 * DAY));
    assert_eq!(*rule(Capability::CryptoSign), sign);
    assert_eq!(*rule(Capability::CryptoOpen), CapabilityRule::denial());
    assert_eq!(*rule(Capability::IdentitySelf), allow(&[]));
    assert_eq!(permissions.resource_access.network, NetworkAccess::Restricted);
    assert_eq!(permissions.limits, Limits::parse_overrides("memory=16MiB,cpu=10G,duration=30s").unwrap());
    assert!(!permissions.allow_rollback);
}

#[test]
fn what_is_not_written_is_not_granted() {
    let permissions =
        PermissionRequest::from_toml("expires = \"never\"").unwrap().into_permissions(issuance()).unwrap();
    assert!(permissions.capabilities.is_empty() && permissions.limits.is_empty());
    let access = permissions.resource_access;
    assert_eq!(
        (access.memory, access.network, access.storage),
        (MemoryAccess::Write, NetworkAccess::None, StorageAccess::None)
    );
    assert_eq!(permissions.expires, Expiry::Never);
}

#[test]
fn an_error_names_the_place_and_the_fix() {
    for (text, expected) in [
        ("", "`expires` is missing: write `expires = \"30d\"`, a date, or `\"never\"`"),
        (
            "expires = \"30d\"\nexpirse = \"x\"",
            "line 2, column 1: `expirse` is no key of the permissions; did you mean `expires`?",
        ),
        ("expires = \"30y\"", "line 1, column 11: `30y` is not a span"),
        ("expires = \"Never\"", "did you mean `never`?"),
        ("expires = 30", "line 1, column 11: `expires` must be a text such as `\"30d\"`, or a date"),
        ("expires = \"2026-13-01\"", "is not a time"),
        ("expires = \"30d\"\nexpires = \"60d\"", "line 2, column 1: duplicate key"),
        (
            "expires = \"30d\"\npin = \"compnent\"",
            "line 2, column 7: `compnent` is none of: component, author; did you mean `component`?",
        ),
        ("expires = \"30d\"\nallow_rollback = \"yes\"", "`allow_rollback` must be true or false"),
        (
            "expires = \"30d\"\n[service]\ninstances = \"per-mesage\"",
            "line 3, column 13: `per-mesage` is none of: resident, per-message; did you mean `per-message`?",
        ),
        ("expires = \"30d\"\n[service]\ninstance = \"resident\"", "did you mean `instances`?"),
        ("expires = \"30d\"\n[service]", "`service` must be a table with `instances`"),
        ("expires = \"30d\"\nnot_before = \"never\"", "`not_before` must be a date or a span"),
        (
            "expires = \"30d\"\n[capabilities]\n\"crypto.sgin\" = {}",
            "line 3, column 1: `crypto.sgin` is not a capability",
        ),
        ("expires = \"30d\"\n[capabilities]\n\"crypto.sgin\" = {}", "did you mean `crypto.sign`?"),
        (
            "expires = \"30d\"\n[capabilities]\ncrypto.sign = { scope = [\"x\"] }",
            "write `\"crypto.sign\"` in quotes",
        ),
        (
            "expires = \"30d\"\n[capabilities]\n\"crypto.sign\" = {}",
            "`crypto.sign` needs a scope, the context",
        ),
        ("expires = \"30d\"\n[capabilities]\n\"crypto.sign\" = \"allow\"", "`allow` is none of: deny"),
        (
            "expires = \"30d\"\n[capabilities]\n\"crypto.sign\" = true",
            "`crypto.sign` must be `\"deny\"` or a table",
        ),
        (
            "expires = \"30d\"\n[capabilities]\n\"crypto.sign\" = { scope = \"x\" }",
            "line 3, column 27: `scope` must be a list of texts",
        ),
        (
            "expires = \"30d\"\n[capabilities]\n\"crypto.sign\" = { scopes = [\"x\"] }",
            "line 3, column 19: `scopes` is no key of a capability; did you mean `scope`?",
        ),
        (
            "expires = \"30d\"\n[capabilities]\n\"crypto.sign\" = { scope = [\"x\", \"a*b\"] }",
            "line 3, column 33: `a*b` is not a scope",
        ),
        (
            "expires = \"30d\"\n[capabilities]\n\"crypto.sign\" = { scope = [\"x\"], conditions = [\"uses<5\"] }",
            "`uses<5` is not a condition",
        ),
        (
            "expires = \"30d\"\n[capabilities]\n\"crypto.open\" = { scope = [\"x\"] }",
            "`crypto.open` has no scope",
        ),
        (
            "expires = \"30d\"\n[resources]\ngpu = \"full\"",
            "line 3, column 1: `gpu` is no key of [resources]",
        ),
        ("expires = \"30d\"\n[resources]\nnetwork = \"some\"", "`some` is not a kind of network access"),
        (
            "expires = \"30d\"\n[limits]\nmemroy = \"1MiB\"",
            "`memroy` is no key of [limits]; did you mean `memory`?",
        ),
        ("expires = \"30d\"\n[limits]\nmemory = 5", "line 3, column 10: `memory` must be a text in quotes"),
        (
            "expires = \"30d\"\n[limits]\nmemory = \"64MB\"",
            "line 3, column 10: the limit `memory` cannot be `64MB`: write a size such as `64MiB`",
        ),
        ("expires = \"30d\"\n[limits]\nmemory = \"9GiB\"", "the limit `memory` must lie between 1B and 4GiB"),
        ("expires = \"30d", "line 1, column"),
        ("# é\nexpires = \"30d\" x", "line 2, column"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(expected), "{text}\ngives: {refusal}\nnot:   {expected}");
    }
    assert!(refusal(&"#".repeat(300_000)).contains("at most"));
}

#[test]
fn a_document_that_means_nothing_is_not_made() {
    for text in [
        "expires = \"1ms\"\nnot_before = \"2030-01-01\"",
        "expires = \"1970-01-01\"",
        "expires = \"30d\"\n[resources]\nnetwork = \"restricted\"",
        "expires = \"30d\"\n[resources]\nhosts = [\"a:1\"]",
    ] {
        let refused = PermissionRequest::from_toml(text).unwrap().into_permissions(issuance());
        assert!(matches!(refused, Err(RequestError::Document(_))), "{text}");
    }
}

#[test]
fn dates_are_taken_with_and_without_quotes() {
    for text in ["expires = \"2027-01-31\"", "expires = 2027-01-31", "expires = 2027-01-31T00:00:00Z"] {
        let permissions = PermissionRequest::from_toml(text).unwrap().into_permissions(issuance()).unwrap();
        assert_eq!(permissions.expires, Expiry::At(Timestamp::parse("2027-01-31").unwrap()), "{text}");
    }
}

#[test]
fn flags_add_up_to_a_request() {
    let allow_flags = [
        "crypto.sign:receipt",
        "crypto.sign:invoice-*",
        "crypto.sign:receipt",
        "identity.self",
        "crypto.verify:did:key:z6Mk*",
    ];
    let until = When::parse("30d").unwrap();
    let permissions = PermissionRequest::from_flags(&allow_flags, until)
        .unwrap()
        .pinned_to(PinKind::Author)
        .into_permissions(issuance())
        .unwrap();
    assert_eq!(permissions.capabilities[&Capability::CryptoSign], allow(&["receipt", "invoice-*"]));
    assert_eq!(permissions.capabilities[&Capability::CryptoVerify], allow(&["did:key:z6Mk*"]));
    assert_eq!(permissions.capabilities[&Capability::IdentitySelf], allow(&[]));
    assert_eq!(permissions.pin, Pin::Author { author: key(1).did(), name: "notary".parse().unwrap() });
}

#[test]
fn flags_that_are_not_understood_are_refused() {
    for (flag, expected) in [
        ("", "is not a capability"),
        ("crypto.sgn:receipt", "did you mean `crypto.sign`?"),
        ("crypto.sign", "`crypto.sign` needs a scope, the context"),
        ("crypto.sign:", "is not a scope"),
        ("crypto.sign:a b", "is not a scope"),
        ("crypto.open:x", "`crypto.open` has no scope"),
        ("crypto.*", "is not a capability"),
        ("*", "is not a capability"),
    ] {
        let refusal = PermissionRequest::from_flags(&[flag], When::Never).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{flag}: {refusal}");
    }
}

fn any_rule(capability: Capability) -> impl Strategy<Value = CapabilityRule> {
    let scope = proptest::collection::btree_set("!?[a-z\"'\\\\]{1,6}\\*?", 0..4);
    let conditions = proptest::sample::subsequence(
        vec![
            "time:08:00-18:00",
            "days:mon,fri",
            "trust>=partner",
            "uses<=3",
            "rate<=2/1m",
            "environment=test",
        ],
        0..6,
    );
    (any::<bool>(), scope, conditions, proptest::option::of(1_u64..1 << 42)).prop_map(
        move |(granted, scope, conditions, expiry)| {
            if !granted {
                return CapabilityRule::denial();
            }
            let scope: Vec<&str> = scope.iter().map(String::as_str).collect();
            let scope = if capability.has_scope() { scope } else { Vec::new() };
            CapabilityRule { expiry: expiry.map(at), ..on_condition(&scope, &conditions) }
        },
    )
}

proptest! {
    #[test]
    fn a_document_written_as_toml_is_read_back_as_the_same_document(
        sign in any_rule(Capability::CryptoSign),
        open in any_rule(Capability::CryptoOpen),
        not_before in 0_u64..1 << 42,
        lasting in proptest::option::of(1_u64..1 << 40),
        memory in proptest::option::of(1_u64..1 << 32),
        duration in proptest::option::of(1_u64..1 << 30),
        author_pin in any::<bool>(),
        allow_rollback in any::<bool>(),
        instances in proptest::option::of(proptest::sample::select(Instances::ALL.to_vec())),
        hosts in proptest::collection::btree_set("[a-z]{1,5}\\.org:4[0-9]", 0..3),
    ) {
        let mut document = grant(&[(Capability::CryptoSign, sign), (Capability::CryptoOpen, open)]);
        document.not_before = at(not_before);
        document.timestamp = at(5_000);
        document.expires = lasting.map_or(Expiry::Never, |lasting| Expiry::At(at(not_before + lasting)));
        if let Some(memory) = memory {
            document.limits.insert(LimitName::Memory, memory).unwrap();
        }
        if let Some(duration) = duration {
            document.limits.insert(LimitName::Duration, duration).unwrap();
        }
        if author_pin {
            document.pin = Pin::Author { author: agent().author, name: agent().name };
        }
        document.allow_rollback = allow_rollback;
        document.service = instances.map(|instances| Service { instances });
        document.network_hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        if !hosts.is_empty() {
            document.resource_access.network = NetworkAccess::Restricted;
        }
        let text = PermissionRequest::of(&document).to_toml();
        let request = PermissionRequest::from_toml(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(request.to_toml(), text.clone());
        prop_assert_eq!(request.into_permissions(issuance()).unwrap(), document);
    }
}
