//! The pod network of one agent: who listens where in which pod, and how a stream gets there.
//!
//! A guest's address and port are never bound on the host. A stream to a pod of this node stays in this process;
//! any other goes over the link. Decisions are in pure tables (`address`, `service_table`, `policy`).

use crate::link_client::Link;
use coracle_daemon::{OnExit, Tasks};
use coracle_link::{
    pod::Pod,
    route::{Endpoint, ServicePort},
};
use coracle_runtime::{BoxedStream, Sandbox};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{net::TcpStream, sync::watch};

pub(crate) mod address;
pub(crate) mod forward;
mod host;
pub(crate) mod policy;
pub(crate) mod service_table;

use address::{Addresses, Block};
use service_table::ServiceTable;

/// Between the two halves of an in-process connection.
const STREAM_BYTES: usize = 64 * 1024;

/// Why a stream could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("connection refused")]
    Refused,
    #[error("no route to host")]
    NoRoute,
    #[error("no endpoint is ready")]
    NotReady,
    #[error("{0}")]
    Link(String),
}

/// A handle to the network.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: String,
    tasks: Tasks,
    link: Link,
    pods: Mutex<HashMap<String, PodNet>>,
    addresses: Mutex<Addresses>,
    table: watch::Sender<Arc<ServiceTable>>,
}

#[derive(Debug)]
struct PodNet {
    ports: BTreeMap<u16, Listener>,
    sandboxes: BTreeMap<String, Sandbox>,
    namespace: String,
    name: String,
}

/// Who listens on a port of a pod.
#[derive(Debug)]
struct Listener {
    container: String,
    target: Target,
}

/// Where a stream to a local pod ends.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// The agent's server for an HTTP component.
    Http(Sandbox),
    /// A guest's own listener: a loopback socket on a port the kernel chose.
    Tcp(SocketAddr),
}

/// Who has taken a connection.
pub(crate) enum Reached {
    /// The agent's server for an HTTP component, which serves it as it comes.
    Http(Sandbox),
    /// Somebody behind a stream.
    Stream(BoxedStream),
}

impl Network {
    pub(crate) fn new(node: String, tasks: Tasks, link: Link) -> Self {
        let block = Block::parse(address::DEFAULT_CIDR).expect("the constant is a block");
        Self {
            inner: Arc::new(Inner {
                node,
                tasks,
                link,
                pods: Mutex::default(),
                addresses: Mutex::new(Addresses::new(block)),
                table: watch::Sender::new(Arc::default()),
            }),
        }
    }

    /// The name of this node.
    pub(crate) fn node(&self) -> &str {
        &self.inner.node
    }

    /// New pods get addresses of this block.
    pub(crate) fn set_pod_cidr(&self, cidr: &str) {
        match Block::parse(cidr) {
            Some(block) => self.inner.addresses.lock().set_block(block),
            None => tracing::warn!(cidr, "the controller told a pod CIDR that is none"),
        }
    }

    /// Replaces all routes.
    pub(crate) fn set_routes(&self, routes: Vec<ServicePort>) {
        self.inner
            .table
            .send_replace(Arc::new(ServiceTable::new(routes)));
    }

    /// The service table, and its changes.
    pub(crate) fn table(&self) -> watch::Receiver<Arc<ServiceTable>> {
        self.inner.table.subscribe()
    }

    /// Gives the pod its address; `wanted` is the one it had.
    pub(crate) fn add_pod(&self, pod: &Pod, wanted: Option<Ipv4Addr>) -> String {
        let net = PodNet {
            ports: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
        };
        self.inner.pods.lock().insert(pod.uid.clone(), net);
        let address = self.inner.addresses.lock().assign(&pod.uid, wanted);
        address.map_or_else(String::new, |address| address.to_string())
    }

    pub(crate) fn remove_pod(&self, uid: &str) {
        self.inner.pods.lock().remove(uid);
        self.inner.addresses.lock().release(uid);
    }

    /// A container runs; the agent serves `ports` for it.
    pub(crate) fn open(&self, uid: &str, container: &str, ports: &[u16], sandbox: &Sandbox) {
        if let Some(pod) = self.inner.pods.lock().get_mut(uid) {
            pod.sandboxes.insert(container.to_owned(), sandbox.clone());
        }
        for port in ports {
            self.listen(uid, container, *port, Target::Http(sandbox.clone()));
        }
    }

    fn listen(&self, uid: &str, container: &str, port: u16, target: Target) {
        if let Some(pod) = self.inner.pods.lock().get_mut(uid) {
            pod.ports.insert(
                port,
                Listener {
                    container: container.to_owned(),
                    target,
                },
            );
        }
    }

    fn unlisten(&self, uid: &str, container: &str, port: u16) {
        if let Some(pod) = self.inner.pods.lock().get_mut(uid)
            && pod
                .ports
                .get(&port)
                .is_some_and(|listener| listener.container == container)
        {
            pod.ports.remove(&port);
        }
    }

    /// Closes what a container listens on.
    pub(crate) fn close(&self, uid: &str, container: &str) {
        if let Some(pod) = self.inner.pods.lock().get_mut(uid) {
            pod.ports
                .retain(|_, listener| listener.container != container);
            pod.sandboxes.remove(container);
        }
    }

