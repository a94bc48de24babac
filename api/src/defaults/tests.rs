//! Defaults of each kind, as upstream shows them.

use super::*;
use crate::kind;

#[test]
fn a_deployment_gets_upstreams_defaults() {
    let mut object = json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x:v1",
        "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1"}}, "readinessProbe": {"httpGet": {"port": 80}}}]}}}});
    apply(kind::DEPLOYMENT, &mut object);
    let spec = &object["spec"];
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    let container = &spec["template"]["spec"]["containers"][0];
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(container["ports"][0]["protocol"], "TCP");
    assert_eq!(container["resources"], json!({"limits": {"cpu": "1"}}));
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

/// Applies defaults twice, and looks at what `pointer` names.
#[track_caller]
fn check(kind: KindRef, mut object: Value, expected: &[(&str, Value)]) {
    apply(kind, &mut object);
    let once = object.clone();
    apply(kind, &mut object);
    assert_eq!(object, once, "defaults are applied once");
    for (pointer, value) in expected {
        assert_eq!(
            object.pointer(pointer),
            Some(value),
            "{pointer} of {object}"
        );
    }
}

fn with_template(spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "a"}, "spec": spec});
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:v1"}]}});
    object["spec"]["template"] = template;
    object
}

#[test]
fn what_runs_pods() {
    let pull = "/spec/template/spec/containers/0/imagePullPolicy";
    check(
        kind::DAEMON_SET,
        with_template(json!({})),
        &[
            (
                "/spec/updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}),
            ),
            (pull, json!("IfNotPresent")),
        ],
    );
    check(
        kind::STATEFUL_SET,
        with_template(json!({"volumeClaimTemplates": [{"metadata": {"name": "v"}}]})),
        &[
            ("/spec/podManagementPolicy", json!("OrderedReady")),
            ("/spec/updateStrategy/rollingUpdate/partition", json!(0)),
            (
                "/spec/persistentVolumeClaimRetentionPolicy/whenScaled",
                json!("Retain"),
            ),
            (
                "/spec/volumeClaimTemplates/0/kind",
                json!("PersistentVolumeClaim"),
            ),
            (
                "/spec/volumeClaimTemplates/0/status/phase",
                json!("Pending"),
            ),
        ],
    );
    check(
        kind::REPLICATION_CONTROLLER,
        with_template(json!({})),
        &[
            ("/spec/selector", json!({"a": "b"})),
            ("/metadata/labels", json!({"a": "b"})),
            ("/spec/replicas", json!(1)),
        ],
    );
}

/// What only a pod gets: written into a template it would stay when its limits or ports change.
#[test]
fn a_template_gets_less_than_a_pod() {
    let limits = json!({"limits": {"cpu": "2"}});
    let container = json!({"name": "c", "image": "i:v1", "resources": limits, "ports": [{"containerPort": 80}]});
    let spec = json!({"hostNetwork": true, "resources": limits, "initContainers": [container], "containers": [container]});
    let mut pod = json!({"spec": spec});
    apply(kind::POD, &mut pod);
    let both = json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}});
    assert_eq!(pod["spec"]["resources"], both);
    assert_eq!(pod["spec"]["enableServiceLinks"], true);
    for list in ["initContainers", "containers"] {
        assert_eq!(pod["spec"][list][0]["resources"], both, "{list}");
        assert_eq!(pod["spec"][list][0]["ports"][0]["hostPort"], 80, "{list}");
    }
    let in_job = "/spec/jobTemplate/spec/template/spec";
    for (kind, place) in [
        (kind::DEPLOYMENT, "/spec/template/spec"),
        (kind::REPLICA_SET, "/spec/template/spec"),
        (kind::STATEFUL_SET, "/spec/template/spec"),
        (kind::DAEMON_SET, "/spec/template/spec"),
        (kind::REPLICATION_CONTROLLER, "/spec/template/spec"),
        (kind::JOB, "/spec/template/spec"),
        (kind::CRON_JOB, in_job),
        (kind::POD_TEMPLATE, "/template/spec"),
    ] {
        let template = json!({"template": {"spec": spec}});
        let mut object = match kind.kind {
            "PodTemplate" => template,
            "CronJob" => json!({"spec": {"jobTemplate": {"spec": template}}}),
            _ => json!({"spec": template}),
        };
        apply(kind, &mut object);
        let found = object.pointer(place).unwrap();
        assert_eq!(found["dnsPolicy"], "ClusterFirst", "{}", kind.kind);
        assert!(found["enableServiceLinks"].is_null(), "{}", kind.kind);
        assert_eq!(found["resources"], limits, "{}", kind.kind);
        for list in ["initContainers", "containers"] {
            assert_eq!(found[list][0]["resources"], limits, "{}", kind.kind);
            assert!(found[list][0]["ports"][0]["hostPort"].is_null(), "{list}");
        }
    }
}

