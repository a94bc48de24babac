//! `wasi:sockets/tcp` in the pod's own address space.
//!
//! A guest's address and port are never bound on the host: a bind becomes a loopback socket on a
//! port the kernel chose, and the guest goes on seeing its own. Every outgoing connection asks
//! the agent first. UDP is refused. What is not about addresses is delegated to wasmtime-wasi.

use crate::Host;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::{
    p2::{
        DynInputStream, DynOutputStream, DynPollable, Network, SocketError, SocketResult,
        TcpSocket,
        bindings::sockets::{
            network::{self, ErrorCode, IpAddressFamily, IpSocketAddress},
            tcp::{self, HostTcpSocket, ShutdownType},
        },
    },
    sockets::{SocketAddrUse, WasiSocketsCtxView},
};

/// What a socket of the guest looks like from inside the pod.
#[derive(Debug, Default)]
struct Seen {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    listening: bool,
}

/// The sockets of one instance.
pub(crate) struct PodNet {
    host: Arc<dyn Host>,
    seen: HashMap<u32, Seen>,
}

impl PodNet {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            seen: HashMap::new(),
        }
    }

    fn forget(&mut self, socket: u32) {
        if let Some(Seen {
            local: Some(local),
            listening: true,
            ..
        }) = self.seen.remove(&socket)
        {
            self.host.tcp_closed(local.port());
        }
    }
}

impl Drop for PodNet {
    fn drop(&mut self) {
        let sockets: Vec<u32> = self.seen.keys().copied().collect();
        for socket in sockets {
            self.forget(socket);
        }
    }
}

/// The second line of defence behind [`PodSockets`]: never more than loopback is bound here.
pub(crate) fn check(address: SocketAddr, usage: SocketAddrUse) -> bool {
    let ip = address.ip();
    match usage {
        // The wildcard with port 0 is what the kernel binds for an outgoing connection.
        SocketAddrUse::TcpBind => address.port() == 0 && (ip.is_loopback() || ip.is_unspecified()),
        SocketAddrUse::TcpListen => ip.is_loopback(),
        SocketAddrUse::TcpAccept | SocketAddrUse::TcpConnect => true,
        SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => false,
    }
}

/// Where a bind of the guest goes on the host.
fn loopback(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    }
}

/// Names [`PodSocketsView`] to wasmtime's linker.
pub(crate) struct PodSockets;

impl HasData for PodSockets {
    type Data<'a> = PodSocketsView<'a>;
}

/// A guest's sockets during one host call.
pub(crate) struct PodSocketsView<'a> {
    pub(crate) inner: WasiSocketsCtxView<'a>,
    pub(crate) net: &'a mut PodNet,
}

impl tcp::Host for PodSocketsView<'_> {}

impl network::Host for PodSocketsView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.inner.network_error_code(error)
    }
}

impl network::HostNetwork for PodSocketsView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.inner, network)
    }
}

/// Methods that are not about addresses.
macro_rules! delegate {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        $(fn $name(&mut self, $($arg: $ty),*) -> $ret {
            self.inner.$name($($arg),*)
        })*
    };
}

