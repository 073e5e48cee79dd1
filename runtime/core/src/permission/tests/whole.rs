//! From a signed component, a signed trust store and a signed grant to a judged call.

use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::crypto::Signer;
use crate::home::{Home, HostConfig};
use crate::manifest::{self, AgentManifest, ManifestDefaults, UnverifiedComponent, VerifiedComponent};
use crate::permission::marker::{CryptoHash, CryptoSign, IdentitySelf};
use crate::trust::{self, TrustStore, VerifiedTrust};

const AGENT_FILE: &str = r#"
name = "notary"
version = "0.1.0"
[capabilities]
"crypto.hash" = { scope = ["sha-512"] }
"crypto.sign" = { scope = ["receipt"] }
[resources]
memory = "16MiB"
"#;

const PERMISSIONS: &str = r#"
expires = "30d"
[capabilities]
"crypto.hash" = { scope = ["*"] }
"crypto.sign" = { scope = ["*"] }
"identity.self" = {}
[resources]
storage = "persistent"
[limits]
memory = "1GiB"
"#;

struct World {
    _folder: tempfile::TempDir,
    home: Home,
    config: HostConfig,
    trust: VerifiedTrust,
    component: VerifiedComponent,
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-24T08:00:00Z").unwrap()
}

fn world(level: TrustLevel) -> World {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    let config = HostConfig::new(key(7).did(), "kos.test/log".to_owned(), vec![key(9).did()], 1, at(1));
    let operator: &[&dyn Signer] = &[&key(9)];
    let author = key(1);
    let store = TrustStore::initial(now()).add_author(author.did(), level, None, now()).unwrap().store;
    let trust = trust::install(&home, &config, &store, operator, now()).unwrap();
    let bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let defaults = ManifestDefaults { author: author.did(), now: now() };
    let manifest = AgentManifest::from_toml(AGENT_FILE, &defaults).unwrap();
    let envelope = manifest::sign(&bytes, &manifest, &[&author]).unwrap();
    let file = manifest::attach(&bytes, &envelope).unwrap();
    let component = UnverifiedComponent::read(file, None).unwrap().verify(&trust, now()).unwrap();
    World { _folder: folder, home, config, trust, component }
}

impl World {
    fn issuance(&self) -> Issuance {
        Issuance {
            agent: self.component.agent(),
            component: self.component.digest(),
            signed_by: key(9).did(),
            now: now(),
        }
    }

    fn grant(&self, text: &str) -> GrantId {
        let request = PermissionRequest::from_toml(text).unwrap();
        let signed = request.into_permissions(self.issuance()).unwrap().sign(&[&key(9)]).unwrap();
        install(&self.home, &self.config, &signed, now()).unwrap().id()
    }

    fn effective(&self) -> Effective {
        let permissions =
            VerifiedPermissions::load(&self.home, &self.config, &self.component, now()).unwrap();
        Effective::compute(&self.component, &permissions, &self.trust)
    }
}

#[test]
fn an_agent_gets_what_is_declared_granted_and_under_the_ceiling() {
    let world = world(TrustLevel::Partner);
    let id = world.grant(PERMISSIONS);
    let effective = world.effective();
    assert!(effective.check_launch(now()).is_ok());
    assert_eq!(effective.limits(now()).memory, 16 << 20, "no more than declared");
    assert_eq!(effective.resources(now()).storage, StorageAccess::None, "not declared");
    let gate = Gate::new(effective, Arc::new(ManualClock::at(now())), Arc::new(|_| {}));
    assert_eq!(gate.authorize::<CryptoSign>("receipt").unwrap().id(), id);
    assert!(gate.authorize::<CryptoHash>("sha-512").is_ok());
    let refused = |denied: Result<Grant<'_, CryptoSign>, Denied>| denied.unwrap_err().reason;
    assert_eq!(refused(gate.authorize("invoice")), Reason::OutsideDeclaration);
    assert_eq!(gate.authorize::<IdentitySelf>("").unwrap_err().reason, Reason::NotDeclared);
    revoke(&world.home, &world.config, id, "", now(), &[&key(9)]).unwrap();
    gate.replace(world.effective()).unwrap();
    assert_eq!(refused(gate.authorize("receipt")), Reason::NotGranted);
}

