//! Entries as a person reads them, and the filters that choose among them.

use clap::Args;
use kos_core::clock::{Clock as _, SystemClock, Timestamp, parse_span};
use kos_core::log::EventType;
use kos_core::log::entry::Entry;
use kos_core::log::reader::LogReader;
use serde_json::{Map, Value, json};

use crate::failure::{Explain as _, Failure};
use crate::output::{clean, to_second};

/// Details that the other columns tell already, or that are too long for a line.
const NOT_IN_A_LINE: [&str; 7] = ["agent", "host", "limits", "operators", "permissions", "signers", "usage"];
/// What a line shows of one value.
const VALUE_MAX: usize = 48;

/// Which entries are wanted.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Filter {
    /// Only events of this type, such as agent_launch or permission_denied; may be given several times.
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type)]
    types: Vec<EventType>,
    /// Only events about this agent: its name, its identifier, or a run.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Only events since then: a date, a time, or a span back from now (2h).
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Timestamp>,
}

impl Filter {
    /// Wants the events of one type.
    pub(super) fn of_type(event: EventType) -> Self {
        Self { types: vec![event], agent: None, since: None }
    }

    /// Whether an entry is wanted.
    pub(super) fn accepts(&self, entry: &Entry) -> bool {
        (self.types.is_empty() || self.types.contains(&entry.event_type))
            && self.since.is_none_or(|since| entry.timestamp >= since)
            && self.agent.as_deref().is_none_or(|agent| concerns(entry, agent))
    }
}

/// An entry with its place. It was read and not verified.
pub(super) struct Listed {
    pub(super) index: u64,
    pub(super) entry: Entry,
}

impl Listed {
    /// Reads an entry's bytes.
    pub(super) fn read(index: u64, bytes: &[u8]) -> Result<Self, Failure> {
        let entry = Entry::parse_unverified(bytes).doing(format!("entry {index} cannot be read"))?;
        Ok(Self { index, entry })
    }

    /// The entry and its index as one object.
    pub(super) fn to_json(&self) -> Value {
        let mut value = json!(self.entry);
        if let Some(object) = value.as_object_mut() {
            object.insert("index".to_owned(), self.index.into());
        }
        value
    }

    /// What it is about: the target, or the agent that acts.
    pub(super) fn subject(&self) -> String {
        if let Some(agent) = self.text("agent") {
            return short(agent);
        }
        match &self.entry.target {
            Some(target) => format!("{} {}", target.kind, short(&target.id)),
            None => short(&self.entry.actor.id),
        }
    }

    /// The facts in one line.
    pub(super) fn facts(&self) -> String {
        let target = self.entry.target.as_ref().filter(|_| self.text("agent").is_some());
        let target = target.map(|target| format!("{}={}", target.kind, short(&target.id)));
        let is_told = |name: &str| !NOT_IN_A_LINE.contains(&name);
        let details = self
            .entry
            .details
            .iter()
            .filter(|(name, _)| is_told(name))
            .map(|(name, value)| format!("{name}={}", brief(value)));
        clean(&target.into_iter().chain(details).collect::<Vec<_>>().join(" "))
    }

    /// The time to the millisecond, in a column's width.
    pub(super) fn time(&self) -> String {
        let millis = self.entry.timestamp.as_millis();
        let second = to_second(self.entry.timestamp).to_string();
        format!("{}.{:03}Z", second.trim_end_matches('Z'), millis % 1_000)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.entry.details.get(name).and_then(Value::as_str)
    }
}

/// All entries of a log from `first` on, in order.
pub(super) fn from(
    reader: &LogReader,
    first: u64,
    size: u64,
) -> impl Iterator<Item = Result<Listed, Failure>> + '_ {
    reader.entries(first..size).map(|item| {
        let (index, bytes) = item?;
        Listed::read(index, &bytes)
    })
}

fn concerns(entry: &Entry, agent: &str) -> bool {
    let is_meant = |text: &str| text == agent || text.rsplit_once('#').is_some_and(|(_, name)| name == agent);
    let details: &Map<String, Value> = &entry.details;
    is_meant(&entry.actor.id)
        || entry.target.as_ref().is_some_and(|target| is_meant(&target.id))
        || ["agent", "run", "name"]
            .into_iter()
            .filter_map(|name| details.get(name).and_then(Value::as_str))
            .any(is_meant)
}

/// An identifier in the width of a column: the name of an agent, the ends of a key or digest; other text as it is.
fn short(text: &str) -> String {
    if let Some((author, name)) = text.rsplit_once('#').filter(|(author, _)| author.starts_with("did:key:")) {
        let tail = author.get(author.len().saturating_sub(6)..).unwrap_or(author);
        return clean(&format!("{name} (…{tail})"));
    }
    let key = text.strip_prefix("did:key:").or_else(|| text.strip_prefix("sha256:"));
    let ends = key.and_then(|key| Some((key.get(..8)?, key.get(key.len().checked_sub(6)?..)?)));
    ends.map_or_else(|| clean(text), |(head, tail)| clean(&format!("{head}…{tail}")))
}

fn brief(value: &Value) -> String {
    let text = match value {
        Value::String(text) => short(text),
        Value::Array(items) => items.iter().map(brief).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    if text.chars().count() <= VALUE_MAX {
        return text;
    }
    let kept: String = text.chars().take(VALUE_MAX - 1).collect();
    format!("{kept}…")
}

fn event_type(text: &str) -> Result<EventType, String> {
    EventType::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
        let known: Vec<&str> = EventType::ALL.into_iter().map(EventType::as_str).collect();
        format!("there are: {}", known.join(", "))
    })
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(span) = parse_span(text) {
        let back = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        return Ok(Timestamp::from_millis(SystemClock.now().as_millis().saturating_sub(back)));
    }
    Timestamp::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn an_event_type_is_one_of_those_there_are() {
        assert_eq!(event_type("agent_launch").unwrap(), EventType::AgentLaunch);
        assert!(event_type("agent-launch").unwrap_err().contains("agent_launch"));
    }

    #[test]
    fn an_agent_is_shown_by_its_name_and_the_end_of_its_author() {
        let agent = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw#notary";
        assert_eq!(short(agent), "notary (…7oMMsw)");
        assert_eq!(short("store"), "store");
        assert_eq!(short("a\u{1b}b"), "a\u{fffd}b");
    }
}
