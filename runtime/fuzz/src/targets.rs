//! The table: a line for each parser.

use std::fmt::Display;
use std::str::FromStr;

use kos_core::canonical::{self, base64_decode, base64_encode};
use kos_core::clock::{self, Timestamp};
use kos_core::envelope::{ENVELOPE_MAX, Envelope};
use kos_core::fuzzing::Rewrite;
use kos_core::home::HostConfig;
use kos_core::id::{AgentRef, Did, Digest};
use kos_core::log::checkpoint::Checkpoint;
use kos_core::log::entry::Entry;
use kos_core::log::journal::{self, Header};
use kos_core::log::{Vkey, note, tile};
use kos_core::manifest::{AgentManifest, ManifestDefaults, UnverifiedComponent, attach};
use kos_core::permission::{AgentPermissions, Issuance, LimitName, Limits, PermissionRequest, Revocations};
use kos_core::{
    audience, capability, custody, fuzzing, id, message, permission, quantity, scope, trust, vault,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Law, Target};

const fn exact(name: &'static str, rewrite: Rewrite) -> Target {
    Target { name, law: Law::Exact, rewrite }
}

const fn stable(name: &'static str, rewrite: Rewrite) -> Target {
    Target { name, law: Law::Stable, rewrite }
}

const fn accepted(name: &'static str, rewrite: Rewrite) -> Target {
    Target { name, law: Law::Accepted, rewrite }
}

/// Every parser of anything from outside.
pub const ALL: &[Target] = &[
    // Words and names, as text.
    exact("did", text::<Did>),
    exact("agreement-key", text::<id::AgreementKey>),
    exact("name", text::<id::Name>),
    exact("agent-reference", text::<AgentRef>),
    exact("digest", text::<Digest>),
    exact("trust-level", text::<id::TrustLevel>),
    exact("capability", text::<capability::Capability>),
    exact("scope", text::<scope::ScopePattern>),
    exact("scope-item", text::<permission::ScopeItem>),
    exact("ceiling", text::<trust::CeilingPattern>),
    exact("audience", text::<audience::Audience>),
    exact("grant-identifier", text::<permission::GrantId>),
    exact("message-identifier", text::<message::MessageId>),
    exact("topic", text::<message::Topic>),
    exact("secret-identifier", text::<vault::SecretId>),
    exact("key-name", text::<custody::KeyName>),
    exact("network-host", text::<permission::NetworkHost>),
    exact("verifier-key", text::<Vkey>),
    exact("base64", |bytes| Some(base64_encode(&base64_decode(utf8(bytes)?).ok()?).into_bytes())),
    // What people may write in several ways.
    stable("condition", text::<permission::Condition>),
    stable("bytes", |bytes| Some(quantity::display_bytes(quantity::parse_bytes(utf8(bytes)?).ok()?).into())),
    stable("count", |bytes| Some(quantity::display_count(quantity::parse_count(utf8(bytes)?).ok()?).into())),
    stable("span", |bytes| Some(clock::display_span(clock::parse_span(utf8(bytes)?).ok()?).into())),
    stable("timestamp", |bytes| Some(Timestamp::parse(utf8(bytes)?).ok()?.to_string().into())),
    accepted("limits", limits),
    accepted("agent-file", agent_file),
    accepted("permission-file", permission_file),
    // Signed documents and what is in them.
    exact("canonical-json", |bytes| {
        let value: serde_json::Value = canonical::from_canonical(bytes, ENVELOPE_MAX).ok()?;
        serde_json_canonicalizer::to_vec(&value).ok()
    }),
    exact("envelope", |bytes| Envelope::parse(bytes).ok()?.to_bytes().ok()),
    exact("component", component),
    exact("statement", fuzzing::STATEMENT),
    exact("trust-store", fuzzing::TRUST_STORE),
    exact("permissions", |bytes| AgentPermissions::parse(bytes).ok()?.to_bytes().ok()),
    exact("revocations", one_writing::<Revocations>),
    stable("host-configuration", |bytes| {
        let config: HostConfig = canonical::from_strict(bytes, ENVELOPE_MAX).ok()?;
        canonical::to_canonical(&config).ok()
    }),
    exact("message", fuzzing::MESSAGE),
    exact("content", fuzzing::CONTENT),
    // What custody keeps.
    exact("vault", fuzzing::VAULT),
    exact("slots", fuzzing::SLOTS),
    exact("exported-key", fuzzing::EXPORTED_KEY),
    // The log.
    exact("entry", |bytes| canonical::to_canonical(&Entry::parse_unverified(bytes).ok()?).ok()),
    exact("bundle", bundle),
    accepted("checkpoint", checkpoint),
    stable("proof", fuzzing::PROOF),
    accepted("journal", journal),
];

