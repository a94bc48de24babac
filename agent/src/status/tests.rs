//! Tables of phases and conditions.

use super::*;
use crate::testing;

fn ended(exit_code: i32) -> Terminated {
    Terminated {
        exit_code,
        reason: exit_reason(exit_code).to_owned(),
        message: String::new(),
        started_at_ms: 1,
        finished_at_ms: 2,
        container_id: String::new(),
    }
}

/// `run`, `run+` (ready), `exit N`, `wait`, `crash N` (waits after a run that ended with N).
fn one(container: &Container, text: &str) -> ContainerStatus {
    let mut status = waiting(container, "ContainerCreating");
    let (word, code) = text.split_once(' ').unwrap_or((text, "0"));
    let code = code.parse().unwrap();
    match word {
        "run" | "run+" => {
            status.state = ContainerState::Running { started_at_ms: 1 };
            status.started = true;
            status.ready = word == "run+";
        }
        "exit" => {
            status.state = ContainerState::Terminated(ended(code));
            status.ready = code == 0;
        }
        "crash" => status.last_state = Some(ended(code)),
        "wait" => {}
        other => panic!("{other}"),
    }
    status
}

fn status(policy: RestartPolicy, init: &[&str], main: &[&str], stopped: bool) -> PodStatus {
    let names = ["a", "b", "c"];
    let pod = testing::pod(policy, &["i", "j"][..init.len()], &names[..main.len()]);
    let seen = Observed {
        pod: &pod,
        pod_ip: String::new(),
        start_time_ms: 0,
        init: pod
            .init_containers
            .iter()
            .zip(init)
            .map(|(spec, text)| one(spec, text))
            .collect(),
        main: pod
            .containers
            .iter()
            .zip(main)
            .map(|(spec, text)| {
                let mut status = one(spec, text);
                status.ready &= matches!(status.state, ContainerState::Running { .. });
                status
            })
            .collect(),
        stopped,
        failed: None,
        released: false,
    };
    compute(seen, None, 9)
}

#[test]
fn phases() {
    use Phase::{Failed, Pending, Running, Succeeded};
    use RestartPolicy::{Always, Never, OnFailure};
    type Row = (
        RestartPolicy,
        &'static [&'static str],
        &'static [&'static str],
        bool,
        Phase,
    );
    let table: &[Row] = &[
        (Always, &[], &["wait"], false, Pending),
        (Always, &[], &["run"], false, Running),
        (Always, &[], &["run", "wait"], false, Pending),
        (Always, &[], &["crash 1"], false, Running),
        (Always, &[], &["crash 0"], false, Running),
        (OnFailure, &[], &["crash 1"], false, Running),
        (Never, &[], &["exit 0", "run"], false, Running),
        (Never, &[], &["exit 0"], true, Succeeded),
        (Never, &[], &["exit 0", "exit 1"], true, Failed),
        (Always, &["run"], &["wait"], false, Pending),
        (Always, &["exit 0"], &["run"], false, Running),
        (Always, &["crash 1"], &["wait"], false, Pending),
        (Never, &["exit 1"], &["wait"], true, Failed),
    ];
    for (policy, init, main, stopped, phase) in table {
        let status = status(*policy, init, main, *stopped);
        assert_eq!(status.phase, *phase, "{policy:?} {init:?} {main:?}");
    }
}

#[track_caller]
fn check_condition(status: &PodStatus, kind: &str, expect: (bool, &str, &str)) {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.kind == kind)
        .unwrap();
    let seen = (
        found.status.unwrap(),
        found.reason.as_str(),
        found.message.as_str(),
    );
    assert_eq!(seen, expect, "{kind}");
}

#[test]
fn conditions_carry_upstreams_reasons() {
    let always = RestartPolicy::Always;
    let mixed = status(always, &["exit 0"], &["run+", "run"], false);
    check_condition(&mixed, "Initialized", (true, "", ""));
    let unready = (
        false,
        "ContainersNotReady",
        "containers with unready status: [b]",
    );
    check_condition(&mixed, "Ready", unready);
    check_condition(&mixed, "ContainersReady", unready);
    let all = status(always, &[], &["run+"], false);
    check_condition(&all, "Ready", (true, "", ""));
    let init = status(always, &["run", "wait"], &["wait"], false);
    let incomplete = (
        false,
        "ContainersNotInitialized",
        "containers with incomplete status: [i j]",
    );
    check_condition(&init, "Initialized", incomplete);
    let done = status(RestartPolicy::Never, &[], &["exit 0"], true);
    check_condition(&done, "Ready", (false, "PodCompleted", ""));
}

#[test]
fn a_transition_time_stays_while_the_condition_does() {
    let first = status(RestartPolicy::Always, &[], &["run"], false);
    let pod = testing::pod(RestartPolicy::Always, &[], &["a"]);
    let seen = Observed {
        pod: &pod,
        pod_ip: String::new(),
        start_time_ms: 0,
        init: Vec::new(),
        main: vec![one(&pod.containers[0], "run+")],
        stopped: false,
        failed: None,
        released: false,
    };
    let second = compute(seen, Some(&first), 50);
    let time = |kind: &str| {
        second
            .conditions
            .iter()
            .find(|c| c.kind == kind)
            .map(|c| c.last_transition_ms)
    };
    assert_eq!((time("Ready"), time("Initialized")), (Some(50), Some(9)));
}
