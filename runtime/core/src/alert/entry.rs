//! What of an entry counts for a rule, and what of it may stand in an alert.

use serde_json::Value;

use super::config::Rule;
use crate::capability::Capability;
use crate::id::{AgentRef, Did};
use crate::log::entry::Entry;
use crate::log::{EventType, PartyType};

/// What an alert's own entry has and no other.
pub(super) const RULE: &str = "rule";
/// The longest word of ours in a detail.
const WORD_MAX: usize = 48;
/// The longest identifier: a digest with its algorithm.
const IDENTIFIER_MAX: usize = 96;

impl Rule {
    /// For how many events of the rule the entry stands; 0 for none. An exit entry stands for the refusals that it counts
    /// beyond the first of each kind, which had an entry of its own.
    pub(super) fn weight(&self, entry: &Entry) -> u64 {
        // What an alert raises would raise the next.
        if entry.event_type == EventType::Alert && entry.details.contains_key(RULE) {
            return 0;
        }
        if self.agent.as_deref().is_some_and(|agent| !is_of(entry, agent)) {
            return 0;
        }
        let repeated = self.repeated(entry);
        let is_meant = self.events.contains(&entry.event_type)
            && self.capability.is_none_or(|capability| capability_of(entry) == Some(capability))
            && self.details.iter().all(|(name, words)| {
                let word = entry.details.get(name).and_then(Value::as_str);
                word.is_some_and(|word| words.contains(word) || words.contains("*"))
            });
        repeated + u64::from(is_meant)
    }

    fn repeated(&self, entry: &Entry) -> u64 {
        if entry.event_type != EventType::AgentExit {
            return 0;
        }
        let lists = [(EventType::PermissionDenied, "denials"), (EventType::MessageRejected, "rejections")];
        let lists = lists.iter().filter(|(event, _)| self.events.contains(event));
        lists
            .filter_map(|(_, list)| entry.details.get(*list)?.as_array())
            .flatten()
            .filter(|kind| self.is_kind(kind))
            .map(|kind| kind.get("count").and_then(Value::as_u64).unwrap_or(0).saturating_sub(1))
            .fold(0, u64::saturating_add)
    }

    fn is_kind(&self, kind: &Value) -> bool {
        let word = |name: &str| kind.get(name).and_then(Value::as_str);
        self.capability.is_none_or(|capability| word("capability") == Some(capability.as_str()))
            && self.details.iter().all(|(name, words)| {
                word(name).is_some_and(|word| words.contains(word) || words.contains("*"))
            })
    }
}

/// Whose doing the entry is: an agent's reference, else an identifier. Nothing that an agent wrote.
pub(super) fn agent_of(entry: &Entry) -> Option<String> {
    let agent = entry.details.get("agent").and_then(Value::as_str);
    let reference = agent.and_then(|agent| agent.parse::<AgentRef>().ok());
    let identifier = || {
        let is_agent = entry.actor.kind == PartyType::Agent;
        entry.actor.id.parse::<Did>().ok().filter(|_| is_agent)
    };
    reference.map(|agent| agent.to_string()).or_else(|| identifier().map(|did| did.to_string()))
}

fn is_of(entry: &Entry, agent: &str) -> bool {
    let names = |text: &str| text == agent || text.rsplit_once('#').is_some_and(|(_, name)| name == agent);
    entry.actor.id == agent || entry.details.get("agent").and_then(Value::as_str).is_some_and(names)
}

/// The capability that the entry is about.
pub(super) fn capability_of(entry: &Entry) -> Option<Capability> {
    let target = entry.target.as_ref().filter(|target| target.kind == "capability")?;
    target.id.parse().ok()
}

/// What was acted on, if it is a thing that we name: a grant, a component, a host.
pub(super) fn target_of(entry: &Entry) -> Option<String> {
    let target = entry.target.as_ref()?;
    let is_ours = ["grant", "component", "host"].contains(&target.kind.as_str());
    let is_identifier = (1..=IDENTIFIER_MAX).contains(&target.id.len())
        && target
            .id
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte.is_ascii_lowercase())
        && target.id.bytes().any(|byte| byte.is_ascii_digit());
    (is_ours && is_identifier).then(|| format!("{} {}", target.kind, target.id))
}

/// The first of these details that is a word of ours.
pub(super) fn word_of(entry: &Entry, names: &[&str]) -> Option<String> {
    // The notes of agents have details too, and those are the agents'.
    let is_ours = entry.event_type != EventType::AgentNote;
    let is_word = |text: &&str| {
        (1..=WORD_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let words = names.iter().filter_map(|name| entry.details.get(*name)?.as_str());
    words.filter(|_| is_ours).find(is_word).map(str::to_owned)
}
