//! The inbox: the order of its judgements, its file, its lock.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::*;
use crate::custody::{self, Custodian, KeyHandle, SlotSpec};
use crate::home::Home;

#[test]
fn a_message_is_received_once_plain_or_sealed() {
    let (mut me, sender, mut dice) = (Receiver::new(1), Party::new(2), Dice(1));
    for bytes in [plain(&sender, &me.party, at(0), &mut dice), sealed(&sender, &me.party, at(0), &mut dice)] {
        let accepted = me.accept(&bytes, at(5)).unwrap();
        assert_eq!(accepted.header().from(), &sender.did());
        assert_eq!(me.open(&accepted).unwrap().topic().as_str(), "receipts");
        assert_eq!(me.name(&bytes, at(5)), "replayed");
    }
}

#[test]
fn a_key_in_custody_opens_what_is_for_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path().join("home")).unwrap();
    let slot = SlotSpec::Secret { secret: Zeroizing::new(vec![5; 32]) };
    let custodian = Arc::new(custody::initialise(&home, &[slot]).unwrap());
    let handle = |name: &str| {
        let name = name.parse().unwrap();
        custodian.create(&name).unwrap();
        KeyHandle::new(Arc::clone(&custodian) as Arc<dyn Custodian>, name).unwrap()
    };
    let (alice, bob) = (handle("agent/alice"), handle("agent/bob"));
    let mut inbox = Inbox::open(&folder.path().join("bob.json"), bob.did()).unwrap();
    for is_sealed in [false, true] {
        let randomness = crypto::random().unwrap();
        let draft = Draft::new(&alice, bob.did(), content("hello"), at(0), &randomness);
        let message =
            if is_sealed { draft.sealed(&bob.public().agreement_key) } else { draft.signed() }.unwrap();
        let message = SignedMessage::verify(message.into_bytes()).unwrap();
        let judged = message.judged(&bob.did(), at(0), |_| Ok(())).unwrap();
        let accepted = inbox.accept(judged).unwrap();
        assert_eq!(accepted.open(&bob).unwrap().body(), b"hello");
        assert_eq!(accepted.open(&alice).unwrap_err(), Rejection::Recipient);
    }
}

#[test]
fn the_sealed_message_of_the_vector_is_received() {
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/message.json")).unwrap();
    let vector = &document["vectors"][1];
    let mut me = Receiver::new(2);
    let now = Timestamp::from_millis(vector["timestamp"].as_u64().unwrap());
    let accepted = me.accept(vector["message"].as_str().unwrap().as_bytes(), now).unwrap();
    assert_eq!(me.open(&accepted).unwrap().body(), b"hello");
    let (from, to) = (Party::new(1).did(), me.party.did());
    let expected = [MESSAGE_TYPE.as_bytes(), from.public_key(), to.public_key()].concat();
    let unseal = |info: &[u8], _: &[u8], _: &[u8]| -> Result<Vec<u8>, Rejection> {
        assert_eq!(info, expected);
        Err(Rejection::Sealed)
    };
    assert_eq!(accepted.open_with(unseal).unwrap_err(), Rejection::Sealed);
}

#[test]
fn a_refused_sender_changes_nothing_and_may_be_heard_later() {
    let (mut me, sender) = (Receiver::new(1), Party::new(2));
    let bytes = plain(&sender, &me.party, at(0), &mut Dice(1));
    let before = me.inbox().window().clone();
    for rejection in [Rejection::Untrusted, Rejection::Revoked, Rejection::Denied] {
        let message = SignedMessage::verify(bytes.clone()).unwrap();
        let refused = message.judged(&me.party.did(), at(0), |_| Err(rejection.clone())).unwrap_err();
        assert_eq!(refused, rejection);
        assert_eq!(*me.inbox().window(), before);
        assert_eq!(me.file(), None, "nothing is written for a stranger");
    }
    assert_eq!(me.name(&bytes, at(0)), "received");
}

#[test]
fn the_judge_is_not_asked_about_what_is_for_others_or_of_another_time() {
    let (me, sender, mut dice) = (Receiver::new(1), Party::new(2), Dice(1));
    let unasked = |_: &Did| -> Result<(), Rejection> { panic!("asked") };
    for (bytes, expected) in [
        (plain(&sender, &sender, at(0), &mut dice), "recipient"),
        (plain(&sender, &me.party, at(0), &mut dice), "stale"),
        (plain(&sender, &me.party, at(900_000), &mut dice), "future"),
    ] {
        let message = SignedMessage::verify(bytes).unwrap();
        let refused = message.judged(&me.party.did(), at(400_000), unasked).unwrap_err();
        assert_eq!(refused.name(), expected);
    }
}

