//! One request and its response.
//!
//! In scope: the order of its steps: judged, secrets put in, connected, sent, answered. No redirect is followed, as it is the
//! agent's next request; no connection is used twice. Keeps I3, I4 and I5.

use std::sync::Arc;

use ::http::header::{CONNECTION, CONTENT_ENCODING, HOST, HeaderName, TRANSFER_ENCODING};
use ::http::uri::{PathAndQuery, Scheme};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use kos_core::audience::Audience;
use kos_core::permission::Grant;
use kos_core::permission::marker::HttpRequest;
use tokio::time::timeout;
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::{RequestBody, ResponseBody, Toll, mask_fields};
use super::budget::Budget;
use super::connect::connect;
use super::mask::Mask;
use super::secret::Templates;
use super::time::Times;
use super::tls::Tls;
use super::watch::Watch;
use super::{HEADER_BYTES, Place, Sent};
use crate::agent::Powers;
use crate::approval::authorize;

/// The port of `https` (RFC 9110 section 4.2.2).
const PORT: u16 = 443;

/// What a request is made with.
pub(super) struct Exchange {
    pub(super) powers: Arc<Powers>,
    pub(super) tls: Arc<Tls>,
    pub(super) budget: Arc<Budget>,
    pub(super) place: Place,
}

impl Exchange {
    /// Makes the request, if the gate allows it now, and returns with the head of its response.
    pub(super) async fn perform(
        self,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<(Response<WasiBody>, Sent), Error> {
        let audience = audience(request.uri())?;
        // A tunnel is no request, and nothing in it could be judged.
        if *request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let scope = format!("{audience}/{}", request.method());
        let powers = Arc::clone(&self.powers);
        let grant = authorize::<HttpRequest>(&powers, &scope).await.map_err(|_| Error::HttpRequestDenied)?;
        self.send(grant, request, &audience, Times::within(&options)).await
    }

    async fn send(
        self,
        grant: Grant<'_, HttpRequest>,
        request: Request<WasiBody>,
        audience: &Audience,
        times: Times,
    ) -> Result<(Response<WasiBody>, Sent), Error> {
        let (mut parts, body) = request.into_parts();
        let templates = Templates::read(&parts.headers)?;
        let watch = Watch::new(Arc::clone(&self.powers), grant.scope(), templates.scopes(audience));
        let mask = templates.fill(&mut parts.headers, &self.powers, audience).await?;
        parts.uri = target(&parts.uri)?;
        parts.headers.insert(HOST, host(audience)?);
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let toll = Toll { watch, budget: Arc::clone(&self.budget) };
        let body = RequestBody { inner: body, toll: toll.clone() };
        let request = Request::from_parts(parts, body);
        let (response, worker) = converse(request, &self.tls, (audience, &self.place), &toll, times).await?;
        let response = checked(response, mask.as_ref())?;
        let body =
            |inner| ResponseBody::new(inner, toll, mask, times.between_bytes, self.place).boxed_unsync();
        let sent: Sent = Box::new(async move {
            worker.await;
            Ok(())
        });
        Ok((response.map(body), sent))
    }
}

type Worker = AbortOnDropJoinHandle<()>;

/// Connects, sends, and waits for the head of the response. The worker keeps the connection going.
async fn converse(
    request: Request<RequestBody>,
    tls: &Tls,
    (audience, place): (&Audience, &Place),
    toll: &Toll,
    times: Times,
) -> Result<(Response<Incoming>, Worker), Error> {
    let config = tls.config().await.map_err(|error| {
        tracing::error!(%error, "no server can be believed, so no request is made");
        Error::InternalError(None)
    })?;
    let stream = timeout(times.connect, connect(audience, config, place)).await;
    let stream = TokioIo::new(stream.map_err(|_| Error::ConnectionTimeout)??);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEADER_BYTES)
        .handshake(stream)
        .await
        .map_err(|error| failed(&error))?;
    let worker = wasmtime_wasi::runtime::spawn(async move {
        // Whoever reads the body hears of what goes wrong.
        drop(connection.await);
    });
    // Connecting took its time, and the grant may have ended.
    toll.watch.check()?;
    let answered = timeout(times.first_byte, sender.send_request(request)).await;
    match answered.map_err(|_| Error::ConnectionReadTimeout)? {
        Ok(response) => Ok((response, worker)),
        // A body that may be sent no further ends the connection; why, the grants know.
        Err(error) => toll.watch.check().and(Err(failed(&error))),
    }
}

/// The response, if the host understands its framing and could find secrets in it; they are overwritten in its fields.
fn checked<B>(mut response: Response<B>, mask: Option<&Mask>) -> Result<Response<B>, Error> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed);
    }
    // First, as the guest is told the names of codings.
    if let Some(mask) = mask {
        mask_fields(response.headers_mut(), mask);
    }
    if let Some(coding) = other_coding(response.headers(), &TRANSFER_ENCODING, "chunked") {
        return Err(Error::HttpResponseTransferCoding(Some(coding)));
    }
    if mask.is_some()
        && let Some(coding) = other_coding(response.headers(), &CONTENT_ENCODING, "identity")
    {
        return Err(Error::HttpResponseContentCoding(Some(coding)));
    }
    Ok(response)
}

