//! Grants as files: what is installed counts, what was altered stops everything, what was revoked stays so.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::crypto::Signer;
use crate::envelope::{Envelope, EnvelopeError};
use crate::home::{Home, HostConfig};

const SIGN: Capability = Capability::CryptoSign;

pub(super) struct World {
    _folder: tempfile::TempDir,
    pub(super) home: Home,
    pub(super) config: HostConfig,
}

/// A home whose operators have the keys 9 and 8, of whom `threshold` must sign.
pub(super) fn world(threshold: usize) -> World {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    let operators = vec![key(9).did(), key(8).did()];
    let config = HostConfig::new(key(7).did(), "kos.test/log".to_owned(), operators, threshold, at(1));
    World { _folder: folder, home, config }
}

impl World {
    pub(super) fn install(&self, envelope: &Envelope) -> Result<VerifiedGrant, PermissionError> {
        super::install(&self.home, &self.config, envelope, at(2_000))
    }

    pub(super) fn load(&self) -> Result<VerifiedPermissions, PermissionError> {
        VerifiedPermissions::load_for(&self.home, &self.config, &agent(), &component(), at(2_000))
    }

    pub(super) fn file(&self, id: GrantId) -> PathBuf {
        self.home.grants().join(format!("{id}.json"))
    }

    pub(super) fn revoke(&self, id: GrantId) -> Result<Revocations, PermissionError> {
        super::revoke(&self.home, &self.config, id, "no longer wanted", at(3_000), &[&key(9)])
    }

    fn copy(&self, name: &str) -> Vec<u8> {
        fs::read(self.home.grants().join(name)).unwrap()
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.home.grants().join(name), bytes).unwrap();
    }
}

fn envelope(permissions: &AgentPermissions, signers: &[&dyn Signer]) -> Envelope {
    permissions.sign(signers).unwrap()
}

fn usual() -> AgentPermissions {
    grant(&[(SIGN, allow(&["receipt"]))])
}

#[test]
fn an_installed_grant_counts_and_is_listed() {
    let world = world(1);
    assert!(world.load().unwrap().grants().is_empty());
    let installed = world.install(&envelope(&usual(), &[&key(9)])).unwrap();
    assert_eq!((installed.permissions(), installed.signers()), (&usual(), &[key(9).did()][..]));
    let loaded = world.load().unwrap();
    assert_eq!(loaded.grants(), std::slice::from_ref(&installed));
    let again = world.install(&envelope(&usual(), &[&key(9)])).unwrap();
    assert_eq!(again, installed);
    for (now, standing) in [
        (0, Standing::NotYet { from: at(1_000) }),
        (2_000, Standing::InForce),
        (1_000_000, Standing::Expired { at: at(1_000_000) }),
    ] {
        let listed = list(&world.home, &world.config, at(now)).unwrap();
        assert_eq!(listed, [ListedGrant { grant: installed.clone(), standing }]);
    }
}

#[test]
fn signatures_of_anybody_else_and_too_few_are_refused() {
    let one = world(1);
    let refused = one.install(&envelope(&usual(), &[&key(1)]));
    assert!(matches!(
        refused,
        Err(PermissionError::Signature { source: EnvelopeError::Threshold { valid: 0, .. }, .. })
    ));
    let two = world(2);
    let refused = two.install(&envelope(&usual(), &[&key(9)]));
    assert!(matches!(
        refused,
        Err(PermissionError::Signature { source: EnvelopeError::Threshold { valid: 1, .. }, .. })
    ));
    assert!(two.install(&envelope(&usual(), &[&key(9), &key(8)])).is_ok());
    let named_another = AgentPermissions { signed_by: key(8).did(), ..usual() };
    let refused = one.install(&envelope(&named_another, &[&key(9)]));
    assert!(matches!(refused, Err(PermissionError::Issuer { signed_by, .. }) if signed_by == key(8).did()));
    assert_eq!(fs::read_dir(one.home.grants()).unwrap().count(), 0, "nothing refused is written");
}

#[test]
fn what_was_signed_for_another_use_is_no_grant() {
    let world = world(1);
    let payload = usual().to_bytes().unwrap();
    let other = Envelope::sign("application/vnd.kos.trust.v1+json", payload, &[&key(9)]).unwrap();
    assert!(matches!(world.install(&other), Err(PermissionError::Signature { .. })));
    let nonsense = Envelope::sign(PERMISSIONS_TYPE, b"{}".to_vec(), &[&key(9)]).unwrap();
    assert!(matches!(world.install(&nonsense), Err(PermissionError::Document { .. })));
}

