//! One task a pod uid: it feeds what happens into the state machines of its containers and does what they say.
//!
//! The worker owns everything of its pod; others hold a [`Handle`]. It sees the latest spec only. It decides
//! nothing about restarts (`pod_worker/state.rs`) or order (`pod_worker/plan.rs`), and computes no status (`status.rs`).

use crate::{
    Shared, events,
    pod_worker::{
        launch::{Failure, Request},
        plan::{Action, Goal, Role},
        state::{Effect, Input, State},
        unit::Unit,
    },
    probe,
    status::{self, Observed},
};
use coracle_link::{pod::Pod, status::PodStatus};
use coracle_runtime::Exit;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

mod launch;
pub(crate) mod plan;
pub(crate) mod state;
mod unit;

use launch::Launched;

/// Messages of a pod's own tasks; a full queue makes them wait.
const MESSAGES_MAX: usize = 64;
/// How long pods may take to stop with the agent itself, whatever their own grace period.
pub(crate) const AGENT_STOP_GRACE: Duration = Duration::from_secs(20);
/// `ErrImagePull` is shown this long before it turns into `ImagePullBackOff`.
const PULL_ERROR_SHOWN: Duration = Duration::from_secs(2);

/// What a worker is told.
#[derive(Debug, Clone)]
pub(crate) enum Desired {
    /// This spec is to run (or, with a deletion grace, to end).
    Spec(Arc<Pod>),
    /// The pod is no longer in the pod set: stop and forget it.
    Gone,
}

/// The sync loop's hold on a worker. Dropping it makes the worker end without touching the pod's files.
#[derive(Debug)]
pub(crate) struct Handle {
    desired: watch::Sender<Desired>,
}

impl Handle {
    /// The latest wins.
    pub(crate) fn tell(&self, desired: Desired) {
        self.desired.send_replace(desired);
    }

    /// The worker has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.desired.is_closed()
    }
}

/// Starts the worker of a pod. `restored` is what was known of it before the agent was restarted.
pub(crate) fn spawn(shared: &Arc<Shared>, pod: Arc<Pod>, restored: Option<PodStatus>) -> Handle {
    let (desired, receiver) = watch::channel(Desired::Spec(Arc::clone(&pod)));
    let worker = Worker::new(Arc::clone(shared), pod, restored);
    let task = Box::pin(worker.run(receiver));
    shared
        .tasks
        .spawn("pod worker", coracle_daemon::OnExit::Ignore, task);
    Handle { desired }
}

/// What a pod's own tasks say. `attempt` tells a late message of an earlier run from a current one.
#[derive(Debug)]
enum Message {
    Launched {
        unit: usize,
        attempt: u64,
        result: Result<Launched, Failure>,
    },
    Exited {
        unit: usize,
        attempt: u64,
        exit: Exit,
    },
    Probed {
        unit: usize,
        attempt: u64,
        kind: probe::Kind,
        verdict: Option<bool>,
        failure: Option<String>,
    },
}

struct Worker {
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    units: Vec<Unit>,
    sender: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
    attempts: u64,
    status: Option<PodStatus>,
    pod_ip: String,
    start_time_ms: i64,
    /// Why the pod has to end before its containers do.
    failed: Option<(&'static str, String)>,
    /// `activeDeadlineSeconds`, from the start.
    active_deadline: Option<Instant>,
    /// Set once everything has to stop: when the grace period is over.
    halt: Option<Instant>,
    released: bool,
}

impl Worker {
    fn new(shared: Arc<Shared>, pod: Arc<Pod>, restored: Option<PodStatus>) -> Self {
        let now_ms = shared.clock.unix_millis();
        let address = restored
            .as_ref()
            .and_then(|status| status.pod_ip.parse().ok());
        let pod_ip = shared.network.add_pod(&pod, address);
        let start_time_ms = restored
            .as_ref()
            .map_or(now_ms, |status| status.start_time_ms);
        let units = unit::units(&pod, restored.as_ref(), now_ms);
        let (sender, messages) = mpsc::channel(MESSAGES_MAX);
        let failed = restored.as_ref().and_then(|status| {
            (status.reason == "DeadlineExceeded")
                .then(|| ("DeadlineExceeded", status.message.clone()))
        });
        let mut worker = Self {
            shared,
            pod,
            units,
            sender,
            messages,
            attempts: 0,
            status: restored,
            pod_ip,
            start_time_ms,
            failed,
            active_deadline: None,
            halt: None,
            released: false,
        };
        worker.set_active_deadline();
        if worker.failed.is_some() {
            worker.halt_within(Duration::ZERO);
        }
        worker
    }

