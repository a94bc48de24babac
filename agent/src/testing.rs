//! Values for unit tests. Compiled for tests only.

use coracle_link::pod::{Container, Pod, PullPolicy, Resources, RestartPolicy};

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
