//! Runs that were launched and have not ended, as the entries tell it.
//!
//! In scope: following `agent_launch` (`details.run`, `details.host`) and `agent_exit` (`details.run`). Out of scope:
//! deciding that a run is dead ([`crate::recovery`]). Keeps I8: what a crash left open is found again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entry::Entry;
use super::event::{Event, EventType, Party};

/// A run without an exit entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRun {
    /// Identifier of the run (`details.run`).
    pub run: String,
    /// Identifier of the host process that launched it (`details.host`).
    pub host: String,
    /// Whose run it is: `details.agent`, else the actor of the launch.
    pub agent: String,
    /// Index of the launch entry.
    pub index: u64,
}

/// What an entry changes about the set of open runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Launched(OpenRun),
    Ended(String),
}

impl Change {
    /// The change that an entry makes, if any.
    pub(super) fn of(entry: &Entry, index: u64) -> Option<Self> {
        Self::of_parts(entry.event_type, &entry.actor, |name| entry.details.get(name), index)
    }

    /// The change that an event will make as the entry with this index.
    pub(super) fn of_event(event: &Event, index: u64) -> Option<Self> {
        Self::of_parts(event.event_type, &event.actor, |name| event.details.get(name), index)
    }

    fn of_parts<'a>(
        event_type: EventType,
        actor: &Party,
        details: impl Fn(&str) -> Option<&'a Value>,
        index: u64,
    ) -> Option<Self> {
        let fact = |name: &str| details(name).and_then(|value| value.as_str()).map(str::to_owned);
        match event_type {
            EventType::AgentLaunch => Some(Self::Launched(OpenRun {
                run: fact("run")?,
                host: fact("host").unwrap_or_default(),
                agent: fact("agent").unwrap_or_else(|| actor.id.clone()),
                index,
            })),
            EventType::AgentExit => Some(Self::Ended(fact("run")?)),
            EventType::AgentNote
            | EventType::SystemModification
            | EventType::VaultAccess
            | EventType::TrustChange
            | EventType::PermissionGrant
            | EventType::PermissionDenied
            | EventType::PermissionRevoke
            | EventType::MessageRejected
            | EventType::Alert
            | EventType::KillSwitch => None,
        }
    }

    /// As [`Change::of`], for the bytes of an entry that is known to be well formed; reads only what tells of runs.
    pub(super) fn of_bytes(bytes: &[u8], index: u64) -> Option<Self> {
        let Facts { actor, details, event_type } = serde_json::from_slice(bytes).ok()?;
        Self::of_parts(event_type, &actor, |name| details.get(name), index)
    }
}

/// What an entry tells of runs; the rest is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    actor: Party,
    details: RunDetails,
    event_type: EventType,
}

/// The details by which runs are followed. Values that are no text count as missing.
#[derive(Deserialize)]
struct RunDetails {
    run: Option<Value>,
    host: Option<Value>,
    agent: Option<Value>,
}

impl RunDetails {
    fn get(&self, name: &str) -> Option<&Value> {
        match name {
            "run" => self.run.as_ref(),
            "host" => self.host.as_ref(),
            "agent" => self.agent.as_ref(),
            _ => None,
        }
    }
}

/// The set of open runs at the journal's base and now.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    base: BTreeMap<String, OpenRun>,
    changes: Vec<(u64, Change)>,
    now: BTreeMap<String, OpenRun>,
}

impl Runs {
    pub(super) fn starting_with(open: Vec<OpenRun>) -> Self {
        let base: BTreeMap<_, _> = open.into_iter().map(|run| (run.run.clone(), run)).collect();
        Self { now: base.clone(), base, changes: Vec::new() }
    }

    pub(super) fn apply(&mut self, index: u64, change: Option<Change>) {
        if let Some(change) = change {
            apply(&mut self.now, &change);
            self.changes.push((index, change));
        }
    }

    /// The runs open now, in the order of their launch.
    pub(super) fn open(&self) -> Vec<OpenRun> {
        in_order(&self.now)
    }

    /// Moves the base to `size` and gives the runs open there.
    pub(super) fn rebase(&mut self, size: u64) -> Vec<OpenRun> {
        let behind = self.changes.partition_point(|(index, _)| *index < size);
        for (_, change) in self.changes.drain(..behind) {
            apply(&mut self.base, &change);
        }
        in_order(&self.base)
    }
}

fn apply(open: &mut BTreeMap<String, OpenRun>, change: &Change) {
    match change {
        Change::Launched(run) => {
            open.insert(run.run.clone(), run.clone());
        }
        Change::Ended(run) => {
            open.remove(run);
        }
    }
}

fn in_order(open: &BTreeMap<String, OpenRun>) -> Vec<OpenRun> {
    let mut runs: Vec<OpenRun> = open.values().cloned().collect();
    runs.sort_by_key(|run| run.index);
    runs
}
