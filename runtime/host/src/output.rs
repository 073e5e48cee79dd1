//! Stdout and stderr of an agent.
//!
//! In scope: the size cap, line buffering, cleaning, the `[name] ` prefix, and one writer thread per host, so that a reader
//! who does not read holds up only the agent that writes to it. Out of scope: what may be shown (`text`).
//!
//! Keeps I7: output beyond the cap ends the agent, and what waits to be written is bounded.

mod flow;

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::text;

use flow::Flow;

/// Most bytes that wait for a slow reader; an agent that has them waits too.
const PENDING_BYTES: usize = 64 << 10;

/// Longest line that is held back until its newline comes.
const LINE_BYTES: usize = 8 << 10;

/// How long the end of a run waits for a reader that does not read.
const DRAIN: Duration = Duration::from_secs(2);

/// Where output goes: a shared writer, such as the process's own stdout or a buffer.
#[derive(Clone)]
pub struct Sink(Arc<Mutex<dyn Write + Send>>);

impl Sink {
    /// Output goes to `writer`.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// Output goes to a writer that its owner reads too.
    pub fn shared<W: Write + Send + 'static>(writer: Arc<Mutex<W>>) -> Self {
        Self(writer)
    }

    /// The process's stdout.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(std::io::stdout())
    }

    /// The process's stderr.
    #[must_use]
    pub fn stderr() -> Self {
        Self::new(std::io::stderr())
    }

    /// Output is thrown away.
    #[must_use]
    pub fn discard() -> Self {
        Self::new(std::io::sink())
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn write(&self, text: &[u8]) -> std::io::Result<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(text)?;
        writer.flush()
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sink")
    }
}

/// The thread that writes for all agents of a host.
#[derive(Clone, Debug)]
pub(crate) struct Writer(mpsc::Sender<Arc<Flow>>);

impl Writer {
    /// Starts the thread; it ends when the last `Writer` and the last stream are gone.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (sender, flows) = mpsc::channel::<Arc<Flow>>();
        std::thread::Builder::new().name("kos-output".into()).spawn(move || {
            for flow in flows {
                flow.write_waiting();
            }
        })?;
        Ok(Self(sender))
    }

    /// The two streams of one run, which share a cap of `limit` bytes. Lines carry `prefix` where there is one.
    pub(crate) fn streams(&self, limit: u64, prefix: Option<&str>, stdout: Sink, stderr: Sink) -> Output {
        let flow = Arc::new(Flow::new(limit));
        let stream = |sink| {
            Stream(Arc::new(Mutex::new(Lines {
                held: Vec::new(),
                prefix: prefix.map(|name| format!("[{name}] ")),
                sink,
                writer: self.clone(),
                flow: Arc::clone(&flow),
            })))
        };
        Output { stdout: stream(stdout), stderr: stream(stderr), flow: Arc::clone(&flow) }
    }
}

/// The output of one run.
pub(crate) struct Output {
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    flow: Arc<Flow>,
}

impl Output {
    /// How many bytes the agent wrote.
    pub(crate) fn written(&self) -> u64 {
        self.flow.written()
    }

    /// Writes what is still held back, and waits, but not for ever, until it has reached its reader.
    pub(crate) async fn finish(&self) {
        for stream in [&self.stdout, &self.stderr] {
            stream.lines().release_all();
        }
        let drained = self.flow.wait_until(|pending| pending == 0);
        drop(tokio::time::timeout(DRAIN, drained).await);
    }
}

/// One line buffer and the way to its sink.
#[derive(Debug)]
struct Lines {
    held: Vec<u8>,
    prefix: Option<String>,
    sink: Sink,
    writer: Writer,
    flow: Arc<Flow>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let complete = match self.held.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => newline.saturating_add(1),
            None if self.held.len() >= LINE_BYTES => whole_characters(&self.held),
            None => 0,
        };
        self.release(complete);
    }

    /// Without a prefix a prompt appears as soon as it is flushed; with one, lines of several agents stay whole.
    fn flush(&mut self) {
        if self.prefix.is_none() {
            self.release(whole_characters(&self.held));
        }
    }

    fn release_all(&mut self) {
        self.release(self.held.len());
    }

    fn release(&mut self, length: usize) {
        if length == 0 {
            return;
        }
        let bytes: Vec<u8> = self.held.drain(..length.min(self.held.len())).collect();
        let mut text = text::printable(&bytes);
        if let Some(prefix) = &self.prefix {
            text = text.lines().flat_map(|line| [prefix.as_str(), line, "\n"]).collect();
        }
        if self.flow.leave(&self.sink, text) && self.writer.0.send(Arc::clone(&self.flow)).is_err() {
            self.flow.write_waiting();
        }
    }
}

/// The length of `bytes` without the beginning of a character that is not complete yet.
fn whole_characters(bytes: &[u8]) -> usize {
    let tail = bytes.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.len().saturating_sub(tail),
        _ => bytes.len(),
    }
}

/// Stdout or stderr of one agent, as WASI wants it.
#[derive(Clone, Debug)]
pub(crate) struct Stream(Arc<Mutex<Lines>>);

impl Stream {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    /// Used by WASI 0.3 only, which is off.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {
        let flow = Arc::clone(&self.lines().flow);
        flow.wait_until(|pending| pending < PENDING_BYTES).await;
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut lines = self.lines();
        lines.flow.admit(bytes.len()).map_err(|ended| StreamError::Trap(ended.into()))?;
        lines.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.lines().flush();
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let lines = self.lines();
        if lines.flow.is_broken() {
            return Err(StreamError::Closed);
        }
        Ok(PENDING_BYTES.saturating_sub(lines.flow.pending()))
    }
}

#[cfg(test)]
mod tests;
