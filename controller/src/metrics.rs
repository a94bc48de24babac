//! What the controller counts, in Prometheus' text form: the one file that declares metrics.
//!
//! No label has a value that a client can choose freely.

use crate::{controllers::Controllers, scheduler};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Upper bounds of the latency buckets, seconds.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// The counters. A clone counts into the same ones.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requests: Mutex<BTreeMap<Request, u64>>,
    latency: Mutex<BTreeMap<&'static str, Histogram>>,
    in_flight: AtomicI64,
    watchers: AtomicI64,
    too_old: AtomicU64,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    controllers: OnceLock<Controllers>,
    scheduler: OnceLock<scheduler::Stats>,
}

/// What requests are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `get`, `list`, ...
    pub verb: &'static str,
    /// Plural of a known kind with its subresource, or empty.
    pub resource: String,
    /// HTTP status.
    pub code: u16,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum_secs: f64,
}

/// Holds a gauge up by one while it lives.
#[derive(Debug)]
pub struct Held(Arc<Inner>, fn(&Inner) -> &AtomicI64);

impl Drop for Held {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts one answered request. Long-running ones have no duration.
    pub fn request(&self, request: Request, took: Option<Duration>) {
        if let Some(took) = took {
            let secs = took.as_secs_f64();
            let mut latency = self.0.latency.lock();
            let histogram = latency.entry(request.verb).or_default();
            histogram.count += 1;
            histogram.sum_secs += secs;
            for (bucket, bound) in histogram.buckets.iter_mut().zip(BUCKETS) {
                *bucket += u64::from(secs <= bound);
            }
        }
        *self.0.requests.lock().entry(request).or_default() += 1;
    }

    /// A request is being answered while the result lives.
    #[must_use]
    pub fn in_flight(&self) -> Held {
        self.hold(|inner| &inner.in_flight)
    }

    /// A watch is open while the result lives.
    #[must_use]
    pub fn watcher(&self) -> Held {
        self.hold(|inner| &inner.watchers)
    }

