//! Which objects a quota is about.

use crate::{KindRef, kind};
use serde_json::Value;

/// One condition; all of a quota's must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    name: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// Both lists of a quota's spec.
pub(super) fn of_quota(spec: &Value) -> Vec<Scope> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let plain = list(&spec["scopes"]).into_iter().map(|name| Scope {
        name: text(&name),
        operator: Operator::Exists,
        values: Vec::new(),
    });
    let selected = list(&spec["scopeSelector"]["matchExpressions"]);
    let selected = selected.into_iter().map(|one| Scope {
        name: text(&one["scopeName"]),
        operator: match one["operator"].as_str() {
            Some("In") => Operator::In,
            Some("NotIn") => Operator::NotIn,
            Some("DoesNotExist") => Operator::DoesNotExist,
            _ => Operator::Exists,
        },
        values: list(&one["values"]).iter().map(text).collect(),
    });
    plain.chain(selected).collect()
}

impl Scope {
    /// Whether it holds for an object. Of most kinds none ever does.
    pub(super) fn has(&self, of: KindRef, object: &Value) -> bool {
        if of == kind::POD {
            return self.has_pod(object);
        }
        of == kind::PERSISTENT_VOLUME_CLAIM
            && self.name == "VolumeAttributesClass"
            && self.has_name(&attributes_classes(object))
    }

    fn has_pod(&self, pod: &Value) -> bool {
        let spec = &pod["spec"];
        let ends = spec["activeDeadlineSeconds"]
            .as_i64()
            .is_some_and(|secs| secs >= 0);
        match self.name.as_str() {
            "Terminating" => ends,
            "NotTerminating" => !ends,
            "BestEffort" => is_best_effort(pod),
            "NotBestEffort" => !is_best_effort(pod),
            "CrossNamespacePodAffinity" => looks_elsewhere(&spec["affinity"]),
            "PriorityClass" => {
                let name = spec["priorityClassName"].as_str().unwrap_or_default();
                let names: Vec<&str> = [name].into_iter().filter(|name| !name.is_empty()).collect();
                self.has_name(&names)
            }
            _ => false,
        }
    }

    /// Of what has these names, or none.
    fn has_name(&self, names: &[&str]) -> bool {
        let listed = |name: &&str| self.values.iter().any(|value| value == name);
        match self.operator {
            Operator::Exists => !names.is_empty(),
            Operator::DoesNotExist => names.is_empty(),
            Operator::In => names.iter().any(listed),
            Operator::NotIn => names.is_empty() || names.iter().any(|name| !listed(name)),
        }
    }
}

fn is_best_effort(pod: &Value) -> bool {
    if let Some(class) = pod["status"]["qosClass"].as_str() {
        return class == "BestEffort";
    }
    let asks = |container: &Value| {
        ["requests", "limits"].iter().any(|list| {
            ["cpu", "memory"]
                .iter()
                .any(|name| !container["resources"][*list][*name].is_null())
        })
    };
    !crate::pod_resources::containers(&pod["spec"]).any(asks)
}

fn attributes_classes(claim: &Value) -> Vec<&str> {
    let names = [
        &claim["spec"]["volumeAttributesClassName"],
        &claim["status"]["currentVolumeAttributesClassName"],
        &claim["status"]["modifyVolumeStatus"]["targetVolumeAttributesClassName"],
    ];
    let names = names.into_iter().filter_map(Value::as_str);
    names.filter(|name| !name.is_empty()).collect()
}

/// Affinity to pods of other namespaces.
fn looks_elsewhere(affinity: &Value) -> bool {
    let is_elsewhere = |term: &Value| {
        let named = term["namespaces"].as_array();
        named.is_some_and(|names| !names.is_empty()) || !term["namespaceSelector"].is_null()
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|field| {
        let terms = |list: &str| affinity[*field][list].as_array().into_iter().flatten();
        let required = terms("requiredDuringSchedulingIgnoredDuringExecution");
        let preferred = terms("preferredDuringSchedulingIgnoredDuringExecution");
        let preferred = preferred.map(|term| &term["podAffinityTerm"]);
        required.chain(preferred).any(is_elsewhere)
    })
}
