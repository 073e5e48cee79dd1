//! Honest messages by the thousand: each is received.

use super::*;

/// Messages of several senders, in the order of a transport that delays some, with restarts in between.
fn exchange(count: u64) {
    let mut me = Receiver::new(1);
    let senders: Vec<Party> = (2..10).map(Party::new).collect();
    let mut dice = Dice(count);
    let mut now = 0;
    for number in 0..count {
        now += dice.below(2);
        if number % 10_000 == 9_999 {
            // Nothing is under way while the host restarts.
            me.restart();
            now += 1_000;
        }
        let sender = &senders[usize::try_from(dice.below(8)).unwrap()];
        let delay = dice.below(400);
        let bytes = plain(sender, &me.party, at(now), &mut dice);
        let answer = me.name(&bytes, at(now + delay));
        assert_eq!(answer, "received", "{number}");
    }
    println!("{count} honest messages received");
}

#[test]
fn twenty_thousand_honest_messages_are_received() {
    exchange(20_000);
}

#[test]
#[ignore = "minutes: run it alone"]
fn a_million_honest_messages_are_received() {
    exchange(1_000_000);
}