type Socket = Resource<TcpSocket>;
type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl HostTcpSocket for PodSocketsView<'_> {
    async fn start_bind(
        &mut self,
        socket: Socket,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let mut local = SocketAddr::from(address);
        let id = socket.rep();
        let same = Resource::new_borrow(id);
        self.inner
            .start_bind(socket, network, loopback(local).into())
            .await?;
        if local.port() == 0 {
            local.set_port(SocketAddr::from(self.inner.local_address(same)?).port());
        }
        self.net.seen.entry(id).or_default().local = Some(local);
        Ok(())
    }

    fn start_connect(
        &mut self,
        socket: Socket,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let remote = SocketAddr::from(address);
        let Some(target) = self.net.host.check_connect(remote) else {
            return Err(ErrorCode::AccessDenied.into());
        };
        let id = socket.rep();
        self.inner.start_connect(socket, network, target.into())?;
        self.net.seen.entry(id).or_default().remote = Some(remote);
        Ok(())
    }

    async fn start_listen(&mut self, socket: Socket) -> SocketResult<()> {
        self.inner.start_listen(socket).await
    }

    fn finish_listen(&mut self, socket: Socket) -> SocketResult<()> {
        let id = socket.rep();
        self.inner.finish_listen(socket)?;
        let real = SocketAddr::from(self.inner.local_address(Resource::new_borrow(id))?);
        let seen = self.net.seen.entry(id).or_default();
        seen.listening = true;
        let port = seen.local.get_or_insert(real).port();
        self.net.host.tcp_listen(port, real);
        Ok(())
    }

    fn accept(
        &mut self,
        socket: Socket,
    ) -> SocketResult<(Socket, Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let id = socket.rep();
        let local = self.net.seen.get(&id).and_then(|seen| seen.local);
        loop {
            let (accepted, input, output) = self.inner.accept(Resource::new_borrow(id))?;
            let accepted_id = accepted.rep();
            let peer = self.inner.remote_address(Resource::new_borrow(accepted_id));
            let peer = peer.map(SocketAddr::from).ok().and_then(|peer| {
                self.net
                    .host
                    .check_accept(local.map_or(0, |local| local.port()), peer)
            });
            if let Some(peer) = peer {
                let seen = Seen {
                    local,
                    remote: Some(peer),
                    listening: false,
                };
                self.net.seen.insert(accepted_id, seen);
                return Ok((accepted, input, output));
            }
            // Not from the agent: the connection closes before the guest has seen it.
            self.inner.table.delete(input)?;
            self.inner.table.delete(output)?;
            self.inner.table.delete(accepted)?;
        }
    }

    fn local_address(&mut self, socket: Socket) -> SocketResult<IpSocketAddress> {
        match self.net.seen.get(&socket.rep()).and_then(|seen| seen.local) {
            Some(local) => Ok(local.into()),
            None => self.inner.local_address(socket),
        }
    }

    fn remote_address(&mut self, socket: Socket) -> SocketResult<IpSocketAddress> {
        let real = self
            .inner
            .remote_address(Resource::new_borrow(socket.rep()))?;
        Ok(
            match self
                .net
                .seen
                .get(&socket.rep())
                .and_then(|seen| seen.remote)
            {
                Some(remote) => remote.into(),
                None => real,
            },
        )
    }

    fn drop(&mut self, socket: Socket) -> wasmtime::Result<()> {
        self.net.forget(socket.rep());
        HostTcpSocket::drop(&mut self.inner, socket)
    }

    delegate! {
        finish_bind(socket: Socket) -> SocketResult<()>;
        finish_connect(socket: Socket) -> SocketResult<Streams>;
        is_listening(socket: Socket) -> wasmtime::Result<bool>;
        address_family(socket: Socket) -> wasmtime::Result<IpAddressFamily>;
        set_listen_backlog_size(socket: Socket, value: u64) -> SocketResult<()>;
        keep_alive_enabled(socket: Socket) -> SocketResult<bool>;
        set_keep_alive_enabled(socket: Socket, value: bool) -> SocketResult<()>;
        keep_alive_idle_time(socket: Socket) -> SocketResult<u64>;
        set_keep_alive_idle_time(socket: Socket, value: u64) -> SocketResult<()>;
        keep_alive_interval(socket: Socket) -> SocketResult<u64>;
        set_keep_alive_interval(socket: Socket, value: u64) -> SocketResult<()>;
        keep_alive_count(socket: Socket) -> SocketResult<u32>;
        set_keep_alive_count(socket: Socket, value: u32) -> SocketResult<()>;
        hop_limit(socket: Socket) -> SocketResult<u8>;
        set_hop_limit(socket: Socket, value: u8) -> SocketResult<()>;
        receive_buffer_size(socket: Socket) -> SocketResult<u64>;
        set_receive_buffer_size(socket: Socket, value: u64) -> SocketResult<()>;
        send_buffer_size(socket: Socket) -> SocketResult<u64>;
        set_send_buffer_size(socket: Socket, value: u64) -> SocketResult<()>;
        subscribe(socket: Socket) -> wasmtime::Result<Resource<DynPollable>>;
        shutdown(socket: Socket, how: ShutdownType) -> SocketResult<()>;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_ever_bound() {
        let bind = |address: &str| check(address.parse().unwrap(), SocketAddrUse::TcpBind);
        assert!(bind("127.0.0.1:0") && bind("[::1]:0") && bind("0.0.0.0:0"));
        assert!(!bind("127.0.0.1:80") && !bind("0.0.0.0:80") && !bind("10.0.0.1:0"));
        assert!(!check(
            "0.0.0.0:0".parse().unwrap(),
            SocketAddrUse::TcpListen
        ));
        assert!(!check(
            "1.1.1.1:53".parse().unwrap(),
            SocketAddrUse::UdpSend
        ));
        assert_eq!(
            loopback("[::]:8080".parse().unwrap()),
            "[::1]:0".parse().unwrap()
        );
    }
}
