//! Bodies as they stream: each part is judged, counted and, where the request carried a secret, masked before it passes on.
//!
//! Nothing is read before it is asked for, so that a slow agent slows its server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::Place;
use super::budget::Budget;
use super::mask::Mask;
use super::watch::Watch;

/// What each part of a body must pass.
#[derive(Clone)]
pub(super) struct Toll {
    pub(super) watch: Watch,
    pub(super) budget: Arc<Budget>,
}

impl Toll {
    fn pass(&self, frame: &Frame<Bytes>) -> Result<(), Error> {
        self.watch.check()?;
        frame.data_ref().map_or(Ok(()), |data| self.budget.pass(data.len()))
    }
}

/// What an agent sends.
pub(super) struct RequestBody {
    pub(super) inner: WasiBody,
    pub(super) toll: Toll,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Err(error) = self.toll.pass(frame)
        {
            return Poll::Ready(Some(Err(error)));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What a server answers.
pub(super) struct ResponseBody {
    inner: Incoming,
    toll: Toll,
    mask: Option<Mask>,
    silence: Duration,
    timer: Pin<Box<Sleep>>,
    trailers: Option<HeaderMap>,
    is_over: bool,
    /// The request's place among those under way, given back with the body.
    _place: Place,
}

impl ResponseBody {
    /// A body that may be silent for `silence`.
    pub(super) fn new(
        inner: Incoming,
        toll: Toll,
        mask: Option<Mask>,
        silence: Duration,
        place: Place,
    ) -> Self {
        let timer = Box::pin(tokio::time::sleep(silence));
        Self { inner, toll, mask, silence, timer, trailers: None, is_over: false, _place: place }
    }

    /// Ends the body, and what was held back with it.
    fn end(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.is_over = true;
        self.mask = None;
        Poll::Ready(Some(Err(error)))
    }

    /// What passes on of a frame; none where all of it is held back.
    fn masked(&mut self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let Some(mask) = &mut self.mask else { return Some(frame) };
        match frame.into_data() {
            Ok(data) => Some(mask.feed(&data)).filter(|shown| !shown.is_empty()).map(data_frame),
            Err(frame) => {
                let mut trailers = frame.into_trailers().ok()?;
                mask_fields(&mut trailers, mask);
                self.trailers = Some(trailers);
                self.rest()
            }
        }
    }

    /// What is left at the end: what was held back, and then the trailers.
    fn rest(&mut self) -> Option<Frame<Bytes>> {
        let held = self.mask.as_mut().map(Mask::finish).filter(|held| !held.is_empty());
        held.map(data_frame).or_else(|| self.trailers.take().map(Frame::trailers))
    }
}

fn data_frame(data: Vec<u8>) -> Frame<Bytes> {
    Frame::data(data.into())
}

/// Overwrites secrets in the values of these fields.
pub(super) fn mask_fields(fields: &mut HeaderMap, mask: &Mask) {
    for value in fields.values_mut() {
        let shown = mask.whole(value.as_bytes());
        // Stars in the place of what a value may hold are what a value may hold.
        *value = HeaderValue::from_bytes(&shown).unwrap_or_else(|_| HeaderValue::from_static(""));
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if self.is_over {
                return Poll::Ready(self.rest().map(Ok));
            }
            match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let (silence, now) = (self.silence, Instant::now());
                    self.timer.as_mut().reset(now + silence);
                    if let Err(error) = self.toll.pass(&frame) {
                        return self.end(error);
                    }
                    self.is_over = frame.is_trailers();
                    if let Some(frame) = self.masked(frame) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return self.end(super::exchange::failed(&error)),
                Poll::Ready(None) => self.is_over = true,
                Poll::Pending => {
                    return match self.timer.as_mut().poll(context) {
                        Poll::Ready(()) => self.end(Error::ConnectionReadTimeout),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }
}
