//! What each kind refuses: the fields and the words.

mod addresses;
mod annotations;
mod autoscalers;
mod events;
mod jobs;
mod metadata;
mod nodes;
mod persistent_volumes;
mod pod_change;
mod pod_rules;
mod scheduling;
mod selectors;
mod services;
mod slices;
mod statuses;
mod storage_kinds;
mod strategies;
mod volumes;

use super::*;
use crate::kind;
use serde_json::json;

/// Defaults first, as at the door; then what is said, one line a cause.
#[track_caller]
fn check(kind: KindRef, mut object: Value, expected: &[&str]) {
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = json!("a");
    }
    crate::defaults::apply(kind, &mut object);
    let said: Vec<String> = create(kind, &object)
        .into_iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    assert_eq!(said, expected, "{}", kind.kind);
}

/// What is said of a change, by field and reason.
#[track_caller]
fn check_change(kind: KindRef, old: Value, edit: fn(&mut Value), expected: &[&str]) {
    let mut old = old;
    old["metadata"]["name"] = json!("a");
    crate::defaults::apply(kind, &mut old);
    assert_eq!(create(kind, &old), [], "{}: the old one", kind.kind);
    let mut new = old.clone();
    edit(&mut new);
    let said: Vec<String> = update(kind, &new, &old)
        .into_iter()
        .map(|cause| cause.field)
        .collect();
    assert_eq!(said, expected, "{}", kind.kind);
}

fn pods(spec: Value, restart: &str) -> Value {
    let mut object = json!({"spec": spec});
    object["spec"]["template"] = json!({"metadata": {"labels": {"a": "b"}},
        "spec": {"restartPolicy": restart, "containers": [{"name": "c", "image": "i:v1"}]}});
    object
}

fn selecting(spec: Value) -> Value {
    let mut object = pods(spec, "Always");
    object["spec"]["selector"] = json!({"matchLabels": {"a": "b"}});
    object
}