#[test]
fn an_ended_grant_is_not_installed() {
    let world = world(1);
    let ended = AgentPermissions { expires: Expiry::At(at(1_999)), ..usual() };
    assert!(matches!(world.install(&envelope(&ended, &[&key(9)])), Err(PermissionError::Expired { .. })));
}

#[test]
fn a_clock_set_back_before_the_issuance_of_a_grant_is_noticed() {
    let world = world(1);
    let later = AgentPermissions { timestamp: at(2_000 + 300_001), ..usual() };
    let signed = envelope(&later, &[&key(9)]);
    assert!(matches!(world.install(&signed), Err(PermissionError::FromTheFuture { .. })));
    super::install(&world.home, &world.config, &signed, at(400_000)).unwrap();
    assert!(matches!(world.load(), Err(PermissionError::FromTheFuture { .. })));
}

#[test]
fn grants_of_others_and_of_other_components_do_not_count() {
    let world = world(1);
    let mut of_another = usual();
    of_another.agent_id.name = "courier".parse().unwrap();
    let elsewhere = AgentPermissions { pin: Pin::Component { component: Digest::of(b"old") }, ..usual() };
    world.install(&envelope(&of_another, &[&key(9)])).unwrap();
    let pinned = world.install(&envelope(&elsewhere, &[&key(9)])).unwrap();
    let loaded = world.load().unwrap();
    assert!(loaded.grants().is_empty());
    assert_eq!(loaded.pinned_elsewhere(), [pinned.id()]);
}

#[test]
fn a_damaged_or_foreign_file_stops_the_launch() {
    let world = world(1);
    let id = world.install(&envelope(&usual(), &[&key(9)])).unwrap().id();
    let good = fs::read(world.file(id)).unwrap();
    for bit in (0..good.len() * 8).step_by(5) {
        let mut altered = good.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        fs::write(world.file(id), &altered).unwrap();
        let loaded = world.load();
        let is_unchanged = loaded.as_ref().is_ok_and(|loaded| loaded.grants()[0].permissions() == &usual());
        // The hint of a signature is covered by nothing, and decides nothing.
        assert!(loaded.is_err() || is_unchanged, "bit {bit}");
    }
    for bytes in [&b""[..], b"{}", &good[..good.len() - 1]] {
        fs::write(world.file(id), bytes).unwrap();
        assert!(matches!(world.load(), Err(PermissionError::File { .. })));
    }
    fs::write(world.file(id), &good).unwrap();
    assert!(world.load().is_ok());
    for name in ["notes.txt", "0000000000000000.json", "x.json", "0123456789ABCDEF.json"] {
        world.put(name, &good);
        assert!(matches!(world.load(), Err(PermissionError::File { .. })), "{name}");
        fs::remove_file(world.home.grants().join(name)).unwrap();
    }
    world.put(".0123456789abcdef.json.5-0.tmp", b"cut short");
    assert!(world.load().is_ok(), "what a crash left behind harms nothing");
}

#[test]
fn a_grant_that_an_attacker_signs_stops_the_launch() {
    let world = world(1);
    let forged = envelope(&AgentPermissions { signed_by: key(1).did(), ..usual() }, &[&key(1)]);
    let id = GrantId::of(forged.unverified_payload());
    fs::write(world.file(id), forged.to_bytes().unwrap()).unwrap();
    assert!(matches!(world.load(), Err(PermissionError::Signature { grant, .. }) if grant == id));
}

#[test]
fn a_revoked_grant_counts_no_longer_and_does_not_come_back() {
    let world = world(1);
    let signed = envelope(&usual(), &[&key(9)]);
    let id = world.install(&signed).unwrap().id();
    assert_eq!(world.revoke(id).unwrap().version(), 1);
    assert!(world.load().unwrap().grants().is_empty());
    assert!(matches!(world.install(&signed), Err(PermissionError::Revoked { grant, .. }) if grant == id));
    assert_eq!(world.revoke(id).unwrap().version(), 1, "once is enough");
    let listed = list(&world.home, &world.config, at(3_000)).unwrap();
    assert!(
        matches!(&listed[0].standing, Standing::Revoked(revoked) if revoked.reason == "no longer wanted")
    );
    let unknown = GrantId::of(b"unknown");
    assert!(matches!(world.revoke(unknown), Err(PermissionError::Unknown { grant }) if grant == unknown));
}

