//! Everything that goes out comes back the same; what is wrong is refused by name.

use super::DecodeError;
use crate::{node::*, pb, pod::*, route::*, status::*};
use proptest::prelude::*;
use prost::Message as _;

fn sensitive(text: &str) -> Sensitive {
    Sensitive(text.as_bytes().to_vec())
}

fn probe(action: ProbeAction) -> Probe {
    Probe {
        action,
        initial_delay_secs: 1,
        period_secs: 2,
        timeout_secs: 3,
        success_threshold: 1,
        failure_threshold: 5,
    }
}

fn container() -> Container {
    let port = Port {
        name: "http".to_owned(),
        container_port: 8080,
        protocol: Protocol::Tcp,
    };
    let get = ProbeAction::HttpGet {
        port: 8080,
        path: "/".to_owned(),
        headers: vec![("a".to_owned(), "b".to_owned())],
    };
    Container {
        name: "web".to_owned(),
        image: "hello:v1".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        args: vec!["-v".to_owned()],
        env: vec![EnvVar {
            name: "KEY".to_owned(),
            value: sensitive("hidden"),
        }],
        config_error: Some("configmap \"x\" not found".to_owned()),
        ports: vec![port],
        mounts: vec![Mount {
            volume: "data".to_owned(),
            path: "/data".to_owned(),
            sub_path: "a".to_owned(),
            read_only: true,
        }],
        limits: Resources {
            cpu_millis: Some(200),
            memory_bytes: None,
        },
        requests: Resources::default(),
        startup: None,
        readiness: Some(probe(get)),
        liveness: Some(probe(ProbeAction::TcpSocket { port: 1 })),
        max_invocations: 1,
        max_concurrency: 4,
        sidecar: false,
    }
}

fn pod() -> Pod {
    let volume = |name: &str, source| Volume {
        name: name.to_owned(),
        source,
    };
    let file = File {
        path: "a/b".to_owned(),
        data: sensitive("hidden"),
        mode: 0o440,
    };
    Pod {
        uid: "uid-1".to_owned(),
        namespace: "ns".to_owned(),
        name: "web-1".to_owned(),
        revision: 7,
        labels: vec![("app".to_owned(), "web".to_owned())],
        annotations: Vec::new(),
        restart_policy: RestartPolicy::OnFailure,
        grace_period_secs: 30,
        deletion_grace_secs: Some(0),
        hostname: "web-1".to_owned(),
        active_deadline_secs: None,
        init_containers: Vec::new(),
        containers: vec![container()],
        volumes: vec![
            volume(
                "data",
                VolumeSource::EmptyDir {
                    memory: true,
                    size_limit: Some(9),
                },
            ),
            volume("cm", VolumeSource::ConfigMap(vec![file.clone()])),
            volume("s", VolumeSource::Secret(vec![file])),
            volume("h", VolumeSource::HostPath("/dev".to_owned())),
        ],
        service_account: "default".to_owned(),
    }
}

fn status(state: ContainerState) -> PodStatus {
    let ended = Terminated {
        exit_code: 137,
        reason: "OOMKilled".to_owned(),
        message: String::new(),
        started_at_ms: 1,
        finished_at_ms: 2,
        container_id: "coracle://x".to_owned(),
    };
    PodStatus {
        uid: "uid-1".to_owned(),
        namespace: "ns".to_owned(),
        name: "web-1".to_owned(),
        observed_revision: 7,
        phase: Phase::Running,
        reason: String::new(),
        message: String::new(),
        pod_ip: "10.244.0.2".to_owned(),
        start_time_ms: 1,
        conditions: vec![Condition {
            kind: "Ready".to_owned(),
            status: None,
            reason: String::new(),
            message: String::new(),
            last_transition_ms: 3,
        }],
        init_containers: Vec::new(),
        containers: vec![ContainerStatus {
            name: "web".to_owned(),
            image: "hello:v1".to_owned(),
            image_id: String::new(),
            container_id: String::new(),
            ready: true,
            started: true,
            restart_count: 3,
            state,
            last_state: Some(ended),
        }],
        released: false,
    }
}

#[test]
fn a_pod_comes_back() {
    let bytes = pb::Pod::from(&pod()).encode_to_vec();
    let wire = pb::Pod::decode(&bytes[..]).unwrap();
    assert_eq!(Pod::try_from(wire), Ok(pod()));
}

#[test]
fn a_status_comes_back_in_every_state() {
    let ended = status(ContainerState::Running { started_at_ms: 1 }).containers[0]
        .last_state
        .clone()
        .unwrap();
    for state in [
        ContainerState::Running { started_at_ms: 5 },
        ContainerState::Waiting {
            reason: "CrashLoopBackOff".to_owned(),
            message: "m".to_owned(),
        },
        ContainerState::Terminated(ended),
    ] {
        let bytes = pb::PodStatus::from(&status(state.clone())).encode_to_vec();
        let wire = pb::PodStatus::decode(&bytes[..]).unwrap();
        assert_eq!(PodStatus::try_from(wire), Ok(status(state)));
    }
}

#[test]
fn a_route_comes_back() {
    let route = ServicePort {
        namespace: "ns".to_owned(),
        service: "web".to_owned(),
        port_name: "http".to_owned(),
        port: 80,
        node_port: 30080,
        endpoints: vec![Endpoint {
            pod_uid: "uid-1".to_owned(),
            node: "n".to_owned(),
            target_port: 8080,
        }],
    };
    assert_eq!(
        ServicePort::try_from(pb::ServicePort::from(&route)),
        Ok(route)
    );
}

#[track_caller]
fn refused(change: impl Fn(&mut pb::Pod), expect: DecodeError) {
    let mut wire = pb::Pod::from(&pod());
    change(&mut wire);
    assert_eq!(Pod::try_from(wire), Err(expect));
}

#[test]
fn what_is_wrong_is_named() {
    refused(|pod| pod.uid.clear(), DecodeError::Missing("Pod.uid"));
    for uid in ["..", "a/b", "/", "a/"] {
        refused(
            |pod| uid.clone_into(&mut pod.uid),
            DecodeError::Path("Pod.uid"),
        );
    }
    refused(
        |pod| pod.restart_policy = 9,
        DecodeError::Unknown("Pod.restart_policy"),
    );
    refused(
        |pod| pod.containers.clear(),
        DecodeError::Missing("Pod.containers"),
    );
    refused(
        |pod| pod.containers[0].ports[0].container_port = 70_000,
        DecodeError::Range("Port.container_port"),
    );
    for path in ["../x", "/etc/passwd", "", "a/../../b"] {
        let change = |pod: &mut pb::Pod| {
            if let Some(pb::volume::Source::Secret(files)) = &mut pod.volumes[2].source {
                path.clone_into(&mut files.files[0].path);
            }
        };
        refused(change, DecodeError::Path("File.path"));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_conversion_panic(bytes: Vec<u8>) {
        if let Ok(wire) = pb::Pod::decode(&bytes[..]) {
            let _any = Pod::try_from(wire);
        }
        if let Ok(wire) = pb::PodStatus::decode(&bytes[..]) {
            let _any = PodStatus::try_from(wire);
        }
        if let Ok(wire) = pb::NodeInfo::decode(&bytes[..]) {
            let _any = NodeInfo::try_from(wire);
        }
    }
}
