//! What a pod asks of a node, worked out once when the pod is seen.
//!
//! Source: k8s.io/component-helpers `resource`, k8s.io/kubernetes `pkg/scheduler/framework/types.go`.

use crate::object::Object;
use coracle_api::{
    Key,
    k8s_openapi::{
        api::core::v1::{
            Affinity, ContainerPort, NodeSelector, PodSchedulingGate, PreferredSchedulingTerm,
            ResourceRequirements, Toleration,
        },
        apimachinery::pkg::api::resource,
    },
    quantity::Quantity,
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// What a container without a CPU request counts for when nodes are scored, millicores.
const CPU_MILLI_SCORED: i64 = 100;
/// And without a memory request, bytes.
const MEMORY_SCORED: i64 = 200 * 1024 * 1024;
/// The scheduler a pod must ask for to be scheduled here.
const SCHEDULER_NAME: &str = "default-scheduler";

/// Amounts of what nodes have and pods take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Amounts {
    pub(super) cpu_milli: i64,
    pub(super) memory: i64,
    pub(super) ephemeral_storage: i64,
    pub(super) pods: i64,
    /// Everything else that nodes may have, in whole units.
    pub(super) extended: BTreeMap<String, i64>,
}

type List = BTreeMap<String, resource::Quantity>;

impl Amounts {
    /// Reads a resource list. What is no quantity counts as none: the API has refused it already.
    pub(super) fn of(list: &List) -> Self {
        let mut amounts = Self::default();
        for (name, quantity) in list {
            let Ok(quantity) = Quantity::parse(&quantity.0) else {
                continue;
            };
            let fits = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
            let value = fits(quantity.value());
            match name.as_str() {
                "cpu" => amounts.cpu_milli = fits(quantity.milli_value()),
                "memory" => amounts.memory = value,
                "ephemeral-storage" => amounts.ephemeral_storage = value,
                "pods" => amounts.pods = value,
                other => {
                    amounts.extended.insert(other.to_owned(), value);
                }
            }
        }
        amounts
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.merge(other, i64::saturating_add);
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        self.merge(other, i64::saturating_sub);
    }

    /// The larger of each.
    fn raise_to(&mut self, other: &Self) {
        self.merge(other, i64::max);
    }

    fn merge(&mut self, other: &Self, how: fn(i64, i64) -> i64) {
        self.cpu_milli = how(self.cpu_milli, other.cpu_milli);
        self.memory = how(self.memory, other.memory);
        self.ephemeral_storage = how(self.ephemeral_storage, other.ephemeral_storage);
        self.pods = how(self.pods, other.pods);
        for (name, amount) in &other.extended {
            let mine = self.extended.entry(name.clone()).or_default();
            *mine = how(*mine, *amount);
        }
    }
}

/// A port of the node itself that a container asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct HostPort {
    /// Empty: all addresses.
    pub(super) ip: String,
    pub(super) protocol: String,
    pub(super) port: i32,
}

impl HostPort {
    /// Both cannot be had on one node.
    pub(super) fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip.is_empty() || other.ip.is_empty() || self.ip == other.ip)
    }
}

/// What a pod takes from the node it is on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Footprint {
    pub(super) requests: Amounts,
    /// CPU in millicores and memory in bytes as they count for scores.
    pub(super) scored: [i64; 2],
    pub(super) ports: Vec<HostPort>,
    /// What it is spread with: the same owner, or the same labels in a namespace; empty for neither.
    pub(super) group: String,
}

/// Everything the scheduler knows of a pod.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PodInfo {
    pub(super) uid: Arc<str>,
    pub(super) key: Key,
    /// The node it is bound to, or asked for by name.
    pub(super) node: String,
    /// Takes nothing any more: it has ended.
    pub(super) ended: bool,
    /// Is on its way out.
    pub(super) deleting: bool,
    /// Someone else schedules it, or it is not to be scheduled yet.
    pub(super) not_ours: bool,
    /// It was called unschedulable, with these words.
    pub(super) said: Option<String>,
    pub(super) footprint: Arc<Footprint>,
    pub(super) wishes: Wishes,
}

/// What decides where a pod may go and is best put.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Wishes {
    pub(super) priority: i32,
    pub(super) node_selector: BTreeMap<String, String>,
    pub(super) required: Option<NodeSelector>,
    pub(super) preferred: Vec<PreferredSchedulingTerm>,
    pub(super) tolerations: Vec<Toleration>,
}