#[test]
fn daemon_and_stateful_sets() {
    check(kind::DAEMON_SET, selecting(json!({})), &[]);
    check(
        kind::DAEMON_SET,
        pods(json!({"selector": {}}), "Never"),
        &[
            "spec.selector: Invalid value: {}: empty selector is invalid for daemonset",
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ],
    );
    let rolling = |most: Value, surge: Value| {
        selecting(
            json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": most, "maxSurge": surge}}}),
        )
    };
    check(
        kind::DAEMON_SET,
        rolling(json!(0), json!(0)),
        &[
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
        ],
    );
    check(
        kind::DAEMON_SET,
        rolling(json!("101%"), json!(0)),
        &[
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
        ],
    );
    let claims = json!({"serviceName": "s", "volumeClaimTemplates": [{"metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]});
    let mut set = selecting(claims);
    set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "data", "mountPath": "/d"}]);
    check(kind::STATEFUL_SET, set.clone(), &[]);
    check_change(
        kind::STATEFUL_SET,
        set.clone(),
        |set| set["spec"]["replicas"] = json!(3),
        &[],
    );
    check_change(
        kind::STATEFUL_SET,
        set,
        |set| set["spec"]["serviceName"] = json!("t"),
        &["spec"],
    );
    check(
        kind::STATEFUL_SET,
        selecting(
            json!({"podManagementPolicy": "Random", "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]}),
        ),
        &[
            "spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or 'Parallel'",
            "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
        ],
    );
}

#[test]
fn old_controllers_and_revisions() {
    check(kind::REPLICATION_CONTROLLER, pods(json!({}), "Always"), &[]);
    check(
        kind::REPLICATION_CONTROLLER,
        pods(json!({"selector": {"x": "y"}}), "Always"),
        &[
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
        ],
    );
    check(
        kind::CONTROLLER_REVISION,
        json!({"revision": 1}),
        &["data: Required value: data is mandatory"],
    );
    check_change(
        kind::CONTROLLER_REVISION,
        json!({"revision": 1, "data": {"a": 1}}),
        |revision| revision["data"] = json!({}),
        &["data"],
    );
}

fn cron(schedule: &str, zone: Value) -> Value {
    let template = pods(json!({}), "OnFailure");
    json!({"spec": {"schedule": schedule, "timeZone": zone, "jobTemplate": {"spec": template["spec"]}}})
}

#[test]
fn cron_jobs() {
    check(
        kind::CRON_JOB,
        cron("*/5 * * * *", json!("Europe/Berlin")),
        &[],
    );
    check(
        kind::CRON_JOB,
        cron("often", json!("/")),
        &[
            "spec.schedule: Invalid value: \"often\": expected exactly 5 fields, found 1: [often]",
            "spec.timeZone: Invalid value: \"/\": unknown time zone /",
        ],
    );
    check(
        kind::CRON_JOB,
        cron("TZ=UTC * * * * *", Value::Null),
        &[
            "spec.schedule: Invalid value: \"TZ=UTC * * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ],
    );
    let mut long = cron("@daily", Value::Null);
    long["metadata"]["name"] = json!("x".repeat(53));
    long["spec"]["concurrencyPolicy"] = json!("Maybe");
    check(
        kind::CRON_JOB,
        long,
        &[
            "spec.concurrencyPolicy: Unsupported value: \"Maybe\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
            &format!(
                "metadata.name: Invalid value: \"{}\": must be no more than 52 characters",
                "x".repeat(53)
            ),
        ],
    );
}

#[test]
fn zones_of_cron_jobs() {
    let zone = |zone: &str, said: &[&str]| check(kind::CRON_JOB, cron("@daily", json!(zone)), said);
    zone("UTC", &[]);
    zone("US/Pacific", &[]);
    zone(
        "",
        &["spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"],
    );
    zone(
        "Europe/Bonn",
        &["spec.timeZone: Invalid value: \"Europe/Bonn\": unknown time zone Europe/Bonn"],
    );
    zone(
        "Local",
        &[
            "spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        ],
    );
    zone(
        "local",
        &[
            "spec.timeZone: Invalid value: \"local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            "spec.timeZone: Invalid value: \"local\": unknown time zone local",
        ],
    );
}

#[test]
fn what_a_cron_job_was_let_have_stays_until_it_is_touched() {
    let mut old = cron("TZ=UTC @daily", json!("Mars/Base"));
    old["metadata"]["name"] = json!("x".repeat(53));
    crate::defaults::apply(kind::CRON_JOB, &mut old);
    let said = |edit: fn(&mut Value)| -> Vec<String> {
        let mut new = old.clone();
        edit(&mut new["spec"]);
        let causes = update(kind::CRON_JOB, &new, &old).into_iter();
        causes.map(|cause| cause.message).collect()
    };
    let both = "Invalid value: \"TZ=UTC @daily\": cannot use both timeZone field and TZ or CRON_TZ in schedule";
    assert_eq!(said(|spec| spec["suspend"] = json!(true)), [both]);
    assert_eq!(said(|spec| spec["timeZone"] = Value::Null), [""; 0]);
    assert_eq!(
        said(|spec| spec["timeZone"] = json!("Mars/Port")),
        [
            both,
            "Invalid value: \"Mars/Port\": unknown time zone Mars/Port"
        ]
    );
    let plain = cron("@daily", Value::Null);
    check_change(
        kind::CRON_JOB,
        plain,
        |cron| cron["spec"]["schedule"] = json!("CRON_TZ=UTC @daily"),
        &["spec.schedule"],
    );
}

#[test]
fn ingresses() {
    let with = |path: Value| json!({"spec": {"rules": [{"host": "x.example.com", "http": {"paths": [path]}}]}});
    let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
    check(
        kind::INGRESS,
        with(json!({"path": "/", "pathType": "Prefix", "backend": backend})),
        &[],
    );
    check(
        kind::INGRESS,
        json!({"spec": {}}),
        &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    );
    check(
        kind::INGRESS,
        with(
            json!({"path": "a//b", "pathType": "Exact", "backend": {"service": {"name": "S", "port": {}}}}),
        ),
        &[
            "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must be an absolute path",
            "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must not contain '//'",
            &format!(
                "spec.rules[0].http.paths[0].backend.service.name: Invalid value: \"S\": {}",
                meta::DNS_1035_MESSAGE
            ),
            "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
        ],
    );
    check(
        kind::INGRESS,
        with(json!({"path": "/", "backend": backend})),
        &["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    );
    check(
        kind::INGRESS,
        json!({"spec": {"rules": [{"host": "10.0.0.1"}], "defaultBackend": {}}}),
        &[
            "spec.defaultBackend: Invalid value: \"\": resource or service backend is required",
            "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
        ],
    );
    check(
        kind::INGRESS_CLASS,
        json!({"spec": {"controller": "x.io/y"}}),
        &[],
    );
    check(
        kind::INGRESS_CLASS,
        json!({"spec": {}}),
        &["spec.controller: Required value"],
    );
    let class = json!({"spec": {"controller": "x.io/y"}});
    check_change(
        kind::INGRESS_CLASS,
        class,
        |class| class["spec"]["controller"] = json!("x.io/z"),
        &["spec.controller"],
    );
}

#[test]
fn network_policies_and_addresses() {
    let peer = |peer: Value| json!({"spec": {"podSelector": {}, "ingress": [{"from": [peer]}]}});
    check(
        kind::NETWORK_POLICY,
        peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}})),
        &[],
    );
    check(
        kind::NETWORK_POLICY,
        peer(
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16", "10.0.0.0/8", "x"]}}),
        ),
        &[
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            "spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`",
            "spec.ingress[0].from[0].ipBlock.except[2]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ],
    );
    check(
        kind::NETWORK_POLICY,
        peer(json!({})),
        &["spec.ingress[0].from[0]: Required value: must specify a peer"],
    );
    check(
        kind::NETWORK_POLICY,
        json!({"spec": {"podSelector": {}, "policyTypes": ["Inbound"], "egress": [{"ports": [{"endPort": 5}]}]}}),
        &[
            "spec.egress[0].ports[0].endPort: Invalid value: 5: may not be specified when `port` is not specified",
            "spec.policyTypes[0]: Unsupported value: \"Inbound\": supported values: \"Ingress\", \"Egress\"",
        ],
    );
    check(
        kind::NETWORK_POLICY,
        json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress", "X"]}}),
        &[
            "spec.policyTypes: Invalid value: [\"Ingress\",\"Egress\",\"X\"]: may not specify more than two policyTypes",
        ],
    );
    let mut address = json!({"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": {"resource": "services", "name": "s"}}});
    check(kind::IP_ADDRESS, address.clone(), &[]);
    address["metadata"]["name"] = json!("x");
    address["spec"] = json!({});
    check(
        kind::IP_ADDRESS,
        address,
        &[
            "metadata.name: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            "spec.parentRef: Required value",
        ],
    );
    check(
        kind::SERVICE_CIDR,
        json!({"spec": {"cidrs": ["10.96.0.0/16", "fd00::/64"]}}),
        &[],
    );
    check(
        kind::SERVICE_CIDR,
        json!({"spec": {"cidrs": ["10.96.0.0/33"]}}),
        &[
            "spec.cidrs[0]: Invalid value: \"10.96.0.0/33\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ],
    );
}

#[test]
fn volumes_and_claims() {
    let volume = json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/d"}}});
    check(kind::PERSISTENT_VOLUME, volume.clone(), &[]);
    check_change(
        kind::PERSISTENT_VOLUME,
        volume,
        |volume| volume["spec"]["hostPath"]["path"] = json!("/e"),
        &["spec.persistentvolumesource"],
    );
    check(
        kind::PERSISTENT_VOLUME,
        json!({"spec": {"local": {}, "nfs": {"server": "s", "path": "/"}, "persistentVolumeReclaimPolicy": "Burn"}}),
        &[
            "spec.accessModes: Required value",
            "spec.capacity: Required value",
            "spec.capacity: Unsupported value: null: supported values: \"storage\"",
            "spec.persistentVolumeReclaimPolicy: Unsupported value: \"Burn\": supported values: \"Delete\", \"Recycle\", \"Retain\"",
            "spec.local: Forbidden: may not specify more than 1 volume type",
        ],
    );
    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    check(kind::PERSISTENT_VOLUME_CLAIM, claim.clone(), &[]);
    let grow = |claim: &mut Value| claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
    check_change(
        kind::PERSISTENT_VOLUME_CLAIM,
        claim.clone(),
        grow,
        &["spec"],
    );
    let mut bound = claim.clone();
    bound["status"] = json!({"phase": "Bound"});
    check_change(kind::PERSISTENT_VOLUME_CLAIM, bound, grow, &[]);
    check_change(
        kind::PERSISTENT_VOLUME_CLAIM,
        claim,
        |claim| claim["spec"]["volumeName"] = json!("v"),
        &[],
    );
    check(
        kind::PERSISTENT_VOLUME_CLAIM,
        json!({"spec": {"accessModes": ["Sometimes"], "resources": {"requests": {"storage": "0"}}}}),
        &[
            "spec.accessModes: Unsupported value: \"Sometimes\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
        ],
    );
    filled_from();
}

fn filled_from() {
    let claim = json!({"kind": "PersistentVolumeClaim", "name": "a"});
    let other = json!({"kind": "PersistentVolumeClaim", "name": "b"});
    let foreign = json!({"kind": "PersistentVolumeClaim", "name": "a", "namespace": "n"});
    for (reference, expected) in [
        (&claim, &[][..]),
        (
            &other,
            &["spec: Invalid value: {}: must match dataSourceRef"],
        ),
        (
            &foreign,
            &[
                "spec: Invalid value: {}: may not be specified when dataSourceRef.namespace is specified",
            ],
        ),
    ] {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}},
            "dataSource": claim, "dataSourceRef": reference});
        let object = json!({"spec": spec});
        check(kind::PERSISTENT_VOLUME_CLAIM, object, expected);
    }
}

