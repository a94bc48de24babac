//! The controllers: each brings one kind of thing from what is to what shall be.
//!
//! Every controller reads the cache and writes through the registry; none knows another. A new one
//! is a file with `plan` on top and a row in [`start`].

mod account_token;
mod bound;
mod certificate_approver;
mod certificate_signer;
mod claim;
mod definitions;
mod deployment;
mod disruption;
mod endpoint_slice;
mod event_ttl;
mod garbage;
mod namespace;
mod node_lease;
mod node_lifecycle;
mod pod_gc;
mod pods;
mod readiness_gate;
mod replica_set;
mod resource_quota;
mod role_aggregation;
mod service_account;

use crate::{
    auth::Accounts,
    events::Recorder,
    liveness::Liveness,
    pki::Pki,
    reconcile::{self, Loop, LoopStatus, Reconciler},
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
    /// Which node's link is open.
    pub liveness: Liveness,
    /// The CA's certificate, PEM, for `kube-root-ca.crt`.
    pub ca_pem: String,
    /// What signs approved certificate requests; none where there is no CA.
    pub pki: Option<Arc<Pki>>,
    /// What makes tokens of service accounts; none where nobody is known by one.
    pub accounts: Option<Accounts>,
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
    starter.start(disruption::Disruptions {
        registry: registry.clone(),
        events: events.clone(),
    });
    starter.start(resource_quota::ResourceQuotas {
        registry: registry.clone(),
    });
    starter.start(definitions::Definitions {
        registry: registry.clone(),
    });
    starter.start(garbage::Garbage {
        registry: registry.clone(),
        events: events.clone(),
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
    starter.start(pod_gc::PodGc::new(registry));
    starter.start(role_aggregation::RoleAggregation {
        registry: registry.clone(),
    });
    start_credentials(inputs, &mut starter);
    start_node_parts(inputs, &mut starter);
    Controllers(starter.loops)
}

/// What proves who somebody is.
fn start_credentials(inputs: &Inputs, starter: &mut Starter<'_>) {
    let registry = &inputs.registry;
    if let Some(accounts) = &inputs.accounts {
        starter.start(account_token::AccountTokens {
            registry: registry.clone(),
            accounts: accounts.clone(),
            ca_pem: inputs.ca_pem.clone(),
        });
        let tasks = starter.tasks;
        let mark = account_token::mark_used(registry.clone(), accounts.clone(), tasks.clone());
        tasks.spawn("tokens' use", OnExit::Ignore, mark);
    }
    starter.start(certificate_approver::CertificateApprover {
        registry: registry.clone(),
    });
    if let Some(pki) = &inputs.pki {
        starter.start(certificate_signer::CertificateSigner {
            registry: registry.clone(),
            pki: Arc::clone(pki),
        });
    }
}

/// What follows the links of nodes.
fn start_node_parts(inputs: &Inputs, starter: &mut Starter<'_>) {
    let (registry, liveness, tasks) = (&inputs.registry, &inputs.liveness, starter.tasks);
    let lifecycle = node_lifecycle::NodeLifecycle::new(registry, liveness, &inputs.events);
    let handle = starter.start(lifecycle);
    let follow = node_lifecycle::follow_links(liveness.clone(), handle, tasks.clone());
    tasks.spawn("node links", OnExit::Shutdown, follow);
    starter.start(readiness_gate::ReadinessGates {
        registry: registry.clone(),
        liveness: liveness.clone(),
    });
    let leases = node_lease::renew(registry.clone(), liveness.clone(), tasks.clone());
    tasks.spawn("node leases", OnExit::Ignore, leases);
}

struct Starter<'a> {
    registry: &'a Registry,
    tasks: &'a Tasks,
    loops: Vec<(&'static str, Arc<Mutex<LoopStatus>>)>,
}

impl Starter<'_> {
    fn start<R: Reconciler>(&mut self, reconciler: R) -> Loop<R::Key> {
        let rng = StdRng::from_os_rng();
        let handle = reconcile::start(reconciler, self.registry.cache(), self.tasks, rng);
        self.loops.push((R::NAME, handle.shared_status()));
        handle
    }
}

#[cfg(test)]
mod tests;
