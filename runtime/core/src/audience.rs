//! To whom a request goes: `HOST:PORT`, in one canonical form (I2).
//!
//! Source: RFC 3986 section 3.2, RFC 1123, RFC 5952. In scope: the text, and reading the authority of a URL as one. Out of
//! scope: what a name resolves to, and who may send what ([`crate::capability`], [`crate::permission`]).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::line;

/// The longest DNS name.
const NAME_MAX: usize = 253;
/// The longest label of a DNS name.
const LABEL_MAX: usize = 63;

/// The text names no audience.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not HOST:PORT: write a lower-case name, an IPv4 address or an IPv6 address in brackets, and a port, \
     such as `api.example.org:443`"
)]
pub struct AudienceError {
    /// What was given, cut to a displayable length.
    pub text: String,
}

/// A host by its name or address, and a port. Two of them are equal exactly where their texts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    host: Host,
    port: u16,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name in lower case, without a dot at its end.
    Name(String),
    /// An address that was written out.
    Address(IpAddr),
}

impl Audience {
    /// The audience of a URL with this authority, whose port is `default_port` where none is written.
    ///
    /// # Errors
    /// [`AudienceError`], also where the authority names a user.
    pub fn of_authority(authority: &str, default_port: u16) -> Result<Self, AudienceError> {
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        if has_port { authority.parse() } else { format!("{authority}:{default_port}").parse() }
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Audience {
    type Err = AudienceError;

    fn from_str(text: &str) -> Result<Self, AudienceError> {
        let refused = || AudienceError { text: line::shown(text) };
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let number = port.parse().ok().filter(|number: &u16| *number > 0 && number.to_string() == port);
        let host = parse_host(host).ok_or_else(refused)?;
        Ok(Self { host, port: number.ok_or_else(refused)? })
    }
}

fn parse_host(text: &str) -> Option<Host> {
    if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = literal.parse().ok()?;
        return (address.to_string() == literal).then_some(Host::Address(IpAddr::V6(address)));
    }
    let is_label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if text.len() > NAME_MAX || !text.split('.').all(is_label) {
        return None;
    }
    // What ends in a number is an address to resolvers, in forms such as `127.1` and `0x7f.1`.
    let last = text.rsplit('.').next()?;
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        let address: Ipv4Addr = text.parse().ok()?;
        return (address.to_string() == text).then_some(Host::Address(IpAddr::V4(address)));
    }
    Some(Host::Name(text.to_owned()))
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(formatter, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_audience_is_read_back_from_its_text() {
        for text in [
            "api.example.org:443",
            "localhost:1",
            "127.0.0.1:8443",
            "[::1]:443",
            "xn--bcher-kva.example:65535",
        ] {
            assert_eq!(text.parse::<Audience>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_that_is_not_in_the_one_form_is_refused() {
        for text in [
            "",
            ":443",
            "a",
            "a:",
            "a:0",
            "a:00443",
            "a:443 ",
            "a:65536",
            "a:+1",
            "A.example:443",
            "a..b:443",
            "a.:443",
            ".a:443",
            "-a:443",
            "user@a:443",
            "a:b@c:443",
            "a/b:443",
            "127.1:443",
            "127.0.0.01:443",
            "0x7f000001:443",
            "2130706433:443",
            "a.0x1:443",
            "::1:443",
            "[::1:443",
            "[0::1]:443",
            "[::1%eth0]:443",
            "[127.0.0.1]:443",
            "a_b:443",
            "*:443",
            "é:443",
        ] {
            assert!(text.parse::<Audience>().is_err(), "{text}");
        }
        assert!(format!("{}:443", "a".repeat(64)).parse::<Audience>().is_err());
        assert!(format!("{}a:443", "a.".repeat(127)).parse::<Audience>().is_err());
    }

    #[test]
    fn an_authority_without_a_port_has_the_one_of_its_scheme() {
        for (authority, audience) in [
            ("api.example.org", "api.example.org:443"),
            ("api.example.org:8443", "api.example.org:8443"),
            ("127.0.0.1", "127.0.0.1:443"),
            ("[::1]", "[::1]:443"),
            ("[::1]:8443", "[::1]:8443"),
        ] {
            assert_eq!(Audience::of_authority(authority, 443).unwrap().to_string(), audience);
        }
        for authority in ["", "a:", "user@a", "user:word@a", "a:443:443", "API.example.org", "::1"] {
            assert!(Audience::of_authority(authority, 443).is_err(), "{authority}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(text in "[a-z0-9.:\\[\\]-]{1,20}") {
            if let Ok(audience) = text.parse::<Audience>() {
                prop_assert_eq!(audience.to_string(), text);
            }
        }
    }
}
