//! The life of one container: a closed enum and one `step`, without I/O and without a clock.
//!
//! ```text
//! Pending --turn--> Starting --started--> Running --exited--> Waiting (back-off) | Ended
//!                    |    ^                  |                   | due
//!                  failed due          restart, halt             v
//!                    v    |                  v                Starting
//!                   Retrying              Stopping --exited--> Waiting | Ended
//! ```
//!
//! `Ended` is always final: nothing leads out of it. Only this file decides when a container restarts.

use coracle_link::pod::RestartPolicy;
use std::time::Duration;
use tokio::time::Instant;

/// The first wait of a crash loop, as upstream.
pub(crate) const BACKOFF_MIN: Duration = Duration::from_secs(10);
/// The longest wait of a crash loop, as upstream.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// A run this long forgets the crashes before it, as upstream (twice the longest wait).
pub(crate) const BACKOFF_RESET: Duration = Duration::from_secs(600);

/// Where a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its turn has not come.
    Pending,
    /// Image, volumes, sandbox: being made.
    Starting,
    /// It could not be made; tried again at `until`.
    Retrying { until: Instant },
    /// Runs.
    Running { since: Instant },
    /// Asked to end; killed at `deadline`.
    Stopping {
        since: Instant,
        deadline: Instant,
        killed: bool,
        then: Then,
    },
    /// Crashed; started again at `until`.
    Waiting { until: Instant },
    /// Never runs again.
    Ended,
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// What the restart policy says of its exit.
    Policy,
    /// Another run, whatever the exit (its definition changed).
    Again,
    /// Nothing.
    End,
}

/// What happens to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// Everything before it in the pod is done.
    Turn,
    /// The sandbox runs.
    Started,
    /// The sandbox could not be made.
    Failed,
    /// The sandbox ended.
    Exited { success: bool },
    /// A liveness or startup probe gave up on it.
    Unhealthy { deadline: Instant },
    /// Its definition changed.
    Changed { deadline: Instant },
    /// It has to end for good, latest at `deadline`.
    Halt { deadline: Instant },
    /// Time has passed.
    Tick,
}

/// What the worker has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Nothing,
    /// Make and start a sandbox; drop an attempt that is under way.
    Launch,
    /// Drop the attempt that is under way.
    Abandon,
    /// Ask the sandbox to end.
    Stop,
    /// End the sandbox now.
    Kill,
}

/// What a container remembers between its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    policy: RestartPolicy,
    crash: Delay,
    attempt: Delay,
}

/// A wait that doubles, without jitter: upstream's figures are visible to users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Delay(Option<Duration>);

impl Delay {
    /// The wait in force, then doubled.
    fn take(&mut self) -> Duration {
        let wait = self.0.unwrap_or(BACKOFF_MIN);
        self.0 = Some((wait * 2).min(BACKOFF_MAX));
        wait
    }
}

impl History {
    pub(crate) fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            crash: Delay::default(),
            attempt: Delay::default(),
        }
    }

    /// For a container that has already been restarted `count` times: as if it had crashed so often.
    pub(crate) fn with_restarts(policy: RestartPolicy, count: u32) -> Self {
        let mut history = Self::new(policy);
        history.crash.0 = (count > 0).then(|| {
            BACKOFF_MIN
                .saturating_mul(1 << (count - 1).min(8))
                .min(BACKOFF_MAX)
        });
        history
    }

    /// The wait before the next restart: none for the first, as upstream.
    fn crash_wait(&mut self, since: Instant, now: Instant) -> Duration {
        if now.duration_since(since) >= BACKOFF_RESET {
            self.crash = Delay::default();
        }
        match self.crash.0 {
            None => {
                self.crash.0 = Some(BACKOFF_MIN);
                Duration::ZERO
            }
            Some(_) => self.crash.take(),
        }
    }

    /// What the policy says of an exit.
    pub(crate) fn restarts_after(&self, success: bool) -> bool {
        match self.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => !success,
            RestartPolicy::Never => false,
        }
    }

    fn after_exit(&mut self, again: bool, since: Instant, now: Instant) -> (State, Effect) {
        if !again {
            return (State::Ended, Effect::Nothing);
        }
        match self.crash_wait(since, now) {
            Duration::ZERO => (State::Starting, Effect::Launch),
            wait => (State::Waiting { until: now + wait }, Effect::Nothing),
        }
    }
}

