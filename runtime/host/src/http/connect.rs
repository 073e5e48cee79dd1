//! A connection to exactly the server that was allowed.
//!
//! In scope: a name is resolved once, each address it stands for is checked, and the connection goes to a checked address.
//! Out of scope: whether the server may be spoken to at all. No proxy is used, whatever the environment says.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use kos_core::audience::{Audience, Host};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::Error;

use super::Place;
use crate::network::is_public;

/// How many of a name's addresses are tried: two of each family.
const ADDRESSES: usize = 4;

/// Connects, and believes the server only with a certificate for the audience's host.
///
/// # Errors
/// As a guest is told them.
pub(super) async fn connect(
    audience: &Audience,
    config: Arc<ClientConfig>,
    place: &Place,
) -> Result<TlsStream<TcpStream>, Error> {
    let stream = reach(&addresses(audience, place).await?).await?;
    stream.set_nodelay(true).map_err(Error::Connect)?;
    let connector = TlsConnector::from(config);
    connector.connect(server_name(audience)?, stream).await.map_err(|error| distrust(&error))
}

/// The addresses that the audience stands for. One that an operator wrote out may be private; one that a name resolves to
/// may not.
async fn addresses(audience: &Audience, place: &Place) -> Result<Vec<SocketAddr>, Error> {
    let name = match audience.host() {
        Host::Address(address) => return Ok(vec![SocketAddr::new(*address, audience.port())]),
        Host::Name(name) => name,
    };
    let named = (name.as_str().to_owned(), audience.port());
    let mut resolved = look_up(Arc::clone(place), move || Ok(named.to_socket_addrs()?.collect())).await?;
    resolved.retain(|address| is_public(address.ip()));
    resolved.truncate(ADDRESSES);
    if resolved.is_empty() { Err(Error::DestinationIpProhibited) } else { Ok(resolved) }
}

/// Has the system find a name's addresses, on a thread that all agents share and that is not free before the system has its
/// answer. So the request keeps its place until then, whether somebody still waits for it or not (I7).
async fn look_up(
    place: Place,
    find: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Vec<SocketAddr>, Error> {
    let looking = tokio::task::spawn_blocking(move || {
        let found = find();
        drop(place);
        found
    });
    let found = looking.await.ok().and_then(Result::ok).filter(|found| !found.is_empty());
    found.ok_or(Error::DnsError { rcode: None, info_code: None })
}

async fn reach(addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
    let mut refused = Error::DestinationNotFound;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = unreached(&error),
        }
    }
    Err(refused)
}

fn unreached(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        _ => Error::DestinationUnavailable,
    }
}

fn server_name(audience: &Audience) -> Result<ServerName<'static>, Error> {
    match audience.host() {
        Host::Address(address) => Ok(ServerName::from(*address)),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid),
    }
}

/// Why the server is not believed.
fn distrust(error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some((*alert).into()), alert_message: None }
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its addresses has failed")]

    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    use super::*;

    fn place(places: &Arc<Semaphore>) -> Place {
        Arc::new(Arc::clone(places).try_acquire_owned().unwrap())
    }

    #[tokio::test]
    async fn a_lookup_that_nobody_waits_for_any_more_keeps_its_place_until_it_ends() {
        let places = Arc::new(Semaphore::new(1));
        let (end, is_over) = mpsc::channel::<()>();
        let looking = look_up(place(&places), move || {
            let _ = is_over.recv();
            Ok(Vec::new())
        });
        assert!(timeout(Duration::ZERO, looking).await.is_err());
        assert_eq!(places.available_permits(), 0);
        end.send(()).unwrap();
        drop(places.acquire().await.unwrap());
    }

    #[tokio::test]
    async fn a_name_does_not_reach_a_private_address_and_an_address_that_is_written_out_does() {
        let place = place(&Arc::new(Semaphore::new(1)));
        let named = addresses(&"localhost:443".parse().unwrap(), &place).await;
        assert!(matches!(named, Err(Error::DestinationIpProhibited)), "{named:?}");
        let written = addresses(&"127.0.0.1:443".parse().unwrap(), &place).await.unwrap();
        assert_eq!(written, ["127.0.0.1:443".parse().unwrap()]);
    }

    #[test]
    fn the_server_is_asked_for_the_name_of_the_url() {
        let name = |text: &str| server_name(&text.parse().unwrap()).unwrap();
        assert_eq!(name("api.example.org:8443"), ServerName::try_from("api.example.org").unwrap());
        assert_eq!(name("[::1]:443"), ServerName::try_from("::1").unwrap());
    }
}
