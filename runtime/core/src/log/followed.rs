//! What is followed from entry to entry: the open runs, the state of each vault, and whether everything was stopped.
//!
//! In scope: which entry changes what, and the account at the journal's base and now. Out of scope: what a change means
//! ([`super::open_runs`], [`super::noted_vaults`], [`super::engagement`]). Only this host's own entries are followed, and they are believed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::engagement;
use super::entry::Entry;
use super::event::{Event, EventType, Party};
use super::noted_vaults::NotedVault;
use super::open_runs::OpenRun;
use crate::id::Name;
use crate::vault::Noted;

/// What an entry changes about what is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Launched(OpenRun),
    Ended(String),
    Vault(NotedVault),
    Engaged(u64),
    Resumed(u64),
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
            EventType::VaultAccess | EventType::SystemModification => {
                details("vault").and_then(NotedVault::of_detail).map(Self::Vault)
            }
            EventType::AgentNote
            | EventType::TrustChange
            | EventType::PermissionGrant
            | EventType::PermissionDenied
            | EventType::PermissionRevoke
            | EventType::MessageRejected
            | EventType::PermissionRequest
            | EventType::Alert => None,
            EventType::KillSwitch => engagement::change(details, index),
        }
    }

    /// As [`Change::of`], for the bytes of an entry that is known to be well formed; reads only what is followed.
    pub(super) fn of_bytes(bytes: &[u8], index: u64) -> Option<Self> {
        let Facts { actor, details, event_type } = serde_json::from_slice(bytes).ok()?;
        Self::of_parts(event_type, &actor, |name| details.get(name), index)
    }
}

/// What an entry tells of what is followed; the rest is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    actor: Party,
    details: Details,
    event_type: EventType,
}

/// The details that are followed. Values of another kind than expected count as missing.
#[derive(Deserialize)]
struct Details {
    run: Option<Value>,
    host: Option<Value>,
    agent: Option<Value>,
    vault: Option<Value>,
    change: Option<Value>,
    engagement: Option<Value>,
}

impl Details {
    fn get(&self, name: &str) -> Option<&Value> {
        match name {
            "run" => self.run.as_ref(),
            "host" => self.host.as_ref(),
            "agent" => self.agent.as_ref(),
            "vault" => self.vault.as_ref(),
            engagement::CHANGE => self.change.as_ref(),
            engagement::ENGAGEMENT => self.engagement.as_ref(),
            _ => None,
        }
    }
}

/// The account at one size of the log.
#[derive(Clone, Debug, Default)]
struct Account {
    runs: BTreeMap<String, OpenRun>,
    vaults: BTreeMap<Name, Noted>,
    engaged: Option<u64>,
}

impl Account {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Launched(run) => {
                self.runs.insert(run.run.clone(), run.clone());
            }
            Change::Ended(run) => {
                self.runs.remove(run);
            }
            Change::Vault(vault) => {
                self.vaults.insert(vault.environment.clone(), vault.noted());
            }
            Change::Engaged(index) => self.engaged = Some(*index),
            // One that releases an earlier engagement releases nothing of a later one.
            Change::Resumed(index) => self.engaged = self.engaged.filter(|engaged| engaged != index),
        }
    }

    fn open_runs(&self) -> Vec<OpenRun> {
        let mut runs: Vec<OpenRun> = self.runs.values().cloned().collect();
        runs.sort_by_key(|run| run.index);
        runs
    }

    fn noted_vaults(&self) -> Vec<NotedVault> {
        self.vaults.iter().map(|(environment, noted)| NotedVault::new(environment, noted)).collect()
    }
}

/// What is followed, at the journal's base and now.
#[derive(Clone, Debug, Default)]
pub(super) struct Followed {
    base: Account,
    changes: Vec<(u64, Change)>,
    now: Account,
}

impl Followed {
    pub(super) fn starting_with(
        open_runs: &[OpenRun],
        noted_vaults: &[NotedVault],
        engaged: Option<u64>,
    ) -> Self {
        let base = Account {
            runs: open_runs.iter().map(|run| (run.run.clone(), run.clone())).collect(),
            vaults: noted_vaults.iter().map(|vault| (vault.environment.clone(), vault.noted())).collect(),
            engaged,
        };
        Self { now: base.clone(), base, changes: Vec::new() }
    }

    pub(super) fn apply(&mut self, index: u64, change: Option<Change>) {
        if let Some(change) = change {
            self.now.apply(&change);
            self.changes.push((index, change));
        }
    }

    /// The runs open now, in the order of their launch.
    pub(super) fn open_runs(&self) -> Vec<OpenRun> {
        self.now.open_runs()
    }

    /// The state of each vault now.
    pub(super) fn vaults(&self) -> &BTreeMap<Name, Noted> {
        &self.now.vaults
    }

    /// The state of a vault now.
    pub(super) fn noted_vault(&self, environment: &Name) -> Option<Noted> {
        self.now.vaults.get(environment).copied()
    }

    /// The newest entry by which everything was stopped, unless it was released.
    pub(super) fn engaged(&self) -> Option<u64> {
        self.now.engaged
    }

    /// Moves the base to `size`, and gives the runs open there, the state of each vault, in the order of their names, and
    /// the engagement of the kill switch.
    pub(super) fn rebase(&mut self, size: u64) -> (Vec<OpenRun>, Vec<NotedVault>, Option<u64>) {
        let behind = self.changes.partition_point(|(index, _)| *index < size);
        for (_, change) in self.changes.drain(..behind) {
            self.base.apply(&change);
        }
        (self.base.open_runs(), self.base.noted_vaults(), self.base.engaged)
    }
}