/// The target with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn text<T: FromStr + Display>(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(utf8(bytes)?.parse::<T>().ok()?.to_string().into_bytes())
}

fn one_writing<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Option<Vec<u8>> {
    canonical::to_canonical(&canonical::from_canonical::<T>(bytes, ENVELOPE_MAX).ok()?).ok()
}

/// The file is the component and, where it has one, the signature behind it.
fn component(bytes: &[u8]) -> Option<Vec<u8>> {
    let component = UnverifiedComponent::read(bytes.to_vec(), None).ok()?;
    // Both read on in what an attacker wrote; neither is to panic.
    drop((component.imports(), component.unverified_manifest()));
    match component.unverified_envelope() {
        Some(envelope) => attach(component.component_bytes(), envelope).ok(),
        None => Some(component.component_bytes().to_vec()),
    }
}

fn bundle(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut again = Vec::new();
    for entry in tile::entries(bytes) {
        if !tile::push_entry(&mut again, entry?) {
            return None;
        }
    }
    Some(again)
}

/// A note's text and signatures are the note, and a checkpoint that opens is the one that is read unverified.
fn checkpoint(bytes: &[u8]) -> Option<Vec<u8>> {
    let (text, signatures) = note::split_unverified(bytes).ok()?;
    assert_eq!([text, "\n", signatures].concat().as_bytes(), bytes, "a note is split into what it is");
    let key: Vkey = VERIFIER.parse().ok()?;
    let opened = Checkpoint::open(bytes, &key);
    let read = Checkpoint::read_unverified(bytes).ok()?;
    assert!(opened.is_err() || opened.is_ok_and(|opened| opened == read));
    Some(bytes.to_vec())
}

/// Somebody's verifier key; the seed checkpoints are signed by others.
const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

/// Batches lie one behind the other, behind the header and within the file.
fn journal(bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, length) = Header::read_unverified(bytes).ok()?;
    let rest = bytes.get(usize::try_from(length).ok()?..)?;
    let scan = journal::scan(rest, length, &header.salt, header.base()).ok()?;
    let mut end = length;
    for batch in &scan.batches {
        assert_eq!(batch.start, end, "a batch begins where the one before ends");
        end = batch.end;
    }
    assert!(end == scan.end && end <= bytes.len() as u64);
    Some(bytes.to_vec())
}

/// Each override that is read is what its name shows it as.
fn limits(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = utf8(bytes)?;
    Limits::parse_overrides(text).ok()?;
    for part in text.split(',') {
        let (name, amount) = part.split_once('=')?;
        let name: LimitName = name.parse().ok()?;
        assert!(name.parse(amount).is_ok(), "the whole was accepted");
    }
    Some(bytes.to_vec())
}

/// Who signs what is read, in files that do not say it.
const AUTHOR: &str = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw";
/// An hour of 2027.
const NOW: u64 = 1_800_000_000_000;

/// What an author writes becomes a manifest that has one writing.
fn agent_file(bytes: &[u8]) -> Option<Vec<u8>> {
    let defaults = ManifestDefaults { author: AUTHOR.parse().ok()?, now: Timestamp::from_millis(NOW) };
    let manifest = AgentManifest::from_toml(utf8(bytes)?, &defaults).ok()?;
    let written = canonical::to_canonical(&manifest).ok()?;
    assert_eq!(one_writing::<AgentManifest>(&written).as_deref(), Some(&*written), "a manifest reads back");
    Some(written)
}

/// What an operator writes becomes, where it has a meaning, a document that is read back as it was.
fn permission_file(bytes: &[u8]) -> Option<Vec<u8>> {
    let request = PermissionRequest::from_toml(utf8(bytes)?).ok()?;
    let issuance = Issuance {
        agent: AgentRef { author: AUTHOR.parse().ok()?, name: "agent".parse().ok()? },
        component: Digest::of(b"component"),
        signed_by: AUTHOR.parse().ok()?,
        now: Timestamp::from_millis(NOW),
    };
    let document = request.into_permissions(issuance).ok()?;
    let written = document.to_bytes().expect("what was made of a request has a meaning");
    assert_eq!(AgentPermissions::parse(&written).ok(), Some(document), "a document reads back");
    Some(written)
}
