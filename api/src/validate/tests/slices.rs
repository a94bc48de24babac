//! EndpointSlices beside their addresses.

use super::*;

fn slice(said: Value) -> Value {
    let mut endpoint = json!({"addresses": ["10.0.0.1"]});
    for (field, value) in said.as_object().into_iter().flatten() {
        endpoint[field] = value.clone();
    }
    json!({"addressType": "IPv4", "endpoints": [endpoint]})
}

#[test]
fn endpoints_say_where_and_for_whom() {
    let nine = |name: &str| vec![json!({"name": name}); 9];
    let no_subdomain = meta::SUBDOMAIN_MESSAGE;
    for (endpoint, said) in [
        (
            json!({"nodeName": "n.a", "hostname": "h", "zone": "z", "hints": {"forZones": [{"name": "Z_1"}], "forNodes": [{"name": "n"}]}}),
            vec![],
        ),
        (
            json!({"nodeName": "B_"}),
            vec![format!(
                "nodeName: Invalid value: \"B_\": {no_subdomain}"
            )],
        ),
        (
            json!({"hostname": "a.b"}),
            vec![format!(
                "hostname: Invalid value: \"a.b\": {}",
                meta::LABEL_MESSAGE
            )],
        ),
        (
            json!({"deprecatedTopology": {"topology.kubernetes.io/zone": "x"}}),
            vec![
                "deprecatedTopology[topology.kubernetes.io/zone]: Internal error: reserved key was not removed in conversion".to_owned(),
            ],
        ),
        (
            json!({"hints": {"forZones": [{"name": "a"}, {"name": "a"}, {"name": "b c"}]}}),
            vec![
                "hints.forZones[1].name: Duplicate value: \"a\"".to_owned(),
                format!(
                    "hints.forZones[2].name: Invalid value: \"b c\": {}",
                    meta::VALUE_MESSAGE
                ),
            ],
        ),
        (
            json!({"hints": {"forNodes": [{"name": "A_"}, {"name": "n"}, {"name": "n"}]}}),
            vec![
                format!("hints.forNodes[0].name: Invalid value: \"A_\": {no_subdomain}"),
                "hints.forNodes[2].name: Duplicate value: \"n\"".to_owned(),
            ],
        ),
        (
            json!({"hints": {"forZones": nine("z"), "forNodes": nine("A_")}}),
            vec!["hints.forZones: Too many: 9: must have at most 8 items".to_owned()],
        ),
        (
            json!({"addresses": vec!["10.0.0.1"; 101]}),
            vec!["addresses: Too many: 101: must have at most 100 items".to_owned()],
        ),
    ] {
        let said: Vec<String> = said
            .iter()
            .map(|said| format!("endpoints[0].{said}"))
            .collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        check(kind::ENDPOINT_SLICE, slice(endpoint), &said);
    }
}

#[test]
fn a_slice_has_an_end() {
    let many = |count: usize| json!({"addressType": "IPv4", "endpoints": vec![json!({}); count], "ports": vec![json!({}); 20 * count]});
    check(
        kind::ENDPOINT_SLICE,
        many(1001),
        &[
            "ports: Too many: 20020: must have at most 20000 items",
            "endpoints: Too many: 1001: must have at most 1000 items",
        ],
    );
    check(
        kind::ENDPOINT_SLICE,
        json!({"addressType": "IPv4", "ports": [
            {"name": "a", "appProtocol": "kubernetes.io/h2c"}, {"name": "a", "appProtocol": "a b"}, {"name": "B_"}]}),
        &[
            "ports[1].name: Duplicate value: \"a\"",
            &format!(
                "ports[1].appProtocol: Invalid value: \"a b\": {}",
                meta::QUALIFIED_MESSAGE
            ),
            &format!(
                "ports[2].name: Invalid value: \"B_\": {}",
                meta::LABEL_MESSAGE
            ),
        ],
    );
}

#[test]
fn endpoints_that_were_there_are_let_be() {
    let mut old = slice(json!({"nodeName": "B_"}));
    old["metadata"] = json!({"name": "a"});
    let mut new = old.clone();
    new["ports"] = json!([{"name": "http"}]);
    assert_eq!(update(kind::ENDPOINT_SLICE, &new, &old), []);
    new["endpoints"][0]["hostname"] = json!("h");
    let fields: Vec<String> = update(kind::ENDPOINT_SLICE, &new, &old)
        .into_iter()
        .map(|cause| cause.field)
        .collect();
    assert_eq!(fields, ["endpoints[0].nodeName"]);
}
