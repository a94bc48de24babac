//! CPU: a limit is a rate, and a guest that loops takes nothing from one that serves.
//!
//! The short forms run always, with bounds that a busy machine keeps; the soaks (`--run-ignored`)
//! have the bounds we promise.

use crate::harness::{Guest, get, load, runtime};
use coracle_runtime::{Runtime, Sandbox};
use std::{ops::RangeInclusive, time::Duration};
use tokio::time::Instant;

async fn millis_of_a_loop(seconds: u64) -> f64 {
    let runtime = runtime();
    let module = load(&runtime, "misbehave");
    let guest = Guest::new(&["loop"]).limits(Some(200), Some(32));
    let sandbox = guest.start(&runtime, &module).await;
    guest.output.wrote("Loop").await;
    let (begin, before) = (Instant::now(), sandbox.usage().cpu_nanos);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = sandbox.usage().cpu_nanos - before;
    used as f64 / begin.elapsed().as_nanos() as f64 * 1000.0
}

async fn check_rate(seconds: u64, bounds: RangeInclusive<f64>) {
    let millis = millis_of_a_loop(seconds).await;
    assert!(bounds.contains(&millis), "{millis:.0} m of 200 m");
}

#[tokio::test]
async fn a_limit_of_200m_is_kept() {
    check_rate(3, 150.0..=230.0).await;
}

#[tokio::test]
#[ignore = "a soak of 10 s, for a quiet machine"]
async fn a_limit_of_200m_is_kept_over_10_s() {
    check_rate(10, 170.0..=230.0).await;
}

/// The p99 of requests at a fixed rate; every one must succeed.
async fn p99(sandbox: &Sandbox, requests: u32, per_second: u32) -> Duration {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let mut took = Vec::new();
    for _ in 0..requests {
        ticks.tick().await;
        let begin = Instant::now();
        let (status, body) = get(sandbox, "/").await;
        assert_eq!(status, 200, "{body}");
        took.push(begin.elapsed());
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

async fn hello(runtime: &Runtime) -> Sandbox {
    let module = load(runtime, "hello-http");
    let guest = Guest::new(&[]).limits(None, Some(32));
    guest.start(runtime, &module).await
}

/// The p99 alone, then beside a loop in a command and one in a request.
async fn beside_loops(limit: Option<u32>, requests: u32, rate: u32) -> (Duration, Duration) {
    let runtime = runtime();
    let server = hello(&runtime).await;
    let command = load(&runtime, "misbehave");
    let handler = load(&runtime, "misbehave-http");
    p99(&server, 100, rate).await;
    let alone = p99(&server, requests, rate).await;

    let looping = Guest::new(&["loop"]).limits(limit, Some(32));
    let looping = looping.start(&runtime, &command).await;
    let handler = Guest::new(&[])
        .limits(limit, Some(32))
        .start(&runtime, &handler)
        .await;
    let measured = async {
        p99(&server, 100, rate).await;
        p99(&server, requests, rate).await
    };
    let beside = tokio::select! {
        beside = measured => beside,
        answer = get(&handler, "/loop") => panic!("the loop ended: {answer:?}"),
    };
    assert!(looping.usage().cpu_nanos > 0 && handler.usage().cpu_nanos > 0);
    (alone, beside)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loops_without_a_limit_fail_no_request() {
    let (alone, beside) = beside_loops(None, 500, 500).await;
    let bound = Duration::from_millis(150).max(alone * 4);
    assert!(
        beside < bound,
        "p99 {alone:?} alone, {beside:?} beside loops"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a soak with tight bounds, for a quiet machine"]
async fn loops_leave_the_p99_of_a_server_alone() {
    let (alone, beside) = beside_loops(Some(200), 10_000, 1000).await;
    let bound = alone * 2 + Duration::from_millis(1);
    assert!(
        beside <= bound,
        "p99 {alone:?} alone, {beside:?} beside limited loops"
    );

    let (alone, beside) = beside_loops(None, 10_000, 1000).await;
    let bound = Duration::from_millis(50);
    assert!(
        beside <= bound,
        "p99 {alone:?} alone, {beside:?} beside loops"
    );
}
