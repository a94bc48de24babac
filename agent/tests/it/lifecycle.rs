//! Pods from their pod set to their end: phases, restarts, exit codes, logs, events, deletion.

use crate::{
    guests::{self, pod},
    harness::{Agent, cluster, config},
};
use coracle_link::{
    pb,
    pb::{stream_reply::Reply, stream_request::Request},
    pod::{Pod, RestartPolicy},
    status::{ContainerState, Phase, PodStatus, Terminated},
};

fn ended(status: &PodStatus) -> Option<&Terminated> {
    match &status.containers[0].state {
        ContainerState::Terminated(run) => Some(run),
        ContainerState::Waiting { .. } | ContainerState::Running { .. } => None,
    }
}

fn waits_with(status: &PodStatus, wanted: &str) -> bool {
    matches!(&status.containers[0].state, ContainerState::Waiting { reason, .. } if reason == wanted)
}

#[tokio::test]
async fn a_command_ends_as_its_exit_code_says() {
    let (controller, dir) = cluster();
    controller.run_image("good:v1", &guests::exits(0));
    controller.run_image("bad:v1", &guests::exits(7));
    controller.run_image("trap:v1", &guests::traps());
    let agent = Agent::start(config(dir.path(), &controller));
    for image in ["good", "bad", "trap"] {
        controller.want(&pod(image, &format!("{image}:v1"), RestartPolicy::Never));
    }
    let table = [
        ("good", Phase::Succeeded, 0, "Completed"),
        ("bad", Phase::Failed, 7, "Error"),
        ("trap", Phase::Failed, 134, "Error"),
    ];
    for (name, phase, code, reason) in table {
        let over = |status: &PodStatus| ended(status).is_some();
        let status = controller.status(&format!("uid-{name}"), over).await;
        let run = ended(&status).unwrap();
        assert_eq!((status.phase, run.exit_code), (phase, code), "{name}");
        assert_eq!(run.reason, reason, "{name}");
        assert_eq!(status.containers[0].restart_count, 0);
        assert!(status.pod_ip.starts_with("10.244.9."), "{}", status.pod_ip);
    }
    let message = controller.status("uid-trap", |_| true).await;
    let message = &ended(&message).unwrap().message;
    assert!(message.contains("unreachable"), "{message}");
    for reason in ["Pulling", "Pulled", "Created", "Started"] {
        let event = controller.event(reason).await;
        assert_eq!(event.field_path, "spec.containers{main}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_crash_is_restarted_at_once_and_then_waits() {
    let (controller, dir) = cluster();
    controller.run_image("bad:v1", &guests::exits(3));
    let agent = Agent::start(config(dir.path(), &controller));
    controller.want(&pod("crash", "bad:v1", RestartPolicy::Always));
    let loops = |status: &PodStatus| waits_with(status, "CrashLoopBackOff");
    let status = controller.status("uid-crash", loops).await;
    let container = &status.containers[0];
    assert_eq!((status.phase, container.restart_count), (Phase::Running, 1));
    let last = container.last_state.as_ref().unwrap();
    assert_eq!((last.exit_code, last.reason.as_str()), (3, "Error"));
    let ContainerState::Waiting { message, .. } = &container.state else {
        panic!("{container:?}");
    };
    let expect = "back-off 10s restarting failed container=main pod=crash_default(uid-crash)";
    assert_eq!(message, expect);
    let event = controller.event("BackOff").await;
    assert!(event.warning);
    assert_eq!(log(&controller, "crash", true).await, "ends with 3\n");
    agent.stop().await;
}

async fn log(controller: &crate::controller::Controller, name: &str, previous: bool) -> String {
    let request = pb::ReadLog {
        pod_uid: format!("uid-{name}"),
        container: "main".to_owned(),
        previous,
        ..pb::ReadLog::default()
    };
    let (reply, _send, reader) = controller.ask(Request::ReadLog(request)).await;
    assert!(matches!(reply, Reply::Accepted(_)));
    let (mut stream, rest) = reader.into_parts();
    let mut text = rest.to_vec();
    text.extend(stream.read_to_end(1 << 20).await.unwrap());
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_missing_image_waits_and_then_runs() {
    let (controller, dir) = cluster();
    let agent = Agent::start(config(dir.path(), &controller));
    controller.want(&pod("late", "late:v1", RestartPolicy::Always));
    let failed = |status: &PodStatus| waits_with(status, "ErrImagePull");
    let status = controller.status("uid-late", failed).await;
    assert_eq!(status.phase, Phase::Pending);
    let backs_off = |status: &PodStatus| waits_with(status, "ImagePullBackOff");
    controller.status("uid-late", backs_off).await;
    let events: Vec<String> = controller
        .inner
        .events
        .borrow()
        .iter()
        .map(|event| event.message.clone())
        .collect();
    let text = "Failed to pull image \"late:v1\": manifest unknown";
    assert!(events.iter().any(|message| message == text), "{events:?}");
    controller.run_image("late:v1", &guests::sleeps());
    let running = |status: &PodStatus| status.phase == Phase::Running;
    controller.status("uid-late", running).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_deleted_pod_is_stopped_released_and_forgotten() {
    let (controller, dir) = cluster();
    controller.run_image("sleep:v1", &guests::sleeps());
    let agent = Agent::start(config(dir.path(), &controller));
    let wanted = pod("sleep", "sleep:v1", RestartPolicy::Always);
    controller.want(&wanted);
    let running = |status: &PodStatus| status.phase == Phase::Running;
    let status = controller.status("uid-sleep", running).await;
    assert!(status.containers[0].ready && status.containers[0].started);
    let id = &status.containers[0].image_id;
    assert_eq!(*id, format!("sleep@sha256:{}", "5".repeat(64)));
    let deleted = Pod {
        deletion_grace_secs: Some(30),
        ..wanted
    };
    controller.want(&deleted);
    let released = |status: &PodStatus| status.released;
    let status = controller.status("uid-sleep", released).await;
    // A command ends at once, as a program without a handler for SIGTERM does.
    assert_eq!(ended(&status).unwrap().exit_code, 143);
    controller.unwant("uid-sleep");
    assert!(!dir.path().join("logs/uid-sleep").exists());
    agent.stop().await;
}

#[tokio::test]
async fn logs_are_followed_to_their_end() {
    let (controller, dir) = cluster();
    controller.run_image("sleep:v1", &guests::sleeps());
    let agent = Agent::start(config(dir.path(), &controller));
    let wanted = pod("sleep", "sleep:v1", RestartPolicy::Never);
    controller.want(&wanted);
    let running = |status: &PodStatus| status.phase == Phase::Running;
    controller.status("uid-sleep", running).await;
    let request = pb::ReadLog {
        pod_uid: "uid-sleep".to_owned(),
        container: "main".to_owned(),
        follow: true,
        ..pb::ReadLog::default()
    };
    let (_, _send, reader) = controller.ask(Request::ReadLog(request)).await;
    let (mut stream, rest) = reader.into_parts();
    let mut text = rest.to_vec();
    while !text.ends_with(b"sleeps\n") {
        let mut block = [0; 64];
        let read = stream.read(&mut block).await.unwrap().expect("it follows");
        text.extend_from_slice(&block[..read]);
    }
    controller.want(&Pod {
        deletion_grace_secs: Some(1),
        ..wanted
    });
    assert!(stream.read_to_end(1024).await.unwrap().is_empty());

    let none = pb::ReadLog {
        pod_uid: "uid-none".to_owned(),
        ..pb::ReadLog::default()
    };
    let (reply, ..) = controller.ask(Request::ReadLog(none)).await;
    let Reply::Failure(failure) = reply else {
        panic!("there is no such log");
    };
    assert_eq!(failure.message, "pod \"uid-none\" is not on this node");
    agent.stop().await;
}
