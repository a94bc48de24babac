//! Services: what they are, and what of them stays.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
fn services() {
    let service = |edit: fn(&mut Value)| {
        let mut object = json!({"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}});
        edit(&mut object["spec"]);
        object
    };
    check(kind::SERVICE, service(|_| {}), &[]);
    let external = |spec| check(kind::SERVICE, json!({"spec": spec}), &[]);
    external(json!({"type": "ExternalName", "externalName": "example.com."}));
    for (edit, said) in [
        (
            (|spec| spec["clusterIP"] = json!("foo")) as fn(&mut Value),
            "spec.clusterIPs[0]: Invalid value: \"foo\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            |spec| spec["sessionAffinity"] = json!("x"),
            "spec.sessionAffinity: Unsupported value: \"x\": supported values: \"ClientIP\", \"None\"",
        ),
        (
            |spec| spec["internalTrafficPolicy"] = json!("X"),
            "spec.internalTrafficPolicy: Unsupported value: \"X\": supported values: \"Cluster\", \"Local\"",
        ),
        (
            |spec| spec["externalTrafficPolicy"] = json!("Local"),
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
        ),
        (
            |spec| spec["externalIPs"] = json!(["x"]),
            "spec.externalIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            |spec| spec["ipFamilies"] = json!(["IPv6"]),
            "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
        ),
        (
            |spec| spec["ipFamilyPolicy"] = json!("RequireDualStack"),
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
        ),
        (
            |spec| spec["loadBalancerSourceRanges"] = json!(["10.0.0.0/8"]),
            "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            |spec| *spec = json!({"type": "ExternalName"}),
            "spec.externalName: Required value",
        ),
        (
            |spec| *spec = json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 1}]}),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
        (
            |spec| spec["ports"][0] = json!({"port": 0, "targetPort": 80}),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            |spec| spec["ports"][0]["targetPort"] = json!("a-port-of-17-long"),
            "spec.ports[0].targetPort: Invalid value: \"a-port-of-17-long\": must be no more than 15 characters",
        ),
        (
            |spec| spec["ports"][0]["nodePort"] = json!(30080),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            |spec| spec["ports"][0]["appProtocol"] = json!("a b"),
            "spec.ports[0].appProtocol: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        (
            |spec| {
                spec["ports"] = json!([{"name": "a", "port": 1}, {"name": "a", "port": 2}]);
            },
            "spec.ports[1].name: Duplicate value: \"a\"",
        ),
        (
            |spec| {
                *spec = json!({"type": "NodePort", "ports": [
                    {"name": "a", "port": 1, "nodePort": 30000}, {"name": "b", "port": 2, "nodePort": 30000}]});
            },
            "spec.ports[1].nodePort: Duplicate value: 30000",
        ),
        (
            |spec| {
                spec["sessionAffinity"] = json!("ClientIP");
                spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 0}});
            },
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400",
        ),
        (
            |spec| spec["healthCheckNodePort"] = json!(30100),
            "spec.healthCheckNodePort: Invalid value: 30100: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
        (
            |spec| {
                spec["type"] = json!("LoadBalancer");
                spec["externalTrafficPolicy"] = json!("Local");
                spec["healthCheckNodePort"] = json!(70000);
            },
            "spec.healthCheckNodePort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            |spec| spec["loadBalancerClass"] = json!("a.io/b"),
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            |spec| spec["allocateLoadBalancerNodePorts"] = json!(false),
            "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            |spec| {
                spec["type"] = json!("LoadBalancer");
                spec["loadBalancerSourceRanges"] = json!(["10.0.0.0/40"]);
            },
            "spec.LoadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0/40\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ),
        (
            |spec| spec["trafficDistribution"] = json!("Near"),
            "spec.trafficDistribution: Unsupported value: \"Near\": supported values: \"PreferClose\", \"PreferSameNode\", \"PreferSameZone\"",
        ),
        (
            |spec| spec["clusterIPs"] = json!(["10.96.0.9"]),
            "spec.clusterIPs: Invalid value: [\"10.96.0.9\"]: must be empty when `clusterIP` is not specified",
        ),
        (
            |spec| {
                spec["clusterIP"] = json!("10.96.0.8");
                spec["clusterIPs"] = json!(["10.96.0.9"]);
            },
            "spec.clusterIPs: Invalid value: [\"10.96.0.9\"]: first value must match `clusterIP`",
        ),
        (
            |spec| {
                spec["clusterIP"] = json!("10.96.0.9");
                spec["clusterIPs"] = json!(["10.96.0.9", "10.96.0.8"]);
            },
            "spec.clusterIPs: Invalid value: [\"10.96.0.9\",\"10.96.0.8\"]: may specify no more than one IP for each IP family",
        ),
        (
            |spec| spec["clusterIP"] = json!("2001:db8::1"),
            "spec.clusterIPs[0]: Invalid value: \"2001:db8::1\": expected an IPv4 value as indicated by `ipFamilies[0]`",
        ),
        (
            |spec| spec["ipFamilies"] = json!(["IPv4", "IPv4"]),
            "spec.ipFamilies[1]: Duplicate value: \"IPv4\"",
        ),
        (
            |spec| spec["ipFamilies"] = json!(["IPv5"]),
            "spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\"",
        ),
        (
            |spec| {
                *spec =
                    json!({"type": "ExternalName", "externalName": "a.io", "ipFamilies": ["IPv4"]});
            },
            "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
        ),
        (
            |spec| {
                *spec = json!({"type": "ExternalName", "externalName": "a.io", "clusterIP": "10.96.0.9"});
            },
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
        ),
    ] {
        check(kind::SERVICE, service(edit), &[said]);
    }
}

