//! Pod specs, in pods and in templates.

use super::{each, if_map, in_map, set, set_unless_zero};
use serde_json::{Map, Value, json};

/// Of a pod, not of a template.
pub(super) fn spec(spec: &mut Map<String, Value>) {
    set(spec, "enableServiceLinks", json!(true));
    pod_spec(spec);
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
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        set(spec, "serviceAccount", account);
    }
    each(spec, "initContainers", container);
    each(spec, "containers", container);
    each(spec, "volumes", volume);
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

/// A request that is not written is its limit.
fn resources(resources: &mut Map<String, Value>) {
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
    if_map(volume, "hostPath", |path| set(path, "type", json!("")));
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
