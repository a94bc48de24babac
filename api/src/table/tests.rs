//! Rows of each kind, as upstream prints them.

mod traffic;

use super::*;
use crate::kind;

#[test]
fn durations() {
    for (secs, expected) in [
        (5, "5s"),
        (119, "119s"),
        (150, "2m30s"),
        (600, "10m"),
        (10_799, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (47 * 3600, "47h"),
        (49 * 3600, "2d1h"),
        (30 * 86400, "30d"),
        (800 * 86400, "2y70d"),
        (7 * 86400 + 3600, "7d1h"),
        (8 * 86400 + 3600, "8d"),
        (730 * 86400, "2y"),
        (2919 * 86400, "7y364d"),
        (2920 * 86400, "8y"),
        (0, "0s"),
        (-1, "0s"),
        (-2, "<invalid>"),
        (-5, "<invalid>"),
    ] {
        assert_eq!(human_duration(secs), expected, "{secs}");
    }
}

#[test]
fn ages() {
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    for (time, expected) in [
        ("2026-01-01T00:00:00Z", "60m"),
        ("2026-01-01T00:59:58.500000Z", "1s"),
        ("2026-01-01T01:00:01Z", "0s"),
        ("2026-01-01T02:00:00Z", "<invalid>"),
        ("0001-01-01T00:00:00Z", "<unknown>"),
        ("", "<unknown>"),
    ] {
        assert_eq!(since(time, now), expected, "{time}");
    }
}

#[test]
fn columns_are_upstreams() {
    let of = |kind, index: usize| {
        let column = columns(kind)[index];
        (column.name, column.kind, column.priority)
    };
    assert_eq!(of(kind::ROLE, 1), ("Created At", "date", 0));
    assert_eq!(of(kind::CLUSTER_ROLE, 1), ("Created At", "date", 0));
    assert_eq!(of(kind::LIMIT_RANGE, 1), ("Created At", "date", 0));
    assert_eq!(
        of(kind::PRIORITY_CLASS, 4),
        ("PreemptionPolicy", "string", 0)
    );
    assert_eq!(of(kind::POD_TEMPLATE, 1), ("Containers", "string", 0));
    assert_eq!(of(kind::JOB, 5), ("Containers", "string", 1));
    assert_eq!(of(kind::EVENT, 9), ("Name", "string", 1));
    assert_eq!(columns(kind::IP_ADDRESS).len(), 2);
    let about = |kind, index: usize| columns(kind)[index].description;
    assert!(about(kind::NODE, 0).ends_with("working-with-objects/names#names"));
    assert!(about(kind::NODE, 3).contains("\n\nPopulated by the system."));
    assert_eq!(about(kind::NODE, 2), "The roles of the node");
    assert_eq!(about(kind::ROLE_BINDING, 3), "Users in the roleBinding");
    assert_eq!(
        about(kind::CLUSTER_ROLE_BINDING, 3),
        "Users in the clusterRoleBinding"
    );
    for kind in kind::KINDS {
        for column in columns(kind) {
            let is_described = ["Name", "Age", "Created At"].contains(&column.name);
            let is_whole = [ABOUT_NAME, ABOUT_AGE].contains(&column.description);
            assert_eq!(is_described, is_whole, "{} {}", kind.kind, column.name);
        }
    }
}

/// Of columns of text too: upstream's cells hold these as they are.
#[test]
fn counts_are_numbers() {
    let cell = |kind, object: Value, index: usize| {
        cells(kind, &object, Timestamp::UNIX_EPOCH)[index].clone()
    };
    let data = json!({"data": {"a": "", "b": ""}, "binaryData": {"c": ""}});
    assert_eq!(cell(kind::CONFIG_MAP, data.clone(), 1), json!(3));
    assert_eq!(cell(kind::SECRET, data, 2), json!(2));
    let account = json!({"secrets": [{}]});
    assert_eq!(cell(kind::SERVICE_ACCOUNT, account, 1), json!(1));
    let revision = json!({"revision": 7});
    assert_eq!(cell(kind::CONTROLLER_REVISION, revision, 2), json!(7));
    assert_eq!(cell(kind::EVENT, json!({"count": 5}), 8), json!(5));
}

#[test]
fn events() {
    let event = |more: Value| {
        let mut event = json!({"type": "Normal", "reason": "R", "message": " m\n", "involvedObject":
            {"kind": "Pod", "name": "p", "fieldPath": "f"}, "source": {"component": "c", "host": "h"}});
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        event
    };
    let (first, last) = ("2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z");
    let check = |more, expected| check(kind::EVENT, event(more), expected);
    check(
        json!({"firstTimestamp": first, "lastTimestamp": last, "count": 4}),
        "30m|Normal|R|pod/p|f|c, h|m|60m|4|a",
    );
    // Without a last time it was last seen when it was first.
    check(
        json!({"firstTimestamp": first, "eventTime": last, "count": 0}),
        "60m|Normal|R|pod/p|f|c, h|m|60m|1|a",
    );
    check(
        json!({"firstTimestamp": null, "eventTime": "2026-01-01T00:30:00.000000Z"}),
        "30m|Normal|R|pod/p|f|c, h|m|30m|1|a",
    );
    // A series knows it better.
    check(
        json!({"firstTimestamp": first, "lastTimestamp": first, "count": 1,
            "series": {"count": 9, "lastObservedTime": "2026-01-01T00:59:00.000000Z"}}),
        "60s|Normal|R|pod/p|f|c, h|m|60m|9|a",
    );
    check(
        json!({"series": {}, "source": {}, "reportingComponent": "x", "reportingInstance": "y"}),
        "<unknown>|Normal|R|pod/p|f|x, y|m|<unknown>|0|a",
    );
    check(
        json!({"involvedObject": {"kind": "Node"}, "source": {"component": "c"}}),
        "<unknown>|Normal|R|node||c|m|<unknown>|1|a",
    );
}

#[test]
fn nodes() {
    let node = json!({"metadata": {"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/": "",
            "kubernetes.io/role": "edge", "other": "x"}},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}], "nodeInfo": {"kubeletVersion": "v1", "osImage": "o"},
            "addresses": [{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "1.1.1.1"}, {"type": "InternalIP", "address": "::1"}]}});
    check(
        kind::NODE,
        node,
        "a|NotReady|edge,worker|60m|v1|1.1.1.1|<none>|o|<unknown>|<unknown>",
    );
    check(
        kind::NODE,
        json!({"metadata": {"labels": {"kubernetes.io/role": ""}}}),
        "a|Unknown|<none>|60m||<none>|<none>|<unknown>|<unknown>|<unknown>",
    );
}

