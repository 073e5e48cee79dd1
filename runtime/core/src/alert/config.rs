//! `alerts.toml`: which entries are worth an alert, and where alerts go.
//!
//! ```toml
//! [sinks.security]
//! kind = "webhook"                  # or "file" with `path`, "syslog", "terminal"
//! url = "https://hooks.example.org/kos"
//! [rules.denials]
//! events = ["permission_denied"]
//! capability = "vault.reveal"       # and `agent`, where only one is meant
//! count = 10
//! within = "1m"
//! severity = "warning"
//! sinks = ["security"]
//! ```
//!
//! Keeps I2 in its way: an unknown key, event, sink or severity is refused, so that no rule is silently without effect.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audience::Audience;
use crate::capability::Capability;
use crate::clock::parse_span;
use crate::id::Name;
use crate::log::EventType;

/// The largest file: room for every rule and sink several times over.
const CONFIG_MAX: usize = 64 << 10;
/// More than anybody oversees; each is held against each entry.
const RULES_MAX: usize = 64;
/// Each has a thread of its own.
const SINKS_MAX: usize = 8;
/// What a window counts at most; each hit is remembered until then.
const COUNT_MAX: u32 = 1_000;
/// A longer window is a report and no alert.
const WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Where the system's log listens.
const SYSLOG: &str = "/dev/log";
/// The port of `https` (RFC 9110 section 4.2.2).
const HTTPS_PORT: u16 = 443;

/// What holds where the home has no `alerts.toml`: on the terminal of a host, and nowhere else.
const STANDARD: &str = include_str!("standard.toml");

/// Why `alerts.toml` is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AlertConfigError {
    /// Larger than is read.
    #[error("it has {size} bytes, and at most {CONFIG_MAX} are read")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// Not TOML, or with a key or word that is not known.
    #[error("{cause}")]
    Form {
        /// What is wrong, and in which line.
        cause: String,
    },
    /// More sinks or rules than there may be.
    #[error("it has more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// A rule that cannot mean anything.
    #[error("the rule `{rule}`: {cause}")]
    Rule {
        /// Which rule.
        rule: Name,
        /// Why.
        cause: &'static str,
    },
    /// A sink that cannot be used.
    #[error("the sink `{sink}`: {cause}")]
    Sink {
        /// Which sink.
        sink: Name,
        /// Why.
        cause: &'static str,
    },
}

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Information,
    /// Worth a look.
    Warning,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// The word in the file and in an alert.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Where alerts go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Destination {
    /// Standard error of whoever follows the log.
    Terminal,
    /// A line of JSON each at the end of a file.
    File {
        /// Which file.
        path: PathBuf,
    },
    /// A datagram each (RFC 5424).
    Syslog {
        /// The socket.
        path: PathBuf,
    },
    /// An HTTPS request each.
    Webhook {
        /// To which server.
        #[serde(serialize_with = "as_text")]
        server: Audience,
        /// For which path and query there.
        target: String,
    },
}

fn as_text<S: serde::Serializer>(server: &Audience, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(server)
}

/// What is worth an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its name.
    pub name: Name,
    /// Which kinds of entries it is about.
    pub events: BTreeSet<EventType>,
    /// Which agent alone: its reference, its identifier or its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Which capability alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<Capability>,
    /// The words of which a detail of the entry must be one; `*` is any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, BTreeSet<String>>,
    /// How many of one agent.
    pub count: u32,
    /// Within which time, which is also how long the next alert of the rule for that agent waits.
    pub within: Duration,
    /// How much it matters.
    pub severity: Severity,
    /// Where it is told.
    pub sinks: BTreeSet<Name>,
}

