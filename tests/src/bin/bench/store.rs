//! The store alone, in this process: durable writes against the disk's floor.

use crate::{
    Bench,
    floor::WRITE_BYTES,
    table::{Row, Times, bytes},
};
use bytes::Bytes;
use coracle_api::Revision;
use coracle_controller::store::{Embedded, Store, Write};
use coracle_daemon::{OnExit, Tasks};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

const WRITES: usize = 2_000;
/// Clients that each wait for their write before the next.
const CLIENTS: usize = 64;

/// Durable writes, by one client and by many.
#[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir_in(".")?;
    let store: Arc<dyn Store> = Arc::new(Embedded::open(dir.path())?);
    let revision = Arc::new(AtomicU64::new(0));
    let mut rows = Vec::new();
    for clients in [1, CLIENTS] {
        let each = bench.runs(WRITES) / if clients == 1 { 1 } else { 4 };
        let started = Instant::now();
        let times = writes(&bench.tasks, &store, &revision, clients, each).await?;
        let rate = times.len() as f64 / started.elapsed().as_secs_f64();
        let ratio = rate / bench.floor.writes_per_second();
        let size = bytes(WRITE_BYTES as u64);
        rows.push(
            Row::new(format!(
                "store: durable writes of {size}, {clients} in flight"
            ))
            .times(&Times::of(times)?)
            .baseline(format!("append and fdatasync; ours {rate:.0}/s"), ratio),
        );
    }
    Ok(rows)
}

/// The times of `each` writes of every client.
async fn writes(
    tasks: &Tasks,
    store: &Arc<dyn Store>,
    revision: &Arc<AtomicU64>,
    clients: usize,
    each: usize,
) -> anyhow::Result<Vec<Duration>> {
    let (done, mut results) = mpsc::channel(clients);
    for client in 0..clients {
        let (store, revision, done) = (Arc::clone(store), Arc::clone(revision), done.clone());
        tasks.spawn("writer", OnExit::Ignore, async move {
            let mut times = Vec::with_capacity(each);
            for n in 0..each {
                let started = Instant::now();
                let write = Write {
                    key: format!("/registry/configmaps/default/bench-{client}-{n}"),
                    value: Some(Bytes::from(vec![7_u8; WRITE_BYTES])),
                    revision: Revision(revision.fetch_add(1, Ordering::SeqCst) + 1),
                };
                let committed = store.write(write);
                if let Err(error) = committed.await {
                    let _nobody_asks = done.send(Err(error)).await;
                    return;
                }
                times.push(started.elapsed());
            }
            let _nobody_asks = done.send(Ok(times)).await;
        });
    }
    drop(done);
    let mut all = Vec::with_capacity(clients * each);
    while let Some(times) = results.recv().await {
        all.extend(times?);
    }
    anyhow::ensure!(all.len() == clients * each, "a writer has ended early");
    Ok(all)
}
