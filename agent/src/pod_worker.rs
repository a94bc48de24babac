//! One task a pod uid: it feeds what happens into the state machines of its containers and does what they say.
//!
//! The worker owns everything of its pod; others hold a [`Handle`]. It sees the latest spec only. It decides
//! nothing about restarts (`pod_worker/state.rs`) or order (`pod_worker/plan.rs`), and computes no status (`status.rs`).

use crate::{
    Shared, events,
    pod_worker::{
        launch::Failure,
        plan::{Action, Goal, Role},
        state::Input,
        unit::Unit,
    },
    probe,
    status::{self, Observed},
    volume::size,
};
use coracle_link::{pod::Pod, status::PodStatus};
use coracle_runtime::Exit;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::task::task_tracker::TaskTrackerToken;

mod containers;
mod launch;
pub(crate) mod plan;
pub(crate) mod state;
mod unit;

use launch::Launched;

/// Messages of a pod's own tasks; a full queue makes them wait.
const MESSAGES_MAX: usize = 64;
/// The pod ran longer than it may.
const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
/// The pod took more of the node than it may.
const EVICTED: &str = "Evicted";
/// A decade is for ever.
const WAIT_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// For a pod that is evicted, as upstream's immediate eviction.
const EVICTION_GRACE: Duration = Duration::from_secs(1);
/// How long pods may take to stop with the agent itself, whatever their own grace period.
pub(crate) const AGENT_STOP_GRACE: Duration = Duration::from_secs(5);

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

    /// The last thing it was told.
    pub(crate) fn is_told_gone(&self) -> bool {
        matches!(*self.desired.borrow(), Desired::Gone)
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
    /// The volumes were looked at.
    Measured { excess: Option<size::Excess> },
}

struct Worker {
    shared: Arc<Shared>,
    /// The agent's last words wait for all workers.
    _alive: TaskTrackerToken,
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
    /// When the volumes are looked at next.
    measure: Option<Instant>,
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
            let reasons = [DEADLINE_EXCEEDED, EVICTED];
            let reason = reasons.into_iter().find(|known| *known == status.reason)?;
            Some((reason, status.message.clone()))
        });
        let measure = size::is_limited(&pod).then(|| Instant::now() + size::PERIOD);
        let mut worker = Self {
            _alive: shared.workers.token(),
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
            measure,
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
        let (mut gone, mut is_told, mut ends_with_agent) = (false, true, false);
        loop {
            self.advance();
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
                Some(message) = self.messages.recv() => self.take(message),
                changed = desired.changed(), if !gone && is_told => match changed {
                    Ok(()) => {
                        let now = desired.borrow_and_update().clone();
                        gone = self.follow(now).await;
                    }
                    // The sync loop has ended: the agent stops.
                    Err(_closed) => is_told = false,
                },
                () = stop.cancelled(), if !ends_with_agent => {
                    ends_with_agent = true;
                    let grace = Duration::from_secs(self.pod.grace_period_secs);
                    self.halt_within(grace.min(AGENT_STOP_GRACE));
                }
                () = sleep_until(due) => {
                    self.tick();
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
                self.input(index, Input::Changed { deadline });
            }
        }
        let (volumes, pod) = (self.shared.volumes.clone(), Arc::clone(&self.pod));
        if self.halt.is_none()
            && !pod.volumes.is_empty()
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
            after(Duration::from_secs(limit).saturating_sub(ran))
        });
    }

    fn grace_deadline(&self) -> Instant {
        after(Duration::from_secs(self.pod.grace_period_secs))
    }

    /// A later call never gives more time than an earlier one.
    fn halt_within(&mut self, grace: Duration) {
        let deadline = after(grace);
        self.halt = Some(self.halt.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    fn is_stopped(&self) -> bool {
        plan::is_stopped(&self.views())
    }

    fn views(&self) -> Vec<plan::View> {
        self.units.iter().map(Unit::view).collect()
    }

    /// Gives every container whose turn it is its turn, until nothing more follows.
    fn advance(&mut self) {
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
                self.input(index, input);
                moved |= before != self.units[index].state;
            }
            if !moved {
                return;
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if self.active_deadline.is_some_and(|deadline| now >= deadline) && self.failed.is_none() {
            self.active_deadline = None;
            let text = "Pod was active on the node longer than the specified deadline".to_owned();
            self.shared
                .events
                .pod(&self.pod, None, false, DEADLINE_EXCEEDED, text.clone());
            self.failed = Some((DEADLINE_EXCEEDED, text));
            self.halt_within(Duration::from_secs(self.pod.grace_period_secs));
        }
        if self.measure.is_some_and(|due| now >= due) {
            self.measure();
        }
        for index in 0..self.units.len() {
            if let Some(text) = self.units[index].turn_to_back_off(now) {
                self.event(index, false, "BackOff", text.clone());
                self.event(index, true, "Failed", "Error: ImagePullBackOff".to_owned());
            }
            self.input(index, Input::Tick);
        }
    }

    /// Looks at the volumes; the answer comes as a message.
    fn measure(&mut self) {
        self.measure = None;
        let (shared, pod) = (Arc::clone(&self.shared), Arc::clone(&self.pod));
        let sender = self.sender.clone();
        let task = async move {
            let measuring = tokio::task::spawn_blocking(move || shared.volumes.excess(&pod));
            let excess = measuring.await.unwrap_or_default();
            let _worker_ended = sender.send(Message::Measured { excess }).await;
        };
        let ignore = coracle_daemon::OnExit::Ignore;
        self.shared.tasks.spawn("volume size", ignore, task);
    }

    fn measured(&mut self, excess: Option<size::Excess>) {
        let Some(excess) = excess else {
            self.measure = Some(Instant::now() + size::PERIOD);
            return;
        };
        if self.failed.is_some() || self.halt.is_some() {
            return;
        }
        let text = excess.message();
        let events = &self.shared.events;
        events.pod(&self.pod, None, true, EVICTED, text.clone());
        self.failed = Some((EVICTED, text));
        self.halt_within(EVICTION_GRACE);
    }

    fn due(&self) -> Option<Instant> {
        let units = self
            .units
            .iter()
            .flat_map(|unit| [unit.state.due(), unit.back_off_shown]);
        let active = self
            .active_deadline
            .filter(|_| self.failed.is_none() && self.halt.is_none());
        let measure = self.measure.filter(|_| self.halt.is_none());
        units.chain([active, measure]).flatten().min()
    }

    /// Sends the status if it says anything new.
    fn publish(&mut self) {
        // A pod that ends only because the agent does is not over; it continues after the next start.
        if self.shared.tasks.stop().is_cancelled() && self.pod.deletion_grace_secs.is_none() {
            return;
        }
        let main = |unit: &Unit| unit.role == Role::Main;
        let init = self.units.iter().position(main).unwrap_or(self.units.len());
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
        if !self.released {
            self.shared.checkpoint.status(&status);
        }
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

/// `wait` from now. Any number may come over the link; what is further away than a machine lives is never.
fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(WAIT_MAX)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
