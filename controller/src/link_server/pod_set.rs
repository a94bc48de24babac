//! What a node is told of a pod: every reference resolved, as the kubelet resolves it.
//!
//! Pure: reads the cache through a [`View`] that remembers what was asked for, so that the session
//! knows what to look at again. A reference that cannot be resolved is a `config_error` of the
//! container, never silence; the pod heals when the object appears.

mod env;
mod expand;
mod field;
mod probe;
mod service_env;
mod volumes;

use crate::{cache::Cache, object::Object};
use coracle_api::{
    Key, KindRef,
    k8s_openapi::{
        api::core::v1::{Container as ApiContainer, Node, Pod as ApiPod, PodSpec},
        apimachinery::pkg::api::resource::Quantity as ApiQuantity,
    },
    kind,
    quantity::Quantity,
};
use coracle_link::pod::{
    Container, Mount, Pod, Port, Protocol, PullPolicy, Resources, RestartPolicy,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Requests that one HTTP instance may serve in its life, where a pod asks for more than one.
const MAX_INVOCATIONS: &str = "coracle.dev/max-invocations";
/// Requests that one HTTP instance may serve at once.
const MAX_CONCURRENCY: &str = "coracle.dev/max-concurrency";
/// Most that either annotation may ask for.
const INSTANCE_REQUESTS_MAX: u32 = 1_000_000;
/// Longest host name, a DNS label.
const HOSTNAME_BYTES_MAX: usize = 63;
/// Upstream's default grace period, seconds.
const GRACE_PERIOD_SECS: i64 = 30;

/// An object that a pod was resolved from.
pub(crate) type Dependency = (&'static str, Key);

/// The cluster as the resolution of one pod sees it.
#[derive(Debug)]
pub(crate) struct View<'a> {
    cache: &'a Cache,
    asked: RefCell<BTreeSet<Dependency>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(cache: &'a Cache) -> Self {
        Self {
            cache,
            asked: RefCell::default(),
        }
    }

    /// An object, noted whether it is there or not.
    fn get(&self, kind: KindRef, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let key = Key::new(namespace, name);
        let found = self.cache.get(kind, &key);
        self.asked.borrow_mut().insert((kind.plural, key));
        found
    }

    fn services(&self) -> Vec<Arc<Object>> {
        self.cache.list(kind::SERVICE, None)
    }

    fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.cache
            .get(kind::NODE, &Key::cluster(name))?
            .typed()
            .ok()
    }

    /// ConfigMaps and Secrets that were asked for.
    fn into_dependencies(self) -> BTreeSet<Dependency> {
        self.asked.into_inner()
    }
}

/// A pod as its node is told it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resolved {
    pub(crate) pod: Pod,
    /// `metadata.generation`, for `status.observedGeneration`.
    pub(crate) generation: i64,
    /// What to resolve it again for.
    pub(crate) dependencies: BTreeSet<Dependency>,
}

/// One pod while it is resolved.
struct Subject<'a> {
    pod: &'a ApiPod,
    spec: &'a PodSpec,
    view: View<'a>,
    namespace: &'a str,
    name: &'a str,
}

/// Resolves a pod object; none when it does not have the shape of a pod.
pub(crate) fn resolve(object: &Object, cache: &Cache) -> Option<Resolved> {
    let api: Arc<ApiPod> = object.typed().ok()?;
    let spec = api.spec.as_ref()?;
    let subject = Subject {
        pod: &api,
        spec,
        view: View::new(cache),
        namespace: &object.key.namespace,
        name: &object.key.name,
    };
    let (volumes, volume_error) = volumes::resolve(&subject);
    let refusal = volume_error.or_else(|| refused(spec).map(str::to_owned));
    let container = |one| container(&subject, one, refusal.as_ref());
    let init = spec.init_containers.iter().flatten();
    let pod = Pod {
        uid: object.uid().to_owned(),
        namespace: object.key.namespace.clone(),
        name: object.key.name.clone(),
        revision: object.revision.0,
        labels: pairs(api.metadata.labels.as_ref()),
        annotations: pairs(api.metadata.annotations.as_ref()),
        restart_policy: match spec.restart_policy.as_deref() {
            Some("OnFailure") => RestartPolicy::OnFailure,
            Some("Never") => RestartPolicy::Never,
            _ => RestartPolicy::Always,
        },
        grace_period_secs: unsigned(
            spec.termination_grace_period_seconds
                .unwrap_or(GRACE_PERIOD_SECS),
        ),
        deletion_grace_secs: object
            .is_deleting()
            .then(|| unsigned(object.meta.deletion_grace_period_seconds.unwrap_or(0))),
        hostname: hostname(spec, &object.key.name),
        active_deadline_secs: spec.active_deadline_seconds.map(unsigned),
        init_containers: init.map(container).collect(),
        containers: spec.containers.iter().map(container).collect(),
        volumes,
        service_account: spec.service_account_name.clone().unwrap_or_default(),
    };
    Some(Resolved {
        pod,
        generation: object.meta.generation.unwrap_or(0),
        dependencies: subject.view.into_dependencies(),
    })
}

/// The names of a pod's pull secrets.
pub(crate) fn pull_secrets(object: &Object) -> Vec<String> {
    let Ok(pod) = object.typed::<ApiPod>() else {
        return Vec::new();
    };
    let spec = pod.spec.as_ref();
    let named = spec.and_then(|spec| spec.image_pull_secrets.as_ref());
    let names = named.into_iter().flatten();
    names.map(|reference| reference.name.clone()).collect()
}

