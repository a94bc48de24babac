//! Events live for an hour after they last happened.
//!
//! Not a reconciler: nothing changes when an hour is over. Deletes in batches, so that many commits
//! become one write to the disk.

use crate::{
    object::Object,
    registry::{Context, DeleteOptions, Registry},
};
use coracle_api::{StatusError, kind};
use coracle_daemon::Tasks;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// Upstream's `--event-ttl`.
const TTL: SignedDuration = SignedDuration::from_hours(1);
/// How often it is looked for old ones; an Event may live this much longer.
const PERIOD: Duration = Duration::from_secs(60);
/// Deletions in flight.
const BATCH_MAX: usize = 200;

/// When an Event last happened: the latest time it tells.
fn last_seen(event: &Value) -> Option<Timestamp> {
    let times = [
        &event["lastTimestamp"],
        &event["series"]["lastObservedTime"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ];
    times
        .iter()
        .filter_map(|time| time.as_str()?.parse().ok())
        .max()
}

fn is_expired(object: &Object, now: Timestamp) -> bool {
    // Most are too young by their creation alone: those are not decoded.
    let created = object.meta.creation_timestamp.as_ref();
    if created.is_some_and(|created| now.duration_since(created.0) <= TTL) {
        return false;
    }
    last_seen(&object.value()).is_none_or(|seen| now.duration_since(seen) > TTL)
}

/// Deletes old Events until the tasks are asked to stop.
pub(super) async fn run(registry: Registry, tasks: Tasks) {
    loop {
        tokio::select! {
            () = tasks.stop().cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        sweep(&registry).await;
    }
}

async fn sweep(registry: &Registry) {
    let now = registry.clock().now();
    let expired: Vec<Arc<Object>> = registry
        .cache()
        .list(kind::EVENT, None)
        .into_iter()
        .filter(|event| is_expired(event, now))
        .collect();
    for batch in expired.chunks(BATCH_MAX) {
        let results = join_all(batch.iter().map(|event| delete(registry, event))).await;
        for error in results.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "cannot delete an old event; tries again");
        }
    }
}

async fn delete(registry: &Registry, event: &Object) -> Result<(), StatusError> {
    let context = Context::system("event-ttl");
    let options = DeleteOptions {
        // One that happened again meanwhile stays.
        resource_version: Some(event.revision.to_string()),
        ..DeleteOptions::default()
    };
    registry
        .delete(&context, kind::EVENT, &event.key, options)
        .await
        .map(|_deleted| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::Revision;
    use serde_json::json;

    #[test]
    fn an_event_lives_for_an_hour_after_it_last_happened() {
        let event = |last: &str| {
            let value = json!({"metadata": {"name": "e", "namespace": "n", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "lastTimestamp": last});
            Object::new(kind::EVENT, Revision(1), value).unwrap()
        };
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let old = event("2026-01-01T00:00:00Z");
        assert!(!is_expired(&old, at("2026-01-01T01:00:00Z")));
        assert!(is_expired(&old, at("2026-01-01T01:00:01Z")));
        let again = event("2026-01-01T00:30:00Z");
        assert!(!is_expired(&again, at("2026-01-01T01:20:00Z")));
    }
}
