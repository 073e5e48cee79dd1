//! Stopping everything, at once and until operators say otherwise.
//!
//! The file `run/kill` of a home engages, whatever is in it and whoever put it there: no key, no log and no running host is
//! needed. The second witness is the log, whose newest `kill_switch` entry must be one that releases ([`crate::log`]), so
//! that a removed file releases nothing. A [`Resume`] that enough operators signed is the only way back.
//!
//! In scope: the file, the entries, the release. Out of scope: ending what runs, which each host does. A stop waits for no
//! log, unlike every other effect: what is in doubt must stop (I5 is about what is allowed to begin).

mod resume;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::durable::{self, DurableError};
use crate::home::Home;
use crate::id::Did;
use crate::line;
use crate::log::{Event, EventType, PartyType};

pub use resume::{RESUME_TYPE, Resume, ResumeError, VerifiedResume};

/// The file's name in the home's `run` directory.
pub const FILE: &str = "kill";
/// What is read of the file; a longer one engages like any other and tells nothing.
const FILE_MAX: u64 = 4096;
/// The owner's alone, as everything in a home.
const FILE_MODE: u32 = 0o600;

/// By which way everything was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The command `kos kill-switch`.
    Command,
    /// A file that something else has put there, such as a board's button.
    File,
    /// A signal to a host.
    Signal,
}

impl Cause {
    /// The word that stands in the entry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::File => "file",
            Self::Signal => "signal",
        }
    }
}

/// Why everything stops, and who says so. It decides nothing: everything stops either way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engagement {
    /// By which way.
    pub cause: Cause,
    /// Who: a user of the machine.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Whether keys and secrets are destroyed when everything has stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destroys: bool,
}

impl Engagement {
    /// An engagement with a reason that is cut to one honest line.
    #[must_use]
    pub fn new(cause: Cause, by: impl Into<String>, reason: &str) -> Self {
        Self { cause, by: by.into(), reason: line::shown(reason), destroys: false }
    }

    /// The same, after which keys and secrets are destroyed.
    #[must_use]
    pub fn destroying(self) -> Self {
        Self { destroys: true, ..self }
    }

    /// What the file of `home` tells, if there is one: what it says itself where that can be read, else that it is there.
    #[must_use]
    pub fn found(home: &Home) -> Option<Self> {
        let mark = Mark::of(home)?;
        let told = durable::read_regular(&file(home), FILE_MAX).ok();
        let told: Option<Self> = told.and_then(|bytes| canonical::from_strict(&bytes, bytes.len()).ok());
        let owner = mark.owner.map_or_else(|| "unknown".to_owned(), user);
        Some(told.map_or_else(
            || Self::new(Cause::File, owner, "the file was put there"),
            |told| Self { by: line::shown(&told.by), reason: line::shown(&told.reason), ..told },
        ))
    }

    /// The entry, for so many agents that were ended; `host` signs the log.
    #[must_use]
    pub fn event(&self, host: &Did, home: &Home, agents: usize) -> Event {
        let event = Event::new(EventType::KillSwitch, PartyType::System, host.to_string())
            .on("home", home.root().display().to_string())
            .with("change", "engage")
            .with("cause", self.cause.as_str())
            .with("by", &*self.by)
            .with("reason", &*self.reason)
            .with("agents", agents);
        if self.destroys { event.with("destroys", true) } else { event }
    }
}

/// A user of this machine, as entries name it.
#[must_use]
pub fn user(id: u32) -> String {
    format!("user {id}")
}

/// The user of this process, as entries name it.
#[must_use]
pub fn this_user() -> String {
    user(rustix::process::geteuid().as_raw())
}

/// Where the file lies.
#[must_use]
pub fn file(home: &Home) -> PathBuf {
    home.run().join(FILE)
}

/// Whether the file is there. One that cannot be looked at counts as there.
#[must_use]
pub fn is_engaged(home: &Home) -> bool {
    Mark::of(home).is_some()
}

/// Puts the file there. One that is there already stays, and is a newer [`Mark`] from now on.
///
/// # Errors
/// [`DurableError`]; the file may be there all the same, and then engages.
pub fn engage(home: &Home, engagement: &Engagement) -> Result<(), DurableError> {
    let path = file(home);
    let failed = |action| {
        let path = path.clone();
        move |source| DurableError::Io { action, path, source }
    };
    let mut options = OpenOptions::new();
    // Not emptied and not replaced: at no instant is there no file.
    options.write(true).create(true).truncate(false).mode(FILE_MODE);
    let mut opened = options.open(&path).map_err(failed("create"))?;
    // The name alone engages. On a full disk it may be all there is room for.
    let text = serde_json::to_vec(engagement).unwrap_or_default();
    let told = opened.set_len(0).and_then(|()| opened.write_all(&text)).and_then(|()| opened.sync_all());
    durable::sync_directory(&home.run())?;
    if let Err(error) = told {
        tracing::warn!(%error, "the kill switch's file says nothing of why");
    }
    Ok(())
}

/// A file as it was seen, to be told from one that was put there since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    identity: Option<(u64, u64, i64, i64)>,
    owner: Option<u32>,
}

impl Mark {
    /// The file of `home`, if there is one.
    #[must_use]
    pub fn of(home: &Home) -> Option<Self> {
        match fs::symlink_metadata(file(home)) {
            Ok(seen) => Some(Self {
                identity: Some((seen.dev(), seen.ino(), seen.ctime(), seen.ctime_nsec())),
                owner: Some(seen.uid()),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(_) => Some(Self { identity: None, owner: None }),
        }
    }

    /// Removes exactly this file. False where another was put there since, which stays.
    ///
    /// # Errors
    /// [`DurableError`].
    pub fn remove(self, home: &Home) -> Result<bool, DurableError> {
        if Self::of(home) != Some(self) {
            return Ok(false);
        }
        let path = file(home);
        fs::remove_file(&path).map_err(|source| DurableError::Io { action: "remove", path, source })?;
        durable::sync_directory(&home.run())?;
        Ok(true)
    }
}
