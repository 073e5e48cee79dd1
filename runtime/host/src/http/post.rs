//! One request of the host's own: a body sent to a server that an operator named.
//!
//! It goes the same way as an agent's: one server, its addresses checked, TLS 1.3, no redirect. In scope: sending, and the
//! status. What the server answers is not read.

use std::sync::Arc;

use ::http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use ::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use kos_core::audience::Audience;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::io::TokioIo;

use super::connect::connect;
use super::exchange::host;
use super::tls::Tls;

/// Sends `body` and yields the status of the answer.
///
/// # Errors
/// As a guest is told them.
pub(crate) async fn post(
    tls: &Tls,
    server: &Audience,
    target: &str,
    content_type: &'static str,
    body: Vec<u8>,
) -> Result<StatusCode, Error> {
    let place =
        Arc::new(Semaphore::new(1)).acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)?;
    let config = tls.config().await.map_err(|_| Error::TlsCertificateError)?;
    let stream = connect(server, config, &Arc::new(place)).await?;
    let refused = |_: hyper::Error| Error::ConnectionTerminated;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(refused)?;
    let request = Request::post(target)
        .header(HOST, host(server)?)
        .header(CONTENT_TYPE, HeaderValue::from_static(content_type))
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    // The answer may be there when the connection ends. Its body is dropped unread, which ends the connection too.
    let answered = async move { sender.send_request(request).await.map(|response| response.status()) };
    let (status, _) = tokio::join!(answered, connection);
    status.map_err(refused)
}
