//! What of a Service goes with its type, and what the registry gives it.

use super::*;

const LOCAL: &str = "Local";

fn service(name: &str, spec: Value) -> Value {
    let mut service = json!({"metadata": {"name": name}, "spec": spec});
    service["spec"]["ports"] = json!([{"port": 80}]);
    service
}

async fn create(door: &Door, service: Value) -> Value {
    let created = door
        .registry
        .create(&me(), kind::SERVICE, "default", service)
        .await;
    created.unwrap().value()
}

async fn change(door: &Door, edit: fn(&mut Value)) -> Result<Value, StatusError> {
    let key = Key::new("default", "a");
    let edit = move |value: &mut Value| {
        edit(&mut value["spec"]);
        Ok(())
    };
    let changed = door
        .registry
        .modify(&me(), kind::SERVICE, &key, Subresource::None, edit)
        .await;
    changed.map(|service| service.value()["spec"].take())
}

#[tokio::test]
async fn what_only_a_type_has_goes_with_it() {
    let door = open().await;
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": LOCAL, "loadBalancerClass": "a.io/b"});
    let balanced = create(&door, service("a", spec)).await;
    assert!(balanced["spec"]["healthCheckNodePort"].is_number());
    let node_port = balanced["spec"]["ports"][0]["nodePort"].clone();
    assert!(node_port.is_number());

    let spec = change(&door, |spec| spec["type"] = json!("NodePort"))
        .await
        .unwrap();
    for field in [
        "healthCheckNodePort",
        "allocateLoadBalancerNodePorts",
        "loadBalancerClass",
    ] {
        assert!(spec[field].is_null(), "{field}");
    }
    assert_eq!(spec["externalTrafficPolicy"], LOCAL);
    assert_eq!(spec["ports"][0]["nodePort"], node_port);

    let spec = change(&door, |spec| spec["type"] = json!("ClusterIP"))
        .await
        .unwrap();
    assert!(spec["externalTrafficPolicy"].is_null());
    assert!(spec["ports"][0]["nodePort"].is_null());

    let error = change(&door, |spec| spec["ports"][0]["nodePort"] = json!(30099)).await;
    let said = "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'";
    assert!(error.unwrap_err().message.ends_with(said));
}

/// A DNS server listens for both on 53.
#[tokio::test]
async fn protocols_of_one_port_share_the_port_of_nodes() {
    let door = open().await;
    let ports = |number: Value| {
        json!([{"name": "u", "port": 53, "protocol": "UDP"},
            {"name": "t", "port": 53, "protocol": "TCP", "nodePort": number}, {"name": "x", "port": 80}])
    };
    let chosen = |ports: &Value| -> Vec<u64> {
        let ports = ports.as_array().into_iter().flatten();
        ports.filter_map(|port| port["nodePort"].as_u64()).collect()
    };
    let with = |name: &str, number: Value| {
        let mut service = service(name, json!({"type": "NodePort"}));
        service["spec"]["ports"] = ports(number);
        service
    };
    let made = create(&door, with("a", Value::Null)).await;
    assert_eq!(chosen(&made["spec"]["ports"]), [32767, 32767, 32766]);
    // The same again, another number of one, and one that is new.
    let again = change(&door, |spec| {
        for port in spec["ports"].as_array_mut().into_iter().flatten() {
            port["nodePort"].take();
        }
    });
    assert_eq!(
        chosen(&again.await.unwrap()["ports"]),
        [32767, 32767, 32766]
    );
    let moved = change(&door, |spec| {
        spec["ports"][0] = json!({"name": "u", "port": 54, "protocol": "UDP"});
        spec["ports"][2] = json!({"name": "y", "port": 53, "protocol": "SCTP"});
    });
    assert_eq!(
        chosen(&moved.await.unwrap()["ports"]),
        [32767, 32767, 32765]
    );
    let named = create(&door, with("b", json!(30053))).await;
    assert_eq!(chosen(&named["spec"]["ports"]), [30053, 30053, 32766]);
}

/// A port that is new with the type that has none is not what the type leaves behind.
#[tokio::test]
async fn a_new_port_does_not_go_with_the_type() {
    let door = open().await;
    create(&door, service("a", json!({"type": "NodePort"}))).await;
    let error = change(&door, |spec| {
        spec["type"] = json!("ClusterIP");
        spec["ports"][0]["nodePort"] = json!(30099);
    });
    let error = error.await.unwrap_err();
    assert_eq!((error.code, error.reason), (422, "Invalid"));
    assert!(error.message.contains("nodePort: Forbidden"), "{error}");
}

#[tokio::test]
async fn ports_for_health_are_kept_and_nobody_elses() {
    let door = open().await;
    let local = |port: Value| json!({"type": "LoadBalancer", "externalTrafficPolicy": LOCAL, "healthCheckNodePort": port});
    let first = create(&door, service("a", local(json!(30100)))).await;
    assert_eq!(first["spec"]["healthCheckNodePort"], 30100);
    let second = service("b", local(json!(30100)));
    let error = door
        .registry
        .create(&me(), kind::SERVICE, "default", second)
        .await
        .unwrap_err();
    assert!(
        error.message.ends_with(
            "failed to allocate requested HealthCheck NodePort 30100: provided port is already allocated"
        ),
        "{error}"
    );
    let kept = change(&door, |spec| {
        if let Some(spec) = spec.as_object_mut() {
            spec.remove("healthCheckNodePort");
        }
    });
    assert_eq!(kept.await.unwrap()["healthCheckNodePort"], 30100);
    let error = change(&door, |spec| spec["healthCheckNodePort"] = json!(30101)).await;
    let said = "spec.healthCheckNodePort: Forbidden: field is immutable";
    assert!(error.unwrap_err().message.ends_with(said));
}

#[tokio::test]
async fn a_load_balancer_may_want_no_ports_of_nodes() {
    let door = open().await;
    let spec = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false});
    let created = create(&door, service("a", spec)).await;
    assert!(created["spec"]["ports"][0]["nodePort"].is_null());
}

#[tokio::test]
async fn an_empty_address_is_the_one_it_has() {
    let door = open().await;
    create(&door, service("b", json!({}))).await;
    let made = create(&door, service("a", json!({}))).await;
    door.registry
        .delete(
            &me(),
            kind::SERVICE,
            &Key::new("default", "b"),
            DeleteOptions::default(),
        )
        .await
        .unwrap();
    let written = change(&door, |spec| {
        spec["clusterIP"] = json!("");
        spec["clusterIPs"] = json!([]);
    });
    assert_eq!(written.await.unwrap(), made["spec"]);
}
