//! Tables of the container state machine; the clock is an argument.

use super::*;
use expect_test::{Expect, expect};

/// Runs `script` from `Pending`; each line prints the input, the state and the effect.
#[track_caller]
fn check(policy: RestartPolicy, script: &[(u64, &str)], expect: &Expect) {
    let zero = Instant::now();
    let at = |secs: u64| zero + Duration::from_secs(secs);
    let (mut state, mut history) = (State::Pending, History::new(policy));
    let mut lines = String::new();
    for &(secs, word) in script {
        let input = match word {
            "turn" => Input::Turn,
            "started" => Input::Started,
            "failed" => Input::Failed,
            "exit 0" => Input::Exited { success: true },
            "exit 1" => Input::Exited { success: false },
            "unhealthy" => Input::Unhealthy {
                deadline: at(secs + 30),
            },
            "changed" => Input::Changed {
                deadline: at(secs + 30),
            },
            "halt" => Input::Halt {
                deadline: at(secs + 30),
            },
            "tick" => Input::Tick,
            other => panic!("{other}"),
        };
        let (next, effect) = state.step(input, &mut history, at(secs));
        state = next;
        let since = |instant: Instant| instant.duration_since(zero).as_secs();
        let shown = match state {
            State::Pending => "pending".to_owned(),
            State::Starting => "starting".to_owned(),
            State::Retrying { until } => format!("retrying until {}", since(until)),
            State::Running { .. } => "running".to_owned(),
            State::Stopping {
                deadline,
                killed,
                then,
                ..
            } => {
                format!(
                    "stopping until {} killed={killed} then {then:?}",
                    since(deadline)
                )
            }
            State::Waiting { until } => format!("waiting until {}", since(until)),
            State::Ended => "ended".to_owned(),
        };
        lines.push_str(&format!("{secs} {word}: {shown}, {effect:?}\n"));
    }
    expect.assert_eq(&lines);
}

#[test]
fn a_crash_loop_waits_longer_each_time_and_the_first_restart_is_immediate() {
    check(
        RestartPolicy::Always,
        &[
            (0, "turn"),
            (0, "started"),
            (1, "exit 1"),
            (1, "started"),
            (2, "exit 1"),
            (11, "tick"),
            (12, "tick"),
            (12, "started"),
            (13, "exit 0"),
            (33, "tick"),
        ],
        &expect![[r#"
            0 turn: starting, Launch
            0 started: running, Nothing
            1 exit 1: starting, Launch
            1 started: running, Nothing
            2 exit 1: waiting until 12, Nothing
            11 tick: waiting until 12, Nothing
            12 tick: starting, Launch
            12 started: running, Nothing
            13 exit 0: waiting until 33, Nothing
            33 tick: starting, Launch
        "#]],
    );
}

#[test]
fn waits_end_at_five_minutes_and_a_long_run_forgets_them() {
    let mut history = History::new(RestartPolicy::Always);
    let now = Instant::now();
    let waits: Vec<u64> = (0..8)
        .map(|_| history.crash_wait(now, now).as_secs())
        .collect();
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    let later = now + BACKOFF_RESET;
    assert_eq!(history.crash_wait(now, later), Duration::ZERO);
    assert_eq!(history.crash_wait(later, later), BACKOFF_MIN);
}

#[test]
fn counts_of_an_earlier_agent_continue() {
    let now = Instant::now();
    let wait = |count| {
        History::with_restarts(RestartPolicy::Always, count)
            .crash_wait(now, now)
            .as_secs()
    };
    assert_eq!(
        [wait(0), wait(1), wait(2), wait(6), wait(4_000_000)],
        [0, 10, 20, 300, 300]
    );
}

#[test]
fn policies() {
    check(
        RestartPolicy::OnFailure,
        &[
            (0, "turn"),
            (0, "started"),
            (1, "exit 0"),
            (2, "tick"),
            (3, "turn"),
        ],
        &expect![[r#"
               0 turn: starting, Launch
               0 started: running, Nothing
               1 exit 0: ended, Nothing
               2 tick: ended, Nothing
               3 turn: ended, Nothing
        "#]],
    );
    check(
        RestartPolicy::Never,
        &[(0, "turn"), (0, "started"), (1, "exit 1")],
        &expect![[r#"
               0 turn: starting, Launch
               0 started: running, Nothing
               1 exit 1: ended, Nothing
        "#]],
    );
}

#[test]
fn what_can_not_start_is_tried_again() {
    check(
        RestartPolicy::Always,
        &[
            (0, "turn"),
            (1, "failed"),
            (11, "tick"),
            (12, "failed"),
            (13, "changed"),
            (14, "halt"),
        ],
        &expect![[r#"
            0 turn: starting, Launch
            1 failed: retrying until 11, Nothing
            11 tick: starting, Launch
            12 failed: retrying until 32, Nothing
            13 changed: starting, Launch
            14 halt: ended, Abandon
        "#]],
    );
}

#[test]
fn a_stop_has_a_deadline_and_a_halt_always_wins() {
    check(
        RestartPolicy::Always,
        &[
            (0, "turn"),
            (0, "started"),
            (5, "unhealthy"),
            (6, "halt"),
            (35, "tick"),
            (36, "tick"),
            (37, "exit 1"),
        ],
        &expect![[r#"
            0 turn: starting, Launch
            0 started: running, Nothing
            5 unhealthy: stopping until 35 killed=false then Policy, Stop
            6 halt: stopping until 35 killed=false then End, Nothing
            35 tick: stopping until 35 killed=true then End, Kill
            36 tick: stopping until 35 killed=true then End, Nothing
            37 exit 1: ended, Nothing
        "#]],
    );
}
