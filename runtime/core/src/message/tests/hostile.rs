//! Hostile messages by the thousand: none is received, and none changes what is remembered.

use super::attacks::{self, Attack};
use super::*;

struct Siege {
    me: Receiver,
    sender: Party,
    relay: Party,
    /// Who signs what others have sent.
    thief: Party,
    dice: Dice,
    now: u64,
    received: Vec<Vec<u8>>,
    refused: u64,
}

impl Siege {
    fn new() -> Self {
        Self {
            me: Receiver::new(1),
            sender: Party::new(2),
            relay: Party::new(3),
            thief: Party::new(4),
            dice: Dice(7),
            now: 0,
            received: Vec::new(),
            refused: 0,
        }
    }

    /// Offers hostile messages. One that is accepted in its own sender's name and does not open is remembered.
    fn offer(&mut self, attacks: impl IntoIterator<Item = Attack>) {
        let mut before = (self.me.inbox().window().clone(), self.me.file());
        for (name, bytes, allowed) in attacks {
            let answer = self.me.name(&bytes, at(self.now));
            assert!(allowed.contains(&answer), "{name}: {answer}");
            self.refused += 1;
            if answer == "sealed" {
                before = (self.me.inbox().window().clone(), self.me.file());
            }
            assert_eq!(*self.me.inbox().window(), before.0, "{name}");
        }
        assert_eq!(self.me.file(), before.1);
    }

    fn receive(&mut self, bytes: Vec<u8>) {
        assert_eq!(self.me.name(&bytes, at(self.now)), "received");
        self.received.push(bytes);
    }

    fn replays(&self, allowed: &'static [&'static str]) -> Vec<Attack> {
        let replay = |bytes: &Vec<u8>| ("a replay".to_owned(), bytes.clone(), allowed);
        self.received.iter().map(replay).collect()
    }

    /// A message with the identifier of one that was received, and another content, signed by its sender.
    fn renamed(&mut self, received: &[u8]) -> Attack {
        let mut fields = attacks::fields(&plain(&self.sender, &self.me.party, at(self.now), &mut self.dice));
        fields.insert("id".to_owned(), attacks::fields(received)["id"].clone());
        ("an identifier again".to_owned(), attacks::signed_by(&self.sender.key, &fields), &["replayed"])
    }

    fn out_of_time(&mut self) -> Vec<Attack> {
        let mut attacks: Vec<Attack> = Vec::new();
        for (offset, allowed) in [
            (-300_000_i64, &["stale", "behind-floor"][..]),
            (-300_001, &["stale", "behind-floor"]),
            (-86_400_000, &["stale", "behind-floor"]),
            (60_001, &["future"]),
            (86_400_000, &["future"]),
        ] {
            let sent = at(self.now.saturating_add_signed(offset + 100_000_000) - 100_000_000);
            let bytes = plain(&self.sender, &self.me.party, sent, &mut self.dice);
            attacks.push((format!("sent {offset} ms from now"), bytes, allowed));
        }
        attacks
    }

    /// Every attack on a plain and a sealed message, before they are received and afterwards.
    fn round(&mut self) {
        self.now += 100_000_000 + self.dice.below(1_000_000);
        self.received.clear();
        let open = plain(&self.sender, &self.me.party, at(self.now), &mut self.dice);
        let closed = sealed(&self.sender, &self.me.party, at(self.now), &mut self.dice);
        let other = sealed(&self.relay, &self.me.party, at(self.now), &mut self.dice);
        let another = plain(&self.sender, &self.me.party, at(self.now + 1), &mut self.dice);
        for bytes in [&open, &closed] {
            self.offer(attacks::flips(bytes));
            self.offer(attacks::miswritten(bytes, &self.sender));
            for from in [&other, &another, &open, &closed] {
                self.offer(attacks::swapped(bytes, from, &self.thief));
            }
        }
        let now = at(self.now);
        let relayed = attacks::relayed(&closed, &self.me.party, &self.relay, now, &mut self.dice);
        self.offer(relayed);
        let untimely = self.out_of_time();
        self.offer(untimely);
        for bytes in [open, closed, other, another] {
            self.receive(bytes);
        }
        self.again();
    }

    /// Replays at once, under a clock that jumps, and after a crash and a restart.
    fn again(&mut self) {
        self.offer(self.replays(&["replayed"]));
        let renamed: Vec<_> = self.received.clone().iter().take(2).map(|bytes| self.renamed(bytes)).collect();
        self.offer(renamed);
        let now = self.now;
        for jump in [now - 3_600_000, now - 59_000, now + 299_000, now + 3_600_000, now] {
            self.now = jump;
            self.offer(self.replays(&["replayed", "future", "stale", "behind-floor"]));
        }
        self.me.reopen();
        self.offer(self.replays(&["behind-floor"]));
        self.me.restart();
        self.offer(self.replays(&["behind-floor"]));
        self.now += 3_600_000;
        let later = plain(&self.relay, &self.me.party, at(self.now), &mut self.dice);
        self.receive(later);
        for back in [3_600_000, 3_000_000, 100_000] {
            self.now -= back;
            self.offer(self.replays(&["replayed", "future", "stale", "behind-floor"]));
            self.now += back;
        }
    }
}

#[test]
fn no_hostile_message_is_received_and_none_changes_the_window() {
    let mut siege = Siege::new();
    siege.round();
    println!("{} hostile messages refused", siege.refused);
    assert!(siege.refused >= 2_000);
}

#[test]
#[ignore = "a minute and more: run it alone"]
fn no_hostile_message_of_a_hundred_thousand_is_received() {
    let mut siege = Siege::new();
    while siege.refused < 100_000 {
        siege.round();
    }
    println!("{} hostile messages refused", siege.refused);
}
