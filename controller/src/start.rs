//! Puts the controller together: opens what is on disk, starts what serves.
//!
//! The order is the direction of the house: store, registry, certificates, endpoint.

mod kubeconfig;

use crate::{
    api_service,
    auth::{Accounts, Authenticator, Tokens, jwt},
    client_ca, controllers,
    events::Recorder,
    http,
    images::{self, Images},
    join,
    link_server::{self, pod_range::PodRange},
    liveness::Liveness,
    metrics::Metrics,
    page, pki, policy,
    registry::{self, Registry},
    scheduler,
    store::{self, Embedded},
};
use coracle_api::{StatusError, kind};
use coracle_daemon::{Clock, OnExit, Tasks, make_private_dir};
use rand::{SeedableRng as _, rngs::StdRng};
use std::{
    collections::HashSet,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

/// How often it is looked whether the first objects are still there; upstream's period for the Service.
const FIRST_OBJECTS_PERIOD: Duration = Duration::from_secs(10);
/// How often the image store looks whether its disk fills, as the kubelet.
const COLLECT_PERIOD: Duration = Duration::from_secs(300);

/// What a controller is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// HTTPS: API and images.
    pub listen: SocketAddr,
    /// UDP: the link that agents dial.
    pub link_listen: SocketAddr,
    /// HTTP on loopback: the status page.
    pub page_listen: SocketAddr,
    /// Addresses of pods.
    pub pod_range: PodRange,
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
    /// Where the link listens.
    pub link: SocketAddr,
    /// The status page, with its token.
    pub page_url: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    tokens: join::Tokens,
    ca: Vec<u8>,
}

impl Running {
    /// What an agent in this very process joins with: a token for one box, for an hour. One whose node
    /// is there already only needs the form of it; nothing is written for that.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn join_token(
        &self,
        is_node: bool,
    ) -> Result<zeroize::Zeroizing<String>, StatusError> {
        let token = join::generate(&self.ca, &mut StdRng::from_os_rng());
        if !is_node {
            let life = jiff::SignedDuration::from_hours(1);
            self.tokens
                .keep(&token.id, token.secret.as_bytes(), life, 1)
                .await?;
        }
        Ok(token.reveal())
    }

    /// Whether a Node of this name is there.
    #[must_use]
    pub fn has_node(&self, name: &str) -> bool {
        self.tokens.has_node(name)
    }
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
    #[error("cannot listen on {address}; {} Choose another with {flag}", hint(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that changes it.
        flag: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The link cannot be served.
    #[error("cannot serve the link on {address}; choose another address with --link-listen")]
    Link {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: link_server::Error,
    },
    /// The status page cannot be served there.
    #[error(transparent)]
    Page(#[from] page::Error),
    /// A part is gone that this directory once had.
    #[error("the data directory {} has been used before, but {} is missing or empty; nothing was changed: restore it from a backup, or move the directory away to start anew", dir.display(), path.display())]
    Incomplete {
        /// The directory.
        dir: PathBuf,
        /// What is missing.
        path: PathBuf,
    },
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

/// What the likeliest fault is.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address.",
        io::ErrorKind::PermissionDenied => "ports below 1024 want privileges.",
        _ => "is another program using it?",
    }
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
    check_parts(dir)?;
    for path in [dir.clone(), dir.join("store"), dir.join("images")] {
        make_private_dir(&path).map_err(io_error("create", &path))?;
    }
    let store = Arc::new(Embedded::open(&dir.join("store"))?);
    let (listener, api) = listen(config.listen, "--listen").await?;
    let page_listener = page::listen(config.page_listen).await?;
    let page_address = page_listener
        .local_addr()
        .map_err(cannot_listen(config.page_listen, "--page-listen"))?;

    let registry = Registry::open(store, config.clock.clone(), tasks)?;
    if !registry.cache().list(kind::NAMESPACE, None).is_empty() {
        check_keys(dir)?;
    }
    // Before the first object: a store that has any always has these beside it.
    let pki = Arc::new(pki::Pki::open(&dir.join("pki"), config.clock.clone())?);
    let key = pki::account_key(&dir.join("pki"))?;
    write_first_objects(&registry, api, pki.ca_pem()).await?;
    let images = Images::open(&dir.join("images"), config.compiler, vec![api.to_string()])?;
    policy::reconcile(&registry).await?;
    let authenticator = authenticator(dir, key, &registry)?;
    let kubeconfig = kubeconfig::keep(dir, &pki, api, config.clock.now())?;

    let metrics = Metrics::default();
    let liveness = Liveness::new();
    let recorder = Recorder::start(&registry, tasks);
    let known = (&pki, &authenticator);
    start_deciders(&registry, &liveness, &recorder, known, (&metrics, tasks));
    let tokens = join::Tokens::new(registry.clone());
    let parts = link_server::Parts {
        registry: registry.clone(),
        pki: Arc::clone(&pki),
        images: images.clone(),
        liveness,
        recorder,
        tokens: tokens.clone(),
        pod_range: config.pod_range,
    };
    let (link, links) = serve_link(config.link_listen, parts, tasks).await?;
    let state = endpoint_state(&registry, authenticator, (&images, links), metrics, tasks);
    let tls = pki.https(names(api))?;
    tasks.spawn(
        "https",
        OnExit::Shutdown,
        http::serve(tasks.clone(), state, listener, Some(tls)),
    );
    let page_url = serve_page(&registry, page_listener, page_address, tasks);
    let keeping = keep_first_objects(registry.clone(), api, pki.clone(), tasks.clone());
    tasks.spawn("first objects", OnExit::Ignore, keeping);
    let collecting = collect(tasks.clone(), registry, images);
    tasks.spawn("image collection", OnExit::Ignore, collecting);
    Ok(Running {
        api,
        link,
        page_url,
        kubeconfig,
        tokens,
        ca: pki.ca_der()?.to_vec(),
    })
}

