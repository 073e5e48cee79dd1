use std::sync::mpsc;

use super::super::request::{MacPurpose, Secret};
use super::super::slot::{self, Unlock};
use super::super::testing::{SECRET, TestHome, empty_home, key, open_home, reopened, secret, secret_slot};
use super::super::{Custodian, KeyHandle, ThreadCustodian};
use super::*;
use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::crypto::Signer as _;
use crate::vault::VaultRequest;

const HOST: &str = "host/default";
const ALICE: &str = "agent/alice";
const AFTER: Duration = Duration::from_secs(600);
const A_MOMENT: Duration = Duration::from_millis(1);

/// A custodian with a host's key and an agent's, whose clock stands still.
fn custodian_at_rest() -> (TestHome, Arc<ManualClock>, Arc<ThreadCustodian>) {
    let test = empty_home();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1)));
    let home = test.home.clone();
    let root = move || slot::initialise(&home, &[secret_slot(SECRET)]);
    let custodian = ThreadCustodian::start(&test.home, clock.clone(), root).unwrap();
    custodian.create(&key(HOST)).unwrap();
    custodian.create(&key(ALICE)).unwrap();
    (test, clock, Arc::new(custodian))
}

fn unlock_with(secret: Unlock) -> Request {
    Request::Unlock { with: secret }
}

fn watch(custodian: &ThreadCustodian) -> mpsc::Receiver<LockCause> {
    let (told, causes) = mpsc::channel();
    custodian.lock_state().on_lock(Arc::new(move |cause| told.send(cause).unwrap()));
    causes
}

#[test]
fn a_locked_custodian_signs_for_its_host_and_refuses_everything_else() {
    let (_test, _, custodian) = custodian_at_rest();
    let host = KeyHandle::new(custodian.clone(), key(HOST)).unwrap();
    let alice = KeyHandle::new(custodian.clone(), key(ALICE)).unwrap();
    assert_eq!(custodian.ask(Request::Lock), Ok(Answer::Done));
    assert!(host.did().verify(b"entry", &host.sign(b"entry").unwrap()));
    let signatures = host.sign_many(vec![b"one".to_vec(), b"two".to_vec()]).unwrap();
    assert!(host.did().verify(b"two", &signatures[1]));
    assert_eq!(custodian.public(&key(HOST)).unwrap(), *host.public());
    let (did, message) = (alice.did(), b"message".to_vec());
    let passphrase = Secret::new(b"p".to_vec());
    let refused = [
        Request::Create { key: key("author/bob") },
        Request::Public { key: key(ALICE) },
        Request::Public { key: key("host/other") },
        Request::List,
        Request::Sign { key: key(ALICE), did, message: message.clone() },
        Request::SignMany { key: key(ALICE), did, messages: vec![message.clone()] },
        Request::Open {
            key: key(HOST),
            did: host.did(),
            info: Vec::new(),
            associated: Vec::new(),
            sealed: message.clone(),
        },
        Request::Mac { purpose: MacPurpose::Artifact, message: message.clone() },
        Request::Export { key: key(ALICE), passphrase: passphrase.clone() },
        Request::Import { key: key("author/bob"), passphrase, document: message },
        Request::Rotate { key: key("author/bob") },
        Request::Remove { key: key(ALICE) },
        Request::Vault {
            environment: "default".parse().unwrap(),
            noted: None,
            not_before: Timestamp::from_millis(0),
            request: VaultRequest::List,
        },
        Request::AutoLock { after: None },
    ];
    for request in refused {
        assert_eq!(custodian.ask(request.clone()), Err(CustodyError::Locked), "{request:?}");
    }
}

#[test]
fn a_locked_host_key_is_held_to_its_role_and_its_identifier() {
    let (_test, _, custodian) = custodian_at_rest();
    let alice = custodian.public(&key(ALICE)).unwrap().did;
    let host = custodian.public(&key(HOST)).unwrap().did;
    custodian.ask(Request::Lock).unwrap();
    let sign =
        |did, message: &[u8]| custodian.ask(Request::Sign { key: key(HOST), did, message: message.to_vec() });
    assert_eq!(sign(alice, b"x"), Err(CustodyError::Replaced { key: key(HOST) }));
    let grant = crate::crypto::pae("application/vnd.kos.permissions.v1+json", b"{}");
    assert!(matches!(sign(host, &grant), Err(CustodyError::Forbidden { .. })));
}

#[test]
fn a_host_key_that_was_not_used_before_a_lock_is_there_after_it() {
    let (test, _, custodian) = custodian_at_rest();
    let made = custodian.public(&key(HOST)).unwrap();
    let other = reopened(&test.home);
    other.ask(Request::Lock).unwrap();
    assert_eq!(other.public(&key(HOST)).unwrap(), made);
}