#[test]
fn what_was_judged_for_one_recipient_is_not_received_by_another() {
    let (mut me, other, sender) = (Receiver::new(1), Party::new(3), Party::new(2));
    let message = SignedMessage::verify(plain(&sender, &other, at(0), &mut Dice(1))).unwrap();
    let judged = message.judged(&other.did(), at(0), |_| Ok(())).unwrap();
    assert_eq!(me.inbox().accept(judged).unwrap_err(), Rejection::Recipient);
}

#[test]
fn a_message_is_of_this_time_to_the_millisecond() {
    let (mut me, sender, mut dice) = (Receiver::new(1), Party::new(2), Dice(1));
    let now = 1_000_000;
    for (sent, expected) in [
        (now + 60_001, "future"),
        (now - 300_000, "stale"),
        (now - 299_999, "received"),
        (now + 60_000, "received"),
    ] {
        assert_eq!(me.name(&plain(&sender, &me.party, at(sent), &mut dice), at(now)), expected, "{sent}");
    }
}

#[test]
fn after_a_crash_nothing_up_to_a_second_past_the_newest_is_accepted_and_after_a_close_what_is_newer() {
    let (mut me, sender, mut dice) = (Receiver::new(1), Party::new(2), Dice(1));
    let mut name = |me: &mut Receiver, sent: u64| {
        let bytes = plain(&sender, &me.party, at(sent), &mut dice);
        me.name(&bytes, at(sent.max(10)))
    };
    assert_eq!(name(&mut me, 10), "received");
    me.reopen();
    assert_eq!([name(&mut me, 5), name(&mut me, 10), name(&mut me, 1_010)], ["behind-floor"; 3]);
    assert_eq!(name(&mut me, 1_011), "received");
    me.restart();
    assert_eq!(me.inbox().floor(), at(1_011));
    assert_eq!(name(&mut me, 1_011), "behind-floor");
    assert_eq!(name(&mut me, 1_012), "received");
    me.restart();
    me.restart();
    assert_eq!(me.inbox().floor(), at(1_012), "an inbox that received nothing leaves the floor as it was");
}

#[test]
fn the_disk_is_written_once_in_a_second_of_messages() {
    let (mut me, sender, mut dice) = (Receiver::new(1), Party::new(2), Dice(1));
    let mut files = std::collections::BTreeSet::new();
    for sent in 0..3_000 {
        assert_eq!(me.name(&plain(&sender, &me.party, at(sent), &mut dice), at(sent)), "received");
        files.insert(me.file());
    }
    assert_eq!(files.len(), 3);
}

#[test]
fn a_floor_that_cannot_be_written_refuses_the_message_and_forgets_it() {
    let (mut me, sender) = (Receiver::new(1), Party::new(2));
    let bytes = plain(&sender, &me.party, at(0), &mut Dice(1));
    let before = me.inbox().window().clone();
    std::fs::create_dir(me.path()).unwrap();
    assert_eq!(me.name(&bytes, at(0)), "unrecorded");
    assert_eq!(*me.inbox().window(), before);
    std::fs::remove_dir(me.path()).unwrap();
    assert_eq!(me.name(&bytes, at(0)), "received");
}

#[test]
fn an_inbox_is_open_once() {
    let mut me = Receiver::new(1);
    assert!(matches!(Inbox::open(&me.path(), me.party.did()), Err(InboxError::Busy { .. })));
    me.restart();
    me.inbox = None;
    assert!(Inbox::open(&me.path(), me.party.did()).is_ok());
}

#[test]
fn a_floor_that_is_malformed_or_anothers_is_refused() {
    let (mut me, sender) = (Receiver::new(1), Party::new(2));
    let bytes = plain(&sender, &me.party, at(0), &mut Dice(1));
    assert_eq!(me.name(&bytes, at(0)), "received");
    me.inbox = None;
    assert!(matches!(Inbox::open(&me.path(), sender.did()), Err(InboxError::Mismatch { .. })));
    let text = String::from_utf8(me.file().unwrap()).unwrap();
    for (altered, is_format) in [
        (text.replace("\"version\":1", "\"version\":2"), true),
        (text.replace('{', "{ "), false),
        (text[1..].to_owned(), false),
        (String::new(), false),
    ] {
        std::fs::write(me.path(), &altered).unwrap();
        match Inbox::open(&me.path(), me.party.did()) {
            Err(InboxError::Mismatch { .. }) => assert!(is_format, "{altered}"),
            Err(InboxError::Malformed { .. }) => assert!(!is_format, "{altered}"),
            other => panic!("{altered}: {other:?}"),
        }
    }
}

#[test]
fn an_older_floor_lets_nothing_be_received_again_that_is_older_than_the_age() {
    let (mut me, sender, mut dice) = (Receiver::new(1), Party::new(2), Dice(1));
    let old = plain(&sender, &me.party, at(0), &mut dice);
    assert_eq!(me.name(&old, at(0)), "received");
    me.inbox = None;
    std::fs::remove_file(me.path()).unwrap();
    me.reopen();
    assert_eq!(me.name(&old, at(300_000)), "stale");
}