    async fn run(mut self, mut desired: watch::Receiver<Desired>) {
        let stop = self.shared.tasks.stop().clone();
        let (mut gone, mut is_told) = (false, true);
        loop {
            self.advance().await;
            if self.is_stopped() && (gone || self.pod.deletion_grace_secs.is_some()) {
                self.release(gone).await;
                return;
            }
            self.publish();
            if stop.is_cancelled() && self.is_stopped() {
                return;
            }
            let due = self.due();
            tokio::select! {
                biased;
                Some(message) = self.messages.recv() => self.take(message).await,
                changed = desired.changed(), if !gone && is_told => match changed {
                    Ok(()) => {
                        let now = desired.borrow_and_update().clone();
                        gone = self.follow(now).await;
                    }
                    // The sync loop has ended: the agent stops.
                    Err(_closed) => is_told = false,
                },
                () = stop.cancelled(), if self.halt.is_none() => {
                    let grace = Duration::from_secs(self.pod.grace_period_secs);
                    self.halt_within(grace.min(AGENT_STOP_GRACE));
                }
                () = sleep_until(due) => {
                    self.tick().await;
                }
            }
        }
    }

    /// Takes a new desired state. True when the pod is to be forgotten.
    async fn follow(&mut self, desired: Desired) -> bool {
        let pod = match desired {
            Desired::Gone => {
                self.halt_within(Duration::from_secs(self.pod.grace_period_secs));
                return true;
            }
            Desired::Spec(pod) => pod,
        };
        self.pod = pod;
        if let Some(grace) = self.pod.deletion_grace_secs {
            self.halt_within(Duration::from_secs(grace));
        }
        self.set_active_deadline();
        let deadline = self.grace_deadline();
        for index in 0..self.units.len() {
            let change = self.units[index].follow(&self.pod, index);
            if change.is_definition && self.halt.is_none() {
                let spec = &self.units[index].spec;
                let text = format!(
                    "Container {} definition changed, will be restarted",
                    spec.name
                );
                if self.units[index].is_running() {
                    self.event(index, false, "Killing", text);
                }
                self.input(index, Input::Changed { deadline }).await;
            }
        }
        let (volumes, pod) = (self.shared.volumes.clone(), Arc::clone(&self.pod));
        if self.halt.is_none()
            && let Ok(Err(error)) = tokio::task::spawn_blocking(move || volumes.sync(&pod)).await
        {
            self.shared
                .events
                .pod(&self.pod, None, true, "FailedMount", events::chain(&error));
        }
        false
    }

    fn set_active_deadline(&mut self) {
        self.active_deadline = self.pod.active_deadline_secs.map(|limit| {
            let ran_ms = self
                .shared
                .clock
                .unix_millis()
                .saturating_sub(self.start_time_ms);
            let ran = Duration::from_millis(u64::try_from(ran_ms).unwrap_or(0));
            Instant::now() + Duration::from_secs(limit).saturating_sub(ran)
        });
    }

