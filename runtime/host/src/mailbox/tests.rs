#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kos_core::crypto::{SecretKey, Signer as _};
use kos_core::message::BODY_MAX;

use super::*;

fn sender(seed: u8) -> Did {
    SecretKey::from_seed(&[seed; 32]).did()
}

fn letter(from: Did, id: u32, bytes: usize) -> Delivery {
    let message = Message {
        id: id.to_string(),
        sender: from,
        timestamp: Timestamp::from_millis(0),
        topic: "t".into(),
        payload: vec![0; bytes],
        is_request: false,
    };
    Delivery { message, answer: Box::new(drop) }
}

/// One look at something that waits.
fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether a message is put in at once.
fn is_put(mailbox: &Mailbox, delivery: Delivery) -> bool {
    poll(&mut Box::pin(mailbox.put(delivery))) == Poll::Ready(Ok(()))
}

/// What lies in the mailbox, in the order in which it is taken.
fn taken(letters: &mut Letters) -> Vec<String> {
    let mut ids = Vec::new();
    while let Poll::Ready(delivery) = poll(&mut Box::pin(letters.next())) {
        ids.push(delivery.message.id);
    }
    ids
}

#[test]
fn the_flood_of_a_sender_fills_half_of_the_places_and_keeps_nobody_out() {
    let (mailbox, mut letters) = mailbox(8);
    let put =
        |from, count: u32| (0..count).filter(|id| is_put(&mailbox, letter(sender(from), *id, 1))).count();
    assert_eq!(put(1, 100), 4);
    assert_eq!(put(2, 100), 2);
    assert_eq!(put(3, 100), 1);
    assert_eq!(put(4, 100), 1);
    assert_eq!(put(5, 100), 0, "it is full");
    assert_eq!(taken(&mut letters), ["0", "0", "0", "0", "1", "1", "2", "3"]);
}

#[test]
fn the_largest_messages_of_one_sender_leave_room_for_the_largest_of_another() {
    let (mailbox, _letters) = mailbox(64);
    assert!(is_put(&mailbox, letter(sender(1), 0, BODY_MAX)));
    assert!(!is_put(&mailbox, letter(sender(1), 1, BODY_MAX)));
    assert!(is_put(&mailbox, letter(sender(2), 0, BODY_MAX)));
    assert!(!is_put(&mailbox, letter(sender(3), 0, 1)), "no byte is left");
    assert!(is_put(&mailbox, letter(sender(3), 0, 0)));
}

#[test]
fn a_quiet_sender_waits_for_one_message_of_each_flooding_one() {
    let (mailbox, mut letters) = mailbox(64);
    for flooding in 1..4 {
        for _ in 0..20 {
            is_put(&mailbox, letter(sender(flooding), 0, 1));
        }
    }
    assert!(is_put(&mailbox, letter(sender(9), 7, 1)));
    assert_eq!(taken(&mut letters).iter().position(|id| id == "7"), Some(3));
}

#[test]
fn who_is_held_back_is_let_in_when_something_is_taken_and_in_its_order() {
    let (mailbox, mut letters) = mailbox(1);
    assert!(is_put(&mailbox, letter(sender(1), 0, 1)));
    let mut waiting: Vec<_> = (1..4).map(|id| Box::pin(mailbox.put(letter(sender(1), id, 1)))).collect();
    assert!(waiting.iter_mut().all(|put| poll(put).is_pending()));
    drop(waiting.remove(0));
    assert_eq!(taken(&mut letters), ["0", "2", "3"], "who gave up is not there");
    assert!(waiting.iter_mut().all(|put| poll(put) == Poll::Ready(Ok(()))));
}

#[test]
fn a_refused_sender_has_nothing_there_and_puts_nothing_in_until_its_time_is_over() {
    let (mailbox, mut letters) = mailbox(2);
    let (answer, answered) = mpsc::channel();
    let told = Box::new(move |handled| drop(answer.send(handled)));
    assert!(is_put(&mailbox, Delivery { answer: told, ..letter(sender(1), 0, 1) }));
    assert!(is_put(&mailbox, letter(sender(2), 1, 1)));
    let mut waiting = Box::pin(mailbox.put(letter(sender(1), 2, 1)));
    assert!(poll(&mut waiting).is_pending());
    mailbox.refuse(sender(1), Instant::now() + Duration::from_secs(3_600));
    assert!(matches!(answered.recv().unwrap(), Err(Failed::Broken)));
    assert_eq!(poll(&mut waiting), Poll::Ready(Err(Unput::Refused)));
    assert!(mailbox.refuses(&sender(1)) && !mailbox.refuses(&sender(2)));
    assert!(!is_put(&mailbox, letter(sender(1), 3, 1)));
    assert_eq!(taken(&mut letters), ["1"]);
    mailbox.refuse(sender(1), Instant::now());
    assert!(!mailbox.refuses(&sender(1)));
    assert!(is_put(&mailbox, letter(sender(1), 4, 1)));
}

#[test]
fn nobody_waits_for_an_agent_that_is_gone() {
    let (mailbox, letters) = mailbox(1);
    assert!(is_put(&mailbox, letter(sender(1), 0, 1)));
    let mut waiting = Box::pin(mailbox.put(letter(sender(2), 1, 1)));
    assert!(poll(&mut waiting).is_pending());
    drop(letters);
    assert_eq!(poll(&mut waiting), Poll::Ready(Err(Unput::Gone)));
    assert!(!is_put(&mailbox, letter(sender(1), 2, 1)));
}
