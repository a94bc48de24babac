//! What may be told of an object.

use super::*;

/// What is said when `old` is told this status.
#[track_caller]
fn told(kind: KindRef, old: &Value, new: Value, expected: &[&str]) {
    let mut old = old.clone();
    old["metadata"]["name"] = json!("a");
    let mut object = old.clone();
    object["status"] = new;
    let said: Vec<String> = status(kind, &object, &old)
        .into_iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    assert_eq!(said, expected, "{}", kind.kind);
}

#[test]
fn workloads_count() {
    let old = json!({"status": {"collisionCount": 2}});
    told(
        kind::DEPLOYMENT,
        &old,
        json!({"replicas": 2, "readyReplicas": 2, "availableReplicas": 1, "collisionCount": 2}),
        &[],
    );
    told(
        kind::DEPLOYMENT,
        &old,
        json!({"replicas": -5, "readyReplicas": 1, "availableReplicas": 2}),
        &[
            "status.replicas: Invalid value: -5: must be greater than or equal to 0",
            "status.updatedReplicas: Invalid value: 0: cannot be greater than status.replicas",
            "status.readyReplicas: Invalid value: 1: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas",
            "status.collisionCount: Invalid value: 0: cannot be decremented",
        ],
    );
    let none = json!({});
    for of in [kind::REPLICA_SET, kind::REPLICATION_CONTROLLER] {
        told(
            of,
            &none,
            json!({"replicas": 1, "fullyLabeledReplicas": 2}),
            &[
                "status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas",
            ],
        );
    }
    told(
        kind::STATEFUL_SET,
        &none,
        json!({"replicas": 2, "currentReplicas": 3, "availableReplicas": 1}),
        &[
            "status.currentReplicas: Invalid value: 3: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 1: cannot be greater than status.readyReplicas",
        ],
    );
    told(
        kind::DAEMON_SET,
        &old,
        json!({"numberReady": -1, "collisionCount": 1}),
        &[
            "status.numberReady: Invalid value: -1: must be greater than or equal to 0",
            "status.collisionCount: Invalid value: 1: cannot be decremented",
        ],
    );
    told(
        kind::HORIZONTAL_POD_AUTOSCALER,
        &none,
        json!({"desiredReplicas": -1}),
        &["status.desiredReplicas: Invalid value: -1: must be greater than or equal to 0"],
    );
}

