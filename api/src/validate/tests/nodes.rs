//! What a node is, and what of it stays.

use super::*;

#[test]
fn address_blocks() {
    let blocks = |blocks: Value| json!({"spec": {"podCIDRs": blocks}});
    let (a, b, c) = ("10.0.0.0/24", "10.0.1.0/24", "fd00::/64");
    check(kind::NODE, blocks(json!([a, c])), &[]);
    let many = "may specify no more than one CIDR for each IP family";
    check(
        kind::NODE,
        blocks(json!([a, b])),
        &[&format!(
            "spec.podCIDRs: Invalid value: [\"{a}\",\"{b}\"]: {many}"
        )],
    );
    check(
        kind::NODE,
        blocks(json!([a, a, "x"])),
        &[
            "spec.podCIDRs[2]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            &format!("spec.podCIDRs: Invalid value: [\"{a}\",\"{a}\",\"x\"]: {many}"),
            &format!("spec.podCIDRs[1]: Duplicate value: \"{a}\""),
        ],
    );
}

#[test]
fn what_is_given_once_stays() {
    let bare = json!({"spec": {"unschedulable": true}});
    let assign = |node: &mut Value| {
        node["spec"]["podCIDRs"] = json!(["10.0.0.0/24"]);
        node["spec"]["providerID"] = json!("cloud://a");
    };
    check_change(kind::NODE, bare.clone(), assign, &[]);
    let mut assigned = bare;
    assign(&mut assigned);
    check_change(
        kind::NODE,
        assigned,
        |node| {
            node["spec"]["podCIDRs"] = json!(["10.0.1.0/24"]);
            node["spec"]["providerID"] = json!("cloud://b");
            node["spec"]["configSource"] =
                json!({"configMap": {"uid": "u", "name": "m", "kubeletConfigKey": "/"}});
        },
        &[
            "spec.podCIDRs",
            "spec.providerID",
            "spec.configSource.configMap.uid",
            "spec.configSource.configMap.namespace",
            "spec.configSource.configMap.kubeletConfigKey",
        ],
    );
}

#[test]
fn taints_of_an_annotation() {
    let annotated = |written: &str| json!({"metadata": {"annotations": {"scheduler.alpha.kubernetes.io/taints": written}}});
    let taint = r#"{"key":"a","effect":"NoSchedule"}"#;
    check(kind::NODE, annotated(&format!("[{taint}]")), &[]);
    check(
        kind::NODE,
        annotated(&format!("[{taint},{taint}]")),
        &[
            "metadata.annotations.scheduler.alpha.kubernetes.io/taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: taints must be unique by key and effect pair",
        ],
    );
    let said = create(kind::NODE, &annotated("["));
    assert!(
        said.iter()
            .any(|cause| cause.field == "metadata.annotations"),
        "{said:?}"
    );
}