/// The coding that the field names, if it names another one than this.
fn other_coding(fields: &HeaderMap, name: &HeaderName, known: &str) -> Option<String> {
    let other =
        fields.get_all(name).iter().find(|value| !value.as_bytes().eq_ignore_ascii_case(known.as_bytes()))?;
    Some(String::from_utf8_lossy(other.as_bytes()).into_owned())
}

/// To whom a request for this URL goes.
fn audience(url: &Uri) -> Result<Audience, Error> {
    if url.scheme() != Some(&Scheme::HTTPS) {
        return Err(Error::HttpProtocolError);
    }
    let authority = url.authority().ok_or(Error::HttpRequestUriInvalid)?;
    Audience::of_authority(authority.as_str(), PORT).map_err(|_| Error::HttpRequestUriInvalid)
}

/// What stands in the request's first line (RFC 9112 section 3.2.1): a path, whatever the guest has made of it.
fn target(url: &Uri) -> Result<Uri, Error> {
    let path = url.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
    if !path.starts_with('/') {
        return Err(Error::HttpRequestUriInvalid);
    }
    Uri::builder().path_and_query(path).build().map_err(|_| Error::HttpRequestUriInvalid)
}

/// The `Host` field (RFC 9110 section 7.2), without the port that goes without saying.
pub(super) fn host(audience: &Audience) -> Result<HeaderValue, Error> {
    let text = if audience.port() == PORT { audience.host().to_string() } else { audience.to_string() };
    HeaderValue::from_str(&text).map_err(|_| Error::HttpRequestUriInvalid)
}

/// What went wrong with a connection, as a guest is told.
pub(super) fn failed(error: &hyper::Error) -> Error {
    if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_closed() || error.is_canceled() {
        Error::ConnectionTerminated
    } else {
        Error::HttpProtocolError
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn no_secret_comes_back_in_the_name_of_a_coding() {
        let mask = Mask::of([&b"s3cret-t0ken"[..]]);
        for name in [TRANSFER_ENCODING, CONTENT_ENCODING] {
            let response = Response::builder().header(&name, "x-s3cret-t0ken").body(()).unwrap();
            let shown = match checked(response, Some(&mask)).unwrap_err() {
                Error::HttpResponseTransferCoding(coding) | Error::HttpResponseContentCoding(coding) => {
                    coding
                }
                other => panic!("{other}"),
            };
            assert_eq!(shown.unwrap(), "x-************", "{name}");
        }
    }

    #[test]
    fn only_a_server_that_is_written_strictly_is_an_audience() {
        let to = |url: &str| audience(&url.parse().unwrap());
        assert_eq!(to("https://a.example/x").unwrap().to_string(), "a.example:443");
        assert_eq!(to("https://[::1]:8443/").unwrap().to_string(), "[::1]:8443");
        assert!(matches!(to("http://a.example/"), Err(Error::HttpProtocolError)));
        for url in [
            "https://u@a.example/",
            "https://u:p@a.example/",
            "https://A.example/",
            "https://a.example:0/",
            "https://127.1/",
        ] {
            assert!(matches!(to(url), Err(Error::HttpRequestUriInvalid)), "{url}");
        }
    }

    #[test]
    fn the_first_line_names_a_path_and_no_server() {
        let line = |url: &str| target(&url.parse().unwrap()).unwrap().to_string();
        assert_eq!(line("https://a.example"), "/");
        assert_eq!(line("https://a.example?x=1"), "/?x=1");
        assert_eq!(line("https://a.example/a?x=1#part"), "/a?x=1");
        assert_eq!(line("https://a.example//b.example/"), "//b.example/");
    }

    #[test]
    fn the_host_field_leaves_the_port_of_https_out() {
        assert_eq!(host(&"a.example:443".parse().unwrap()).unwrap(), "a.example");
        assert_eq!(host(&"[::1]:8443".parse().unwrap()).unwrap(), "[::1]:8443");
    }

    #[test]
    fn codings_that_the_host_does_not_see_through_are_named() {
        let mut fields = HeaderMap::new();
        assert_eq!(other_coding(&fields, &TRANSFER_ENCODING, "chunked"), None);
        fields.append(TRANSFER_ENCODING, HeaderValue::from_static("Chunked"));
        assert_eq!(other_coding(&fields, &TRANSFER_ENCODING, "chunked"), None);
        fields.append(TRANSFER_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(other_coding(&fields, &TRANSFER_ENCODING, "chunked").unwrap(), "gzip");
    }
}
