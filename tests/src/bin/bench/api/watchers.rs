//! A thousand watchers of the same objects: how long after a write was sent each of them has it.
//!
//! A writer puts the time into the object; a watcher reads it out of the bytes, for it is to be the server that is measured.

use crate::{
    Bench, say,
    table::{Row, Times},
};
use anyhow::Context as _;
use coracle_daemon::{OnExit, Tasks};
use coracle_tests::client::{Client, Endpoint, Watch};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

const PATH: &str = "/api/v1/namespaces/kube-public/configmaps";
const WATCHERS: usize = 1_000;
/// Updates a second, of all writers together; the last has the goal.
const RATES: [u32; 3] = [10, 100, 500];
const WRITERS: u32 = 8;
const SECONDS: u32 = 10;
const GOAL: Duration = Duration::from_millis(50);
/// For the last delivery after the last write.
const LIMIT: Duration = Duration::from_secs(120);
/// Before the time in an object, microseconds since the run's start.
const MARK: &[u8] = b"\"at\":\"";
/// Said by the last write.
const END: u64 = 0;

pub(super) async fn measure(bench: &Bench, endpoint: &Endpoint) -> anyhow::Result<Vec<Row>> {
    let seconds = if bench.arguments.quick { 2 } else { SECONDS };
    let mut rows = Vec::new();
    for rate in RATES {
        say(&format!("api: {WATCHERS} watchers, {rate} updates/s"));
        let run = run(&bench.tasks, endpoint, rate, seconds).await?;
        let name = format!(
            "api: {WATCHERS} watchers at {rate} updates/s, write sent to delivered ({:.0}/s)",
            run.updates_per_second
        );
        let row = Row::new(name).times(&run.delivery);
        rows.push(if rate == 500 {
            row.goal("p99 <= 50 ms", run.delivery.p99 <= GOAL)
        } else {
            row
        });
    }
    Ok(rows)
}

struct Run {
    delivery: Times,
    /// What the writers came to.
    updates_per_second: f64,
}

async fn run(tasks: &Tasks, endpoint: &Endpoint, rate: u32, seconds: u32) -> anyhow::Result<Run> {
    let mut control = endpoint.connect().await?;
    for writer in 0..WRITERS {
        put(&mut control, &name(writer), 1).await?;
    }
    put(&mut control, "end", 1).await?;
    let (done, mut seen) = mpsc::channel(WATCHERS);
    let begin = Instant::now();
    for _ in 0..WATCHERS {
        let watch = endpoint.connect().await?.watch(PATH).await?;
        let done = done.clone();
        tasks.spawn("watcher", OnExit::Ignore, async move {
            let _nobody_asks = done.send(deliveries(watch, begin).await).await;
        });
    }
    drop(done);
    let (written, mut writers) = mpsc::channel(WRITERS as usize);
    let start = Instant::now();
    for writer in 0..WRITERS {
        let client = endpoint.connect().await?;
        let written = written.clone();
        tasks.spawn("writer", OnExit::Ignore, async move {
            let due = (writer..rate * seconds).step_by(WRITERS as usize);
            let due = due.map(move |n| start + Duration::from_secs(1) * n / rate);
            let _nobody_asks = written
                .send(updates(client, writer, due, begin).await)
                .await;
        });
    }
    drop(written);
    while let Some(result) = writers.recv().await {
        result?;
    }
    let updates_per_second = f64::from(rate * seconds) / start.elapsed().as_secs_f64();
    put(&mut control, "end", END).await?;
    let all = async {
        let mut all = Vec::new();
        while let Some(times) = seen.recv().await {
            all.extend(times?);
        }
        anyhow::Ok(all)
    };
    let all = tokio::time::timeout(LIMIT, all)
        .await
        .context("the watchers do not come to the end")??;
    let expected = WATCHERS * (rate * seconds) as usize;
    anyhow::ensure!(
        all.len() == expected,
        "{} of {expected} deliveries",
        all.len()
    );
    Ok(Run {
        delivery: Times::of(all)?,
        updates_per_second,
    })
}

fn name(writer: u32) -> String {
    format!("watched-{writer}")
}

/// Creates the object or writes it anew.
async fn put(client: &mut Client, name: &str, at: u64) -> anyhow::Result<()> {
    let object = object(name, at);
    let path = format!("{PATH}/{name}");
    let (status, _) = client.call(Method::PUT, &path, Some(&object)).await?;
    if status == http::StatusCode::NOT_FOUND {
        return client.create(PATH, &object).await;
    }
    anyhow::ensure!(status.is_success(), "PUT {path} answered {status}");
    Ok(())
}

fn object(name: &str, at: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name}, "data": {"at": at.to_string()},
    })
}

async fn updates(
    mut client: Client,
    writer: u32,
    due: impl Iterator<Item = Instant>,
    begin: Instant,
) -> anyhow::Result<()> {
    let name = name(writer);
    for due in due {
        sleep_until(due).await;
        // A write that waited for the one before it is as old as its turn.
        let at = u64::try_from(due.duration_since(begin).as_micros())?;
        put(&mut client, &name, at.max(2)).await?;
    }
    Ok(())
}

/// The ages of all updates at their delivery, until the end is said.
async fn deliveries(mut watch: Watch, begin: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut ages = Vec::new();
    loop {
        let line = watch.line().await?.context("the watch has ended")?;
        match at(&line).context("an event without its time")? {
            END => return Ok(ages),
            at => ages.push(begin.elapsed().saturating_sub(Duration::from_micros(at))),
        }
    }
}

fn at(line: &[u8]) -> Option<u64> {
    let start = line.windows(MARK.len()).position(|part| part == MARK)? + MARK.len();
    let rest = line.get(start..)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}
