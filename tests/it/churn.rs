//! Watches under churn: 200 watchers, writers, lost connections, a history that is cut, and a controller that is killed.
//!
//! A watcher keeps a view, as every informer does: from a list or from initial events, then event by event, going on
//! where it was after each lost connection, and from the start when the server no longer knows where that is. Its view
//! must be the final list, and no event may come twice, out of order, or not at all.

mod view;
mod watcher;
mod writer;

use anyhow::{Context as _, ensure};
use coracle_daemon::Tasks;
use coracle_tests::{Controller, client::Endpoint};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use view::View;
use watcher::{Scope, Watcher};

const WATCHERS: usize = 200;
const WRITERS: usize = 4;
/// Of the fixed and of the new seed each, in CI; `CORACLE_CHURN_SECONDS` asks for more.
const SECONDS: u64 = 10;
/// The seed that is always tried.
const SEED: u64 = 20_261;
/// Between two ends of the controller.
const LIFE: std::ops::Range<u64> = 2_000..5_000;
/// For every watcher to see the last write.
const SETTLE: Duration = Duration::from_secs(30);
/// For a controller to end when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const NAMESPACES: [&str; 2] = ["churn-a", "churn-b"];

/// What all of them share.
pub(crate) struct Shared {
    endpoint: Endpoint,
    seed: u64,
    /// Set when no more is written, before the last list is taken.
    quiet: AtomicBool,
    /// The final list; none while there are writes.
    last: watch::Receiver<Option<Arc<Last>>>,
    counts: Counts,
}

/// The final list, and when that was the state.
pub(crate) struct Last {
    view: View,
    revision: u64,
}

/// What happened: a run in which nothing did proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    writes: AtomicUsize,
    events: AtomicUsize,
    resumed: AtomicUsize,
    expired: AtomicUsize,
    lost: AtomicUsize,
    killed: AtomicUsize,
    stopped: AtomicUsize,
}

pub(crate) fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_fixed_seed() -> anyhow::Result<()> {
    churn(SEED).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_new_seed() -> anyhow::Result<()> {
    let seed = match std::env::var("CORACLE_CHURN_SEED") {
        Ok(text) => text.parse()?,
        Err(_not_set) => rand::random(),
    };
    churn(seed).await
}

#[expect(clippy::print_stderr, reason = "what a failed run is repeated by")]
async fn churn(seed: u64) -> anyhow::Result<()> {
    let seconds =
        std::env::var("CORACLE_CHURN_SECONDS").map_or(Ok(SECONDS), |text| text.parse())?;
    eprintln!("CORACLE_CHURN_SEED={seed}, {seconds} s");
    let dir = tempfile::tempdir()?;
    let tasks = Tasks::new();
    let controller = Controller::start(dir.path())?;
    let endpoint = Endpoint::read(&controller.kubeconfig(), &tasks)?;
    let (tell, last) = watch::channel(None);
    let shared = Arc::new(Shared {
        endpoint,
        seed,
        quiet: AtomicBool::new(false),
        last,
        counts: Counts::default(),
    });
    prepare(&shared).await?;
    let watchers = watchers(&shared);
    let writers = writers(&shared);
    let end = Instant::now() + Duration::from_secs(seconds);
    let _controller = live(&shared, dir.path(), controller, end).await?;
    shared.quiet.store(true, Ordering::Relaxed);
    let finished = timeout(SETTLE, finish(writers, "writer")).await;
    finished.context("a write is never answered")??;
    let last = timeout(SETTLE, watcher::list_all(&shared)).await;
    let last = last.context("the final list is never answered")??;
    let left = last.view.len();
    ensure!(left > 20, "only {left} objects are left");
    tell.send_replace(Some(Arc::new(last)));
    let finished = timeout(SETTLE, finish(watchers, "watcher")).await;
    eprintln!("{:?}", shared.counts);
    finished.context("a watcher never saw the final list")??;
    tasks.stop().cancel();
    let counts = &shared.counts;
    for (what, counter) in [
        ("writes", &counts.writes),
        ("events", &counts.events),
        ("resumed watches", &counts.resumed),
        ("expired watches", &counts.expired),
        ("lost connections", &counts.lost),
    ] {
        let number = counter.load(Ordering::Relaxed);
        ensure!(number >= 20, "only {number} {what}");
    }
    let ends = counts.killed.load(Ordering::Relaxed) + counts.stopped.load(Ordering::Relaxed);
    ensure!(ends >= 2, "the controller ended {ends} times");
    Ok(())
}

async fn prepare(shared: &Shared) -> anyhow::Result<()> {
    let mut client = shared.endpoint.connect().await?;
    for name in NAMESPACES.iter().chain(&[writer::BALLAST]) {
        let body = json!({"metadata": {"name": name}});
        client.create("/api/v1/namespaces", &body).await?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tasks end with the set that holds them"
)]
fn watchers(shared: &Arc<Shared>) -> JoinSet<anyhow::Result<()>> {
    let mut set = JoinSet::new();
    for number in 0..WATCHERS {
        let watcher = Watcher::new(Arc::clone(shared), number, Scope::of(number));
        set.spawn(watcher.run());
    }
    set
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tasks end with the set that holds them"
)]
fn writers(shared: &Arc<Shared>) -> JoinSet<anyhow::Result<()>> {
    let mut set = JoinSet::new();
    for number in 0..WRITERS {
        set.spawn(writer::write(Arc::clone(shared), number));
    }
    set.spawn(writer::press(Arc::clone(shared)));
    set
}

/// Ends the controller again and again, as a power cut would or as an operator would.
async fn live(
    shared: &Shared,
    dir: &Path,
    mut controller: Controller,
    end: Instant,
) -> anyhow::Result<Controller> {
    let mut rng = StdRng::seed_from_u64(shared.seed);
    loop {
        let life = Duration::from_millis(rng.random_range(LIFE));
        let killed = Instant::now() + life;
        sleep_until(killed.min(end)).await;
        if killed >= end {
            return Ok(controller);
        }
        let hard = rng.random_bool(0.6);
        count(if hard {
            &shared.counts.killed
        } else {
            &shared.counts.stopped
        });
        let (dir, address) = (dir.to_owned(), shared.endpoint.address().to_owned());
        let restart =
            tokio::task::spawn_blocking(move || restart(controller, hard, &dir, &address));
        controller = restart.await??;
    }
}

fn restart(
    controller: Controller,
    hard: bool,
    dir: &Path,
    address: &str,
) -> anyhow::Result<Controller> {
    if hard {
        controller.kill()?;
    } else {
        controller.stop(STOP_LIMIT)?;
    }
    Controller::start_on(dir, address, "127.0.0.1:0")
}

async fn finish(mut set: JoinSet<anyhow::Result<()>>, what: &str) -> anyhow::Result<()> {
    while let Some(ended) = set.join_next().await {
        ended?.with_context(|| format!("a {what} failed"))?;
    }
    Ok(())
}
