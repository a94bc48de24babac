//! Images: what a reference means, its compiled code on disk, and the module loaded from it, shared by digest.
//!
//! Code is never loaded unless the cache has authenticated it. One reference is never fetched twice at once.

use crate::{
    events::{self, Events},
    link_client::Link,
    node_status,
};
use cache::{Cache, Checked, Entry, Sha256};
use coracle_link::pod::{Container, Pod, PullPolicy};
use coracle_runtime::{Module, Runtime};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

pub(crate) mod cache;
mod fetch;

/// Fetches at once: a node that boots shall not starve its own link.
const FETCHES_MAX: usize = 4;
/// Between two looks at the disk, as upstream.
pub(crate) const COLLECT_PERIOD: Duration = Duration::from_secs(300);

/// Ready to start.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) module: Module,
    pub(crate) image_id: String,
}

/// Why an image can not be had; `reason` is what a container then waits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullError {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl PullError {
    fn pull(message: impl Into<String>) -> Self {
        Self {
            reason: "ErrImagePull",
            message: message.into(),
        }
    }
}

/// A handle to all images.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    cache: Cache,
    runtime: Runtime,
    link: Link,
    events: Events,
    fetches: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// One permit a reference: the second who asks finds what the first has fetched.
    flights: HashMap<String, Arc<Semaphore>>,
    modules: HashMap<Sha256, Module>,
    /// By pod uid.
    uses: HashMap<String, HashSet<Sha256>>,
}

impl Images {
    pub(crate) fn open(
        dir: PathBuf,
        key: ring::hmac::Key,
        runtime: Runtime,
        link: Link,
        events: Events,
    ) -> std::io::Result<Self> {
        let cache = Cache::open(dir.clone(), key)?;
        let fetches = Semaphore::new(FETCHES_MAX);
        let state = Mutex::default();
        Ok(Self {
            inner: Arc::new(Inner {
                dir,
                cache,
                runtime,
                link,
                events,
                fetches,
                state,
            }),
        })
    }

    /// The image of a container, from this machine or from the controller.
    pub(crate) async fn get(&self, pod: &Pod, spec: &Container) -> Result<Image, PullError> {
        let flight = self.flight(&spec.image);
        let _turn = flight
            .acquire()
            .await
            .map_err(|closed| PullError::pull(closed.to_string()))?;
        let (entry, path) = self.find(pod, spec).await?;
        let module = self.load(pod, entry.artifact, path).await?;
        Ok(Image {
            module,
            image_id: image_id(&spec.image, &entry.image_digest),
        })
    }

    /// A pod that the agent had before it was restarted: what it runs is never collected, from the first moment.
    pub(crate) fn reserve(&self, pod: &Pod) {
        let compatibility = self.inner.runtime.compatibility().hash;
        for container in pod.init_containers.iter().chain(&pod.containers) {
            if let Some(entry) = self.inner.cache.resolve(&container.image, &compatibility) {
                self.mark_used(pod, entry.artifact);
            }
        }
    }

    fn mark_used(&self, pod: &Pod, artifact: Sha256) {
        let mut state = self.inner.state.lock();
        let used = state.uses.entry(pod.uid.clone()).or_default();
        used.insert(artifact);
    }

    /// Who fetches `name` (a reference, or an artifact) waits for its turn here.
    fn flight(&self, name: &str) -> Arc<Semaphore> {
        let mut state = self.inner.state.lock();
        let flight = state.flights.entry(name.to_owned());
        Arc::clone(flight.or_insert_with(|| Arc::new(Semaphore::new(1))))
    }

    async fn find(&self, pod: &Pod, spec: &Container) -> Result<(Entry, PathBuf), PullError> {
        let inner = &self.inner;
        let compatibility = inner.runtime.compatibility().hash;
        let known = inner.cache.resolve(&spec.image, &compatibility);
        let present = match known {
            Some(entry) => self
                .check(pod, spec, &entry)
                .await?
                .map(|path| (entry, path)),
            None => None,
        };
        let asks = match spec.pull_policy {
            PullPolicy::Always => inner.link.is_connected() || present.is_none(),
            PullPolicy::IfNotPresent => present.is_none(),
            PullPolicy::Never if present.is_none() => {
                let text = "is not present with pull policy of Never";
                let message = format!("Container image \"{}\" {text}", spec.image);
                return Err(PullError {
                    reason: "ErrImageNeverPull",
                    message,
                });
            }
            PullPolicy::Never => false,
        };
        match present {
            Some(present) if !asks => {
                let text = "already present on machine and can be accessed by the pod";
                self.event(
                    pod,
                    spec,
                    "Pulled",
                    format!("Container image \"{}\" {text}", spec.image),
                );
                Ok(present)
            }
            _ => self.fetch(pod, spec).await,
        }
    }