/// Who is known: by a line in the data directory, or as a service account.
fn authenticator(dir: &Path, key: jwt::Key, registry: &Registry) -> Result<Authenticator, Error> {
    let accounts = Accounts::new(key, registry.cache().clone(), registry.clock().clone());
    let tokens = Tokens::open(&dir.join("tokens"))?;
    Ok(Authenticator::new(tokens).with_accounts(accounts))
}

/// What every cluster has.
async fn write_first_objects(
    registry: &Registry,
    api: SocketAddr,
    ca_pem: &str,
) -> Result<(), StatusError> {
    registry.bootstrap().await?;
    client_ca::announce(registry, ca_pem).await?;
    api_service::announce(registry, api_service::advertised(api)).await
}

/// Brings back what somebody has deleted of it. Ends with the tasks.
async fn keep_first_objects(registry: Registry, api: SocketAddr, pki: Arc<pki::Pki>, tasks: Tasks) {
    loop {
        tokio::select! {
            () = tasks.stop().cancelled() => return,
            () = tokio::time::sleep(FIRST_OBJECTS_PERIOD) => {}
        }
        if let Err(error) = write_first_objects(&registry, api, pki.ca_pem()).await {
            tracing::warn!(%error, "cannot bring back what every cluster has");
        }
    }
}

/// The CA's key, in the data directory.
const CA_KEY: &str = "pki/ca.key";
/// Its certificate.
const CA_CERTIFICATE: &str = "pki/ca.crt";
/// What signs service accounts' tokens.
const ACCOUNT_KEY: &str = "pki/sa.key";
/// The store's file, in the data directory.
const STORE: &str = "store/store.sqlite";

fn incomplete(dir: &Path, path: PathBuf) -> Error {
    Error::Incomplete {
        dir: dir.to_owned(),
        path,
    }
}

/// A directory with a CA always has a store that is not empty: a flash that lost it must not become a new cluster.
fn check_parts(dir: &Path) -> Result<(), Error> {
    let store = dir.join(STORE);
    let used = fs::metadata(dir.join(CA_KEY)).is_ok();
    if used && fs::metadata(&store).map_or(0, |meta| meta.len()) == 0 {
        return Err(incomplete(dir, store));
    }
    Ok(())
}

/// What a cluster with objects has beside them: a new CA would lock out every box and every kubeconfig, a new key end
/// every token of a service account.
fn check_keys(dir: &Path) -> Result<(), Error> {
    let parts = [CA_KEY, CA_CERTIFICATE, ACCOUNT_KEY].map(|part| dir.join(part));
    let is_missing = |part: &PathBuf| fs::metadata(part).map_or(true, |meta| meta.len() == 0);
    match parts.into_iter().find(is_missing) {
        Some(part) => Err(incomplete(dir, part)),
        None => Ok(()),
    }
}

fn cannot_listen(address: SocketAddr, flag: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Listen {
        address,
        flag,
        source,
    }
}

async fn listen(
    address: SocketAddr,
    flag: &'static str,
) -> Result<(TcpListener, SocketAddr), Error> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(cannot_listen(address, flag))?;
    let bound = listener
        .local_addr()
        .map_err(cannot_listen(address, flag))?;
    Ok((listener, bound))
}

/// Starts the status page; its address with the token.
fn serve_page(
    registry: &Registry,
    listener: TcpListener,
    address: SocketAddr,
    tasks: &Tasks,
) -> String {
    let access = page::Access::new(StdRng::from_os_rng());
    let url = format!(
        "http://{address}/?token={}",
        access.token().unwrap_or_default()
    );
    let serving = page::serve(tasks.clone(), registry.clone(), listener, access);
    tasks.spawn("page", OnExit::Ignore, serving);
    url
}

/// Starts the link, and says in the cluster where it is.
async fn serve_link(
    address: SocketAddr,
    parts: link_server::Parts,
    tasks: &Tasks,
) -> Result<(SocketAddr, link_server::Links), Error> {
    let registry = parts.registry.clone();
    let (link, links) = link_server::start(address, parts, tasks)
        .map_err(|source| Error::Link { address, source })?;
    join::announce(&registry, link).await?;
    Ok((link, links))
}

/// What decides by what the cache shows: the scheduler and the controllers.
fn start_deciders(
    registry: &Registry,
    liveness: &Liveness,
    recorder: &Recorder,
    (pki, authenticator): (&Arc<pki::Pki>, &Authenticator),
    (metrics, tasks): (&Metrics, &Tasks),
) {
    metrics.show_scheduler(scheduler::start(registry, recorder, tasks));
    let inputs = controllers::Inputs {
        registry: registry.clone(),
        events: recorder.clone(),
        liveness: liveness.clone(),
        ca_pem: pki.ca_pem().to_owned(),
        pki: Some(Arc::clone(pki)),
        accounts: authenticator.accounts().cloned(),
    };
    metrics.show_controllers(controllers::start(&inputs, tasks));
}

fn endpoint_state(
    registry: &Registry,
    authenticator: Authenticator,
    (images, links): (&Images, link_server::Links),
    metrics: Metrics,
    tasks: &Tasks,
) -> http::State {
    let images = Some(images.clone());
    let links = http::Links::from(links);
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
        "kubernetes.default.svc.cluster.local",
        api_service::ADDRESS,
        "127.0.0.1",
        "::1",
    ]
    .map(str::to_owned)
    .to_vec();
    let api = api_service::advertised(api);
    if !api.ip().is_unspecified() && !api.ip().is_loopback() {
        names.push(api.ip().to_string());
    }
    names
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
