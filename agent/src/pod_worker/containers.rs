//! What a worker does with its containers: one step of a state machine and its effect, starts, exits, probes.
//!
//! Nothing here decides; it obeys `state` and tells people by events.

use super::{
    Message, Worker,
    launch::{self, Failure, Launched, Request},
    plan::Role,
    state::{Effect, Input, State},
};
use crate::probe;
use coracle_daemon::OnExit;
use coracle_link::pod::Pod;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// `ErrImagePull` is shown this long before it turns into `ImagePullBackOff`.
const PULL_ERROR_SHOWN: Duration = Duration::from_secs(2);

impl Worker {
    /// One step of a container's state machine, and its effect.
    pub(super) fn input(&mut self, index: usize, input: Input) {
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
            .spawn("container start", OnExit::Ignore, task);
    }

    pub(super) fn take(&mut self, message: Message) {
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
                    Ok(launched) => self.started(unit, attempt, launched),
                    Err(failure) => self.failed_to_start(unit, failure),
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
                self.input(unit, Input::Exited { success });
            }
            Message::Probed {
                unit,
                attempt,
                kind,
                verdict,
                failure,
            } if self.units[unit].attempt == attempt => {
                self.probed(unit, kind, verdict, failure);
            }
            Message::Measured { excess } => self.measured(excess),
            Message::Exited { .. } | Message::Probed { .. } => {}
        }
    }

    fn started(&mut self, index: usize, attempt: u64, launched: Launched) {
        let id = self.units[index].next_id(&self.pod.uid);
        let exited = launched.sandbox.exited();
        let name = &self.units[index].spec.name;
        self.shared
            .network
            .open(&self.pod.uid, name, &launched.ports, &launched.sandbox);
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
            .spawn("container exit", OnExit::Ignore, watch);
        self.input(index, Input::Started);
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
        self.shared.tasks.spawn("probe", OnExit::Ignore, task);
    }

    fn probed(
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
                self.input(index, Input::Unhealthy { deadline });
            }
        }
    }

    fn failed_to_start(&mut self, index: usize, failure: Failure) {
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
        self.input(index, Input::Failed);
    }

    pub(super) fn event(&self, index: usize, warning: bool, reason: &'static str, message: String) {
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