    fn grace_deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.pod.grace_period_secs)
    }

    /// A later call never gives more time than an earlier one.
    fn halt_within(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.halt = Some(self.halt.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    fn is_stopped(&self) -> bool {
        plan::is_stopped(&self.views())
    }

    fn views(&self) -> Vec<plan::View> {
        self.units.iter().map(Unit::view).collect()
    }

    /// Gives every container whose turn it is its turn, until nothing more follows.
    async fn advance(&mut self) {
        let goal = if self.halt.is_some() {
            Goal::Halt
        } else {
            Goal::Run
        };
        let deadline = self.halt.unwrap_or_else(|| self.grace_deadline());
        // Bounded: every action moves a container on, and none moves back.
        for _round in 0..=2 * self.units.len() {
            let mut moved = false;
            for action in plan::plan(&self.views(), goal) {
                let (index, input) = match action {
                    Action::Turn(index) => (index, Input::Turn),
                    Action::Halt(index) => (index, Input::Halt { deadline }),
                };
                let before = self.units[index].state;
                self.input(index, input).await;
                moved |= before != self.units[index].state;
            }
            if !moved {
                return;
            }
        }
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        if self.active_deadline.is_some_and(|deadline| now >= deadline) && self.failed.is_none() {
            self.active_deadline = None;
            let text = "Pod was active on the node longer than the specified deadline".to_owned();
            self.shared
                .events
                .pod(&self.pod, None, false, "DeadlineExceeded", text.clone());
            self.failed = Some(("DeadlineExceeded", text));
            self.halt_within(Duration::from_secs(self.pod.grace_period_secs));
        }
        for index in 0..self.units.len() {
            if let Some(text) = self.units[index].turn_to_back_off(now) {
                self.event(index, false, "BackOff", text.clone());
                self.event(index, true, "Failed", "Error: ImagePullBackOff".to_owned());
            }
            self.input(index, Input::Tick).await;
        }
    }

    fn due(&self) -> Option<Instant> {
        let units = self
            .units
            .iter()
            .flat_map(|unit| [unit.state.due(), unit.back_off_shown]);
        let active = self
            .active_deadline
            .filter(|_| self.failed.is_none() && self.halt.is_none());
        units.chain([active]).flatten().min()
    }

    /// One step of a container's state machine, and its effect.
    async fn input(&mut self, index: usize, input: Input) {
        let now = Instant::now();
        let unit = &mut self.units[index];
        let (state, effect) = unit.state.step(input, &mut unit.history, now);
        let entered = unit.state != state;
        unit.state = state;
        match effect {
            Effect::Nothing => {}
            Effect::Launch => self.launch(index),
            Effect::Abandon => self.units[index].abandon(),
            Effect::Stop => self.stop(index, input),
            Effect::Kill => self.units[index].kill(),
        }
        if entered && let State::Waiting { until } = state {
            self.show_crash_loop(index, until.duration_since(now));
        }
    }

    fn show_crash_loop(&mut self, index: usize, wait: Duration) {
        let name = self.units[index].spec.name.clone();
        let Pod {
            name: pod,
            namespace,
            uid,
            ..
        } = self.pod.as_ref();
        let whole = format!("{pod}_{namespace}({uid})");
        let message = format!(
            "back-off {} restarting failed container={name} pod={whole}",
            go_duration(wait)
        );
        self.event(
            index,
            true,
            "BackOff",
            format!("Back-off restarting failed container {name} in pod {whole}"),
        );
        self.units[index].crash_loop = message;
    }

    fn stop(&mut self, index: usize, input: Input) {
        if matches!(input, Input::Halt { .. }) {
            let text = format!("Stopping container {}", self.units[index].spec.name);
            self.event(index, false, "Killing", text);
        }
        self.units[index].stop();
        let unit = &self.units[index];
        self.shared.network.close(&self.pod.uid, &unit.spec.name);
    }

    fn launch(&mut self, index: usize) {
        self.attempts += 1;
        let attempt = self.attempts;
        let unit = &mut self.units[index];
        let cancel = unit.begin(attempt);
        let request = Request {
            pod: Arc::clone(&self.pod),
            spec: unit.spec.clone(),
            run: unit.next_run(),
            pod_ip: self.pod_ip.clone(),
        };
        let (shared, sender) = (Arc::clone(&self.shared), self.sender.clone());
        let task = async move {
            let making = Box::pin(launch::launch(&shared, request));
            let result = tokio::select! {
                result = making => result,
                () = cancel.cancelled() => return,
            };
            let _worker_ended = sender
                .send(Message::Launched {
                    unit: index,
                    attempt,
                    result,
                })
                .await;
        };
        self.shared
            .tasks
            .spawn("container start", coracle_daemon::OnExit::Ignore, task);
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Launched {
                unit,
                attempt,
                result,
            } => {
                if self.units[unit].attempt != attempt || self.units[unit].state != State::Starting
                {
                    if let Ok(launched) = result {
                        launched.sandbox.kill();
                    }
                    return;
                }
                match result {
                    Ok(launched) => self.started(unit, attempt, launched).await,
                    Err(failure) => self.failed_to_start(unit, failure).await,
                }
            }
            Message::Exited {
                unit,
                attempt,
                exit,
            } if self.units[unit].attempt == attempt => {
                let now_ms = self.shared.clock.unix_millis();
                self.shared
                    .network
                    .close(&self.pod.uid, &self.units[unit].spec.name);
                let success = self.units[unit].ended(exit, now_ms);
                tracing::info!(
                    namespace = %self.pod.namespace, name = %self.pod.name, uid = %self.pod.uid,
                    container = %self.units[unit].spec.name, reason = %self.units[unit].last_reason(),
                    restarts = self.units[unit].restart_count, "container ended"
                );
                self.input(unit, Input::Exited { success }).await;
            }
            Message::Probed {
                unit,
                attempt,
                kind,
                verdict,
                failure,
            } if self.units[unit].attempt == attempt => {
                self.probed(unit, kind, verdict, failure).await;
            }
            Message::Exited { .. } | Message::Probed { .. } => {}
        }
    }

    async fn started(&mut self, index: usize, attempt: u64, launched: Launched) {
        let id = format!(
            "coracle://{}-{}-{attempt}",
            self.pod.uid, self.units[index].spec.name
        );
        let exited = launched.sandbox.exited();
        self.units[index].started(launched, id, self.shared.clock.unix_millis());
        tracing::info!(
            namespace = %self.pod.namespace, name = %self.pod.name, uid = %self.pod.uid,
            container = %self.units[index].spec.name, restarts = self.units[index].restart_count,
            "container started"
        );
        self.event(index, false, "Created", "Container created".to_owned());
        self.event(index, false, "Started", "Container started".to_owned());
        let (sender, log) = (self.sender.clone(), self.units[index].log());
        let watch = async move {
            let exit = exited.await;
            if let Some(log) = log {
                log.flush();
            }
            let _worker_ended = sender
                .send(Message::Exited {
                    unit: index,
                    attempt,
                    exit,
                })
                .await;
        };
        self.shared
            .tasks
            .spawn("container exit", coracle_daemon::OnExit::Ignore, watch);
        self.input(index, Input::Started).await;
        match self.units[index].spec.startup.is_some() {
            true => self.watch_probe(index, probe::Kind::Startup),
            false => self.watch_life(index),
        }
    }

    /// Readiness and liveness begin when the startup probe has passed.
    fn watch_life(&self, index: usize) {
        self.watch_probe(index, probe::Kind::Readiness);
        self.watch_probe(index, probe::Kind::Liveness);
    }

    fn watch_probe(&self, index: usize, kind: probe::Kind) {
        let unit = &self.units[index];
        let (Some(probe), Some(cancel)) = (unit.probe(kind), unit.probes()) else {
            return;
        };
        let connect = self.shared.network.connect_to(&self.pod.uid);
        let (sender, attempt, host) = (self.sender.clone(), unit.attempt, self.pod_ip.clone());
        let report = async move |verdict, failure| {
            let message = Message::Probed {
                unit: index,
                attempt,
                kind,
                verdict,
                failure,
            };
            sender.send(message).await.is_ok()
        };
        let task = async move {
            tokio::select! {
                () = Box::pin(probe::watch(probe, connect, host, report)) => {}
                () = cancel.cancelled() => {}
            }
        };
        self.shared
            .tasks
            .spawn("probe", coracle_daemon::OnExit::Ignore, task);
    }

    async fn probed(
        &mut self,
        index: usize,
        kind: probe::Kind,
        verdict: Option<bool>,
        failure: Option<String>,
    ) {
        if let Some(failure) = failure {
            self.event(
                index,
                true,
                "Unhealthy",
                format!("{} probe failed: {failure}", kind.title()),
            );
        }
        let Some(passed) = verdict else { return };
        match kind {
            probe::Kind::Readiness => self.units[index].ready = passed,
            probe::Kind::Startup if passed => {
                self.units[index].startup_passed();
                self.watch_life(index);
            }
            probe::Kind::Liveness if passed => {}
            probe::Kind::Startup | probe::Kind::Liveness => {
                let name = &self.units[index].spec.name;
                let what = kind.title().to_lowercase();
                let text = format!("Container {name} failed {what} probe, will be restarted");
                self.event(index, false, "Killing", text);
                let deadline = self.grace_deadline();
                self.input(index, Input::Unhealthy { deadline }).await;
            }
        }
    }

    async fn failed_to_start(&mut self, index: usize, failure: Failure) {
        if failure.reason == "ErrImagePull" {
            let image = &self.units[index].spec.image;
            let text = format!("Failed to pull image \"{image}\": {}", failure.message);
            self.event(index, true, "Failed", text);
            self.event(index, true, "Failed", "Error: ErrImagePull".to_owned());
            self.units[index].back_off_shown = Some(Instant::now() + PULL_ERROR_SHOWN);
        } else {
            self.event(index, true, "Failed", format!("Error: {}", failure.message));
        }
        self.units[index].failure = Some((failure.reason, failure.message));
        self.input(index, Input::Failed).await;
    }

    fn event(&self, index: usize, warning: bool, reason: &'static str, message: String) {
        let unit = &self.units[index];
        let kind = if unit.role == Role::Main {
            "containers"
        } else {
            "initContainers"
        };
        let path = format!("spec.{kind}{{{}}}", unit.spec.name);
        self.shared
            .events
            .pod(&self.pod, Some(path), warning, reason, message);
    }

    /// Sends the status if it says anything new.
    fn publish(&mut self) {
        // A pod that ends only because the agent does is not over; it continues after the next start.
        if self.shared.tasks.stop().is_cancelled() && self.pod.deletion_grace_secs.is_none() {
            return;
        }
        let init = self.pod.init_containers.len();
        let initialized = self.units[..init].iter().all(Unit::is_initialized);
        let shown = |units: &[Unit]| {
            units
                .iter()
                .map(|unit| unit.show(init > 0 && !initialized))
                .collect()
        };
        let observed = Observed {
            pod: &self.pod,
            pod_ip: self.pod_ip.clone(),
            start_time_ms: self.start_time_ms,
            init: shown(&self.units[..init]),
            main: shown(&self.units[init..]),
            stopped: self.is_stopped(),
            failed: self.failed.clone(),
            released: self.released,
        };
        let now_ms = self.shared.clock.unix_millis();
        let status = status::compute(observed, self.status.as_ref(), now_ms);
        if self.status.as_ref() == Some(&status) {
            return;
        }
        self.shared.checkpoint.status(&status);
        self.status = Some(status.clone());
        self.shared.statuses.report(status);
    }

    /// Everything has stopped: clean up, then say so.
    async fn release(&mut self, gone: bool) {
        let (uid, shared) = (self.pod.uid.clone(), Arc::clone(&self.shared));
        shared.network.remove_pod(&uid);
        shared.images.release(&uid);
        let clean = move || {
            shared.volumes.remove(&uid);
            shared.logs.remove(&uid);
            shared.checkpoint.forget(&uid);
        };
        if tokio::task::spawn_blocking(clean).await.is_err() {
            tracing::warn!(uid = %self.pod.uid, "cleaning up after a pod failed");
        }
        if gone {
            self.shared.statuses.forget(&self.pod.uid);
            return;
        }
        self.released = true;
        self.publish();
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// `10s`, `2m40s`, `5m0s`: as Go prints it.
fn go_duration(wait: Duration) -> String {
    let secs = wait.as_secs_f64().round();
    let (minutes, seconds) = ((secs / 60.0).floor(), secs % 60.0);
    if minutes > 0.0 {
        format!("{minutes}m{seconds}s")
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_printed_as_go_does() {
        let shown = [10, 20, 160, 300].map(|secs| go_duration(Duration::from_secs(secs)));
        assert_eq!(shown, ["10s", "20s", "2m40s", "5m0s"]);
    }
}