/// What Go has as a structure and not as a pointer is never absent.
#[test]
fn a_template_that_is_not_there_is_an_empty_one() {
    let (none, empty) = (
        json!({"spec": {}}),
        json!({"spec": {"template": {"spec": null}}}),
    );
    let jobs = json!({"spec": {"jobTemplate": {"metadata": {}, "spec": {"template": {}}}}});
    for (kind, bare, empty) in [
        (kind::DEPLOYMENT, json!({}), &empty),
        (kind::DEPLOYMENT, none.clone(), &empty),
        (kind::REPLICA_SET, none.clone(), &empty),
        (kind::STATEFUL_SET, none.clone(), &empty),
        (kind::DAEMON_SET, none.clone(), &empty),
        (kind::JOB, none.clone(), &empty),
        (kind::CRON_JOB, none.clone(), &jobs),
        (kind::CRON_JOB, json!({"spec": {"jobTemplate": {}}}), &jobs),
        (kind::POD_TEMPLATE, json!({}), &json!({"template": {}})),
    ] {
        let (mut bare, mut empty) = (bare, empty.clone());
        apply(kind, &mut bare);
        apply(kind, &mut empty);
        assert_eq!(bare, empty, "{}", kind.kind);
    }
    // But for the one that may have none.
    let mut old = json!({"spec": {"template": null}});
    apply(kind::REPLICATION_CONTROLLER, &mut old);
    assert!(old["spec"]["template"].is_null(), "{old}");
}

#[test]
fn what_is_said_of_a_whole_pod() {
    let check = |whole: Value, container: Value, expected: Value| {
        let container = json!({"name": "c", "image": "i:v1", "resources": container});
        let pod = json!({"spec": {"resources": whole, "containers": [container, container]}});
        check(kind::POD, pod, &[("/spec/resources", expected)]);
    };
    // What the containers ask for together, and of what they do not ask for the limit.
    check(
        json!({"limits": {"cpu": "4", "memory": "1Gi"}}),
        json!({"requests": {"cpu": "1"}}),
        json!({"limits": {"cpu": "4", "memory": "1Gi"}, "requests": {"cpu": "2", "memory": "1Gi"}}),
    );
    check(
        json!({"limits": {"cpu": "4"}, "requests": {"cpu": "3"}}),
        json!({"requests": {"cpu": "1", "memory": "1Mi"}}),
        json!({"limits": {"cpu": "4"}, "requests": {"cpu": "3", "memory": "2Mi"}}),
    );
    // Without limits nothing is asked for, but for huge pages.
    check(
        json!({"requests": {"cpu": "3"}}),
        json!({"requests": {"memory": "1Mi"}}),
        json!({"requests": {"cpu": "3"}}),
    );
    check(
        json!({"requests": {"cpu": "3"}}),
        json!({"limits": {"hugepages-2Mi": "2Mi"}}),
        json!({"limits": {"hugepages-2Mi": "4Mi"}, "requests": {"cpu": "3", "hugepages-2Mi": "4Mi"}}),
    );
    check(json!({}), json!({"limits": {"cpu": "1"}}), json!({}));
}

#[test]
fn jobs() {
    check(
        kind::JOB,
        with_template(json!({})),
        &[
            ("/spec/completions", json!(1)),
            ("/spec/parallelism", json!(1)),
            ("/spec/backoffLimit", json!(6)),
            ("/spec/podReplacementPolicy", json!("TerminatingOrFailed")),
            ("/metadata/labels", json!({"a": "b"})),
        ],
    );
    let queue = with_template(json!({"parallelism": 3}));
    check(kind::JOB, queue.clone(), &[("/spec/parallelism", json!(3))]);
    let mut defaulted = queue;
    apply(kind::JOB, &mut defaulted);
    assert!(
        defaulted["spec"]["completions"].is_null(),
        "a work queue has no completions"
    );
    let template = with_template(json!({}));
    check(
        kind::CRON_JOB,
        json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": template["spec"]}}}),
        &[
            ("/spec/concurrencyPolicy", json!("Allow")),
            ("/spec/successfulJobsHistoryLimit", json!(3)),
            (
                "/spec/jobTemplate/spec/template/spec/dnsPolicy",
                json!("ClusterFirst"),
            ),
        ],
    );
}

