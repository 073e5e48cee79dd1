//! Streams that close with the power behind them.
//!
//! A stream is asked for once and used for as long as the run lasts; the grant that opened it may end before. In scope: asking at
//! each use. Out of scope: what the stream does (`storage`, `network`).
//!
//! Keeps I4: what is open closes at the next use after the grant has ended.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

/// Whether a stream may still be used.
pub(crate) type StillGranted = Arc<dyn Fn() -> bool + Send + Sync>;

/// A stream that is closed once its power is gone.
pub(crate) struct Gated<S> {
    inner: S,
    still_granted: StillGranted,
}

impl<S> Gated<S> {
    pub(crate) fn new(inner: S, still_granted: StillGranted) -> Self {
        Self { inner, still_granted }
    }

    fn open(&mut self) -> StreamResult<&mut S> {
        if (self.still_granted)() { Ok(&mut self.inner) } else { Err(StreamError::Closed) }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Gated<DynInputStream> {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Gated<DynInputStream> {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.open()?.read(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        let read = self.open()?.blocking_read(size).await;
        // What came while the grant ended is not given out any more.
        self.open()?;
        read
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Gated<DynOutputStream> {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Gated<DynOutputStream> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.open()?.write(bytes)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.open()?.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.open()?.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.open()?.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::sync::atomic::{AtomicBool, Ordering};

    use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};

    use super::*;

    #[tokio::test]
    async fn an_open_stream_closes_when_its_power_is_gone() {
        let granted = Arc::new(AtomicBool::new(true));
        let still_granted: StillGranted = {
            let granted = Arc::clone(&granted);
            Arc::new(move || granted.load(Ordering::Relaxed))
        };
        let input: DynInputStream = Box::new(MemoryInputPipe::new("twice"));
        let output: DynOutputStream = Box::new(MemoryOutputPipe::new(64));
        let mut input = Gated::new(input, Arc::clone(&still_granted));
        let mut output = Gated::new(output, still_granted);
        assert_eq!(input.read(2).unwrap(), "tw");
        output.write("tw".into()).unwrap();
        granted.store(false, Ordering::Relaxed);
        assert!(matches!(input.read(2), Err(StreamError::Closed)));
        assert!(matches!(input.blocking_read(2).await, Err(StreamError::Closed)));
        assert!(matches!(output.check_write(), Err(StreamError::Closed)));
        assert!(matches!(output.write("ice".into()), Err(StreamError::Closed)));
    }
}
