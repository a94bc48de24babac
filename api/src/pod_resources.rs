//! What a pod asks for in all: its containers, sidecars and init containers, or what is said of the whole pod.
//!
//! Source: k8s.io/component-helpers `resource`.

use crate::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by resource.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// Which of the two lists of a container or pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Requests,
    Limits,
}

impl List {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
        }
    }
}

/// A list of JSON; what is no quantity is left out, validation refuses it.
pub(crate) fn amounts(list: &Value) -> Amounts {
    let entries = list.as_object().into_iter().flatten();
    entries
        .filter_map(|(name, value)| Some((name.clone(), Quantity::read(value).ok()?)))
        .collect()
}

/// A list of a container.
pub(crate) fn of_container(container: &Value, list: List) -> Amounts {
    amounts(&container["resources"][list.name()])
}

/// Every container of a pod's spec that takes part from its start, init containers last.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| spec[list].as_array().into_iter().flatten())
}

/// What is said of the whole pod, of the resources that it may be said of.
pub(crate) fn of_whole_pod(spec: &Value, list: List) -> Amounts {
    let mut whole = amounts(&spec["resources"][list.name()]);
    whole.retain(|name, _| is_of_whole_pod(name));
    whole
}

/// Whether it may be said of a whole pod how much it has.
pub(crate) fn is_of_whole_pod(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_page(name)
}

pub(crate) fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// The sum over a pod, without its overhead: an init container needs its share while it runs, a sidecar for ever.
pub(crate) fn total(spec: &Value, list: List) -> Amounts {
    let mut sum = Amounts::new();
    for container in spec["containers"].as_array().into_iter().flatten() {
        add(&mut sum, &of_container(container, list));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in spec["initContainers"].as_array().into_iter().flatten() {
        let mut own = of_container(container, list);
        if container["restartPolicy"] == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            own.clone_from(&sidecars);
        } else {
            add(&mut own, &sidecars);
        }
        raise(&mut peak, own);
    }
    raise(&mut sum, peak);
    sum.extend(of_whole_pod(spec, list));
    sum
}

/// As [`total`], with what it costs to run the pod at all. A resource without a limit stays without one.
pub(crate) fn total_with_overhead(spec: &Value, list: List) -> Amounts {
    let mut sum = total(spec, list);
    let mut overhead = amounts(&spec["overhead"]);
    if list == List::Limits {
        overhead.retain(|name, _| sum.get(name).is_some_and(|limit| limit.milli_value() != 0));
    }
    add(&mut sum, &overhead);
    sum
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let before = sum.get(name).copied();
        let after = before.map_or(*amount, |before| before.plus(*amount));
        sum.insert(name.clone(), after);
    }
}

fn raise(to: &mut Amounts, by: Amounts) {
    for (name, amount) in by {
        let lower = to
            .get(&name)
            .is_none_or(|there| there.milli_value() < amount.milli_value());
        if lower {
            to.insert(name, amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(cpu: &str) -> Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}})
    }

    #[track_caller]
    fn check(spec: &Value, requests: &str, limits: &str) {
        let cpu = |list| {
            let sum = total_with_overhead(spec, list);
            sum.get("cpu").map(ToString::to_string).unwrap_or_default()
        };
        assert_eq!([cpu(List::Requests), cpu(List::Limits)], [requests, limits]);
    }

    #[test]
    fn sums() {
        let sidecar = |cpu: &str| {
            let mut sidecar = container(cpu);
            sidecar["restartPolicy"] = json!("Always");
            sidecar
        };
        check(&json!({"containers": [{"name": "c"}]}), "", "");
        check(
            &json!({"containers": [container("1"), container("200m")]}),
            "1200m",
            "1200m",
        );
        check(
            &json!({"containers": [container("1")], "initContainers": [container("3"), container("2")]}),
            "3",
            "3",
        );
        check(
            &json!({"containers": [container("1")], "initContainers": [sidecar("500m"), container("2")]}),
            "2500m",
            "2500m",
        );
        check(
            &json!({"containers": [container("1")], "overhead": {"cpu": "250m"}}),
            "1250m",
            "1250m",
        );
        check(
            &json!({"containers": [{"name": "c"}], "overhead": {"cpu": "250m"}}),
            "250m",
            "",
        );
        check(
            &json!({"containers": [container("1")], "resources": {"requests": {"cpu": "4", "x.io/y": "1"}}}),
            "4",
            "1",
        );
    }
}
