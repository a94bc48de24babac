//! Which file a request for logs means, and until when it is followed.

use super::{Logs, reader};
use crate::status_manager::Statuses;
use coracle_link::status::{ContainerState, ContainerStatus, PodStatus};
use tokio::io::AsyncWrite;

/// A request for the log of one container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) pod_uid: String,
    pub(crate) container: String,
    pub(crate) previous: bool,
    pub(crate) options: reader::Options,
}

/// Why there is no log; upstream's sentences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("pod \"{0}\" is not on this node")]
    NoPod(String),
    #[error("container {container} is not valid for pod {pod}")]
    NoContainer { pod: String, container: String },
    #[error("container \"{container}\" in pod \"{pod}\" is waiting to start: {reason}")]
    Waiting {
        pod: String,
        container: String,
        reason: String,
    },
    #[error("previous terminated container \"{container}\" in pod \"{pod}\" not found")]
    NoPrevious { pod: String, container: String },
    #[error("cannot read the log: {0}")]
    Read(String),
}

/// The number of the run that is wanted.
fn run(status: &PodStatus, wanted: &Wanted) -> Result<u32, Error> {
    let (pod, container) = (status.name.clone(), wanted.container.clone());
    let Some(found) = find(status, &wanted.container) else {
        return Err(Error::NoContainer { pod, container });
    };
    if wanted.previous {
        let ended_before = found.last_state.is_some() && found.restart_count > 0;
        let crashed =
            found.last_state.is_some() && matches!(found.state, ContainerState::Waiting { .. });
        return match (ended_before, crashed) {
            (_, true) => Ok(found.restart_count),
            (true, false) => Ok(found.restart_count - 1),
            (false, false) => Err(Error::NoPrevious { pod, container }),
        };
    }
    match &found.state {
        ContainerState::Waiting { reason, .. } if found.last_state.is_none() => {
            Err(Error::Waiting {
                pod,
                container,
                reason: reason.clone(),
            })
        }
        _ => Ok(found.restart_count),
    }
}

fn find<'a>(status: &'a PodStatus, container: &str) -> Option<&'a ContainerStatus> {
    status
        .containers
        .iter()
        .chain(&status.init_containers)
        .find(|found| found.name == container)
}

/// Checks a request before anything is sent: the number of the run to read.
pub(crate) fn check(statuses: &Statuses, wanted: &Wanted) -> Result<u32, Error> {
    let status = statuses.get(&wanted.pod_uid);
    run(
        &status.ok_or_else(|| Error::NoPod(wanted.pod_uid.clone()))?,
        wanted,
    )
}

/// Writes what is wanted of a run to `out`.
pub(crate) async fn send(
    logs: &Logs,
    statuses: &Statuses,
    wanted: &Wanted,
    run: u32,
    out: &mut (impl AsyncWrite + Unpin + Send),
) -> Result<(), Error> {
    let path = logs.path(&wanted.pod_uid, &wanted.container, run);
    let running = || {
        statuses.get(&wanted.pod_uid).is_some_and(|status| {
            find(&status, &wanted.container).is_some_and(|found| {
                found.restart_count == run && matches!(found.state, ContainerState::Running { .. })
            })
        })
    };
    let read = reader::read(&path, &wanted.options, logs.changes(), running, out).await;
    read.map_err(|error| Error::Read(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{status, testing};
    use coracle_link::pod::RestartPolicy;

    #[track_caller]
    fn check(change: impl Fn(&mut ContainerStatus), previous: bool, expect: Result<u32, &str>) {
        let pod = testing::pod(RestartPolicy::Always, &[], &["a"]);
        let mut container = status::waiting(&pod.containers[0], "ContainerCreating");
        change(&mut container);
        let seen = status::Observed {
            pod: &pod,
            pod_ip: String::new(),
            start_time_ms: 0,
            init: Vec::new(),
            main: vec![container],
            stopped: false,
            failed: None,
            released: false,
        };
        let status = status::compute(seen, None, 0);
        let wanted = Wanted {
            container: "a".to_owned(),
            previous,
            ..Wanted::default()
        };
        assert_eq!(
            run(&status, &wanted).map_err(|error| error.to_string()),
            expect.map_err(str::to_owned)
        );
    }

    #[test]
    fn which_run_is_meant() {
        let creating = "container \"a\" in pod \"pod\" is waiting to start: ContainerCreating";
        check(|_| {}, false, Err(creating));
        let ended = || Some(status::cut_off(0, String::new(), 1));
        let running = |container: &mut ContainerStatus| {
            container.state = ContainerState::Running { started_at_ms: 1 };
        };
        check(running, false, Ok(0));
        let none = "previous terminated container \"a\" in pod \"pod\" not found";
        check(running, true, Err(none));
        let restarted = |container: &mut ContainerStatus| {
            running(container);
            (container.restart_count, container.last_state) = (3, ended());
        };
        check(restarted, false, Ok(3));
        check(restarted, true, Ok(2));
        let crashed = |container: &mut ContainerStatus| container.last_state = ended();
        check(crashed, false, Ok(0));
        check(crashed, true, Ok(0));
    }
}
