//! Table tests of the resolution: a manifest's piece in, what the node is told out.

use super::*;
use coracle_api::Revision;
use coracle_link::pod::{File, Probe, ProbeAction, VolumeSource};
use serde_json::{Value, json};

fn object(kind: KindRef, value: Value) -> Object {
    Object::new(kind, Revision(7), value).unwrap()
}

/// `hi there` is a Secret's text, `/w==` a byte that is no text.
fn world() -> Cache {
    let meta = |name: &str| json!({"namespace": "ns", "name": name});
    let node = json!({"metadata": {"name": "box"}, "status": {
        "addresses": [{"type": "InternalIP", "address": "10.0.0.7"}],
        "allocatable": {"cpu": "3500m", "memory": "1Gi"},
    }});
    let service = |namespace: &str, name: &str, spec: Value| json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec});
    let objects = vec![
        object(kind::NODE, node),
        object(
            kind::CONFIG_MAP,
            json!({"metadata": meta("settings"), "data": {"color": "blue", "size": "L"}, "binaryData": {"raw": "/w=="}}),
        ),
        object(
            kind::SECRET,
            json!({"metadata": meta("keys"), "data": {"word": "aGkgdGhlcmU=", "raw": "/w=="}}),
        ),
        object(
            kind::SERVICE,
            service(
                "ns",
                "my-db",
                json!({"clusterIP": "10.96.0.9", "ports": [{"name": "sql-port", "port": 5432}]}),
            ),
        ),
        object(
            kind::SERVICE,
            service(
                "ns",
                "headless",
                json!({"clusterIP": "None", "ports": [{"port": 1}]}),
            ),
        ),
        object(
            kind::SERVICE,
            service(
                "elsewhere",
                "far",
                json!({"clusterIP": "10.96.0.10", "ports": [{"port": 1}]}),
            ),
        ),
        object(
            kind::SERVICE,
            service(
                "default",
                "kubernetes",
                json!({"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443}]}),
            ),
        ),
    ];
    Cache::new(objects, Revision(7))
}

fn pod(spec: Value) -> Object {
    let mut value = json!({
        "metadata": {"namespace": "ns", "name": "p", "uid": "u", "generation": 3,
            "labels": {"app": "x"}, "annotations": {"note": "say \"hi\""}},
        "spec": {"nodeName": "box", "serviceAccountName": "default", "containers": []},
    });
    for (field, part) in spec.as_object().unwrap() {
        value["spec"][field] = part.clone();
    }
    object(kind::POD, value)
}

fn resolved(container: Value, volumes: Value) -> Resolved {
    let mut one = json!({"name": "c", "image": "hello:v1"});
    for (field, part) in container.as_object().unwrap() {
        one[field] = part.clone();
    }
    let pod = pod(json!({"containers": [one], "volumes": volumes, "enableServiceLinks": false}));
    resolve(&pod, &world()).unwrap()
}

/// Variables as `NAME=value`, or `error: ...`; the API's own service is left out.
#[track_caller]
fn check_env(container: Value, expect: &str) {
    let container = &resolved(container, json!([])).pod.containers[0];
    let mut shown: Vec<String> = container
        .env
        .iter()
        .filter(|one| !one.name.starts_with("KUBERNETES_"))
        .map(|one| format!("{}={}", one.name, String::from_utf8_lossy(&one.value.0)))
        .collect();
    if let Some(error) = &container.config_error {
        shown = vec![format!("error: {error}")];
    }
    assert_eq!(shown.join(" "), expect);
}

fn key(kind: &str, name: &str, key: &str, optional: bool) -> Value {
    json!({kind: {"name": name, "key": key, "optional": optional}})
}

fn from_key(kind: &str, name: &str, of: &str, optional: bool) -> Value {
    json!({"env": [{"name": "A", "valueFrom": key(kind, name, of, optional)}]})
}

#[test]
fn variables_in_the_order_of_the_manifest() {
    check_env(
        json!({"env": [{"name": "B", "value": "1"}, {"name": "A", "value": "$(B)$(NO)$$(B)"}, {"name": "C"}]}),
        "B=1 A=1$(NO)$(B) C=",
    );
    check_env(
        json!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
        "A=2",
    );
    check_env(
        json!({"envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "S_"}],
            "env": [{"name": "S_size", "value": "XL"}, {"name": "A", "value": "$(S_color)"}]}),
        "S_color=blue S_size=XL A=blue",
    );
}

#[test]
fn references() {
    check_env(
        from_key("configMapKeyRef", "settings", "color", false),
        "A=blue",
    );
    check_env(
        from_key("secretKeyRef", "keys", "word", false),
        "A=hi there",
    );
    check_env(
        from_key("configMapKeyRef", "x", "color", false),
        "error: configmap \"x\" not found",
    );
    check_env(from_key("configMapKeyRef", "x", "color", true), "");
    check_env(
        from_key("configMapKeyRef", "settings", "k", false),
        "error: couldn't find key k in ConfigMap ns/settings",
    );
    check_env(from_key("configMapKeyRef", "settings", "k", true), "");
    check_env(
        from_key("secretKeyRef", "x", "k", false),
        "error: secret \"x\" not found",
    );
    check_env(
        from_key("secretKeyRef", "keys", "k", false),
        "error: couldn't find key k in Secret ns/keys",
    );
    check_env(
        from_key("secretKeyRef", "keys", "raw", false),
        "error: the value of key raw is not UTF-8 text; mount it as a file",
    );
    check_env(
        json!({"envFrom": [{"secretRef": {"name": "x"}}]}),
        "error: secret \"x\" not found",
    );
    check_env(
        json!({"envFrom": [{"secretRef": {"name": "x", "optional": true}}]}),
        "",
    );
}

#[test]
fn fields() {
    let field = |path: &str| json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}]});
    check_env(field("metadata.name"), "A=p");
    check_env(field("metadata.namespace"), "A=ns");
    check_env(field("metadata.uid"), "A=u");
    check_env(field("metadata.labels['app']"), "A=x");
    check_env(field("metadata.labels['none']"), "A=");
    check_env(field("spec.nodeName"), "A=box");
    check_env(field("spec.serviceAccountName"), "A=default");
    check_env(field("status.hostIP"), "A=10.0.0.7");
    check_env(
        field("status.podIP"),
        "error: the pod's address is not known yet (fieldPath \"status.podIP\")",
    );
    check_env(
        field("status.phase"),
        "error: unsupported fieldPath: status.phase",
    );
}