/// The part of a pod's JSON that is read; the rest is skipped, not kept.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct View {
    spec: SpecView,
    status: StatusView,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SpecView {
    node_name: Option<String>,
    scheduler_name: Option<String>,
    scheduling_gates: Option<Vec<PodSchedulingGate>>,
    priority: Option<i32>,
    node_selector: Option<BTreeMap<String, String>>,
    affinity: Option<Affinity>,
    tolerations: Option<Vec<Toleration>>,
    containers: Option<Vec<ContainerView>>,
    init_containers: Option<Vec<ContainerView>>,
    resources: Option<ResourceRequirements>,
    overhead: Option<List>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatusView {
    phase: Option<String>,
    conditions: Option<Vec<ConditionView>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConditionView {
    r#type: String,
    status: String,
    message: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ContainerView {
    resources: Option<ResourceRequirements>,
    ports: Option<Vec<ContainerPort>>,
    restart_policy: Option<String>,
}

impl PodInfo {
    /// Reads a Pod object.
    ///
    /// # Errors
    /// When it does not have a Pod's shape.
    pub(super) fn of(object: &Object) -> Result<Self, serde_json::Error> {
        let View { spec, status } = serde_json::from_slice(&object.raw)?;
        let footprint = Arc::new(Footprint {
            requests: requests(&spec),
            scored: scored(&spec),
            ports: host_ports(&spec),
            group: group(object),
        });
        let phase = status.phase.unwrap_or_default();
        let gated = spec.scheduling_gates.is_some_and(|gates| !gates.is_empty());
        let foreign = spec
            .scheduler_name
            .is_some_and(|name| name != SCHEDULER_NAME);
        let affinity = spec
            .affinity
            .and_then(|affinity| affinity.node_affinity)
            .unwrap_or_default();
        let mut conditions = status.conditions.into_iter().flatten();
        let said = conditions
            .find(|condition| condition.r#type == "PodScheduled" && condition.status == "False")
            .and_then(|condition| condition.message);
        Ok(Self {
            uid: object.uid().into(),
            key: object.key.clone(),
            node: spec.node_name.unwrap_or_default(),
            ended: matches!(phase.as_str(), "Succeeded" | "Failed"),
            deleting: object.is_deleting(),
            not_ours: foreign || gated,
            said,
            footprint,
            wishes: Wishes {
                priority: spec.priority.unwrap_or(0),
                node_selector: spec.node_selector.unwrap_or_default(),
                required: affinity.required_during_scheduling_ignored_during_execution,
                preferred: affinity
                    .preferred_during_scheduling_ignored_during_execution
                    .unwrap_or_default(),
                tolerations: spec.tolerations.unwrap_or_default(),
            },
        })
    }
}

fn asked(container: &ContainerView) -> Amounts {
    let requests = container
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref());
    requests.map(Amounts::of).unwrap_or_default()
}

/// Sums the containers; an init container needs its share while it runs, a sidecar for ever.
fn total(spec: &SpecView, of: impl Fn(&ContainerView) -> Amounts) -> Amounts {
    let mut sum = Amounts::default();
    for container in spec.containers.iter().flatten() {
        sum.add(&of(container));
    }
    let mut sidecars = Amounts::default();
    let mut peak = Amounts::default();
    for container in spec.init_containers.iter().flatten() {
        let mut own = of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sum.add(&own);
            sidecars.add(&own);
            own = sidecars.clone();
        } else {
            own.add(&sidecars);
        }
        peak.raise_to(&own);
    }
    sum.raise_to(&peak);
    sum
}

fn requests(spec: &SpecView) -> Amounts {
    let mut sum = total(spec, asked);
    // What is asked for the whole pod stands in place of the sum.
    let whole = spec
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref());
    if let Some(whole) = whole {
        let amounts = Amounts::of(whole);
        if whole.contains_key("cpu") {
            sum.cpu_milli = amounts.cpu_milli;
        }
        if whole.contains_key("memory") {
            sum.memory = amounts.memory;
        }
    }
    if let Some(overhead) = &spec.overhead {
        sum.add(&Amounts::of(overhead));
    }
    sum.pods = 1;
    sum
}

/// As [`requests`], with a share for containers that ask for nothing, so that they spread too.
fn scored(spec: &SpecView) -> [i64; 2] {
    let mut sum = total(spec, |container| {
        let named = |name: &str| {
            let requests = container
                .resources
                .as_ref()
                .and_then(|resources| resources.requests.as_ref());
            requests.is_some_and(|requests| requests.contains_key(name))
        };
        let mut own = asked(container);
        if !named("cpu") {
            own.cpu_milli = CPU_MILLI_SCORED;
        }
        if !named("memory") {
            own.memory = MEMORY_SCORED;
        }
        own
    });
    if let Some(overhead) = &spec.overhead {
        sum.add(&Amounts::of(overhead));
    }
    [sum.cpu_milli, sum.memory]
}

fn host_ports(spec: &SpecView) -> Vec<HostPort> {
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .flatten()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let ip = port.host_ip.clone().unwrap_or_default();
            Some(HostPort {
                ip: if ip == "0.0.0.0" || ip == "::" {
                    String::new()
                } else {
                    ip
                },
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                port: number,
            })
        })
        .collect()
}

