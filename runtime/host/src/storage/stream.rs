//! Writing to a file through a stream, within the quota.

use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::{Full, OpenFile};

/// Where a stream writes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    At(u64),
    End,
}

/// A stream of wasmtime-wasi that asks for room before it writes.
pub(super) struct QuotaStream {
    inner: DynOutputStream,
    file: Arc<OpenFile>,
    place: Place,
}

impl QuotaStream {
    pub(super) fn new(inner: DynOutputStream, file: Arc<OpenFile>, place: Place) -> Self {
        Self { inner, file, place }
    }

    fn make_room(&mut self, length: usize) -> StreamResult<()> {
        let length = length as u64;
        let made = match &mut self.place {
            Place::End => self.file.append(length),
            Place::At(position) => {
                let end = position.saturating_add(length);
                *position = end;
                self.file.grow_to(end)
            }
        };
        made.map_err(|Full| StreamError::LastOperationFailed(std::io::Error::from(Errno::NOSPC).into()))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for QuotaStream {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for QuotaStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.make_room(bytes.len())?;
        self.inner.write(bytes)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.make_room(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
