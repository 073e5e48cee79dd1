//! Where a server may be, and how it is believed: TLS 1.3 (RFC 8446) alone, but for one on this machine.
//!
//! In scope: addresses and certificates. Out of scope: what the host shows (`credentials`).

use std::fmt;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use async_nats::ServerAddr;
use rustls::ClientConfig;

use crate::http::{TlsError, trusting};

/// Why messages do not go by a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Not the address of a server.
    #[error(
        "`{text}` is no message server: write nats://HOST[:PORT] for one on this machine, or tls://HOST[:PORT]"
    )]
    Address {
        /// What was given.
        text: String,
    },
    /// Credentials in the address, which everybody on the machine reads.
    #[error(
        "the address holds a user or a password: put them into the vault, and name the secret (--nats-secret)"
    )]
    Credentials,
    /// In clear, to another machine.
    #[error("{host} is not on this machine, and nats:// is in clear: write tls://{host}")]
    InClear {
        /// Where it is.
        host: String,
    },
    /// The name stands for no address.
    #[error("{host} cannot be found: {cause}")]
    Unknown {
        /// The name.
        host: String,
        /// The system's answer.
        cause: String,
    },
    /// The file of certificates is not there.
    #[error("there is no file of certificates at {}", path.display())]
    NoRoots {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Nobody can be believed.
    #[error("no message server can be believed: {cause}")]
    Roots {
        /// What is wrong with the certificates.
        cause: String,
    },
    /// The operating system, or the library, refuses.
    #[error("messages cannot travel: {cause}")]
    System {
        /// What is wrong.
        cause: String,
    },
}

/// The address of a server.
#[derive(Clone, Debug)]
pub struct Server(ServerAddr);

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let refused = || ServerError::Address { text: crate::text::one_line(text, 256) };
        if !text.starts_with("nats://") && !text.starts_with("tls://") {
            return Err(refused());
        }
        let address: ServerAddr = text.parse().map_err(|_| refused())?;
        if address.has_user_pass() || address.password().is_some() {
            return Err(ServerError::Credentials);
        }
        let url = address.clone().into_inner();
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if address.host().is_empty() || !is_bare { Err(refused()) } else { Ok(Self(address)) }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.0.host(), self.0.port())
    }
}

impl Server {
    pub(super) fn is_tls(&self) -> bool {
        self.0.tls_required()
    }

    /// Where to connect: in clear only to addresses that were looked up now and are this machine's own, so that the name
    /// cannot stand for another one later.
    pub(super) fn addresses(&self) -> Result<Vec<ServerAddr>, ServerError> {
        if self.is_tls() {
            return Ok(vec![self.0.clone()]);
        }
        let host = self.0.host().to_owned();
        let unknown = |cause: String| ServerError::Unknown { host: host.clone(), cause };
        let found: Vec<_> = (self.0.host(), self.0.port())
            .to_socket_addrs()
            .map_err(|error| unknown(error.to_string()))?
            .collect();
        if found.is_empty() {
            return Err(unknown("it has no address".into()));
        }
        if found.iter().any(|address| !address.ip().to_canonical().is_loopback()) {
            return Err(ServerError::InClear { host });
        }
        let parsed = found.iter().map(|address| format!("nats://{address}").parse());
        parsed.collect::<Result<_, _>>().map_err(|error: std::io::Error| unknown(error.to_string()))
    }

    /// How its certificate is judged.
    pub(super) fn tls(&self, roots: Option<&Path>) -> Result<ClientConfig, ServerError> {
        trusting(roots, &[]).map_err(|error| match (error, roots) {
            (TlsError::File(error), Some(path)) if error.is_not_found() => {
                ServerError::NoRoots { path: path.to_owned() }
            }
            (error, _) => ServerError::Roots { cause: error.to_string() },
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_another_machine_is_not_spoken_to_in_clear() {
        for text in
            ["nats://192.0.2.1", "nats://[2001:db8::1]:4222", "nats://0.0.0.0", "nats://[::ffff:192.0.2.1]"]
        {
            let refused = text.parse::<Server>().unwrap().addresses();
            assert!(matches!(refused, Err(ServerError::InClear { .. })), "{text}: {refused:?}");
        }
        for text in ["nats://127.0.0.1:4222", "nats://[::1]", "nats://127.1.2.3", "tls://192.0.2.1"] {
            assert!(text.parse::<Server>().unwrap().addresses().is_ok(), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        for text in ["", "localhost", "http://a", "ws://a", "nats://", "nats://a/b", "tls://a?b", "tls://a#b"]
        {
            assert!(matches!(text.parse::<Server>(), Err(ServerError::Address { .. })), "{text}");
        }
        for text in ["nats://me:secret@localhost", "nats://token@localhost", "tls://:secret@a"] {
            assert!(matches!(text.parse::<Server>(), Err(ServerError::Credentials)), "{text}");
        }
    }
}
