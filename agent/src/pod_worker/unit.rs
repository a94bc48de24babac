//! One container of a pod: its state machine, its sandbox if it runs, and what is shown of it.

use super::{
    launch::Launched,
    plan::{Role, View},
    state::{BACKOFF_RESET, History, State},
};
use crate::{logs, probe, status};
use coracle_link::{
    pod::{Container, Pod, Probe},
    status::{ContainerState, ContainerStatus, PodStatus, Terminated},
};
use coracle_runtime::{Exit, Sandbox, Shape};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// As upstream cuts termination messages.
const MESSAGE_BYTES_MAX: usize = 4096;

pub(super) struct Unit {
    pub(super) spec: Container,
    pub(super) role: Role,
    pub(super) state: State,
    pub(super) history: History,
    pub(super) attempt: u64,
    pub(super) restart_count: u32,
    /// Why it could not be started: reason and message.
    pub(super) failure: Option<(&'static str, String)>,
    /// When `ErrImagePull` turns into `ImagePullBackOff`.
    pub(super) back_off_shown: Option<Instant>,
    pub(super) crash_loop: String,
    pub(super) ready: bool,
    launch: Option<CancellationToken>,
    run: Option<Run>,
    image_id: String,
    container_id: String,
    last: Option<Terminated>,
    /// The run before the last.
    before_last: Option<Terminated>,
}

struct Run {
    sandbox: Sandbox,
    log: Arc<logs::Writer>,
    started_at_ms: i64,
    startup_passed: bool,
    probes: CancellationToken,
    /// It was asked to end, and ended at once.
    terminated: bool,
}

/// What a new spec means for a container.
pub(super) struct Change {
    pub(super) is_definition: bool,
}

/// The containers of a pod, as they were when the agent stopped.
pub(super) fn units(pod: &Pod, restored: Option<&PodStatus>, now_ms: i64) -> Vec<Unit> {
    let init = pod.init_containers.iter().map(|spec| {
        let known = restored.map(|status| status.init_containers.as_slice());
        (
            spec,
            if spec.sidecar {
                Role::Sidecar
            } else {
                Role::Init
            },
            known,
        )
    });
    let main = pod.containers.iter().map(|spec| {
        (
            spec,
            Role::Main,
            restored.map(|status| status.containers.as_slice()),
        )
    });
    init.chain(main)
        .map(|(spec, role, known)| {
            let mut unit = Unit::new(pod, spec.clone(), role);
            let known = known.and_then(|all| all.iter().find(|known| known.name == spec.name));
            if let Some(known) = known {
                unit.restore(pod, known, now_ms);
            }
            unit
        })
        .collect()
}

impl Unit {
    fn new(pod: &Pod, spec: Container, role: Role) -> Self {
        Self {
            history: History::new(role.policy(pod.restart_policy)),
            spec,
            role,
            state: State::Pending,
            attempt: 0,
            restart_count: 0,
            failure: None,
            back_off_shown: None,
            crash_loop: String::new(),
            ready: false,
            launch: None,
            run: None,
            image_id: String::new(),
            container_id: String::new(),
            last: None,
            before_last: None,
        }
    }

    /// A run that was cut off counts as a crash; one that had ended for good stays ended.
    fn restore(&mut self, pod: &Pod, known: &ContainerStatus, now_ms: i64) {
        let policy = self.role.policy(pod.restart_policy);
        self.restart_count = known.restart_count;
        let crashes = if ran_long(&known.state, now_ms) {
            0
        } else {
            known.restart_count
        };
        self.history = History::with_restarts(policy, crashes);
        self.image_id.clone_from(&known.image_id);
        self.container_id.clone_from(&known.container_id);
        self.before_last.clone_from(&known.last_state);
        match &known.state {
            ContainerState::Terminated(run) => {
                self.last = Some(run.clone());
                if !self.history.restarts_after(run.exit_code == 0) {
                    self.state = State::Ended;
                }
            }
            ContainerState::Running { started_at_ms } => {
                let id = known.container_id.clone();
                self.last = Some(status::cut_off(*started_at_ms, id, now_ms));
                if !self.history.restarts_after(false) {
                    self.state = State::Ended;
                }
            }
            ContainerState::Waiting { .. } => self.last.clone_from(&known.last_state),
        }
    }

