//! Closing what a crash left open (I8).
//!
//! In scope: `agent_exit` entries with the outcome `recovered` for runs whose host is gone. Out of scope: knowing which hosts
//! live; the caller asks their locks.

use crate::log::{Event, EventType, Log, LogError, OpenRun, PartyType};

/// The outcome of a run whose end nobody saw.
pub const RECOVERED: &str = "recovered";

/// Appends an exit entry for each open run whose host is not alive, and gives those runs. Two processes that do so at once
/// close each run once.
///
/// # Errors
/// [`LogError`]; no run must then be taken as closed.
pub fn close_orphans(log: &Log, is_alive: impl Fn(&str) -> bool) -> Result<Vec<OpenRun>, LogError> {
    let mut orphans = Vec::new();
    let host = log.vkey().did().to_string();
    log.append_for_open_runs(|open| {
        orphans = open;
        orphans.retain(|run| !is_alive(&run.host));
        orphans.iter().map(|run| exit_of(run, &host)).collect()
    })?;
    Ok(orphans)
}

fn exit_of(run: &OpenRun, host: &str) -> Event {
    Event::new(EventType::AgentExit, PartyType::System, host)
        .on("agent", run.agent.as_str())
        .with("run", run.run.as_str())
        .with("host", run.host.as_str())
        .with("launch", run.index)
        .with("outcome", RECOVERED)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::crypto::SecretKey;

    fn open(directory: &Path) -> Log {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1)));
        Log::open(directory, "example.com/log", Arc::new(SecretKey::from_seed(&[1; 32])), clock).unwrap()
    }

    fn launch(run: &str, host: &str) -> Event {
        Event::new(EventType::AgentLaunch, PartyType::Agent, "did:key:agent")
            .with("run", run)
            .with("host", host)
    }

    fn names(runs: &[OpenRun]) -> Vec<&str> {
        runs.iter().map(|run| run.run.as_str()).collect()
    }

    #[test]
    fn a_run_whose_host_is_gone_is_closed_once_and_others_stay_open() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        for (run, host) in [("r1", "dead"), ("r2", "alive"), ("r3", "dead"), ("r4", "dead")] {
            log.append(launch(run, host)).unwrap();
        }
        log.append(Event::new(EventType::AgentExit, PartyType::Agent, "did:key:agent").with("run", "r3"))
            .unwrap();
        std::mem::forget(log);

        let log = open(folder.path());
        let closed = close_orphans(&log, |host| host == "alive").unwrap();
        assert_eq!(names(&closed), ["r1", "r4"]);
        assert_eq!(closed.first().unwrap().agent, "did:key:agent");
        assert_eq!(names(&log.open_runs().unwrap()), ["r2"]);
        assert!(close_orphans(&log, |host| host == "alive").unwrap().is_empty());
        assert_eq!(log.size().unwrap(), 7);
        log.close().unwrap();
        let log = open(folder.path());
        assert_eq!(names(&log.open_runs().unwrap()), ["r2"]);
    }

    #[test]
    fn a_run_stays_open_across_any_number_of_entries() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        log.append(launch("long", "host")).unwrap();
        log.append_for_open_runs(|_| {
            (0..900).map(|_| Event::new(EventType::Alert, PartyType::System, "host")).collect()
        })
        .unwrap();
        log.close().unwrap();
        let log = open(folder.path());
        assert_eq!(names(&log.open_runs().unwrap()), ["long"]);
        assert_eq!(close_orphans(&log, |_| false).unwrap().first().unwrap().index, 0);
    }

    #[test]
    fn a_member_of_the_details_that_looks_like_a_launch_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        let decoy = serde_json::json!({"eventType": "agent_launch", "run": "fake"});
        log.append(
            Event::new(EventType::Alert, PartyType::System, "host").with("run", "fake").with("a", decoy),
        )
        .unwrap();
        assert!(log.open_runs().unwrap().is_empty());
    }
}
