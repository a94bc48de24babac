//! EndpointSlices: for each Service that selects pods, where they are and whether they serve; and the same
//! as one Endpoints object, for clients from before slices.
//!
//! Source: k8s.io/kubernetes `pkg/controller/endpointslice`, `k8s.io/endpointslice`. A pod without an
//! address is left out; one that ends stays in, marked, until it is gone.

mod endpoints;
mod slices;

use super::claim::labels;
use crate::{
    cache::{Change, ChangeKind},
    events::{EventType, Occurrence, Recorder, Reference},
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, DeleteOptions, Registry, Subresource},
};
use coracle_api::{
    Key, KindRef, StatusError,
    k8s_openapi::{
        api::core::v1::{Container, Pod, Service, ServicePort, ServiceSpec},
        apimachinery::pkg::util::intstr::IntOrString,
    },
    kind,
    selector::LabelSelector,
};
use serde_json::{Value, json};
use slices::{Action, Slice};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const COMPONENT: &str = "endpoint-slice-controller";
const ENDPOINTS_COMPONENT: &str = "endpoint-controller";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// The endpoints of a Service, by the ports they are reached at: pods whose named ports have
/// different numbers need slices of their own.
type Wanted = BTreeMap<String, (Value, Vec<Value>)>;

/// The pods a Service has, as endpoints.
fn wanted(service: &Object, spec: &ServiceSpec, pods: &[Arc<Object>]) -> Wanted {
    let mut wanted = Wanted::new();
    for object in pods {
        let Ok(pod) = object.typed::<Pod>() else {
            continue;
        };
        let Some(endpoint) = endpoint(service, spec, object, &pod) else {
            continue;
        };
        let ports = ports(spec, &pod);
        let (_, list) = wanted
            .entry(ports.to_string())
            .or_insert_with(|| (ports, Vec::new()));
        list.push(endpoint);
    }
    wanted
}

/// One pod as an endpoint; none while it has no address, and after it has ended.
fn endpoint(service: &Object, spec: &ServiceSpec, object: &Object, pod: &Pod) -> Option<Value> {
    let status = pod.status.as_ref()?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let address = status.pod_ip.as_deref().filter(|ip| !ip.is_empty())?;
    let serving = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let terminating = object.is_deleting();
    let ready = spec.publish_not_ready_addresses == Some(true) || (serving && !terminating);
    let mut endpoint = json!({
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {"kind": "Pod", "namespace": object.key.namespace, "name": object.key.name, "uid": object.uid()},
    });
    let pod_spec = pod.spec.as_ref()?;
    if let Some(node) = pod_spec
        .node_name
        .as_deref()
        .filter(|node| !node.is_empty())
    {
        endpoint["nodeName"] = json!(node);
    }
    let in_domain = pod_spec.subdomain.as_deref() == Some(&service.key.name);
    let hostname = pod_spec.hostname.as_deref();
    if let Some(hostname) = hostname.filter(|name| in_domain && !name.is_empty()) {
        endpoint["hostname"] = json!(hostname);
    }
    Some(endpoint)
}

/// The Service's ports as this pod has them; a named port that it does not have is left out.
fn ports(spec: &ServiceSpec, pod: &Pod) -> Value {
    let ports = spec.ports.iter().flatten().filter_map(|port| {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let number = target(port, protocol, pod)?;
        let name = port.name.as_deref().unwrap_or_default();
        let mut shown = json!({"name": name, "port": number, "protocol": protocol});
        if let Some(app) = &port.app_protocol {
            shown["appProtocol"] = json!(app);
        }
        Some(shown)
    });
    ports.collect()
}

fn target(port: &ServicePort, protocol: &str, pod: &Pod) -> Option<i32> {
    match port.target_port.as_ref() {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            let sidecars = spec.init_containers.iter().flatten();
            let sidecars = sidecars.filter(|one| one.restart_policy.as_deref() == Some("Always"));
            let named = |container: &Container| {
                let mut ports = container.ports.iter().flatten();
                let found = ports.find(|port| {
                    port.name.as_ref() == Some(name)
                        && port.protocol.as_deref().unwrap_or("TCP") == protocol
                });
                found.map(|port| port.container_port)
            };
            spec.containers.iter().chain(sidecars).find_map(named)
        }
    }
}

/// The labels of a Service's slices: its own, and whose they are.
fn slice_labels(service: &Object, spec: &ServiceSpec) -> Value {
    let mut shown = json!({});
    for (name, value) in labels(service) {
        if name != HEADLESS && name != SERVICE_NAME && name != MANAGED_BY {
            shown[name] = json!(value);
        }
    }
    shown[SERVICE_NAME] = json!(service.key.name);
    shown[MANAGED_BY] = json!(MANAGER);
    if spec.cluster_ip.as_deref() == Some("None") {
        shown[HEADLESS] = json!("");
    }
    shown
}

