//! The nodes as the scheduler sees them, kept up to date change by change.
//!
//! Owned by the one scheduling task; no I/O, no clock. What stands on a node is always the sum of what
//! was put there and not taken away: a decision never walks over pods.

use super::{
    pod::{Amounts, Footprint, HostPort},
    queue::Wake,
};
use coracle_api::k8s_openapi::api::core::v1::{Node, Taint};
use std::{collections::HashMap, sync::Arc};

/// The label that says which zone a node is in.
const ZONE: &str = "topology.kubernetes.io/zone";

/// What a Node object says that matters here.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct NodeFacts {
    pub(super) labels: HashMap<String, String>,
    pub(super) taints: Vec<Taint>,
    pub(super) unschedulable: bool,
    pub(super) allocatable: Amounts,
}

impl NodeFacts {
    pub(super) fn of(node: &Node) -> Self {
        let spec = node.spec.as_ref();
        let status = node.status.as_ref();
        let amounts = status.and_then(|status| {
            let allocatable = status.allocatable.as_ref();
            allocatable.or(status.capacity.as_ref())
        });
        Self {
            labels: node.metadata.labels.clone().into_iter().flatten().collect(),
            taints: spec
                .and_then(|spec| spec.taints.clone())
                .unwrap_or_default(),
            unschedulable: spec.and_then(|spec| spec.unschedulable) == Some(true),
            allocatable: amounts.map(Amounts::of).unwrap_or_default(),
        }
    }
}

impl NodeFacts {
    /// The zone it is in.
    pub(super) fn zone(&self) -> Option<&str> {
        self.labels.get(ZONE).map(String::as_str)
    }
}

/// A node and what stands on it.
#[derive(Debug, Default)]
pub(super) struct NodeInfo {
    pub(super) name: String,
    /// None while pods name a node that nobody has seen.
    pub(super) facts: Option<NodeFacts>,
    pub(super) used: Amounts,
    pub(super) scored: [i64; 2],
    pub(super) ports: Vec<HostPort>,
    pub(super) pods: usize,
}

impl NodeInfo {
    fn add(&mut self, footprint: &Footprint) {
        self.pods += 1;
        self.used.add(&footprint.requests);
        for (mine, more) in self.scored.iter_mut().zip(footprint.scored) {
            *mine = mine.saturating_add(more);
        }
        self.ports.extend(footprint.ports.iter().cloned());
    }

    fn subtract(&mut self, footprint: &Footprint) {
        self.pods = self.pods.saturating_sub(1);
        self.used.subtract(&footprint.requests);
        for (mine, less) in self.scored.iter_mut().zip(footprint.scored) {
            *mine = mine.saturating_sub(less);
        }
        for port in &footprint.ports {
            if let Some(at) = self.ports.iter().position(|mine| mine == port) {
                self.ports.swap_remove(at);
            }
        }
    }
}

/// How many pods of one group stand where.
#[derive(Debug, Default)]
pub(super) struct Group {
    nodes: HashMap<usize, i64>,
    zones: HashMap<String, i64>,
}

impl Group {
    pub(super) fn on_node(&self, slot: usize) -> i64 {
        self.nodes.get(&slot).copied().unwrap_or(0)
    }

    pub(super) fn in_zone(&self, zone: &str) -> i64 {
        self.zones.get(zone).copied().unwrap_or(0)
    }
}

#[derive(Debug)]
struct Placed {
    slot: usize,
    footprint: Arc<Footprint>,
    /// The zone it was counted in.
    zone: Option<String>,
}

/// All nodes. A node is known by its slot, which stays while the node does.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    nodes: Vec<Option<NodeInfo>>,
    by_name: HashMap<String, usize>,
    free: Vec<usize>,
    placed: HashMap<Arc<str>, Placed>,
    groups: HashMap<String, Group>,
    zones: HashMap<String, usize>,
    known: usize,
}

impl Snapshot {
    /// Slots, some of them empty.
    pub(super) fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// The node in a slot, if one with a Node object is there.
    pub(super) fn node(&self, slot: usize) -> Option<(&NodeInfo, &NodeFacts)> {
        let node = self.nodes.get(slot)?.as_ref()?;
        Some((node, node.facts.as_ref()?))
    }

    /// The slot of a node by name, if it has a Node object.
    #[cfg(test)]
    pub(super) fn slot(&self, name: &str) -> Option<usize> {
        let slot = *self.by_name.get(name)?;
        self.node(slot).map(|_node| slot)
    }

    /// How many nodes have a Node object.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    /// How many zones those are in.
    pub(super) fn zones(&self) -> usize {
        self.zones.len()
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// All pods that stand somewhere.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Arc<str>> {
        self.placed.keys()
    }

