//! What a sandbox may ask of this agent: listen in its pod, connect to services, and to what an annotation allows.

use super::{Error, Network, ServiceRef, Target, policy, policy::Allowed, service_table};
use coracle_link::pod::Pod;
use coracle_runtime::{BoxFuture, BoxedStream, ConnectError, Host};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpStream;

/// For an outgoing connection to be made.
const CONNECT_SECS: u64 = 10;

/// The host of one container.
#[derive(Debug)]
pub(super) struct PodHost {
    network: Network,
    uid: String,
    namespace: String,
    container: String,
    allowed: Allowed,
}

impl PodHost {
    pub(super) fn new(network: Network, pod: &Arc<Pod>, container: &str) -> Self {
        Self {
            network,
            uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
            container: container.to_owned(),
            allowed: Allowed::parse(&pod.annotations),
        }
    }

    async fn open(&self, authority: &str, tls: bool) -> Result<BoxedStream, ConnectError> {
        let default_port = if tls { 443 } else { 80 };
        let (host, port) = policy::split(authority).ok_or(ConnectError::NameNotFound)?;
        let port = port.unwrap_or(default_port);
        if is_own(host) {
            return self
                .network
                .connect(&self.uid, port)
                .await
                .map_err(|error| refused(&error));
        }
        if let Some(name) = service_table::service_name(host, &self.namespace)
            && self.network.table().borrow().has(&name)
        {
            let service = ServiceRef {
                namespace: name.namespace.to_owned(),
                service: name.service.to_owned(),
                port,
            };
            return self
                .network
                .connect_service(&service)
                .await
                .map_err(|error| refused(&error));
        }
        if !self.allowed.allows(host, port) {
            return Err(ConnectError::Denied);
        }
        if tls {
            return Err(ConnectError::Other(
                "https to other hosts is not supported yet".to_owned(),
            ));
        }
        let limit = Duration::from_secs(CONNECT_SECS);
        match tokio::time::timeout(limit, TcpStream::connect((host, port))).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err(ConnectError::Refused)
            }
            Ok(Err(error)) => Err(ConnectError::Other(error.to_string())),
            Err(_elapsed) => Err(ConnectError::TimedOut),
        }
    }
}

/// The pod's own loopback.
fn is_own(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

fn refused(error: &Error) -> ConnectError {
    match error {
        Error::Refused | Error::NotReady => ConnectError::Refused,
        Error::NoRoute => ConnectError::NameNotFound,
        Error::Link(text) => ConnectError::Other(text.clone()),
    }
}

impl Host for PodHost {
    fn tcp_listen(&self, guest_port: u16, local: SocketAddr) {
        self.network
            .listen(&self.uid, &self.container, guest_port, Target::Tcp(local));
    }

    fn tcp_closed(&self, guest_port: u16) {
        self.network
            .unlisten(&self.uid, &self.container, guest_port);
    }

    fn check_connect(&self, address: SocketAddr) -> Option<SocketAddr> {
        if is_own(&address.ip().to_string()) {
            return match self.network.local(&self.uid, address.port()) {
                Ok(Target::Tcp(local)) => Some(local),
                Ok(Target::Http(_)) | Err(_) => None,
            };
        }
        self.allowed
            .allows(&address.ip().to_string(), address.port())
            .then_some(address)
    }

    fn resolve(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, ConnectError>> {
        Box::pin(async move {
            if is_own(&name) {
                return Ok(vec![IpAddr::from([127, 0, 0, 1])]);
            }
            if !self.allowed.resolves(&name) {
                return Err(ConnectError::NameNotFound);
            }
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|error| ConnectError::Other(error.to_string()))?;
            // By address is how sockets are checked later; the name was allowed with its ports.
            Ok(found.map(|address| address.ip()).collect())
        })
    }

    fn connect(
        &self,
        authority: String,
        tls: bool,
    ) -> BoxFuture<'_, Result<BoxedStream, ConnectError>> {
        Box::pin(async move { self.open(&authority, tls).await })
    }
}
