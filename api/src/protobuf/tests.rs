//! Every served kind, with every field it has, against the types of the crate k8s-pb; and hostile bodies.

mod definitions;

use super::*;
use crate::{KindRef, kind, schema};
use base64::Engine as _;
use k8s_pb::api as pb;
use proptest::prelude::*;
use serde_json::json;

const TIME: &str = "2026-01-02T03:04:05Z";

/// An object of a schema with all its fields: texts are their field's name, numbers count up.
struct Sample {
    definitions: Map<String, Value>,
    count: i64,
}

impl Sample {
    fn of(kind: KindRef) -> Value {
        let mut generator = schema::generator();
        let root = schema::register(kind, &mut generator);
        let definitions = generator.take_definitions(false);
        let schema = definitions[&root].clone();
        let mut object = Self {
            definitions,
            count: 0,
        }
        .value(&schema, "root");
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        // What an object within an object is, is never on this wire.
        let claim = object.pointer_mut("/spec/volumeClaimTemplates/0");
        if let Some(claim) = claim.and_then(Value::as_object_mut) {
            claim.remove("apiVersion");
            claim.remove("kind");
        }
        object
    }

    fn value(&mut self, schema: &Value, name: &str) -> Value {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.rsplit('/').next().unwrap_or_default().to_owned();
            if target.ends_with("Quantity") {
                return "5".into();
            }
            let schema = self.definitions[&target].clone();
            return self.value(&schema, name);
        }
        if schema.get("x-kubernetes-int-or-string").is_some() {
            return name.into();
        }
        match (
            schema.get("type").and_then(Value::as_str),
            schema.get("format").and_then(Value::as_str),
        ) {
            (Some("string"), Some("date-time")) => TIME.into(),
            (Some("string"), Some("byte")) => base64::engine::general_purpose::STANDARD
                .encode(name)
                .into(),
            (Some("string"), _) => name.into(),
            (Some("integer"), _) => {
                self.count += 1;
                self.count.into()
            }
            (Some("number"), _) => 1.5.into(),
            (Some("boolean"), _) => true.into(),
            (Some("array"), _) => {
                let items = schema["items"].clone();
                vec![self.value(&items, name)].into()
            }
            _ => self.object(schema, name),
        }
    }

    fn object(&mut self, schema: &Value, name: &str) -> Value {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let fields = properties.clone().into_iter();
            return Value::Object(
                fields
                    .map(|(name, schema)| (name.clone(), self.value(&schema, &name)))
                    .collect(),
            );
        }
        match schema
            .get("additionalProperties")
            .filter(|values| values.is_object())
        {
            Some(values) => json!({"key": self.value(values, name)}),
            None => json!({"f:raw": {}}),
        }
    }
}

/// The bytes of the message in a body.
fn raw(body: &[u8]) -> Vec<u8> {
    wire::Envelope::read(body.strip_prefix(MAGIC).unwrap())
        .unwrap()
        .raw
        .to_vec()
}

/// Through the foreign type and back: nothing may be lost, and texts must be in the field they name.
fn through<M: prost::Message + Default + std::fmt::Debug>(kind: KindRef, sample: &Value) {
    let body = encode(sample).unwrap();
    let foreign = M::decode(raw(&body).as_slice()).unwrap();
    let shown = format!("{foreign:?}");
    for (before, after) in shown
        .match_indices(": Some(\"")
        .map(|(at, mark)| (&shown[..at], &shown[at + mark.len()..]))
    {
        let field = before.rsplit([' ', '{', '(']).next().unwrap_or_default();
        let field = field.trim_start_matches("r#").replace('_', "");
        let text = after.split('"').next().unwrap_or_default();
        let exempt =
            text == "5" || text.starts_with("2026") || field == "strval" || field == "string";
        assert!(
            exempt || field.eq_ignore_ascii_case(text),
            "{}: {field} holds {text}",
            kind.kind
        );
    }
    let back = wire::envelope(
        MAGIC,
        &kind.api_version(),
        kind.kind,
        &foreign.encode_to_vec(),
    );
    let mut decoded = decode(&back).unwrap();
    // Micro times are printed with their digits.
    let text = decoded.to_string().replace("05.000000Z", "05Z");
    decoded = serde_json::from_str(&text).unwrap();
    assert_eq!(*sample, decoded, "{}", kind.kind);
}

/// Finds the foreign type of a kind by its name; false if it is not in the list.
macro_rules! through_its_type {
    ($kind:expr; $($group:literal $module:ident::$version:ident: $($name:ident)*;)*) => {{
        let id = ($kind.group, $kind.version, $kind.kind);
        let mut known = false;
        $($(
            if id == ($group, stringify!($version), stringify!($name)) {
                through::<pb::$module::$version::$name>($kind, &Sample::of($kind));
                known = true;
            }
        )*)*
        known
    }};
}