#[test]
fn deployments() {
    let deployment = |selector: Value| {
        let mut deployment = with_template(
            json!({"spec": {"replicas": 3}, "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}}),
        );
        deployment["spec"]["selector"] = selector;
        deployment
    };
    for (selector, shown) in [
        (
            json!({"matchLabels": {"b": "1"}, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}),
            "!a,b=1",
        ),
        (json!({}), ""),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "Gt"}]}),
            "<invalid>",
        ),
    ] {
        let expected = format!("a|2/3|3|1|60m|c,d|i,j|{shown}");
        check(kind::DEPLOYMENT, deployment(selector), &expected);
    }
    let mut set = deployment(json!({}));
    check(kind::REPLICA_SET, set.clone(), "a|3|0|2|60m|c,d|i,j|<none>");
    set["spec"]["selector"] = json!({"matchExpressions": [{"key": "a", "operator": "In"}]});
    check(kind::REPLICA_SET, set, "a|3|0|2|60m|c,d|i,j|<error>");
}

#[test]
fn as_many_cells_as_columns() {
    for kind in kind::KINDS {
        assert_eq!(
            cells(kind, &json!({}), Timestamp::UNIX_EPOCH).len(),
            columns(kind).len(),
            "{}",
            kind.kind
        );
    }
}

#[test]
fn services_and_nodes() {
    let service = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "clusterIP": "10.0.0.1",
        "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}], "selector": {"app": "a"}}});
    let row = cells(kind::SERVICE, &service, Timestamp::UNIX_EPOCH);
    assert_eq!(row[4], "80:30080/TCP,53/UDP");
    assert_eq!(row[6], "app=a");
    let node = json!({"spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    assert_eq!(
        cells(kind::NODE, &node, Timestamp::UNIX_EPOCH)[1],
        "Ready,SchedulingDisabled"
    );
}

/// The cells of an object after its name, with `|` between.
#[track_caller]
fn check(kind: KindRef, object: Value, expected: &str) {
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    let mut object = object;
    object["metadata"]["name"] = json!("a");
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    let row = cells(kind, &object, now);
    let shown: Vec<String> = row.iter().map(|cell| plain(cell, "null")).collect();
    assert_eq!(shown.join("|"), expected, "{}", kind.kind);
}

fn with_template(mut object: Value) -> Value {
    object["spec"]["selector"] = json!({"matchLabels": {"a": "b"}});
    object["spec"]["template"] =
        json!({"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}});
    object
}

#[test]
fn what_runs_pods() {
    check(
        kind::DAEMON_SET,
        with_template(
            json!({"status": {"desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberReady": 1}}),
        ),
        "a|3|2|1|0|0|<none>|60m|c,d|i,j|a=b",
    );
    check(
        kind::STATEFUL_SET,
        with_template(json!({"spec": {"replicas": 3}, "status": {"readyReplicas": 2}})),
        "a|2/3|60m|c,d|i,j",
    );
    let mut old = with_template(json!({"spec": {"replicas": 3}}));
    old["spec"]["selector"] = json!({"x": "y"});
    check(kind::REPLICATION_CONTROLLER, old, "a|3|0|0|60m|c,d|i,j|x=y");
    check(
        kind::CONTROLLER_REVISION,
        json!({"revision": 4, "metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": true}]}}),
        "a|daemonset.apps/d|4|60m",
    );
    check(
        kind::CONTROLLER_REVISION,
        json!({"metadata": {"ownerReferences": [{"apiVersion": "Example.com/v1", "kind": "Set", "name": "D", "controller": true}]}}),
        "a|set.example.com/D|0|60m",
    );
}

