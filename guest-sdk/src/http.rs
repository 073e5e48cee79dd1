//! HTTPS requests that the host makes, with secrets that it puts in.
//!
//! ```no_run
//! use kos_sdk::http::Request;
//!
//! let response = Request::get("https://api.example.org/v1/forecast/oslo")
//!     .header("accept", "application/json")
//!     .secret_header("authorization", "Bearer ", "api_key/weather")
//!     .send()?;
//! println!("{}: {}", response.status, String::from_utf8_lossy(&response.body));
//! # Ok::<(), kos_sdk::http::Error>(())
//! ```
//!
//! A request needs `http.request` in the scope `HOST:PORT/METHOD`, and each secret in it `vault.send` in the scope
//! `HOST:PORT/TYPE/NAME`. The agent never has the secret: it names where it goes, and what a server says back of it is
//! overwritten with `*`. A secret that is sent has at least 8 bytes, and a request with one takes no `range`.
//!
//! Only `https` with TLS 1.3 is spoken, redirects are answers like others, and a name that resolves to a private address is
//! refused.
//!
//! For an agent that wants more, such as streams, `wasi:http` itself is there: in a header value, `{{vault:TYPE/NAME}}` stands
//! for a secret.

use std::fmt;
use std::io::{self, Read, Write as _};

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};

/// The largest body that [`Request::send`] reads. A larger one is read from [`Request::open`].
pub const BODY_BYTES: usize = 4 << 20;

/// Why there is no response, or not the whole of it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No grant in force covers the request, or a secret in it; or there is no such secret.
    Denied,
    /// The request is malformed; the text names what is. The same request fails again.
    Invalid(&'static str),
    /// The secret cannot be sent: it is too short or no header value, or the request has too many.
    Secret,
    /// More requests are under way than the host allows, or secrets are accessed more often.
    Limited,
    /// The host could not do it now, and nothing was sent: it is locked, or believes no server. A later request may succeed.
    Unavailable,
    /// The server was not reached or not believed, or does not speak as it should; the text is the host's word for it.
    Failed(String),
    /// The body broke off: the connection did, or the grant has ended.
    Interrupted,
    /// The body is larger than [`BODY_BYTES`].
    TooLarge,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => formatter.write_str(
                "denied: no grant in force covers this request or a secret in it (`http.request` for HOST:PORT/METHOD, \
                 `vault.send` for HOST:PORT/TYPE/NAME)",
            ),
            Self::Invalid(what) => write!(formatter, "invalid request: {what}"),
            Self::Secret => formatter.write_str("the secret cannot be sent in a header"),
            Self::Limited => formatter.write_str("limited: more requests at once than the host allows"),
            Self::Unavailable => formatter.write_str("unavailable: the host cannot do this now; try again later"),
            Self::Failed(cause) => write!(formatter, "the request failed: {cause}"),
            Self::Interrupted => formatter.write_str("the body broke off"),
            Self::TooLarge => write!(formatter, "the body has more than {BODY_BYTES} bytes"),
        }
    }
}

impl std::error::Error for Error {}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::HttpRequestDenied => Self::Denied,
            ErrorCode::ConfigurationError => Self::Secret,
            ErrorCode::ConnectionLimitReached => Self::Limited,
            ErrorCode::InternalError(None) => Self::Unavailable,
            ErrorCode::HttpRequestUriInvalid => Self::Invalid("url"),
            ErrorCode::HttpRequestMethodInvalid => Self::Invalid("method"),
            ErrorCode::HttpProtocolError => Self::Failed("protocol error".into()),
            other => Self::Failed(format!("{other:?}")),
        }
    }
}

