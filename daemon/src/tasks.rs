//! Named tasks with an exit policy, one stop token and one deadline.
//!
//! Every task of the system is started here, so a shutdown always waits for all of them.

use std::{future::Future, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the end of a task means for the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// The task may end whenever it likes.
    Ignore,
    /// The program can not go on without it: its end, also by panic, stops everything.
    Shutdown,
}

/// The set of running tasks. A clone is another handle to the same set.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts `task` under `name`.
    #[expect(clippy::disallowed_methods, reason = "the one place that may spawn")]
    pub fn spawn<F>(&self, name: &'static str, on_exit: OnExit, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // The guard cancels when it drops, so a panic counts as an exit too.
        let guard = match on_exit {
            OnExit::Ignore => None,
            OnExit::Shutdown => Some(self.stop.clone().drop_guard()),
        };
        self.tracker.spawn(async move {
            let _guard = guard;
            task.await;
            tracing::trace!(task = name, "task ended");
        });
    }

    /// The token that asks every task to end.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Asks every task to end and waits for them, at most `deadline`. True when all ended.
    pub async fn shut_down(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait())
            .await
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_task_stops_the_program() {
        let tasks = Tasks::new();
        tasks.spawn("panics", OnExit::Shutdown, async { panic!("on purpose") });
        tasks.stop().cancelled().await;
        assert!(tasks.shut_down(Duration::from_secs(1)).await);
    }
}
