//! Following the log of a home for all its hosts, and sending what its rules raise.
//!
//! One process of a home follows at a time: the first that holds the lock, and the next when that one ends. It remembers up
//! to where it has looked, so that each entry is looked at once, whichever host wrote it and whether one ran or not.
//!
//! In scope: following, the entry of each alert, handing alerts to the sinks. Out of scope: what is worth an alert
//! (`kos_core::alert`).
//!
//! The log waits for nobody here: the follower reads files that are written already, on a thread of its own, and each sink has
//! a bounded queue and a thread of its own. Alerts that a sink has no room for are counted and told.

mod follow;
mod sink;

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use kos_core::alert::{AlertConfig, Destination, Raised};
use kos_core::home::{Home, HostConfig};
use kos_core::log::Log;

use self::follow::Follower;
use self::sink::Context;

/// Writes an alert where a person sees it.
pub type Terminal = Arc<dyn Fn(&Raised) + Send + Sync>;

/// What following needs.
pub struct WatchOptions {
    /// Whose log.
    pub home: Home,
    /// Its configuration.
    pub config: HostConfig,
    /// The rules and the sinks.
    pub alerts: AlertConfig,
    /// Whether to go on where somebody followed last, and to remember it; else from the log's end on.
    pub is_continued: bool,
    /// The log, for the entry of each alert.
    pub log: Arc<Log>,
    /// The terminal.
    pub terminal: Terminal,
}

/// Somebody who follows the log.
#[derive(Debug)]
pub struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Begins to follow.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(options: WatchOptions) -> std::io::Result<Self> {
        let (stop, is_stopped) = mpsc::channel();
        let follower = Follower::new(options);
        let thread =
            std::thread::Builder::new().name("kos-alerts".into()).spawn(move || follower.run(&is_stopped))?;
        Ok(Self { stop, thread })
    }

    /// Looks at what is in the log by now, gives the sinks a moment, and ends. What a sink has not taken by then is counted.
    pub fn finish(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("whoever followed the log broke");
        }
    }
}

/// Sends one alert to one destination and waits for it.
///
/// # Errors
/// Why it did not arrive, in one line.
pub fn try_once(
    home: &Home,
    config: &HostConfig,
    destination: &Destination,
    terminal: Terminal,
    raised: &Raised,
) -> Result<(), String> {
    Context::new(home, config, terminal).open(destination)(raised, 0)
}
