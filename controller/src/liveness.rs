//! Which node's link is open: what the link server knows, for all who decide by it.
//!
//! Always in memory only, and empty after a start: flash is precious, and agents reconnect in seconds.
//! Heartbeats are never kept; QUIC's own keep-alive says when a link is lost, and only that change is
//! recorded here. Reading is pure; a reader that wants to wait subscribes to [`Liveness::changes`].

use parking_lot::RwLock;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// How long after a start a node without a link counts as unknown, not as lost: agents try again
/// every few seconds, and a controller that was away must not read its own absence as theirs.
pub const STARTUP_GRACE: Duration = Duration::from_secs(15);

/// A node's link, and since when it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeLink {
    /// The agent is there.
    Connected {
        /// Since.
        since: Instant,
    },
    /// The link broke without a word.
    Lost {
        /// Since.
        since: Instant,
    },
    /// The agent said goodbye: a clean stop.
    Left {
        /// Since.
        since: Instant,
    },
}

impl NodeLink {
    /// The agent is there.
    #[must_use]
    pub fn is_connected(self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// Since when it is so.
    #[must_use]
    pub fn since(self) -> Instant {
        match self {
            Self::Connected { since } | Self::Lost { since } | Self::Left { since } => since,
        }
    }
}

/// The links of all nodes. A clone is another handle to the same knowledge.
#[derive(Debug, Clone)]
pub struct Liveness(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    started: Instant,
    nodes: RwLock<HashMap<String, NodeLink>>,
    changes: watch::Sender<u64>,
}

impl Default for Liveness {
    fn default() -> Self {
        Self::new()
    }
}

impl Liveness {
    /// Knows nothing yet; the grace of the start begins now.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            started: Instant::now(),
            nodes: RwLock::default(),
            changes: watch::Sender::new(0),
        }))
    }

    /// A node's agent has connected. A newer session of a node that is connected changes nothing.
    ///
    /// Say it before writing the node's status: who marks lost nodes looks here again inside its write,
    /// so what the agent says of itself always comes last.
    pub fn connected(&self, node: &str) {
        self.set(node, |since| NodeLink::Connected { since });
    }

    /// A node's link broke. The caller makes sure that no newer session of the node is open.
    pub fn lost(&self, node: &str) {
        self.set(node, |since| NodeLink::Lost { since });
    }

    /// A node's agent said goodbye and stops.
    pub fn left(&self, node: &str) {
        self.set(node, |since| NodeLink::Left { since });
    }

    /// A node is gone from the API: nothing is known of it any more.
    pub fn forget(&self, node: &str) {
        if self.0.nodes.write().remove(node).is_some() {
            self.announce();
        }
    }

    /// A node's link; nothing when its agent has not been seen since the start.
    #[must_use]
    pub fn get(&self, node: &str) -> Option<NodeLink> {
        self.0.nodes.read().get(node).copied()
    }

    /// A node's link as it counts at `now`: one that has not been seen counts as lost once the grace
    /// of the start is over, and before that as nothing.
    #[must_use]
    pub fn judge(&self, node: &str, now: Instant) -> Option<NodeLink> {
        let since = self.settles_at();
        self.get(node)
            .or_else(|| (now >= since).then_some(NodeLink::Lost { since }))
    }

    /// When the grace of the start is over.
    #[must_use]
    pub fn settles_at(&self) -> Instant {
        self.0.started + STARTUP_GRACE
    }

    /// All nodes that have been seen since the start, sorted by name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, NodeLink)> {
        let mut all: Vec<_> = self
            .0
            .nodes
            .read()
            .iter()
            .map(|(node, link)| (node.clone(), *link))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Counts changes; the newest count only.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Records a change; the same state again keeps its time and wakes nobody.
    fn set(&self, node: &str, state: fn(Instant) -> NodeLink) {
        let new = state(Instant::now());
        let mut nodes = self.0.nodes.write();
        let same = nodes
            .get(node)
            .is_some_and(|old| std::mem::discriminant(old) == std::mem::discriminant(&new));
        if same {
            return;
        }
        nodes.insert(node.to_owned(), new);
        drop(nodes);
        self.announce();
    }

    fn announce(&self) {
        self.0.changes.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_newest_state_counts_and_keeps_its_time() {
        let liveness = Liveness::new();
        let mut changes = liveness.changes();
        liveness.connected("a");
        let Some(NodeLink::Connected { since }) = liveness.get("a") else {
            panic!("connected");
        };
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        tokio::time::advance(Duration::from_secs(5)).await;
        liveness.connected("a");
        assert_eq!(liveness.get("a").unwrap().since(), since);
        assert!(!changes.has_changed().unwrap(), "nothing new was said");
        liveness.lost("a");
        liveness.left("b");
        let states: Vec<_> = liveness.all();
        let lost = NodeLink::Lost {
            since: since + Duration::from_secs(5),
        };
        assert_eq!(states[0], ("a".to_owned(), lost));
        assert!(matches!(states[1].1, NodeLink::Left { .. }));
        liveness.forget("a");
        assert_eq!(liveness.get("a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unseen_node_is_lost_only_after_the_grace() {
        let liveness = Liveness::new();
        assert_eq!(liveness.judge("a", Instant::now()), None);
        tokio::time::advance(STARTUP_GRACE).await;
        let lost = NodeLink::Lost {
            since: liveness.settles_at(),
        };
        assert_eq!(liveness.judge("a", Instant::now()), Some(lost));
        assert_eq!(liveness.get("a"), None);
    }
}
