//! What the node lifecycle remembers between its runs: nothing that a restart may not forget.
//!
//! Bounded by the nodes in trouble and the pods on them.

use super::evict;
use crate::liveness::NodeLink;
use coracle_api::k8s_openapi::api::core::v1::Taint;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// How long the answer whether evictions are frozen is taken for true while no link changes.
const FREEZE_FRESH: Duration = Duration::from_secs(1);

/// What is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    state: Mutex<State>,
    /// How many nodes are in trouble, to be read without the lock.
    troubled: AtomicUsize,
}

#[derive(Debug)]
struct State {
    nodes: HashMap<String, Trouble>,
    /// Nodes whose pods bear marks of an earlier controller.
    marked: HashSet<String>,
    /// No toleration counts from before: the end of the start's grace, or of the last freeze.
    from: Instant,
    frozen: bool,
    /// For which count of link changes, and when, `frozen` was found.
    found: Option<(u64, Instant)>,
}

#[derive(Debug, Default)]
struct Trouble {
    taints: Vec<(Taint, Instant)>,
    /// Pods that wait for their eviction, by uid.
    waiting: HashSet<String>,
}

impl Memory {
    pub(super) fn new(from: Instant, marked: HashSet<String>) -> Self {
        Self {
            state: Mutex::new(State {
                nodes: HashMap::new(),
                marked,
                from,
                frozen: false,
                found: None,
            }),
            troubled: AtomicUsize::new(0),
        }
    }

    pub(super) fn all_well(&self) -> bool {
        self.troubled.load(Ordering::Relaxed) == 0
    }

    pub(super) fn is_in_trouble(&self, node: &str) -> bool {
        self.state.lock().nodes.contains_key(node)
    }

    /// In trouble until now, or before the start.
    pub(super) fn was_in_trouble(&self, node: &str) -> bool {
        let state = self.state.lock();
        state.nodes.contains_key(node) || state.marked.contains(node)
    }

    pub(super) fn trouble(&self, node: &str) {
        let mut state = self.state.lock();
        state.nodes.entry(node.to_owned()).or_default();
        self.troubled.store(state.nodes.len(), Ordering::Relaxed);
    }

    /// All is well again; the pods that had been waiting for their eviction.
    pub(super) fn well(&self, node: &str) -> HashSet<String> {
        let mut state = self.state.lock();
        state.marked.remove(node);
        let trouble = state.nodes.remove(node).unwrap_or_default();
        self.troubled.store(state.nodes.len(), Ordering::Relaxed);
        trouble.waiting
    }

    pub(super) fn forget(&self, node: &str) {
        let mut state = self.state.lock();
        state.nodes.remove(node);
        state.marked.remove(node);
        self.troubled.store(state.nodes.len(), Ordering::Relaxed);
    }

    /// The taints, each with the time from which its tolerations count.
    pub(super) fn count_from(
        &self,
        node: &str,
        taints: Vec<Taint>,
        now: Instant,
    ) -> Vec<(Taint, Instant)> {
        let mut state = self.state.lock();
        let from = state.from;
        let trouble = state.nodes.entry(node.to_owned()).or_default();
        let is = |a: &Taint, b: &Taint| a.key == b.key && a.value == b.value;
        let since = |taint: &Taint| {
            let mut known = trouble.taints.iter();
            known
                .find(|(known, _)| is(known, taint))
                .map_or(now, |(_, since)| *since)
        };
        let new: Vec<(Taint, Instant)> = taints
            .into_iter()
            .map(|taint| {
                let since = since(&taint);
                (taint, since)
            })
            .collect();
        trouble.taints.clone_from(&new);
        new.into_iter()
            .map(|(taint, since)| (taint, since.max(from)))
            .collect()
    }

    /// The pods that wait now; those that waited and do no more.
    pub(super) fn wait_for(&self, node: &str, waiting: HashSet<String>) -> HashSet<String> {
        let mut state = self.state.lock();
        let trouble = state.nodes.entry(node.to_owned()).or_default();
        let mut spared = std::mem::replace(&mut trouble.waiting, waiting);
        spared.retain(|uid| !trouble.waiting.contains(uid));
        spared
    }

    /// Whether evictions are frozen at `now`, with this count of link changes.
    pub(super) fn frozen(
        &self,
        count: u64,
        now: Instant,
        links: impl FnOnce() -> Vec<NodeLink>,
    ) -> bool {
        let mut state = self.state.lock();
        let fresh = |(of, at): (u64, Instant)| of == count && now < at + FREEZE_FRESH;
        if state.found.is_some_and(fresh) {
            return state.frozen;
        }
        let links = links();
        let frozen = evict::frozen(&links, now);
        if frozen && !state.frozen {
            let lost = links
                .iter()
                .filter(|link| matches!(link, NodeLink::Lost { .. }))
                .count();
            // Who said goodbye did not go dark: an agent that is stopped is no news.
            if lost > 0 {
                tracing::warn!(
                    lost,
                    nodes = links.len(),
                    "many nodes went dark at once; no pod is evicted for it"
                );
            }
        }
        if !frozen && state.frozen {
            tracing::info!("evictions are possible again; tolerations count from now");
            state.from = now;
        }
        state.frozen = frozen;
        state.found = Some((count, now));
        frozen
    }
}
