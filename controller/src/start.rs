//! Puts the controller together: opens what is on disk, starts what serves.
//!
//! The order is the direction of the house: store, registry, certificates, endpoint.

use crate::{
    auth::{Authenticator, Tokens},
    controllers::{self, Controllers},
    events::Recorder,
    http,
    images::{self, Images},
    metrics::Metrics,
    page, pki,
    registry::{self, Registry},
    store::{self, Embedded},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_api::{StatusError, kind};
use coracle_daemon::{Clock, OnExit, Tasks};
use rand::{SeedableRng as _, rngs::StdRng};
use std::{
    collections::HashSet,
    fs, io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

/// How often the image store looks whether its disk fills, as the kubelet.
const COLLECT_PERIOD: Duration = Duration::from_secs(300);

/// What a controller is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// HTTPS: API and images.
    pub listen: SocketAddr,
    /// HTTP on loopback: the status page.
    pub page_listen: SocketAddr,
    /// What compiles modules, in a child process.
    pub compiler: images::Program,
    /// Wall time.
    pub clock: Clock,
}

/// A started controller.
#[derive(Debug)]
pub struct Running {
    /// Where the API listens.
    pub api: SocketAddr,
    /// The status page, with its token.
    pub page_url: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
}

/// Why a controller cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refuses.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// Verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An address is taken, or not ours.
    #[error("cannot listen on {address}; is another program using it? Choose another with {flag}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that changes it.
        flag: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The status page cannot be served there.
    #[error(transparent)]
    Page(#[from] page::Error),
    /// Opening the store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Loading the objects failed.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// Making certificates failed.
    #[error(transparent)]
    Pki(#[from] pki::Error),
    /// Opening the image store failed.
    #[error("cannot open the image store")]
    Images(#[from] images::blobs::Error),
    /// Reading the API tokens failed.
    #[error(transparent)]
    Tokens(#[from] crate::auth::tokens::Error),
    /// The first objects could not be written.
    #[error("cannot write the first objects")]
    Bootstrap(#[from] StatusError),
}

/// Starts a controller; its parts run until `tasks` are asked to stop.
///
/// # Errors
/// One sentence on what is in the way; nothing is left running.
pub async fn start(config: Config, tasks: &Tasks) -> Result<Running, Error> {
    let dir = &config.data_dir;
    let io_error = |what, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { what, path, source }
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io_error("create", dir))?;
    let store = Arc::new(Embedded::open(&dir.join("store"))?);
    let listen = |address, flag| {
        move |source| Error::Listen {
            address,
            flag,
            source,
        }
    };
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(listen(config.listen, "--listen"))?;
    let api = listener
        .local_addr()
        .map_err(listen(config.listen, "--listen"))?;
    let page_listener = page::listen(config.page_listen).await?;
    let page_address = page_listener
        .local_addr()
        .map_err(listen(config.page_listen, "--page-listen"))?;

    let registry = Registry::open(store, config.clock.clone(), tasks)?;
    registry.bootstrap().await?;
    let pki = pki::Pki::open(&dir.join("pki"), config.clock.clone())?;
    let images = Images::open(&dir.join("images"), config.compiler, vec![api.to_string()])?;
    let authenticator = Authenticator::new(Tokens::open(&dir.join("tokens"))?);
    let kubeconfig = dir.join("kubeconfig");
    let text = kubeconfig_of(&pki, api)?;
    pki::write_private(&kubeconfig, text.as_bytes()).map_err(io_error("write", &kubeconfig))?;

    let metrics = Metrics::default();
    metrics.show_controllers(start_controllers(&registry, &pki, tasks));
    let state = endpoint_state(&registry, authenticator, &images, metrics, tasks);
    let tls = pki.https(names(api))?;
    tasks.spawn(
        "https",
        OnExit::Shutdown,
        http::serve(tasks.clone(), state, listener, Some(tls)),
    );
    let access = page::Access::new(StdRng::from_os_rng());
    let page_url = format!(
        "http://{page_address}/?token={}",
        access.token().unwrap_or_default()
    );
    tasks.spawn(
        "page",
        OnExit::Ignore,
        page::serve(tasks.clone(), registry.clone(), page_listener, access),
    );
    tasks.spawn(
        "image collection",
        OnExit::Ignore,
        collect(tasks.clone(), registry, images),
    );
    Ok(Running {
        api,
        page_url,
        kubeconfig,
    })
}

fn start_controllers(registry: &Registry, pki: &pki::Pki, tasks: &Tasks) -> Controllers {
    let inputs = controllers::Inputs {
        registry: registry.clone(),
        events: Recorder::start(registry, tasks),
        ca_pem: pki.ca_pem().to_owned(),
    };
    controllers::start(&inputs, tasks)
}

fn endpoint_state(
    registry: &Registry,
    authenticator: Authenticator,
    images: &Images,
    metrics: Metrics,
    tasks: &Tasks,
) -> http::State {
    let images = Some(images.clone());
    let links = http::Links::default();
    http::State::new(
        registry.clone(),
        authenticator,
        links,
        images,
        metrics,
        tasks.clone(),
    )
}

/// What clients may call the endpoint.
fn names(api: SocketAddr) -> Vec<String> {
    let mut names: Vec<String> = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "127.0.0.1",
        "::1",
    ]
    .map(str::to_owned)
    .to_vec();
    if !api.ip().is_unspecified() && !api.ip().is_loopback() {
        names.push(api.ip().to_string());
    }
    names
}

/// The administrator's kubeconfig: everything in it, no file beside it.
fn kubeconfig_of(
    pki: &pki::Pki,
    api: SocketAddr,
) -> Result<zeroize::Zeroizing<String>, pki::Error> {
    let admin = pki.issue_client("kubernetes-admin", &["system:masters"])?;
    let host = if api.ip().is_unspecified() {
        SocketAddr::new([127, 0, 0, 1].into(), api.port())
    } else {
        api
    };
    let (ca, certificate) = (
        STANDARD.encode(pki.ca_pem()),
        STANDARD.encode(&admin.certificate),
    );
    let key = zeroize::Zeroizing::new(STANDARD.encode(admin.key.as_bytes()));
    Ok(zeroize::Zeroizing::new(format!(
        "apiVersion: v1
kind: Config
current-context: coracle
clusters:
- name: coracle
  cluster:
    server: https://{host}
    certificate-authority-data: {ca}
contexts:
- name: coracle
  context:
    cluster: coracle
    user: kubernetes-admin
users:
- name: kubernetes-admin
  user:
    client-certificate-data: {certificate}
    client-key-data: {}
",
        key.as_str()
    )))
}

/// Collects images while the disk is too full; never one that a pod names.
async fn collect(tasks: Tasks, registry: Registry, images: Images) {
    loop {
        tokio::select! {
            () = tasks.stop().cancelled() => return,
            () = tokio::time::sleep(COLLECT_PERIOD) => {}
        }
        let used = images_of_pods(&registry);
        let now = u64::try_from(registry.clock().now().as_second()).unwrap_or(0);
        let images = images.clone();
        let _stopped = tokio::task::spawn_blocking(move || images.collect(&used, now)).await;
    }
}

fn images_of_pods(registry: &Registry) -> HashSet<String> {
    let mut used = HashSet::new();
    for pod in registry.cache().list(kind::POD, None) {
        let pod = pod.value();
        for list in ["containers", "initContainers"] {
            let containers = pod["spec"][list].as_array().into_iter().flatten();
            used.extend(
                containers.filter_map(|container| container["image"].as_str().map(str::to_owned)),
            );
        }
    }
    used
}