    /// The names of all nodes that have a Node object.
    pub(super) fn names(&self) -> Vec<String> {
        let nodes = self.nodes.iter().flatten();
        nodes
            .filter(|node| node.facts.is_some())
            .map(|node| node.name.clone())
            .collect()
    }

    /// Takes in a Node object; says which pods may now fit where they did not before.
    pub(super) fn set_node(&mut self, name: &str, facts: NodeFacts) -> Wake {
        let slot = self.slot_of(name);
        let Some(node) = self.nodes[slot].as_mut() else {
            return Wake::NOTHING;
        };
        let old = node.facts.replace(facts.clone());
        let wake = match &old {
            None => {
                self.known += 1;
                Wake::ANYTHING
            }
            Some(old) => what_changed(old, &facts),
        };
        let before = old.and_then(|mut old| old.labels.remove(ZONE));
        let after = facts.labels.get(ZONE).cloned();
        if before != after {
            self.leave_zone(before.as_deref());
            if let Some(zone) = after {
                *self.zones.entry(zone).or_default() += 1;
            }
            self.recount_zone(slot);
        }
        wake
    }

    /// A Node object is gone; pods that name it may still be there.
    pub(super) fn remove_node(&mut self, name: &str) {
        let Some(&slot) = self.by_name.get(name) else {
            return;
        };
        let facts = self.nodes[slot].as_mut().and_then(|node| node.facts.take());
        if let Some(facts) = facts {
            self.known -= 1;
            self.leave_zone(facts.labels.get(ZONE).map(String::as_str));
            self.recount_zone(slot);
        }
        self.drop_if_unused(slot);
    }

    /// Puts a pod on a node, or moves or changes it; true when that freed something.
    pub(super) fn place(&mut self, uid: &Arc<str>, node: &str, footprint: &Arc<Footprint>) -> bool {
        if let Some(placed) = self.placed.get(uid) {
            let same_node = self.by_name.get(node) == Some(&placed.slot);
            if same_node && placed.footprint == *footprint {
                return false;
            }
        }
        let freed = self.remove(uid);
        let slot = self.slot_of(node);
        let Some(info) = self.nodes[slot].as_mut() else {
            return freed;
        };
        info.add(footprint);
        let zone = info
            .facts
            .as_ref()
            .and_then(|facts| facts.labels.get(ZONE))
            .cloned();
        self.count_in_group(footprint, slot, zone.as_deref(), 1);
        let placed = Placed {
            slot,
            footprint: Arc::clone(footprint),
            zone,
        };
        self.placed.insert(Arc::clone(uid), placed);
        freed
    }

    /// Takes a pod away; false when it was nowhere.
    pub(super) fn remove(&mut self, uid: &str) -> bool {
        let Some(placed) = self.placed.remove(uid) else {
            return false;
        };
        if let Some(node) = self.nodes[placed.slot].as_mut() {
            node.subtract(&placed.footprint);
        }
        let zone = placed.zone.as_deref();
        self.count_in_group(&placed.footprint, placed.slot, zone, -1);
        self.drop_if_unused(placed.slot);
        true
    }

