//! Runs an agent in this process and lets it be stopped and started again on its data directory.

use crate::controller::{Controller, LIMIT};
use coracle_agent::{Config, Error};
use coracle_daemon::{OnExit, Tasks};
use std::{net::Ipv4Addr, path::Path};
use tokio::sync::oneshot;

pub(crate) struct Agent {
    tasks: Tasks,
    end: oneshot::Receiver<Result<(), Error>>,
}

/// For a node of the controller, with a fresh token.
pub(crate) fn config(dir: &Path, controller: &Controller) -> Config {
    let mut config = Config::new(dir.to_owned(), "box".to_owned());
    config.join = Some(controller.token().parse().unwrap());
    config.node_port_address = Ipv4Addr::LOCALHOST.into();
    config.cpu_threads = 1;
    config.clock = controller.inner.clock.clone();
    config
}

impl Agent {
    pub(crate) fn start(config: Config) -> Self {
        let tasks = Tasks::new();
        let (sender, end) = oneshot::channel();
        let agent_tasks = tasks.clone();
        tasks.spawn("agent", OnExit::Ignore, async move {
            let running = Box::pin(coracle_agent::run(config, agent_tasks));
            let _test_ended = sender.send(running.await);
        });
        Self { tasks, end }
    }

    /// Stops it as a signal does.
    pub(crate) async fn stop(self) {
        assert!(self.tasks.shut_down(LIMIT).await, "the agent stops in time");
        self.end.await.unwrap().unwrap();
    }

    /// Waits for an agent that ends by itself; its sentence.
    pub(crate) async fn sentence(self) -> String {
        let end = tokio::time::timeout(LIMIT, self.end).await;
        let error = end.expect("the agent ends").unwrap().unwrap_err();
        self.tasks.shut_down(LIMIT).await;
        coracle_agent::sentence(&error)
    }
}

/// A controller and a folder for an agent.
pub(crate) fn cluster() -> (Controller, tempfile::TempDir) {
    let clock = coracle_daemon::Clock::system();
    (Controller::start(clock), tempfile::tempdir().unwrap())
}
