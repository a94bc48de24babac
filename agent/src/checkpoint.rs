//! What the agent needs to start its pods before it has a network: specs and the last word on their containers.
//!
//! Sealed with the device key (a spec holds resolved Secrets). Written only when something changed that a restart
//! must know, in batches, each file replaced in one step. Never read after the start.

use crate::{device_key::DeviceKey, wire};
use coracle_daemon::{make_private_dir, write_private};
use coracle_link::{
    pod::Pod,
    session::Digest,
    status::{ContainerState, ContainerStatus, PodStatus},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Writes wait this long for more of the same: a crash loses that much of restart counts.
const BATCH: Duration = Duration::from_millis(200);

/// A pod of the agent's last run.
#[derive(Debug, PartialEq)]
pub(crate) struct Restored {
    pub(crate) pod: Pod,
    /// Told to the controller, which then does not send the pod again.
    pub(crate) digest: Digest,
    pub(crate) status: Option<PodStatus>,
}

/// A handle to the checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    key: Arc<DeviceKey>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// By file name; none means delete.
    due: HashMap<String, Option<Vec<u8>>>,
    /// What is known to be on disk (or due): the spec's digest, the status without what changes often.
    pods: HashMap<String, Digest>,
    statuses: HashMap<String, PodStatus>,
}

impl Checkpoint {
    pub(crate) fn open(dir: PathBuf, key: Arc<DeviceKey>) -> io::Result<Self> {
        make_private_dir(&dir)?;
        let changed = watch::Sender::new(0);
        Ok(Self {
            inner: Arc::new(Inner {
                dir,
                key,
                state: Mutex::default(),
                changed,
            }),
        })
    }

    /// All pods of the last run with their last status. What does not open is dropped: the controller tells it again.
    pub(crate) fn load(&self) -> Vec<Restored> {
        let entries = fs::read_dir(&self.inner.dir)
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut pods = Vec::new();
        for name in names {
            let Some(uid) = name.strip_suffix(".pod") else {
                continue;
            };
            let Some(bytes) = self.read(&name) else {
                tracing::warn!(
                    uid,
                    "the checkpoint of a pod is damaged; waiting for the controller"
                );
                continue;
            };
            let known = wire::decode_pod(&bytes).filter(|(pod, _)| pod.uid == uid);
            let Some((pod, digest)) = known else {
                tracing::warn!(
                    uid,
                    "the checkpoint of a pod is of another version; waiting for the controller"
                );
                continue;
            };
            let status = self
                .read(&format!("{uid}.status"))
                .and_then(|bytes| wire::decode_status(&bytes));
            let mut state = self.inner.state.lock();
            state.pods.insert(uid.to_owned(), digest);
            if let Some(status) = &status {
                state.statuses.insert(uid.to_owned(), essence(status));
            }
            drop(state);
            pods.push(Restored {
                pod,
                digest,
                status,
            });
        }
        pods
    }

    fn read(&self, name: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        let sealed = fs::read(self.inner.dir.join(name)).ok()?;
        self.inner.key.open(name, &sealed)
    }

    /// The spec is to survive.
    pub(crate) fn pod(&self, pod: &Pod, digest: &Digest) {
        let mut state = self.inner.state.lock();
        if state.pods.get(&pod.uid) != Some(digest) {
            let bytes = wire::encode_pod(pod, digest);
            state.pods.insert(pod.uid.clone(), *digest);
            self.put(&mut state, format!("{}.pod", pod.uid), &bytes);
        }
    }

    /// Restart counts and endings are to survive; readiness and conditions are not worth the flash.
    pub(crate) fn status(&self, status: &PodStatus) {
        let essence = essence(status);
        let mut state = self.inner.state.lock();
        if state.statuses.get(&status.uid) != Some(&essence) {
            let bytes = wire::encode_status(status);
            state.statuses.insert(status.uid.clone(), essence);
            self.put(&mut state, format!("{}.status", status.uid), &bytes);
        }
    }

    fn put(&self, state: &mut State, name: String, bytes: &[u8]) {
        match self.inner.key.seal(&name, bytes) {
            Ok(sealed) => {
                state.due.insert(name, Some(sealed));
                self.inner.changed.send_modify(|count| *count += 1);
            }
            Err(error) => tracing::error!(%name, %error, "cannot seal a checkpoint"),
        }
    }