    /// The authenticated file of an entry. A forged one is deleted, and people are told.
    async fn check(
        &self,
        pod: &Pod,
        spec: &Container,
        entry: &Entry,
    ) -> Result<Option<PathBuf>, PullError> {
        // Before it is looked at: a full disk may be tidied at any moment.
        self.mark_used(pod, entry.artifact);
        let (inner, artifact) = (Arc::clone(&self.inner), entry.artifact);
        let checked = tokio::task::spawn_blocking(move || inner.cache.check(&artifact)).await;
        match checked {
            Ok(Ok(Checked::Good(path))) => Ok(Some(path)),
            Ok(Ok(Checked::Absent)) => Ok(None),
            Ok(Ok(Checked::Forged)) => {
                let text = format!(
                    "Compiled code of image \"{}\" was changed on disk; it was deleted and is fetched again",
                    spec.image
                );
                tracing::warn!(image = %spec.image, "compiled code was changed on disk; fetching it again");
                // What is mapped is the changed file.
                self.inner.state.lock().modules.remove(&entry.artifact);
                self.inner
                    .events
                    .pod(pod, None, true, "ImageTampered", text);
                Ok(None)
            }
            Ok(Err(error)) => Err(PullError::pull(format!(
                "cannot read compiled code: {error}"
            ))),
            Err(error) => Err(PullError::pull(error.to_string())),
        }
    }

    async fn fetch(&self, pod: &Pod, spec: &Container) -> Result<(Entry, PathBuf), PullError> {
        let image = &spec.image;
        self.event(pod, spec, "Pulling", format!("Pulling image \"{image}\""));
        let waiting = Instant::now();
        let permit = self.inner.fetches.acquire().await;
        let _permit = permit.map_err(|closed| PullError::pull(closed.to_string()))?;
        let pulling = Instant::now();
        let fetching = fetch::fetch(self, pod, spec);
        let (entry, path) = Box::pin(fetching).await?;
        if let Err(error) = self.inner.cache.remember(image, entry.clone()) {
            tracing::warn!(%image, %error, "cannot write the image index");
        }
        let text = format!(
            "Successfully pulled image \"{image}\" in {} ({} including waiting). Image size: {} bytes.",
            seconds(pulling.elapsed()),
            seconds(waiting.elapsed()),
            entry.size
        );
        self.event(pod, spec, "Pulled", text);
        Ok((entry, path))
    }

    /// The module of an authenticated file; loaded once.
    async fn load(&self, pod: &Pod, artifact: Sha256, path: PathBuf) -> Result<Module, PullError> {
        self.mark_used(pod, artifact);
        if let Some(module) = self.inner.state.lock().modules.get(&artifact) {
            return Ok(module.clone());
        }
        let runtime = self.inner.runtime.clone();
        let loaded = tokio::task::spawn_blocking(move || runtime.load(&path)).await;
        let create = |message| PullError {
            reason: "CreateContainerError",
            message,
        };
        let module = match loaded {
            Ok(Ok(module)) => module,
            Ok(Err(error)) => return Err(create(events::chain(&error))),
            Err(error) => return Err(create(error.to_string())),
        };
        self.inner
            .state
            .lock()
            .modules
            .insert(artifact, module.clone());
        Ok(module)
    }

    /// The pod needs no image any more.
    pub(crate) fn release(&self, uid: &str) {
        let mut state = self.inner.state.lock();
        state.uses.remove(uid);
        let used: HashSet<Sha256> = state.uses.values().flatten().copied().collect();
        state.modules.retain(|artifact, _| used.contains(artifact));
        state
            .flights
            .retain(|_, flight| Arc::strong_count(flight) > 1);
    }

    /// Deletes code nobody uses when the disk is nearly full. Blocks: not for an async task.
    pub(crate) fn collect(&self) {
        let Some(disk) = node_status::disk(&self.inner.dir) else {
            return;
        };
        let Some(excess) = cache::excess(disk.available, disk.total) else {
            return;
        };
        let in_use: HashSet<Sha256> = self
            .inner
            .state
            .lock()
            .uses
            .values()
            .flatten()
            .copied()
            .collect();
        let freed = self.inner.cache.collect(excess, &in_use);
        tracing::info!(freed, excess, "deleted unused compiled code");
        if freed < excess {
            let text = format!(
                "Failed to garbage collect required amount of images. Attempted to free {excess} bytes, but only found {freed} bytes eligible to free."
            );
            self.inner.events.node(true, "FreeDiskSpaceFailed", text);
        }
    }

    fn event(&self, pod: &Pod, spec: &Container, reason: &str, message: String) {
        let init = pod
            .init_containers
            .iter()
            .any(|init| init.name == spec.name);
        let kind = if init { "initContainers" } else { "containers" };
        let path = format!("spec.{kind}{{{}}}", spec.name);
        self.inner
            .events
            .pod(pod, Some(path), false, reason, message);
    }
}

/// Where compiled code is kept.
pub(crate) fn dir(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

/// `name@sha256:...`: the reference without its tag.
fn image_id(reference: &str, digest: &str) -> String {
    let name = reference
        .split_once('@')
        .map_or(reference, |(name, _)| name);
    let name = match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    };
    format!("{name}@{digest}")
}

/// `1.234s`, `56ms`: as Go prints a rounded duration.
fn seconds(time: Duration) -> String {
    let millis = time.as_millis();
    if millis >= 1000 {
        format!("{}s", time.as_millis() as f64 / 1000.0)
    } else {
        format!("{millis}ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_id_has_the_digest_and_no_tag() {
        let id = |reference| image_id(reference, "sha256:abc");
        assert_eq!(id("hello:v1"), "hello@sha256:abc");
        assert_eq!(id("host:5000/hello"), "host:5000/hello@sha256:abc");
        assert_eq!(
            id("host:5000/hello:v1@sha256:old"),
            "host:5000/hello@sha256:abc"
        );
    }

    #[test]
    fn times() {
        assert_eq!(seconds(Duration::from_millis(56)), "56ms");
        assert_eq!(seconds(Duration::from_millis(1234)), "1.234s");
    }
}