    /// Calls `visit` with (uid, namespace, pod, container, sandbox) of all that run.
    pub(crate) fn sandboxes<T>(
        &self,
        visit: impl Fn(&str, &str, &str, &str, &Sandbox) -> T,
    ) -> Vec<T> {
        let pods = self.inner.pods.lock();
        pods.iter()
            .flat_map(|(uid, pod)| {
                let visit = &visit;
                pod.sandboxes.iter().map(move |(container, sandbox)| {
                    visit(uid, &pod.namespace, &pod.name, container, sandbox)
                })
            })
            .collect()
    }

    /// Who listens on `port` of a pod of this node.
    pub(crate) fn local(&self, uid: &str, port: u16) -> Result<Target, Error> {
        let pods = self.inner.pods.lock();
        let pod = pods.get(uid).ok_or(Error::NoRoute)?;
        pod.ports
            .get(&port)
            .map(|listener| listener.target.clone())
            .ok_or(Error::Refused)
    }

    /// Who takes a connection to `port` of a pod of this node; a guest's own listener has already taken it.
    pub(crate) async fn reach_local(&self, uid: &str, port: u16) -> Result<Reached, Error> {
        match self.local(uid, port)? {
            Target::Http(sandbox) => Ok(Reached::Http(sandbox)),
            Target::Tcp(address) => match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _only_latency = stream.set_nodelay(true);
                    Ok(Reached::Stream(Box::new(stream)))
                }
                Err(error) => {
                    tracing::debug!(uid, port, %error, "a guest's listener refused");
                    Err(Error::Refused)
                }
            },
        }
    }

    /// Joins a client's stream with who has taken it, until one of them or the agent ends.
    pub(crate) async fn serve(&self, reached: Reached, mut client: BoxedStream) {
        let mut server = match reached {
            // Nothing in between: the agent's own server reads the client's stream.
            Reached::Http(sandbox) => return sandbox.serve(client).await,
            Reached::Stream(server) => server,
        };
        let copying = tokio::io::copy_bidirectional(&mut client, &mut server);
        tokio::select! {
            copied = copying => if let Err(error) = copied {
                tracing::debug!(%error, "a connection broke");
            },
            () = self.inner.tasks.stop().cancelled() => {}
        }
    }

    /// A stream to `port` of a pod of this node.
    pub(crate) async fn connect(&self, uid: &str, port: u16) -> Result<BoxedStream, Error> {
        match self.reach_local(uid, port).await? {
            Reached::Http(sandbox) => {
                let (ours, theirs) = tokio::io::duplex(STREAM_BYTES);
                let serving = sandbox.serve(Box::new(theirs));
                self.inner
                    .tasks
                    .spawn("http connection", OnExit::Ignore, serving);
                Ok(Box::new(ours))
            }
            Reached::Stream(stream) => Ok(stream),
        }
    }

    /// Who takes a connection to an endpoint, here or elsewhere.
    pub(crate) async fn reach(
        &self,
        service: &ServiceRef,
        endpoint: &Endpoint,
    ) -> Result<Reached, Error> {
        if endpoint.node == self.inner.node {
            return self
                .reach_local(&endpoint.pod_uid, endpoint.target_port)
                .await;
        }
        let stream = self.inner.link.connect_service(service, endpoint).await;
        stream.map(Reached::Stream)
    }

    /// A stream to a ready pod of a service.
    pub(crate) async fn connect_service(&self, service: &ServiceRef) -> Result<BoxedStream, Error> {
        let table = Arc::clone(&self.inner.table.borrow());
        let name = service_table::ServiceName {
            service: &service.service,
            namespace: &service.namespace,
        };
        let endpoint = table
            .pick(&name, service.port, &self.inner.node)
            .ok_or(Error::NotReady)?;
        if endpoint.node == self.inner.node {
            return self.connect(&endpoint.pod_uid, endpoint.target_port).await;
        }
        self.inner.link.connect_service(service, &endpoint).await
    }

    /// For probes of one pod.
    pub(crate) fn connect_to(&self, uid: &str) -> Connect {
        Connect {
            network: self.clone(),
            uid: uid.to_owned(),
        }
    }

    /// What the sandbox of a container may ask.
    pub(crate) fn host(&self, pod: &Arc<Pod>, container: &str) -> Arc<dyn coracle_runtime::Host> {
        Arc::new(host::PodHost::new(self.clone(), pod, container))
    }

    /// Tasks of connections.
    pub(crate) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceRef {
    pub(crate) namespace: String,
    pub(crate) service: String,
    pub(crate) port: u16,
}

/// Opens streams to one pod.
#[derive(Debug, Clone)]
pub(crate) struct Connect {
    network: Network,
    uid: String,
}

impl Connect {
    /// A stream to a port of the pod.
    pub(crate) async fn open(&self, port: u16) -> Result<BoxedStream, Error> {
        self.network.connect(&self.uid, port).await
    }

    /// Whether somebody listens. For an HTTP container an instance is made, as a request would.
    pub(crate) async fn probe_tcp(&self, port: u16) -> Result<(), Error> {
        match self.network.local(&self.uid, port)? {
            Target::Http(sandbox) => match sandbox.probe().await {
                true => Ok(()),
                false => Err(Error::Refused),
            },
            Target::Tcp(_) => self.open(port).await.map(drop),
        }
    }
}
