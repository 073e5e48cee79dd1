//! `wasi:sockets/tcp` whose connections close when the grants under which they were made change: wasmtime-wasi asks for a
//! permission when it connects, and never again.
//!
//! In scope: the streams of a connection. Out of scope: whether it may be made, which is the parent's.
//!
//! Keeps I4: a connection is of no more use once what was reached on its port when it was made is reached no longer.

use std::sync::Arc;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{
    IpAddressFamily, IpSocketAddress, Network as NetworkHandle,
};
use wasmtime_wasi::p2::bindings::sockets::tcp::{self, HostTcpSocket, ShutdownType, TcpSocket};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, SocketResult};

use super::Network;
use super::sockets::Sockets;
use crate::agent::Powers;
use crate::stream::{Gated, StillGranted};

type Socket = Resource<TcpSocket>;
type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl Sockets<'_> {
    fn gated(
        &mut self,
        socket: u32,
        input: Resource<DynInputStream>,
        output: Resource<DynOutputStream>,
    ) -> SocketResult<Streams> {
        let port = match HostTcpSocket::remote_address(&mut self.inner, Socket::new_borrow(socket))? {
            IpSocketAddress::Ipv4(address) => address.port,
            IpSocketAddress::Ipv6(address) => address.port,
        };
        let still_granted = still_granted(&self.network, &self.powers, port);
        let table = &mut *self.inner.table;
        let input: DynInputStream = Box::new(Gated::new(table.delete(input)?, Arc::clone(&still_granted)));
        let output: DynOutputStream = Box::new(Gated::new(table.delete(output)?, still_granted));
        Ok((table.push(input)?, table.push(output)?))
    }
}

/// Whether all that is reached now on this port is reached later. Which of several names with one port a connection was
/// made to is not known: it takes a lookup, whose answer may be another by then.
pub(crate) fn still_granted(network: &Network, powers: &Arc<Powers>, port: u16) -> StillGranted {
    let (network, powers) = (network.clone(), Arc::clone(powers));
    let reached = move || {
        let (access, mut hosts) = network.now(&powers.gate);
        hosts.retain(|host| host.port() == port);
        hosts.sort_unstable();
        (access, hosts)
    };
    let at_first = reached();
    Arc::new(move || reached() == at_first)
}

impl tcp::Host for Sockets<'_> {}