#[test]
fn volumes_and_classes() {
    check(
        kind::PERSISTENT_VOLUME,
        json!({"spec": {"capacity": {"storage": "1Gi"}}}),
        &[
            ("/spec/persistentVolumeReclaimPolicy", json!("Retain")),
            ("/status/phase", json!("Pending")),
        ],
    );
    check(
        kind::PERSISTENT_VOLUME_CLAIM,
        json!({"spec": {}}),
        &[("/spec/volumeMode", json!("Filesystem"))],
    );
    check(
        kind::STORAGE_CLASS,
        json!({}),
        &[
            ("/reclaimPolicy", json!("Delete")),
            ("/volumeBindingMode", json!("Immediate")),
        ],
    );
    check(
        kind::CSI_DRIVER,
        json!({"spec": {"attachRequired": false}}),
        &[
            ("/spec/attachRequired", json!(false)),
            ("/spec/volumeLifecycleModes", json!(["Persistent"])),
        ],
    );
}

#[test]
fn what_limits_and_scales() {
    check(
        kind::LIMIT_RANGE,
        json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]}}),
        &[
            ("/spec/limits/0/default", json!({"cpu": "2"})),
            (
                "/spec/limits/0/defaultRequest",
                json!({"cpu": "2", "memory": "1Mi"}),
            ),
        ],
    );
    check(
        kind::HORIZONTAL_POD_AUTOSCALER,
        json!({"spec": {"behavior": {"scaleUp": {"selectPolicy": "Min"}}}}),
        &[
            ("/spec/minReplicas", json!(1)),
            (
                "/spec/metrics/0/resource/target/averageUtilization",
                json!(80),
            ),
            ("/spec/behavior/scaleUp/selectPolicy", json!("Min")),
            ("/spec/behavior/scaleDown/policies/0/value", json!(100)),
        ],
    );
    check(
        kind::NETWORK_POLICY,
        json!({"spec": {"egress": [{"ports": [{"port": 53}]}]}}),
        &[
            ("/spec/policyTypes", json!(["Ingress", "Egress"])),
            ("/spec/egress/0/ports/0/protocol", json!("TCP")),
        ],
    );
    check(
        kind::PRIORITY_CLASS,
        json!({}),
        &[("/preemptionPolicy", json!("PreemptLowerPriority"))],
    );
    check(
        kind::ENDPOINTS,
        json!({"subsets": [{"ports": [{"port": 1}]}]}),
        &[("/subsets/0/ports/0/protocol", json!("TCP"))],
    );
}

/// In pods, in templates, and of PersistentVolumes.
#[test]
fn sources_of_volumes() {
    for (source, sent, expected) in [
        (
            "hostPath",
            json!({"path": "/a"}),
            json!({"path": "/a", "type": ""}),
        ),
        (
            "iscsi",
            json!({"lun": 0}),
            json!({"lun": 0, "iscsiInterface": "default"}),
        ),
        (
            "rbd",
            json!({"image": "i", "user": "u"}),
            json!({"image": "i", "pool": "rbd", "user": "u", "keyring": "/etc/ceph/keyring"}),
        ),
        (
            "azureDisk",
            json!({"kind": "Managed"}),
            json!({"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": false, "kind": "Managed"}),
        ),
        (
            "scaleIO",
            json!({}),
            json!({"storageMode": "ThinProvisioned", "fsType": "xfs"}),
        ),
    ] {
        let in_pod = json!({"volumes": [{"name": "v", source: sent}], "containers": []});
        let found = format!("/spec/volumes/0/{source}");
        let expected = [(found.as_str(), expected.clone())];
        check(kind::POD, json!({"spec": in_pod}), &expected);
        let found = format!("/spec/template/spec/volumes/0/{source}");
        let in_template = json!({"spec": {"template": {"spec": in_pod}}});
        check(
            kind::DEPLOYMENT,
            in_template,
            &[(&found, expected[0].1.clone())],
        );
        let found = format!("/spec/{source}");
        let volume = json!({"spec": {source: sent}});
        check(
            kind::PERSISTENT_VOLUME,
            volume,
            &[(&found, expected[0].1.clone())],
        );
    }
}

