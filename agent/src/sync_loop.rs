//! The sync loop: turns what the controller wants into one pod worker a uid. It never touches a container itself.
//!
//! Losing the link changes nothing here: only a pod set that was received can end a pod.

use crate::{
    Shared,
    pod_worker::{self, Desired, Handle},
};
use coracle_link::pod::Pod;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::sync::mpsc;

/// What the controller wants changed.
#[derive(Debug)]
pub(crate) enum Update {
    /// All pods of this node.
    All(Vec<Pod>),
    /// These are new or changed, those are gone.
    Delta {
        changed: Vec<Pod>,
        removed: Vec<String>,
    },
}

/// A message is processed in microseconds; a burst waits at the link.
pub(crate) const UPDATES_MAX: usize = 64;

struct SyncLoop {
    shared: Arc<Shared>,
    workers: HashMap<String, Handle>,
    /// Deleted pods whose work is done, until the controller has removed them: never started again.
    released: HashSet<String>,
}

/// Runs until the agent stops. Starts at once what was running before, network or not.
pub(crate) async fn run(shared: Arc<Shared>, mut updates: mpsc::Receiver<Update>) {
    let stop = shared.tasks.stop().clone();
    let checkpoint = shared.checkpoint.clone();
    let mut sync = SyncLoop {
        shared,
        workers: HashMap::new(),
        released: HashSet::new(),
    };
    let restored = tokio::task::spawn_blocking(move || checkpoint.load()).await;
    for (pod, status) in restored.unwrap_or_default() {
        let pod = Arc::new(pod);
        let worker = pod_worker::spawn(&sync.shared, Arc::clone(&pod), status);
        sync.workers.insert(pod.uid.clone(), worker);
    }
    tracing::info!(pods = sync.workers.len(), "restored the pods of this node");
    loop {
        tokio::select! {
            update = updates.recv() => match update {
                Some(Update::All(pods)) => sync.all(pods).await,
                Some(Update::Delta { changed, removed }) => sync.delta(changed, removed),
                None => return,
            },
            () = stop.cancelled() => return,
        }
    }
}

impl SyncLoop {
    async fn all(&mut self, pods: Vec<Pod>) {
        let uids: HashSet<String> = pods.iter().map(|pod| pod.uid.clone()).collect();
        let gone: Vec<String> = self
            .workers
            .keys()
            .chain(&self.released)
            .filter(|uid| !uids.contains(*uid))
            .cloned()
            .collect();
        self.delta(pods, gone);
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

    fn delta(&mut self, changed: Vec<Pod>, removed: Vec<String>) {
        self.sweep();
        for pod in changed {
            self.upsert(pod);
        }
        for uid in removed {
            self.released.remove(&uid);
            if let Some(worker) = self.workers.get(&uid) {
                worker.tell(Desired::Gone);
            }
            self.shared.statuses.forget(&uid);
        }
    }

    fn upsert(&mut self, pod: Pod) {
        if self.released.contains(&pod.uid) {
            return;
        }
        self.shared.checkpoint.pod(&pod);
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
            self.workers.remove(&uid);
            self.released.insert(uid);
        }
    }
}