/// A request that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// A request with this method for `https://HOST[:PORT][/PATH]`.
    #[must_use]
    pub fn new(method: &str, url: &str) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A request for what is there.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// A request that brings something.
    #[must_use]
    pub fn post(url: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", url).body(body)
    }

    /// The same request, with a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// The same request, with a header field whose value is `prefix` and then the secret `TYPE/NAME`, which the host puts in.
    #[must_use]
    pub fn secret_header(self, name: &str, prefix: &str, secret: &str) -> Self {
        self.header(name, format!("{prefix}{{{{vault:{secret}}}}}"))
    }

    /// The same request, with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Makes the request and reads the whole response.
    ///
    /// # Errors
    /// [`Error`].
    pub fn send(self) -> Result<Response, Error> {
        let mut opened = self.open()?;
        let mut body = Vec::new();
        // A byte more, to tell a body that is larger from one that just fits.
        let read = opened.by_ref().take(BODY_BYTES as u64 + 1).read_to_end(&mut body);
        read.map_err(|_| Error::Interrupted)?;
        if body.len() > BODY_BYTES {
            return Err(Error::TooLarge);
        }
        Ok(Response { status: opened.status, headers: opened.headers, body })
    }

    /// Makes the request and returns with the head of the response; its body is read from what is returned.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(self) -> Result<Opened, Error> {
        let request = self.head()?;
        let body = request.body().map_err(|()| Error::Invalid("content-length"))?;
        let pending = outgoing_handler::handle(request, None)?;
        if let Err(broken) = write_body(body, &self.body) {
            // Why the host takes no more of it, its answer says, if there is one.
            pending.subscribe().block();
            return match pending.get() {
                Some(Ok(Err(code))) => Err(code.into()),
                Some(Ok(Ok(_)) | Err(())) | None => Err(broken),
            };
        }
        pending.subscribe().block();
        match pending.get() {
            Some(Ok(response)) => Opened::new(&response?),
            Some(Err(())) | None => Err(Error::Interrupted),
        }
    }

    fn head(&self) -> Result<OutgoingRequest, Error> {
        let (scheme, rest) = self.url.split_once("://").ok_or(Error::Invalid("url"))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let scheme = match scheme {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            other => Scheme::Other(other.into()),
        };
        let path = path.split('#').next().unwrap_or_default();
        let fields = Fields::from_list(&self.headers()).map_err(|_| Error::Invalid("header"))?;
        let request = OutgoingRequest::new(fields);
        request.set_method(&method(&self.method)).map_err(|()| Error::Invalid("method"))?;
        request.set_scheme(Some(&scheme)).map_err(|()| Error::Invalid("url"))?;
        request.set_authority(Some(authority)).map_err(|()| Error::Invalid("url"))?;
        request.set_path_with_query(Some(path)).map_err(|()| Error::Invalid("url"))?;
        Ok(request)
    }

    /// The header fields, with the length of the body where there may be one.
    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut headers = self.headers.clone();
        let has_length = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if !has_length && (!self.body.is_empty() || matches!(&*self.method, "POST" | "PUT" | "PATCH")) {
            headers.push(("content-length".into(), self.body.len().to_string().into_bytes()));
        }
        headers
    }
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.into()),
    }
}

fn write_body(body: OutgoingBody, bytes: &[u8]) -> Result<(), Error> {
    let mut stream = body.write().map_err(|()| Error::Interrupted)?;
    stream.write_all(bytes).map_err(|_| Error::Interrupted)?;
    drop(stream);
    Ok(OutgoingBody::finish(body, None)?)
}

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The header fields, their names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first header field of this name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

/// A response whose body is still on its way, and is read from it.
#[derive(Debug)]
pub struct Opened {
    /// The status, such as 200.
    pub status: u16,
    /// The header fields, their names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    // Before the body that it is of.
    stream: wasip2::io::streams::InputStream,
    _body: IncomingBody,
}

impl Opened {
    fn new(response: &IncomingResponse) -> Result<Self, Error> {
        let body = response.consume().map_err(|()| Error::Interrupted)?;
        let stream = body.stream().map_err(|()| Error::Interrupted)?;
        Ok(Self { status: response.status(), headers: response.headers().entries(), stream, _body: body })
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut self.stream, buffer)
    }
}