    fn slot_of(&mut self, name: &str) -> usize {
        if let Some(slot) = self.by_name.get(name) {
            return *slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        self.nodes[slot] = Some(NodeInfo {
            name: name.to_owned(),
            ..NodeInfo::default()
        });
        self.by_name.insert(name.to_owned(), slot);
        slot
    }

    fn drop_if_unused(&mut self, slot: usize) {
        let unused = |node: &NodeInfo| node.facts.is_none() && node.pods == 0;
        if let Some(node) = self.nodes[slot].take_if(|node| unused(node)) {
            self.by_name.remove(&node.name);
            self.free.push(slot);
        }
    }

    fn leave_zone(&mut self, zone: Option<&str>) {
        if let Some(zone) = zone
            && let Some(count) = self.zones.get_mut(zone)
        {
            *count -= 1;
            if *count == 0 {
                self.zones.remove(zone);
            }
        }
    }

    /// A node changed its zone, which is rare: the pods on it count in the new one.
    fn recount_zone(&mut self, slot: usize) {
        let zone = self
            .node(slot)
            .and_then(|(_, facts)| facts.labels.get(ZONE))
            .cloned();
        let here = |placed: &&mut Placed| placed.slot == slot && placed.zone != zone;
        let mut moved = Vec::new();
        for placed in self.placed.values_mut().filter(here) {
            let old = std::mem::replace(&mut placed.zone, zone.clone());
            moved.push((Arc::clone(&placed.footprint), old));
        }
        for (footprint, old) in moved {
            self.count_in_group(&footprint, slot, old.as_deref(), -1);
            self.count_in_group(&footprint, slot, zone.as_deref(), 1);
        }
    }

    fn count_in_group(&mut self, footprint: &Footprint, slot: usize, zone: Option<&str>, by: i64) {
        if footprint.group.is_empty() {
            return;
        }
        if !self.groups.contains_key(&footprint.group) {
            self.groups
                .insert(footprint.group.clone(), Group::default());
        }
        let Some(group) = self.groups.get_mut(&footprint.group) else {
            return;
        };
        let count = group.nodes.entry(slot).or_default();
        *count += by;
        if *count == 0 {
            group.nodes.remove(&slot);
        }
        if let Some(zone) = zone {
            let count = group.zones.entry(zone.to_owned()).or_default();
            *count += by;
            if *count == 0 {
                group.zones.remove(zone);
            }
        }
        if group.nodes.is_empty() {
            self.groups.remove(&footprint.group);
        }
    }
}

fn what_changed(old: &NodeFacts, new: &NodeFacts) -> Wake {
    let mut wake = Wake::NOTHING;
    if old.labels != new.labels {
        wake = wake | Wake::LABELS;
    }
    if old.taints != new.taints || old.unschedulable != new.unschedulable {
        wake = wake | Wake::TAINTS;
    }
    if old.allocatable != new.allocatable {
        wake = wake | Wake::ROOM;
    }
    wake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footprint(cpu_milli: i64, group: &str) -> Arc<Footprint> {
        let requests = Amounts {
            cpu_milli,
            pods: 1,
            ..Amounts::default()
        };
        Arc::new(Footprint {
            requests,
            scored: [cpu_milli, 0],
            ports: vec![HostPort {
                ip: String::new(),
                protocol: "TCP".to_owned(),
                port: 80,
            }],
            group: group.to_owned(),
        })
    }

    fn facts(zone: &str) -> NodeFacts {
        NodeFacts {
            labels: HashMap::from([(ZONE.to_owned(), zone.to_owned())]),
            ..NodeFacts::default()
        }
    }

    #[test]
    fn what_stands_on_a_node_is_the_sum_of_what_was_put_there() {
        let mut snapshot = Snapshot::default();
        assert_eq!(snapshot.set_node("n", facts("z")), Wake::ANYTHING);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert!(!snapshot.place(&a, "n", &footprint(100, "g")));
        assert!(!snapshot.place(&b, "n", &footprint(50, "g")));
        assert!(!snapshot.place(&a, "n", &footprint(100, "g")), "said twice");
        let slot = snapshot.slot("n").unwrap();
        assert_eq!(snapshot.node(slot).unwrap().0.used.cpu_milli, 150);
        assert_eq!(snapshot.node(slot).unwrap().0.ports.len(), 2);
        assert_eq!(snapshot.group("g").unwrap().on_node(slot), 2);
        assert_eq!(snapshot.group("g").unwrap().in_zone("z"), 2);
        assert!(snapshot.place(&a, "n", &footprint(10, "g")), "it shrank");
        assert!(snapshot.remove("b") && !snapshot.remove("b"));
        assert_eq!(snapshot.node(slot).unwrap().0.used.cpu_milli, 10);
        assert!(snapshot.remove("a"));
        assert!(snapshot.group("g").is_none());
    }

    #[test]
    fn a_pod_may_be_seen_before_its_node_and_outlive_it() {
        let mut snapshot = Snapshot::default();
        let a: Arc<str> = "a".into();
        snapshot.place(&a, "n", &footprint(100, "g"));
        assert_eq!((snapshot.known(), snapshot.slot("n")), (0, None));
        snapshot.set_node("n", facts("z"));
        assert_eq!((snapshot.known(), snapshot.zones()), (1, 1));
        assert_eq!(snapshot.group("g").unwrap().in_zone("z"), 1);
        snapshot.remove_node("n");
        assert_eq!((snapshot.known(), snapshot.zones()), (0, 0));
        assert_eq!(snapshot.group("g").unwrap().in_zone("z"), 0);
        snapshot.remove("a");
        snapshot.set_node("m", facts("z"));
        assert_eq!(snapshot.slots(), 1, "the slot is used again");
    }

    #[test]
    fn a_changed_node_says_who_may_profit() {
        let mut snapshot = Snapshot::default();
        snapshot.set_node("n", facts("z"));
        assert_eq!(snapshot.set_node("n", facts("z")), Wake::NOTHING);
        assert_eq!(snapshot.set_node("n", facts("y")), Wake::LABELS);
        let cordoned = NodeFacts {
            unschedulable: true,
            ..facts("y")
        };
        assert_eq!(snapshot.set_node("n", cordoned), Wake::TAINTS);
    }
}