    /// The pod is gone.
    pub(crate) fn forget(&self, uid: &str) {
        let mut state = self.inner.state.lock();
        state.pods.remove(uid);
        state.statuses.remove(uid);
        for suffix in ["pod", "status"] {
            state.due.insert(format!("{uid}.{suffix}"), None);
        }
        self.inner.changed.send_modify(|count| *count += 1);
    }

    /// Writes what is due until `stop`, then once more when the last worker has ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut changed = self.inner.changed.subscribe();
        loop {
            tokio::select! {
                _ = changed.changed() => tokio::time::sleep(BATCH).await,
                () = stop.cancelled() => break,
            }
            self.flush().await;
        }
        self.flush().await;
    }

    async fn flush(&self) {
        let due = std::mem::take(&mut self.inner.state.lock().due);
        let inner = Arc::clone(&self.inner);
        let write = move || {
            for (name, bytes) in due {
                let path = inner.dir.join(&name);
                if let Err(error) = put(&path, bytes.as_deref()) {
                    tracing::warn!(path = %path.display(), %error, "cannot write a checkpoint");
                }
            }
        };
        if tokio::task::spawn_blocking(write).await.is_err() {
            tracing::warn!("writing the checkpoint failed");
        }
    }
}

fn put(path: &Path, bytes: Option<&[u8]>) -> io::Result<()> {
    let Some(bytes) = bytes else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    };
    write_private(path, bytes)
}

/// A status without what a restart need not know.
fn essence(status: &PodStatus) -> PodStatus {
    let strip = |containers: &[ContainerStatus]| {
        containers
            .iter()
            .map(|container| {
                let mut container = ContainerStatus {
                    ready: false,
                    started: false,
                    ..container.clone()
                };
                if let ContainerState::Waiting { reason, message } = &mut container.state {
                    reason.clear();
                    message.clear();
                }
                container
            })
            .collect()
    };
    PodStatus {
        conditions: Vec::new(),
        observed_revision: 0,
        init_containers: strip(&status.init_containers),
        containers: strip(&status.containers),
        ..status.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{status, testing};
    use coracle_link::pod::{EnvVar, RestartPolicy, Sensitive};

    fn open(dir: &Path) -> Checkpoint {
        let key = DeviceKey::open_or_create(&dir.join("key")).unwrap();
        Checkpoint::open(dir.join("pods"), Arc::new(key)).unwrap()
    }

    #[tokio::test]
    async fn pods_come_back_and_secrets_are_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let mut pod = testing::pod(RestartPolicy::Always, &["i"], &["a"]);
        let value = Sensitive(b"hidden value".to_vec());
        pod.containers[0].env.push(EnvVar {
            name: "KEY".to_owned(),
            value,
        });
        let checkpoint = open(dir.path());
        checkpoint.pod(&pod, &[7; 16]);
        let seen = status::Observed {
            pod: &pod,
            pod_ip: "10.244.0.2".to_owned(),
            start_time_ms: 5,
            init: vec![status::waiting(&pod.init_containers[0], "PodInitializing")],
            main: vec![status::waiting(&pod.containers[0], "PodInitializing")],
            stopped: false,
            failed: None,
            released: false,
        };
        let status = status::compute(seen, None, 6);
        checkpoint.status(&status);
        checkpoint.flush().await;
        let file = fs::read(dir.path().join("pods/uid-1.pod")).unwrap();
        assert!(!file.windows(6).any(|part| part == b"hidden"));

        let again = open(dir.path());
        let restored = Restored {
            pod: pod.clone(),
            digest: [7; 16],
            status: Some(status.clone()),
        };
        assert_eq!(again.load(), [restored]);
        again.pod(&pod, &[7; 16]);
        again.status(&PodStatus {
            conditions: Vec::new(),
            ..status
        });
        assert!(
            again.inner.state.lock().due.is_empty(),
            "unchanged: nothing is written"
        );
        again.forget("uid-1");
        again.flush().await;
        assert!(open(dir.path()).load().is_empty());
    }
}