#[test]
fn a_stranger_gets_no_more_than_strangers_may() {
    let world = world(TrustLevel::External);
    world.grant(PERMISSIONS);
    let effective = world.effective();
    let judge = |capability, scope| {
        let facts = Facts { now: now(), environment: None, usage: Usage::NONE, is_locked: false };
        super::evaluate(&effective, capability, scope, &facts)
    };
    assert!(judge(Capability::CryptoHash, "sha-512").is_allowed());
    let reason = Reason::AboveCeiling { level: TrustLevel::External };
    assert_eq!(judge(Capability::CryptoSign, "receipt"), Decision::Denied(reason.clone()));
    let facts = Facts { now: now(), environment: None, usage: Usage::NONE, is_locked: false };
    let change = explain(&effective, Capability::CryptoSign, "receipt", &facts).change;
    assert!(change.contains(&format!("kos trust add {} --level", key(1).did())), "{change}");
}

#[test]
fn what_the_trust_store_takes_back_is_taken_from_a_running_agent() {
    let world = world(TrustLevel::Partner);
    world.grant(PERMISSIONS);
    let judge = |store: &TrustStore| {
        let trust = trust::install(&world.home, &world.config, store, &[&key(9)], now()).unwrap();
        let permissions =
            VerifiedPermissions::load(&world.home, &world.config, &world.component, now()).unwrap();
        let effective = Effective::compute(&world.component, &permissions, &trust);
        let facts = Facts { now: now(), environment: None, usage: Usage::NONE, is_locked: false };
        ["crypto.hash:sha-512", "crypto.sign:receipt"].map(|call| {
            let (capability, scope) = call.split_once(':').unwrap();
            super::evaluate(&effective, capability.parse().unwrap(), scope, &facts).is_allowed()
        })
    };
    let author = key(1).did();
    let partner = world.trust.store().clone();
    let external = partner.add_author(author, TrustLevel::External, None, now()).unwrap().store;
    let trusted = external.add_author(author, TrustLevel::Trusted, None, now()).unwrap().store;
    let revoked = trusted.revoke_component(world.component.digest(), "flawed", now()).unwrap().store;
    assert_eq!(judge(&external), [true, false]);
    assert_eq!(judge(&trusted), [true, true], "no more than the level it was verified at");
    assert_eq!(judge(&revoked), [false, false]);
    let nobody = revoked.revoke_key(author, "stolen", now()).unwrap().store;
    assert_eq!(judge(&nobody), [false, false]);
}

#[test]
fn without_a_grant_the_missing_ones_are_named_with_their_commands() {
    let world = world(TrustLevel::Partner);
    let effective = world.effective();
    assert!(matches!(effective.check_launch(now()), Err(LaunchRefusal::NoGrant { .. })));
    let missing = effective.missing(&["kos:agent/crypto@0.1.0"], "notary.wasm", now());
    let changes: Vec<_> = missing.iter().map(|missing| missing.change.as_str()).collect();
    assert_eq!(
        changes,
        [
            "kos grant notary.wasm --allow crypto.hash:sha-512 --for 30d",
            "kos grant notary.wasm --allow crypto.sign:receipt --for 30d"
        ]
    );
    let flags = ["crypto.hash:sha-512", "crypto.sign:receipt"];
    let request = PermissionRequest::from_flags(&flags, When::parse("30d").unwrap()).unwrap();
    world.grant(&request.to_toml());
    assert!(world.effective().missing(&["kos:agent/crypto@0.1.0"], "notary.wasm", now()).is_empty());
}

#[test]
fn a_grant_pinned_to_one_component_is_none_for_the_next_and_one_for_the_author_is() {
    let world = world(TrustLevel::Partner);
    let elsewhere = Issuance { component: Digest::of(b"the version before"), ..world.issuance() };
    let request = PermissionRequest::from_toml(PERMISSIONS).unwrap();
    let signed = request.clone().into_permissions(elsewhere.clone()).unwrap().sign(&[&key(9)]).unwrap();
    install(&world.home, &world.config, &signed, now()).unwrap();
    assert!(matches!(world.effective().check_launch(now()), Err(LaunchRefusal::NoGrant { .. })));
    let by_author = request.pinned_to(PinKind::Author).into_permissions(elsewhere).unwrap();
    install(&world.home, &world.config, &by_author.sign(&[&key(9)]).unwrap(), now()).unwrap();
    assert!(world.effective().check_launch(now()).is_ok());
}
