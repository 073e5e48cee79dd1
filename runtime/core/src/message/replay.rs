//! What was received, so that nothing is received twice.
//!
//! In scope: the window in memory, pure. An identifier is forgotten only when nothing that it names could be accepted
//! any more: when its time lies at or before the floor of the whole window or of its sender. A sender who fills its
//! own share raises its own floor, so that one that sends in order is never refused, however much it sends, and one that
//! does not hurts itself alone. Where there is no room and no own identifier to forget, the message is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::AGE;
use super::error::Rejection;
use super::header::{Header, MessageId};
use crate::clock::Timestamp;
use crate::id::Did;

/// How many identifiers of one sender are remembered.
pub const IDS_MAX: usize = 4_096;
/// How many senders are remembered.
pub const SENDERS_MAX: usize = 4_096;
/// How many identifiers are remembered in all: about 6 MiB of memory for each recipient.
pub const REMEMBERED_MAX: usize = 65_536;

/// Looking through all senders for what can be forgotten is not done for each message.
const FORGETTING: Duration = Duration::from_secs(1);

/// The messages received of late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// How old a message may be.
    age: Duration,
    /// Nothing at or before this is accepted; it never goes back.
    floor: Timestamp,
    /// The time of the newest message.
    newest: Timestamp,
    senders: BTreeMap<Did, Sender>,
    /// The sum over the senders.
    remembered: usize,
    /// Up to where everything was forgotten.
    forgotten_to: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sender {
    /// Nothing of this sender at or before this is accepted.
    floor: Option<Timestamp>,
    ids: BTreeSet<MessageId>,
    by_time: BTreeSet<(Timestamp, MessageId)>,
}

impl Window {
    /// An empty window, which accepts nothing at or before `floor`.
    pub(super) fn starting_at(floor: Option<Timestamp>) -> Self {
        Self::of_age(AGE, floor)
    }

    /// As [`Window::starting_at`], for messages that may be so old.
    pub(super) fn of_age(age: Duration, floor: Option<Timestamp>) -> Self {
        let floor = floor.unwrap_or(Timestamp::from_millis(0));
        Self { age, floor, newest: floor, senders: BTreeMap::new(), remembered: 0, forgotten_to: floor }
    }

    /// Nothing at or before this is accepted.
    pub(super) fn floor(&self) -> Timestamp {
        self.floor
    }

    /// The time of the newest message, or the floor before the first.
    pub(super) fn newest(&self) -> Timestamp {
        self.newest
    }

    /// Whether a message that was judged at `now` is new, and can be remembered.
    pub(super) fn check_new(&self, header: &Header, now: Timestamp) -> Result<(), Rejection> {
        let sent = header.timestamp;
        if now.saturating_since(sent) >= self.age {
            return Err(Rejection::Stale { sent, now });
        }
        if sent <= self.floor {
            return Err(Rejection::BehindFloor { sent, floor: self.floor });
        }
        let floor = self.floor_at(now);
        let Some(sender) = self.senders.get(&header.from) else {
            let is_free = self.has_room_for_a_sender(floor) && self.has_room(floor);
            return if is_free { Ok(()) } else { Err(Rejection::Full) };
        };
        if sender.ids.contains(&header.id) {
            return Err(Rejection::Replayed);
        }
        let is_full = !self.has_room(floor);
        if is_full && sender.ids.is_empty() {
            return Err(Rejection::Full);
        }
        match sender.floor_after_one_more(is_full) {
            Some(floor) if header.timestamp <= floor => {
                Err(Rejection::BehindFloor { sent: header.timestamp, floor })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Remembers a message that was checked at the same instant.
    pub(super) fn remember(&mut self, header: &Header, now: Timestamp) {
        self.floor = self.floor_at(now);
        self.newest = self.newest.max(header.timestamp);
        let is_due = self.floor.saturating_since(self.forgotten_to) >= FORGETTING;
        if is_due || self.remembered >= REMEMBERED_MAX || self.senders.len() >= SENDERS_MAX {
            self.forget_to_floor();
        }
        let is_full = self.remembered >= REMEMBERED_MAX;
        let sender = self.senders.entry(header.from).or_default();
        if is_full || sender.ids.len() >= IDS_MAX {
            self.remembered -= usize::from(sender.forget_oldest());
        }
        sender.ids.insert(header.id);
        sender.by_time.insert((header.timestamp, header.id));
        self.remembered += 1;
    }

    /// Forgets a message that was remembered and then not received after all.
    pub(super) fn forget(&mut self, header: &Header) {
        let Some(sender) = self.senders.get_mut(&header.from) else { return };
        if sender.by_time.remove(&(header.timestamp, header.id)) {
            sender.ids.remove(&header.id);
            self.remembered -= 1;
        }
    }

    /// Nothing of this sender at or before this is accepted.
    pub(super) fn raise_sender(&mut self, sender: Did, floor: Timestamp) {
        let sender = self.senders.entry(sender).or_default();
        sender.floor = sender.floor.max(Some(floor));
    }

    /// What is remembered: who sent it, when, and which it is; without an identifier, a sender's floor.
    pub(super) fn remembered(&self) -> impl Iterator<Item = (Did, Timestamp, Option<MessageId>)> {
        self.senders.iter().flat_map(|(did, sender)| {
            let floor = sender.floor.map(|floor| (*did, floor, None));
            floor.into_iter().chain(sender.by_time.iter().map(|(sent, id)| (*did, *sent, Some(*id))))
        })
    }

    /// The floor that the age of messages gives.
    fn floor_at(&self, now: Timestamp) -> Timestamp {
        let age = u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX);
        self.floor.max(Timestamp::from_millis(now.as_millis().saturating_sub(age)))
    }

    fn has_room_for_a_sender(&self, floor: Timestamp) -> bool {
        self.senders.len() < SENDERS_MAX || self.senders.values().any(|sender| sender.is_forgotten_at(floor))
    }

    fn has_room(&self, floor: Timestamp) -> bool {
        self.remembered < REMEMBERED_MAX || self.senders.values().any(|sender| sender.oldest_is_at(floor))
    }

    fn forget_to_floor(&mut self) {
        let floor = self.floor;
        for sender in self.senders.values_mut() {
            while sender.oldest_is_at(floor) {
                self.remembered -= usize::from(sender.forget_oldest());
            }
        }
        self.senders.retain(|_, sender| !sender.is_forgotten_at(floor));
        self.forgotten_to = floor;
    }
}

impl Sender {
    fn oldest_is_at(&self, floor: Timestamp) -> bool {
        self.by_time.first().is_some_and(|(oldest, _)| *oldest <= floor)
    }

    /// Whether nothing of the sender needs to be remembered with this floor of all.
    fn is_forgotten_at(&self, floor: Timestamp) -> bool {
        self.by_time.last().is_none_or(|(newest, _)| *newest <= floor)
            && self.floor.is_none_or(|own| own <= floor)
    }

    /// The sender's floor once one more message is remembered.
    fn floor_after_one_more(&self, is_full: bool) -> Option<Timestamp> {
        let gives_way = is_full || self.ids.len() >= IDS_MAX;
        let oldest = self.by_time.first().map(|(oldest, _)| *oldest).filter(|_| gives_way);
        self.floor.max(oldest)
    }

    /// Forgets the oldest message and accepts nothing as old any more. Whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let Some((oldest, id)) = self.by_time.pop_first() else { return false };
        self.ids.remove(&id);
        self.floor = self.floor.max(Some(oldest));
        true
    }
}
