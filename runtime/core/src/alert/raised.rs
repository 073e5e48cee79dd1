//! One alert, as it is sent: CloudEvents 1.0 in structured JSON, with an OCSF detection finding (class 2004) as its data;
//! and a line of syslog (RFC 5424) around it.

use serde::Serialize;
use serde_json::{Value, json};

use super::config::Severity;
use super::entry::RULE;
use crate::capability::Capability;
use crate::clock::Timestamp;
use crate::id::Name;
use crate::log::{Event, EventType, PartyType};

/// The type of every alert as a CloudEvent.
pub const EVENT_TYPE: &str = "org.kos.alert.v1";
/// OCSF: category Findings, class Detection Finding, activity Create.
const OCSF: (u32, u32, u32) = (2, 2004, 1);
/// The version of OCSF whose names these are.
const OCSF_VERSION: &str = "1.3.0";
/// Syslog: the facility for security and authorisation, private (RFC 5424 section 6.2.1).
const AUTHPRIV: u8 = 10;

/// An alert: what was seen, how often, and in which entry last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Raised {
    /// The rule that raised it.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// The kind of the entry that raised it; none where the log itself is in trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventType>,
    /// Whose doing it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Which capability it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<Capability>,
    /// What was acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The reason, the outcome or the change, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many events there were within the rule's time.
    pub count: u64,
    /// How many came while alerts of the rule were held back, since the last one.
    pub held_back: u64,
    /// The entry that raised it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// When that was.
    pub time: Timestamp,
}

impl Raised {
    /// An alert that no entry raises: the log itself cannot be read or written.
    #[must_use]
    pub fn of_log(reason: &'static str, time: Timestamp) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..Self::plain("log-trouble".to_owned(), Severity::Critical, time)
        }
    }

    /// An alert that says that alerts arrive.
    #[must_use]
    pub fn test(time: Timestamp) -> Self {
        Self::plain("test".to_owned(), Severity::Information, time)
    }

    pub(super) fn plain(rule: String, severity: Severity, time: Timestamp) -> Self {
        Self {
            rule,
            severity,
            event: None,
            agent: None,
            capability: None,
            target: None,
            reason: None,
            count: 1,
            held_back: 0,
            entry: None,
            time,
        }
    }

    /// The same for everyone who has seen the same entry, so that a receiver knows a repetition.
    #[must_use]
    pub fn id(&self) -> String {
        match self.entry {
            Some(index) => format!("{index}-{}", self.rule),
            None => format!("{}-{}", self.time.as_millis(), self.rule),
        }
    }

    /// What happened, in a sentence.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = match self.event {
            Some(event) if self.count == 1 => event.as_str().to_owned(),
            Some(event) => format!("{} × {}", self.count, event.as_str()),
            None => self.rule.clone(),
        };
        for (name, value) in [
            ("agent", self.agent.clone()),
            ("capability", self.capability.map(|capability| capability.to_string())),
            ("target", self.target.clone()),
            ("reason", self.reason.clone()),
        ] {
            if let Some(value) = value {
                text.push_str(&format!(", {name} {value}"));
            }
        }
        text
    }

    /// The alert as a CloudEvent of the log with this name. `dropped` is how many the sink has lost before.
    #[must_use]
    pub fn to_cloud_event(&self, origin: &str, dropped: u64) -> Value {
        let (category, class, activity) = OCSF;
        let severity = match self.severity {
            Severity::Information => 1,
            Severity::Warning => 3,
            Severity::Critical => 5,
        };
        json!({
            "specversion": "1.0",
            "id": self.id(),
            "source": format!("urn:kos:{origin}"),
            "type": EVENT_TYPE,
            "subject": self.agent.as_deref().unwrap_or(origin),
            "time": self.time.to_string(),
            "datacontenttype": "application/json",
            "kosdropped": i32::try_from(dropped).unwrap_or(i32::MAX),
            "data": {
                "category_uid": category,
                "class_uid": class,
                "activity_id": activity,
                "type_uid": class * 100 + activity,
                "severity_id": severity,
                "severity": self.severity,
                "time": self.time.as_millis(),
                "message": self.message(),
                "count": self.count,
                "finding_info": { "uid": self.id(), "title": self.rule },
                "metadata": {
                    "version": OCSF_VERSION,
                    "product": { "name": "kOS", "vendor_name": "kOS" },
                },
                "unmapped": self,
            },
        })
    }

    /// The alert as a datagram for syslog. JSON escapes every control character, so it is one line.
    #[must_use]
    pub fn to_syslog(&self, origin: &str, dropped: u64) -> String {
        let severity = match self.severity {
            Severity::Information => 6,
            Severity::Warning => 4,
            Severity::Critical => 2,
        };
        let priority = AUTHPRIV * 8 + severity;
        format!("<{priority}>1 {} - kos - alert - {}", self.time, self.to_cloud_event(origin, dropped))
    }

    /// The alert as an entry of the log.
    #[must_use]
    pub fn to_event(&self, host: &str) -> Event {
        let mut event = Event::new(EventType::Alert, PartyType::System, host)
            .with("severity", self.severity.as_str())
            .with("explanation", self.message())
            .with("count", self.count)
            .with("heldBack", self.held_back);
        for (name, value) in [("agent", &self.agent), ("reason", &self.reason)] {
            if let Some(value) = value {
                event = event.with(name, value.as_str());
            }
        }
        if let Some(entry) = self.entry {
            event = event.with("entry", entry);
        }
        event.with(RULE, self.rule.as_str())
    }
}

/// An alert about the sinks themselves, for the log alone.
impl Raised {
    /// So many alerts could not be handed to this sink, which was too slow or failed.
    #[must_use]
    pub fn lost(sink: &Name, count: u64, time: Timestamp) -> Self {
        Self {
            count,
            reason: Some(sink.to_string()),
            ..Self::plain("lost-alerts".to_owned(), Severity::Warning, time)
        }
    }
}
