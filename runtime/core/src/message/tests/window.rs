//! What is remembered, under floods and clocks that jump.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::replay::Window;
use super::*;

fn did(number: u64) -> Did {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_seed(&seed).did()
}

fn header(from: Did, id: u64, sent: u64) -> Header {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&id.to_be_bytes());
    Header { id: MessageId::from_bytes(bytes), from, to: did(0), timestamp: at(sent), nonce: [0; 16] }
}

fn receive(window: &mut Window, header: &Header, now: u64) -> &'static str {
    let sent = header.timestamp;
    let is_of_this_time = sent <= at(now).saturating_add(SKEW) && at(now).saturating_since(sent) < AGE;
    match window.check_new(header, at(now)) {
        _ if !is_of_this_time => "of another time",
        Ok(()) => {
            window.remember(header, at(now));
            "received"
        }
        Err(rejection) => rejection.name(),
    }
}

#[test]
fn a_flood_of_one_sender_is_received_in_order_and_nothing_of_it_twice() {
    let (mut window, flood, other) = (Window::starting_at(None), did(1), did(2));
    assert_eq!(receive(&mut window, &header(other, 0, 0), 0), "received");
    let headers: Vec<_> = (0..3 * IDS_MAX as u64).map(|number| header(flood, number, number)).collect();
    for header in &headers {
        assert_eq!(receive(&mut window, header, 20_000), "received");
    }
    for header in &headers {
        assert_ne!(receive(&mut window, header, 20_000), "received");
    }
    assert_eq!(receive(&mut window, &header(flood, 99_999, 3), 20_000), "behind-floor", "its own old one");
    assert_eq!(receive(&mut window, &header(other, 0, 0), 20_000), "replayed");
    assert_eq!(receive(&mut window, &header(other, 1, 0), 20_000), "received", "others feel nothing");
}

#[test]
fn a_flood_within_one_instant_is_refused_once_there_is_no_room() {
    let (mut window, flood) = (Window::starting_at(None), did(1));
    for number in 0..IDS_MAX as u64 {
        assert_eq!(receive(&mut window, &header(flood, number, 5), 5), "received");
    }
    assert_eq!(receive(&mut window, &header(flood, 99_999, 5), 5), "behind-floor");
    assert_eq!(receive(&mut window, &header(flood, 99_999, 6), 6), "received");
    assert_eq!(receive(&mut window, &header(flood, 0, 5), 6), "behind-floor");
}

#[test]
fn a_flood_of_many_senders_is_refused_beyond_the_room_until_their_time_is_over() {
    let mut window = Window::starting_at(None);
    let senders: Vec<Did> = (0..SENDERS_MAX as u64).map(did).collect();
    for sender in &senders {
        assert_eq!(receive(&mut window, &header(*sender, 1, 1_000), 1_000), "received");
    }
    let stranger = did(99_999);
    assert_eq!(receive(&mut window, &header(stranger, 1, 1_000), 1_000), "full");
    assert_eq!(receive(&mut window, &header(stranger, 1, 300_999), 300_999), "full");
    assert_eq!(receive(&mut window, &header(senders[0], 2, 1_000), 1_000), "received");
    for sender in &senders {
        assert_eq!(receive(&mut window, &header(*sender, 1, 1_000), 1_000), "replayed");
    }
    assert_eq!(receive(&mut window, &header(stranger, 1, 301_000), 301_000), "received");
    assert_eq!(receive(&mut window, &header(senders[1], 1, 1_000), 1_000), "behind-floor");
}

#[test]
fn the_room_of_all_is_bounded_and_who_has_a_share_keeps_sending() {
    let mut window = Window::starting_at(None);
    let senders: Vec<Did> = (0..(REMEMBERED_MAX / IDS_MAX) as u64).map(did).collect();
    for number in 0..IDS_MAX as u64 {
        for sender in &senders {
            assert_eq!(receive(&mut window, &header(*sender, number, number), number), "received");
        }
    }
    let stranger = did(99_999);
    assert_eq!(receive(&mut window, &header(stranger, 1, 5_000), 5_000), "full");
    assert_eq!(receive(&mut window, &header(senders[0], 9_999, 5_000), 5_000), "received");
    assert_eq!(receive(&mut window, &header(senders[0], 0, 0), 5_000), "behind-floor");
    assert_eq!(receive(&mut window, &header(stranger, 1, 305_000), 305_000), "received");
}

#[test]
fn a_clock_that_went_ahead_and_back_lets_nothing_be_received_again() {
    let (mut window, sender) = (Window::starting_at(None), did(1));
    let old = header(sender, 1, 0);
    assert_eq!(receive(&mut window, &old, 0), "received");
    assert_eq!(receive(&mut window, &header(sender, 2, 3_600_000), 3_600_000), "received");
    for now in [0, 299_999, 300_000, 3_600_000] {
        assert_ne!(receive(&mut window, &old, now), "received", "{now}");
    }
}

proptest! {
    #[test]
    fn nothing_is_received_twice_whatever_the_clock_does(
        steps in prop::collection::vec((0_u64..4, 0_u64..20, 0_u64..2_000, 0_u64..2_000, 0_u8..40), 1..200),
    ) {
        let senders: Vec<Did> = (0..4).map(did).collect();
        let mut window = Window::starting_at(None);
        let (mut received, mut newest) = (BTreeSet::new(), 0);
        for (sender, id, sent, now, restart) in steps {
            // Seconds, so that ages, floors and jumps of half an hour all happen.
            let (sent, now) = (sent * 1_000, now * 1_000);
            if restart == 0 {
                window = Window::starting_at(Some(at(newest)));
            }
            let before = window.clone();
            let header = header(senders[usize::try_from(sender).unwrap()], id, sent);
            if receive(&mut window, &header, now) == "received" {
                newest = newest.max(sent);
                prop_assert!(received.insert((sender, id, sent)));
            } else {
                prop_assert!(window == before);
            }
        }
    }
}
