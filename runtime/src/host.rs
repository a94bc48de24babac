//! What a sandbox may ask of its agent. Everything outside the guest's own memory, clock and
//! directories goes through this one trait.
//!
//! Only std, tokio I/O traits and bytes in its signatures.

mod files;
mod http_client;
mod sockets;

pub(crate) use files::{OpenFiles, add_to_linker as add_files_to_linker};
pub(crate) use http_client::Hooks;
pub(crate) use sockets::{PodNet, PodSockets, PodSocketsView, check as check_socket};

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
};
use tokio::io::{AsyncRead, AsyncWrite};

/// A boxed future, as trait objects need.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream in both directions.
pub trait IoStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> IoStream for T {}

/// A boxed byte stream.
pub type BoxedStream = Box<dyn IoStream>;

/// Why an outgoing connection was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Policy forbids it.
    #[error("the destination is not allowed")]
    Denied,
    /// Nobody knows the name.
    #[error("the name is unknown")]
    NameNotFound,
    /// Nobody listens there.
    #[error("the connection was refused")]
    Refused,
    /// It took too long.
    #[error("the connection timed out")]
    TimedOut,
    /// Anything else.
    #[error("the connection failed: {0}")]
    Other(String),
}

/// What a sandbox may ask of its agent. Every default refuses.
pub trait Host: Send + Sync + 'static {
    /// The guest listens on `guest_port` of its pod; connections for it go to `local`, a loopback
    /// socket on a port that the kernel chose.
    fn tcp_listen(&self, guest_port: u16, local: SocketAddr);

    /// The guest no longer listens on `guest_port`.
    fn tcp_closed(&self, guest_port: u16);

    /// May this connection, accepted on the loopback socket of `guest_port`, reach the guest?
    /// `source` is its address on this host. `Some` is the address the guest sees as its peer.
    fn check_accept(&self, guest_port: u16, source: SocketAddr) -> Option<SocketAddr> {
        let _ = guest_port;
        Some(source)
    }

    /// May the guest connect to `address`? `Some` is where to really connect.
    fn check_connect(&self, address: SocketAddr) -> Option<SocketAddr> {
        let _ = address;
        None
    }

    /// The addresses of a name, for `wasi:sockets/ip-name-lookup`. Not asked yet: a guest's
    /// lookups are refused.
    fn resolve(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, ConnectError>> {
        let _ = name;
        Box::pin(async { Err(ConnectError::NameNotFound) })
    }

    /// Opens a stream to `authority` (`host:port`) for an outgoing HTTP request. The runtime
    /// speaks HTTP/1.1 over it; when `tls` is set the agent has made it a TLS stream.
    fn connect(
        &self,
        authority: String,
        tls: bool,
    ) -> BoxFuture<'_, Result<BoxedStream, ConnectError>> {
        let _ = (authority, tls);
        Box::pin(async { Err(ConnectError::Denied) })
    }
}
