//! The agent: kubelet, kube-proxy and pod network of one small box, in one process.
//!
//! `link_client` receives what the controller wants, `sync_loop` gives each pod a `pod_worker`, which runs its
//! containers in `runtime`; `status_manager` sends back what `status` computed. Losing the controller stops nothing.

#![warn(missing_docs)]

use checkpoint::Checkpoint;
use coracle_daemon::{Clock, OnExit, Tasks, make_private_dir};
use coracle_runtime::Runtime;
use device_key::DeviceKey;
use events::Events;
use image::Images;
use logs::Logs;
use network::Network;
use status_manager::Statuses;
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use volume::Volumes;

mod checkpoint;
pub mod config;
mod device_key;
mod events;
pub mod flags;
mod image;
pub mod install;
mod link_client;
mod logs;
mod metrics;
mod network;
mod node_status;
mod pod_worker;
mod probe;
mod status;
mod status_manager;
mod sync_loop;
#[cfg(test)]
mod testing;
mod volume;
mod wire;

pub use config::{Config, Join};

/// For the last words to the controller, after the pods have stopped.
const GOODBYE: Duration = Duration::from_secs(2);

/// Containers made at once: a node that boots with a thousand pods shall not need a thousand threads.
const STARTS_MAX: usize = 16;

/// Why an agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory can not be used.
    #[error("cannot use the data directory {path}")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another agent has it.
    #[error("another agent is running on the data directory {0}")]
    Locked(PathBuf),
    /// The device key.
    #[error(transparent)]
    DeviceKey(#[from] device_key::Error),
    /// The sandbox.
    #[error("cannot start the sandbox")]
    Runtime(#[from] coracle_runtime::Error),
    /// The link.
    #[error(transparent)]
    Link(#[from] link_client::Error),
}

/// An error and its causes in one sentence.
#[must_use]
pub fn sentence(error: &Error) -> String {
    events::chain(error)
}

/// What every pod worker uses.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tasks: Tasks,
    /// The pod workers that have not ended.
    pub(crate) workers: TaskTracker,
    /// Containers that are being made.
    pub(crate) starts: Semaphore,
    pub(crate) clock: Clock,
    pub(crate) logs: Logs,
    pub(crate) volumes: Volumes,
    pub(crate) images: Images,
    pub(crate) runtime: Runtime,
    pub(crate) network: Network,
    pub(crate) statuses: Statuses,
    pub(crate) events: Events,
    pub(crate) checkpoint: Checkpoint,
}

/// Runs an agent until `tasks` are asked to stop or it can not go on. The caller shuts the tasks down.
pub async fn run(config: Config, tasks: Tasks) -> Result<(), Error> {
    let data_dir = config.data_dir.clone();
    let unusable = |source| Error::DataDir {
        path: data_dir.clone(),
        source,
    };
    make_private_dir(&config.data_dir).map_err(unusable)?;
    let _lock = lock(&config.data_dir)?;
    raise_file_limit();
    let key = Arc::new(DeviceKey::open_or_create(
        &config.data_dir.join("device.key"),
    )?);
    let runtime = Runtime::new(coracle_runtime::Config {
        pool_instances: config.pool_instances,
        cpu_threads: config.cpu_threads,
    })?;
    let checkpoint =
        Checkpoint::open(config.data_dir.join("pods"), Arc::clone(&key)).map_err(unusable)?;
    let restored = checkpoint.load();
    let (link, client) = link_client::new(&config, Arc::clone(&key), &runtime, &restored)?;
    let clock = config.clock.clone();
    let events = Events::new(clock.clone());
    let images = Images::open(
        image::dir(&config.data_dir),
        key.mac().clone(),
        runtime.clone(),
        link.clone(),
        events.clone(),
    )
    .map_err(unusable)?;
    for known in &restored {
        images.reserve(&known.pod);
    }
    let shared = Arc::new(Shared {
        logs: Logs::new(config.data_dir.join("logs"), clock.clone()),
        volumes: Volumes::new(config.data_dir.join("volumes"), config.host_paths.clone()),
        network: Network::new(config.node_name.clone(), tasks.clone(), link),
        statuses: Statuses::new(),
        checkpoint,
        tasks: tasks.clone(),
        workers: TaskTracker::new(),
        starts: Semaphore::new(STARTS_MAX),
        clock,
        images,
        runtime,
        events,
    });
    tracing::info!(node = %config.node_name, data_dir = %config.data_dir.display(), "agent starts");
    let (updates, receiver) = mpsc::channel(sync_loop::UPDATES_MAX);
    let syncing = Box::pin(sync_loop::run(Arc::clone(&shared), restored, receiver));
    tasks.spawn("sync loop", OnExit::Shutdown, syncing);
    let forwarding = network::forward::run(
        shared.network.clone(),
        tasks.clone(),
        config.node_port_address,
    );
    tasks.spawn("node ports", OnExit::Shutdown, forwarding);
    tasks.spawn(
        "checkpoint",
        OnExit::Shutdown,
        shared.checkpoint.clone().run(tasks.stop().clone()),
    );
    tasks.spawn(
        "image collection",
        OnExit::Ignore,
        collect(Arc::clone(&shared)),
    );
    Box::pin(client.run(shared, updates, GOODBYE)).await?;
    Ok(())
}

async fn collect(shared: Arc<Shared>) {
    let mut period = tokio::time::interval(image::COLLECT_PERIOD);
    loop {
        tokio::select! {
            _ = period.tick() => {
                let images = shared.images.clone();
                let _logged_inside = tokio::task::spawn_blocking(move || images.collect()).await;
            }
            () = shared.tasks.stop().cancelled() => return,
        }
    }
}

/// As many open files as the system allows: each container that writes has a log, each connection a socket.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// One agent a data directory; the lock ends with the process, however it ends.
fn lock(data_dir: &std::path::Path) -> Result<std::fs::File, Error> {
    let path = data_dir.join("lock");
    let unusable = |source| Error::DataDir {
        path: data_dir.to_owned(),
        source,
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Locked(data_dir.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(unusable(source)),
    }
}
