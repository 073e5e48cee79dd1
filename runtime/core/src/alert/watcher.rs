//! Counting entries against rules. Time is that of the entries, so the same log raises the same alerts.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::config::Rule;
use super::entry::{agent_of, capability_of, target_of, word_of};
use super::raised::Raised;
use crate::clock::Timestamp;
use crate::log::entry::Entry;

/// Agents that one rule tells apart. Those beyond it are counted together.
const AGENTS_MAX: usize = 256;
/// Alerts within a minute, of all rules and agents: more than anybody reads, and each is an entry that stays.
const PER_MINUTE: usize = 30;
/// The minute.
const MINUTE: Duration = Duration::from_secs(60);

/// What was seen so far.
#[derive(Debug)]
pub struct Watcher {
    rules: Vec<(Rule, BTreeMap<Option<String>, Window>)>,
    raised: VecDeque<Timestamp>,
    held_back: u64,
}

/// The hits of one agent within one rule's time.
#[derive(Debug, Default)]
struct Window {
    hits: VecDeque<(Timestamp, u64)>,
    quiet_since: Option<Timestamp>,
    held_back: u64,
}

impl Watcher {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules: rules.into_iter().map(|rule| (rule, BTreeMap::new())).collect(),
            raised: VecDeque::new(),
            held_back: 0,
        }
    }

    /// Takes in one entry and gives the alerts that it raises, each with its rule.
    pub fn see(&mut self, index: u64, entry: &Entry) -> Vec<(&Rule, Raised)> {
        let now = entry.timestamp;
        let mut alerts = Vec::new();
        for (rule, windows) in &mut self.rules {
            let weight = rule.weight(entry);
            if weight == 0 {
                continue;
            }
            let window = window_of(windows, agent_of(entry), rule.within, now);
            let Some(count) = window.hit(rule, weight, now) else { continue };
            forget(&mut self.raised, MINUTE, now, |at| *at);
            if self.raised.len() >= PER_MINUTE {
                self.held_back = self.held_back.saturating_add(count);
                continue;
            }
            self.raised.push_back(now);
            let held_back =
                std::mem::take(&mut window.held_back).saturating_add(std::mem::take(&mut self.held_back));
            let raised = Raised {
                event: Some(entry.event_type),
                agent: agent_of(entry),
                capability: capability_of(entry),
                target: target_of(entry),
                reason: word_of(entry, &["reason", "outcome", "change"]),
                count,
                held_back,
                entry: Some(index),
                ..Raised::plain(rule.name.to_string(), rule.severity, now)
            };
            alerts.push((&*rule, raised));
        }
        alerts
    }
}

impl Window {
    /// Counts; yields how many there were, if that is worth an alert now.
    fn hit(&mut self, rule: &Rule, weight: u64, now: Timestamp) -> Option<u64> {
        if self.quiet_since.is_some_and(|since| now.saturating_since(since) < rule.within) {
            self.held_back = self.held_back.saturating_add(weight);
            return None;
        }
        forget(&mut self.hits, rule.within, now, |(at, _)| *at);
        self.hits.push_back((now, weight));
        let count = self.hits.iter().fold(0_u64, |sum, (_, weight)| sum.saturating_add(*weight));
        if count < u64::from(rule.count) {
            return None;
        }
        self.hits.clear();
        self.quiet_since = Some(now);
        Some(count)
    }

    fn is_over(&self, within: Duration, now: Timestamp) -> bool {
        let is_past = |at: Timestamp| now.saturating_since(at) >= within;
        self.held_back == 0
            && self.quiet_since.is_none_or(is_past)
            && self.hits.back().is_none_or(|(at, _)| is_past(*at))
    }
}

/// The window of an agent; that of all others together, where there is no more room.
fn window_of(
    windows: &mut BTreeMap<Option<String>, Window>,
    agent: Option<String>,
    within: Duration,
    now: Timestamp,
) -> &mut Window {
    if !windows.contains_key(&agent) && windows.len() >= AGENTS_MAX {
        windows.retain(|_, window| !window.is_over(within, now));
    }
    let has_room = windows.contains_key(&agent) || windows.len() < AGENTS_MAX;
    windows.entry(agent.filter(|_| has_room)).or_default()
}

fn forget<T>(list: &mut VecDeque<T>, within: Duration, now: Timestamp, at: impl Fn(&T) -> Timestamp) {
    while list.front().is_some_and(|oldest| now.saturating_since(at(oldest)) >= within) {
        list.pop_front();
    }
}
