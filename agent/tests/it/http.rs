//! HTTP guests: probed, and reached through the controller and through a node port.

use crate::{
    controller::{Controller, LIMIT},
    guests::{self, pod},
    harness::{Agent, cluster, config},
};
use coracle_link::{
    pb,
    pb::{stream_reply::Reply, stream_request::Request},
    pod::{Pod, Probe, ProbeAction, RestartPolicy},
    route::{Endpoint, ServicePort},
    status::PodStatus,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

fn hello() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../wasm-examples/prebuilt/hello-http.wasm"
    );
    std::fs::read(path).unwrap()
}

fn probed(name: &str, path: &str) -> Pod {
    let mut pod = pod(name, "hello:v1", RestartPolicy::Always);
    pod.containers[0].readiness = Some(Probe {
        action: ProbeAction::HttpGet {
            port: 8080,
            path: path.to_owned(),
            headers: Vec::new(),
        },
        initial_delay_secs: 0,
        period_secs: 1,
        timeout_secs: 5,
        success_threshold: 1,
        failure_threshold: 1,
    });
    pod
}

/// The first line of the answer to a GET.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let request = b"GET / HTTP/1.1\r\nhost: hello\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer));
    read.await.expect("the guest answers").unwrap();
    let text = String::from_utf8_lossy(&answer);
    text.lines().next().unwrap_or_default().to_owned()
}

async fn connect(controller: &Controller, uid: &str, port: u32) -> Result<String, String> {
    let request = pb::ConnectPod {
        pod_uid: uid.to_owned(),
        port,
    };
    let (reply, send, reader) = controller.ask(Request::ConnectPod(request)).await;
    match reply {
        Reply::Accepted(_) => {
            let (recv, rest) = reader.into_parts();
            assert!(rest.is_empty(), "a server waits for the request");
            Ok(get(tokio::io::join(recv, send)).await)
        }
        Reply::Failure(failure) => Err(failure.message),
        _ => panic!("no answer to a connect"),
    }
}

#[tokio::test]
async fn an_http_guest_is_probed_and_reached() {
    let (controller, dir) = cluster();
    controller.run_image("hello:v1", &hello());
    let agent = Agent::start(config(dir.path(), &controller));
    controller.want(&probed("web", "/"));
    let ready = |status: &PodStatus| status.containers[0].ready;
    controller.status("uid-web", ready).await;
    assert_eq!(
        connect(&controller, "uid-web", 8080).await.unwrap(),
        "HTTP/1.1 200 OK"
    );
    let refused = connect(&controller, "uid-web", 81).await;
    assert_eq!(refused, Err("connection refused".to_owned()));
    let unknown = connect(&controller, "uid-none", 8080).await;
    assert_eq!(unknown, Err("no route to host".to_owned()));

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node_port = free.local_addr().unwrap().port();
    drop(free);
    controller.route(&[ServicePort {
        namespace: "default".to_owned(),
        service: "web".to_owned(),
        port_name: String::new(),
        port: 80,
        node_port,
        endpoints: vec![Endpoint {
            pod_uid: "uid-web".to_owned(),
            node: "box".to_owned(),
            target_port: 8080,
        }],
    }]);
    let dial = async {
        loop {
            match TcpStream::connect(("127.0.0.1", node_port)).await {
                Ok(stream) => break stream,
                Err(_not_yet) => tokio::task::yield_now().await,
            }
        }
    };
    let stream = tokio::time::timeout(LIMIT, dial)
        .await
        .expect("the node port opens");
    assert_eq!(get(stream).await, "HTTP/1.1 200 OK");

    let mut usage = controller.inner.usage.subscribe();
    let counted = usage.wait_for(|usage| {
        let containers = usage.as_ref().map(|usage| usage.containers.as_slice());
        containers.is_some_and(|all| all.iter().any(|one| one.requests >= 2))
    });
    tokio::time::timeout(LIMIT, counted)
        .await
        .expect("requests are reported")
        .unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn a_failing_probe_is_told_and_a_liveness_failure_restarts() {
    let (controller, dir) = cluster();
    controller.run_image("hello:v1", &hello());
    controller.run_image("sleep:v1", &guests::sleeps());
    let agent = Agent::start(config(dir.path(), &controller));
    let mut pod = pod("deaf", "sleep:v1", RestartPolicy::Always);
    pod.containers[0].liveness = Some(Probe {
        action: ProbeAction::TcpSocket { port: 9 },
        initial_delay_secs: 0,
        period_secs: 1,
        timeout_secs: 1,
        success_threshold: 1,
        failure_threshold: 2,
    });
    controller.want(&pod);
    let restarted = |status: &PodStatus| status.containers[0].restart_count >= 1;
    let status = controller.status("uid-deaf", restarted).await;
    assert_eq!(
        status.containers[0].last_state.as_ref().unwrap().exit_code,
        143
    );
    let event = controller.event("Unhealthy").await;
    let expect = format!(
        "Liveness probe failed: dial tcp {0}:9: connect: connection refused",
        status.pod_ip
    );
    assert_eq!(event.message, expect);
    let event = controller.event("Killing").await;
    let expect = "Container main failed liveness probe, will be restarted";
    assert_eq!(event.message, expect);
    agent.stop().await;
}