/// The pods of one owner belong together; without one, those of the same labels.
fn group(object: &Object) -> String {
    let mut owners = object.meta.owner_references.iter().flatten();
    if let Some(owner) = owners.find(|owner| owner.controller == Some(true)) {
        return owner.uid.clone();
    }
    let labels = object.meta.labels.iter().flatten();
    let mut group = String::new();
    for (name, value) in labels {
        if group.is_empty() {
            group.clone_from(&object.key.namespace);
        }
        group.extend([",", name, "=", value]);
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::{Revision, kind};
    use serde_json::{Value, json};

    fn info(spec: Value) -> PodInfo {
        let value = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec});
        PodInfo::of(&Object::new(kind::POD, Revision(1), value).unwrap()).unwrap()
    }

    fn container(cpu: &str, memory: &str) -> Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}})
    }

    #[track_caller]
    fn check(spec: Value, cpu_milli: i64, memory: i64) {
        let info = info(spec);
        let requests = &info.footprint.requests;
        assert_eq!((requests.cpu_milli, requests.memory), (cpu_milli, memory));
        assert_eq!(requests.pods, 1);
    }

    #[test]
    fn requests_are_summed_as_upstream() {
        let sidecar = |cpu, memory| {
            let mut sidecar = container(cpu, memory);
            sidecar["restartPolicy"] = json!("Always");
            sidecar
        };
        check(json!({"containers": [{"name": "c"}]}), 0, 0);
        check(
            json!({"containers": [container("100m", "1Ki"), container("1", "1")]}),
            1100,
            1025,
        );
        let big_init = json!({"containers": [container("100m", "10")], "initContainers": [container("1", "5")]});
        check(big_init, 1000, 10);
        let with_sidecar = json!({"containers": [container("100m", "10")],
            "initContainers": [sidecar("200m", "1"), container("150m", "1")]});
        check(with_sidecar, 350, 11);
        let overhead = json!({"containers": [container("100m", "10")], "overhead": {"cpu": "50m", "memory": "5"}});
        check(overhead, 150, 15);
        let whole = json!({"containers": [container("100m", "10")], "resources": {"requests": {"cpu": "2"}}});
        check(whole, 2000, 10);
    }

    #[test]
    fn who_asks_for_nothing_still_counts_for_scores() {
        let nothing = info(json!({"containers": [{"name": "c"}, {"name": "d"}]}));
        assert_eq!(nothing.footprint.scored, [200, 400 * 1024 * 1024]);
        let zero = info(json!({"containers": [container("0", "0")]}));
        assert_eq!(zero.footprint.scored, [0, 0]);
    }

    #[test]
    fn ports_conflict_by_address_protocol_and_number() {
        let port = |ip: &str, protocol: &str, port| HostPort {
            ip: ip.to_owned(),
            protocol: protocol.to_owned(),
            port,
        };
        let cases = [
            (port("", "TCP", 1), port("", "TCP", 1), true),
            (port("10.0.0.1", "TCP", 1), port("", "TCP", 1), true),
            (
                port("10.0.0.1", "TCP", 1),
                port("10.0.0.2", "TCP", 1),
                false,
            ),
            (port("", "TCP", 1), port("", "UDP", 1), false),
            (port("", "TCP", 1), port("", "TCP", 2), false),
        ];
        for (a, b, expected) in cases {
            assert_eq!(a.conflicts(&b), expected, "{a:?} {b:?}");
        }
        let ports = json!([{"containerPort": 80}, {"containerPort": 81, "hostPort": 8081, "hostIP": "0.0.0.0"}]);
        let found = info(json!({"containers": [{"name": "c", "ports": ports}]}));
        assert_eq!(found.footprint.ports, [port("", "TCP", 8081)]);
    }

    #[test]
    fn whose_pod_it_is() {
        assert!(!info(json!({"schedulerName": "default-scheduler"})).not_ours);
        assert!(info(json!({"schedulerName": "mine"})).not_ours);
        assert!(info(json!({"schedulingGates": [{"name": "g"}]})).not_ours);
    }

    #[test]
    fn a_group_is_an_owner_or_labels() {
        let of = |meta: Value| {
            let object = Object::new(kind::POD, Revision(1), json!({"metadata": meta})).unwrap();
            group(&object)
        };
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true});
        assert_eq!(
            of(json!({"name": "p", "namespace": "n", "ownerReferences": [owner]})),
            "u"
        );
        assert_eq!(
            of(json!({"name": "p", "namespace": "n", "labels": {"a": "b"}})),
            "n,a=b"
        );
        assert_eq!(of(json!({"name": "p", "namespace": "n"})), "");
    }
}
