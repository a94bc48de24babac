//! Rows of Services and of what is behind them.

use super::*;

#[test]
fn services() {
    let service = |spec: Value, balancer: Value| json!({"spec": spec, "status": {"loadBalancer": {"ingress": balancer}}});
    let of = kind::SERVICE;
    check(
        of,
        service(
            json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "externalIPs": ["1.1.1.1", "1.1.1.0"]}),
            json!([]),
        ),
        "a|ClusterIP|None|1.1.1.1,1.1.1.0|<none>|60m|<none>",
    );
    check(
        of,
        service(
            json!({"type": "NodePort", "clusterIPs": ["10.0.0.1", "fd00::1"], "ports": [{"port": 80, "nodePort": 0, "protocol": "TCP"}]}),
            json!([]),
        ),
        "a|NodePort|10.0.0.1|<none>|80/TCP|60m|<none>",
    );
    let balancer = json!({"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "selector": {"a": "1", "a-b": "2"}});
    check(
        of,
        service(balancer.clone(), json!([])),
        "a|LoadBalancer|10.0.0.1|<pending>|<none>|60m|a-b=2,a=1",
    );
    // In order, each once, and never cut.
    check(
        of,
        service(
            balancer.clone(),
            json!([{"hostname": "balancer.example.com"}, {"ip": "2.2.2.2", "hostname": "x"}, {"ip": "2.2.2.2"}, {"ip": "1.1.1.1"}]),
        ),
        "a|LoadBalancer|10.0.0.1|1.1.1.1,2.2.2.2,balancer.example.com|<none>|60m|a-b=2,a=1",
    );
    let mut with_own = balancer;
    with_own["externalIPs"] = json!(["1.0.0.0"]);
    check(
        of,
        service(with_own.clone(), json!([{"ip": "2.2.2.2"}])),
        "a|LoadBalancer|10.0.0.1|2.2.2.2,1.0.0.0|<none>|60m|a-b=2,a=1",
    );
    check(
        of,
        service(with_own, json!([])),
        "a|LoadBalancer|10.0.0.1|1.0.0.0|<none>|60m|a-b=2,a=1",
    );
    check(
        of,
        json!({"spec": {"type": "ExternalName", "externalName": "example.com"}}),
        "a|ExternalName|<none>|example.com|<none>|60m|<none>",
    );
    check(
        of,
        json!({"spec": {"type": "Other"}}),
        "a|Other|<none>|<unknown>|<none>|60m|<none>",
    );
}

#[test]
fn endpoints() {
    let addresses = |count: usize| -> Vec<Value> {
        (1..=count)
            .map(|n| json!({"ip": format!("10.0.0.{n}")}))
            .collect()
    };
    // Headless, without a port.
    check(
        kind::ENDPOINTS,
        json!({"subsets": [{"addresses": addresses(2)}]}),
        "a|10.0.0.1,10.0.0.2|60m",
    );
    check(
        kind::ENDPOINTS,
        json!({"subsets": [{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}, {"addresses": addresses(4)}]}),
        "a|[fd00::1]:80,10.0.0.1,10.0.0.2 + 2 more...|60m",
    );
    check(
        kind::ENDPOINTS,
        json!({"subsets": [{"notReadyAddresses": addresses(1), "ports": [{"port": 80}]}]}),
        "a||60m",
    );
    let slice = |ports: Value, endpoints: Value| json!({"addressType": "IPv4", "ports": ports, "endpoints": endpoints});
    check(
        kind::ENDPOINT_SLICE,
        slice(json!([]), json!([])),
        "a|IPv4|<unset>|<unset>|60m",
    );
    check(
        kind::ENDPOINT_SLICE,
        slice(
            json!([{"port": 80}, {"name": "any"}, {}, {"port": 1}, {"port": 2}]),
            json!([{"addresses": ["1.1.1.1", "1.1.1.2"]}, {"addresses": ["1.1.1.3", "1.1.1.4"]}]),
        ),
        "a|IPv4|80,any,* + 2 more...|1.1.1.1,1.1.1.2,1.1.1.3 + 1 more...|60m",
    );
    check(
        kind::ENDPOINT_SLICE,
        slice(
            json!([{"name": ""}]),
            json!([{"addresses": ["1.1.1.1", "1.1.1.2", "1.1.1.3"]}]),
        ),
        "a|IPv4|<unset>|1.1.1.1,1.1.1.2,1.1.1.3|60m",
    );
}
