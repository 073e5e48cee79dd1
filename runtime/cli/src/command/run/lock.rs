//! When a running host locks: by itself, after so long without a use of its keys.

use std::str::FromStr;
use std::time::Duration;

use kos_core::clock::{ClockError, parse_span};
use kos_core::custody::Unlock;

/// After how long without a use the keys that a person's passphrase unlocked are locked again.
const ATTENDED: Duration = Duration::from_secs(15 * 60);

/// When a host locks by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockAfter {
    /// After so long without a use of its keys.
    Unused(Duration),
    /// Not at all.
    Never,
}

impl LockAfter {
    /// What holds where nothing is said. Nobody is there to unlock again what a key file or a credential unlocked.
    pub(super) fn standard(unlocked_by: &Unlock) -> Self {
        match unlocked_by {
            Unlock::Passphrase(_) => Self::Unused(ATTENDED),
            _ => Self::Never,
        }
    }

    /// How long, where there is such a time.
    pub(super) fn duration(self) -> Option<Duration> {
        match self {
            Self::Unused(duration) => Some(duration),
            Self::Never => None,
        }
    }
}

impl FromStr for LockAfter {
    type Err = ClockError;

    fn from_str(text: &str) -> Result<Self, ClockError> {
        if text == "never" { Ok(Self::Never) } else { parse_span(text).map(Self::Unused) }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_unlocked_is_locked_after_a_while_and_a_service_goes_on() {
        let passphrase = Unlock::Passphrase("correct horse".to_owned().into());
        assert_eq!(LockAfter::standard(&passphrase).duration(), Some(ATTENDED));
        assert_eq!(LockAfter::standard(&Unlock::KeyFile("key".into())), LockAfter::Never);
        assert_eq!(LockAfter::standard(&Unlock::Secret(vec![7; 32].into())), LockAfter::Never);
    }

    #[test]
    fn a_time_to_lock_after_is_a_span_or_never() {
        assert_eq!("90s".parse::<LockAfter>().unwrap(), LockAfter::Unused(Duration::from_secs(90)));
        assert_eq!("never".parse::<LockAfter>().unwrap(), LockAfter::Never);
        for text in ["", "soon", "15", "Never"] {
            assert!(text.parse::<LockAfter>().is_err(), "{text}");
        }
    }
}
