//! How long each part of a request may take, whatever the guest asks for.

use std::time::Duration;

use wasmtime_wasi_http::RequestOptions;

/// Finding the address, connecting, and the TLS handshake together: three round trips around the world, each lost twice.
const CONNECT: Duration = Duration::from_secs(10);

/// Silence before the response, or within it: as long as common servers wait for their clients.
const SILENCE: Duration = Duration::from_secs(60);

/// The times of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// Until there is a connection.
    pub(super) connect: Duration,
    /// From then until the head of the response.
    pub(super) first_byte: Duration,
    /// Between two parts of its body.
    pub(super) between_bytes: Duration,
}

impl Times {
    /// What the guest asks for, and no longer than the host waits.
    pub(super) fn within(options: &RequestOptions) -> Self {
        let at_most = |asked: Option<Duration>, most: Duration| asked.map_or(most, |asked| asked.min(most));
        Self {
            connect: at_most(options.connect_timeout, CONNECT),
            first_byte: at_most(options.first_byte_timeout, SILENCE),
            between_bytes: at_most(options.between_bytes_timeout, SILENCE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_waits_shorter_but_never_longer_than_the_host() {
        let asked = |seconds| Some(Duration::from_secs(seconds));
        let options = RequestOptions {
            connect_timeout: asked(600),
            first_byte_timeout: asked(1),
            between_bytes_timeout: None,
        };
        let times = Times::within(&options);
        assert_eq!(
            times,
            Times { connect: CONNECT, first_byte: Duration::from_secs(1), between_bytes: SILENCE }
        );
    }
}