#[test]
fn every_kind_goes_through_another_implementation() {
    // Definitions hold themselves: see `definitions`.
    let kinds = kind::KINDS.iter();
    for kind in kinds.filter(|kind| kind.group != "apiextensions.k8s.io") {
        let known = through_its_type! { kind;
            "" core::v1: Namespace Node Pod Service ConfigMap Secret ServiceAccount Event Endpoints
                PersistentVolume PersistentVolumeClaim PodTemplate ReplicationController LimitRange
                ResourceQuota;
            "events.k8s.io" events::v1: Event;
            "apps" apps::v1: Deployment ReplicaSet DaemonSet StatefulSet ControllerRevision;
            "batch" batch::v1: Job CronJob;
            "autoscaling" autoscaling::v1: HorizontalPodAutoscaler;
            "autoscaling" autoscaling::v2: HorizontalPodAutoscaler;
            "policy" policy::v1: PodDisruptionBudget;
            "networking.k8s.io" networking::v1: Ingress IngressClass NetworkPolicy IPAddress
                ServiceCIDR;
            "storage.k8s.io" storage::v1: StorageClass VolumeAttachment CSIDriver CSINode
                CSIStorageCapacity VolumeAttributesClass;
            "scheduling.k8s.io" scheduling::v1: PriorityClass;
            "node.k8s.io" node::v1: RuntimeClass;
            "discovery.k8s.io" discovery::v1: EndpointSlice;
            "coordination.k8s.io" coordination::v1: Lease;
            "rbac.authorization.k8s.io" rbac::v1: Role ClusterRole RoleBinding ClusterRoleBinding;
            "certificates.k8s.io" certificates::v1: CertificateSigningRequest;
        };
        assert!(known, "add {kind:?} to this test");
    }
}

fn there_and_back(object: Value) {
    assert_eq!(decode(&encode(&object).unwrap()).unwrap(), object);
}

#[test]
fn what_is_not_stored_is_known_too() {
    there_and_back(
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground", "gracePeriodSeconds": 0}),
    );
    there_and_back(
        json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "preconditions": {"uid": "u"}}),
    );
    there_and_back(
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 2}}),
    );
    there_and_back(
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
        "status": {"userInfo": {"username": "a", "groups": ["g"], "extra": {"k": ["x", "y"]}}}}),
    );
    there_and_back(
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "details": {"name": "x"}}),
    );
    there_and_back(
        json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7"},
        "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}),
    );
}

#[test]
fn zero_is_kept_where_it_means_something() {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 0, "minReadySeconds": 0, "paused": false,
        "selector": {}, "template": {"spec": {"containers": [{"name": "c"}], "automountServiceAccountToken": false, "nodeName": "",
            "volumes": [{"name": "v", "emptyDir": {}}]}}}});
    let read = decode(&encode(&deployment).unwrap()).unwrap();
    let spec = json!({"replicas": 0, "selector": {}, "template": {"spec": {"containers": [{"name": "c"}],
        "automountServiceAccountToken": false, "volumes": [{"name": "v", "emptyDir": {}}]}}});
    assert_eq!(read["spec"], spec);
}

#[test]
fn bytes_and_maps() {
    there_and_back(
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "AAH/", "empty": ""}, "type": "Opaque"}),
    );
    there_and_back(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "", "b": "é"}, "binaryData": {"x": "/w=="}}),
    );
}

#[test]
fn a_null_in_a_list_or_a_map_is_a_zero() {
    for (object, field, read) in [
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": null}}),
            "/data",
            json!({"a": ""}),
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": null}}),
            "/data",
            json!({"a": ""}),
        ),
        (
            json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [
                {"name": "c", "args": [null], "resources": {"limits": {"cpu": null}}}, null]}}),
            "/spec/containers",
            json!([{"name": "c", "args": [""], "resources": {"limits": {"cpu": "0"}}}, {}]),
        ),
        (
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [{"verbs": ["get", null]}, null]}),
            "/rules",
            json!([{"verbs": ["get", ""]}, {}]),
        ),
    ] {
        let decoded = decode(&encode(&object).unwrap()).unwrap();
        assert_eq!(decoded.pointer(field), Some(&read));
    }
}

