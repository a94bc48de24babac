//! The sync loop: turns what the controller wants into one pod worker a uid. It never touches a container itself.
//!
//! Losing the link changes nothing here: only a pod set that was received can end a pod.

use crate::{
    Shared,
    checkpoint::Restored,
    pod_worker::{self, Desired, Handle},
};
use coracle_link::{pod::Pod, session::Digest};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::sync::mpsc;

/// What the controller wants changed.
#[derive(Debug)]
pub(crate) enum Update {
    /// All pods of this node: new or changed ones, and those that stay as they are. Any other is gone.
    Full {
        changed: Vec<Wanted>,
        kept: Vec<String>,
    },
    /// These are new or changed, those are gone.
    Delta {
        changed: Vec<Wanted>,
        removed: Vec<String>,
    },
}

/// A pod as the controller wants it.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) pod: Pod,
    pub(crate) digest: Digest,
}

/// Never more pods than this, whatever the controller says; ten times what the largest node is meant for is a mistake.
const PODS_MAX: usize = 20_000;
/// As long as a name in the API may be.
const NAME_BYTES_MAX: usize = 253;

/// A message is processed in microseconds; a burst waits at the link.
pub(crate) const UPDATES_MAX: usize = 64;

struct SyncLoop {
    shared: Arc<Shared>,
    workers: HashMap<String, Handle>,
    /// Deleted pods whose work is done, until the controller has removed them: never started again.
    released: HashSet<String>,
}

/// Runs until the agent stops. Starts at once what was running before, network or not.
pub(crate) async fn run(
    shared: Arc<Shared>,
    restored: Vec<Restored>,
    mut updates: mpsc::Receiver<Update>,
) {
    let stop = shared.tasks.stop().clone();
    let mut sync = SyncLoop {
        shared,
        workers: HashMap::new(),
        released: HashSet::new(),
    };
    for Restored { pod, status, .. } in restored {
        let pod = Arc::new(pod);
        let worker = pod_worker::spawn(&sync.shared, Arc::clone(&pod), status);
        sync.workers.insert(pod.uid.clone(), worker);
    }
    tracing::info!(pods = sync.workers.len(), "restored the pods of this node");
    loop {
        tokio::select! {
            update = updates.recv() => match update {
                Some(Update::Full { changed, kept }) => sync.full(changed, kept).await,
                Some(Update::Delta { changed, removed }) => sync.delta(changed, removed),
                None => return,
            },
            () = stop.cancelled() => return,
        }
    }
}

impl SyncLoop {
    async fn full(&mut self, changed: Vec<Wanted>, kept: Vec<String>) {
        let uids: HashSet<String> = changed
            .iter()
            .map(|wanted| wanted.pod.uid.clone())
            .chain(kept)
            .collect();
        let gone: Vec<String> = self
            .workers
            .keys()
            .chain(&self.released)
            .filter(|uid| !uids.contains(*uid))
            .cloned()
            .collect();
        self.delta(changed, gone);
        // What a crash left behind of pods nobody knows.
        let known: HashSet<String> = self.workers.keys().cloned().chain(uids).collect();
        let (volumes, logs) = (self.shared.volumes.clone(), self.shared.logs.clone());
        let clean = move || {
            let left = volumes.pods().into_iter().chain(logs.pods());
            for uid in left.filter(|uid| !known.contains(uid)) {
                volumes.remove(&uid);
                logs.remove(&uid);
            }
        };
        if tokio::task::spawn_blocking(clean).await.is_err() {
            tracing::warn!("cleaning up after earlier pods failed");
        }
    }

    fn delta(&mut self, changed: Vec<Wanted>, removed: Vec<String>) {
        self.sweep();
        for wanted in changed {
            self.upsert(wanted);
        }
        for uid in removed {
            self.released.remove(&uid);
            if let Some(worker) = self.workers.get(&uid) {
                worker.tell(Desired::Gone);
            }
            self.shared.statuses.forget(&uid);
        }
    }

    fn upsert(&mut self, Wanted { pod, digest }: Wanted) {
        if self.released.contains(&pod.uid) {
            return;
        }
        let is_new = !self.workers.contains_key(&pod.uid);
        let refused = match check(&pod) {
            Ok(()) if is_new && self.workers.len() >= PODS_MAX => Err("the node is full"),
            checked => checked,
        };
        if let Err(why) = refused {
            tracing::warn!(uid = ?pod.uid, name = ?pod.name, why, "refusing a pod of the controller");
            return;
        }
        self.shared.checkpoint.pod(&pod, &digest);
        let pod = Arc::new(pod);
        match self.workers.get(&pod.uid) {
            Some(worker) => worker.tell(Desired::Spec(pod)),
            None => {
                let worker = pod_worker::spawn(&self.shared, Arc::clone(&pod), None);
                self.workers.insert(pod.uid.clone(), worker);
            }
        }
    }

    /// Forgets workers that have ended; they end only when their pod was deleted.
    fn sweep(&mut self) {
        let ended: Vec<String> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.is_finished())
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in ended {
            // A pod the controller has already removed is never named again.
            if self
                .workers
                .remove(&uid)
                .is_some_and(|worker| !worker.is_told_gone())
            {
                self.released.insert(uid);
            }
        }
    }
}

/// Names become names of files: a controller that was taken over shall not choose any others.
fn check(pod: &Pod) -> Result<(), &'static str> {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && !name.starts_with('.')
            && name.bytes().all(plain)
    };
    let containers = || pod.init_containers.iter().chain(&pod.containers);
    let distinct: HashSet<&str> = containers().map(|one| one.name.as_str()).collect();
    if ![&pod.uid, &pod.namespace, &pod.name]
        .into_iter()
        .all(|name| is_name(name))
    {
        return Err("its uid, namespace or name is not a name");
    }
    if !containers().all(|container| is_name(&container.name)) {
        return Err("a container's name is not a name");
    }
    if distinct.len() != containers().count() || pod.containers.is_empty() {
        return Err("it has no containers, or two of one name");
    }
    if !pod.volumes.iter().all(|volume| is_name(&volume.name)) {
        return Err("a volume's name is not a name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use coracle_link::pod::RestartPolicy;

    #[test]
    fn names_that_are_no_file_names_are_refused() {
        let good = || testing::pod(RestartPolicy::Always, &["i"], &["a", "b"]);
        assert_eq!(check(&good()), Ok(()));
        type Break = fn(&mut Pod);
        let table: [(&str, Break); 7] = [
            ("empty uid", |pod| pod.uid.clear()),
            ("uid up", |pod| pod.uid = "../x".to_owned()),
            ("hidden", |pod| pod.uid = ".".to_owned()),
            ("slash", |pod| pod.containers[0].name = "a/b".to_owned()),
            ("twice", |pod| pod.containers[0].name = "i".to_owned()),
            ("none", |pod| pod.containers.clear()),
            ("long", |pod| pod.name = "x".repeat(254)),
        ];
        for (name, change) in table {
            let mut pod = good();
            change(&mut pod);
            assert!(check(&pod).is_err(), "{name}");
        }
    }
}
