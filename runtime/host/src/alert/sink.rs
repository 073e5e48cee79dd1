//! Where alerts go: each destination behind a bounded queue, on a thread of its own.
//!
//! Keeps I7: a destination that does not answer costs its own alerts, which are counted, and nothing else.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use kos_core::alert::{Destination, Raised};
use kos_core::home::{Home, HostConfig};
use kos_core::id::Name;

use super::Terminal;
use crate::http::{Tls, post};

/// Alerts that wait for one destination: several minutes of the most that are raised.
const QUEUE: usize = 128;
/// A destination that takes longer for one alert has failed for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How an alert is named in HTTP (CloudEvents HTTP binding, structured mode).
const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

type Send = Box<dyn FnMut(&Raised, u64) -> Result<(), String> + std::marker::Send>;

/// What a destination is opened with.
pub(super) struct Context {
    tls: Arc<Tls>,
    origin: String,
    terminal: Terminal,
}

impl Context {
    pub(super) fn new(home: &Home, config: &HostConfig, terminal: Terminal) -> Self {
        Self { tls: Arc::new(Tls::of(home)), origin: config.origin.clone(), terminal }
    }

    /// What sends an alert there, with how many were lost before it.
    pub(super) fn open(&self, destination: &Destination) -> Send {
        let origin = self.origin.clone();
        match destination.clone() {
            Destination::Terminal => {
                let terminal = Arc::clone(&self.terminal);
                Box::new(move |raised, _| {
                    terminal(raised);
                    Ok(())
                })
            }
            Destination::File { path } => Box::new(move |raised, lost| {
                append(&path, raised.to_cloud_event(&origin, lost).to_string()).map_err(told)
            }),
            Destination::Syslog { path } => Box::new(move |raised, lost| {
                let socket = UnixDatagram::unbound().map_err(told)?;
                socket.set_write_timeout(Some(PATIENCE)).map_err(told)?;
                socket.send_to(raised.to_syslog(&origin, lost).as_bytes(), &path).map(drop).map_err(told)
            }),
            Destination::Webhook { server, target } => {
                let tls = Arc::clone(&self.tls);
                Box::new(move |raised, lost| {
                    let body = raised.to_cloud_event(&origin, lost).to_string().into_bytes();
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let runtime = runtime.map_err(told)?;
                    let sent = runtime.block_on(async {
                        let posted = post(&tls, &server, &target, CONTENT_TYPE, body);
                        tokio::time::timeout(PATIENCE, posted).await
                    });
                    runtime.shutdown_background();
                    match sent.map_err(|_| "it does not answer".to_owned())? {
                        Ok(status) if status.is_success() => Ok(()),
                        Ok(status) => Err(format!("it answers {status}")),
                        Err(error) => Err(format!("{error:?}")),
                    }
                })
            }
        }
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// One line at the end, in one write.
fn append(path: &Path, mut line: String) -> std::io::Result<()> {
    line.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(line.as_bytes())
}

/// A destination and what waits for it.
pub(super) struct Outlet {
    pub(super) name: Name,
    queue: SyncSender<Arc<Raised>>,
    done: Receiver<()>,
    lost: Arc<AtomicU64>,
}

impl Outlet {
    /// # Errors
    /// When there can be no thread.
    pub(super) fn open(name: &Name, mut send: Send) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::sync_channel::<Arc<Raised>>(QUEUE);
        let (ended, done) = mpsc::channel();
        let lost = Arc::new(AtomicU64::new(0));
        let (counter, sink) = (Arc::clone(&lost), name.clone());
        std::thread::Builder::new().name("kos-alert-sink".into()).spawn(move || {
            for raised in waiting {
                let before = counter.load(Ordering::Relaxed);
                match send(&raised, before) {
                    Ok(()) => {}
                    Err(cause) => {
                        tracing::warn!(%sink, cause, "an alert did not arrive");
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            // Whoever waited may have gone.
            let _ = ended.send(());
        })?;
        Ok(Self { name: name.clone(), queue, done, lost })
    }

    /// Hands an alert over, or counts it as lost. Returns at once.
    pub(super) fn offer(&self, raised: &Arc<Raised>) {
        match self.queue.try_send(Arc::clone(raised)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many alerts did not arrive so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until what waits is sent, no longer than until `until`. What has not been by then is left behind.
    pub(super) fn close(self, until: Instant) {
        drop(self.queue);
        if self.done.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
            tracing::warn!(sink = %self.name, "a sink did not take its last alerts");
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::sync::Mutex;

    use kos_core::clock::Timestamp;

    use super::*;

    #[test]
    fn a_destination_that_never_answers_costs_its_own_alerts_and_they_are_counted() {
        let (answer, wait) = mpsc::channel::<()>();
        let (began, has_begun) = mpsc::channel();
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::clone(&delivered);
        let send = move |_: &Raised, lost: u64| {
            let _ = began.send(());
            let _ = wait.recv();
            sent.lock().unwrap().push(lost);
            Ok(())
        };
        let outlet = Outlet::open(&"hung".parse().unwrap(), Box::new(send)).unwrap();
        let raised = Arc::new(Raised::test(Timestamp::from_millis(1)));
        outlet.offer(&raised);
        has_begun.recv().unwrap();
        for _ in 0..QUEUE + 50 {
            outlet.offer(&raised);
        }
        assert_eq!(outlet.lost(), 50);
        drop(answer);
        outlet.close(Instant::now() + Duration::from_secs(60));
        let delivered = delivered.lock().unwrap();
        assert_eq!((delivered.len(), delivered.last()), (QUEUE + 1, Some(&50)));
    }
}
