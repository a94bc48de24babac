//! Values for unit tests. Compiled for tests only.

use crate::status::{self, Observed};
use coracle_link::{
    node::NodeInfo,
    pod::{Container, Pod, PullPolicy, Resources, RestartPolicy},
    status::PodStatus,
};

pub(crate) fn container(name: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: "hello:v1".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        args: Vec::new(),
        env: Vec::new(),
        config_error: None,
        ports: Vec::new(),
        mounts: Vec::new(),
        limits: Resources::default(),
        requests: Resources::default(),
        startup: None,
        readiness: None,
        liveness: None,
        max_invocations: 1,
        max_concurrency: 1,
        sidecar: false,
    }
}

pub(crate) fn pod(policy: RestartPolicy, init: &[&str], main: &[&str]) -> Pod {
    let sidecar = |name: &&str| Container {
        sidecar: name.starts_with("side"),
        ..container(name)
    };
    Pod {
        uid: "uid-1".to_owned(),
        namespace: "default".to_owned(),
        name: "pod".to_owned(),
        revision: 7,
        labels: Vec::new(),
        annotations: Vec::new(),
        restart_policy: policy,
        grace_period_secs: 30,
        deletion_grace_secs: None,
        hostname: "pod".to_owned(),
        active_deadline_secs: None,
        init_containers: init.iter().map(sidecar).collect(),
        containers: main.iter().map(|name| container(name)).collect(),
        volumes: Vec::new(),
        service_account: "default".to_owned(),
    }
}

/// A status that says `message`.
pub(crate) fn status(pod: &Pod, message: &str) -> PodStatus {
    let seen = Observed {
        pod,
        pod_ip: String::new(),
        start_time_ms: 0,
        init: Vec::new(),
        main: vec![status::waiting(&pod.containers[0], "ContainerCreating")],
        stopped: false,
        failed: None,
        released: false,
    };
    let mut status = status::compute(seen, None, 0);
    message.clone_into(&mut status.message);
    status
}

pub(crate) fn node_info() -> NodeInfo {
    let facts = crate::node_status::Facts {
        data_dir: std::path::Path::new("/"),
        target: "x86_64-unknown-linux-gnu".to_owned(),
        compatibility_hash: "abc".to_owned(),
        runtime_version: String::new(),
        pods_max: 110,
        labels: Vec::new(),
        address: None,
        disk_free_min: None,
    };
    crate::node_status::info(&facts, 0)
}