#[test]
fn jobs() {
    let job = |status: Value| with_template(json!({"spec": {"completions": 2}, "status": status}));
    check(kind::JOB, job(json!({})), "a|Running|0/2||60m|c,d|i,j|a=b");
    check(
        kind::JOB,
        job(
            json!({"succeeded": 2, "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:30Z",
            "conditions": [{"type": "Complete", "status": "True"}]}),
        ),
        "a|Complete|2/2|30s|60m|c,d|i,j|a=b",
    );
    check(
        kind::JOB,
        with_template(
            json!({"spec": {"parallelism": 3}, "status": {"conditions": [{"type": "Suspended", "status": "True"}]}}),
        ),
        "a|Suspended|0/1 of 3||60m|c,d|i,j|a=b",
    );
    let template = with_template(json!({}))["spec"]["template"].clone();
    check(
        kind::CRON_JOB,
        json!({"spec": {"schedule": "*/5 * * * *", "suspend": false, "jobTemplate": {"spec": {"template": template}}},
            "status": {"active": [{}], "lastScheduleTime": "2026-01-01T00:58:00Z"}}),
        "a|*/5 * * * *|<none>|False|1|2m|60m|c,d|i,j|<none>",
    );
    check(
        kind::POD_TEMPLATE,
        json!({"template": template}),
        "a|c,d|i,j|<none>",
    );
    check(
        kind::CRON_JOB,
        json!({"spec": {"schedule": "@daily", "timeZone": "Europe/Zurich", "suspend": true}}),
        "a|@daily|Europe/Zurich|True|0|<none>|60m|||<none>",
    );
    // The first condition of a type counts.
    let twice =
        json!([{"type": "Failed", "status": "False"}, {"type": "Failed", "status": "True"}]);
    check(
        kind::JOB,
        job(json!({"conditions": twice})),
        "a|Running|0/2||60m|c,d|i,j|a=b",
    );
}

fn scaler(metrics: &Value, current: &Value) -> Value {
    json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 4, "metrics": metrics},
        "status": {"currentReplicas": 2, "currentMetrics": current}})
}

#[test]
fn autoscalers() {
    let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
    let now = json!([{"type": "Resource", "resource": {"current": {"averageUtilization": 7}}}]);
    let of = kind::HORIZONTAL_POD_AUTOSCALER;
    check(
        of,
        scaler(&json!([cpu]), &json!([])),
        "a|Deployment/web|cpu: <unknown>/80%|1|4|2|60m",
    );
    check(
        of,
        scaler(&json!([cpu]), &now),
        "a|Deployment/web|cpu: 7%/80%|1|4|2|60m",
    );
    let pods = json!({"type": "Pods", "pods": {"target": {"averageValue": "10"}}});
    let queue = json!({"type": "External", "external": {"target": {"averageValue": "5"}}});
    check(
        of,
        scaler(&json!([pods, queue, cpu]), &json!([])),
        "a|Deployment/web|<unknown>/10, <unknown>/5 (avg) + 1 more...|1|4|2|60m",
    );
    check(
        of,
        json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 4}}),
        "a|Deployment/web|<none>|<unset>|4|0|60m",
    );
}

