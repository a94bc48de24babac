//! The guarantees of the loop, on a cache alone and a paused clock.

use super::*;
use crate::object::Object;
use coracle_api::{Key, kind};
use rand::SeedableRng as _;
use serde_json::json;
use std::collections::BTreeMap;
use tokio::sync::watch;

/// What the test sees of the runs, and what it tells them.
#[derive(Debug, Default)]
struct Seen {
    /// Runs that ended, by key.
    ended: BTreeMap<String, u32>,
    under_way: BTreeMap<String, u32>,
    overlapped: bool,
}

struct Probe {
    seen: watch::Sender<Seen>,
    takes: Duration,
    answer: fn(&Key, u32) -> Result<Next, StatusError>,
}

impl Reconciler for Probe {
    const NAME: &'static str = "probe";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::POD]
    }

    fn keys(&self, change: &Change) -> Vec<Key> {
        vec![change.object.key.clone()]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let name = key.name.clone();
        self.seen.send_modify(|seen| {
            let under_way = seen.under_way.entry(name.clone()).or_default();
            *under_way += 1;
            seen.overlapped |= *under_way > 1;
        });
        tokio::time::sleep(self.takes).await;
        let mut runs = 0;
        self.seen.send_modify(|seen| {
            *seen.under_way.entry(name.clone()).or_default() -= 1;
            let ended = seen.ended.entry(name.clone()).or_default();
            *ended += 1;
            runs = *ended;
        });
        (self.answer)(key, runs)
    }
}

struct Bench {
    cache: Cache,
    tasks: Tasks,
    seen: watch::Receiver<Seen>,
    handle: Loop<Key>,
}

fn start_probe(
    takes: Duration,
    there: &[&str],
    answer: fn(&Key, u32) -> Result<Next, StatusError>,
) -> Bench {
    let objects = there.iter().map(|name| pod(1, name)).collect();
    let cache = Cache::new(objects, Revision(1));
    let tasks = Tasks::new();
    let (sender, seen) = watch::channel(Seen::default());
    let probe = Probe {
        seen: sender,
        takes,
        answer,
    };
    let handle = start(probe, &cache, &tasks, StdRng::seed_from_u64(1));
    Bench {
        cache,
        tasks,
        seen,
        handle,
    }
}

fn pod(revision: u64, name: &str) -> Object {
    let value = json!({"metadata": {"name": name, "namespace": "n"}});
    Object::new(kind::POD, Revision(revision), value).unwrap()
}

impl Bench {
    fn change(&self, revision: u64, name: &str) {
        let object = Arc::new(pod(revision, name));
        self.cache
            .commit(vec![Change::new(object, None, ChangeKind::Modified)]);
    }

    async fn ended(&mut self, name: &str, runs: u32) {
        let reached = |seen: &Seen| seen.ended.get(name).is_some_and(|ended| *ended >= runs);
        let wait = self.seen.wait_for(reached);
        tokio::time::timeout(Duration::from_secs(3600), wait)
            .await
            .expect("it runs that often")
            .unwrap();
    }
}

fn well(_key: &Key, _runs: u32) -> Result<Next, StatusError> {
    Ok(Next::AwaitChange)
}

#[tokio::test(start_paused = true)]
async fn what_is_there_at_the_start_runs_and_what_is_woken() {
    let mut bench = start_probe(Duration::ZERO, &["a", "b"], well);
    bench.ended("a", 1).await;
    bench.ended("b", 1).await;
    bench.handle.wake(Key::new("n", "c"));
    bench.ended("c", 1).await;
    assert!(bench.tasks.shut_down(Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn never_two_runs_of_one_key_at_once() {
    let mut bench = start_probe(Duration::from_secs(1), &["a"], well);
    for revision in 2..12 {
        bench.change(revision, "a");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    bench.ended("a", 4).await;
    let runs = bench.seen.borrow().ended["a"];
    assert!(!bench.seen.borrow().overlapped && runs <= 5, "{runs} runs");
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_run_alone() {
    let mut bench = start_probe(Duration::ZERO, &["bad", "good"], |key, runs| {
        assert!(key.name == "good" || runs > 3, "on purpose");
        Ok(Next::AwaitChange)
    });
    bench.ended("bad", 4).await;
    bench.ended("good", 1).await;
    bench.change(2, "good");
    bench.ended("good", 2).await;
    let status = bench.handle.status();
    assert_eq!((status.panics, status.failures), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_period_brings_it_back() {
    let mut bench = start_probe(Duration::ZERO, &["a"], |_key, _runs| {
        Ok(Next::After(Duration::from_secs(10)))
    });
    let started = Instant::now();
    bench.ended("a", 4).await;
    assert_eq!(started.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn who_fell_behind_lists_again() {
    let mut bench = start_probe(Duration::ZERO, &["a"], well);
    bench.ended("a", 1).await;
    // More than the window holds, in one go: no task runs in between.
    for revision in 2..6000 {
        bench.change(revision, "b");
    }
    bench.ended("a", 2).await;
    bench.ended("b", 1).await;
    assert_eq!(bench.handle.status().relists, 1);
}
