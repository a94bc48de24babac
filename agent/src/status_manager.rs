//! Status manager: the newest status of each pod, until the controller has acknowledged it.
//!
//! Never computes a status (see `status`). Always sends the newest; an older one is dropped, not queued.

use coracle_link::status::PodStatus;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::sync::watch;

/// A handle to the newest statuses.
#[derive(Debug, Clone)]
pub(crate) struct Statuses {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct State {
    pods: HashMap<String, Slot>,
    /// Numbers every report.
    version: u64,
}

#[derive(Debug)]
struct Slot {
    status: PodStatus,
    version: u64,
    /// The newest version sent in this session.
    sent: u64,
    acknowledged: u64,
}

impl Slot {
    fn is_unsent(&self) -> bool {
        self.sent < self.version
    }
}

impl Statuses {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
            changed: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Takes the newest status of a pod.
    pub(crate) fn report(&self, status: PodStatus) {
        let mut state = self.state.lock();
        state.version += 1;
        let version = state.version;
        match state.pods.get_mut(&status.uid) {
            Some(slot) => (slot.status, slot.version) = (status, version),
            None => {
                let slot = Slot {
                    version,
                    sent: 0,
                    acknowledged: 0,
                    status,
                };
                state.pods.insert(slot.status.uid.clone(), slot);
            }
        }
        drop(state);
        self.changed.send_modify(|count| *count += 1);
    }

    /// The pod is nobody's concern any more.
    pub(crate) fn forget(&self, uid: &str) {
        self.state.lock().pods.remove(uid);
    }

    /// A new session: what was not acknowledged is sent again.
    pub(crate) fn restart(&self) {
        for slot in self.state.lock().pods.values_mut() {
            slot.sent = slot.acknowledged;
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// The newest statuses that were not sent in this session, oldest first, each with its number.
    pub(crate) fn unsent(&self, max: usize) -> Vec<(u64, PodStatus)> {
        let state = self.state.lock();
        let mut due: Vec<&Slot> = state
            .pods
            .values()
            .filter(|slot| slot.is_unsent())
            .collect();
        due.sort_by_key(|slot| slot.version);
        due.truncate(max);
        let numbered = due
            .into_iter()
            .map(|slot| (slot.version, slot.status.clone()));
        numbered.collect()
    }

    /// Something waits to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.state.lock().pods.values().any(Slot::is_unsent)
    }

    /// These go out now; the number that acknowledges them.
    pub(crate) fn sent(&self, statuses: &[(u64, PodStatus)]) -> u64 {
        let mut state = self.state.lock();
        for (version, status) in statuses {
            if let Some(slot) = state.pods.get_mut(&status.uid) {
                slot.sent = slot.sent.max(*version);
            }
        }
        statuses.last().map_or(0, |(version, _)| *version)
    }

    /// Everything sent up to `version` has arrived. A released pod is then forgotten.
    pub(crate) fn acknowledge(&self, version: u64) {
        let mut state = self.state.lock();
        state.pods.retain(|_, slot| {
            if slot.sent <= version {
                slot.acknowledged = slot.acknowledged.max(slot.sent);
            }
            !(slot.status.released && slot.acknowledged == slot.version)
        });
    }

    /// The controller refused or lost a pod's status: send it again.
    pub(crate) fn resend(&self, uids: &HashSet<String>) {
        let mut state = self.state.lock();
        let State { pods, version } = &mut *state;
        for uid in uids {
            if let Some(slot) = pods.get_mut(uid) {
                // A new number: what is under way acknowledges older ones.
                *version += 1;
                (slot.version, slot.sent, slot.acknowledged) = (*version, 0, 0);
            }
        }
        drop(state);
        self.changed.send_modify(|count| *count += 1);
    }

    /// The newest status of a pod.
    pub(crate) fn get(&self, uid: &str) -> Option<PodStatus> {
        self.state
            .lock()
            .pods
            .get(uid)
            .map(|slot| slot.status.clone())
    }

    /// Changes with each report.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_link::status::Phase;

    fn status(uid: &str, message: &str, released: bool) -> PodStatus {
        PodStatus {
            uid: uid.to_owned(),
            namespace: String::new(),
            name: String::new(),
            observed_revision: 0,
            phase: Phase::Running,
            reason: String::new(),
            message: message.to_owned(),
            pod_ip: String::new(),
            start_time_ms: 0,
            conditions: Vec::new(),
            init_containers: Vec::new(),
            containers: Vec::new(),
            released,
        }
    }

    fn messages(statuses: &Statuses) -> (u64, Vec<String>) {
        let taken = statuses.unsent(10);
        let version = statuses.sent(&taken);
        let messages = taken.into_iter().map(|(_, status)| status.message);
        (version, messages.collect())
    }

    #[test]
    fn only_the_newest_is_sent_and_until_it_is_acknowledged() {
        let statuses = Statuses::new();
        statuses.report(status("a", "a1", false));
        statuses.report(status("b", "b1", false));
        statuses.report(status("a", "a2", false));
        let (version, sent) = messages(&statuses);
        assert_eq!(sent, ["b1", "a2"]);
        assert_eq!(messages(&statuses).1, [""; 0]);
        statuses.restart();
        assert_eq!(messages(&statuses).1, ["b1", "a2"]);
        statuses.acknowledge(version);
        statuses.restart();
        assert_eq!(messages(&statuses).1, [""; 0]);
    }

    #[test]
    fn what_the_controller_could_not_take_is_sent_again() {
        let statuses = Statuses::new();
        statuses.report(status("a", "a1", false));
        statuses.report(status("b", "b1", false));
        let (version, _) = messages(&statuses);
        statuses.resend(&HashSet::from(["a".to_owned(), "unknown".to_owned()]));
        statuses.acknowledge(version);
        assert!(statuses.has_unsent());
        assert_eq!(messages(&statuses).1, ["a1"]);
        assert!(!statuses.has_unsent());
    }

    #[test]
    fn a_released_pod_stays_until_the_controller_knows() {
        let statuses = Statuses::new();
        statuses.report(status("a", "gone", true));
        let (version, _) = messages(&statuses);
        assert!(statuses.get("a").is_some());
        statuses.acknowledge(version);
        assert!(statuses.get("a").is_none());
    }
}