#[test]
fn storage_classes_and_drivers() {
    check(
        kind::STORAGE_CLASS,
        json!({}),
        &["provisioner: Required value"],
    );
    let class = json!({"provisioner": "x.io/y", "parameters": {"a": "b"}});
    check_change(
        kind::STORAGE_CLASS,
        class.clone(),
        |class| class["parameters"] = json!({}),
        &["parameters"],
    );
    check_change(
        kind::STORAGE_CLASS,
        class,
        |class| class["allowVolumeExpansion"] = json!(true),
        &[],
    );
    check(
        kind::VOLUME_ATTACHMENT,
        json!({"spec": {"attacher": "x", "nodeName": "n", "source": {}}}),
        &[
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        ],
    );
    check(
        kind::CSI_DRIVER,
        json!({"spec": {"volumeLifecycleModes": ["Forever"]}}),
        &[
            "spec.volumeLifecycleModes: Unsupported value: \"Forever\": supported values: \"Persistent\", \"Ephemeral\"",
        ],
    );
    check(
        kind::CSI_NODE,
        json!({"spec": {"drivers": [{"name": "d", "nodeID": "1"}, {"name": "d"}]}}),
        &[
            "spec.drivers[1].nodeID: Required value",
            "spec.drivers[1].name: Duplicate value: \"d\"",
        ],
    );
    check(
        kind::CSI_STORAGE_CAPACITY,
        json!({"storageClassName": "s", "capacity": "1Gi"}),
        &[],
    );
    check(
        kind::VOLUME_ATTRIBUTES_CLASS,
        json!({"driverName": "d"}),
        &["parameters: Required value: must contain at least one key/value pair"],
    );
}

