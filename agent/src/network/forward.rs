//! Node ports: one listener each, every connection to the pod whose turn it is.

use super::{Error, Network};
use coracle_daemon::{OnExit, Tasks};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

/// As many as there are in upstream's range (30000 to 32767), and some.
const NODE_PORTS_MAX: usize = 4096;
/// Connections through node ports at once; a further one waits.
const CONNECTIONS_MAX: usize = 8192;
/// A port that is taken is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps a listener for each node port of the service table, until the agent stops.
pub(crate) async fn run(network: Network, tasks: Tasks, address: IpAddr) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut table = network.table();
    let mut open: BTreeMap<u16, CancellationToken> = BTreeMap::new();
    let stop = tasks.stop().clone();
    loop {
        let mut wanted = table.borrow_and_update().node_ports();
        while wanted.len() > NODE_PORTS_MAX {
            wanted.pop_last();
        }
        open.retain(|port, cancel| {
            let keep = wanted.contains_key(port);
            if !keep {
                cancel.cancel();
            }
            keep
        });
        for (port, service) in wanted {
            open.entry(port).or_insert_with(|| {
                let cancel = stop.child_token();
                let listening = listen(
                    network.clone(),
                    SocketAddr::new(address, port),
                    service,
                    Arc::clone(&connections),
                );
                let done = cancel.clone();
                tasks.spawn("node port", OnExit::Ignore, async move {
                    tokio::select! { () = listening => {}, () = done.cancelled() => {} }
                });
                cancel
            });
        }
        tokio::select! {
            changed = table.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

async fn listen(
    network: Network,
    address: SocketAddr,
    service: String,
    connections: Arc<Semaphore>,
) {
    let mut is_told = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => {
                // Said once: another agent of this machine may have it for good.
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%address, %service, %error, "cannot listen on a node port; trying again");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: others have to end first.
                tracing::debug!(%address, %error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (network, port) = (network.clone(), address.port());
        let tasks = network.tasks().clone();
        tasks.spawn("node port connection", OnExit::Ignore, async move {
            if let Err(error) = Box::pin(forward(&network, stream, port)).await {
                tracing::debug!(port, %error, "a node port connection failed");
            }
            drop(permit);
        });
    }
}

async fn forward(network: &Network, client: TcpStream, node_port: u16) -> Result<(), Error> {
    let _only_latency = client.set_nodelay(true);
    let table = Arc::clone(&network.table().borrow());
    let endpoint = table
        .pick_node_port(node_port, network.node())
        .ok_or(Error::NotReady)?;
    let service = table.service_of(node_port).ok_or(Error::NotReady)?;
    let reached = match network.reach(&service, &endpoint).await {
        // Without the controller there is no way to other nodes; a pod of this one serves as well.
        Err(error) if endpoint.node != network.node() => {
            let own = table.pick_own(node_port, network.node());
            network.reach(&service, &own.ok_or(error)?).await?
        }
        reached => reached?,
    };
    network.serve(reached, Box::new(client)).await;
    Ok(())
}