#[test]
fn metrics_of_every_type() {
    let shown = |name: &str, field: &str, target: &Value, current: &Value, expected: &str| {
        let spec = json!({"type": name, field: {"name": "memory", "target": target}});
        let status = match current {
            Value::Null => json!({}),
            current => json!({field: {"current": current}}),
        };
        let object = scaler(&json!([spec]), &json!([status]));
        let expected = format!("a|Deployment/web|{expected}|1|4|2|60m");
        check(kind::HORIZONTAL_POD_AUTOSCALER, object, &expected);
    };
    let (average, value, null) = (
        json!({"averageValue": "0.5"}),
        json!({"value": "1000m"}),
        Value::Null,
    );
    for (name, field) in [("External", "external"), ("Object", "object")] {
        for (target, current, expected) in [
            (&average, &average, "500m/500m (avg)"),
            (&average, &value, "<unknown>/500m (avg)"),
            (&average, &null, "<unknown>/500m (avg)"),
            (&value, &value, "1/1"),
            (&value, &average, "<nil>/1"),
            (&value, &null, "<unknown>/1"),
        ] {
            shown(name, field, target, current, expected);
        }
    }
    let (part, none) = (json!({"averageUtilization": 9}), json!({}));
    let memory = json!({"averageValue": "1024Ki"});
    for (name, field) in [
        ("Resource", "resource"),
        ("ContainerResource", "containerResource"),
    ] {
        for (target, current, expected) in [
            (&memory, &memory, "memory: 1Mi/1Mi"),
            (&memory, &part, "memory: <nil>/1Mi"),
            (&memory, &null, "memory: <unknown>/1Mi"),
            (&part, &part, "memory: 9%/9%"),
            (&part, &memory, "memory: <unknown>/9%"),
            (&none, &part, "memory: 9%/<auto>"),
        ] {
            shown(name, field, target, current, expected);
        }
    }
    shown("Pods", "pods", &average, &average, "500m/500m");
    shown("Pods", "pods", &average, &none, "<nil>/500m");
    shown("Other", "other", &none, &none, "<unknown type>");
}

