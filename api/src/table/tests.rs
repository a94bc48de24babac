//! Rows of each kind, as upstream prints them.

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
        (-5, "<invalid>"),
    ] {
        assert_eq!(human_duration(secs), expected, "{secs}");
    }
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
}

#[test]
fn autoscalers() {
    let scaler = |metrics: Value, current: Value| {
        json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 4, "metrics": metrics},
            "status": {"currentReplicas": 2, "currentMetrics": current}})
    };
    let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
    let now = json!([{"type": "Resource", "resource": {"current": {"averageUtilization": 7}}}]);
    let of = kind::HORIZONTAL_POD_AUTOSCALER;
    check(
        of,
        scaler(json!([cpu]), json!([])),
        "a|Deployment/web|cpu: <unknown>/80%|1|4|2|60m",
    );
    check(
        of,
        scaler(json!([cpu]), now),
        "a|Deployment/web|cpu: 7%/80%|1|4|2|60m",
    );
    let pods = json!({"type": "Pods", "pods": {"target": {"averageValue": "10"}}});
    let queue = json!({"type": "External", "external": {"target": {"averageValue": "5"}}});
    check(
        of,
        scaler(json!([pods, queue, cpu]), json!([])),
        "a|Deployment/web|<unknown>/10, <unknown>/5 (avg) + 1 more...|1|4|2|60m",
    );
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
        "a|services/n/s|60m",
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
        kind::PRIORITY_CLASS,
        json!({"value": 1000, "preemptionPolicy": "Never"}),
        "a|1000|false|60m|Never",
    );
    check(kind::RUNTIME_CLASS, json!({"handler": "h"}), "a|h|60m");
    check(kind::LIMIT_RANGE, json!({}), "a|2026-01-01T00:00:00Z");
}
