//! Time as a parameter: timestamps, spans, and clocks that tests can own.
//!
//! In scope: the one place that reads the wall clock, a clock that never goes back (I4), and how long the machine was awake.
//! Out of scope: monotonic deadlines of a run (the host's engine keeps those).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The last instant of the year 9999, the largest that RFC 3339 writes.
const TIMESTAMP_MAX: u64 = 253_402_300_799_999;
/// The units of a span, largest first.
const SPAN_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// Not a date and not a date with a time.
    #[error("`{text}` is not a time: write `2027-01-31` or `2027-01-31T12:00:00Z`")]
    Timestamp {
        /// What was given.
        text: String,
    },
    /// Not a span.
    #[error(
        "`{text}` is not a span: write a whole number with its unit, such as `500ms`, `90s`, `10m`, `12h` or `30d`"
    )]
    Span {
        /// What was given.
        text: String,
    },
}

/// An instant: whole milliseconds since the Unix epoch, up to the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant so many milliseconds after the epoch, at most the end of the year 9999.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(TIMESTAMP_MAX))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// The instant `span` later, at most the end of the year 9999.
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The span from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads `2027-01-31` (its first instant, UTC) or an RFC 3339 date-time with its offset.
    ///
    /// # Errors
    /// [`ClockError::Timestamp`] for anything else, and for instants before 1970.
    pub fn parse(text: &str) -> Result<Self, ClockError> {
        let full = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
        full.parse::<jiff::Timestamp>()
            .ok()
            .and_then(|instant| u64::try_from(instant.as_millisecond()).ok())
            .filter(|millis| *millis <= TIMESTAMP_MAX)
            .map(Self)
            .ok_or_else(|| ClockError::Timestamp { text: text.chars().take(80).collect() })
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = u64::deserialize(deserializer)?;
        if millis > TIMESTAMP_MAX {
            return Err(serde::de::Error::custom("a timestamp is in milliseconds, before the year 10000"));
        }
        Ok(Self(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(instant) => write!(formatter, "{instant}"),
            Err(_) => write!(formatter, "{millis}ms"),
        }
    }
}

/// How long the machine has run, from a start that is always the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uptime {
    /// Without the time in which it slept.
    pub awake: Duration,
    /// With it.
    pub total: Duration,
}

impl Uptime {
    /// How long the machine has slept.
    #[must_use]
    pub fn asleep(self) -> Duration {
        self.total.saturating_sub(self.awake)
    }
}

/// A source of the present.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// How long the machine has run, which nobody can set.
    fn uptime(&self) -> Uptime;
}

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// Reads the coarse clock: a few nanoseconds' work, good to the kernel's tick (1 to 10 ms).
    fn now(&self) -> Timestamp {
        let time = clock_gettime(ClockId::RealtimeCoarse);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let millis = u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000;
        Timestamp::from_millis(seconds.saturating_mul(1_000).saturating_add(millis))
    }

    fn uptime(&self) -> Uptime {
        let of = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        Uptime { awake: of(ClockId::Monotonic), total: of(ClockId::Boottime) }
    }
}

/// A clock that never goes back, nor behind the floor it was given: an inner clock that is set back stands still
/// here until it has caught up, so nothing that ended begins again (I4).
#[derive(Debug)]
pub struct MonotoneClock<C> {
    inner: C,
    latest: AtomicU64,
}

impl<C: Clock> MonotoneClock<C> {
    /// A clock over `inner` that reads at least `floor`.
    pub fn starting_at(inner: C, floor: Timestamp) -> Self {
        Self { inner, latest: AtomicU64::new(floor.as_millis()) }
    }

    /// Raises the floor: from now on the clock reads at least `floor`.
    pub fn raise_to(&self, floor: Timestamp) {
        self.latest.fetch_max(floor.as_millis(), Ordering::Relaxed);
    }
}

