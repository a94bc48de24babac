//! Many clients at once, each with one operation in flight: how long each took, and all together.

use coracle_daemon::{OnExit, Tasks};
use std::{future::Future, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// One client.
pub(crate) trait Worker: Send + 'static {
    /// Does it once, for the `n`th time.
    fn once(&mut self, n: usize) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What a load took.
#[derive(Debug)]
pub(crate) struct Load {
    /// Of each operation.
    pub(crate) times: Vec<Duration>,
    /// From the first start to the last end.
    pub(crate) took: Duration,
}

impl Load {
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    pub(crate) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }
}

/// `each` operations of every worker; all must go well.
pub(crate) async fn load<W: Worker>(
    tasks: &Tasks,
    workers: Vec<W>,
    each: usize,
) -> anyhow::Result<Load> {
    let all = workers.len() * each;
    let (done, mut results) = mpsc::channel(workers.len().max(1));
    let begin = Instant::now();
    for mut worker in workers {
        let done = done.clone();
        tasks.spawn("worker", OnExit::Ignore, async move {
            let _nobody_asks = done.send(times(&mut worker, each).await).await;
        });
    }
    drop(done);
    let mut times = Vec::with_capacity(all);
    while let Some(of_one) = results.recv().await {
        times.extend(of_one?);
    }
    anyhow::ensure!(times.len() == all, "a worker has ended early");
    Ok(Load {
        times,
        took: begin.elapsed(),
    })
}

async fn times<W: Worker>(worker: &mut W, each: usize) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(each);
    for n in 0..each {
        let started = Instant::now();
        worker.once(n).await?;
        times.push(started.elapsed());
    }
    Ok(times)
}
