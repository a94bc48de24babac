//! The Endpoints object of a Service: what clients from before EndpointSlices read. Pure.
//!
//! Source: k8s.io/kubernetes `pkg/controller/endpoint`.

use super::{HEADLESS, Wanted};
use crate::object::Object;
use serde_json::{Map, Value, json};

/// Addresses in one object, as upstream; more are left out, and an annotation says so.
const ADDRESSES_MAX: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";

/// The object for these endpoints; pods that end are in it only where unready ones are wanted too.
pub(super) fn of_service(service: &Object, wanted: &Wanted, with_unready: bool) -> Value {
    let mut room = ADDRESSES_MAX;
    let mut subsets = Vec::new();
    let mut left_out = false;
    for (ports, endpoints) in wanted.values() {
        let (mut ready, mut unready) = (Vec::new(), Vec::new());
        for endpoint in endpoints {
            let conditions = &endpoint["conditions"];
            if conditions["terminating"] == json!(true) && !with_unready {
                continue;
            }
            if room == 0 {
                left_out = true;
                break;
            }
            room -= 1;
            if conditions["ready"] == json!(true) {
                ready.push(address(endpoint));
            } else {
                unready.push(address(endpoint));
            }
        }
        subsets.extend(subset(ready, unready, ports));
    }
    let mut labels = service.meta.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if service.value()["spec"]["clusterIP"] == "None" {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let mut object = json!({"metadata": {"name": service.key.name, "labels": labels}});
    if left_out {
        object["metadata"]["annotations"] = json!({OVER_CAPACITY: "truncated"});
    }
    if !subsets.is_empty() {
        object["subsets"] = json!(subsets);
    }
    object
}

fn subset(ready: Vec<Value>, unready: Vec<Value>, ports: &Value) -> Option<Value> {
    if ready.is_empty() && unready.is_empty() {
        return None;
    }
    let mut subset = Map::new();
    let lists = [("addresses", ready), ("notReadyAddresses", unready)];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        subset.insert(name.to_owned(), json!(list));
    }
    let ports: Vec<Value> = ports.as_array().into_iter().flatten().map(port).collect();
    if !ports.is_empty() {
        subset.insert("ports".to_owned(), json!(ports));
    }
    Some(Value::Object(subset))
}

fn address(endpoint: &Value) -> Value {
    let mut address = json!({"ip": endpoint["addresses"][0]});
    for field in ["hostname", "nodeName", "targetRef"] {
        if !endpoint[field].is_null() {
            address[field] = endpoint[field].clone();
        }
    }
    address
}

/// Only slices have ports with an empty name.
fn port(port: &Value) -> Value {
    let mut port = port.clone();
    if port["name"] == ""
        && let Some(fields) = port.as_object_mut()
    {
        fields.remove("name");
    }
    port
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::{Revision, kind};

    fn endpoint(ip: &str, ready: bool, terminating: bool) -> Value {
        json!({"addresses": [ip], "nodeName": "n", "conditions": {"ready": ready, "serving": ready, "terminating": terminating}})
    }

    fn service() -> Object {
        let value = json!({"metadata": {"name": "s", "namespace": "d", "labels": {"a": "b"}}, "spec": {"clusterIP": "10.0.0.1"}});
        Object::new(kind::SERVICE, Revision(1), value).unwrap()
    }

    fn wanted(endpoints: Vec<Value>) -> Wanted {
        let ports = json!([{"name": "", "port": 80, "protocol": "TCP"}]);
        Wanted::from([(ports.to_string(), (ports, endpoints))])
    }

    #[test]
    fn ready_and_unready_are_apart_and_what_ends_is_left_out() {
        let all = vec![
            endpoint("10.0.0.1", true, false),
            endpoint("10.0.0.2", false, false),
            endpoint("10.0.0.3", false, true),
        ];
        let object = of_service(&service(), &wanted(all.clone()), false);
        assert_eq!(
            object["subsets"],
            json!([{
                "addresses": [{"ip": "10.0.0.1", "nodeName": "n"}],
                "notReadyAddresses": [{"ip": "10.0.0.2", "nodeName": "n"}],
                "ports": [{"port": 80, "protocol": "TCP"}],
            }])
        );
        assert_eq!(
            object["metadata"]["labels"],
            json!({"a": "b", MANAGED_BY: MANAGER})
        );
        let object = of_service(&service(), &wanted(all), true);
        assert_eq!(
            object["subsets"][0]["notReadyAddresses"]
                .as_array()
                .map(Vec::len),
            Some(2)
        );
        assert!(
            of_service(&service(), &wanted(Vec::new()), false)
                .get("subsets")
                .is_none()
        );
    }

    #[test]
    fn there_is_a_most() {
        let many = (0..=ADDRESSES_MAX).map(|_| endpoint("10.0.0.1", true, false));
        let object = of_service(&service(), &wanted(many.collect()), false);
        let listed = object["subsets"][0]["addresses"].as_array().map(Vec::len);
        assert_eq!(listed, Some(ADDRESSES_MAX));
        assert_eq!(
            object["metadata"]["annotations"],
            json!({OVER_CAPACITY: "truncated"})
        );
    }
}