    /// Watches that are open now.
    #[must_use]
    pub fn open_watches(&self) -> u32 {
        u32::try_from(self.0.watchers.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn hold(&self, gauge: fn(&Inner) -> &AtomicI64) -> Held {
        gauge(&self.0).fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(&self.0), gauge)
    }

    /// A watch ended because its position had left the change log.
    pub fn watch_too_old(&self) {
        self.0.too_old.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was turned away because there were too many of something.
    pub fn rejected(&self, of: &'static str) {
        *self.0.rejected.lock().entry(of).or_default() += 1;
    }

    /// From now on, shows also what the scheduler counts.
    pub fn show_scheduler(&self, stats: scheduler::Stats) {
        let _already_shown = self.0.scheduler.set(stats);
    }

    /// From now on, shows also how these controllers are doing.
    pub fn show_controllers(&self, controllers: Controllers) {
        let _already_shown = self.0.controllers.set(controllers);
    }

    /// Writes everything this struct holds.
    pub fn write(&self, text: &mut Text) {
        text.family(
            "apiserver_request_total",
            "counter",
            "API requests answered.",
        );
        for (request, count) in self.0.requests.lock().iter() {
            let code = request.code.to_string();
            let labels = [
                ("verb", request.verb),
                ("resource", request.resource.as_str()),
                ("code", &code),
            ];
            text.sample("apiserver_request_total", &labels, *count);
        }
        self.write_latency(text);
        let load = |gauge: &AtomicI64| u64::try_from(gauge.load(Ordering::Relaxed)).unwrap_or(0);
        text.one(
            "apiserver_current_inflight_requests",
            "gauge",
            "API requests being answered, watches and other streams not counted.",
            load(&self.0.in_flight),
        );
        text.one(
            "apiserver_registered_watchers",
            "gauge",
            "Open watches.",
            load(&self.0.watchers),
        );
        text.one(
            "coracle_watch_too_old_total",
            "counter",
            "Watches ended because the client was too slow or came back too late.",
            self.0.too_old.load(Ordering::Relaxed),
        );
        const REJECTED: &str = "coracle_requests_rejected_total";
        text.family(
            REJECTED,
            "counter",
            "Requests answered with 429, by what there was too much of.",
        );
        for (of, count) in self.0.rejected.lock().iter() {
            text.sample(REJECTED, &[("too_many", of)], *count);
        }
        if let Some(stats) = self.0.scheduler.get() {
            write_scheduler(stats, text);
        }
        if let Some(controllers) = self.0.controllers.get() {
            write_controllers(controllers, text);
        }
    }

    fn write_latency(&self, text: &mut Text) {
        const NAME: &str = "apiserver_request_duration_seconds";
        text.family(NAME, "histogram", "Time to answer, streams not counted.");
        for (verb, histogram) in self.0.latency.lock().iter() {
            let bucket = format!("{NAME}_bucket");
            for (count, bound) in histogram.buckets.iter().zip(BUCKETS) {
                text.sample(
                    &bucket,
                    &[("verb", verb), ("le", &bound.to_string())],
                    *count,
                );
            }
            text.sample(&bucket, &[("verb", verb), ("le", "+Inf")], histogram.count);
            text.sample(
                &format!("{NAME}_sum"),
                &[("verb", verb)],
                histogram.sum_secs,
            );
            text.sample(&format!("{NAME}_count"), &[("verb", verb)], histogram.count);
        }
    }
}

/// Names as upstream's scheduler has them.
fn write_scheduler(stats: &scheduler::Stats, text: &mut Text) {
    const PENDING: &str = "scheduler_pending_pods";
    const ATTEMPTS: &str = "scheduler_schedule_attempts_total";
    text.family(PENDING, "gauge", "Pods without a node, by queue.");
    for (queue, count) in stats.pending_pods() {
        text.sample(PENDING, &[("queue", queue)], count);
    }
    text.family(ATTEMPTS, "counter", "Attempts to find a pod a node.");
    for (result, count) in stats.attempts() {
        text.sample(ATTEMPTS, &[("result", result)], count);
    }
}

fn write_controllers(controllers: &Controllers, text: &mut Text) {
    const RUNS: &str = "coracle_controller_runs_total";
    const PANICS: &str = "coracle_controller_panics_total";
    let all = controllers.status();
    text.family(
        "workqueue_depth",
        "gauge",
        "Keys that wait for a controller.",
    );
    for (name, status) in &all {
        text.sample("workqueue_depth", &[("name", name)], status.waiting);
    }
    text.family(RUNS, "counter", "Runs of a controller that ended.");
    for (name, status) in &all {
        let well = status.runs.saturating_sub(status.failures);
        for (result, count) in [("success", well), ("error", status.failures)] {
            let labels = [("controller", *name), ("result", result)];
            text.sample(RUNS, &labels, count);
        }
    }
    text.family(PANICS, "counter", "Runs of a controller that panicked.");
    for (name, status) in &all {
        text.sample(PANICS, &[("controller", name)], status.panics);
    }
}

/// Prometheus' text exposition format, being written.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Starts a family.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _infallible = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Writes a sample of the family started last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _infallible = write!(self.0, "{label}=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _infallible = writeln!(self.0, " {value}");
    }

    /// A family of one sample without labels.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_with_escaped_labels() {
        let metrics = Metrics::default();
        let request = Request {
            verb: "get",
            resource: "pods".to_owned(),
            code: 200,
        };
        metrics.request(request.clone(), Some(Duration::from_millis(3)));
        metrics.request(request, None);
        let held = metrics.watcher();
        let mut text = Text::default();
        metrics.write(&mut text);
        text.sample("x", &[("a", "q\"\\\n")], 1);
        let text = text.finish();
        for line in [
            "apiserver_request_total{verb=\"get\",resource=\"pods\",code=\"200\"} 2",
            "apiserver_request_duration_seconds_bucket{verb=\"get\",le=\"0.0025\"} 0",
            "apiserver_request_duration_seconds_bucket{verb=\"get\",le=\"0.005\"} 1",
            "apiserver_registered_watchers 1",
            "x{a=\"q\\\"\\\\\\n\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        drop(held);
    }
}
