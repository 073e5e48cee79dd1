//! What an agent reaches over the network.
//!
//! `none` reaches nothing. `restricted` reaches the listed hosts: names are looked up only if they are listed, and the address of
//! every connection is compared with what the listed names resolve to, so that a name cannot be made to stand for something else.
//! `full` reaches everything.
//!
//! In scope: the check at each use of a socket, and of name lookup. Out of scope: who may reach what (`kos_core::permission`).
//! Keeps I4: the grant is judged again at each use.

mod lookup;
mod sockets;
pub(crate) mod tcp;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use kos_core::permission::{Gate, NetworkHost};
use kos_core::resource::NetworkAccess;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;

use crate::agent::Powers;

pub(crate) use sockets::add_to_linker;

/// What one run may reach.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    access: NetworkAccess,
    hosts: Arc<HashSet<NetworkHost>>,
}

impl Network {
    pub(crate) fn new(access: NetworkAccess, hosts: impl IntoIterator<Item = NetworkHost>) -> Self {
        Self { access, hosts: Arc::new(hosts.into_iter().collect()) }
    }

    /// Opens to the agent what it may reach.
    pub(crate) fn grant(&self, builder: &mut WasiCtxBuilder, powers: &Arc<Powers>) {
        let is_reached = self.access > NetworkAccess::None;
        builder.allow_tcp(is_reached).allow_udp(is_reached).allow_ip_name_lookup(is_reached);
        if !is_reached {
            return;
        }
        let (network, powers) = (self.clone(), Arc::clone(powers));
        builder.socket_addr_check(move |address, usage| {
            let (access, hosts) = network.now(&powers.gate);
            Box::pin(async move {
                match access {
                    NetworkAccess::None => false,
                    NetworkAccess::Full => true,
                    NetworkAccess::Restricted => is_restricted_use_allowed(hosts, address, usage).await,
                }
            })
        });
    }

    /// What the grants say now, and never more than they said at the launch.
    fn now(&self, gate: &Gate) -> (NetworkAccess, Vec<NetworkHost>) {
        let access = self.access.min(gate.resources().network);
        let hosts = self.hosts.iter().filter(|host| gate.reaches(host)).cloned();
        (access, if access == NetworkAccess::Restricted { hosts.collect() } else { Vec::new() })
    }

    /// Whether the agent may look this name up.
    pub(crate) fn may_look_up(&self, name: &str, gate: &Gate) -> bool {
        match self.now(gate) {
            (NetworkAccess::None, _) => false,
            (NetworkAccess::Full, _) => true,
            (NetworkAccess::Restricted, hosts) => hosts.iter().any(|host| host.host() == name),
        }
    }
}

async fn is_restricted_use_allowed(
    hosts: Vec<NetworkHost>,
    address: SocketAddr,
    usage: SocketAddrUse,
) -> bool {
    match usage {
        // Bound by the system before it connects; listening is what would open the agent to others.
        SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
            address.ip().is_unspecified() && address.port() == 0
        }
        SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
        SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
            tokio::task::spawn_blocking(move || hosts.iter().any(|host| reaches(host, address)))
                .await
                .unwrap_or(false)
        }
    }
}

/// Whether `host` stands for `address`, now.
fn reaches(host: &NetworkHost, address: SocketAddr) -> bool {
    if host.port() != address.port() {
        return false;
    }
    match host.host().parse::<IpAddr>() {
        // Written out by the operator, private or not.
        Ok(listed) => listed == address.ip(),
        Err(_) => {
            is_public(address.ip())
                && (host.host(), host.port())
                    .to_socket_addrs()
                    .is_ok_and(|mut resolved| resolved.any(|resolved| resolved.ip() == address.ip()))
        }
    }
}

/// Whether the address is one of the internet at large, which a name may resolve to without an operator having written it out.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation()
                || first == 0
                || first >= 240
                // Shared address space (RFC 6598), protocol assignments (RFC 6890), benchmarking (RFC 2544).
                || (first == 100 && (64..128).contains(&second))
                || (first == 192 && second == 0 && third == 0)
                || (first == 198 && (18..20).contains(&second)))
        }
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public(IpAddr::V4(mapped)),
            // Global unicast is 2000::/3; in it, 2001:db8::/32 is documentation, and 64:ff9b::/96 and 2002::/16 embed IPv4.
            None => {
                let [first, second, ..] = address.segments();
                (0x2000..0x4000).contains(&first)
                    && first != 0x2002
                    && !(first == 0x2001 && matches!(second, 0 | 0xdb8))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its addresses has failed")]

    use super::*;

    #[test]
    fn addresses_that_are_not_of_the_internet_at_large_are_private() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_listed_address_is_reached_on_its_port_only() {
        let host: NetworkHost = "127.0.0.1:8080".parse().unwrap();
        assert!(reaches(&host, "127.0.0.1:8080".parse().unwrap()));
        assert!(!reaches(&host, "127.0.0.1:8081".parse().unwrap()));
        assert!(!reaches(&host, "127.0.0.2:8080".parse().unwrap()));
    }

    #[test]
    fn a_name_does_not_reach_a_private_address_whatever_it_resolves_to() {
        let host: NetworkHost = "localhost:8080".parse().unwrap();
        assert!(!reaches(&host, "127.0.0.1:8080".parse().unwrap()));
    }
}
