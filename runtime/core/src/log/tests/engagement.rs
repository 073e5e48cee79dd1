//! Whether everything was stopped, followed from entry to entry.

use super::*;
use crate::log::{engaged, released};

fn engage() -> Event {
    Event::new(EventType::KillSwitch, PartyType::System, "host").with("change", "engage")
}

fn release(engagement: u64) -> Event {
    released(Event::new(EventType::KillSwitch, PartyType::User, "operator"), engagement)
}

#[test]
fn an_engagement_holds_until_a_release_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).unwrap();
    assert_eq!((log.engagement(), engaged(folder.path()).unwrap()), (None, None));
    let first = log.append(engage()).unwrap().index;
    let second = log.append(engage()).unwrap().index;
    log.append(release(first)).unwrap();
    assert_eq!(log.newest_engagement().unwrap(), Some(second));
    log.append(release(second + 1)).unwrap();
    assert_eq!(log.engagement(), Some(second));
    assert_eq!(engaged(folder.path()).unwrap(), Some(second));
    log.append(release(second)).unwrap();
    assert_eq!((log.engagement(), engaged(folder.path()).unwrap()), (None, None));
}

#[test]
fn an_entry_that_is_not_understood_stops_everything() {
    for change in [None, Some("resumed"), Some("released")] {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        let event = Event::new(EventType::KillSwitch, PartyType::System, "host");
        log.append(change.into_iter().fold(event, |event, change| event.with("change", change))).unwrap();
        assert_eq!(log.engagement(), Some(0), "{change:?}");
    }
}

#[test]
fn an_engagement_survives_restarts_and_any_number_of_entries() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path()).unwrap();
    log.append(engage()).unwrap();
    for _ in 0..2 {
        fill(&log, 600);
        log.close().unwrap();
        log = open(folder.path()).unwrap();
        assert_eq!((log.engagement(), engaged(folder.path()).unwrap()), (Some(0), Some(0)));
        verify::verify(folder.path(), log.vkey(), None).unwrap();
    }
}