impl State {
    /// The state after `input`, and what to do.
    pub(crate) fn step(self, input: Input, history: &mut History, now: Instant) -> (Self, Effect) {
        match self {
            Self::Pending => self.step_pending(input),
            Self::Starting => self.step_starting(input, history, now),
            Self::Retrying { until } | Self::Waiting { until } => {
                self.step_waiting(until, input, now)
            }
            Self::Running { since } => self.step_running(since, input, history, now),
            Self::Stopping {
                since,
                deadline,
                killed,
                then,
            } => {
                let stop = Stop {
                    since,
                    deadline,
                    killed,
                    then,
                };
                stop.step(input, history, now)
            }
            Self::Ended => match input {
                Input::Turn
                | Input::Started
                | Input::Failed
                | Input::Exited { .. }
                | Input::Unhealthy { .. }
                | Input::Changed { .. }
                | Input::Halt { .. }
                | Input::Tick => (self, Effect::Nothing),
            },
        }
    }

    fn step_pending(self, input: Input) -> (Self, Effect) {
        match input {
            Input::Turn => (Self::Starting, Effect::Launch),
            Input::Halt { .. } => (Self::Ended, Effect::Nothing),
            Input::Started
            | Input::Failed
            | Input::Exited { .. }
            | Input::Unhealthy { .. }
            | Input::Changed { .. }
            | Input::Tick => (self, Effect::Nothing),
        }
    }

    fn step_starting(self, input: Input, history: &mut History, now: Instant) -> (Self, Effect) {
        match input {
            Input::Started => {
                history.attempt = Delay::default();
                (Self::Running { since: now }, Effect::Nothing)
            }
            Input::Failed => (
                Self::Retrying {
                    until: now + history.attempt.take(),
                },
                Effect::Nothing,
            ),
            Input::Changed { .. } => (self, Effect::Launch),
            Input::Halt { .. } => (Self::Ended, Effect::Abandon),
            Input::Turn | Input::Exited { .. } | Input::Unhealthy { .. } | Input::Tick => {
                (self, Effect::Nothing)
            }
        }
    }

    fn step_waiting(self, until: Instant, input: Input, now: Instant) -> (Self, Effect) {
        match input {
            Input::Tick if now >= until => (Self::Starting, Effect::Launch),
            Input::Changed { .. } => (Self::Starting, Effect::Launch),
            Input::Halt { .. } => (Self::Ended, Effect::Nothing),
            Input::Turn
            | Input::Started
            | Input::Failed
            | Input::Exited { .. }
            | Input::Unhealthy { .. }
            | Input::Tick => (self, Effect::Nothing),
        }
    }

    fn step_running(
        self,
        since: Instant,
        input: Input,
        history: &mut History,
        now: Instant,
    ) -> (Self, Effect) {
        let stopping = |deadline, then| {
            (
                Self::Stopping {
                    since,
                    deadline,
                    killed: false,
                    then,
                },
                Effect::Stop,
            )
        };
        match input {
            Input::Exited { success } => {
                history.after_exit(history.restarts_after(success), since, now)
            }
            Input::Unhealthy { deadline } => stopping(deadline, Then::Policy),
            Input::Changed { deadline } => stopping(deadline, Then::Again),
            Input::Halt { deadline } => stopping(deadline, Then::End),
            Input::Turn | Input::Started | Input::Failed | Input::Tick => (self, Effect::Nothing),
        }
    }

    /// When a `Tick` would change something.
    pub(crate) fn due(self) -> Option<Instant> {
        match self {
            Self::Retrying { until } | Self::Waiting { until } => Some(until),
            Self::Stopping {
                deadline,
                killed: false,
                ..
            } => Some(deadline),
            Self::Stopping { killed: true, .. }
            | Self::Pending
            | Self::Starting
            | Self::Running { .. }
            | Self::Ended => None,
        }
    }
}

struct Stop {
    since: Instant,
    deadline: Instant,
    killed: bool,
    then: Then,
}

impl Stop {
    fn step(mut self, input: Input, history: &mut History, now: Instant) -> (State, Effect) {
        let effect = match input {
            Input::Exited { success } => {
                let again = match self.then {
                    Then::Policy => history.restarts_after(success),
                    // Another definition has not crashed yet.
                    Then::Again => {
                        history.crash = Delay::default();
                        return (State::Starting, Effect::Launch);
                    }
                    Then::End => false,
                };
                return history.after_exit(again, self.since, now);
            }
            Input::Halt { deadline } => {
                self.then = Then::End;
                self.deadline = self.deadline.min(deadline);
                Effect::Nothing
            }
            Input::Tick if now >= self.deadline && !self.killed => {
                self.killed = true;
                Effect::Kill
            }
            Input::Turn
            | Input::Started
            | Input::Failed
            | Input::Unhealthy { .. }
            | Input::Changed { .. }
            | Input::Tick => Effect::Nothing,
        };
        let Self {
            since,
            deadline,
            killed,
            then,
        } = self;
        (
            State::Stopping {
                since,
                deadline,
                killed,
                then,
            },
            effect,
        )
    }
}

#[cfg(test)]
mod tests;
