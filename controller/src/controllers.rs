//! The controllers: each brings one kind of thing from what is to what shall be.
//!
//! Every controller reads the cache and writes through the registry; none knows another. A new one
//! is a file with `plan` on top and a row in [`start`].

mod claim;
mod deployment;
mod endpoint_slice;
mod event_ttl;
mod garbage;
mod namespace;
mod pods;
mod replica_set;
mod service_account;

use crate::{
    events::Recorder,
    reconcile::{self, LoopStatus, Reconciler},
    registry::Registry,
};
use coracle_daemon::{OnExit, Tasks};
use parking_lot::Mutex;
use rand::{SeedableRng as _, rngs::StdRng};
use std::sync::Arc;

/// What the controllers stand on.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Where they read and write.
    pub registry: Registry,
    /// Where they tell people.
    pub events: Recorder,
    /// The CA's certificate, PEM, for `kube-root-ca.crt`.
    pub ca_pem: String,
}

/// The controllers at work.
#[derive(Debug, Clone, Default)]
pub struct Controllers(Vec<(&'static str, Arc<Mutex<LoopStatus>>)>);

impl Controllers {
    /// How each is doing, by name.
    #[must_use]
    pub fn status(&self) -> Vec<(&'static str, LoopStatus)> {
        let status = |(name, status): &(&'static str, Arc<Mutex<LoopStatus>>)| {
            (*name, status.lock().clone())
        };
        self.0.iter().map(status).collect()
    }
}

/// Starts every controller; they run until the tasks are asked to stop.
#[must_use]
pub fn start(inputs: &Inputs, tasks: &Tasks) -> Controllers {
    let (registry, events) = (&inputs.registry, &inputs.events);
    let mut starter = Starter {
        registry,
        tasks,
        loops: Vec::new(),
    };
    starter.start(replica_set::ReplicaSets {
        registry: registry.clone(),
        events: events.clone(),
    });
    starter.start(deployment::Deployments {
        registry: registry.clone(),
        events: events.clone(),
    });
    starter.start(endpoint_slice::EndpointSlices {
        registry: registry.clone(),
        events: events.clone(),
    });
    starter.start(garbage::Garbage {
        registry: registry.clone(),
    });
    starter.start(namespace::Namespaces {
        registry: registry.clone(),
    });
    starter.start(service_account::ServiceAccounts {
        registry: registry.clone(),
        ca_pem: inputs.ca_pem.clone(),
    });
    tasks.spawn(
        "event TTL",
        OnExit::Ignore,
        event_ttl::run(registry.clone(), tasks.clone()),
    );
    Controllers(starter.loops)
}

struct Starter<'a> {
    registry: &'a Registry,
    tasks: &'a Tasks,
    loops: Vec<(&'static str, Arc<Mutex<LoopStatus>>)>,
}

impl Starter<'_> {
    fn start<R: Reconciler>(&mut self, reconciler: R) {
        let rng = StdRng::from_os_rng();
        let handle = reconcile::start(reconciler, self.registry.cache(), self.tasks, rng);
        self.loops.push((R::NAME, handle.shared_status()));
    }
}

/// RFC 3339 in whole seconds, as the API prints times.
fn time(now: jiff::Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