#[test]
fn what_does_not_fit_is_an_error_with_its_path() {
    let error =
        encode(&json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": 1}]}}))
            .unwrap_err();
    assert_eq!(error.to_string(), "spec.containers.name: is no text");
    let error = encode(&json!({"apiVersion": "x.io/v1", "kind": "Foo"})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no protobuf encoding is known for Foo in version \"x.io/v1\""
    );
}

#[test]
fn hostile_bodies_are_refused() {
    let body = |raw: &[u8]| wire::envelope(MAGIC, "v1", "ConfigMap", raw);
    assert_eq!(decode(b"{}").unwrap_err(), Error::Prefix);
    assert!(decode(b"k8s\0").is_err(), "an envelope without a kind");
    assert!(decode(&body(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])).is_err());
    assert!(
        decode(&body(&[0x12, 3, 0x0a, 1, 0xff])).is_err(),
        "not UTF-8"
    );
    assert!(decode(&body(&[0xff; 11])).is_err());
    // Two bytes each: owner references without a field.
    let many = [0x6a, 0].repeat(VALUES_MAX + 1);
    let mut meta = Vec::new();
    wire::put_bytes(&mut meta, 1, &many);
    assert_eq!(
        decode(&body(&meta)).unwrap_err(),
        Error::Malformed("it holds too many values")
    );
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), of in 0..kind::KINDS.len()) {
        let kind = &kind::KINDS[of];
        let body = wire::envelope(MAGIC, &kind.api_version(), kind.kind, &bytes);
        if let Ok(object) = decode(&body) {
            let _encoded = encode(&object);
        }
        let mut whole = MAGIC.to_vec();
        whole.extend_from_slice(&bytes);
        let _decoded = decode(&whole);
    }
}

#[test]
fn what_go_leaves_out_is_left_out() {
    let container = json!({"name": "c", "env": [], "tty": false, "resources": {}, "command": ["x"], "livenessProbe": {"periodSeconds": 0}});
    let mut pod = json!({"metadata": {"labels": {}, "name": "p", "finalizers": [], "generation": 0, "deletionGracePeriodSeconds": 0},
        "spec": {"hostNetwork": false, "tolerations": [], "nodeSelector": {}, "affinity": {}, "hostname": "", "terminationGracePeriodSeconds": 0,
            "containers": [container], "volumes": [{"name": "v", "emptyDir": {}, "secret": null}], "unknown": 0}});
    canonical(kind::POD, &mut pod);
    let container = json!({"name": "c", "resources": {}, "command": ["x"], "livenessProbe": {}});
    let expected = json!({"metadata": {"name": "p", "deletionGracePeriodSeconds": 0},
        "spec": {"affinity": {}, "terminationGracePeriodSeconds": 0, "containers": [container], "volumes": [{"name": "v", "emptyDir": {}}], "unknown": 0}, "status": {}});
    assert_eq!(pod, expected);
    let mut map = json!({"data": {}, "binaryData": {}, "immutable": false});
    canonical(kind::CONFIG_MAP, &mut map);
    assert_eq!(map, json!({"metadata": {}, "immutable": false}));
}

#[test]
fn only_kubernetes_own_groups_have_messages() {
    for (api_version, kind, known) in [
        ("apps/v1", "Deployment", true),
        ("apps.example.com/v1", "Deployment", false),
        ("example.com/v1", "APIGroup", false),
        ("rbac.authorization.k8s.io/v1", "Role", true),
        ("", "APIVersions", true),
        ("v1", "APIResourceList", true),
        ("apidiscovery.k8s.io/v2", "APIGroupDiscoveryList", true),
    ] {
        let object = json!({"apiVersion": api_version, "kind": kind});
        assert_eq!(encode(&object).is_ok(), known, "{api_version} {kind}");
    }
}