    pub(super) fn view(&self) -> View {
        View {
            role: self.role,
            state: self.state,
            started: self.is_started(),
            succeeded: self.last.as_ref().is_some_and(|run| run.exit_code == 0),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    fn is_started(&self) -> bool {
        self.is_running() && self.run.as_ref().is_some_and(|run| run.startup_passed)
    }

    /// An init container that holds nobody back.
    pub(super) fn is_initialized(&self) -> bool {
        match self.role {
            Role::Init => self.state == State::Ended && self.view().succeeded,
            Role::Sidecar => self.is_started(),
            Role::Main => true,
        }
    }

    /// Takes the container's part of a new spec.
    pub(super) fn follow(&mut self, pod: &Pod, index: usize) -> Change {
        let spec = pod.init_containers.iter().chain(&pod.containers).nth(index);
        let Some(spec) = spec.filter(|spec| spec.name == self.spec.name) else {
            return Change {
                is_definition: false,
            };
        };
        // Environment and volumes are read at the start of a run; a fixed reference may start it at last.
        let fixed = self.spec.config_error.is_some() && spec.config_error.is_none();
        let is_definition = self.spec.image != spec.image || fixed;
        self.spec = spec.clone();
        Change { is_definition }
    }

    /// The number of the run that begins next; names its log.
    pub(super) fn next_run(&self) -> u32 {
        self.restart_count + u32::from(self.last.is_some())
    }

    /// The identifier of the run that begins next; none has it twice, also after a restart of the agent.
    pub(super) fn next_id(&self, pod_uid: &str) -> String {
        format!("coracle://{pod_uid}-{}-{}", self.spec.name, self.next_run())
    }

    pub(super) fn begin(&mut self, attempt: u64) -> CancellationToken {
        self.abandon();
        self.attempt = attempt;
        let cancel = CancellationToken::new();
        self.launch = Some(cancel.clone());
        cancel
    }

    pub(super) fn abandon(&mut self) {
        if let Some(launch) = self.launch.take() {
            launch.cancel();
        }
        self.back_off_shown = None;
    }

    pub(super) fn started(&mut self, launched: Launched, id: String, now_ms: i64) {
        self.restart_count = self.next_run();
        self.image_id = launched.image_id;
        self.container_id = id;
        self.failure = None;
        self.back_off_shown = None;
        self.launch = None;
        self.ready = self.spec.readiness.is_none();
        self.run = Some(Run {
            sandbox: launched.sandbox,
            log: launched.log,
            started_at_ms: now_ms,
            startup_passed: self.spec.startup.is_none(),
            probes: CancellationToken::new(),
            terminated: false,
        });
    }

    pub(super) fn log(&self) -> Option<Arc<logs::Writer>> {
        self.run.as_ref().map(|run| Arc::clone(&run.log))
    }

    pub(super) fn probes(&self) -> Option<CancellationToken> {
        self.run.as_ref().map(|run| run.probes.clone())
    }

    pub(super) fn probe(&self, kind: probe::Kind) -> Option<Probe> {
        match kind {
            probe::Kind::Startup => self.spec.startup.clone(),
            probe::Kind::Readiness => self.spec.readiness.clone(),
            probe::Kind::Liveness => self.spec.liveness.clone(),
        }
    }

    pub(super) fn startup_passed(&mut self) {
        if let Some(run) = &mut self.run {
            run.startup_passed = true;
        }
    }

    /// Asks the run to end. A command can not be told: no signal reaches a guest, so it gets what
    /// SIGTERM does to a program without a handler. A server gets its grace period.
    pub(super) fn stop(&mut self) {
        if let Some(run) = &mut self.run {
            run.probes.cancel();
            match run.sandbox.shape() {
                Shape::Http => run.sandbox.stop(),
                Shape::Command => {
                    run.terminated = true;
                    run.sandbox.kill();
                }
            }
        }
    }

    pub(super) fn kill(&mut self) {
        if let Some(run) = &self.run {
            run.sandbox.kill();
        }
    }

    /// Writes down how the run ended. True for success.
    pub(super) fn ended(&mut self, exit: Exit, now_ms: i64) -> bool {
        let (started_at_ms, terminated) = self.run.take().map_or((now_ms, false), |run| {
            run.probes.cancel();
            (run.started_at_ms, run.terminated)
        });
        self.ready = false;
        let (exit_code, reason, message) = describe(exit, terminated);
        self.before_last = self.last.replace(Terminated {
            exit_code,
            reason: reason.to_owned(),
            message,
            started_at_ms,
            finished_at_ms: now_ms,
            container_id: self.container_id.clone(),
        });
        exit_code == 0
    }

    pub(super) fn last_reason(&self) -> &str {
        self.last.as_ref().map_or("", |run| run.reason.as_str())
    }

    /// After a while `ErrImagePull` becomes `ImagePullBackOff`; the text of the event, once.
    pub(super) fn turn_to_back_off(&mut self, now: Instant) -> Option<String> {
        self.back_off_shown.filter(|shown| now >= *shown)?;
        self.back_off_shown = None;
        let (_, message) = self.failure.take()?;
        let text = format!("Back-off pulling image \"{}\"", self.spec.image);
        self.failure = Some((
            "ImagePullBackOff",
            format!("{text}: ErrImagePull: {message}"),
        ));
        Some(text)
    }

    /// What is shown of the container. `initializing`: init containers are still at it.
    pub(super) fn show(&self, initializing: bool) -> ContainerStatus {
        let creating = if initializing {
            "PodInitializing"
        } else {
            "ContainerCreating"
        };
        let mut shown = status::waiting(&self.spec, creating);
        shown.restart_count = self.restart_count;
        shown.image_id.clone_from(&self.image_id);
        shown.container_id.clone_from(&self.container_id);
        shown.last_state.clone_from(&self.last);
        shown.started = self.is_started();
        shown.ready = shown.started && self.ready;
        match (self.state, &self.run, &self.last, &self.failure) {
            (State::Running { .. } | State::Stopping { .. }, Some(run), ..) => {
                shown.state = ContainerState::Running {
                    started_at_ms: run.started_at_ms,
                };
            }
            (State::Waiting { .. }, ..) => {
                let (reason, message) = ("CrashLoopBackOff".to_owned(), self.crash_loop.clone());
                shown.state = ContainerState::Waiting { reason, message };
            }
            (State::Starting | State::Retrying { .. }, _, _, Some((reason, message))) => {
                let (reason, message) = ((*reason).to_owned(), message.clone());
                shown.state = ContainerState::Waiting { reason, message };
            }
            (State::Pending | State::Starting | State::Ended, _, Some(last), _) => {
                shown.state = ContainerState::Terminated(last.clone());
                shown.last_state.clone_from(&self.before_last);
                shown.ready = self.role == Role::Init && last.exit_code == 0;
            }
            (
                State::Pending
                | State::Starting
                | State::Retrying { .. }
                | State::Running { .. }
                | State::Stopping { .. }
                | State::Ended,
                ..,
            ) => {}
        }
        shown
    }
}

/// The run before the agent's restart had outlived its crashes.
fn ran_long(state: &ContainerState, now_ms: i64) -> bool {
    let ran_ms = match state {
        ContainerState::Running { started_at_ms } => now_ms.saturating_sub(*started_at_ms),
        ContainerState::Terminated(run) => run.finished_at_ms.saturating_sub(run.started_at_ms),
        ContainerState::Waiting { .. } => 0,
    };
    u128::try_from(ran_ms).is_ok_and(|ran_ms| ran_ms >= BACKOFF_RESET.as_millis())
}

/// Exit code, reason and message, as upstream's. `terminated`: it was asked to end.
fn describe(exit: Exit, terminated: bool) -> (i32, &'static str, String) {
    match exit {
        Exit::Code(code) => {
            let code = code & 0xff;
            (code, status::exit_reason(code), String::new())
        }
        Exit::Trap { message } => (134, "Error", cut(message)),
        Exit::OutOfMemory => (137, "OOMKilled", String::new()),
        Exit::Killed if terminated => (143, "Error", String::new()),
        Exit::Killed => (137, "Error", String::new()),
    }
}

fn cut(mut message: String) -> String {
    let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    message.truncate(end);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use coracle_link::pod::RestartPolicy;

    #[test]
    fn exits_are_described_as_upstream_does() {
        let table = [
            (Exit::Code(0), 0, "Completed"),
            (Exit::Code(7), 7, "Error"),
            (
                Exit::Trap {
                    message: "unreachable".to_owned(),
                },
                134,
                "Error",
            ),
            (Exit::OutOfMemory, 137, "OOMKilled"),
            (Exit::Killed, 137, "Error"),
        ];
        for (exit, code, reason) in table {
            let (seen, because, _) = describe(exit.clone(), false);
            assert_eq!((seen, because), (code, reason), "{exit:?}");
        }
        assert_eq!(describe(Exit::Killed, true).0, 143);
        assert_eq!(cut("é".repeat(3000)).len(), 4096);
    }

    fn restored(policy: RestartPolicy, state: ContainerState, count: u32) -> Unit {
        let pod = testing::pod(policy, &[], &["a"]);
        let mut known = status::waiting(&pod.containers[0], "");
        (known.state, known.restart_count) = (state, count);
        let mut unit = Unit::new(&pod, pod.containers[0].clone(), Role::Main);
        unit.restore(&pod, &known, 99);
        unit
    }

    #[test]
    fn after_a_restart_of_the_agent() {
        let run = |exit_code| {
            ContainerState::Terminated(Terminated {
                exit_code,
                reason: String::new(),
                message: String::new(),
                started_at_ms: 1,
                finished_at_ms: 2,
                container_id: String::new(),
            })
        };
        let done = restored(RestartPolicy::OnFailure, run(0), 3);
        assert_eq!(done.state, State::Ended);
        let crashed = restored(RestartPolicy::OnFailure, run(1), 3);
        assert_eq!((crashed.state, crashed.next_run()), (State::Pending, 4));
        let cut_off = restored(
            RestartPolicy::Always,
            ContainerState::Running { started_at_ms: 5 },
            0,
        );
        let long = ContainerState::Running {
            started_at_ms: 99 - 600_000,
        };
        assert!(ran_long(&long, 99) && !ran_long(&long, 98));
        assert_eq!(cut_off.next_id("u"), "coracle://u-a-1");
        let last = cut_off.last.as_ref().unwrap();
        assert_eq!(
            (cut_off.state, cut_off.next_run(), last.exit_code),
            (State::Pending, 1, 255)
        );
    }
}
