//! Events: what the parts of the controller tell people about objects.
//!
//! Never holds up who records: a full queue drops the occurrence and counts it. One task correlates
//! and writes, so nobody else waits for the disk because of an Event.

mod correlator;

use crate::{
    object::Object,
    registry::{Context, Registry, Subresource},
};
use coracle_api::{Key, KindRef, StatusError, kind, time};
use coracle_daemon::{OnExit, Tasks};
use correlator::{Correlator, Verdict};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::mpsc;

/// Occurrences that wait to be written, as upstream's broadcaster holds.
const QUEUE_MAX: usize = 1000;
/// Who speaks for a node: its agent, in upstream's words.
pub const KUBELET: &str = "kubelet";
/// Longest message, bytes, as upstream's validation allows.
const MESSAGE_BYTES_MAX: usize = 1024;

/// How an Event is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// Information.
    Normal,
    /// Something to look at.
    Warning,
}

impl EventType {
    /// As the API prints it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// The object an Event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its version when it happened.
    pub resource_version: String,
    /// `spec.containers{name}`, or empty.
    pub field_path: String,
}

impl Reference {
    /// To an object as the cache holds it.
    #[must_use]
    pub fn to(object: &Object) -> Self {
        Self {
            resource_version: object.revision.to_string(),
            uid: object.uid().to_owned(),
            ..Self::by_name(object.kind, &object.key)
        }
    }

    /// To an object that is only known by name.
    #[must_use]
    pub fn by_name(kind: KindRef, key: &Key) -> Self {
        Self {
            api_version: kind.api_version(),
            kind: kind.kind.to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            ..Self::default()
        }
    }
}

/// Something that happened to an object.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// To what.
    pub about: Reference,
    /// How it is meant.
    pub event_type: EventType,
    /// `SuccessfulCreate`.
    pub reason: String,
    /// For a person.
    pub message: String,
    /// Who says so: `replicaset-controller`.
    pub component: &'static str,
    /// On which node, or empty.
    pub host: String,
}

