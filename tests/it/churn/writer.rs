//! Who makes the changes, and who makes so many that the history is cut.

use super::{NAMESPACES, Shared, count};
use anyhow::ensure;
use coracle_tests::client::Client;
use http::{Method, StatusCode};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::sleep;

/// Where the large object is.
pub(super) const BALLAST: &str = "churn-ballast";
/// Objects of a writer in each namespace.
const OBJECTS: usize = 12;
/// Large enough that a burst of writes fills the server's window of changes.
const BALLAST_BYTES: usize = 700 * 1024;
const BURST: usize = 30;
const RETRY: Duration = Duration::from_millis(100);

/// Creates, changes and deletes objects of its own until it is time to be quiet.
pub(super) async fn write(shared: Arc<Shared>, number: usize) -> anyhow::Result<()> {
    let mut rng = StdRng::seed_from_u64(shared.seed ^ ((number as u64 + 1) << 16));
    let mut client = None;
    while !shared.quiet.load(Ordering::Relaxed) {
        let namespace = NAMESPACES[rng.random_range(0..NAMESPACES.len())];
        let name = format!("w{number}-{}", rng.random_range(0..OBJECTS));
        let group = ["a", "b", "c"][rng.random_range(0..3)];
        let body = json!({
            "metadata": {"name": name, "labels": {"churn": "yes", "group": group}},
            "data": {"n": rng.random::<u32>().to_string()},
        });
        let collection = format!("/api/v1/namespaces/{namespace}/configmaps");
        let one = format!("{collection}/{name}");
        // There or not: both are tried, and the other one is told by the code.
        let (method, path, body) = match rng.random_range(0..10) {
            0..3 => (Method::DELETE, one, Value::Null),
            3..6 => (Method::POST, collection, body),
            _ => (Method::PUT, one, body),
        };
        if let Some(status) = send(&shared, &mut client, method.clone(), &path, &body).await {
            let known = matches!(status.as_u16(), 200 | 201 | 404 | 409 | 429 | 500..);
            ensure!(known, "{method} {path} was answered with {status}");
            if status.is_success() {
                count(&shared.counts.writes);
            }
        }
        sleep(Duration::from_millis(rng.random_range(5..60))).await;
    }
    Ok(())
}

/// Writes a large object in bursts.
pub(super) async fn press(shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut client = None;
    let collection = format!("/api/v1/namespaces/{BALLAST}/configmaps");
    let mut round = 0_usize;
    while !shared.quiet.load(Ordering::Relaxed) {
        let text = format!("{round:08}").repeat(BALLAST_BYTES / 8);
        let body = json!({"metadata": {"name": "ballast"}, "data": {"n": text}});
        let path = format!("{collection}/ballast");
        let status = send(&shared, &mut client, Method::PUT, &path, &body).await;
        if status == Some(StatusCode::NOT_FOUND) {
            send(&shared, &mut client, Method::POST, &collection, &body).await;
        }
        round += 1;
        if round.is_multiple_of(BURST) {
            sleep(Duration::from_millis(1_500)).await;
        }
    }
    Ok(())
}

/// Sends on the connection there is, or on a new one; none while the controller is down.
async fn send(
    shared: &Shared,
    client: &mut Option<Client>,
    method: Method,
    path: &str,
    body: &Value,
) -> Option<StatusCode> {
    if client.is_none() {
        *client = shared.endpoint.connect().await.ok();
    }
    let body = (!body.is_null()).then_some(body);
    let sent = match client {
        Some(client) => client.call(method, path, body).await.ok(),
        None => None,
    };
    if sent.is_none() {
        *client = None;
        sleep(RETRY).await;
    }
    sent.map(|(status, _)| status)
}