#[test]
fn budgets_and_quotas() {
    let none = json!({});
    let condition = json!({"type": "DisruptionAllowed", "status": "True", "reason": "SufficientPods",
        "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    told(
        kind::POD_DISRUPTION_BUDGET,
        &none,
        json!({"disruptionsAllowed": 1, "conditions": [condition]}),
        &[],
    );
    told(
        kind::POD_DISRUPTION_BUDGET,
        &none,
        json!({"expectedPods": -1, "conditions": [{"type": "A", "status": "Yes"}, {"type": "A"}]}),
        &[
            "status.conditions[0].status: Unsupported value: \"Yes\": supported values: \"False\", \"True\", \"Unknown\"",
            "status.conditions[0].lastTransitionTime: Required value",
            "status.conditions[0].reason: Required value",
            "status.conditions[1]: Duplicate value: \"A\"",
            "status.conditions[1].status: Required value",
            "status.conditions[1].lastTransitionTime: Required value",
            "status.conditions[1].reason: Required value",
            "status.expectedPods: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
    told(
        kind::RESOURCE_QUOTA,
        &none,
        json!({"hard": {"pods": "1.5"}, "used": {"pods": "-1", "chairs": "1"}}),
        &[
            "status.hard[pods]: Invalid value: \"1500m\": must be an integer",
            "status.used[chairs]: Invalid value: \"chairs\": must be a standard resource for quotas",
            "status.used[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
}

#[test]
fn load_balancers() {
    let ip = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    let balancer = |ingress: Value| json!({"loadBalancer": {"ingress": [ingress]}});
    let inner = json!({"spec": {"type": "ClusterIP"}});
    told(
        kind::SERVICE,
        &inner,
        balancer(json!({"ip": "nope"})),
        &[
            "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
        ],
    );
    let outer = json!({"spec": {"type": "LoadBalancer"}});
    told(
        kind::SERVICE,
        &outer,
        balancer(json!({"ip": "10.0.0.1", "ipMode": "VIP"})),
        &[],
    );
    told(
        kind::SERVICE,
        &outer,
        balancer(json!({"ip": "nope", "hostname": "10.0.0.1"})),
        &[
            "status.loadBalancer.ingress[0].ipMode: Required value: must be specified when `ip` is set",
            &format!("status.loadBalancer.ingress[0].ip: Invalid value: \"nope\": {ip}"),
            "status.loadBalancer.ingress[0].hostname: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
        ],
    );
    told(
        kind::INGRESS,
        &json!({}),
        balancer(json!({"ip": "nope"})),
        &[&format!(
            "status.loadBalancer.ingress[0].ip: Invalid value: \"nope\": {ip}"
        )],
    );
}

#[test]
fn namespaces_and_volumes() {
    told(kind::NAMESPACE, &json!({}), json!({"phase": "Active"}), &[]);
    told(
        kind::NAMESPACE,
        &json!({}),
        json!({"phase": "Foo"}),
        &[
            "status.Phase: Invalid value: \"Foo\": may only be 'Active' if `deletionTimestamp` is empty",
        ],
    );
    let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    told(
        kind::NAMESPACE,
        &going,
        json!({"phase": "Active"}),
        &[
            "status.Phase: Invalid value: \"Active\": may only be 'Terminating' if `deletionTimestamp` is not empty",
        ],
    );
    told(
        kind::PERSISTENT_VOLUME_CLAIM,
        &json!({"spec": {"accessModes": ["ReadWriteOnce"]}}),
        json!({"capacity": {"storage": "-1"}, "allocatedResources": {"cpu": "1"}, "allocatedResourceStatuses": {"storage": "Foo"}}),
        &[
            "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
            "status.allocatedResourceStatus: Unsupported value: \"storage\": supported values: \"ControllerResizeInProgress\", \"ControllerResizeInfeasible\", \"NodeResizeInProgress\", \"NodeResizeInfeasible\", \"NodeResizePending\"",
            "status.allocatedResources: Unsupported value: \"cpu\": supported values: \"storage\"",
        ],
    );
    told(
        kind::VOLUME_ATTACHMENT,
        &json!({}),
        json!({"attachError": {"message": "m".repeat(1025), "errorCode": -1}}),
        &[
            "status.attachError.message: Too long: may not be more than 262144 bytes",
            "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ],
    );
}

#[test]
fn nodes() {
    told(
        kind::NODE,
        &json!({}),
        json!({"capacity": {"cpu": -1, "pods": "1.5"}, "addresses": [{"type": "Hostname", "address": "a"}, {"type": "Hostname", "address": "a"}],
            "config": {"active": {"configMap": {"namespace": "n", "name": "m", "kubeletConfigKey": "k", "uid": "u"}}}}),
        &[
            "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
            "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
            "status.addresses[1]: Duplicate value: {\"address\":\"a\",\"type\":\"Hostname\"}",
            "status.config.active.configMap.resourceVersion: Required value: resourceVersion must be set in status",
        ],
    );
}

#[test]
fn pods() {
    let old = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
        "status": {"qosClass": "Burstable", "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1}}}]}});
    let ended = &old["status"]["containerStatuses"];
    told(
        kind::POD,
        &old,
        json!({"qosClass": "Burstable", "containerStatuses": ended, "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "hostIP": "10.0.0.2", "hostIPs": [{"ip": "10.0.0.2"}], "conditions": [{"type": "Ready"}, {"type": "example.com/mine"}]}),
        &[],
    );
    let ip = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    let given = json!([{"name": "memory", "resources": [{"resourceID": "r", "health": "Ill"}]}]);
    told(
        kind::POD,
        &old,
        json!({"qosClass": "BestEffort", "podIPs": [{"ip": "x"}], "hostIPs": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.2"}], "nominatedNodeName": "N",
            "conditions": [{"type": "a/b/c"}], "resourceClaimStatuses": [{"name": "r"}],
            "containerStatuses": [{"name": "c", "state": {"running": {}}, "user": {"linux": {"uid": -1, "gid": 0}}, "allocatedResourcesStatus": given}]}),
        &[
            &format!(
                "metadata.conditions[0].Type: Invalid value: \"a/b/c\": {}",
                qualified_name_problems("a/b/c").join("")
            ),
            &format!(
                "status.nominatedNodeName: Invalid value: \"N\": {}",
                meta::SUBDOMAIN_MESSAGE
            ),
            "status.qosClass: Invalid value: \"BestEffort\": field is immutable",
            "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
            "status.resourceClaimStatuses[0].name: Invalid value: \"r\": must match the name of an entry in `spec.resourceClaims`",
            &format!("status.podIPs[0]: Invalid value: \"x\": {ip}"),
            "status.hostIPs[0]: Invalid value: \"10.0.0.2\": must be equal to `hostIP`",
            "status.hostIPs[1]: Duplicate value: {\"ip\":\"10.0.0.2\"}",
            "status.hostIPs: Invalid value: [{\"ip\":\"10.0.0.2\"},{\"ip\":\"10.0.0.2\"}]: may specify no more than one IP for each IP family",
            "status.containerStatuses[0].linux.uid: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "status.containerStatuses[0].allocatedResourcesStatus[0].name: Invalid value: \"memory\": must match one of the container's resource requests",
            "status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].health: Unsupported value: \"Ill\": supported values: \"Healthy\", \"Unhealthy\", \"Unknown\"",
        ],
    );
}

const DAWN: &str = "2026-01-01T00:00:00Z";
const DUSK: &str = "2026-01-02T00:00:00Z";

fn is(names: &[&str]) -> Value {
    let all = names
        .iter()
        .map(|name| json!({"type": name, "status": "True"}));
    Value::Array(all.collect())
}

#[test]
fn jobs_end_once() {
    let old = json!({"spec": {}, "status": {"startTime": DAWN, "active": 1, "failed": 1, "succeeded": 2}});
    let mut done = json!({"startTime": DAWN, "completionTime": DUSK, "failed": 1, "succeeded": 3,
        "conditions": is(&["Complete", "SuccessCriteriaMet"])});
    told(kind::JOB, &old, done.clone(), &[]);
    done["active"] = json!(1);
    done["terminating"] = json!(1);
    done["uncountedTerminatedPods"] = json!({"failed": ["u", "u"]});
    done["completionTime"] = json!("2025-01-01T00:00:00Z");
    done["conditions"] = is(&["Complete", "Failed"]);
    told(
        kind::JOB,
        &old,
        done,
        &[
            "status.uncountedTerminatedPods.failed[1]: Duplicate value: \"u\"",
            "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
            "status.completionTime: Invalid value: \"2025-01-01T00:00:00Z\": completionTime cannot be set before startTime",
            "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
            "status.active: Invalid value: 1: active>0 is invalid for finished job",
            "status.uncountedTerminatedPods: Invalid value: {\"Succeeded\":null,\"Failed\":[\"u\",\"u\"]}: uncountedTerminatedPods needs to be empty for finished job",
            "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
        ],
    );
    let ended = json!({"spec": {}, "status": {"startTime": DAWN, "completionTime": DUSK, "failed": 2,
        "conditions": is(&["Complete", "SuccessCriteriaMet"])}});
    told(
        kind::JOB,
        &ended,
        json!({"completionTime": DAWN, "failed": 1, "ready": 1}),
        &[
            "status.completionTime: Invalid value: \"2026-01-01T00:00:00Z\": cannot set completionTime when there is no Complete=True condition",
            "status.ready: Invalid value: 1: cannot set more ready pods than active",
            "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
            "status.failed: Invalid value: 1: cannot decrease the failed counter",
            "status.completionTime: Invalid value: \"2026-01-01T00:00:00Z\": completionTime cannot be mutated",
            "status.startTime: Required value: startTime cannot be removed for unsuspended job",
            "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
        ],
    );
}

#[test]
fn jobs_count_their_indexes() {
    let plain = json!({"spec": {"completions": 5}});
    told(
        kind::JOB,
        &plain,
        json!({"active": -1, "completedIndexes": "0", "failedIndexes": "1"}),
        &[
            "status.active: Invalid value: -1: must be greater than or equal to 0",
            "status.completedIndexes: Invalid value: \"0\": cannot set non-empty completedIndexes when non-indexed completion mode",
            "status.failedIndexes: Invalid value: \"1\": cannot set non-null failedIndexes when backoffLimitPerIndex is null",
        ],
    );
    let indexed =
        json!({"spec": {"completions": 5, "completionMode": "Indexed", "backoffLimitPerIndex": 1}});
    let listed =
        |done: &str, failed: &str| json!({"completedIndexes": done, "failedIndexes": failed});
    told(kind::JOB, &indexed, listed("0,2-3", "1,4"), &[]);
    told(
        kind::JOB,
        &indexed,
        listed("3,1", "7"),
        &[
            "status.completedIndexes: Invalid value: \"3,1\": error parsing completedIndexes: non-increasing order, previous: 3, current: 1",
            "status.failedIndexes: Invalid value: \"7\": error parsing failedIndexes: too large index: \"7\"",
        ],
    );
    told(
        kind::JOB,
        &indexed,
        listed("0,2-4", "1,3"),
        &[
            "status.failedIndexes: Invalid value: \"1,3\": failedIndexes and completedIndexes overlap at index: 3",
        ],
    );
}