#[test]
fn budgets_and_autoscalers() {
    check(
        kind::POD_DISRUPTION_BUDGET,
        json!({"spec": {"minAvailable": "50%"}}),
        &[],
    );
    check(
        kind::POD_DISRUPTION_BUDGET,
        json!({"spec": {"minAvailable": -1, "maxUnavailable": "x"}}),
        &[
            "spec: Invalid value: {\"maxUnavailable\":\"x\",\"minAvailable\":-1}: minAvailable and maxUnavailable are mutually exclusive",
            "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
            "spec.maxUnavailable: Invalid value: \"x\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ],
    );
    let scaler = |spec: Value| {
        let mut scaler = json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3}});
        for (name, value) in spec.as_object().unwrap() {
            scaler["spec"][name] = value.clone();
        }
        scaler
    };
    let of = kind::HORIZONTAL_POD_AUTOSCALER;
    check(of, scaler(json!({})), &[]);
    check(
        of,
        scaler(json!({"minReplicas": 5})),
        &["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
    );
    check(
        of,
        scaler(json!({"scaleTargetRef": {"kind": "Deployment"}})),
        &["spec.scaleTargetRef.name: Required value"],
    );
    check(
        of,
        scaler(
            json!({"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}, {"type": "Pods"}]}),
        ),
        &[
            "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
            "spec.metrics[1].pods: Required value: must populate information for the given metric source",
        ],
    );
    check(
        of,
        scaler(
            json!({"behavior": {"scaleUp": {"stabilizationWindowSeconds": 4000, "policies": [{"type": "Pods", "value": 0, "periodSeconds": 15}]}}}),
        ),
        &[
            "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 4000: must be less than or equal to 3600",
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
        ],
    );
}

#[test]
fn classes() {
    check(kind::PRIORITY_CLASS, json!({"value": 1_000_000_000}), &[]);
    check(
        kind::PRIORITY_CLASS,
        json!({"value": 1_000_000_001, "preemptionPolicy": "Always"}),
        &[
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
            "preemptionPolicy: Unsupported value: \"Always\": supported values: \"Never\", \"PreemptLowerPriority\"",
        ],
    );
    check(
        kind::PRIORITY_CLASS,
        json!({"metadata": {"name": "system-mine"}, "value": 5}),
        &[
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
        ],
    );
    for class in crate::priority::SYSTEM_CLASSES {
        check(
            kind::PRIORITY_CLASS,
            json!({"metadata": {"name": class.name}, "value": class.value}),
            &[],
        );
    }
    check_change(
        kind::PRIORITY_CLASS,
        json!({"value": 5}),
        |class| class["value"] = json!(6),
        &["value"],
    );
    check(kind::RUNTIME_CLASS, json!({"handler": "wasm"}), &[]);
    check(
        kind::RUNTIME_CLASS,
        json!({"handler": "W"}),
        &[&format!(
            "handler: Invalid value: \"W\": {}",
            meta::LABEL_MESSAGE
        )],
    );
    check_change(
        kind::RUNTIME_CLASS,
        json!({"handler": "a"}),
        |class| class["handler"] = json!("b"),
        &["handler"],
    );
}

#[test]
fn limits_and_quotas() {
    check(
        kind::LIMIT_RANGE,
        json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}, {"type": "Pod", "default": {"cpu": "1"}}]}}),
        &[
            "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
            "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
            "spec.limits[0].default[cpu]: Invalid value: \"1\": min value 2 is greater than default value 1",
            "spec.limits[1].default: Forbidden: may not be specified when `type` is 'Pod'",
        ],
    );
    check(
        kind::RESOURCE_QUOTA,
        json!({"spec": {"hard": {"pods": "10", "requests.cpu": "4", "count/jobs.batch": "3"}}}),
        &[],
    );
    check(
        kind::RESOURCE_QUOTA,
        json!({"spec": {"hard": {"chairs": "1", "pods": "1500m"}}}),
        &[
            "spec.hard[chairs]: Invalid value: \"chairs\": must be a standard resource for quotas",
            "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
        ],
    );
    check_change(
        kind::RESOURCE_QUOTA,
        json!({"spec": {"hard": {"pods": "1"}}}),
        |quota| quota["spec"]["scopes"] = json!(["BestEffort"]),
        &["spec.scopes"],
    );
}

