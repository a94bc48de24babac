//! Durable creates over HTTPS, and the store's layer alone, against etcd's puts of the same bytes in the same run.

use super::etcd::Etcd;
use crate::{
    Bench,
    load::{Load, Worker, load},
    store,
    table::{Row, Times, bytes},
};
use bytes::Bytes;
use coracle_tests::client::{Client, Endpoint};
use serde_json::{Value, json};
use std::path::PathBuf;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Clients, and the creates of each.
const STEPS: [(usize, usize); 3] = [(1, 2_000), (8, 1_000), (64, 400)];
/// Of the value in the object.
const DATA_BYTES: usize = 1024;
const PER_SECOND_GOAL: f64 = 10_000.0;
/// Set by `cargo xtask bench`, unless it was told to be quick.
const ETCD: &str = "CORACLE_BENCH_ETCD";

pub(super) async fn measure(bench: &Bench, endpoint: &Endpoint) -> anyhow::Result<Vec<Row>> {
    let value = stored(endpoint).await?;
    let etcd = std::env::var_os(ETCD).map(PathBuf::from);
    let etcd = etcd.map(|program| Etcd::start(&program)).transpose()?;
    let size = bytes(value.len() as u64);
    let mut rows = Vec::new();
    for (clients, each) in STEPS {
        let each = bench.runs(each);
        let theirs = match &etcd {
            Some(etcd) => Some(puts(bench, etcd, clients, each, &value).await?),
            None => None,
        };
        let over_https = creates(bench, endpoint, clients, each).await?;
        let store = store::writes(&bench.tasks, clients, each, value.clone()).await?;
        let many = clients == 64;
        for (what, ours, least) in [
            ("durable creates over HTTPS", over_https, 1.0),
            ("durable writes of the store alone", store, 2.0),
        ] {
            let name = format!("api: {what}, {size}, {clients} clients");
            rows.push(row(name, ours, theirs.as_ref(), many.then_some(least))?);
        }
    }
    Ok(rows)
}

fn row(name: String, ours: Load, theirs: Option<&Load>, least: Option<f64>) -> anyhow::Result<Row> {
    let rate = ours.per_second();
    let mut row = Row::new(format!("{name} ({rate:.0}/s)")).times(&Times::of(ours.times)?);
    let Some(theirs) = theirs else {
        return Ok(row);
    };
    let ratio = rate / theirs.per_second();
    row = row.baseline(
        format!("etcd 3.4: {:.0} puts/s", theirs.per_second()),
        ratio,
    );
    Ok(match least {
        Some(least) if least < 2.0 => row.goal(
            ">= 10,000/s, >= 1 x",
            ratio >= least && rate >= PER_SECOND_GOAL,
        ),
        Some(least) => row.goal(">= 2 x", ratio >= least),
        None => row,
    })
}

/// The bytes that a create leaves in the store, nearly: they are what a get answers.
async fn stored(endpoint: &Endpoint) -> anyhow::Result<Bytes> {
    let mut client = endpoint.connect().await?;
    client.create(CONFIG_MAPS, &config_map("sample")).await?;
    let path = format!("{CONFIG_MAPS}/sample");
    client.ok(http::Method::GET, &path, None).await
}

fn config_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"value": "x".repeat(DATA_BYTES)},
    })
}

async fn puts(
    bench: &Bench,
    etcd: &Etcd,
    clients: usize,
    each: usize,
    value: &Bytes,
) -> anyhow::Result<Load> {
    let mut putters = Vec::with_capacity(clients);
    for client in 0..clients {
        putters.push(etcd.connect(&bench.tasks, client, value.clone()).await?);
    }
    load(&bench.tasks, putters, each).await
}

async fn creates(
    bench: &Bench,
    endpoint: &Endpoint,
    clients: usize,
    each: usize,
) -> anyhow::Result<Load> {
    let mut creators = Vec::with_capacity(clients);
    for client in 0..clients {
        let prefix = format!("bench-{clients}-{client}");
        let client = endpoint.connect().await?;
        creators.push(Creator { client, prefix });
    }
    load(&bench.tasks, creators, each).await
}

struct Creator {
    client: Client,
    prefix: String,
}

impl Worker for Creator {
    async fn once(&mut self, n: usize) -> anyhow::Result<()> {
        let object = config_map(&format!("{}-{n}", self.prefix));
        self.client.create(CONFIG_MAPS, &object).await
    }
}