impl<C: Clock> Clock for MonotoneClock<C> {
    fn now(&self) -> Timestamp {
        let now = self.inner.now().as_millis();
        let latest = self.latest.load(Ordering::Relaxed);
        if now <= latest {
            return Timestamp(latest);
        }
        Timestamp(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    fn uptime(&self) -> Uptime {
        self.inner.uptime()
    }
}

/// A clock that stands still until it is set; for tests and replays.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicU64,
    uptime: Mutex<Uptime>,
}

impl ManualClock {
    /// A clock that stands at `now`, of a machine that has just started.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now: AtomicU64::new(now.as_millis()), uptime: Mutex::default() }
    }

    /// Moves the clock to `now`, forward or back.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Moves the clock on by `span`, in which the machine runs.
    pub fn advance(&self, span: Duration) {
        self.run_on(span, span);
    }

    /// Moves the clock on by `span`, in which the machine sleeps.
    pub fn sleep(&self, span: Duration) {
        self.run_on(Duration::ZERO, span);
    }

    fn run_on(&self, awake: Duration, total: Duration) {
        self.set(self.now().saturating_add(total));
        let mut uptime = self.uptime.lock().unwrap_or_else(PoisonError::into_inner);
        uptime.awake = uptime.awake.saturating_add(awake);
        uptime.total = uptime.total.saturating_add(total);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Uptime {
        *self.uptime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn uptime(&self) -> Uptime {
        (**self).uptime()
    }
}

/// Reads a span: a whole number with its unit, `500ms`, `90s`, `10m`, `12h` or `30d`.
///
/// # Errors
/// [`ClockError::Span`] for anything else, and for spans over the range of a timestamp.
pub fn parse_span(text: &str) -> Result<Duration, ClockError> {
    let refused = || ClockError::Span { text: text.chars().take(80).collect() };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(refused)?;
    let (_, millis) = SPAN_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
    let number: u64 = number.parse().map_err(|_| refused())?;
    let total = number.checked_mul(*millis).filter(|total| *total <= TIMESTAMP_MAX).ok_or_else(refused)?;
    Ok(Duration::from_millis(total))
}

/// Writes a span as [`parse_span`] reads it, in the largest unit that divides it.
#[must_use]
pub fn display_span(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (unit, size) = SPAN_UNITS
        .into_iter()
        .find(|(_, size)| millis >= *size && millis.is_multiple_of(*size))
        .unwrap_or(("ms", 1));
    format!("{}{unit}", millis / size)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_and_read_as_rfc_3339() {
        let instant = Timestamp::parse("2027-01-31T12:00:00Z").unwrap();
        assert_eq!(instant.to_string(), "2027-01-31T12:00:00Z");
        assert_eq!(Timestamp::parse("2027-01-31T13:00:00+01:00").unwrap(), instant);
        assert_eq!(Timestamp::parse("2027-01-31").unwrap().to_string(), "2027-01-31T00:00:00Z");
        for text in ["", "tomorrow", "1969-12-31", "2027-13-01", "2027-01-31T12:00:00"] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_read_back_and_malformed_ones_refused() {
        for text in ["500ms", "90s", "10m", "12h", "30d"] {
            assert_eq!(display_span(parse_span(text).unwrap()), text);
        }
        for text in ["", "s", "10", "-1s", "1.5h", "1 h", "10y", "99999999999999999999d", "9999999999999d"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_clock_set_back_stands_still() {
        let inner = std::sync::Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let clock = MonotoneClock::starting_at(inner.clone(), Timestamp::from_millis(500));
        assert_eq!(clock.now().as_millis(), 1_000);
        inner.set(Timestamp::from_millis(10));
        assert_eq!(clock.now().as_millis(), 1_000);
        inner.set(Timestamp::from_millis(1_001));
        assert_eq!(clock.now().as_millis(), 1_001);
    }

    #[test]
    fn a_clock_behind_its_floor_reads_the_floor() {
        let clock = MonotoneClock::starting_at(
            ManualClock::at(Timestamp::from_millis(1)),
            Timestamp::from_millis(900),
        );
        assert_eq!(clock.now().as_millis(), 900);
        clock.raise_to(Timestamp::from_millis(950));
        clock.raise_to(Timestamp::from_millis(920));
        assert_eq!(clock.now().as_millis(), 950);
    }

    #[test]
    fn the_system_clock_is_past_the_day_this_was_written() {
        assert!(SystemClock.now() > Timestamp::parse("2026-11-01").unwrap());
    }
}