#[test]
fn an_unlock_by_the_right_secret_alone_brings_the_keys_back() {
    let (_test, _, custodian) = custodian_at_rest();
    let alice = KeyHandle::new(custodian.clone(), key(ALICE)).unwrap();
    let state = custodian.lock_state();
    custodian.ask(Request::Lock).unwrap();
    assert!(state.is_locked() && custodian.lock_state().is_locked());
    let wrong = custodian.ask(unlock_with(secret([9; 32]))).unwrap_err();
    assert!(matches!(wrong, CustodyError::WrongSecret { .. }), "{wrong}");
    assert!(state.is_locked() && alice.sign(b"message").is_err());
    assert_eq!(custodian.ask(unlock_with(secret(SECRET))), Ok(Answer::Done));
    assert!(!state.is_locked());
    assert!(alice.did().verify(b"message", &alice.sign(b"message").unwrap()));
    assert!(matches!(custodian.ask(unlock_with(secret([9; 32]))), Err(CustodyError::WrongSecret { .. })));
    assert!(!state.is_locked(), "a wrong secret locks nothing");
}

#[test]
fn a_locked_home_can_be_destroyed() {
    let (test, _, custodian) = custodian_at_rest();
    custodian.ask(Request::Lock).unwrap();
    assert_eq!(custodian.ask(Request::Destroy), Ok(Answer::Done));
    assert_eq!(slot::list(&test.home), Err(CustodyError::NotInitialised));
    assert_eq!(custodian.public(&key(HOST)), Err(CustodyError::Gone));
}

#[test]
fn a_lock_is_told_once_with_its_cause() {
    let (_test, clock, custodian) = custodian_at_rest();
    let causes = watch(&custodian);
    custodian.ask(Request::Lock).unwrap();
    custodian.ask(Request::Lock).unwrap();
    assert_eq!(causes.recv().unwrap(), LockCause::Asked);
    custodian.ask(unlock_with(secret(SECRET))).unwrap();
    custodian.ask(Request::AutoLock { after: Some(AFTER) }).unwrap();
    clock.sleep(Duration::from_secs(6));
    assert_eq!(
        custodian.list(),
        Err(CustodyError::Locked),
        "the first request after it finds the keys locked"
    );
    assert_eq!(causes.recv().unwrap(), LockCause::Slept);
    assert!(causes.try_recv().is_err());
}

#[test]
fn a_custodian_that_nobody_uses_locks_with_nobody_asking() {
    let (_test, custodian) = open_home();
    let causes = watch(&custodian);
    custodian.ask(Request::AutoLock { after: Some(A_MOMENT) }).unwrap();
    assert_eq!(causes.recv().unwrap(), LockCause::Idle);
    assert!(custodian.lock_state().is_locked());
}

#[test]
fn the_hosts_own_signing_keeps_nothing_unlocked_and_any_other_use_does() {
    let (_test, clock, custodian) = custodian_at_rest();
    let host = KeyHandle::new(custodian.clone(), key(HOST)).unwrap();
    custodian.ask(Request::AutoLock { after: Some(AFTER) }).unwrap();
    clock.advance(AFTER / 2);
    custodian.public(&key(ALICE)).unwrap();
    clock.advance(AFTER / 2);
    host.sign(b"entry").unwrap();
    assert!(!custodian.lock_state().is_locked());
    clock.advance(AFTER / 2);
    host.sign(b"entry").unwrap();
    assert!(custodian.lock_state().is_locked());
    custodian.ask(unlock_with(secret(SECRET))).unwrap();
    clock.advance(AFTER - A_MOMENT);
    host.sign(b"entry").unwrap();
    assert!(!custodian.lock_state().is_locked(), "an unlock begins anew");
}

#[test]
fn a_watch_tells_idleness_from_sleep_and_rests_until_either_can_be() {
    let clock = ManualClock::at(Timestamp::from_millis(1));
    let mut watch = Watch::off(clock.uptime());
    clock.advance(AFTER * 10);
    clock.sleep(AFTER * 10);
    assert_eq!((watch.due(clock.uptime()), watch.rest(clock.uptime())), (None, None), "off");
    watch.set(Some(AFTER));
    watch.note_use(clock.uptime());
    clock.advance(AFTER - A_MOMENT);
    assert_eq!((watch.due(clock.uptime()), watch.rest(clock.uptime())), (None, Some(A_MOMENT)));
    clock.advance(A_MOMENT);
    assert_eq!(watch.due(clock.uptime()), Some(LockCause::Idle));
    watch.note_use(clock.uptime());
    assert_eq!((watch.due(clock.uptime()), watch.rest(clock.uptime())), (None, Some(LOOK_EVERY)));
    clock.sleep(SLEEP_MIN);
    assert_eq!(watch.due(clock.uptime()), None, "the clocks may differ so much");
    clock.sleep(A_MOMENT);
    assert_eq!(watch.due(clock.uptime()), Some(LockCause::Slept));
    watch.set(None);
    assert_eq!(watch.due(clock.uptime()), None);
}

#[test]
fn causes_have_names_of_their_own() {
    assert_eq!(
        [LockCause::Asked, LockCause::Idle, LockCause::Slept].map(LockCause::as_str),
        ["asked", "idle", "slept"]
    );
}
