//! What survives: a lost controller, a restarted agent, a cut transfer, a changed file.

use crate::{
    guests::{self, pod},
    harness::{Agent, cluster, config},
};
use coracle_link::{
    pod::RestartPolicy,
    status::{ContainerState, Phase, PodStatus},
};
use std::sync::atomic::Ordering;

fn running(status: &PodStatus) -> bool {
    matches!(status.containers[0].state, ContainerState::Running { .. })
}

#[tokio::test]
async fn guests_outlive_the_controller_and_are_adopted() {
    let (controller, dir) = cluster();
    controller.run_image("sleep:v1", &guests::sleeps());
    controller.run_image("bad:v1", &guests::exits(1));
    let agent = Agent::start(config(dir.path(), &controller));
    controller.want(&pod("sleep", "sleep:v1", RestartPolicy::Always));
    let before = controller.status("uid-sleep", running).await;
    controller.stop().await;
    controller.inner.statuses.send_replace(Default::default());
    let sent = controller.inner.sent.load(Ordering::SeqCst);
    controller.restart().await;
    controller.connection().await;
    // A new pod shows that the session works; nothing is said of the old one, which is as it was.
    controller.want(&pod("new", "bad:v1", RestartPolicy::Never));
    controller
        .status("uid-new", |status| status.phase == Phase::Failed)
        .await;
    assert_eq!(
        controller.inner.sent.load(Ordering::SeqCst),
        sent + 1,
        "only the new pod is sent"
    );
    let known = controller.inner.statuses.borrow().get("uid-sleep").cloned();
    assert_eq!(known.as_ref().unwrap_or(&before), &before);
    agent.stop().await;
}

#[tokio::test]
async fn a_restarted_agent_starts_its_pods_without_a_controller() {
    let (controller, dir) = cluster();
    controller.run_image("sleep:v1", &guests::sleeps());
    let agent = Agent::start(config(dir.path(), &controller));
    controller.want(&pod("sleep", "sleep:v1", RestartPolicy::Always));
    let before = controller.status("uid-sleep", running).await;
    agent.stop().await;
    controller.stop().await;
    controller.inner.statuses.send_replace(Default::default());
    let mut again = config(dir.path(), &controller);
    again.join = None;
    let log = dir.path().join("logs/uid-sleep/main/1.log");
    let agent = Agent::start(again);
    let limit = tokio::time::timeout(crate::controller::LIMIT, async {
        while !log.exists() {
            tokio::task::yield_now().await;
        }
    });
    limit
        .await
        .expect("the pod runs again before there is a controller");
    controller.restart().await;
    let after = controller.status("uid-sleep", running).await;
    let container = &after.containers[0];
    assert_eq!(container.restart_count, 1);
    assert_eq!(container.last_state.as_ref().unwrap().exit_code, 255);
    assert_eq!(
        (after.pod_ip, after.start_time_ms),
        (before.pod_ip, before.start_time_ms)
    );
    assert_eq!(controller.inner.fetched.load(Ordering::SeqCst), 1);
    agent.stop().await;
}

#[tokio::test]
async fn one_flipped_byte_is_fetched_again_and_told() {
    let (controller, dir) = cluster();
    controller.run_image("sleep:v1", &guests::sleeps());
    let agent = Agent::start(config(dir.path(), &controller));
    controller.want(&pod("sleep", "sleep:v1", RestartPolicy::Always));
    controller.status("uid-sleep", running).await;
    agent.stop().await;
    let images = std::fs::read_dir(dir.path().join("images")).unwrap();
    let code = images
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "code")
        })
        .unwrap();
    let mut bytes = std::fs::read(&code).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&code, bytes).unwrap();
    controller.inner.statuses.send_replace(Default::default());
    let agent = Agent::start(config(dir.path(), &controller));
    controller.status("uid-sleep", running).await;
    let event = controller.event("ImageTampered").await;
    assert!(event.warning);
    assert_eq!(controller.inner.fetched.load(Ordering::SeqCst), 2);
    agent.stop().await;
}

#[tokio::test]
async fn a_cut_transfer_goes_on_where_it_ended() {
    let (controller, dir) = cluster();
    controller.run_image("sleep:v1", &guests::sleeps());
    let size = controller.inner.code.lock()["sleep:v1"].len();
    *controller.inner.cut_fetch.lock() = Some(size / 3);
    let agent = Agent::start(config(dir.path(), &controller));
    controller.want(&pod("sleep", "sleep:v1", RestartPolicy::Always));
    controller.status("uid-sleep", running).await;
    assert_eq!(controller.inner.fetched.load(Ordering::SeqCst), 2);
    assert_eq!(controller.inner.fetched_bytes.load(Ordering::SeqCst), size);
    agent.stop().await;
}