/// The reconciler.
#[derive(Debug)]
pub(super) struct EndpointSlices {
    pub(super) registry: Registry,
    pub(super) events: Recorder,
}

impl Reconciler for EndpointSlices {
    const NAME: &'static str = "endpointslice";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![
            kind::SERVICE,
            kind::POD,
            kind::ENDPOINT_SLICE,
            kind::ENDPOINTS,
        ]
    }

    fn keys(&self, change: &Change) -> Vec<Key> {
        let object = &change.object;
        if object.kind == kind::SERVICE {
            return vec![object.key.clone()];
        }
        if object.kind == kind::ENDPOINT_SLICE {
            return owners_of(change);
        }
        if object.kind == kind::ENDPOINTS {
            // One that is deleted comes back; what others write is theirs until the Service changes.
            let gone = change.kind_of == ChangeKind::Deleted;
            return gone.then(|| object.key.clone()).into_iter().collect();
        }
        if !concerns_endpoints(change) {
            return Vec::new();
        }
        let states = [Some(object), change.previous.as_ref()];
        let services = self
            .registry
            .cache()
            .list(kind::SERVICE, Some(&object.key.namespace));
        let selected = |service: &&Arc<Object>| {
            let mut states = states.iter().flatten();
            states.any(|state| selects(service, labels(state)))
        };
        let concerned = services.iter().filter(selected);
        concerned.map(|service| service.key.clone()).collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let Some(service) = self.registry.cache().get(kind::SERVICE, key) else {
            self.drop_endpoints(key).await?;
            return Ok(Next::AwaitChange);
        };
        let result = self.sync(&service).await;
        if let Err(error) = &result
            && !matches!(error.code, 404 | 409)
        {
            self.events.record(Occurrence {
                about: Reference::to(&service),
                event_type: EventType::Warning,
                reason: "FailedToUpdateEndpointSlices".to_owned(),
                message: format!("Error updating Endpoint Slices for Service {key}: {error}"),
                component: COMPONENT,
                host: String::new(),
            });
        }
        result.map(|()| Next::AwaitChange)
    }
}

/// The Services whose slice this is or was: whoever loses one, by its labels, needs another.
fn owners_of(change: &Change) -> Vec<Key> {
    let states = [Some(&change.object), change.previous.as_ref()];
    let owners = states.into_iter().flatten().filter_map(|one| owner_of(one));
    let owners: BTreeSet<Key> = owners.collect();
    owners.into_iter().collect()
}

/// The Service of a slice of ours.
fn owner_of(slice: &Object) -> Option<Key> {
    let labels = labels(slice);
    let ours = labels.get(MANAGED_BY).is_some_and(|by| by == MANAGER);
    let name = labels.get(SERVICE_NAME).filter(|_| ours)?;
    Some(Key::new(slice.key.namespace.clone(), name.clone()))
}

/// What selects a Service's pods; none where its endpoints are no matter of ours.
fn selector_of(spec: &ServiceSpec) -> Option<&BTreeMap<String, String>> {
    let selector = spec.selector.as_ref();
    let is_elsewhere = spec.type_.as_deref() == Some("ExternalName");
    selector.filter(|selector| !selector.is_empty() && !is_elsewhere)
}

fn has_selector(service: &Object) -> bool {
    let typed = service.typed::<Service>();
    typed.is_ok_and(|typed| typed.spec.as_ref().and_then(selector_of).is_some())
}

fn selects(service: &Object, labels: &BTreeMap<String, String>) -> bool {
    let Ok(service) = service.typed::<Service>() else {
        return false;
    };
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    let selector = selector.filter(|selector| !selector.is_empty());
    selector.is_some_and(|selector| {
        selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    })
}