#[test]
fn what_only_a_pod_mounts() {
    let claim = json!({"spec": {"resources": {"requests": {"storage": "1u"}}}});
    let volumes = json!([{"name": "e", "ephemeral": {"volumeClaimTemplate": claim}}, {"name": "i", "image": {"reference": "a/b"}},
        {"name": "j", "image": {"reference": "a/b:1"}}]);
    let expected =
        json!({"resources": {"requests": {"storage": "1m"}}, "volumeMode": "Filesystem"});
    check(
        kind::POD,
        json!({"spec": {"volumes": volumes, "containers": []}}),
        &[
            (
                "/spec/volumes/0/ephemeral/volumeClaimTemplate/spec",
                expected,
            ),
            ("/spec/volumes/1/image/pullPolicy", json!("Always")),
            ("/spec/volumes/2/image/pullPolicy", json!("IfNotPresent")),
        ],
    );
}

#[test]
fn an_account_has_two_names() {
    let (name, alias) = ("/spec/serviceAccountName", "/spec/serviceAccount");
    for (sent, account) in [
        (json!({"serviceAccountName": "a"}), "a"),
        (json!({"serviceAccount": "b"}), "b"),
        (
            json!({"serviceAccountName": "", "serviceAccount": "b"}),
            "b",
        ),
        (
            json!({"serviceAccountName": "a", "serviceAccount": "b"}),
            "a",
        ),
    ] {
        let expected = json!(account);
        let pod = json!({"spec": sent});
        check(
            kind::POD,
            pod.clone(),
            &[(name, expected.clone()), (alias, expected.clone())],
        );
        let (name, alias) = (
            format!("/spec/template{name}"),
            format!("/spec/template{alias}"),
        );
        let set = json!({"spec": {"template": pod}});
        check(
            kind::REPLICA_SET,
            set,
            &[(&name, expected.clone()), (&alias, expected)],
        );
    }
    let mut none = json!({"spec": {}});
    apply(kind::POD, &mut none);
    assert!(none["spec"].get("serviceAccount").is_none());
}

/// Less than a thousandth of a resource counts as one.
#[test]
fn resources_are_counted_in_thousandths() {
    let (sent, kept) = (
        json!({"cpu": "0.0001", "memory": "1.5"}),
        json!({"cpu": "1m", "memory": "1.5"}),
    );
    let both = |list: &Value| json!({"limits": list, "requests": list});
    let container = json!({"name": "c", "image": "i:v1", "resources": both(&sent)});
    let spec = json!({"containers": [container], "overhead": sent, "resources": both(&sent)});
    let expected = [
        ("/spec/containers/0/resources", both(&kept)),
        ("/spec/overhead", kept.clone()),
        ("/spec/resources", both(&kept)),
    ];
    check(kind::POD, json!({"spec": spec}), &expected);
    for (kind, object, found) in [
        (
            kind::LIMIT_RANGE,
            json!({"spec": {"limits": [{"max": sent}]}}),
            "/spec/limits/0/max",
        ),
        (
            kind::RESOURCE_QUOTA,
            json!({"spec": {"hard": sent}}),
            "/spec/hard",
        ),
        (
            kind::PERSISTENT_VOLUME,
            json!({"spec": {"capacity": sent}}),
            "/spec/capacity",
        ),
        (
            kind::PERSISTENT_VOLUME_CLAIM,
            json!({"spec": {"resources": {"requests": sent}}}),
            "/spec/resources/requests",
        ),
        (
            kind::RUNTIME_CLASS,
            json!({"overhead": {"podFixed": sent}}),
            "/overhead/podFixed",
        ),
        (
            kind::NODE,
            json!({"status": {"capacity": sent}}),
            "/status/capacity",
        ),
    ] {
        check(kind, object, &[(found, kept.clone())]);
    }
}

#[test]
fn a_node_gives_what_it_has() {
    let capacity = json!({"cpu": "4"});
    for (sent, expected) in [
        (json!({"capacity": capacity}), capacity.clone()),
        (
            json!({"capacity": capacity, "allocatable": {}}),
            capacity.clone(),
        ),
        (
            json!({"capacity": capacity, "allocatable": {"cpu": "3"}}),
            json!({"cpu": "3"}),
        ),
        (json!({}), Value::Null),
    ] {
        let mut node = json!({"status": sent});
        apply(kind::NODE, &mut node);
        assert_eq!(node["status"]["allocatable"], expected, "{sent}");
        let mut node = json!({"status": sent});
        status(kind::NODE, &mut node);
        assert_eq!(node["status"]["allocatable"], expected, "{sent}");
    }
}
