//! Counts of uses in a file, so that neither a restart nor a second host refills them (I4, I8).
//!
//! Uses are taken from the file in blocks, written down before the first of them is used: what is left of a block when the
//! process is killed is forfeited, and given back when it ends by itself. In scope: one file for each counted rule, shared by
//! the processes of a home under a lock. Out of scope: counting within a process ([`super::usage`]).
//!
//! The file is as trustworthy as the home that it lies in, and so it is not signed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::grant_id::GrantId;
use crate::canonical;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::durable::{self, Lock};

/// The format that this program writes and reads.
const USES_VERSION: u32 = 1;
/// Room for the most spans that a rate is remembered by, and as much again.
const USES_MAX: usize = 16 << 10;
/// A block is so small a part of what there is: a crash forfeits no more, and the disk is waited for no oftener than so often
/// in all.
const PARTS: u64 = 64;
/// More in one block would save nothing.
const BLOCK_MAX: u64 = 256;
/// Held by whoever takes from any of the files.
const LOCK_FILE: &str = "lock";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    origin: GrantId,
    capability: Capability,
    /// Taken since the rule's first manifest was installed.
    uses: u64,
    /// What was taken of the rate, by the latest instant at which it may be used; the oldest first.
    recent: VecDeque<(Timestamp, u32)>,
}

/// Uses that were taken and are not used yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) uses: u64,
    /// Those of a rate are good until this instant.
    pub(super) until: Timestamp,
}

/// The file of one counted rule.
#[derive(Debug)]
pub(super) struct KeptUses {
    directory: PathBuf,
    origin: GrantId,
    capability: Capability,
}

impl KeptUses {
    pub(super) fn of(directory: &Path, origin: GrantId, capability: Capability) -> Self {
        Self { directory: directory.to_owned(), origin, capability }
    }

    /// Takes some of `most` uses; none where all are taken, or where that cannot be written down.
    pub(super) fn take_uses(&self, most: u64) -> Option<Block> {
        self.change(|document| {
            let left = most.saturating_sub(document.uses);
            let uses = (most / PARTS).clamp(1, BLOCK_MAX).min(left);
            document.uses = document.uses.saturating_add(uses);
            (uses > 0).then_some(Block { uses, until: Timestamp::from_millis(u64::MAX) })
        })
    }

    /// Gives back what was not used.
    pub(super) fn give_back(&self, uses: u64) {
        let _: Option<()> = self.change(|document| {
            document.uses = document.uses.saturating_sub(uses);
            Some(())
        });
    }

    /// Takes some of the `most` uses of a window that ends now; none where all are taken, or where that cannot be written down.
    pub(super) fn take_rate(&self, (most, window): (u32, Duration), now: Timestamp) -> Option<Block> {
        self.change(|document| {
            // What is later than now was taken before the clock was set back, and still counts.
            document.recent.retain(|(until, _)| now.saturating_since(*until) < window);
            let taken: u64 = document.recent.iter().map(|(_, uses)| u64::from(*uses)).sum();
            let left = u64::from(most).saturating_sub(taken);
            let uses = (u64::from(most) / PARTS).clamp(1, BLOCK_MAX).min(left);
            // One alone is used at once; more are good for a part of the window, and count until that part has left it.
            let until = if uses > 1 { now.saturating_add(window / 16) } else { now };
            document.recent.push_back((until, u32::try_from(uses).ok().filter(|uses| *uses > 0)?));
            Some(Block { uses, until })
        })
    }

    /// How many uses were taken so far, and how many of the rate's window.
    pub(super) fn taken(&self, window: Option<Duration>, now: Timestamp) -> Option<(u64, u64)> {
        let document = self.read()?;
        let is_recent = |until: Timestamp| window.is_some_and(|window| now.saturating_since(until) < window);
        let recent = document.recent.iter().filter(|(until, _)| is_recent(*until));
        Some((document.uses, recent.map(|(_, uses)| u64::from(*uses)).sum()))
    }

    /// None where it cannot be done, and then nothing was taken.
    fn change<T>(&self, take: impl FnOnce(&mut Document) -> Option<T>) -> Option<T> {
        durable::create_private_dir(&self.directory).ok()?;
        let _lock = Lock::exclusive(&self.directory.join(LOCK_FILE)).ok()?;
        let mut document = self.read()?;
        let before = document.clone();
        let taken = take(&mut document)?;
        if document != before {
            durable::replace(&self.path(), &canonical::to_canonical(&document).ok()?).ok()?;
        }
        Some(taken)
    }

    /// None where the file is there and cannot be believed.
    fn read(&self) -> Option<Document> {
        let bytes = match durable::read_capped(&self.path(), USES_MAX as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => {
                let (origin, capability) = (self.origin, self.capability);
                let (version, uses, recent) = (USES_VERSION, 0, VecDeque::new());
                return Some(Document { version, origin, capability, uses, recent });
            }
            Err(_) => return None,
        };
        let document: Document = canonical::from_canonical(&bytes, USES_MAX).ok()?;
        let is_ours = document.version == USES_VERSION
            && document.origin == self.origin
            && document.capability == self.capability;
        is_ours.then_some(document)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.{}.json", self.origin, self.capability))
    }
}