#[test]
fn what_go_always_writes_is_there() {
    let mut pod = json!({"metadata": {"name": "p", "creationTimestamp": null}, "status": {"startTime": null,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": TIME}]}});
    canonical(kind::POD, &mut pod);
    let condition = json!({"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": TIME});
    let expected = json!({"metadata": {"name": "p"}, "spec": {"containers": null}, "status": {"conditions": [condition]}});
    assert_eq!(pod, expected);
    let mut event = json!({"metadata": {"name": "e"}, "lastTimestamp": TIME});
    canonical(kind::EVENT, &mut event);
    for (field, time) in [
        ("firstTimestamp", Value::Null),
        ("lastTimestamp", TIME.into()),
        ("eventTime", Value::Null),
    ] {
        assert_eq!(event.get(field), Some(&time), "{field}");
    }
    let mut scaler = json!({"metadata": {"name": "h"}, "spec": {}});
    canonical(kind::HORIZONTAL_POD_AUTOSCALER, &mut scaler);
    let status = json!({"desiredReplicas": 0, "currentMetrics": null});
    assert_eq!(scaler["status"], status);
}

/// What a client left out and Go does not: who reads a list in Python fails for all of it otherwise.
#[test]
fn what_no_client_need_write_is_there() {
    let template = json!({"metadata": {}, "spec": {"containers": null}});
    for (kind, written) in [
        (kind::PRIORITY_CLASS, json!({"value": 0})),
        (kind::LEASE, json!({"spec": {}})),
        (kind::CSI_NODE, json!({"spec": {"drivers": null}})),
        (kind::POD_DISRUPTION_BUDGET, json!({"spec": {}})),
        (kind::RESOURCE_QUOTA, json!({"spec": {}, "status": {}})),
        (kind::NODE, json!({"spec": {}})),
        (kind::LIMIT_RANGE, json!({"spec": {"limits": null}})),
        (kind::NETWORK_POLICY, json!({"spec": {"podSelector": {}}})),
        (
            kind::CONTROLLER_REVISION,
            json!({"revision": 0, "data": null}),
        ),
        (kind::ROLE, json!({"rules": null})),
        (kind::CLUSTER_ROLE, json!({"rules": null})),
        (
            kind::ROLE_BINDING,
            json!({"roleRef": {"apiGroup": "", "kind": "", "name": ""}}),
        ),
        (
            kind::ENDPOINT_SLICE,
            json!({"addressType": "", "endpoints": null, "ports": null}),
        ),
        (
            kind::STATEFUL_SET,
            json!({"spec": {"serviceName": "", "updateStrategy": {}, "template": template}}),
        ),
        (
            kind::EVENT,
            json!({"involvedObject": {}, "source": {}, "firstTimestamp": null, "lastTimestamp": null, "eventTime": null,
                "reportingComponent": "", "reportingInstance": ""}),
        ),
        (kind::CONFIG_MAP, json!({})),
    ] {
        let mut object = json!({});
        canonical(kind, &mut object);
        let mut expected = written;
        expected["metadata"] = json!({});
        if expected.get("status").is_none() {
            object.as_object_mut().unwrap().remove("status");
        }
        assert_eq!(object, expected, "{}", kind.kind);
    }
}

#[test]
fn so_is_it_further_down() {
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"livenessProbe": {"httpGet": {}}}],
        "volumes": [{"name": "v", "projected": {}}]}});
    canonical(kind::POD, &mut pod);
    let probe = json!({"httpGet": {"port": 0}});
    let container = json!({"name": "", "resources": {}, "livenessProbe": probe});
    let volume = json!({"name": "v", "projected": {"sources": null}});
    assert_eq!(
        pod["spec"],
        json!({"containers": [container], "volumes": [volume]})
    );
    let mut scaler = json!({"spec": {"behavior": {"scaleUp": {"policies": []}, "scaleDown": {"policies": [{}]}}}});
    canonical(kind::HORIZONTAL_POD_AUTOSCALER, &mut scaler);
    let policy = json!({"type": "", "value": 0, "periodSeconds": 0});
    let behavior = json!({"scaleUp": {"policies": []}, "scaleDown": {"policies": [policy]}});
    assert_eq!(scaler["spec"]["behavior"], behavior);
    assert_eq!(scaler["spec"]["maxReplicas"], 0);
}

#[test]
fn a_status_is_always_there() {
    for (kind, status) in [
        (kind::SERVICE, json!({"loadBalancer": {}})),
        (kind::JOB, json!({})),
        (kind::CONFIG_MAP, Value::Null),
        (
            kind::DAEMON_SET,
            json!({"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0}),
        ),
        (
            kind::POD_DISRUPTION_BUDGET,
            json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}),
        ),
        (kind::VOLUME_ATTACHMENT, json!({"attached": false})),
        (
            kind::NODE,
            json!({"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {"architecture": "", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
                "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": ""}}),
        ),
    ] {
        let mut object = json!({});
        canonical(kind, &mut object);
        assert_eq!(
            object.get("status").cloned().unwrap_or_default(),
            status,
            "{}",
            kind.kind
        );
    }
}

#[test]
fn an_empty_list_is_none() {
    for (kind, mut object) in [
        (kind::ROLE, json!({"rules": []})),
        (
            kind::ENDPOINT_SLICE,
            json!({"addressType": "", "endpoints": [], "ports": []}),
        ),
        (
            kind::CSI_NODE,
            json!({"spec": {"drivers": [{"name": "d", "nodeID": "n", "topologyKeys": []}]}}),
        ),
    ] {
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        canonical(kind, &mut object);
        let mut read = decode(&encode(&object).unwrap()).unwrap();
        canonical(kind, &mut read);
        assert_eq!(read, object, "{}", kind.kind);
        assert!(!object.to_string().contains("[]"), "{object}");
    }
}

#[test]
fn a_canonical_object_stays_as_it_is() {
    for kind in kind::KINDS {
        let mut object =
            json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": "a"}});
        canonical(kind, &mut object);
        let mut again = object.clone();
        canonical(kind, &mut again);
        // A flag or a number that cannot be left out is kept.
        assert_eq!(again, object, "{}", kind.kind);
    }
}
