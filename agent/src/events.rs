//! Events for people: a bounded queue until the controller has taken them. Never written to disk.

use coracle_daemon::Clock;
use coracle_link::{pod::Pod, status::Event};
use parking_lot::Mutex;
use std::{collections::VecDeque, error::Error, sync::Arc};
use tokio::sync::watch;

/// The oldest go first when nobody fetches them: a minute of a crash loop on every pod of a full node.
const EVENTS_MAX: usize = 512;

/// A handle to the queue.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    queue: Arc<Mutex<VecDeque<Event>>>,
    changed: Arc<watch::Sender<u64>>,
    clock: Clock,
}

impl Events {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            queue: Arc::default(),
            changed: Arc::new(watch::Sender::new(0)),
            clock,
        }
    }

    /// Of a pod; `field_path` names one of its containers.
    pub(crate) fn pod(
        &self,
        pod: &Pod,
        field_path: Option<String>,
        warning: bool,
        reason: &str,
        message: String,
    ) {
        self.push(Event {
            pod_uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            field_path: field_path.unwrap_or_default(),
            warning,
            reason: reason.to_owned(),
            message,
            time_ms: self.clock.unix_millis(),
        });
    }

    /// Of the node itself.
    pub(crate) fn node(&self, warning: bool, reason: &str, message: String) {
        self.push(Event {
            pod_uid: String::new(),
            namespace: String::new(),
            name: String::new(),
            field_path: String::new(),
            warning,
            reason: reason.to_owned(),
            message,
            time_ms: self.clock.unix_millis(),
        });
    }

    fn push(&self, event: Event) {
        tracing::debug!(namespace = %event.namespace, name = %event.name, reason = %event.reason, message = %event.message, "event");
        let mut queue = self.queue.lock();
        if queue.len() >= EVENTS_MAX {
            queue.pop_front();
        }
        queue.push_back(event);
        drop(queue);
        self.changed.send_modify(|count| *count += 1);
    }

    /// The oldest events, removed.
    pub(crate) fn take(&self, max: usize) -> Vec<Event> {
        let mut queue = self.queue.lock();
        let count = queue.len().min(max);
        queue.drain(..count).collect()
    }

    /// Puts back what could not be sent.
    pub(crate) fn put_back(&self, events: Vec<Event>) {
        let mut queue = self.queue.lock();
        for event in events.into_iter().rev() {
            if queue.len() < EVENTS_MAX {
                queue.push_front(event);
            }
        }
    }

    /// Changes with each new event.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded_and_keeps_the_newest() {
        let events = Events::new(Clock::system());
        for index in 0..EVENTS_MAX + 3 {
            events.node(false, "Test", index.to_string());
        }
        let taken = events.take(2);
        assert_eq!((taken[0].message.as_str(), taken.len()), ("3", 2));
        events.put_back(taken);
        assert_eq!(events.take(1)[0].message, "3");
    }
}
