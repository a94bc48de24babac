//! The store alone, in this process: durable writes against the disk's floor.

use crate::{
    Bench,
    floor::WRITE_BYTES,
    load::{Load, Worker, load},
    table::{Row, Times, bytes},
};
use bytes::Bytes;
use coracle_api::Revision;
use coracle_controller::store::{Embedded, Store, Write};
use coracle_daemon::Tasks;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

const WRITES: usize = 2_000;
/// Clients that each wait for their write before the next.
const CLIENTS: usize = 64;

/// Durable writes, by one client and by many.
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for clients in [1, CLIENTS] {
        let each = bench.runs(WRITES) / if clients == 1 { 1 } else { 4 };
        let value = Bytes::from(vec![7_u8; WRITE_BYTES]);
        let load = writes(&bench.tasks, clients, each, value).await?;
        let rate = load.per_second();
        let ratio = rate / bench.floor.writes_per_second();
        let size = bytes(WRITE_BYTES as u64);
        rows.push(
            Row::new(format!(
                "store: durable writes of {size}, {clients} in flight"
            ))
            .times(&Times::of(load.times)?)
            .baseline(format!("append and fdatasync; ours {rate:.0}/s"), ratio),
        );
    }
    Ok(rows)
}

/// `each` durable writes of every client into an empty store.
pub(crate) async fn writes(
    tasks: &Tasks,
    clients: usize,
    each: usize,
    value: Bytes,
) -> anyhow::Result<Load> {
    let dir = tempfile::tempdir_in(".")?;
    let store: Arc<dyn Store> = Arc::new(Embedded::open(dir.path())?);
    let revision = Arc::new(AtomicU64::new(0));
    let writer = |client| Writer {
        store: Arc::clone(&store),
        revision: Arc::clone(&revision),
        value: value.clone(),
        client,
    };
    load(tasks, (0..clients).map(writer).collect(), each).await
}

struct Writer {
    store: Arc<dyn Store>,
    revision: Arc<AtomicU64>,
    value: Bytes,
    client: usize,
}

impl Worker for Writer {
    async fn once(&mut self, n: usize) -> anyhow::Result<()> {
        let write = Write {
            key: format!("/registry/configmaps/default/bench-{}-{n}", self.client),
            value: Some(self.value.clone()),
            revision: Revision(self.revision.fetch_add(1, Ordering::SeqCst) + 1),
        };
        let committed = self.store.write(write);
        committed.await?;
        Ok(())
    }
}
