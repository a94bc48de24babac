//! Computes a pod's status from what is observed of its containers, with upstream's phases, conditions and reasons.
//!
//! Pure: never reads a clock, never sends anything (see `status_manager`).

use coracle_link::{
    pod::{Container, Pod, RestartPolicy},
    status::{Condition, ContainerState, ContainerStatus, Phase, PodStatus, Terminated},
};

/// What a worker knows of its pod.
#[derive(Debug, Clone)]
pub(crate) struct Observed<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) pod_ip: String,
    pub(crate) start_time_ms: i64,
    pub(crate) init: Vec<ContainerStatus>,
    pub(crate) main: Vec<ContainerStatus>,
    /// Nothing of the pod runs any more, and nothing will.
    pub(crate) stopped: bool,
    /// Why the agent itself ended the pod: reason and message.
    pub(crate) failed: Option<(&'static str, String)>,
    pub(crate) released: bool,
}

/// The status of a container that has not run yet.
pub(crate) fn waiting(container: &Container, reason: &str) -> ContainerStatus {
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone(),
        image_id: String::new(),
        container_id: String::new(),
        ready: false,
        started: false,
        restart_count: 0,
        state: ContainerState::Waiting {
            reason: reason.to_owned(),
            message: String::new(),
        },
        last_state: None,
    }
}

/// The status of the pod. `previous` lends the transition times of conditions that did not change.
pub(crate) fn compute(seen: Observed<'_>, previous: Option<&PodStatus>, now_ms: i64) -> PodStatus {
    let phase = phase(&seen);
    let mut status = PodStatus {
        uid: seen.pod.uid.clone(),
        namespace: seen.pod.namespace.clone(),
        name: seen.pod.name.clone(),
        observed_revision: seen.pod.revision,
        phase,
        reason: String::new(),
        message: String::new(),
        pod_ip: seen.pod_ip.clone(),
        start_time_ms: seen.start_time_ms,
        conditions: conditions(&seen, phase),
        init_containers: Vec::new(),
        containers: Vec::new(),
        released: seen.released,
    };
    if let Some((reason, message)) = seen.failed {
        status.reason = reason.to_owned();
        status.message = message;
    }
    status.init_containers = seen.init;
    status.containers = seen.main;
    for condition in &mut status.conditions {
        let same = previous.and_then(|previous| {
            previous
                .conditions
                .iter()
                .find(|old| old.kind == condition.kind && old.status == condition.status)
        });
        condition.last_transition_ms = same.map_or(now_ms, |old| old.last_transition_ms);
    }
    status
}

#[derive(Default)]
struct Count {
    pending: u32,
    failed: u32,
    pending_sidecars: u32,
    waiting: u32,
    running: u32,
    stopped: u32,
    succeeded: u32,
}

impl Count {
    fn init(&mut self, status: &ContainerStatus) {
        match (&status.state, &status.last_state) {
            (ContainerState::Terminated(run), _) => self.failed += u32::from(run.exit_code != 0),
            (ContainerState::Waiting { .. }, Some(run)) => {
                self.failed += u32::from(run.exit_code != 0);
            }
            (ContainerState::Running { .. }, _) | (ContainerState::Waiting { .. }, None) => {
                self.pending += 1;
            }
        }
    }

    fn sidecar(&mut self, status: &ContainerStatus) {
        match (&status.state, &status.last_state) {
            (ContainerState::Running { .. }, _) => {
                self.pending_sidecars += u32::from(!status.started);
                self.running += 1;
            }
            (ContainerState::Waiting { .. }, None) => {
                self.pending_sidecars += 1;
                self.waiting += 1;
            }
            (ContainerState::Waiting { .. }, Some(_)) | (ContainerState::Terminated(_), _) => {}
        }
    }

    fn main(&mut self, status: &ContainerStatus) {
        match (&status.state, &status.last_state) {
            (ContainerState::Running { .. }, _) => self.running += 1,
            (ContainerState::Terminated(run), _) => {
                self.stopped += 1;
                self.succeeded += u32::from(run.exit_code == 0);
            }
            (ContainerState::Waiting { .. }, Some(_)) => self.stopped += 1,
            (ContainerState::Waiting { .. }, None) => self.waiting += 1,
        }
    }
}

