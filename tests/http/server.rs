//! An HTTPS server of the test's own on the loopback interface, and an authority that vouches for it.

use std::io::{self, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// Who vouches for servers.
pub(super) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Its certificate.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// A server's configuration, for `127.0.0.1` and `localhost`.
    fn server(&self) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.unwrap())
    }
}

/// A server, for as long as the test's process lasts.
pub(super) struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// A server that answers each request as `answer` does: by writing a whole response, in as many parts as it flushes.
    pub(super) fn start(
        authority: &Authority,
        answer: impl Fn(&str, &mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let config = authority.server();
        Self::listen(
            move |stream| {
                let mut stream =
                    StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
                let request = read_request(&mut stream)?;
                Ok((request, stream))
            },
            move |request, stream: &mut Stream| {
                answer(request, stream)?;
                stream.conn.send_close_notify();
                stream.flush()
            },
        )
    }

    /// A server without TLS 1.3: it answers a hello with one of TLS 1.2, and keeps what is said then.
    pub(super) fn start_old() -> Self {
        Self::listen(
            |mut stream| {
                let mut hello = [0; 1024];
                assert!(stream.read(&mut hello)? > 0);
                stream.write_all(&old_hello())?;
                let mut said = Vec::new();
                stream.read_to_end(&mut said)?;
                let handshake_or_data = |record: &u8| *record == 22 || *record == 23;
                Ok((
                    if said.first().is_some_and(handshake_or_data) {
                        "went on".into()
                    } else {
                        String::new()
                    },
                    stream,
                ))
            },
            |_, _| Ok(()),
        )
    }

    fn listen<S>(
        meet: impl Fn(TcpStream) -> io::Result<(String, S)> + Send + 'static,
        answer: impl Fn(&str, &mut S) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // What a client breaks off is the client's test.
                let Ok((request, mut stream)) = stream.and_then(&meet) else { continue };
                seen.lock().unwrap().push(request.clone());
                let _ = answer(&request, &mut stream);
            }
        });
        Self { port, requests }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn audience(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A URL on it.
    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.audience())
    }

    /// The requests so far, whole.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Head and body of a request.
fn read_request(stream: &mut Stream) -> io::Result<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    request.extend(body);
    Ok(String::from_utf8_lossy(&request).into_owned())
}

/// A whole response with this body, in parts of `part` bytes.
pub(super) fn respond(stream: &mut dyn Write, head: &str, body: &str, part: usize) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len())?;
    stream.flush()?;
    for part in body.as_bytes().chunks(part) {
        stream.write_all(part)?;
        stream.flush()?;
    }
    Ok(())
}

/// A ServerHello of TLS 1.2 (RFC 5246 section 7.4.1.3): one suite, no compression, no extensions.
fn old_hello() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x2f, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 3, 0, length + 4, 2, 0, 0, length];
    record.extend(hello);
    record
}
