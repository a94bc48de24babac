//! Pod specs, in pods and in templates. What only a pod gets is not written into a template: there it would be
//! the choice of whoever wrote the template, and stay when they choose again.

use super::{each, if_map, in_map, resources, set, set_unless_zero, storage, volume_source};
use crate::pod_resources::{self, Amounts, List, is_huge_page};
use serde_json::{Map, Value, json};

/// Of a pod, not of a template.
pub(super) fn spec(spec: &mut Map<String, Value>) {
    set(spec, "enableServiceLinks", json!(true));
    pod_spec(spec);
    for list in ["initContainers", "containers"] {
        each(spec, list, |container| {
            if_map(container, "resources", requests);
        });
    }
    whole_resources(spec);
    if spec.get("hostNetwork") == Some(&json!(true)) {
        each(spec, "initContainers", host_ports);
        each(spec, "containers", host_ports);
    }
}

pub(super) fn pod_spec(spec: &mut Map<String, Value>) {
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "securityContext", json!({}));
    set(spec, "schedulerName", json!("default-scheduler"));
    account(spec);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, list, container);
    }
    each(spec, "volumes", volume);
    resources::round_up(spec, "overhead");
    if_map(spec, "resources", resources::round_up_both);
}

/// The account stands under its old name too. The old one is read where the new one is missing, so that who removes only
/// the new one keeps the account.
///
/// Source: k8s.io/kubernetes `pkg/apis/core/v1/conversion.go`, of pod specs.
fn account(spec: &mut Map<String, Value>) {
    const NAMES: [&str; 2] = ["serviceAccountName", "serviceAccount"];
    let said = |name: &str| spec.get(name).filter(|name| is_text(name));
    let Some(account) = NAMES.into_iter().find_map(said).cloned() else {
        return;
    };
    for name in NAMES {
        spec.insert(name.to_owned(), account.clone());
    }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// On the machine's own network a port is the machine's.
fn host_ports(container: &mut Map<String, Value>) {
    each(container, "ports", |port| {
        let inside = port.get("containerPort").cloned();
        if let Some(inside) = inside.filter(|inside| *inside != 0) {
            if port.get("hostPort") == Some(&json!(0)) {
                port.remove("hostPort");
            }
            set(port, "hostPort", inside);
        }
    });
}

fn container(container: &mut Map<String, Value>) {
    let policy = pull_policy(container.get("image"));
    set(container, "imagePullPolicy", policy);
    set(
        container,
        "terminationMessagePath",
        json!("/dev/termination-log"),
    );
    set(container, "terminationMessagePolicy", json!("File"));
    in_map(container, "resources", resources::round_up_both);
    each(container, "ports", |port| {
        set(port, "protocol", json!("TCP"));
    });
    each(container, "env", |env| {
        if_map(env, "valueFrom", |from| {
            if_map(from, "fieldRef", |field| {
                set(field, "apiVersion", json!("v1"));
            });
            if_map(from, "resourceFieldRef", |field| {
                set(field, "divisor", json!("0"));
            });
            if_map(from, "fileKeyRef", |file| {
                set(file, "optional", json!(false));
            });
        });
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if_map(container, name, probe);
    }
    if_map(container, "lifecycle", |lifecycle| {
        for hook in ["postStart", "preStop"] {
            if_map(lifecycle, hook, |hook| if_map(hook, "httpGet", http_get));
        }
    });
}

/// A tag of `latest`, also the implied one, is looked up at each start.
fn pull_policy(image: Option<&Value>) -> Value {
    let image = image.and_then(Value::as_str).unwrap_or_default();
    let named = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!named.contains(':') || named.ends_with(":latest"));
    json!(if latest { "Always" } else { "IfNotPresent" })
}

/// A request that is not written is its limit.
fn requests(resources: &mut Map<String, Value>) {
    let limits = resources
        .get("limits")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    in_map(resources, "requests", |requests| {
        for (name, limit) in limits {
            set(requests, &name, limit);
        }
    });
}

/// Where something is said of the whole pod: limits of huge pages are what its containers have together, and with
/// limits a request that is not written is what the containers ask for together, else the limit.
///
/// Source: k8s.io/kubernetes `pkg/apis/core/v1`, `defaultHugePagePodLimits` and `defaultPodRequests`.
fn whole_resources(spec: &mut Map<String, Value>) {
    let said = |list: List| -> Amounts {
        let whole = spec.get("resources").map(|whole| &whole[list.name()]);
        whole.map(pod_resources::amounts).unwrap_or_default()
    };
    if said(List::Limits).is_empty() && said(List::Requests).is_empty() {
        return;
    }
    let mut of_containers = spec.clone();
    of_containers.remove("resources");
    let of_containers = Value::Object(of_containers);
    let sum = |list: List| pod_resources::total(&of_containers, list);
    if_map(spec, "resources", |whole| {
        for (name, limit) in sum(List::Limits) {
            if is_huge_page(&name) {
                in_map(whole, "limits", |limits| {
                    set(limits, &name, json!(limit.to_string()));
                });
            }
        }
        let limits = whole.get("limits").and_then(Value::as_object).cloned();
        let Some(limits) = limits.filter(|limits| !limits.is_empty()) else {
            return;
        };
        let asked = sum(List::Requests).into_iter();
        let asked = asked.map(|(name, sum)| (name, json!(sum.to_string())));
        for (name, value) in asked.chain(limits) {
            if pod_resources::is_of_whole_pod(&name) {
                in_map(whole, "requests", |requests| set(requests, &name, value));
            }
        }
    });
}

fn probe(probe: &mut Map<String, Value>) {
    set_unless_zero(probe, "timeoutSeconds", json!(1));
    set_unless_zero(probe, "periodSeconds", json!(10));
    set_unless_zero(probe, "successThreshold", json!(1));
    set_unless_zero(probe, "failureThreshold", json!(3));
    if_map(probe, "httpGet", http_get);
    if_map(probe, "grpc", |grpc| set(grpc, "service", json!("")));
}

fn http_get(get: &mut Map<String, Value>) {
    set_unless_zero(get, "path", json!("/"));
    set_unless_zero(get, "scheme", json!("HTTP"));
}

fn volume(volume: &mut Map<String, Value>) {
    if volume.len() == 1 && volume.contains_key("name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for name in ["configMap", "secret", "projected", "downwardAPI"] {
        if_map(volume, name, |source| {
            set(source, "defaultMode", json!(0o644));
        });
    }
    volume_source::apply(volume);
    if_map(volume, "image", |image| {
        let policy = pull_policy(image.get("reference"));
        set(image, "pullPolicy", policy);
    });
    if_map(volume, "ephemeral", |ephemeral| {
        if_map(ephemeral, "volumeClaimTemplate", |claim| {
            in_map(claim, "spec", storage::claim_spec);
        });
    });
    if_map(volume, "downwardAPI", downward_files);
    if_map(volume, "projected", |projected| {
        each(projected, "sources", |source| {
            if_map(source, "downwardAPI", downward_files);
            if_map(source, "serviceAccountToken", |token| {
                set(token, "expirationSeconds", json!(3600));
            });
        });
    });
}

fn downward_files(source: &mut Map<String, Value>) {
    each(source, "items", |file| {
        if_map(file, "fieldRef", |field| {
            set(field, "apiVersion", json!("v1"));
        });
        if_map(file, "resourceFieldRef", |field| {
            set(field, "divisor", json!("0"));
        });
    });
}