/// Rules and sinks that fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlertConfig {
    /// The sinks, by name.
    pub sinks: BTreeMap<Name, Destination>,
    /// The rules, in the order of their names.
    pub rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    sinks: BTreeMap<Name, RawSink>,
    #[serde(default)]
    rules: BTreeMap<Name, RawRule>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum RawSink {
    Terminal {},
    File { path: PathBuf },
    Syslog { path: Option<PathBuf> },
    Webhook { url: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    events: BTreeSet<EventType>,
    agent: Option<String>,
    capability: Option<Capability>,
    #[serde(default)]
    details: BTreeMap<String, BTreeSet<String>>,
    count: u32,
    within: String,
    severity: Severity,
    sinks: BTreeSet<Name>,
}

impl AlertConfig {
    /// What holds where nothing is written.
    ///
    /// # Errors
    /// None: the text is ours, and a test reads it.
    pub fn standard() -> Result<Self, AlertConfigError> {
        Self::from_toml(STANDARD)
    }

    /// Reads `alerts.toml`.
    ///
    /// # Errors
    /// [`AlertConfigError`].
    pub fn from_toml(text: &str) -> Result<Self, AlertConfigError> {
        if text.len() > CONFIG_MAX {
            return Err(AlertConfigError::TooLarge { size: text.len() });
        }
        let raw: Raw =
            toml::from_str(text).map_err(|error| AlertConfigError::Form { cause: error.to_string() })?;
        for (what, count, most) in
            [("rules", raw.rules.len(), RULES_MAX), ("sinks", raw.sinks.len(), SINKS_MAX)]
        {
            if count > most {
                return Err(AlertConfigError::TooMany { what, most });
            }
        }
        let sinks = raw.sinks.into_iter().map(|(name, sink)| Ok((name.clone(), sink.checked(&name)?)));
        let sinks: BTreeMap<Name, Destination> = sinks.collect::<Result<_, _>>()?;
        let rules = raw.rules.into_iter().map(|(name, rule)| rule.checked(name, &sinks));
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, sinks })
    }
}

impl RawSink {
    fn checked(self, sink: &Name) -> Result<Destination, AlertConfigError> {
        let refused = |cause| AlertConfigError::Sink { sink: sink.clone(), cause };
        let path = |path: PathBuf| {
            if path.is_absolute() { Ok(path) } else { Err(refused("its path must begin at the root, `/`")) }
        };
        Ok(match self {
            Self::Terminal {} => Destination::Terminal,
            Self::File { path: file } => Destination::File { path: path(file)? },
            Self::Syslog { path: socket } => {
                Destination::Syslog { path: path(socket.unwrap_or_else(|| SYSLOG.into()))? }
            }
            Self::Webhook { url } => {
                let cause = "its url must be https://HOST[:PORT]/PATH, in printable ASCII and without a user";
                let rest = url.strip_prefix("https://").ok_or_else(|| refused(cause))?;
                let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let is_target = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
                let server = Audience::of_authority(authority, HTTPS_PORT).ok().filter(|_| is_target);
                let target = if target.is_empty() { "/".to_owned() } else { target.to_owned() };
                Destination::Webhook { server: server.ok_or_else(|| refused(cause))?, target }
            }
        })
    }
}

impl RawRule {
    fn checked(self, name: Name, sinks: &BTreeMap<Name, Destination>) -> Result<Rule, AlertConfigError> {
        let within = parse_span(&self.within).ok().filter(|within| *within <= WINDOW_MAX);
        let is_known = |sink: &Name| sinks.contains_key(sink);
        let cause = if self.events.is_empty() {
            "it names no events"
        } else if !(1..=COUNT_MAX).contains(&self.count) {
            "its count must lie between 1 and 1000"
        } else if self.sinks.is_empty() || !self.sinks.iter().all(is_known) {
            "its sinks must be among those of the file, and at least one"
        } else if self.details.values().any(BTreeSet::is_empty) {
            "a detail that it asks for has no words"
        } else if let Some(within) = within {
            return Ok(Rule {
                name,
                within,
                events: self.events,
                agent: self.agent,
                capability: self.capability,
                details: self.details,
                count: self.count,
                severity: self.severity,
                sinks: self.sinks,
            });
        } else {
            "its `within` must be a span such as `1m`, and at most a day"
        };
        Err(AlertConfigError::Rule { rule: name, cause })
    }
}
