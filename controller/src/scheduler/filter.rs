//! Where a pod may go: pure predicates over one pod and one node, with upstream's words.
//!
//! The first that fails speaks for a node, in upstream's order. Source: k8s.io/kubernetes
//! `pkg/scheduler/framework/plugins`, k8s.io/component-helpers `scheduling/corev1`.

use super::{
    pod::{Amounts, PodInfo},
    queue::Wake,
    snapshot::{NodeFacts, NodeInfo},
};
use crate::taint::tolerates;
use coracle_api::k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration,
};
use std::{borrow::Cow, fmt};

/// Values of these labels that every node has beside its own: a wasm guest runs anywhere.
const EVERYWHERE: [(&str, &[&str]); 2] = [
    ("kubernetes.io/arch", &["wasm32-wasi", "wasm"]),
    ("kubernetes.io/os", &["wasi", "linux"]),
];
/// The taint that cordoning stands for.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Why a node is out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Reason {
    /// Another node is asked for by name.
    NodeName,
    /// Cordoned.
    Unschedulable,
    /// A taint is not tolerated. Which one is not said: a pod's owner need not know nodes' taints.
    Taint,
    /// Selector or affinity.
    Affinity,
    /// A host port is taken.
    Ports,
    /// No place for one more pod.
    TooManyPods,
    /// Too little of a resource.
    Insufficient(Cow<'static, str>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeName => "node(s) didn't match the requested node name",
            Self::Unschedulable => "node(s) were unschedulable",
            Self::Taint => "node(s) had untolerated taint(s)",
            Self::Affinity => "node(s) didn't match Pod's node affinity/selector",
            Self::Ports => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::Insufficient(resource) => return write!(f, "Insufficient {resource}"),
        })
    }
}

impl Reason {
    /// What would have to change for the node to come into question.
    pub(super) fn cured_by(&self) -> Wake {
        match self {
            Self::NodeName => Wake::NOTHING,
            Self::Unschedulable | Self::Taint => Wake::TAINTS,
            Self::Affinity => Wake::LABELS,
            Self::Ports | Self::TooManyPods | Self::Insufficient(_) => Wake::ROOM,
        }
    }
}

/// May the pod go there? Every resource that is short is named, of the rest the first that fails.
pub(super) fn check(pod: &PodInfo, node: &NodeInfo, facts: &NodeFacts) -> Result<(), Vec<Reason>> {
    let wishes = &pod.wishes;
    if facts.unschedulable && !tolerates_cordon(&wishes.tolerations) {
        return Err(vec![Reason::Unschedulable]);
    }
    if !pod.node.is_empty() && pod.node != node.name {
        return Err(vec![Reason::NodeName]);
    }
    let repels = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
    if untolerated(&facts.taints, &wishes.tolerations).any(|taint| repels(&taint)) {
        return Err(vec![Reason::Taint]);
    }
    let selected = wishes
        .node_selector
        .iter()
        .all(|(key, value)| has(facts, key, value));
    let wanted = |required: &NodeSelector| {
        let mut terms = required.node_selector_terms.iter();
        terms.any(|term| matches(term, &node.name, facts))
    };
    if !selected || !wishes.required.as_ref().is_none_or(wanted) {
        return Err(vec![Reason::Affinity]);
    }
    let taken = |port| node.ports.iter().any(|taken| taken.conflicts(port));
    if pod.footprint.ports.iter().any(taken) {
        return Err(vec![Reason::Ports]);
    }
    let short = shortage(&pod.footprint.requests, &node.used, &facts.allocatable);
    if short.is_empty() { Ok(()) } else { Err(short) }
}

fn shortage(wanted: &Amounts, used: &Amounts, allocatable: &Amounts) -> Vec<Reason> {
    let mut short = Vec::new();
    if used.pods.saturating_add(1) > allocatable.pods {
        short.push(Reason::TooManyPods);
    }
    let lacks = |wanted: i64, used: i64, all: i64| wanted > 0 && wanted > all.saturating_sub(used);
    let resources = [
        (
            "cpu",
            wanted.cpu_milli,
            used.cpu_milli,
            allocatable.cpu_milli,
        ),
        ("memory", wanted.memory, used.memory, allocatable.memory),
        (
            "ephemeral-storage",
            wanted.ephemeral_storage,
            used.ephemeral_storage,
            allocatable.ephemeral_storage,
        ),
    ];
    for (name, wanted, used, all) in resources {
        if lacks(wanted, used, all) {
            short.push(Reason::Insufficient(Cow::Borrowed(name)));
        }
    }
    for (name, wanted) in &wanted.extended {
        let of = |amounts: &Amounts| amounts.extended.get(name).copied().unwrap_or(0);
        if lacks(*wanted, of(used), of(allocatable)) {
            short.push(Reason::Insufficient(Cow::Owned(name.clone())));
        }
    }
    short
}

fn tolerates_cordon(tolerations: &[Toleration]) -> bool {
    let taint = Taint {
        key: UNSCHEDULABLE.to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    tolerations
        .iter()
        .any(|toleration| tolerates(toleration, &taint))
}

/// The taints that none of the tolerations covers.
pub(super) fn untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &'a [Toleration],
) -> impl Iterator<Item = &'a Taint> {
    taints.iter().filter(|taint| {
        !tolerations
            .iter()
            .any(|toleration| tolerates(toleration, taint))
    })
}

/// The node has this label, or the value is one that every node has.
fn has(facts: &NodeFacts, key: &str, value: &str) -> bool {
    facts.labels.get(key).is_some_and(|own| own == value) || everywhere(key).contains(&value)
}

fn everywhere(key: &str) -> &'static [&'static str] {
    let mut all = EVERYWHERE.iter();
    all.find(|(label, _)| *label == key)
        .map_or(&[], |(_, values)| *values)
}

/// All parts of a term hold; an empty term holds nowhere, as upstream.
pub(super) fn matches(term: &NodeSelectorTerm, name: &str, facts: &NodeFacts) -> bool {
    let labels = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if labels.is_empty() && fields.is_empty() {
        return false;
    }
    labels
        .iter()
        .all(|requirement| label_holds(requirement, facts))
        && fields
            .iter()
            .all(|requirement| field_holds(requirement, name))
}

fn label_holds(requirement: &NodeSelectorRequirement, facts: &NodeFacts) -> bool {
    let key = requirement.key.as_str();
    let own = facts.labels.get(key);
    let values = requirement.values.as_deref().unwrap_or_default();
    let any = || values.iter().any(|value| has(facts, key, value));
    let exists = || own.is_some() || !everywhere(key).is_empty();
    let compared = |holds: fn(i64, i64) -> bool| {
        let own = own.and_then(|own| own.parse().ok());
        let bound = values.first().and_then(|bound| bound.parse().ok());
        matches!((own, bound), (Some(own), Some(bound)) if holds(own, bound))
    };
    match requirement.operator.as_str() {
        "In" => any(),
        "NotIn" => !any(),
        "Exists" => exists(),
        "DoesNotExist" => !exists(),
        "Gt" => compared(|own, bound| own > bound),
        "Lt" => compared(|own, bound| own < bound),
        _ => false,
    }
}

/// The only field nodes are selected by is their name.
fn field_holds(requirement: &NodeSelectorRequirement, name: &str) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = values.iter().any(|value| value == name);
    match (requirement.key.as_str(), requirement.operator.as_str()) {
        ("metadata.name", "In") => listed,
        ("metadata.name", "NotIn") => !listed,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
