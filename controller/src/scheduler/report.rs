//! What the scheduler tells: the condition `PodScheduled=False` and its Events.
//!
//! The scheduling task never waits for it: reports go through a bounded queue, and one that does not
//! fit is dropped, to be made again with the pod's next attempt.

use super::PodInfo;
use crate::{
    events::{EventType, Occurrence, Recorder, Reference},
    registry::{Context, Registry, Subresource},
};
use coracle_api::{StatusError, kind};
use coracle_daemon::{OnExit, Tasks};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Conditions that wait to be written.
const QUEUE_MAX: usize = 1024;

#[derive(Debug)]
struct Report {
    pod: Arc<PodInfo>,
    message: String,
}

/// The way to the task that writes.
#[derive(Debug)]
pub(super) struct Reporter {
    recorder: Recorder,
    queue: mpsc::Sender<Report>,
}

impl Reporter {
    pub(super) fn start(registry: &Registry, recorder: &Recorder, tasks: &Tasks) -> Self {
        let (queue, reports) = mpsc::channel(QUEUE_MAX);
        let writer = write_all(registry.clone(), tasks.clone(), reports);
        tasks.spawn("scheduler reports", OnExit::Ignore, writer);
        Self {
            recorder: recorder.clone(),
            queue,
        }
    }

    pub(super) fn scheduled(&self, pod: &PodInfo, node: &str) {
        let message = format!("Successfully assigned {} to {node}", pod.key);
        self.tell(pod, EventType::Normal, "Scheduled", &message);
    }

    fn tell(&self, pod: &PodInfo, event_type: EventType, reason: &str, message: &str) {
        self.recorder.record(Occurrence {
            about: Reference {
                uid: pod.uid.to_string(),
                ..Reference::by_name(kind::POD, &pod.key)
            },
            event_type,
            reason: reason.to_owned(),
            message: message.to_owned(),
            component: "default-scheduler",
            host: String::new(),
        });
    }

    /// Says so once: the same words again change nothing.
    pub(super) fn unschedulable(&self, pod: &Arc<PodInfo>, message: String) {
        self.tell(pod, EventType::Warning, "FailedScheduling", &message);
        if pod.said.as_ref() == Some(&message) {
            return;
        }
        let report = Report {
            pod: Arc::clone(pod),
            message,
        };
        if self.queue.try_send(report).is_err() {
            tracing::debug!("a scheduling condition was dropped: too many wait");
        }
    }
}

async fn write_all(registry: Registry, tasks: Tasks, mut reports: mpsc::Receiver<Report>) {
    loop {
        let report = tokio::select! {
            () = tasks.stop().cancelled() => return,
            report = reports.recv() => report,
        };
        let Some(Report { pod, message }) = report else {
            return;
        };
        let time = coracle_api::time(registry.clock().now());
        let context = Context::system("kube-scheduler");
        let mark = |value: &mut Value| mark(value, &pod.uid, &message, &time);
        let written = registry.modify(&context, kind::POD, &pod.key, Subresource::Status, mark);
        match written.await {
            Ok(_) => {}
            Err(error) if error.code == 404 => {}
            Err(error) => tracing::warn!(%error, "cannot write a pod's condition"),
        }
    }
}

/// Sets the condition, unless the pod is another one or has a node by now.
fn mark(pod: &mut Value, uid: &str, message: &str, time: &str) -> Result<(), StatusError> {
    let bound = pod["spec"]["nodeName"]
        .as_str()
        .is_some_and(|node| !node.is_empty());
    if bound || pod["metadata"]["uid"] != uid {
        return Ok(());
    }
    if !pod["status"]["conditions"].is_array() {
        pod["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = pod["status"]["conditions"].as_array_mut() else {
        return Ok(());
    };
    let at = conditions
        .iter()
        .position(|condition| condition["type"] == "PodScheduled");
    let since = at
        .map(|at| conditions.remove(at))
        .filter(|old| old["status"] == "False")
        .map_or_else(|| json!(time), |old| old["lastTransitionTime"].clone());
    conditions.push(json!({
        "type": "PodScheduled", "status": "False", "lastProbeTime": null,
        "lastTransitionTime": since, "reason": "Unschedulable", "message": message,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_and_a_bound_pod_its_peace() {
        let mut pod = json!({"metadata": {"uid": "u"}, "spec": {}, "status": {}});
        mark(&mut pod, "u", "m", "t1").unwrap();
        mark(&mut pod, "u", "n", "t2").unwrap();
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0]["message"], "n");
        assert_eq!(conditions[0]["lastTransitionTime"], "t1");
        assert_eq!(conditions[0]["reason"], "Unschedulable");
        let before = pod.clone();
        mark(&mut pod, "other", "x", "t3").unwrap();
        assert_eq!(pod, before);
        let mut bound = json!({"metadata": {"uid": "u"}, "spec": {"nodeName": "n"}, "status": {}});
        mark(&mut bound, "u", "m", "t").unwrap();
        assert_eq!(bound["status"], json!({}));
    }
}