fn phase(seen: &Observed<'_>) -> Phase {
    let mut count = Count::default();
    for (spec, status) in seen.pod.init_containers.iter().zip(&seen.init) {
        if spec.sidecar {
            count.sidecar(status);
        } else {
            count.init(status);
        }
    }
    for status in &seen.main {
        count.main(status);
    }
    if seen.failed.is_some() && seen.stopped {
        return Phase::Failed;
    }
    let policy = seen.pod.restart_policy;
    if count.failed > 0 && policy == RestartPolicy::Never {
        return Phase::Failed;
    }
    if seen.stopped {
        let all = count.succeeded == count.stopped && count.stopped > 0;
        return if all { Phase::Succeeded } else { Phase::Failed };
    }
    if count.pending > 0 || count.failed > 0 || count.pending_sidecars > 0 || count.waiting > 0 {
        return Phase::Pending;
    }
    if count.running > 0 || count.stopped > 0 {
        Phase::Running
    } else {
        Phase::Pending
    }
}

fn conditions(seen: &Observed<'_>, phase: Phase) -> Vec<Condition> {
    let done = |status: &ContainerStatus| {
        status.ready && matches!(status.state, ContainerState::Terminated(_))
    };
    let uninitialized: Vec<&str> = seen
        .pod
        .init_containers
        .iter()
        .zip(&seen.init)
        .filter(|(spec, status)| {
            if spec.sidecar {
                !status.started
            } else {
                !done(status)
            }
        })
        .map(|(spec, _)| spec.name.as_str())
        .collect();
    let sidecars = seen.pod.init_containers.iter().zip(&seen.init);
    let unready: Vec<&str> = sidecars
        .filter(|(spec, _)| spec.sidecar)
        .map(|(_, status)| status)
        .chain(&seen.main)
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    let running = !matches!(phase, Phase::Pending);
    let initialized = if uninitialized.is_empty() || (running && phase == Phase::Running) {
        condition("Initialized", true, "", String::new())
    } else if phase == Phase::Succeeded {
        condition("Initialized", true, "PodCompleted", String::new())
    } else {
        let message = format!(
            "containers with incomplete status: [{}]",
            uninitialized.join(" ")
        );
        condition("Initialized", false, "ContainersNotInitialized", message)
    };
    let ready = |kind| match phase {
        Phase::Succeeded => condition(kind, false, "PodCompleted", String::new()),
        Phase::Failed => condition(kind, false, "PodFailed", String::new()),
        Phase::Pending | Phase::Running if unready.is_empty() => {
            condition(kind, true, "", String::new())
        }
        Phase::Pending | Phase::Running => {
            let message = format!("containers with unready status: [{}]", unready.join(" "));
            condition(kind, false, "ContainersNotReady", message)
        }
    };
    vec![
        condition(
            "PodReadyToStartContainers",
            !seen.stopped,
            "",
            String::new(),
        ),
        initialized,
        ready("Ready"),
        ready("ContainersReady"),
        condition("PodScheduled", true, "", String::new()),
    ]
}

fn condition(kind: &str, status: bool, reason: &str, message: String) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: Some(status),
        reason: reason.to_owned(),
        message,
        last_transition_ms: 0,
    }
}

/// The reason upstream gives an exit code.
pub(crate) fn exit_reason(exit_code: i32) -> &'static str {
    if exit_code == 0 { "Completed" } else { "Error" }
}

/// What is written of a run that a restart of the agent cut off: as containerd after a reboot.
pub(crate) fn cut_off(started_at_ms: i64, container_id: String, now_ms: i64) -> Terminated {
    Terminated {
        exit_code: 255,
        reason: "Unknown".to_owned(),
        message: "the agent was restarted".to_owned(),
        started_at_ms,
        finished_at_ms: now_ms,
        container_id,
    }
}

#[cfg(test)]
mod tests;