#[test]
fn volumes() {
    check(
        kind::PERSISTENT_VOLUME,
        json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": "n", "name": "c"}, "storageClassName": "s", "volumeMode": "Filesystem"}, "status": {"phase": "Bound"}}),
        "a|1Gi|RWO,RWX|Retain|Bound|n/c|s|<unset>||60m|Filesystem",
    );
    let claim = |volume: &str| {
        json!({"spec": {"volumeName": volume, "storageClassName": "s"}, "status": {"phase": "Pending",
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"]}})
    };
    check(
        kind::PERSISTENT_VOLUME_CLAIM,
        claim(""),
        "a|Pending||||s|<unset>|60m|<unset>",
    );
    check(
        kind::PERSISTENT_VOLUME_CLAIM,
        claim("v"),
        "a|Pending|v|1Gi|RWOP|s|<unset>|60m|<unset>",
    );
    check(
        kind::PERSISTENT_VOLUME_CLAIM,
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:59:00Z", "annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
            "spec": {"volumeName": "v", "storageClassName": "s", "volumeAttributesClassName": "w", "volumeMode": "Block"}, "status": {"phase": "Bound"}}),
        "a|Terminating|v|0||old|w|60m|Block",
    );
    // A quantity is shown as upstream reads it, not as it was written.
    check(
        kind::PERSISTENT_VOLUME,
        json!({"spec": {"capacity": {"storage": "1024Mi"}}}),
        "a|1Gi||||||<unset>||60m|<unset>",
    );
}

#[test]
fn classes_and_drivers_of_volumes() {
    let mut class = json!({"provisioner": "p", "allowVolumeExpansion": true});
    class["metadata"]["annotations"] =
        json!({"storageclass.kubernetes.io/is-default-class": "true"});
    check(
        kind::STORAGE_CLASS,
        class,
        "a (default)|p|Delete|Immediate|true|60m",
    );
    check(
        kind::CSI_DRIVER,
        json!({"spec": {"attachRequired": false, "volumeLifecycleModes": ["Persistent", "Ephemeral"]}}),
        "a|false|false|false|<unset>|false|Persistent,Ephemeral|60m",
    );
    check(
        kind::CSI_DRIVER,
        json!({"spec": {"tokenRequests": [{"audience": "x"}, {"audience": "y"}], "requiresRepublish": true}}),
        "a|true|false|false|x,y|true|<none>|60m",
    );
    check(
        kind::CSI_DRIVER,
        json!({"spec": {"tokenRequests": []}}),
        "a|true|false|false|<unset>|false|<none>|60m",
    );
    check(
        kind::CSI_STORAGE_CAPACITY,
        json!({"storageClassName": "s"}),
        "a|s|<unset>",
    );
    check(
        kind::CSI_NODE,
        json!({"spec": {"drivers": [{}, {}]}}),
        "a|2|60m",
    );
    check(
        kind::CSI_STORAGE_CAPACITY,
        json!({"storageClassName": "s", "capacity": "1Gi"}),
        "a|s|1Gi",
    );
    check(
        kind::VOLUME_ATTACHMENT,
        json!({"spec": {"attacher": "x", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}),
        "a|x|v|n|false|60m",
    );
    check(
        kind::VOLUME_ATTRIBUTES_CLASS,
        json!({"driverName": "d"}),
        "a|d|60m",
    );
    for (mark, name) in [
        ("volumeattributesclass.alpha", "a (default)"),
        ("volumeattributesclass", "a"),
    ] {
        let mut class = json!({"driverName": "d"});
        let mark = format!("{mark}.kubernetes.io/is-default-class");
        class["metadata"]["annotations"][mark.as_str()] = json!("true");
        check(
            kind::VOLUME_ATTRIBUTES_CLASS,
            class,
            &format!("{name}|d|60m"),
        );
    }
}

#[test]
fn networks() {
    let rules =
        |hosts: &[&str]| -> Vec<Value> { hosts.iter().map(|host| json!({"host": host})).collect() };
    check(
        kind::INGRESS,
        json!({"spec": {"rules": rules(&["x", "y", "z", "w"]), "tls": [{}]}, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}),
        "a|<none>|x,y,z + 1 more...|10.0.0.1|80, 443|60m",
    );
    // A rule without a host is none to show, and counts among those that are more.
    check(
        kind::INGRESS,
        json!({"spec": {"rules": rules(&["", "x", "y", "z"])}}),
        "a|<none>|x,y,z||80|60m",
    );
    check(
        kind::INGRESS,
        json!({"spec": {"rules": rules(&["x", "y", "z", ""])}}),
        "a|<none>|x,y,z + 1 more...||80|60m",
    );
    check(
        kind::INGRESS,
        json!({"spec": {"ingressClassName": "n"}}),
        "a|n|*||80|60m",
    );
    check(
        kind::INGRESS_CLASS,
        json!({"spec": {"controller": "x/y", "parameters": {"apiGroup": "g", "kind": "K", "name": "n"}}}),
        "a|x/y|K.g/n|60m",
    );
    let selector = json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]});
    check(
        kind::NETWORK_POLICY,
        json!({"spec": {"podSelector": selector}}),
        "a|tier|60m",
    );
    check(
        kind::NETWORK_POLICY,
        json!({"spec": {"podSelector": {}}}),
        "a|<none>|60m",
    );
    check(
        kind::IP_ADDRESS,
        json!({"spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "s"}}}),
        "a|services/n/s",
    );
    check(
        kind::SERVICE_CIDR,
        json!({"spec": {"cidrs": ["10.96.0.0/16"]}}),
        "a|10.96.0.0/16|60m",
    );
    let addresses: Vec<Value> = (1..=4)
        .map(|n| json!({"ip": format!("10.0.0.{n}")}))
        .collect();
    check(
        kind::ENDPOINTS,
        json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]}),
        "a|10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more...|60m",
    );
    check(kind::ENDPOINTS, json!({}), "a|<none>|60m");
}

#[test]
fn budgets_quotas_and_classes() {
    check(
        kind::POD_DISRUPTION_BUDGET,
        json!({"spec": {"maxUnavailable": "25%"}, "status": {"disruptionsAllowed": 1}}),
        "a|N/A|25%|1|60m",
    );
    check(
        kind::RESOURCE_QUOTA,
        json!({"status": {"hard": {"pods": "4", "limits.cpu": "2"}, "used": {"pods": "1"}}}),
        "a|pods: 1/4|limits.cpu: 0/2|60m",
    );
    check(
        kind::RESOURCE_QUOTA,
        json!({"status": {"hard": {"requests.cpu": "1000m", "limits.memory": "2048Mi", "count/a": "1e3"}, "used": {"requests.cpu": "0.1"}}}),
        "a|count/a: 0/1e3, requests.cpu: 100m/1|limits.memory: 0/2Gi|60m",
    );
    check(
        kind::PRIORITY_CLASS,
        json!({"value": 1000, "preemptionPolicy": "Never"}),
        "a|1000|false|60m|Never",
    );
    check(kind::RUNTIME_CLASS, json!({"handler": "h"}), "a|h|60m");
    check(kind::LIMIT_RANGE, json!({}), "a|2026-01-01T00:00:00Z");
}