/// What Go fills in, nobody has to write.
#[test]
fn services_as_they_are_completed() {
    let ports = || json!([{"port": 80, "targetPort": 0, "protocol": "TCP"}]);
    for spec in [
        json!({"ports": ports(), "sessionAffinity": "ClientIP"}),
        json!({"ports": ports(), "sessionAffinity": "None", "sessionAffinityConfig": {"clientIP": {}}}),
        json!({"ports": ports(), "externalIPs": ["1.2.3.4"]}),
        json!({"ports": ports(), "type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "a.io/b"}),
        json!({"ports": ports(), "clusterIP": "None", "trafficDistribution": "PreferSameZone"}),
        json!({"clusterIP": "None", "clusterIPs": ["None"]}),
    ] {
        check(kind::SERVICE, json!({"spec": spec}), &[]);
    }
}

#[test]
fn annotations_of_services() {
    let service = |annotations: Value| json!({"metadata": {"annotations": annotations}, "spec": {"ports": [{"port": 80}]}});
    check(
        kind::SERVICE,
        service(
            json!({"service.kubernetes.io/topology-aware-hints": "auto", "service.kubernetes.io/topology-mode": "disabled"}),
        ),
        &[
            "metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: \"disabled\": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified",
        ],
    );
    check(
        kind::SERVICE,
        service(json!({"service.beta.kubernetes.io/load-balancer-source-ranges": "10.0.0.0/8, x"})),
        &[
            "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Forbidden: may only be used when `type` is 'LoadBalancer'",
            "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ],
    );
}

#[test]
fn what_of_a_service_stays() {
    let old = json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30100,
        "loadBalancerClass": "a.io/b", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [{"port": 80}]}});
    for (edit, fields) in [
        (
            (|service| service["spec"]["healthCheckNodePort"] = json!(30101)) as fn(&mut Value),
            "spec.healthCheckNodePort",
        ),
        (
            |service| service["spec"]["loadBalancerClass"] = json!("a.io/c"),
            "spec.loadBalancerClass",
        ),
        (
            |service| {
                service["spec"]["clusterIP"] = json!("10.96.0.8");
                service["spec"]["clusterIPs"] = json!(["10.96.0.8"]);
            },
            "spec.clusterIPs[0]",
        ),
    ] {
        check_change(kind::SERVICE, old.clone(), edit, &[fields]);
    }
    let family = |service: &mut Value| service["spec"]["ipFamilies"] = json!(["IPv6"]);
    check_change(
        kind::SERVICE,
        json!({"spec": {"ports": [{"port": 80}]}}),
        family,
        &["spec.ipFamilies[0]", "spec.ipFamilies[0]"],
    );
}
