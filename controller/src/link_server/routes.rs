//! The services a node forwards to: Services joined with their EndpointSlices.
//!
//! Pure. Only ready endpoints of pods are in it; every node gets the same list, since a node port is
//! open on all of them.

use crate::cache::Cache;
use coracle_api::{
    Key,
    k8s_openapi::api::{
        core::v1::Service,
        discovery::v1::{Endpoint as ApiEndpoint, EndpointSlice},
    },
    kind,
};
use coracle_link::route::{Endpoint, ServicePort};
use std::{collections::HashMap, sync::Arc};

/// Names the service of a slice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// All routes, in the order of namespace, service and port.
pub(crate) fn all(cache: &Cache) -> Vec<ServicePort> {
    let mut slices: HashMap<Key, Vec<Arc<EndpointSlice>>> = HashMap::new();
    for object in cache.list(kind::ENDPOINT_SLICE, None) {
        let labels = object.meta.labels.as_ref();
        let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) else {
            continue;
        };
        let key = Key::new(&object.key.namespace, service);
        if let Ok(slice) = object.typed() {
            slices.entry(key).or_default().push(slice);
        }
    }
    let services = cache.list(kind::SERVICE, None);
    let of = |object: &Arc<crate::object::Object>| {
        let service: Arc<Service> = object.typed().ok()?;
        let slices = slices.get(&object.key).map(Vec::as_slice);
        Some(of_service(
            cache,
            &object.key,
            &service,
            slices.unwrap_or_default(),
        ))
    };
    services.iter().filter_map(of).flatten().collect()
}

fn of_service(
    cache: &Cache,
    key: &Key,
    service: &Service,
    slices: &[Arc<EndpointSlice>],
) -> Vec<ServicePort> {
    let ports = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    ports
        .filter(|port| matches!(port.protocol.as_deref(), None | Some("TCP")))
        .filter_map(|port| {
            let name = port.name.clone().unwrap_or_default();
            let mut endpoints = Vec::new();
            for slice in slices {
                let target = slice
                    .ports
                    .iter()
                    .flatten()
                    .find(|target| target.name.as_deref().unwrap_or_default() == name);
                let target = target
                    .and_then(|target| target.port)
                    .and_then(|target| u16::try_from(target).ok());
                let Some(target) = target else { continue };
                let ready = slice.endpoints.iter().filter(|one| is_ready(one));
                endpoints.extend(ready.filter_map(|one| endpoint(cache, key, one, target)));
            }
            endpoints.sort_by(|a, b| a.pod_uid.cmp(&b.pod_uid));
            endpoints.dedup();
            Some(ServicePort {
                namespace: key.namespace.clone(),
                service: key.name.clone(),
                port_name: name,
                port: u16::try_from(port.port).ok()?,
                node_port: u16::try_from(port.node_port.unwrap_or(0)).unwrap_or(0),
                endpoints,
            })
        })
        .collect()
}

/// Absent means ready, as upstream says.
fn is_ready(endpoint: &ApiEndpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions
        .and_then(|conditions| conditions.ready)
        .unwrap_or(true)
}

fn endpoint(cache: &Cache, key: &Key, api: &ApiEndpoint, target_port: u16) -> Option<Endpoint> {
    let target = api.target_ref.as_ref()?;
    if target.kind.as_deref() != Some("Pod") {
        return None;
    }
    let pod = Key::new(&key.namespace, target.name.as_deref()?);
    let pod_uid = match &target.uid {
        Some(uid) => uid.clone(),
        None => cache.get(kind::POD, &pod)?.uid().to_owned(),
    };
    let node = match &api.node_name {
        Some(node) => node.clone(),
        None => {
            let pod = cache.get(kind::POD, &pod)?.value();
            pod["spec"]["nodeName"].as_str()?.to_owned()
        }
    };
    Some(Endpoint {
        pod_uid,
        node,
        target_port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use coracle_api::{KindRef, Revision};
    use serde_json::{Value, json};

    fn object(kind: KindRef, value: Value) -> Object {
        Object::new(kind, Revision(1), value).unwrap()
    }

    #[test]
    fn only_ready_pods_of_the_right_port() {
        let service = json!({
            "metadata": {"namespace": "n", "name": "web"},
            "spec": {"ports": [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "other", "port": 81}]},
        });
        let slice = json!({
            "metadata": {"namespace": "n", "name": "web-1", "labels": {SERVICE_NAME: "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.1.0.1"], "nodeName": "a", "conditions": {"ready": true},
                 "targetRef": {"kind": "Pod", "name": "p1", "uid": "u1"}},
                {"addresses": ["10.1.0.2"], "nodeName": "a", "conditions": {"ready": false},
                 "targetRef": {"kind": "Pod", "name": "p2", "uid": "u2"}},
                {"addresses": ["10.1.0.3"], "targetRef": {"kind": "Pod", "name": "p3"}},
                {"addresses": ["192.0.2.1"]},
            ],
        });
        let pod = json!({"metadata": {"namespace": "n", "name": "p3", "uid": "u3"}, "spec": {"nodeName": "b", "containers": []}});
        let objects = vec![
            object(kind::SERVICE, service),
            object(kind::ENDPOINT_SLICE, slice),
            object(kind::POD, pod),
        ];
        let routes = all(&Cache::new(objects, Revision(1)));
        let shown: Vec<String> = routes
            .iter()
            .map(|route| {
                let endpoints: Vec<String> = route
                    .endpoints
                    .iter()
                    .map(|one| format!("{}@{}:{}", one.pod_uid, one.node, one.target_port))
                    .collect();
                let (name, node_port) = (&route.port_name, route.node_port);
                format!("{name} {} {node_port} {}", route.port, endpoints.join(","))
            })
            .collect();
        assert_eq!(shown, ["http 80 30080 u1@a:8080,u3@b:8080", "other 81 0 "]);
    }
}
