//! Table tests of the status: what an agent says in, what the object says out.

use super::*;

fn pod(status: Value) -> Value {
    json!({
        "metadata": {"namespace": "n", "name": "p", "uid": "u", "generation": 1},
        "spec": {"nodeName": "box", "containers": [{"name": "c"}]},
        "status": status,
    })
}

fn fresh() -> Value {
    pod(json!({
        "phase": "Pending", "qosClass": "Burstable",
        "conditions": [{"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": "1970-01-01T00:00:01Z"}],
    }))
}

fn condition(kind: &str, status: bool, at_ms: i64) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: Some(status),
        reason: String::new(),
        message: String::new(),
        last_transition_ms: at_ms,
    }
}

fn running() -> PodStatus {
    PodStatus {
        uid: "u".to_owned(),
        namespace: "n".to_owned(),
        name: "p".to_owned(),
        observed_revision: 1,
        phase: Phase::Running,
        reason: String::new(),
        message: String::new(),
        pod_ip: "10.244.0.5".to_owned(),
        start_time_ms: 2_000,
        conditions: vec![
            condition("Initialized", true, 2_000),
            condition("Ready", true, 3_000),
            condition("PodScheduled", false, 9_000),
        ],
        init_containers: Vec::new(),
        containers: vec![ContainerStatus {
            name: "c".to_owned(),
            image: "hello:v1".to_owned(),
            image_id: "hello@sha256:ab".to_owned(),
            container_id: "coracle://1".to_owned(),
            ready: true,
            started: true,
            restart_count: 1,
            state: ContainerState::Running {
                started_at_ms: 3_000,
            },
            last_state: Some(Terminated {
                exit_code: 137,
                reason: "OOMKilled".to_owned(),
                message: String::new(),
                started_at_ms: 2_000,
                finished_at_ms: 2_500,
                container_id: "coracle://0".to_owned(),
            }),
        }],
        released: false,
    }
}

fn reporter() -> Reporter<'static> {
    Reporter {
        node: "box",
        address: "10.0.0.7",
        generation: Some(1),
        now: Timestamp::from_second(100).unwrap(),
    }
}

#[track_caller]
fn written(pod: &Value, status: &PodStatus) -> Value {
    match judge(Some(pod), status, &reporter()) {
        Verdict::Write(value) => value,
        other => panic!("not written: {other:?}"),
    }
}

#[test]
fn a_running_pod_reads_as_upstream() {
    let status = written(&fresh(), &running());
    let expect = json!({
        "phase": "Running", "qosClass": "Burstable", "observedGeneration": 1,
        "podIP": "10.244.0.5", "podIPs": [{"ip": "10.244.0.5"}],
        "hostIP": "10.0.0.7", "hostIPs": [{"ip": "10.0.0.7"}],
        "startTime": "1970-01-01T00:00:02Z",
        "conditions": [
            {"type": "Initialized", "status": "True", "lastProbeTime": null, "lastTransitionTime": "1970-01-01T00:00:02Z", "observedGeneration": 1},
            {"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "1970-01-01T00:00:03Z", "observedGeneration": 1},
            {"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": "1970-01-01T00:00:01Z"},
        ],
        "containerStatuses": [{
            "name": "c", "image": "hello:v1", "imageID": "hello@sha256:ab", "containerID": "coracle://1",
            "ready": true, "started": true, "restartCount": 1,
            "state": {"running": {"startedAt": "1970-01-01T00:00:03Z"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
                "startedAt": "1970-01-01T00:00:02Z", "finishedAt": "1970-01-01T00:00:02Z", "containerID": "coracle://0"}},
        }],
    });
    assert_eq!(status, expect);
    assert_eq!(
        judge(Some(&pod(status)), &running(), &reporter()),
        Verdict::Unchanged
    );
}

#[test]
fn transition_times_move_only_with_the_status() {
    let mut pod = fresh();
    pod["status"] = written(&fresh(), &running());
    // Node lifecycle said otherwise while the link was lost.
    pod["status"]["conditions"][1]["status"] = json!("False");
    pod["status"]["conditions"][1]["lastTransitionTime"] = json!("1970-01-01T00:00:50Z");
    let status = written(&pod, &running());
    let ready = &status["conditions"][1];
    assert_eq!(ready["status"], "True");
    assert_eq!(ready["lastTransitionTime"], "1970-01-01T00:01:40Z");
    assert_eq!(
        status["conditions"][0]["lastTransitionTime"],
        "1970-01-01T00:00:02Z"
    );
}

#[test]
fn readiness_gates() {
    let mut pod = fresh();
    pod["spec"]["readinessGates"] = json!([{"conditionType": "x/y"}]);
    let status = written(&pod, &running());
    let ready = &status["conditions"][1];
    assert_eq!(ready["status"], "False");
    assert_eq!(ready["reason"], "ReadinessGatesNotReady");
    assert_eq!(
        ready["message"],
        "corresponding condition of pod readiness gate \"x/y\" does not exist."
    );
}

#[test]
fn a_node_speaks_for_its_own_pods_only() {
    let refused = |pod: Option<&Value>, status: &PodStatus, node: &'static str| {
        let reporter = Reporter { node, ..reporter() };
        match judge(pod, status, &reporter) {
            Verdict::Refused(why) => why,
            other => panic!("not refused: {other:?}"),
        }
    };
    assert_eq!(refused(None, &running(), "box"), "there is no such pod");
    assert_eq!(
        refused(Some(&fresh()), &running(), "other"),
        "the pod is not bound to this node"
    );
    let mut other = running();
    "v".clone_into(&mut other.uid);
    assert_eq!(
        refused(Some(&fresh()), &other, "box"),
        "the pod of this name has another uid"
    );
    let ended = pod(json!({"phase": "Failed"}));
    assert_eq!(
        refused(Some(&ended), &running(), "box"),
        "the pod has ended; it cannot run again"
    );
}

#[test]
fn a_container_that_ended_for_good_stays_ended() {
    let ended = |code: i64| {
        let state = json!({"terminated": {"exitCode": code}});
        json!({"phase": "Running", "containerStatuses": [{"name": "c", "state": state}]})
    };
    for (policy, code, stays) in [
        ("Always", 0, false),
        ("OnFailure", 1, false),
        ("OnFailure", 0, true),
        ("Never", 1, true),
    ] {
        let mut pod = pod(ended(code));
        pod["spec"]["restartPolicy"] = json!(policy);
        let new = written(&pod, &running());
        let state = &new["containerStatuses"][0]["state"];
        assert_eq!(state["running"].is_null(), stays, "{policy} {code}");
        assert_eq!(state["terminated"].is_null(), !stays, "{policy} {code}");
    }
}
