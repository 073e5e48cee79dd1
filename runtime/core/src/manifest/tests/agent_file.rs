//! `agent.toml`: what is read, and what is refused.

use super::*;
use crate::capability::Capability;
use crate::resource::{NetworkAccess, StorageAccess};

fn read(text: &str) -> Result<AgentManifest, ManifestError> {
    AgentManifest::from_toml(text, &ManifestDefaults { author: did(AUTHOR), now: now() })
}

const LEAST: &str = "name = \"hello\"\nversion = \"1.2.3\"\n";

#[test]
fn the_agent_file_is_read_with_spans_and_sizes() {
    let manifest = read(AGENT_FILE).unwrap();
    assert_eq!(manifest.name.as_str(), "notary");
    assert_eq!(manifest.expires.unwrap().to_string(), "2027-11-24T08:00:00Z");
    assert_eq!(manifest.not_before, now());
    assert_eq!(manifest.resources.memory, Some(16 << 20));
    let hash = manifest.declared(Capability::CryptoHash).unwrap();
    assert_eq!(hash.scope.iter().map(ToString::to_string).collect::<Vec<_>>(), ["blake3", "sha-512"]);
    assert_eq!(hash.reason.as_deref(), Some("digests"));
    assert_eq!(manifest.declared(Capability::CryptoOpen), None);
}

#[test]
fn what_the_agent_file_leaves_out_is_nothing() {
    let manifest = read(LEAST).unwrap();
    assert!(manifest.capabilities.is_empty());
    assert_eq!(manifest.resources.network, NetworkAccess::None);
    assert_eq!(manifest.resources.storage, StorageAccess::None);
    assert_eq!((manifest.resources.memory, manifest.expires), (None, None));
}

#[test]
fn an_end_may_be_a_date() {
    let manifest = read(&format!("expires = \"2027-01-31\"\nnot_before = \"2026-12-01\"\n{LEAST}")).unwrap();
    assert_eq!(manifest.expires.unwrap().to_string(), "2027-01-31T00:00:00Z");
    assert_eq!(manifest.not_before.to_string(), "2026-12-01T00:00:00Z");
}

#[test]
fn a_service_says_which_instance_handles_a_message_and_is_resident_else() {
    for (text, instances) in [
        ("", Instances::Resident),
        ("[service]\ninstances = \"resident\"\n", Instances::Resident),
        ("[service]\ninstances = \"per-message\"\n", Instances::PerMessage),
    ] {
        assert_eq!(read(&format!("{LEAST}{text}")).unwrap().instances(), instances, "{text}");
    }
    for text in ["", "instances = \"many\"", "instances = 1", "instance = \"resident\""] {
        assert!(read(&format!("{LEAST}[service]\n{text}\n")).is_err(), "{text}");
    }
}

#[test]
fn a_typing_error_in_the_agent_file_refuses_it() {
    for (flaw, text) in [
        ("unknown field", format!("{LEAST}capabilites = 1\n")),
        ("unknown table", format!("{LEAST}[capability]\n")),
        ("unknown capability", format!("{LEAST}[capabilities]\n\"crypto.hsah\" = {{ scope = [\"*\"] }}\n")),
        (
            "unknown key of a capability",
            format!("{LEAST}[capabilities]\n\"identity.self\" = {{ scopes = [] }}\n"),
        ),
        ("unknown resource", format!("{LEAST}[resources]\ndisk = \"1GiB\"\n")),
        ("unknown access", format!("{LEAST}[resources]\nnetwork = \"some\"\n")),
        ("no name", "version = \"1.0.0\"\n".to_owned()),
        ("twice", format!("{LEAST}name = \"b\"\n")),
        ("bad name", LEAST.replace("hello", "Hello")),
        ("deny pattern", format!("{LEAST}[capabilities]\n\"crypto.hash\" = {{ scope = [\"!a\"] }}\n")),
        ("not TOML", "{}".to_owned()),
    ] {
        let error = read(&text).unwrap_err();
        assert!(matches!(error, ManifestError::Toml { .. }), "{flaw}: {error}");
        assert!(
            error.to_string().contains(": line ") && !error.to_string().contains('\n'),
            "{flaw}: {error}"
        );
    }
}

#[test]
fn values_out_of_bounds_are_refused_with_their_own_reason() {
    assert!(matches!(read(&LEAST.replace("1.2.3", "1.2")), Err(ManifestError::Version { .. })));
    assert!(matches!(read(&LEAST.replace("1.2.3", "1.2.3+4")), Err(ManifestError::Version { .. })));
    let expires = |text: &str| read(&format!("expires = \"{text}\"\n{LEAST}"));
    assert!(matches!(expires("soon"), Err(ManifestError::Clock(_))));
    assert!(matches!(expires("2020-01-01"), Err(ManifestError::Interval { .. })));
    assert!(matches!(expires("0s"), Err(ManifestError::Interval { .. })));
    let memory = |text: &str| read(&format!("{LEAST}[resources]\nmemory = \"{text}\"\n"));
    assert!(matches!(memory("16MB"), Err(ManifestError::Quantity(_))));
    assert!(matches!(memory("0B"), Err(ManifestError::Memory { .. })));
    assert!(matches!(memory("5GiB"), Err(ManifestError::Memory { .. })));
    let capability = |text: &str| read(&format!("{LEAST}[capabilities]\n{text}\n"));
    assert!(matches!(capability("\"crypto.sign\" = {}"), Err(ManifestError::ScopeMissing { .. })));
    assert!(matches!(
        capability("\"identity.self\" = { scope = [\"*\"] }"),
        Err(ManifestError::ScopeUnexpected { .. })
    ));
    let scopes: Vec<String> = (0..65).map(|index| format!("\"s{index}\"")).collect();
    assert!(matches!(
        capability(&format!("\"crypto.sign\" = {{ scope = [{}] }}", scopes.join(","))),
        Err(ManifestError::ScopeCount { count: 65, .. })
    ));
    assert!(matches!(
        read(&format!("description = \"a\\nb\"\n{LEAST}")),
        Err(ManifestError::Text { what: "description", .. })
    ));
    assert!(matches!(read(&" ".repeat(65_537)), Err(ManifestError::TooLarge { .. })));
}

#[test]
fn a_missing_scope_is_answered_with_what_to_write() {
    let text = format!("{LEAST}[capabilities]\n\"crypto.hash\" = {{}}\n");
    assert_eq!(
        read(&text).unwrap_err().to_string(),
        "`crypto.hash` needs a scope, the algorithm: write scope = [\"…\"], or [\"*\"] for every algorithm"
    );
}