#[test]
fn a_list_of_revocations_is_not_taken_back_nor_away() {
    let world = world(1);
    let first = world.install(&envelope(&usual(), &[&key(9)])).unwrap().id();
    let other = AgentPermissions { timestamp: at(1_001), ..usual() };
    let second = world.install(&envelope(&other, &[&key(9)])).unwrap().id();
    world.revoke(first).unwrap();
    let old = world.copy("revoked.json");
    world.revoke(second).unwrap();
    let new = world.copy("revoked.json");
    world.put("revoked.json", &old);
    assert!(matches!(world.load(), Err(PermissionError::RevocationsRolledBack { found: 1, floor: 2 })));
    assert!(world.install(&envelope(&other, &[&key(9)])).is_err());
    fs::remove_file(world.home.grants().join("revoked.json")).unwrap();
    assert!(matches!(world.load(), Err(PermissionError::RevocationsRolledBack { found: 0, floor: 2 })));
    world.put("revoked.json", &new);
    assert!(world.load().unwrap().grants().is_empty());
    world.put("revoked.floor", b"two");
    assert!(matches!(world.load(), Err(PermissionError::Floor { .. })));
}

#[test]
fn a_copied_list_raises_the_floor_when_it_is_first_read() {
    let (one, two) = (world(1), world(1));
    for world in [&one, &two] {
        world.install(&envelope(&usual(), &[&key(9)])).unwrap();
    }
    one.revoke(GrantId::of(&usual().to_bytes().unwrap())).unwrap();
    two.put("revoked.json", &one.copy("revoked.json"));
    assert!(two.load().unwrap().grants().is_empty());
    assert_eq!(two.copy("revoked.floor"), b"1");
    fs::remove_file(two.home.grants().join("revoked.json")).unwrap();
    assert!(two.load().is_err());
}

#[test]
fn only_operators_revoke_and_a_newer_list_forgets_nothing() {
    let world = world(1);
    let id = world.install(&envelope(&usual(), &[&key(9)])).unwrap().id();
    let by_a_stranger = super::revoke(&world.home, &world.config, id, "", at(3_000), &[&key(1)]);
    assert!(matches!(by_a_stranger, Err(PermissionError::RevocationList { .. })));
    assert_eq!(world.load().unwrap().grants().len(), 1);
    world.revoke(id).unwrap();
    let other = GrantId::of(b"other");
    let forgetful = Revocations::default().with(other, "", at(1)).with(other, "", at(1));
    let refused = Revocations::install(&world.home, &world.config, &forgetful.sign(&[&key(9)]).unwrap());
    assert!(matches!(refused, Err(PermissionError::RevocationTakenBack { grant }) if grant == id));
    let stale = Revocations::default().with(id, "", at(1)).sign(&[&key(9)]).unwrap();
    let refused = Revocations::install(&world.home, &world.config, &stale);
    assert!(matches!(refused, Err(PermissionError::RevocationsRolledBack { found: 1, floor: 2 })));
}

#[test]
fn a_revocation_needs_as_many_operators_as_a_grant() {
    let world = world(2);
    let id = world.install(&envelope(&usual(), &[&key(9), &key(8)])).unwrap().id();
    assert!(world.revoke(id).is_err());
    let signers: [&dyn Signer; 2] = [&key(9), &key(8)];
    super::revoke(&world.home, &world.config, id, "", at(3_000), &signers).unwrap();
    assert!(world.load().unwrap().grants().is_empty());
}

#[test]
fn a_hostile_list_of_revocations_is_refused() {
    let world = world(1);
    for payload in [
        r#"{"revoked":{},"version":0}"#,
        r#"{"revoked":{},"version":1.5}"#,
        r#"{"revoked":{},"version":9007199254740993}"#,
        r#"{"revoked":{"xyz":{"at":1,"reason":""}},"version":1}"#,
        r#"{"revoked":{},"restored":[],"version":1}"#,
        r#"{"version":1,"revoked":{}}"#,
        r#"{"revoked":{}}"#,
    ] {
        let signed = Envelope::sign(REVOCATIONS_TYPE, payload.as_bytes().to_vec(), &[&key(9)]).unwrap();
        assert!(Revocations::install(&world.home, &world.config, &signed).is_err(), "{payload}");
    }
    assert_eq!(Revocations::load(&world.home, &world.config).unwrap(), Revocations::default());
}
