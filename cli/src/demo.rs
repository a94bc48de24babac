//! The demo of `up --demo`: pushes the example modules and applies `examples/demo.yaml`, through
//! the same endpoint and with the same rights as a person would.

use crate::{client::Client, push};
use anyhow::Context as _;
use http::Method;
use serde::Deserialize as _;
use serde_json::Value;
use std::{net::Ipv4Addr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

/// The modules, built from `wasm-examples/` and committed so that no wasm toolchain is needed.
const MODULES: [(&str, &[u8]); 4] = [
    (
        "hello-http:v1",
        include_bytes!("../../wasm-examples/prebuilt/hello-http.wasm"),
    ),
    (
        "counter:v1",
        include_bytes!("../../wasm-examples/prebuilt/counter.wasm"),
    ),
    (
        "sensor:v1",
        include_bytes!("../../wasm-examples/prebuilt/sensor.wasm"),
    ),
    (
        "report:v1",
        include_bytes!("../../wasm-examples/prebuilt/report.wasm"),
    ),
];
const MANIFESTS: &str = include_str!("../../examples/demo.yaml");
/// The node port of the `hello` service in the manifests.
pub(crate) const HELLO_PORT: u16 = 30080;
/// Its pods.
const HELLO_PODS: &str = "/api/v1/namespaces/default/pods?labelSelector=app%3Dhello";
/// How long the demo may take to be ready; compiling on a slow machine is most of it.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// From Deployments that are available to the first answer.
const ANSWERING_LIMIT: Duration = Duration::from_secs(20);
/// For one answer of the demo's page.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// As much of an answer as is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Between two looks at something that is not ready yet.
const POLL_PERIOD: Duration = Duration::from_millis(50);

/// Pushes, applies and waits until every Deployment is available and the page answers.
pub(crate) async fn deploy(client: &Client) -> anyhow::Result<()> {
    for (name, wasm) in MODULES {
        push::push(client, wasm.to_vec(), name).await?;
    }
    let mut deployments = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(MANIFESTS) {
        let manifest = Value::deserialize(document).context("examples/demo.yaml is not valid")?;
        let path =
            path_of(&manifest).context("examples/demo.yaml holds an object without a name")?;
        let apply = format!("{path}?fieldManager=coracle-demo&force=true");
        let what = format!("cannot apply {path}");
        client
            .send(
                Method::PATCH,
                &apply,
                "application/apply-patch+yaml",
                manifest.to_string(),
            )
            .await?
            .success(&what)?;
        if manifest["kind"] == "Deployment" {
            deployments.push(path);
        }
    }
    let deadline = Instant::now() + READY_LIMIT;
    for path in deployments {
        wait_available(client, &path, deadline).await?;
    }
    wait_answering(client).await
}

/// The node learns of a service's pods a moment after the Deployment is available.
async fn wait_answering(client: &Client) -> anyhow::Result<()> {
    let deadline = Instant::now() + ANSWERING_LIMIT;
    let pods = client
        .send(Method::GET, HELLO_PODS, "application/json", "")
        .await?
        .success("cannot list the demo's pods")?;
    let pods: Value = serde_json::from_slice(&pods.body)?;
    let names: Vec<&str> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .collect();
    while !answers(&names).await {
        anyhow::ensure!(
            Instant::now() < deadline,
            "the demo runs, but http://127.0.0.1:{HELLO_PORT}/ is not answered by it: another program has port {HELLO_PORT}; stop that program and start again"
        );
        tokio::time::sleep(POLL_PERIOD).await;
    }
    Ok(())
}

/// Whether a request to the demo's node port is answered by the demo.
async fn answers(pods: &[&str]) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, HELLO_PORT)).await?;
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut answer)
            .await?;
        std::io::Result::Ok(is_of(pods, &answer))
    };
    matches!(
        tokio::time::timeout(ANSWER_LIMIT, asked).await,
        Ok(Ok(true))
    )
}

/// Whether one of these pods says this, and not another web server or another cluster's demo.
fn is_of(pods: &[&str], answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    let mut said = pods.iter().map(|pod| format!("Hello from {pod} on "));
    answer.starts_with("HTTP/1.1 200") && said.any(|said| answer.contains(&said))
}

/// The URL path of an object; the kinds of the demo have regular plurals.
fn path_of(manifest: &Value) -> Option<String> {
    let version = manifest["apiVersion"].as_str()?;
    let root = if version.contains('/') {
        "/apis"
    } else {
        "/api"
    };
    let plural = format!("{}s", manifest["kind"].as_str()?.to_lowercase());
    let namespace = manifest.pointer("/metadata/namespace")?.as_str()?;
    let name = manifest.pointer("/metadata/name")?.as_str()?;
    Some(format!(
        "{root}/{version}/namespaces/{namespace}/{plural}/{name}"
    ))
}

async fn wait_available(client: &Client, path: &str, deadline: Instant) -> anyhow::Result<()> {
    loop {
        let answer = client
            .send(Method::GET, path, "application/json", "")
            .await?
            .success("cannot watch the demo")?;
        let deployment: Value = serde_json::from_slice(&answer.body)?;
        if is_available(&deployment) {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "the demo's {path} is not available after {} s; see: kubectl --kubeconfig .coracle/kubeconfig get pods",
            READY_LIMIT.as_secs()
        );
        tokio::time::sleep(POLL_PERIOD).await;
    }
}

fn is_available(deployment: &Value) -> bool {
    let wanted = deployment
        .pointer("/spec/replicas")
        .and_then(Value::as_u64)
        .unwrap_or(1);
    let observed = deployment.pointer("/status/observedGeneration")
        == deployment.pointer("/metadata/generation");
    let available = deployment
        .pointer("/status/availableReplicas")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let updated = deployment
        .pointer("/status/updatedReplicas")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    observed && available >= wanted && updated >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_web_server_is_not_the_demo() {
        let is_hello = |answer: &str| is_of(&["hello-1"], answer.as_bytes());
        assert!(is_hello(
            "HTTP/1.1 200 OK\r\n\r\nHello from hello-1 on vm\n"
        ));
        assert!(!is_hello(
            "HTTP/1.1 200 OK\r\n\r\nHello from hello-12 on vm\n"
        ));
        assert!(!is_hello("HTTP/1.1 200 OK\r\n\r\nIt works!\n"));
        assert!(!is_hello(
            "HTTP/1.1 503 Service Unavailable\r\n\r\nHello from hello-1 on vm"
        ));
        assert!(!is_hello("SSH-2.0-x\r\n"));
    }

    #[test]
    fn every_manifest_has_a_path() {
        let mut paths = Vec::new();
        for document in serde_yaml_ng::Deserializer::from_str(MANIFESTS) {
            paths.push(path_of(&Value::deserialize(document).unwrap()).unwrap());
        }
        assert!(
            paths.contains(&"/apis/apps/v1/namespaces/default/deployments/hello".to_owned()),
            "{paths:?}"
        );
        assert!(
            paths.contains(&"/api/v1/namespaces/default/services/hello".to_owned()),
            "{paths:?}"
        );
    }
}