#[test]
fn scopes_of_quotas() {
    check(
        kind::RESOURCE_QUOTA,
        json!({"spec": {"hard": {"pods": "1", "cpu": "1"}, "scopes": ["BestEffort", "NotBestEffort", "Odd"]}}),
        &[
            "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\",\"Odd\"]: unsupported scope applied to resource",
            "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\",\"Odd\"]: unsupported scope",
            "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\",\"Odd\"]: conflicting scopes",
        ],
    );
    let selector = |expression: Value| json!({"spec": {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [expression]}}});
    check(
        kind::RESOURCE_QUOTA,
        selector(json!({"scopeName": "PriorityClass", "operator": "In", "values": ["high"]})),
        &[],
    );
    check(
        kind::RESOURCE_QUOTA,
        selector(json!({"scopeName": "PriorityClass", "operator": "In"})),
        &[
            "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        ],
    );
    check(
        kind::RESOURCE_QUOTA,
        selector(json!({"scopeName": "PriorityClass", "operator": "Is"})),
        &[
            "spec.scopeSelector.matchExpressions.operator: Invalid value: \"Is\": not a valid selector operator",
        ],
    );
}

#[test]
fn slices_nodes_and_leases() {
    let slice = json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]});
    check(kind::ENDPOINT_SLICE, slice.clone(), &[]);
    check_change(
        kind::ENDPOINT_SLICE,
        slice,
        |slice| *slice = json!({"metadata": {"name": "a"}, "addressType": "FQDN"}),
        &["addressType"],
    );
    check(
        kind::ENDPOINT_SLICE,
        json!({"addressType": "Foo", "endpoints": [{"addresses": []}], "ports": [{"port": 99_999, "protocol": "X"}]}),
        &[
            "addressType: Unsupported value: \"Foo\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"",
            "ports[0].port: Invalid value: 99999: must be between 1 and 65535, inclusive",
            "ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            "endpoints[0].addresses: Required value: must contain at least 1 address",
        ],
    );
    check(
        kind::NODE,
        json!({"spec": {"taints": [{"key": "a", "effect": "Foo"}, {"key": "a", "effect": "NoSchedule"}]}}),
        &[
            "metadata.taints[0].effect: Unsupported value: \"Foo\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
        ],
    );
    check(
        kind::LEASE,
        json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}),
        &[
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
}