/// What no pod may ask of a node here.
fn refused(spec: &PodSpec) -> Option<&'static str> {
    if spec.host_network == Some(true) {
        return Some("hostNetwork is not available: a guest only ever has its pod's own address");
    }
    if spec.host_pid == Some(true) || spec.host_ipc == Some(true) {
        return Some("hostPID and hostIPC are not available: a guest sees no other process");
    }
    None
}

fn hostname(spec: &PodSpec, name: &str) -> String {
    let name = spec.hostname.as_deref().unwrap_or(name);
    let short: String = name.chars().take(HOSTNAME_BYTES_MAX).collect();
    short.trim_end_matches(['-', '.']).to_owned()
}

fn container(subject: &Subject<'_>, api: &ApiContainer, refusal: Option<&String>) -> Container {
    let mut errors = Errors(refusal.cloned());
    errors.note(unavailable(api));
    let env = errors.take(env::resolve(subject, api)).unwrap_or_default();
    let expanded = |words: &Option<Vec<String>>| -> Vec<String> {
        let words = words.iter().flatten();
        words.map(|word| env.expand(word)).collect()
    };
    // `command` begins with the name of the program, which a module does not choose.
    let mut args: Vec<String> = expanded(&api.command).into_iter().skip(1).collect();
    args.extend(expanded(&api.args));
    let mounts = api.volume_mounts.iter().flatten().map(|mount| Mount {
        volume: mount.name.clone(),
        path: mount.mount_path.clone(),
        sub_path: match &mount.sub_path_expr {
            Some(expression) => env.expand(expression),
            None => mount.sub_path.clone().unwrap_or_default(),
        },
        read_only: mount.read_only.unwrap_or(false),
    });
    let mounts = mounts.collect();
    let mut probe = |probe, what| errors.take(probe::resolve(api, probe, what)).flatten();
    let startup = probe(api.startup_probe.as_ref(), "startup");
    let readiness = probe(api.readiness_probe.as_ref(), "readiness");
    let liveness = probe(api.liveness_probe.as_ref(), "liveness");
    let annotations = subject.pod.metadata.annotations.as_ref();
    let max_invocations = errors
        .take(instance_requests(annotations, MAX_INVOCATIONS))
        .unwrap_or(1);
    let max_concurrency = errors
        .take(instance_requests(annotations, MAX_CONCURRENCY))
        .unwrap_or(1);
    let amounts = api.resources.as_ref();
    Container {
        name: api.name.clone(),
        image: api.image.clone().unwrap_or_default(),
        pull_policy: pull_policy(api),
        args,
        env: env.into_variables(),
        config_error: errors.0,
        ports: ports(api),
        mounts,
        limits: resources(amounts.and_then(|amounts| amounts.limits.as_ref())),
        requests: resources(amounts.and_then(|amounts| amounts.requests.as_ref())),
        startup,
        readiness,
        liveness,
        max_invocations,
        max_concurrency,
        sidecar: api.restart_policy.as_deref() == Some("Always"),
    }
}

/// The first thing that is wrong with a container.
struct Errors(Option<String>);

impl Errors {
    fn note(&mut self, found: Option<String>) {
        if self.0.is_none() {
            self.0 = found;
        }
    }

    fn take<T>(&mut self, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(Some(error));
                None
            }
        }
    }
}

/// What a container may ask for elsewhere and not here.
fn unavailable(api: &ApiContainer) -> Option<String> {
    let name = &api.name;
    if let Some(lifecycle) = &api.lifecycle {
        let hook = match (&lifecycle.post_start, &lifecycle.pre_stop) {
            (Some(_), _) => "postStart",
            (None, Some(_)) => "preStop",
            (None, None) => return None,
        };
        return Some(format!(
            "container {name:?} has a {hook} hook: lifecycle hooks are not available for wasm guests"
        ));
    }
    if api
        .volume_devices
        .as_ref()
        .is_some_and(|list| !list.is_empty())
    {
        return Some(format!(
            "container {name:?} asks for volumeDevices: block devices are not available for wasm guests"
        ));
    }
    None
}

fn pull_policy(api: &ApiContainer) -> PullPolicy {
    match api.image_pull_policy.as_deref() {
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        _ => PullPolicy::IfNotPresent,
    }
}

fn ports(api: &ApiContainer) -> Vec<Port> {
    let ports = api.ports.iter().flatten();
    ports
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                container_port: u16::try_from(port.container_port).ok()?,
                protocol: match port.protocol.as_deref() {
                    Some("UDP") => Protocol::Udp,
                    None | Some("TCP") => Protocol::Tcp,
                    Some(_) => return None,
                },
            })
        })
        .collect()
}

fn instance_requests(
    annotations: Option<&BTreeMap<String, String>>,
    name: &str,
) -> Result<u32, String> {
    let Some(text) = annotations.and_then(|annotations| annotations.get(name)) else {
        return Ok(1);
    };
    let number = text.parse::<u32>().ok();
    number
        .filter(|number| (1..=INSTANCE_REQUESTS_MAX).contains(number))
        .ok_or_else(|| {
            format!("annotation {name}: {text:?} is not a number from 1 to {INSTANCE_REQUESTS_MAX}")
        })
}

fn resources(amounts: Option<&BTreeMap<String, ApiQuantity>>) -> Resources {
    let get = |name: &str| Quantity::parse(&amounts?.get(name)?.0).ok();
    Resources {
        cpu_millis: get("cpu").and_then(|amount| u64::try_from(amount.milli_value()).ok()),
        memory_bytes: get("memory").and_then(|amount| u64::try_from(amount.value()).ok()),
    }
}

fn pairs(map: Option<&BTreeMap<String, String>>) -> Vec<(String, String)> {
    let pairs = map.into_iter().flatten();
    pairs
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
