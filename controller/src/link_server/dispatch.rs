//! Follows the cache and tells each session what to look at again; computes the routes for all.
//!
//! One task for all nodes, so that a change costs its own node something and no other.

use super::{Routes, Shared, enroll::Refused, routes};
use crate::cache::{Change, ChangeKind};
use coracle_api::{KindRef, k8s_openapi::api::core::v1::Pod as ApiPod, kind};
use coracle_link::{pb, pb::RefusalReason};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Routes are computed at most this often: a rollout changes many endpoints at once.
const ROUTES_PERIOD: Duration = Duration::from_millis(20);

/// Runs until the controller stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let cache = shared.registry.cache().clone();
    let mut newest = cache.newest();
    let mut seen = cache.revision();
    publish(&shared);
    let mut computed = Instant::now();
    let mut routes_wait = false;
    loop {
        let target = *newest.borrow_and_update();
        match cache.since(seen) {
            Ok(changes) => {
                for change in &changes {
                    routes_wait |= is_route(change.object.kind);
                    tell(&shared, change);
                    seen = change.revision;
                }
            }
            Err(_too_old) => {
                seen = target;
                routes_wait = true;
                for session in shared.links.all() {
                    session.dirty.all();
                }
            }
        }
        if routes_wait && computed.elapsed() >= ROUTES_PERIOD {
            publish(&shared);
            computed = Instant::now();
            routes_wait = false;
        }
        tokio::select! {
            () = shared.tasks.stop().cancelled() => return,
            changed = newest.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(computed + ROUTES_PERIOD), if routes_wait => {}
        }
    }
}

fn is_route(kind: KindRef) -> bool {
    kind == kind::SERVICE || kind == kind::ENDPOINT_SLICE
}

fn publish(shared: &Shared) {
    let routes = Routes(routes::all(shared.registry.cache()));
    shared.routes.send_if_modified(|old| {
        let changed = **old != routes;
        if changed {
            *old = Arc::new(routes);
        }
        changed
    });
}

fn tell(shared: &Shared, change: &Change) {
    let object = &change.object;
    if object.kind == kind::POD {
        let bound = |pod: &ApiPod| pod.spec.as_ref()?.node_name.clone();
        let pods = std::iter::once(object).chain(change.previous.as_ref());
        let mut nodes: Vec<String> = pods
            .filter_map(|pod| bound(&*pod.typed::<ApiPod>().ok()?))
            .collect();
        nodes.dedup();
        for node in nodes {
            if let Some(session) = shared.links.get(&node) {
                session.dirty.pod(&object.key);
            }
        }
    } else if object.kind == kind::CONFIG_MAP || object.kind == kind::SECRET {
        let dependency = (object.kind.plural, object.key.clone());
        for session in shared.links.all() {
            session.dirty.dependency(&dependency);
        }
    } else if object.kind == kind::NODE && change.kind_of == ChangeKind::Deleted {
        let name = &object.key.name;
        if let Some(session) = shared.links.get(name) {
            session.end(deleted(name));
        }
        shared.liveness.forget(name);
    }
}

/// What an agent is told whose Node is gone.
pub(super) fn deleted(name: &str) -> Refused {
    Refused::new(
        RefusalReason::UnknownNode,
        format!(
            "node {name:?} was deleted: join again with a new token, as `coracle token create` prints it"
        ),
    )
}

/// Routes as a message.
pub(super) fn message(routes: &Routes) -> pb::ToAgent {
    let ports = routes.0.iter().map(Into::into).collect();
    pb::ToAgent {
        message: Some(pb::to_agent::Message::Routes(pb::Routes { ports })),
    }
}
