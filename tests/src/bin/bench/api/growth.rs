//! The same questions with 1,000, 10,000 and 100,000 Pods: creates, gets, lists, memory.
//!
//! The Pods have a scheduling gate, so that nothing but the API touches them.

use crate::{
    Bench,
    load::{Load, Worker, load},
    manifest::PODS,
    process::Memory,
    say, settle,
    table::{Row, Times, bytes, duration},
};
use coracle_tests::client::{Client, Endpoint};
use serde_json::{Value, json};
use std::time::Duration;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Larger ones are left out of a quick bench.
const QUICK: usize = 10_000;
const CLIENTS: usize = 50;
const GETS: usize = 5_000;
const LISTS: usize = 20;
/// What kubectl asks for at a time.
const PAGE: usize = 500;
/// Of the size that has goals.
const GOALS_AT: usize = 10_000;
const GET_GOAL: Duration = Duration::from_micros(200);
const LIST_GOAL: Duration = Duration::from_millis(150);
const MEMORY_GOAL: u64 = 80_000_000;

pub(super) async fn measure(
    bench: &Bench,
    endpoint: &Endpoint,
    controller: u32,
) -> anyhow::Result<Vec<Row>> {
    settle();
    let idle = Memory::of(controller)?.pss;
    let (mut rows, mut pods) = (Vec::new(), 0);
    for size in SIZES {
        if bench.arguments.quick && size > QUICK {
            continue;
        }
        say(&format!("api: {size} pods"));
        let made = grow(bench, endpoint, pods, size).await?;
        pods = size;
        settle();
        let grown = Memory::of(controller)?.pss.saturating_sub(idle);
        let rate = made.per_second();
        rows.push(
            Row::new(format!(
                "api, {size} pods: creates ({rate:.0}/s by {CLIENTS} clients)"
            ))
            .times(&Times::of(made.times)?),
        );
        rows.extend(reads(bench, endpoint, size).await?);
        let each = bytes(grown / size as u64);
        let row = Row::new(format!("api, {size} pods: grown PSS of the controller"))
            .value(format!("{} ({each} each)", bytes(grown)));
        rows.push(if size == GOALS_AT {
            row.goal("<= 80 MB", grown <= MEMORY_GOAL)
        } else {
            row
        });
    }
    Ok(rows)
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {
            "schedulingGates": [{"name": "coracle.dev/bench"}],
            "containers": [{
                "name": "c", "image": "hello-http:v1",
                "ports": [{"name": "http", "containerPort": 8080}],
                "resources": {"requests": {"cpu": "10m", "memory": "4Mi"}},
            }],
        },
    })
}

struct Creator {
    client: Client,
    first: usize,
}

impl Worker for Creator {
    async fn once(&mut self, n: usize) -> anyhow::Result<()> {
        let name = format!("pod-{}", self.first + n);
        self.client.create(PODS, &pod(&name)).await
    }
}

/// From so many pods to so many.
async fn grow(bench: &Bench, endpoint: &Endpoint, from: usize, to: usize) -> anyhow::Result<Load> {
    let each = (to - from) / CLIENTS;
    let mut creators = Vec::with_capacity(CLIENTS);
    for client in 0..CLIENTS {
        let first = from + client * each;
        let client = endpoint.connect().await?;
        creators.push(Creator { client, first });
    }
    load(&bench.tasks, creators, each).await
}

async fn reads(bench: &Bench, endpoint: &Endpoint, size: usize) -> anyhow::Result<Vec<Row>> {
    let with_goals = size == GOALS_AT;
    let mut client = endpoint.connect().await?;
    let mut gets = Vec::with_capacity(GETS);
    for n in 0..bench.runs(GETS) {
        let path = format!("{PODS}/pod-{}", n * 7_919 % size);
        gets.push(client.timed(&path).await?.total);
    }
    let gets = Times::of(gets)?;
    let (_, page) = lists(bench, &mut client, &format!("{PODS}?limit={PAGE}")).await?;
    let (first, all) = lists(bench, &mut client, PODS).await?;
    let mut get = Row::new(format!("api, {size} pods: get")).times(&gets);
    let mut list = Row::new(format!(
        "api, {size} pods: list of all (first byte {}, {})",
        duration(first.p50),
        bytes(all.bytes)
    ))
    .times(&all.total);
    if with_goals {
        get = get.goal("p50 <= 0.2 ms", gets.p50 <= GET_GOAL);
        list = list.goal("<= 150 ms", all.total.p50 <= LIST_GOAL);
    }
    let page = Row::new(format!("api, {size} pods: list of {PAGE}")).times(&page.total);
    Ok(vec![get, page, list])
}

/// Lists of one kind.
struct Lists {
    total: Times,
    bytes: u64,
}

/// Times to the first byte, and to the end.
async fn lists(bench: &Bench, client: &mut Client, path: &str) -> anyhow::Result<(Times, Lists)> {
    let (mut first, mut total, mut size) = (Vec::new(), Vec::new(), 0);
    for _ in 0..bench.runs(LISTS) {
        let timed = client.timed(path).await?;
        first.push(timed.first);
        total.push(timed.total);
        size = timed.bytes;
    }
    let total = Times::of(total)?;
    Ok((Times::of(first)?, Lists { total, bytes: size }))
}
