//! Wrong secrets, told to the log by whoever unlocks next: without the keys no entry can be signed.
//!
//! In scope: the count between two unlocks. Whoever may write the home may remove it; what it is for is a stranger at the
//! prompt. Keeps I7: it is one small file, however often somebody tries.

use kos_core::canonical;
use kos_core::clock::{Clock as _, SystemClock, Timestamp};
use kos_core::custody::CustodyError;
use kos_core::durable::{self, Lock};
use kos_core::home::Home;
use kos_core::log::event::{Event, EventType, PartyType};
use kos_core::log::{Log, LogError};
use serde::{Deserialize, Serialize};

/// Three numbers.
const FILE_MAX: u64 = 1024;
/// Keeps two processes from counting at the same time.
const LOCK: &str = "failed-unlocks.lock";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

/// Counts a failure, if it is that of a wrong secret. That it cannot be counted changes nothing for whoever tries.
pub fn note(home: &Home, error: &CustodyError) {
    if matches!(error, CustodyError::WrongSecret { .. })
        && let Err(error) = count(home)
    {
        tracing::warn!(error, "a failed unlock could not be counted");
    }
}

fn count(home: &Home) -> Result<(), String> {
    let _lock = Lock::exclusive(&home.run().join(LOCK)).map_err(|error| error.to_string())?;
    let now = SystemClock.now();
    let before = read(home).unwrap_or(Failed { count: 0, first: now, last: now });
    let failed = Failed { count: before.count.saturating_add(1), last: now, ..before };
    let bytes = canonical::to_canonical(&failed).map_err(|error| error.to_string())?;
    durable::replace(&home.failed_unlocks(), &bytes).map_err(|error| error.to_string())
}

/// Has the log tell of the failures since the last time, and forgets them then.
///
/// # Errors
/// [`LogError`]; they are kept.
pub fn tell(home: &Home, host: &str, log: &Log) -> Result<(), LogError> {
    if !home.failed_unlocks().exists() {
        return Ok(());
    }
    let Ok(_lock) = Lock::exclusive(&home.run().join(LOCK)) else { return Ok(()) };
    if !home.failed_unlocks().exists() {
        return Ok(());
    }
    let mut event = Event::new(EventType::Alert, PartyType::System, host)
        .on("host", host)
        .with("reason", "failed-unlocks");
    event = match read(home) {
        Some(Failed { count, first, last }) => event
            .with("explanation", format!("{count} wrong secrets were given for this home"))
            .with("count", count)
            .with("first", first.to_string())
            .with("last", last.to_string()),
        None => {
            event.with("explanation", "wrong secrets were given for this home, and their count was altered")
        }
    };
    log.append(event)?;
    if let Err(error) = std::fs::remove_file(home.failed_unlocks()) {
        tracing::warn!(%error, "failed unlocks will be told again");
    }
    Ok(())
}

fn read(home: &Home) -> Option<Failed> {
    let bytes = durable::read_capped(&home.failed_unlocks(), FILE_MAX).ok()?;
    canonical::from_strict(&bytes, bytes.len()).ok()
}
