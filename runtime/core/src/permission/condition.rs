//! What must hold at the moment of a call, besides the scope: a closed list of conditions (I2, I4).
//!
//! Each has one text form, which is what the signed document holds. In scope: parsing, and the conditions that are
//! plain facts. Out of scope: counting uses and rates ([`crate::permission::UseLedger`]).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::{Timestamp, display_span, parse_span};
use crate::id::{Name, TrustLevel};
use crate::line;

/// Longer than any condition; longer text is refused before it is parsed.
const CONDITION_MAX: usize = 96;
/// Minutes in a day.
const DAY_MINUTES: u64 = 24 * 60;
/// The days of the week as conditions write them, in order.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// 1970-01-01 was a Thursday, the fourth day of [`DAYS`].
const EPOCH_DAY: u64 = 3;
/// Each call within a rate's window is remembered by its instant: 8 bytes each, so 80 KB for a rule at most.
pub const RATE_MAX: u32 = 10_000;
/// A window is remembered by what was taken of it; nobody oversees one that outlasts a day.
const RATE_WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A person needs longer than that to read a question.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// Beyond an hour nobody looks at the question any more, and the call holds its place among the pending ones.
const PATIENCE_MAX: Duration = Duration::from_secs(60 * 60);
/// More than an agent can call, and few enough for every JSON reader.
const USES_MAX: u64 = 1_000_000_000_000;

/// The text is no condition, or not in its one form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a condition; there are: time:HH:MM-HH:MM (UTC), days:mon,tue, trust>=partner, uses<=N, \
     rate<=N/1m, environment=NAME, approval=1m"
)]
pub struct ConditionError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

/// A minute of the day, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(u16);

impl Minute {
    fn parse(text: &str) -> Option<Self> {
        let (hours, minutes) = text.split_once(':')?;
        let (hours, minutes) = (two_digits(hours, 24)?, two_digits(minutes, 60)?);
        Some(Self(hours * 60 + minutes))
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// Days of the week, UTC; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Days(u8);

impl Days {
    fn parse(text: &str) -> Option<Self> {
        let mut days = 0;
        for word in text.split(',') {
            let bit = 1 << DAYS.iter().position(|day| *day == word)?;
            // In order and each once, so that a set of days has one text.
            if days >= bit {
                return None;
            }
            days |= bit;
        }
        Some(Self(days))
    }

    fn contains(self, day: u64) -> bool {
        self.0 >> (day % 7) & 1 == 1
    }
}

impl fmt::Display for Days {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (day, name) in (0..).zip(DAYS) {
            if self.contains(day) {
                write!(formatter, "{separator}{name}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

/// One condition of a rule. All of a rule's conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// `time:HH:MM-HH:MM`: from the first minute up to the second, UTC; past midnight where the second is earlier.
    Time {
        /// The first minute in which the rule allows.
        from: Minute,
        /// The first minute in which it no longer does.
        until: Minute,
    },
    /// `days:mon,tue`: on these days, UTC.
    Days(Days),
    /// `trust>=partner`: while the component's author has at least this level.
    Trust(TrustLevel),
    /// `uses<=N`: for so many calls, by however many host processes.
    Uses(u64),
    /// `rate<=N/1m`: for at most so many calls in any window of this length.
    Rate {
        /// How many calls.
        count: u32,
        /// In which window.
        window: Duration,
    },
    /// `environment=NAME`: where the host runs the agent in this environment.
    Environment(Name),
    /// `approval=1m`: for each call that a person approves within that time, for which the call waits.
    Approval(Duration),
}

impl Condition {
    /// Whether the condition is of the kinds that a use spends.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        matches!(self, Self::Uses(_) | Self::Rate { .. })
    }

    /// Whether the condition is a plain fact of the moment.
    pub(super) fn is_fact(&self) -> bool {
        !self.is_counted() && self.patience().is_none()
    }

    /// How long a call waits for an approval, where the condition asks for one.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        if let Self::Approval(patience) = self { Some(*patience) } else { None }
    }

    /// Whether both limit the same thing. A rule has at most one condition of each kind.
    #[must_use]
    pub fn is_same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether the condition holds, for the kinds that are plain facts. What a use spends is counted elsewhere, and who
    /// approves is asked elsewhere; both hold here.
    #[must_use]
    pub(super) fn holds(&self, now: Timestamp, level: TrustLevel, environment: Option<&Name>) -> bool {
        match self {
            Self::Time { from, until } => {
                let minute = now.as_millis() / 60_000 % DAY_MINUTES;
                let (from, until) = (u64::from(from.0), u64::from(until.0));
                if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until }
            }
            Self::Days(days) => days.contains(now.as_millis() / (DAY_MINUTES * 60_000) + EPOCH_DAY),
            Self::Trust(least) => level >= *least,
            Self::Environment(name) => environment == Some(name),
            Self::Uses(_) | Self::Rate { .. } | Self::Approval(_) => true,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(window) = text.strip_prefix("time:") {
            let (from, until) = window.split_once('-')?;
            let (from, until) = (Minute::parse(from)?, Minute::parse(until)?);
            // An empty window and the whole day would look the same.
            return (from != until).then_some(Self::Time { from, until });
        }
        if let Some(days) = text.strip_prefix("days:") {
            return Days::parse(days).map(Self::Days);
        }
        if let Some(level) = text.strip_prefix("trust>=") {
            return level.parse().ok().map(Self::Trust);
        }
        if let Some(count) = text.strip_prefix("uses<=") {
            return plain_number(count).filter(|count| (1..=USES_MAX).contains(count)).map(Self::Uses);
        }
        if let Some(rate) = text.strip_prefix("rate<=") {
            let (count, window) = rate.split_once('/')?;
            let count = u32::try_from(plain_number(count)?).ok()?;
            let window = parse_span(window).ok()?;
            let is_bounded =
                (1..=RATE_MAX).contains(&count) && !window.is_zero() && window <= RATE_WINDOW_MAX;
            return is_bounded.then_some(Self::Rate { count, window });
        }
        if let Some(patience) = text.strip_prefix("approval=") {
            let patience = parse_span(patience).ok()?;
            return (PATIENCE_MIN..=PATIENCE_MAX).contains(&patience).then_some(Self::Approval(patience));
        }
        text.strip_prefix("environment=")?.parse().ok().map(Self::Environment)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { from, until } => write!(formatter, "time:{from}-{until}"),
            Self::Days(days) => write!(formatter, "days:{days}"),
            Self::Trust(level) => write!(formatter, "trust>={level}"),
            Self::Uses(count) => write!(formatter, "uses<={count}"),
            Self::Rate { count, window } => write!(formatter, "rate<={count}/{}", display_span(*window)),
            Self::Environment(name) => write!(formatter, "environment={name}"),
            Self::Approval(patience) => write!(formatter, "approval={}", display_span(*patience)),
        }
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let refused = || ConditionError { text: line::shown(text) };
        if text.len() > CONDITION_MAX {
            return Err(refused());
        }
        // One text for one meaning: `rate<=5/60s` is refused in favour of `rate<=5/1m`.
        Self::parse(text).filter(|condition| condition.to_string() == text).ok_or_else(refused)
    }
}

serde_as_text!(Condition);

fn two_digits(text: &str, end: u16) -> Option<u16> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
        .filter(|number| *number < end)
}

/// A number in digits alone; `+5` and `05` have another text.
fn plain_number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn holds_at(condition: &str, instant: &str) -> bool {
        let condition: Condition = condition.parse().unwrap();
        condition.holds(Timestamp::parse(instant).unwrap(), TrustLevel::Partner, None)
    }

