//! Where a pod is best put, among the nodes it may go to: pure sums of a few views.
//!
//! Each view gives 0 to 100; weights are upstream's. Source: k8s.io/kubernetes
//! `pkg/scheduler/framework/plugins`.

use super::{
    filter,
    pod::PodInfo,
    snapshot::{NodeFacts, NodeInfo, Snapshot},
};

/// The best a view can say.
const BEST: i64 = 100;
/// Nodes whose taints ask to stay away are the last choice.
const TAINTS_WEIGHT: i64 = 3;
/// Pods of one owner are spread over nodes and zones.
const SPREAD_WEIGHT: i64 = 2;
/// What the pod prefers.
const AFFINITY_WEIGHT: i64 = 2;
/// The emptier node.
const ROOM_WEIGHT: i64 = 1;

/// The best of `feasible`; of several equals the first.
pub(super) fn best(pod: &PodInfo, snapshot: &Snapshot, feasible: &[usize]) -> Option<usize> {
    let nodes: Vec<(usize, &NodeInfo, &NodeFacts)> = feasible
        .iter()
        .filter_map(|slot| {
            snapshot
                .node(*slot)
                .map(|(node, facts)| (*slot, node, facts))
        })
        .collect();
    let taints = reversed(nodes.iter().map(|(_, _, facts)| unwelcome(pod, facts)));
    let affinity = raised(
        nodes
            .iter()
            .map(|(_, node, facts)| preferred(pod, node, facts)),
    );
    let spread = spread(pod, snapshot, &nodes);
    let mut best: Option<(i64, usize)> = None;
    for (at, (slot, node, facts)) in nodes.iter().enumerate() {
        let score = ROOM_WEIGHT * room(pod, node, facts)
            + TAINTS_WEIGHT * taints.get(at).copied().unwrap_or(BEST)
            + AFFINITY_WEIGHT * affinity.get(at).copied().unwrap_or(0)
            + SPREAD_WEIGHT * spread.get(at).copied().unwrap_or(0);
        if best.is_none_or(|(highest, _)| score > highest) {
            best = Some((score, *slot));
        }
    }
    best.map(|(_, slot)| slot)
}

/// Free CPU and memory after the pod, in percent of what the node has.
fn room(pod: &PodInfo, node: &NodeInfo, facts: &NodeFacts) -> i64 {
    let all = [facts.allocatable.cpu_milli, facts.allocatable.memory];
    let mut sum = 0;
    let mut views = 0;
    for ((all, used), wanted) in all.into_iter().zip(node.scored).zip(pod.footprint.scored) {
        if all <= 0 {
            continue;
        }
        views += 1;
        let free = all.saturating_sub(used).saturating_sub(wanted).max(0);
        sum += free.saturating_mul(BEST) / all;
    }
    if views == 0 { 0 } else { sum / views }
}

/// How many taints ask this pod to stay away if it can.
fn unwelcome(pod: &PodInfo, facts: &NodeFacts) -> i64 {
    let soft = filter::untolerated(&facts.taints, &pod.wishes.tolerations)
        .filter(|taint| taint.effect == "PreferNoSchedule")
        .count();
    i64::try_from(soft).unwrap_or(i64::MAX)
}

fn preferred(pod: &PodInfo, node: &NodeInfo, facts: &NodeFacts) -> i64 {
    let holds = pod
        .wishes
        .preferred
        .iter()
        .filter(|term| filter::matches(&term.preference, &node.name, facts));
    holds.map(|term| i64::from(term.weight)).sum()
}

/// Fewer pods of the same group on the node and in its zone are better. Empty when nothing is to be
/// spread. As upstream's default constraints, each level weighs by the logarithm of its size.
fn spread(
    pod: &PodInfo,
    snapshot: &Snapshot,
    nodes: &[(usize, &NodeInfo, &NodeFacts)],
) -> Vec<i64> {
    let Some(group) = snapshot.group(&pod.footprint.group) else {
        return Vec::new();
    };
    let weight = |size: usize| {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        (f64::from(size) + 2.0).ln()
    };
    let (by_node, by_zone) = (weight(nodes.len()), weight(snapshot.zones()));
    let crowd = |(slot, _, facts): &(usize, &NodeInfo, &NodeFacts)| {
        let zone = facts.zone().map_or(0, |zone| group.in_zone(zone));
        let count = |n: i64| f64::from(i32::try_from(n).unwrap_or(i32::MAX));
        count(group.on_node(*slot)) * by_node + count(zone) * by_zone
    };
    let crowds: Vec<f64> = nodes.iter().map(crowd).collect();
    let most = crowds.iter().copied().fold(0.0, f64::max);
    let least = crowds.iter().copied().fold(f64::INFINITY, f64::min);
    let percent = |crowd: &f64| {
        if most <= 0.0 {
            return BEST;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "between 0 and 100 by construction"
        )]
        let score = (100.0 * (most + least - crowd) / most) as i64;
        score
    };
    crowds.iter().map(percent).collect()
}

/// Scaled so that the highest is 100. Empty when all are nothing.
fn raised(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut values: Vec<i64> = values.collect();
    let most = values.iter().copied().max().unwrap_or(0);
    if most <= 0 {
        return Vec::new();
    }
    for value in &mut values {
        *value = value.saturating_mul(BEST) / most;
    }
    values
}

/// As [`raised`], the lowest being the best. Empty when all are the best.
fn reversed(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut values = raised(values);
    for value in &mut values {
        *value = BEST - *value;
    }
    values
}

#[cfg(test)]
mod tests;