fn clear(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

/// Restarts and usage change a pod often; none of that shows in an endpoint.
fn concerns_endpoints(change: &Change) -> bool {
    let Some(previous) = change.previous.as_ref() else {
        return true;
    };
    if change.kind_of != ChangeKind::Modified {
        return true;
    }
    let (Ok(new), Ok(old)) = (change.object.typed::<Pod>(), previous.typed::<Pod>()) else {
        return true;
    };
    let shown = |pod: &Pod| {
        let status = pod.status.clone().unwrap_or_default();
        let ready = status.conditions.unwrap_or_default();
        let ready = ready
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        (status.pod_ip, status.phase, ready, node)
    };
    shown(&new) != shown(&old)
        || change.object.is_deleting() != previous.is_deleting()
        || change.object.meta.labels != previous.meta.labels
}

impl EndpointSlices {
    async fn sync(&self, service: &Arc<Object>) -> Result<(), StatusError> {
        let typed = service.typed::<Service>()?;
        let Some(spec) = typed.spec.as_ref() else {
            return Ok(());
        };
        if service.is_deleting() {
            return Ok(());
        }
        let Some(selector) = selector_of(spec) else {
            // Its slices, if any, are somebody else's.
            return self.keep_endpoints(&service.key).await;
        };
        let cache = self.registry.cache();
        let selector = LabelSelector::from_map(selector);
        let mut pods = cache.list(kind::POD, Some(&service.key.namespace));
        pods.retain(|pod| selector.matches(labels(pod)));
        let wanted = wanted(service, spec, &pods);
        let with_unready = spec.publish_not_ready_addresses == Some(true);
        let whole = endpoints::of_service(service, &wanted, with_unready);
        let (existing, strays) = self.slices_of(service);
        let labels = slice_labels(service, spec);
        let mut failures = Vec::new();
        let plan = slices::plan(&existing, &wanted, &labels);
        for action in plan.into_iter().chain(strays) {
            if let Err(error) = self.apply(service, action, &labels).await {
                failures.push(error);
            }
        }
        if let Err(error) = self.put_endpoints(whole, service).await {
            failures.push(error);
        }
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// The slices of a Service, and what becomes of those that somebody named for another one: they go, or that one
    /// would seem to have these endpoints. Where that one has no selector they stay, as upstream.
    fn slices_of(&self, service: &Object) -> (Vec<Slice>, Vec<Action>) {
        let cache = self.registry.cache();
        let (mut existing, mut strays) = (Vec::new(), Vec::new());
        for slice in cache.dependents(service.uid()) {
            let owner = owner_of(&slice).filter(|_| slice.kind == kind::ENDPOINT_SLICE);
            let Some(owner) = owner else { continue };
            if owner == service.key {
                existing.push(Slice::of(&slice));
            } else if cache
                .get(kind::SERVICE, &owner)
                .is_some_and(|other| has_selector(&other))
            {
                let name = slice.key.name.clone();
                strays.push(Action::Delete { name });
            }
        }
        (existing, strays)
    }

    /// Of a Service that has no selector any more they stay as they were, as upstream; and no start makes them anew.
    async fn keep_endpoints(&self, key: &Key) -> Result<(), StatusError> {
        let of = kind::ENDPOINTS;
        if self.registry.cache().get(of, key).is_none() {
            return Ok(());
        }
        match self.registry.keep(of, key).await {
            Err(error) if error.code != 404 => Err(error),
            _ => Ok(()),
        }
    }

    /// In memory only: all of it follows from the slices and pods, and a start makes it anew.
    async fn put_endpoints(&self, object: Value, service: &Object) -> Result<(), StatusError> {
        let context = Context {
            in_memory: true,
            ..Context::system(ENDPOINTS_COMPONENT)
        };
        let of = kind::ENDPOINTS;
        let change = |value: &mut Value| {
            value["metadata"]["labels"] = object["metadata"]["labels"].clone();
            match object.get("subsets") {
                Some(subsets) => value["subsets"] = subsets.clone(),
                None => clear(value, "subsets"),
            }
            Ok(())
        };
        let (key, part) = (&service.key, Subresource::None);
        let changed = self.registry.modify(&context, of, key, part, change).await;
        match changed {
            Err(error) if error.code == 404 => {
                let created = self
                    .registry
                    .create(&context, of, &key.namespace, object.clone());
                match created.await {
                    // A namespace that ends takes nothing new.
                    Err(error) if error.code != 403 => Err(error),
                    _ => Ok(()),
                }
            }
            other => other.map(|_object| ()),
        }
    }

    /// Of a Service that is gone; whoever made them.
    async fn drop_endpoints(&self, key: &Key) -> Result<(), StatusError> {
        if self.registry.cache().get(kind::ENDPOINTS, key).is_none() {
            return Ok(());
        }
        let context = Context::system(ENDPOINTS_COMPONENT);
        let options = DeleteOptions::default();
        let deleted = self
            .registry
            .delete(&context, kind::ENDPOINTS, key, options)
            .await;
        match deleted {
            Err(error) if error.code != 404 => Err(error),
            _ => Ok(()),
        }
    }

    async fn apply(
        &self,
        service: &Object,
        action: Action,
        labels: &Value,
    ) -> Result<(), StatusError> {
        let context = Context::system(COMPONENT);
        let namespace = &service.key.namespace;
        let of = kind::ENDPOINT_SLICE;
        match action {
            Action::Create { ports, endpoints } => {
                let slice = json!({
                    "metadata": {
                        "generateName": format!("{}-", service.key.name),
                        "labels": labels,
                        "ownerReferences": [super::claim::controller_ref(service)],
                    },
                    "addressType": "IPv4",
                    "ports": ports,
                    "endpoints": endpoints,
                });
                self.registry.create(&context, of, namespace, slice).await?;
            }
            Action::Update {
                name,
                ports,
                endpoints,
            } => {
                let key = Key::new(namespace.clone(), name);
                let change = |value: &mut Value| {
                    value["metadata"]["labels"] = labels.clone();
                    value["ports"] = ports.clone();
                    value["endpoints"] = json!(endpoints);
                    Ok(())
                };
                let part = Subresource::None;
                self.registry
                    .modify(&context, of, &key, part, change)
                    .await?;
            }
            Action::Delete { name } => {
                let key = Key::new(namespace.clone(), name);
                let options = DeleteOptions::default();
                self.registry.delete(&context, of, &key, options).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::Revision;

    fn object(kind: KindRef, value: Value) -> Arc<Object> {
        Arc::new(Object::new(kind, Revision(1), value).unwrap())
    }

    fn service(extra: Value) -> Arc<Object> {
        let mut value = json!({"metadata": {"name": "s", "namespace": "n", "uid": "us", "labels": {"x": "y"}},
            "spec": {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]}});
        for (name, field) in extra.as_object().unwrap() {
            value["spec"][name] = field.clone();
        }
        object(kind::SERVICE, value)
    }

    fn pod(name: &str, port: u16, ready: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "n", "uid": name}, "spec": {"nodeName": "node", "containers": [
            {"name": "c", "ports": [{"name": "web", "containerPort": port, "protocol": "TCP"}]}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn found(service: &Arc<Object>, pods: Vec<Value>) -> Vec<(Value, Vec<Value>)> {
        let pods: Vec<Arc<Object>> = pods
            .into_iter()
            .map(|value| object(kind::POD, value))
            .collect();
        let typed = service.typed::<Service>().unwrap();
        let wanted = wanted(service, typed.spec.as_ref().unwrap(), &pods);
        wanted.into_values().collect()
    }

    #[test]
    fn pods_with_other_numbers_for_a_named_port_are_apart() {
        let all = found(
            &service(json!({})),
            vec![pod("a", 8080, "True"), pod("b", 9090, "False")],
        );
        assert_eq!(all.len(), 2);
        assert_eq!(
            all[0].0,
            json!([{"name": "http", "port": 8080, "protocol": "TCP"}])
        );
        let ready = json!({"ready": true, "serving": true, "terminating": false});
        assert_eq!(all[0].1[0]["conditions"], ready);
        assert_eq!(all[0].1[0]["nodeName"], "node");
        let unready = json!({"ready": false, "serving": false, "terminating": false});
        assert_eq!(all[1].1[0]["conditions"], unready);
    }

    #[test]
    fn a_pod_that_ends_serves_until_it_is_not_ready_and_one_without_address_is_left_out() {
        let mut going = pod("a", 8080, "True");
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let mut nowhere = pod("b", 8080, "False");
        nowhere["status"]["podIP"] = Value::Null;
        let mut ended = pod("c", 8080, "False");
        ended["status"]["phase"] = json!("Succeeded");
        let all = found(&service(json!({})), vec![going, nowhere, ended]);
        assert_eq!((all.len(), all[0].1.len()), (1, 1));
        let terminating = json!({"ready": false, "serving": true, "terminating": true});
        assert_eq!(all[0].1[0]["conditions"], terminating);
    }

    #[test]
    fn addresses_may_be_published_early_and_headless_services_say_so() {
        let early = service(json!({"publishNotReadyAddresses": true, "clusterIP": "None"}));
        let all = found(&early, vec![pod("a", 8080, "False")]);
        assert_eq!(all[0].1[0]["conditions"]["ready"], true);
        let typed = early.typed::<Service>().unwrap();
        let labels = slice_labels(&early, typed.spec.as_ref().unwrap());
        let expected = json!({"x": "y", HEADLESS: "", SERVICE_NAME: "s", MANAGED_BY: MANAGER});
        assert_eq!(labels, expected);
    }

    #[test]
    fn what_no_endpoint_shows_is_passed_over() {
        let change = |edit: fn(&mut Value)| {
            let mut value = pod("a", 80, "True");
            edit(&mut value);
            let before = object(kind::POD, pod("a", 80, "True"));
            let after = object(kind::POD, value);
            concerns_endpoints(&Change::new(after, Some(before), ChangeKind::Modified))
        };
        assert!(!change(|pod| pod["status"]["message"] = json!("x")));
        assert!(change(|pod| pod["status"]["podIP"] = json!("10.0.0.2")));
        assert!(change(|pod| pod["metadata"]["labels"] = json!({"a": "b"})));
    }
}
