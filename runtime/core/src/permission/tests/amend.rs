//! A grant in another's place: at every instant one of them counts, and the old one never again.

use std::fs;

use super::store::world;
use super::*;

const SIGN: Capability = Capability::CryptoSign;

fn issued(second: u64) -> (crate::id::Did, Timestamp) {
    (key(9).did(), at(second))
}

fn named(text: &str) -> Named {
    text.parse().unwrap()
}

#[test]
fn every_prefix_of_the_steps_leaves_one_of_the_two_in_force_and_the_old_one_stays_away() {
    let world = world(1);
    let usual = grant(&[(SIGN, allow(&["receipt", "payment"]))]);
    let old = world.install(&usual.sign(&[&key(9)]).unwrap()).unwrap();
    let old_file = fs::read(world.file(old.id())).unwrap();
    let narrowing = Narrowing { remove: vec![named("crypto.sign:payment")], ..Narrowing::default() };
    let next = narrowed(&old, &narrowing, issued(2_000)).unwrap().sign(&[&key(9)]).unwrap();
    let in_force = |world: &super::store::World| {
        world.load().unwrap().grants().iter().map(VerifiedGrant::id).collect::<Vec<_>>()
    };
    assert_eq!(in_force(&world), [old.id()]);
    // Killed before the renaming: a temporary file, which is passed over.
    world.put(".beside", b"half");
    assert_eq!(in_force(&world), [old.id()]);
    // Killed after it, before the list of revocations.
    let new = world.install(&next).unwrap();
    assert_eq!(in_force(&world), [new.id()]);
    world.put(&format!("{}.json", old.id()), &old_file);
    assert_eq!(in_force(&world), [new.id()]);
    assert!(matches!(
        world.install(&usual.sign(&[&key(9)]).unwrap()),
        Err(PermissionError::Superseded { by, .. }) if by == new.id()
    ));
    // The same change again carries it to its end.
    supersede(&world.home, &world.config, &next, at(2_000), &[&key(9)]).unwrap();
    assert_eq!(in_force(&world), [new.id()]);
    fs::remove_file(world.file(new.id())).unwrap();
    assert_eq!(in_force(&world), [], "without its successor it is revoked still");
}

#[test]
fn a_revoked_or_ended_successor_brings_nothing_back() {
    let world = world(1);
    let old = world.install(&grant(&[(SIGN, allow(&["a"]))]).sign(&[&key(9)]).unwrap()).unwrap();
    let shorter = Narrowing { expires: Some(Expiry::At(at(2_500))), ..Narrowing::default() };
    let next = narrowed(&old, &shorter, issued(2_000)).unwrap().sign(&[&key(9)]).unwrap();
    let new = world.install(&next).unwrap();
    assert_eq!(world.load().unwrap().grants().len(), 1);
    world.revoke(new.id()).unwrap();
    assert!(world.load().unwrap().grants().is_empty());
    let list = Revocations::load(&world.home, &world.config).unwrap();
    assert!(list.find(old.id()).is_some(), "the next revocation took the old one along");
}

#[test]
fn a_place_is_taken_once_and_by_the_same_agent_and_line_only() {
    let world = world(1);
    let old = world.install(&grant(&[(SIGN, allow(&["a"]))]).sign(&[&key(9)]).unwrap()).unwrap();
    let longer = Extension { add: vec![named("crypto.sign:b")], expires: None };
    let next = extended(&old, &longer, issued(2_000)).unwrap();
    let mut foreign = next.clone();
    foreign.succession = Some(Succession { replaces: old.id(), origin: GrantId::of(b"other") });
    let mut unknown = next.clone();
    unknown.succession = Some(Succession { replaces: GrantId::of(b"other"), origin: GrantId::of(b"other") });
    for wrong in [foreign, unknown] {
        let refused = world.install(&wrong.sign(&[&key(9)]).unwrap());
        assert!(matches!(refused, Err(PermissionError::Succession { .. })), "{refused:?}");
    }
    world.install(&next.sign(&[&key(9)]).unwrap()).unwrap();
    let second = extended(&old, &longer, issued(2_001)).unwrap();
    assert!(matches!(
        world.install(&second.sign(&[&key(9)]).unwrap()),
        Err(PermissionError::Succession { .. })
    ));
}
