//! Whether the entries say that everything was stopped: each `kill_switch` entry does, but one that releases the very
//! engagement that it names.
//!
//! In scope: the details `change` and `engagement` of `kill_switch` entries. Out of scope: who may release
//! ([`crate::kill_switch`]). An entry of another shape stops everything, as what is not understood must not release.

use std::path::Path;

use serde_json::Value;

use super::event::Event;
use super::followed::{Change, Followed};
use super::reader::{LogReader, ReadError};

/// The detail that says what became of the kill switch.
pub(super) const CHANGE: &str = "change";
/// The detail that says which engagement is released: the index of its newest entry.
pub(super) const ENGAGEMENT: &str = "engagement";
/// An engagement is released.
const RESUME: &str = "resume";

/// The change that a `kill_switch` entry makes.
pub(super) fn change<'a>(details: impl Fn(&str) -> Option<&'a Value>, index: u64) -> Option<Change> {
    if details(CHANGE).and_then(Value::as_str) != Some(RESUME) {
        return Some(Change::Engaged(index));
    }
    details(ENGAGEMENT).and_then(Value::as_u64).map(Change::Resumed)
}

/// The event that releases an engagement.
#[must_use]
pub fn released(event: Event, engagement: u64) -> Event {
    event.with(CHANGE, RESUME).with(ENGAGEMENT, engagement)
}

/// The newest entry by which everything was stopped and that is not released, as the log in `directory` tells it to whoever
/// has no key: to show, never to rely on. None where there is no log.
///
/// # Errors
/// [`ReadError`] for a damaged journal.
pub fn engaged(directory: &Path) -> Result<Option<u64>, ReadError> {
    let Some(journal) = LogReader::journal_in(directory)? else { return Ok(None) };
    let header = journal.unverified_header();
    let mut followed = Followed::starting_with(&[], &[], header.engaged);
    journal.for_each(|index, entry| followed.apply(index, Change::of_bytes(entry, index)))?;
    Ok(followed.engaged())
}
