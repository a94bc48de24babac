//! How a box becomes a node, stays one, and is told that it is none.

use crate::{
    controller::{Controller, LIMIT},
    guests::{self, pod},
    harness::{Agent, cluster, config},
};
use coracle_agent::Config;
use coracle_daemon::Clock;
use coracle_link::{
    pb::RefusalReason,
    pod::RestartPolicy,
    status::{ContainerState, PodStatus},
};
use std::{sync::atomic::Ordering, time::Duration};

#[tokio::test]
async fn a_refused_box_ends_with_one_sentence() {
    let (controller, dir) = cluster();
    let mut used = config(dir.path(), &controller);
    let join = used.join.clone().unwrap();
    let agent = Agent::start(used.clone());
    controller.connection().await;
    agent.stop().await;

    let other = tempfile::tempdir().unwrap();
    used.data_dir = other.path().to_owned();
    let sentence = Agent::start(used.clone()).sentence().await;
    let expect = format!(
        "the controller at {} refused to let \"box\" join: the token is not known or was used",
        join.address
    );
    assert_eq!(sentence, expect);

    used.join = Some(controller.token().parse().unwrap());
    let sentence = Agent::start(used.clone()).sentence().await;
    assert!(
        sentence.ends_with("the name is held by another key"),
        "{sentence}"
    );

    used.join = None;
    let sentence = Agent::start(used.clone()).sentence().await;
    assert!(sentence.contains("give --join TOKEN@ADDR"), "{sentence}");

    let stranger = Controller::start(Clock::system());
    let address = controller.token();
    let (token, _) = address.split_once('@').unwrap();
    let theirs = stranger.token();
    let (_, address) = theirs.split_once('@').unwrap();
    used.join = Some(format!("{token}@{address}").parse().unwrap());
    let sentence = Agent::start(used).sentence().await;
    assert!(
        sentence.contains("is not the one the join token is from"),
        "{sentence}"
    );
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_node_of_one_cluster() {
    let (controller, dir) = cluster();
    let joined = config(dir.path(), &controller);
    let agent = Agent::start(joined.clone());
    controller.connection().await;
    let second = Agent::start(joined.clone()).sentence().await;
    assert!(
        second.starts_with("another agent is running on"),
        "{second}"
    );
    agent.stop().await;
    let other_name = Config {
        node_name: "other".to_owned(),
        ..joined.clone()
    };
    let sentence = Agent::start(other_name).sentence().await;
    assert!(
        sentence.contains("belongs to node \"box\", not \"other\""),
        "{sentence}"
    );
    let stranger = Controller::start(Clock::system());
    let other_cluster = Config {
        join: Some(stranger.token().parse().unwrap()),
        ..joined
    };
    let sentence = Agent::start(other_cluster).sentence().await;
    assert!(sentence.contains("another cluster"), "{sentence}");
}

#[tokio::test]
async fn a_deleted_node_keeps_its_pods_and_joins_again_with_a_new_token() {
    let (controller, dir) = cluster();
    controller.run_image("sleep:v1", &guests::sleeps());
    let first = config(dir.path(), &controller);
    let agent = Agent::start(first.clone());
    controller.want(&pod("sleep", "sleep:v1", RestartPolicy::Always));
    let running =
        |status: &PodStatus| matches!(status.containers[0].state, ContainerState::Running { .. });
    controller.status("uid-sleep", running).await;
    agent.stop().await;
    controller.inner.connection.send_replace(None);
    *controller.inner.refuse.lock() = Some(RefusalReason::UnknownNode);
    // The same token was used when the node joined: it runs on, refused.
    let agent = Agent::start(first.clone());
    let log = dir.path().join("logs/uid-sleep/main/1.log");
    let runs = tokio::time::timeout(LIMIT, async {
        while !log.exists() {
            tokio::task::yield_now().await;
        }
    });
    runs.await.expect("a refused node runs its pods");
    agent.stop().await;
    *controller.inner.refuse.lock() = None;
    let again = Config {
        join: Some(controller.token().parse().unwrap()),
        ..first
    };
    let agent = Agent::start(again);
    controller.connection().await;
    agent.stop().await;
}

#[tokio::test]
async fn certificates_are_renewed_and_an_expired_node_comes_home() {
    let clock = Clock::manual("2026-03-01T00:00:00Z".parse().unwrap());
    let controller = Controller::start(clock.clone());
    let dir = tempfile::tempdir().unwrap();
    let joined = Config {
        clock: clock.clone(),
        ..config(dir.path(), &controller)
    };
    let agent = Agent::start(joined.clone());
    controller.connection().await;
    assert_eq!(*controller.inner.renewed.borrow(), 0);
    agent.stop().await;
    controller.inner.connection.send_replace(None);

    clock.advance(Duration::from_secs(17 * 3600));
    let known = Config {
        join: None,
        ..joined
    };
    let agent = Agent::start(known.clone());
    let mut renewed = controller.inner.renewed.subscribe();
    let wait = tokio::time::timeout(LIMIT, renewed.wait_for(|count| *count == 1)).await;
    wait.expect("it is renewed at two thirds of its life")
        .unwrap();
    agent.stop().await;
    controller.inner.connection.send_replace(None);

    clock.advance(Duration::from_secs(3 * 24 * 3600));
    assert_eq!(controller.inner.came_home.load(Ordering::SeqCst), 0);
    let agent = Agent::start(known);
    controller.connection().await;
    assert_eq!(controller.inner.came_home.load(Ordering::SeqCst), 1);
    agent.stop().await;
}
