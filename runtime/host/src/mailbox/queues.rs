//! What waits in a mailbox, by who sent it: whose turn it is, and who may put in more.
//!
//! A sender may have no more in the mailbox than is free beside it, in messages and in bytes. So the flood of one leaves half of
//! the places, that of two a third, and whoever has nothing in it finds a place at once; the senders are taken from in turn.
//!
//! In scope: the queues, pure. Out of scope: waiting for them (`mailbox`).

use std::collections::{HashMap, VecDeque};

use kos_core::id::Did;
use kos_core::message::BODY_MAX;
use tokio::sync::oneshot;

use super::{Delivery, Unput};

/// Bytes of payloads for each place: a page or two. Few messages are larger, and few mailboxes are full.
const PLACE_BYTES: usize = 16 << 10;

/// At least the largest payload of one sender, and that of another.
const BYTES_MIN: usize = 2 * BODY_MAX;

/// Everything that waits for one agent.
pub(super) struct Queues {
    most: Amount,
    held: Amount,
    senders: HashMap<Did, Queue>,
    /// Who has something in the mailbox, the next one first.
    turns: VecDeque<Did>,
    /// What does not fit yet, in the order of its arrival.
    held_back: VecDeque<HeldBack>,
}

#[derive(Clone, Copy, Default)]
struct Amount {
    messages: usize,
    bytes: usize,
}

#[derive(Default)]
struct Queue {
    letters: VecDeque<Delivery>,
    held: Amount,
}

struct HeldBack {
    delivery: Delivery,
    put: oneshot::Sender<Result<(), Unput>>,
}

impl Amount {
    fn add(&mut self, delivery: &Delivery) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(delivery.message.payload.len());
    }

    fn remove(&mut self, delivery: &Delivery) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(delivery.message.payload.len());
    }
}

impl Queues {
    /// For at most so many messages.
    pub(super) fn of(messages: usize) -> Self {
        let messages = messages.max(1);
        let bytes = messages.saturating_mul(PLACE_BYTES).max(BYTES_MIN);
        Self {
            most: Amount { messages, bytes },
            held: Amount::default(),
            senders: HashMap::new(),
            turns: VecDeque::new(),
            held_back: VecDeque::new(),
        }
    }

    /// Puts a message in, or holds it back until it fits: then the result says so.
    pub(super) fn put(&mut self, delivery: Delivery) -> Option<oneshot::Receiver<Result<(), Unput>>> {
        if self.fits(&delivery) {
            self.insert(delivery);
            return None;
        }
        // Whose sender has given up waits for nothing.
        self.held_back.retain(|other| !other.put.is_closed());
        let (put, is_put) = oneshot::channel();
        self.held_back.push_back(HeldBack { delivery, put });
        Some(is_put)
    }

    /// The next message; what fits in its place is put in.
    pub(super) fn take(&mut self) -> Option<Delivery> {
        let sender = self.turns.pop_front()?;
        let queue = self.senders.get_mut(&sender)?;
        let delivery = queue.letters.pop_front()?;
        queue.held.remove(&delivery);
        self.held.remove(&delivery);
        if queue.letters.is_empty() {
            self.senders.remove(&sender);
        } else {
            self.turns.push_back(sender);
        }
        self.admit();
        Some(delivery)
    }

    /// Takes out everything of one sender, and refuses what is held back of it.
    pub(super) fn remove_all_of(&mut self, sender: &Did) -> VecDeque<Delivery> {
        self.turns.retain(|other| other != sender);
        let removed = self.senders.remove(sender).map(|queue| queue.letters).unwrap_or_default();
        removed.iter().for_each(|delivery| self.held.remove(delivery));
        let is_of_sender = |other: &HeldBack| other.delivery.message.sender == *sender;
        let (refused, held_back): (VecDeque<_>, VecDeque<_>) =
            self.held_back.drain(..).partition(is_of_sender);
        self.held_back = held_back;
        for HeldBack { put, .. } in refused {
            let _ = put.send(Err(Unput::Refused));
        }
        self.admit();
        removed
    }

    fn fits(&self, delivery: &Delivery) -> bool {
        let own = self.senders.get(&delivery.message.sender).map(|queue| queue.held).unwrap_or_default();
        let free_messages = self.most.messages.saturating_sub(self.held.messages);
        let free_bytes = self.most.bytes.saturating_sub(self.held.bytes);
        own.messages < free_messages && own.bytes.saturating_add(delivery.message.payload.len()) <= free_bytes
    }

    fn insert(&mut self, delivery: Delivery) {
        let sender = delivery.message.sender;
        let queue = self.senders.entry(sender).or_default();
        if queue.letters.is_empty() {
            self.turns.push_back(sender);
        }
        queue.held.add(&delivery);
        self.held.add(&delivery);
        queue.letters.push_back(delivery);
    }

    fn admit(&mut self) {
        while let Some(place) = self.held_back.iter().position(|other| self.fits(&other.delivery)) {
            let Some(HeldBack { delivery, put }) = self.held_back.remove(place) else { return };
            if !put.is_closed() {
                self.insert(delivery);
                // Closed meanwhile: it is in, as if its sender had not given up yet.
                let _ = put.send(Ok(()));
            }
        }
    }
}
