//! Upstream's defaults, as a client sees them in `kubectl get -o yaml`.
//!
//! Source: k8s.io/kubernetes `pkg/apis/*/v1/defaults.go`. Pure: only fills what is absent.

use crate::{KindRef, quantity::Quantity};
use serde_json::{Map, Value, json};

/// Fills in what `object` leaves out.
pub fn apply(kind: KindRef, object: &mut Value) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    match (kind.group, kind.kind) {
        ("", "Pod") => in_map(object, "spec", pod_spec),
        ("", "Service") => in_map(object, "spec", service_spec),
        ("", "Secret") => set(object, "type", json!("Opaque")),
        ("", "Namespace") => {
            in_map(object, "spec", |spec| {
                set(spec, "finalizers", json!(["kubernetes"]));
            });
            in_map(object, "status", |status| {
                set(status, "phase", json!("Active"));
            });
        }
        ("discovery.k8s.io", "EndpointSlice") => each(object, "ports", |port| {
            set(port, "name", json!(""));
            set(port, "protocol", json!("TCP"));
        }),
        ("apps", "Deployment") => in_map(object, "spec", deployment_spec),
        ("apps", "ReplicaSet") => in_map(object, "spec", |spec| {
            set(spec, "replicas", json!(1));
            template(spec);
        }),
        _ => {}
    }
}

fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    match map.get_mut(name) {
        Some(Value::Null) | None => {
            map.insert(name.to_owned(), value);
        }
        Some(_) => {}
    }
}

/// Runs `f` on the object `name`, made empty if it is absent.
fn in_map(map: &mut Map<String, Value>, name: &str, f: impl FnOnce(&mut Map<String, Value>)) {
    set(map, name, json!({}));
    if let Some(inner) = map.get_mut(name).and_then(Value::as_object_mut) {
        f(inner);
    }
}

/// Runs `f` on the object `name` if it is there.
fn if_map(map: &mut Map<String, Value>, name: &str, f: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(inner) = map.get_mut(name).and_then(Value::as_object_mut) {
        f(inner);
    }
}

fn each(map: &mut Map<String, Value>, name: &str, mut f: impl FnMut(&mut Map<String, Value>)) {
    let list = map.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .for_each(&mut f);
}

fn template(spec: &mut Map<String, Value>) {
    if_map(spec, "template", |template| {
        set(template, "metadata", json!({}));
        if_map(template, "spec", pod_spec);
    });
}

fn deployment_spec(spec: &mut Map<String, Value>) {
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "progressDeadlineSeconds", json!(600));
    in_map(spec, "strategy", |strategy| {
        set(strategy, "type", json!("RollingUpdate"));
        if strategy["type"] == "RollingUpdate" {
            in_map(strategy, "rollingUpdate", |rolling| {
                set(rolling, "maxUnavailable", json!("25%"));
                set(rolling, "maxSurge", json!("25%"));
            });
        }
    });
    template(spec);
}

fn pod_spec(spec: &mut Map<String, Value>) {
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "securityContext", json!({}));
    set(spec, "schedulerName", json!("default-scheduler"));
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        set(spec, "serviceAccount", account);
    }
    each(spec, "initContainers", container);
    each(spec, "containers", container);
    each(spec, "volumes", volume);
}

fn container(container: &mut Map<String, Value>) {
    let image = container
        .get("image")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // A tag of `latest`, also the implied one, is looked up at each start.
    let named = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!named.contains(':') || named.ends_with(":latest"));
    set(
        container,
        "imagePullPolicy",
        json!(if latest { "Always" } else { "IfNotPresent" }),
    );
    set(
        container,
        "terminationMessagePath",
        json!("/dev/termination-log"),
    );
    set(container, "terminationMessagePolicy", json!("File"));
    in_map(container, "resources", resources);
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

/// A request that is not written is its limit; quantities take their canonical form.
fn resources(resources: &mut Map<String, Value>) {
    for name in ["limits", "requests"] {
        if_map(resources, name, |list| {
            for value in list.values_mut() {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                if let Ok(quantity) = Quantity::parse(&text) {
                    *value = json!(quantity.to_string());
                }
            }
        });
    }
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

fn probe(probe: &mut Map<String, Value>) {
    set(probe, "timeoutSeconds", json!(1));
    set(probe, "periodSeconds", json!(10));
    set(probe, "successThreshold", json!(1));
    set(probe, "failureThreshold", json!(3));
    if_map(probe, "httpGet", http_get);
}

fn http_get(get: &mut Map<String, Value>) {
    set(get, "path", json!("/"));
    set(get, "scheme", json!("HTTP"));
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
    if_map(volume, "hostPath", |path| set(path, "type", json!("")));
}

fn service_spec(spec: &mut Map<String, Value>) {
    set(spec, "type", json!("ClusterIP"));
    set(spec, "sessionAffinity", json!("None"));
    if spec["type"] != "ExternalName" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
        set(spec, "ipFamilies", json!(["IPv4"]));
        set(spec, "ipFamilyPolicy", json!("SingleStack"));
    }
    if spec["type"] == "NodePort" || spec["type"] == "LoadBalancer" {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if spec["type"] == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    each(spec, "ports", |port| {
        set(port, "protocol", json!("TCP"));
        let own = port.get("port").cloned().unwrap_or(Value::Null);
        set(port, "targetPort", own);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind;

    #[test]
    fn a_deployment_gets_upstreams_defaults() {
        let mut object = json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x:v1",
            "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1000m"}}, "readinessProbe": {"httpGet": {"port": 80}}}]}}}});
        apply(kind::DEPLOYMENT, &mut object);
        let spec = &object["spec"];
        assert_eq!(
            spec["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
        );
        let container = &spec["template"]["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["resources"]["requests"], json!({"cpu": "1"}));
        assert_eq!(container["readinessProbe"]["periodSeconds"], 10);
        let again = object.clone();
        apply(kind::DEPLOYMENT, &mut object);
        assert_eq!(object, again, "defaults are applied once");
    }

    #[test]
    fn the_pull_policy_follows_the_tag() {
        for (image, policy) in [
            ("a", "Always"),
            ("a:latest", "Always"),
            ("a:v1", "IfNotPresent"),
            ("h:5/a", "Always"),
            ("a@sha256:0", "IfNotPresent"),
        ] {
            let mut pod = json!({"spec": {"containers": [{"name": "c", "image": image}]}});
            apply(kind::POD, &mut pod);
            assert_eq!(
                pod["spec"]["containers"][0]["imagePullPolicy"], policy,
                "{image}"
            );
        }
    }
}
