//! Which container's turn it is: init containers in order, sidecars, then the rest; and the order of a stop.
//!
//! Never does anything: it turns what is seen of the containers into inputs for their state machines.

use super::state::State;
use coracle_link::pod::RestartPolicy;

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs to its end before the next.
    Init,
    /// An init container that keeps running.
    Sidecar,
    /// An ordinary container.
    Main,
}

impl Role {
    /// The restart policy in force for a container of this role.
    pub(crate) fn policy(self, pod: RestartPolicy) -> RestartPolicy {
        match (self, pod) {
            (Self::Sidecar, _) => RestartPolicy::Always,
            (Self::Init, RestartPolicy::Always | RestartPolicy::OnFailure) => {
                RestartPolicy::OnFailure
            }
            (Self::Init, RestartPolicy::Never) => RestartPolicy::Never,
            (Self::Main, policy) => policy,
        }
    }
}

/// What is seen of one container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) role: Role,
    pub(crate) state: State,
    /// Runs and passed its startup probe.
    pub(crate) started: bool,
    /// Its last run ended with 0.
    pub(crate) succeeded: bool,
}

/// What the pod is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Run to its end.
    Run,
    /// Stop.
    Halt,
}

/// An input for one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Turn(usize),
    Halt(usize),
}

/// The inputs that are due. `views` is init containers and sidecars in order, then the others.
pub(crate) fn plan(views: &[View], goal: Goal) -> Vec<Action> {
    if goal == Goal::Halt || is_finished(views) {
        return halt(views);
    }
    let mut turns = Vec::new();
    for (index, view) in views.iter().enumerate() {
        let waits = matches!(view.state, State::Pending);
        let blocks = match view.role {
            Role::Init => !(matches!(view.state, State::Ended) && view.succeeded),
            Role::Sidecar => !view.started,
            Role::Main => false,
        };
        if waits {
            turns.push(Action::Turn(index));
        }
        if blocks && !resumed(views) {
            break;
        }
    }
    turns
}

/// An ordinary container was already started once: a sidecar that restarts holds nobody back.
fn resumed(views: &[View]) -> bool {
    views
        .iter()
        .any(|view| view.role == Role::Main && !matches!(view.state, State::Pending))
}

/// Nothing of the pod's own work will run again.
pub(crate) fn is_finished(views: &[View]) -> bool {
    let failed_init = views.iter().any(|view| {
        view.role == Role::Init && matches!(view.state, State::Ended) && !view.succeeded
    });
    let mut main = views.iter().filter(|view| view.role == Role::Main);
    failed_init || main.all(|view| matches!(view.state, State::Ended))
}

/// Everything has stopped for good.
pub(crate) fn is_stopped(views: &[View]) -> bool {
    views.iter().all(|view| matches!(view.state, State::Ended))
}

/// Ordinary and init containers first, then the sidecars, the last one first.
fn halt(views: &[View]) -> Vec<Action> {
    let live = |view: &View| !matches!(view.state, State::Ended);
    let mut actions: Vec<Action> = (0..views.len())
        .filter(|&index| views[index].role != Role::Sidecar && live(&views[index]))
        .map(Action::Halt)
        .collect();
    if actions.is_empty() {
        let last = (0..views.len()).rev().find(|&index| live(&views[index]));
        actions.extend(last.map(Action::Halt));
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn views(text: &str) -> Vec<View> {
        let now = Instant::now();
        text.split(' ')
            .map(|word| {
                let (role, rest) = word.split_at(1);
                let state = match rest.trim_end_matches(['+', '!']) {
                    "pending" => State::Pending,
                    "starting" => State::Starting,
                    "running" => State::Running { since: now },
                    "waiting" => State::Waiting { until: now },
                    "ended" => State::Ended,
                    other => panic!("{other}"),
                };
                let role = match role {
                    "i" => Role::Init,
                    "s" => Role::Sidecar,
                    _ => Role::Main,
                };
                View {
                    role,
                    state,
                    started: rest.ends_with('+'),
                    succeeded: rest.ends_with('!'),
                }
            })
            .collect()
    }

    #[track_caller]
    fn check(text: &str, goal: Goal, expect: &[Action]) {
        assert_eq!(plan(&views(text), goal), expect, "{text}");
    }

    #[test]
    fn init_containers_run_in_order() {
        use Action::Turn;
        check("ipending ipending mpending", Goal::Run, &[Turn(0)]);
        check("iended! ipending mpending", Goal::Run, &[Turn(1)]);
        check("iended! iwaiting mpending", Goal::Run, &[]);
        check(
            "iended! iended! mpending mpending",
            Goal::Run,
            &[Turn(2), Turn(3)],
        );
        check("spending mpending", Goal::Run, &[Turn(0)]);
        check("srunning mpending", Goal::Run, &[]);
        check("srunning+ mpending", Goal::Run, &[Turn(1)]);
        check("swaiting mrunning+", Goal::Run, &[]);
    }

    #[test]
    fn the_end_of_the_work_ends_the_sidecars() {
        use Action::Halt;
        check("srunning+ srunning+ mended!", Goal::Run, &[Halt(1)]);
        check("srunning+ sended mended!", Goal::Run, &[Halt(0)]);
        check("iended mpending", Goal::Run, &[Halt(1)]);
    }

    #[test]
    fn a_stop_ends_sidecars_last() {
        use Action::Halt;
        check(
            "srunning+ mrunning+ mwaiting",
            Goal::Halt,
            &[Halt(1), Halt(2)],
        );
        check("srunning+ mended mended", Goal::Halt, &[Halt(0)]);
        check("sended mended", Goal::Halt, &[]);
        assert!(is_stopped(&views("sended mended")));
    }
}