#[test]
fn resources_round_up_and_default_to_the_node() {
    let resource = |resource: &str, divisor: &str| {
        json!({"resources": {"limits": {"memory": "100Mi"}, "requests": {"cpu": "250m"}},
            "env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}}]})
    };
    check_env(resource("limits.memory", "1Mi"), "A=100");
    check_env(resource("limits.memory", "0"), "A=104857600");
    check_env(resource("limits.cpu", "0"), "A=4");
    check_env(resource("limits.cpu", "1m"), "A=3500");
    check_env(resource("requests.cpu", "0"), "A=1");
    check_env(resource("requests.memory", "0"), "A=0");
    check_env(
        resource("limits.gold", "0"),
        "error: unsupported container resource : limits.gold",
    );
}

#[test]
fn services_are_announced_where_links_are_on() {
    let names = |links: bool| {
        let pod = pod(
            json!({"enableServiceLinks": links, "containers": [{"name": "c", "env": [{"name": "MY_DB_PORT", "value": "own"}]}]}),
        );
        let resolved = resolve(&pod, &world()).unwrap();
        let env = &resolved.pod.containers[0].env;
        let all = env.iter();
        all.map(|one| format!("{}={}", one.name, String::from_utf8_lossy(&one.value.0)))
            .collect::<Vec<_>>()
    };
    let off = names(false);
    assert!(
        off.contains(&"KUBERNETES_SERVICE_HOST=10.96.0.1".to_owned()),
        "{off:?}"
    );
    assert!(
        !off.iter().any(|one| one.starts_with("MY_DB_SERVICE")),
        "{off:?}"
    );
    let on = names(true);
    for expect in [
        "MY_DB_SERVICE_HOST=10.96.0.9",
        "MY_DB_SERVICE_PORT=5432",
        "MY_DB_SERVICE_PORT_SQL_PORT=5432",
        "MY_DB_PORT=own",
        "MY_DB_PORT_5432_TCP=tcp://10.96.0.9:5432",
        "MY_DB_PORT_5432_TCP_PROTO=tcp",
        "MY_DB_PORT_5432_TCP_PORT=5432",
        "MY_DB_PORT_5432_TCP_ADDR=10.96.0.9",
    ] {
        assert!(on.contains(&expect.to_owned()), "{expect} in {on:?}");
    }
    assert!(
        !on.iter()
            .any(|one| one.starts_with("HEADLESS") || one.starts_with("FAR"))
    );
}

#[test]
fn arguments() {
    let args = |container: Value| {
        resolved(container, json!([])).pod.containers[0]
            .args
            .clone()
    };
    assert_eq!(
        args(json!({"args": ["a", "$(B)"], "env": [{"name": "B", "value": "b"}]})),
        ["a", "b"]
    );
    assert_eq!(
        args(json!({"command": ["prog", "x"], "args": ["y"]})),
        ["x", "y"]
    );
    assert!(args(json!({"command": ["prog"]})).is_empty());
}

/// `path mode text` of each file, or the error of the container.
#[track_caller]
fn check_volume(volume: Value, expect: &str) {
    let mut volume = volume;
    volume["name"] = json!("v");
    let resolved = resolved(json!({}), json!([volume]));
    let list = |kind: &str, files: &[File]| {
        let files = files.iter();
        let shown: Vec<String> = files
            .map(|file| {
                format!(
                    "{} {:o} {}",
                    file.path,
                    file.mode,
                    String::from_utf8_lossy(&file.data.0)
                )
            })
            .collect();
        format!("{kind}: {}", shown.join(", "))
    };
    let shown = match resolved.pod.volumes.first().map(|volume| &volume.source) {
        Some(VolumeSource::ConfigMap(files)) => list("files", files),
        Some(VolumeSource::Secret(files)) => list("secret", files),
        Some(other) => format!("{other:?}"),
        None => resolved.pod.containers[0]
            .config_error
            .clone()
            .unwrap_or_default(),
    };
    assert_eq!(shown, expect);
}

#[test]
fn volumes() {
    check_volume(
        json!({"configMap": {"name": "settings", "items": [{"key": "color", "path": "a/b", "mode": 256}]}}),
        "files: a/b 400 blue",
    );
    check_volume(
        json!({"configMap": {"name": "settings", "defaultMode": 384}}),
        "files: color 600 blue, raw 600 \u{fffd}, size 600 L",
    );
    check_volume(
        json!({"secret": {"secretName": "keys", "items": [{"key": "word", "path": "w"}]}}),
        "secret: w 644 hi there",
    );
    check_volume(
        json!({"configMap": {"name": "x"}}),
        "MountVolume.SetUp failed for volume \"v\" : configmap \"x\" not found",
    );
    check_volume(
        json!({"configMap": {"name": "x", "optional": true}}),
        "files: ",
    );
    check_volume(
        json!({"configMap": {"name": "settings", "items": [{"key": "k", "path": "k"}]}}),
        "MountVolume.SetUp failed for volume \"v\" : configmap references non-existent config key: k",
    );
    check_volume(
        json!({"secret": {"secretName": "keys", "items": [{"key": "k", "path": "k"}]}}),
        "MountVolume.SetUp failed for volume \"v\" : references non-existent secret key: k",
    );
    check_volume(
        json!({"configMap": {"name": "settings", "items": [{"key": "color", "path": "../x"}]}}),
        "MountVolume.SetUp failed for volume \"v\" : path \"../x\" must be relative and inside the volume",
    );
    check_volume(
        json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}),
        "EmptyDir { memory: true, size_limit: Some(1048576) }",
    );
    check_volume(
        json!({"hostPath": {"path": "/data"}}),
        "HostPath(\"/data\")",
    );
    check_volume(
        json!({"downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "notes", "fieldRef": {"fieldPath": "metadata.annotations"}}]}}),
        "files: labels 644 app=\"x\", notes 644 note=\"say \\\"hi\\\"\"",
    );
    check_volume(
        json!({"projected": {"sources": [
            {"configMap": {"name": "settings", "items": [{"key": "color", "path": "c"}]}},
            {"secret": {"name": "keys", "items": [{"key": "word", "path": "w"}]}}]}}),
        "secret: c 644 blue, w 644 hi there",
    );
    check_volume(
        json!({"persistentVolumeClaim": {"claimName": "x"}}),
        "MountVolume.SetUp failed for volume \"v\" : volumes of this type (persistentVolumeClaim) are not available; \
         there are configMap, secret, emptyDir, hostPath, downwardAPI and projected",
    );
}

#[test]
fn probes_have_defaults_and_named_ports() {
    let resolved = resolved(
        json!({"ports": [{"name": "web", "containerPort": 8081}],
            "readinessProbe": {"httpGet": {"port": "web"}},
            "livenessProbe": {"tcpSocket": {"port": 9}, "periodSeconds": 5, "failureThreshold": 1, "initialDelaySeconds": 2}}),
        json!([]),
    );
    let container = &resolved.pod.containers[0];
    let http = ProbeAction::HttpGet {
        port: 8081,
        path: "/".to_owned(),
        headers: Vec::new(),
    };
    let expect = Probe {
        action: http,
        initial_delay_secs: 0,
        period_secs: 10,
        timeout_secs: 1,
        success_threshold: 1,
        failure_threshold: 3,
    };
    assert_eq!(container.readiness, Some(expect));
    let liveness = container.liveness.clone().unwrap();
    assert_eq!(liveness.action, ProbeAction::TcpSocket { port: 9 });
    assert_eq!(
        (
            liveness.period_secs,
            liveness.failure_threshold,
            liveness.initial_delay_secs
        ),
        (5, 1, 2)
    );
    assert_eq!(container.config_error, None);
}

#[track_caller]
fn check_refused(container: Value, expect: &str) {
    let resolved = resolved(container, json!([]));
    let error = resolved.pod.containers[0].config_error.clone();
    assert_eq!(error.as_deref(), Some(expect));
}

#[test]
fn what_a_guest_cannot_do_is_said() {
    check_refused(
        json!({"livenessProbe": {"exec": {"command": ["x"]}}}),
        "the liveness probe of container \"c\" runs a command: a wasm guest has no other programs; use httpGet or tcpSocket",
    );
    check_refused(
        json!({"readinessProbe": {"grpc": {"port": 1}}}),
        "the readiness probe of container \"c\" is a gRPC probe, which is not available; use httpGet or tcpSocket",
    );
    check_refused(
        json!({"startupProbe": {"httpGet": {"port": "no"}}}),
        "the startup probe of container \"c\" asks a port that the container does not have: couldn't find port: \"no\"",
    );
    check_refused(
        json!({"readinessProbe": {"httpGet": {"port": 1, "scheme": "HTTPS"}}}),
        "the readiness probe of container \"c\" uses HTTPS: a guest's port speaks plain HTTP",
    );
    check_refused(
        json!({"lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}),
        "container \"c\" has a preStop hook: lifecycle hooks are not available for wasm guests",
    );
    let pod = pod(json!({"hostNetwork": true, "containers": [{"name": "c"}]}));
    let resolved = resolve(&pod, &world()).unwrap();
    assert!(
        resolved.pod.containers[0]
            .config_error
            .as_deref()
            .unwrap()
            .starts_with("hostNetwork is not")
    );
}

#[test]
fn the_frame_of_a_pod() {
    let mut value = pod(json!({
        "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 5, "activeDeadlineSeconds": 60,
        "initContainers": [{"name": "i", "restartPolicy": "Always"}, {"name": "j"}],
        "containers": [{"name": "c", "image": "hello:v1", "imagePullPolicy": "Always",
            "resources": {"limits": {"cpu": "200m", "memory": "32Mi"}},
            "ports": [{"containerPort": 80}, {"containerPort": 81, "protocol": "UDP"}],
            "volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": "$(A)", "readOnly": true}],
            "env": [{"name": "A", "value": "sub"}]}],
    }))
    .value();
    value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    value["metadata"]["deletionGracePeriodSeconds"] = json!(7);
    value["metadata"]["annotations"][MAX_INVOCATIONS] = json!("128");
    let found = resolve(&object(kind::POD, value.clone()), &world()).unwrap();
    let pod = &found.pod;
    assert_eq!((pod.revision, found.generation), (7, 3));
    assert_eq!(pod.restart_policy, RestartPolicy::OnFailure);
    assert_eq!(
        (pod.grace_period_secs, pod.deletion_grace_secs),
        (5, Some(7))
    );
    assert_eq!(pod.active_deadline_secs, Some(60));
    assert_eq!(pod.hostname, "p");
    assert_eq!(
        pod.init_containers
            .iter()
            .map(|one| one.sidecar)
            .collect::<Vec<_>>(),
        [true, false]
    );
    let container = &pod.containers[0];
    assert_eq!(container.pull_policy, PullPolicy::Always);
    assert_eq!(container.limits.cpu_millis, Some(200));
    assert_eq!(container.limits.memory_bytes, Some(32 << 20));
    assert_eq!(container.requests, Resources::default());
    assert_eq!(container.ports.len(), 2);
    assert_eq!(container.mounts[0].sub_path, "sub");
    assert_eq!(
        (container.max_invocations, container.max_concurrency),
        (128, 1)
    );
    value["metadata"]["annotations"][MAX_INVOCATIONS] = json!("0");
    let refused = resolve(&object(kind::POD, value), &world()).unwrap();
    let error = refused.pod.containers[0].config_error.clone().unwrap();
    assert!(
        error.starts_with("annotation coracle.dev/max-invocations: \"0\" is not"),
        "{error}"
    );
}

#[test]
fn what_was_asked_for_is_remembered_also_when_it_is_missing() {
    let found = resolved(
        json!({"envFrom": [{"configMapRef": {"name": "x", "optional": true}}]}),
        json!([{"name": "v", "secret": {"secretName": "keys"}}]),
    );
    let names: Vec<String> = found
        .dependencies
        .iter()
        .map(|(kind, key)| format!("{kind} {}", key.name))
        .collect();
    assert_eq!(names, ["configmaps x", "secrets keys"]);
}