    #[test]
    fn every_condition_is_read_back_from_its_text() {
        for text in [
            "time:08:00-18:30",
            "time:22:00-06:00",
            "days:mon",
            "days:mon,wed,sun",
            "trust>=partner",
            "uses<=1",
            "rate<=100/1m",
            "rate<=1/500ms",
            "environment=production",
            "approval=1s",
            "approval=90s",
            "approval=1h",
        ] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_exactly_a_condition_is_refused() {
        for text in [
            "",
            "time",
            "time:8:00-18:00",
            "time:08:00-24:00",
            "time:08:60-09:00",
            "time:08:00-08:00",
            "time:08:00",
            "time: 08:00-09:00",
            "days:",
            "days:tue,mon",
            "days:mon,mon",
            "days:monday",
            "days:Mon",
            "days:mon,",
            "trust>=anyone",
            "trust>partner",
            "trust>=",
            "uses<=0",
            "uses<=05",
            "uses<=+5",
            "uses<=-1",
            "uses<5",
            "uses<=99999999999999999999",
            "rate<=5/60s",
            "rate<=0/1m",
            "rate<=5",
            "rate<=5/0s",
            "rate<=10001/1m",
            "rate<=5/2d",
            "environment=",
            "environment=UP",
            "environment=a/b",
            "approval",
            "approval=",
            "approval=60s",
            "approval=999ms",
            "approval=2h",
            "approval=never",
            "weather=fine",
            &"x".repeat(10_000),
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
        assert!("x\n".repeat(500).parse::<Condition>().unwrap_err().text.len() <= 80);
    }

    #[test]
    fn a_time_window_ends_before_its_last_minute_and_may_cross_midnight() {
        for (instant, expected) in [
            ("2026-11-24T07:59:59Z", false),
            ("2026-11-24T08:00:00Z", true),
            ("2026-11-24T17:59:59.999Z", true),
            ("2026-11-24T18:00:00Z", false),
        ] {
            assert_eq!(holds_at("time:08:00-18:00", instant), expected, "{instant}");
        }
        for (instant, expected) in [
            ("2026-11-24T21:59:59Z", false),
            ("2026-11-24T22:00:00Z", true),
            ("2026-11-24T00:00:00Z", true),
            ("2026-11-24T05:59:59Z", true),
            ("2026-11-24T06:00:00Z", false),
        ] {
            assert_eq!(holds_at("time:22:00-06:00", instant), expected, "{instant}");
        }
    }

    #[test]
    fn the_days_are_those_of_the_calendar() {
        // 2026-11-24 is a Tuesday.
        for (day, offset) in [("mon", 23), ("tue", 24), ("wed", 25), ("thu", 26), ("fri", 27), ("sat", 28)] {
            assert!(holds_at(&format!("days:{day}"), &format!("2026-11-{offset}T23:59:59Z")), "{day}");
            assert!(!holds_at(&format!("days:{day}"), "2026-11-29T00:00:00Z"), "{day}");
        }
        assert!(holds_at("days:sun", "2026-11-29T00:00:00Z"));
    }

    #[test]
    fn an_environment_holds_only_where_it_is_named() {
        let condition: Condition = "environment=production".parse().unwrap();
        let (now, level) = (Timestamp::from_millis(0), TrustLevel::Trusted);
        let (production, test) = ("production".parse().unwrap(), "test".parse().unwrap());
        assert!(condition.holds(now, level, Some(&production)));
        assert!(!condition.holds(now, level, Some(&test)));
        assert!(!condition.holds(now, level, None));
    }

    #[test]
    fn a_trust_condition_holds_from_its_level_up() {
        let condition: Condition = "trust>=partner".parse().unwrap();
        let holds = |level| condition.holds(Timestamp::from_millis(0), level, None);
        assert!(!holds(TrustLevel::External) && holds(TrustLevel::Partner) && holds(TrustLevel::Trusted));
    }
}