impl HostTcpSocket for Sockets<'_> {
    async fn start_bind(
        &mut self,
        socket: Socket,
        network: Resource<NetworkHandle>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        HostTcpSocket::start_bind(&mut self.inner, socket, network, address).await
    }

    fn finish_bind(&mut self, socket: Socket) -> SocketResult<()> {
        HostTcpSocket::finish_bind(&mut self.inner, socket)
    }

    fn start_connect(
        &mut self,
        socket: Socket,
        network: Resource<NetworkHandle>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        HostTcpSocket::start_connect(&mut self.inner, socket, network, address)
    }

    fn finish_connect(&mut self, socket: Socket) -> SocketResult<Streams> {
        let handle = socket.rep();
        let (input, output) = HostTcpSocket::finish_connect(&mut self.inner, socket)?;
        self.gated(handle, input, output)
    }

    async fn start_listen(&mut self, socket: Socket) -> SocketResult<()> {
        HostTcpSocket::start_listen(&mut self.inner, socket).await
    }

    fn finish_listen(&mut self, socket: Socket) -> SocketResult<()> {
        HostTcpSocket::finish_listen(&mut self.inner, socket)
    }

    fn accept(
        &mut self,
        socket: Socket,
    ) -> SocketResult<(Socket, Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let (accepted, input, output) = HostTcpSocket::accept(&mut self.inner, socket)?;
        let (input, output) = self.gated(accepted.rep(), input, output)?;
        Ok((accepted, input, output))
    }

    fn local_address(&mut self, socket: Socket) -> SocketResult<IpSocketAddress> {
        HostTcpSocket::local_address(&mut self.inner, socket)
    }

    fn remote_address(&mut self, socket: Socket) -> SocketResult<IpSocketAddress> {
        HostTcpSocket::remote_address(&mut self.inner, socket)
    }

    fn is_listening(&mut self, socket: Socket) -> wasmtime::Result<bool> {
        HostTcpSocket::is_listening(&mut self.inner, socket)
    }

    fn address_family(&mut self, socket: Socket) -> wasmtime::Result<IpAddressFamily> {
        HostTcpSocket::address_family(&mut self.inner, socket)
    }

    fn set_listen_backlog_size(&mut self, socket: Socket, value: u64) -> SocketResult<()> {
        HostTcpSocket::set_listen_backlog_size(&mut self.inner, socket, value)
    }

    fn keep_alive_enabled(&mut self, socket: Socket) -> SocketResult<bool> {
        HostTcpSocket::keep_alive_enabled(&mut self.inner, socket)
    }

    fn set_keep_alive_enabled(&mut self, socket: Socket, value: bool) -> SocketResult<()> {
        HostTcpSocket::set_keep_alive_enabled(&mut self.inner, socket, value)
    }

    fn keep_alive_idle_time(&mut self, socket: Socket) -> SocketResult<u64> {
        HostTcpSocket::keep_alive_idle_time(&mut self.inner, socket)
    }

    fn set_keep_alive_idle_time(&mut self, socket: Socket, value: u64) -> SocketResult<()> {
        HostTcpSocket::set_keep_alive_idle_time(&mut self.inner, socket, value)
    }

    fn keep_alive_interval(&mut self, socket: Socket) -> SocketResult<u64> {
        HostTcpSocket::keep_alive_interval(&mut self.inner, socket)
    }

    fn set_keep_alive_interval(&mut self, socket: Socket, value: u64) -> SocketResult<()> {
        HostTcpSocket::set_keep_alive_interval(&mut self.inner, socket, value)
    }

    fn keep_alive_count(&mut self, socket: Socket) -> SocketResult<u32> {
        HostTcpSocket::keep_alive_count(&mut self.inner, socket)
    }

    fn set_keep_alive_count(&mut self, socket: Socket, value: u32) -> SocketResult<()> {
        HostTcpSocket::set_keep_alive_count(&mut self.inner, socket, value)
    }

    fn hop_limit(&mut self, socket: Socket) -> SocketResult<u8> {
        HostTcpSocket::hop_limit(&mut self.inner, socket)
    }

    fn set_hop_limit(&mut self, socket: Socket, value: u8) -> SocketResult<()> {
        HostTcpSocket::set_hop_limit(&mut self.inner, socket, value)
    }

    fn receive_buffer_size(&mut self, socket: Socket) -> SocketResult<u64> {
        HostTcpSocket::receive_buffer_size(&mut self.inner, socket)
    }

    fn set_receive_buffer_size(&mut self, socket: Socket, value: u64) -> SocketResult<()> {
        HostTcpSocket::set_receive_buffer_size(&mut self.inner, socket, value)
    }

    fn send_buffer_size(&mut self, socket: Socket) -> SocketResult<u64> {
        HostTcpSocket::send_buffer_size(&mut self.inner, socket)
    }

    fn set_send_buffer_size(&mut self, socket: Socket, value: u64) -> SocketResult<()> {
        HostTcpSocket::set_send_buffer_size(&mut self.inner, socket, value)
    }

    fn subscribe(&mut self, socket: Socket) -> wasmtime::Result<Resource<DynPollable>> {
        HostTcpSocket::subscribe(&mut self.inner, socket)
    }

    fn shutdown(&mut self, socket: Socket, value: ShutdownType) -> SocketResult<()> {
        HostTcpSocket::shutdown(&mut self.inner, socket, value)
    }

    fn drop(&mut self, socket: Socket) -> wasmtime::Result<()> {
        HostTcpSocket::drop(&mut self.inner, socket)
    }
}