#[test]
fn owners_finalizers_and_names() {
    let map = |meta: Value| json!({"metadata": meta});
    check(
        kind::CONFIG_MAP,
        map(json!({"ownerReferences": [{"kind": "x"}]})),
        &[
            "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty",
            "metadata.ownerReferences.name: Invalid value: \"\": must not be empty",
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ],
    );
    let owner = |name: &str| json!({"apiVersion": "apps/v1", "kind": "R", "name": name, "uid": "u", "controller": true});
    let two = map(json!({"ownerReferences": [owner("a"), owner("b")]}));
    let said = create(kind::CONFIG_MAP, &two);
    assert!(
        said.iter().any(|cause| cause.message.ends_with("Only one reference can have Controller set to true. Found \"true\" in references for R/a and R/b")),
        "{said:?}"
    );
    let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x.io/f"]}});
    check_change(kind::CONFIG_MAP, going.clone(), |_| {}, &[]);
    check_change(
        kind::CONFIG_MAP,
        going,
        |map| map["metadata"]["finalizers"] = json!(["x.io/f", "y.io/g"]),
        &["metadata.finalizers"],
    );
    let long = "n".repeat(70);
    check(
        kind::CONFIG_MAP,
        map(json!({"annotations": {long.clone(): ""}})),
        &[&format!(
            "metadata.annotations: Invalid value: \"{long}\": name part must be no more than 63 bytes"
        )],
    );
    let said = create(
        kind::CONFIG_MAP,
        &map(json!({"name": "a", "labels": {"a_/b": "c"}})),
    );
    assert!(
        said[0]
            .message
            .contains("prefix part a lowercase RFC 1123 subdomain must consist of"),
        "{said:?}"
    );
}