/// Takes occurrences. A clone is another handle to the same queue.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Occurrence>,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// Starts the task that writes them.
    #[must_use]
    pub fn start(registry: &Registry, tasks: &Tasks) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let writer = Writer {
            registry: registry.clone(),
            durable: Context::system("event-recorder"),
            in_memory: Context {
                in_memory: true,
                ..Context::system("event-recorder")
            },
            correlator: Correlator::default(),
        };
        tasks.spawn("events", OnExit::Ignore, writer.run(waiting, tasks.clone()));
        Self {
            queue,
            dropped: Arc::default(),
        }
    }

    /// Tells what happened.
    pub fn record(&self, occurrence: Occurrence) {
        if self.queue.try_send(occurrence).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Occurrences that found the queue full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct Writer {
    registry: Registry,
    durable: Context,
    /// For the agents' own: the boxes repeat them, and they are most of all.
    in_memory: Context,
    correlator: Correlator,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Occurrence>, tasks: Tasks) {
        loop {
            let occurrence = tokio::select! {
                () = tasks.stop().cancelled() => return,
                occurrence = waiting.recv() => occurrence,
            };
            let Some(occurrence) = occurrence else { return };
            if let Err(error) = self.write(&occurrence).await {
                let name = &occurrence.about.name;
                tracing::debug!(%error, name, reason = occurrence.reason, "cannot write an event");
            }
        }
    }

    fn context(&self, occurrence: &Occurrence) -> &Context {
        match occurrence.component {
            KUBELET => &self.in_memory,
            _ => &self.durable,
        }
    }

    async fn write(&mut self, occurrence: &Occurrence) -> Result<(), StatusError> {
        let now = self.registry.clock().now();
        let combined = match self.correlator.judge(occurrence, now) {
            Verdict::Dropped => return Ok(()),
            Verdict::New => false,
            Verdict::Combined => true,
            Verdict::Again { key, combined } => {
                if self.count(&key, occurrence, combined).await? {
                    return Ok(());
                }
                self.correlator.lost(occurrence, combined);
                combined
            }
        };
        let event = event(occurrence, combined, now);
        let namespace = namespace_of(&occurrence.about);
        let written = self
            .registry
            .create(self.context(occurrence), kind::EVENT, namespace, event)
            .await?;
        self.correlator
            .wrote(occurrence, combined, written.key.clone());
        Ok(())
    }

    /// Counts it on the Event that is there; false when that one is gone.
    async fn count(
        &self,
        key: &Key,
        occurrence: &Occurrence,
        combined: bool,
    ) -> Result<bool, StatusError> {
        let now = time(self.registry.clock().now());
        let again = |event: &mut Value| {
            let count = event["count"].as_i64().unwrap_or(1);
            event["count"] = json!(count + 1);
            event["lastTimestamp"] = json!(now);
            event["message"] = json!(message(occurrence, combined));
            Ok(())
        };
        let written = self
            .registry
            .modify(
                self.context(occurrence),
                kind::EVENT,
                key,
                Subresource::None,
                again,
            )
            .await;
        match written {
            Ok(_) => Ok(true),
            Err(error) if error.code == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn namespace_of(about: &Reference) -> &str {
    if about.namespace.is_empty() {
        "default"
    } else {
        &about.namespace
    }
}

fn message(occurrence: &Occurrence, combined: bool) -> String {
    let mut text = occurrence.message.clone();
    if combined {
        text.insert_str(0, "(combined from similar events): ");
    }
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn event(occurrence: &Occurrence, combined: bool, now: jiff::Timestamp) -> Value {
    let about = &occurrence.about;
    let mut involved =
        json!({"kind": about.kind, "apiVersion": about.api_version, "name": about.name});
    let optional = [
        ("namespace", &about.namespace),
        ("uid", &about.uid),
        ("resourceVersion", &about.resource_version),
        ("fieldPath", &about.field_path),
    ];
    for (name, text) in optional {
        if !text.is_empty() {
            involved[name] = json!(text);
        }
    }
    let mut source = json!({"component": occurrence.component});
    if !occurrence.host.is_empty() {
        source["host"] = json!(occurrence.host);
    }
    json!({
        "metadata": {"name": format!("{}.{:x}", about.name, now.as_nanosecond()), "namespace": namespace_of(about)},
        "involvedObject": involved,
        "reason": occurrence.reason,
        "message": message(occurrence, combined),
        "source": source,
        "firstTimestamp": time(now),
        "lastTimestamp": time(now),
        "count": 1,
        "type": occurrence.event_type.as_str(),
        "eventTime": null,
        "reportingComponent": occurrence.component,
        "reportingInstance": occurrence.host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Embedded;
    use coracle_daemon::Clock;
    use std::time::Duration;

    #[tokio::test]
    async fn an_event_is_written_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::new();
        let store = Arc::new(Embedded::open(dir.path()).unwrap());
        let registry = Registry::open(store, Clock::system(), &tasks).unwrap();
        registry.bootstrap().await.unwrap();
        let recorder = Recorder::start(&registry, &tasks);
        let about = Reference::by_name(kind::POD, &Key::new("default", "p"));
        for _ in 0..3 {
            recorder.record(Occurrence {
                about: about.clone(),
                event_type: EventType::Warning,
                reason: "BackOff".to_owned(),
                message: "Back-off".to_owned(),
                component: "kubelet",
                host: "node".to_owned(),
            });
        }
        let mut newest = registry.cache().newest();
        let counted = newest.wait_for(|_| {
            let events = registry.cache().list(kind::EVENT, Some("default"));
            events.len() == 1 && events[0].value()["count"] == 3
        });
        tokio::time::timeout(Duration::from_secs(10), counted)
            .await
            .expect("all are counted on one")
            .unwrap();
        let event = registry.cache().list(kind::EVENT, None)[0].value();
        assert_eq!(event["involvedObject"]["name"], "p");
        assert_eq!(event["source"]["host"], "node");
    }
}
