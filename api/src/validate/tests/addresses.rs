//! Addresses that nobody reaches, in Endpoints, slices and Services.

use super::*;

/// An address, and what is said of it wherever something is to be reached at it.
const ODD: [(&str, &str); 10] = [
    ("0.0.0.0", "may not be unspecified (0.0.0.0)"),
    ("::", "may not be unspecified (::)"),
    ("127.0.0.1", LOOPBACK),
    ("127.9.9.9", LOOPBACK),
    ("::1", LOOPBACK),
    ("169.254.169.254", LINK_LOCAL),
    ("fe80::1", LINK_LOCAL),
    ("224.0.0.251", MULTICAST),
    ("ff02::fb", MULTICAST),
    ("::ffff:127.0.0.1", LOOPBACK),
];
const LOOPBACK: &str = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
const LINK_LOCAL: &str = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
const MULTICAST: &str = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
const NO_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

fn endpoints(address: &str) -> Value {
    json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": address}]}]})
}

#[test]
fn endpoints_are_reached() {
    for good in ["10.0.0.2", "2001:db8::1", "224.0.1.1", "239.0.0.1"] {
        check(kind::ENDPOINTS, endpoints(good), &[]);
    }
    for (address, said) in ODD {
        let said = format!("subsets[0].addresses[1].ip: Invalid value: \"{address}\": {said}");
        check(kind::ENDPOINTS, endpoints(address), &[&said]);
    }
    check(
        kind::ENDPOINTS,
        json!({"subsets": [{"ports": [{"port": 80}]}, {"notReadyAddresses": [{"ip": "x", "hostname": "A"}]}]}),
        &[
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
            &format!("subsets[1].notReadyAddresses[0].ip: Invalid value: \"x\": {NO_IP}"),
            &format!(
                "subsets[1].notReadyAddresses[0].hostname: Invalid value: \"A\": {}",
                meta::LABEL_MESSAGE
            ),
            "subsets[1].notReadyAddresses[0].ip: Invalid value: \"x\": must be a valid IP address",
        ],
    );
    // What was there before is let be while the rest changes.
    let mut old = endpoints("127.0.0.1");
    old["metadata"] = json!({"name": "a"});
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(update(kind::ENDPOINTS, &new, &old), []);
    new["subsets"][0]["addresses"][0]["ip"] = json!("10.0.0.9");
    assert_eq!(update(kind::ENDPOINTS, &new, &old).len(), 1);
}

#[test]
fn slices_and_services_are_too() {
    let slice = |kind: &str, address: &str| json!({"addressType": kind, "endpoints": [{"addresses": [address]}]});
    let path = "endpoints[0].addresses[0]: Invalid value";
    for (address, said) in ODD {
        let family = if address.contains("::") && !address.contains("ffff") {
            "IPv6"
        } else {
            "IPv4"
        };
        let said = format!("{path}: \"{address}\": {said}");
        check(kind::ENDPOINT_SLICE, slice(family, address), &[&said]);
    }
    for (family, address, said) in [
        ("IPv4", "10.0.0.1", [].as_slice()),
        ("IPv4", "2001:db8::1", &["must be an IPv4 address"]),
        ("IPv6", "10.0.0.1", &["must be an IPv6 address"]),
        ("IPv6", "x", &[NO_IP, "must be a valid IP address"]),
        ("FQDN", "a.example", &[]),
        (
            "FQDN",
            "a",
            &["should be a domain with at least two segments separated by dots"],
        ),
        ("FQDN", "a_b.c", &[meta::SUBDOMAIN_MESSAGE]),
    ] {
        let said: Vec<String> = said
            .iter()
            .map(|said| format!("{path}: \"{address}\": {said}"))
            .collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        check(kind::ENDPOINT_SLICE, slice(family, address), &said);
    }
    for (address, said) in ODD {
        let service = json!({"spec": {"ports": [{"port": 80}], "externalIPs": [address]}});
        let said = format!("spec.externalIPs[0]: Invalid value: \"{address}\": {said}");
        check(kind::SERVICE, service, &[&said]);
    }
}
