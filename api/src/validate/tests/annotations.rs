//! Annotations of pods that mean something, and the devices they claim.

use super::{pod_rules::pod, *};

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const MIRROR: &str = "kubernetes.io/config.mirror";

fn annotated(key: &str, value: &str) -> Value {
    let mut pod = pod(json!({}));
    pod["metadata"] = json!({"name": "a", "annotations": {key: value}});
    pod
}

#[test]
fn some_annotations_are_read() {
    let armor = "container.apparmor.security.beta.kubernetes.io/";
    let seccomp = "seccomp.security.alpha.kubernetes.io/pod";
    let (ours, other) = (format!("{armor}c"), format!("{armor}d"));
    for (key, value, said) in [
        (COST, "-7", String::new()),
        (COST, "0", String::new()),
        (
            MIRROR,
            "x",
            format!(
                "[{MIRROR}]: Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set"
            ),
        ),
        (ours.as_str(), "runtime/default", String::new()),
        (
            &ours,
            "strict",
            format!(
                "[{ours}]: Invalid value: \"strict\": invalid AppArmor profile name: \"strict\""
            ),
        ),
        (
            &other,
            "localhost/x",
            format!("[{other}]: Invalid value: \"d\": container not found"),
        ),
        (seccomp, "localhost/a/b", String::new()),
        (
            seccomp,
            "localhost/../b",
            format!(".{seccomp}: Invalid value: \"../b\": must not contain '..'"),
        ),
        (
            seccomp,
            "strict",
            format!(".{seccomp}: Invalid value: \"strict\": must be a valid seccomp profile"),
        ),
    ] {
        let said = match said.as_str() {
            "" => vec![],
            said => vec![format!("metadata.annotations{said}")],
        };
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        check(kind::POD, annotated(key, value), &said);
    }
    for cost in ["x", "", "+1", "00", "2147483648", "-"] {
        let said = format!(
            "metadata.annotations[{COST}]: Invalid value: \"{cost}\": must be a 32bit integer"
        );
        check(kind::POD, annotated(COST, cost), &[&said]);
    }
    let mut template = selecting(json!({}));
    template["spec"]["template"]["metadata"]["annotations"] = json!({COST: "x", "a b": "c"});
    let said = [
        format!(
            "spec.template.annotations: Invalid value: \"a b\": {}",
            meta::QUALIFIED_MESSAGE
        ),
        format!("spec.template.annotations[{COST}]: Invalid value: \"x\": must be a 32bit integer"),
    ];
    check(kind::DEPLOYMENT, template, &[&said[0], &said[1]]);
}

#[test]
fn some_annotations_stay() {
    let made = |annotations: Value, node: &str| {
        let mut pod = pod(json!({"nodeName": node}));
        pod["metadata"] = json!({"name": "a", "annotations": annotations});
        crate::defaults::apply(kind::POD, &mut pod);
        pod
    };
    let at = format!("metadata.annotations[{MIRROR}]: Forbidden: may not");
    let (remove, add) = (
        format!("{at} remove or update mirror pod annotation"),
        format!("{at} add mirror pod annotation"),
    );
    for (old, new, expected) in [
        (json!({MIRROR: "x"}), json!({MIRROR: "x"}), vec![]),
        (json!({MIRROR: "x"}), json!({MIRROR: "y"}), vec![&remove]),
        (json!({MIRROR: "x"}), json!({}), vec![&remove]),
        (json!({}), json!({MIRROR: "x"}), vec![&add]),
        // A cost that was wrong before is let be.
        (json!({COST: "x"}), json!({COST: "y"}), vec![]),
    ] {
        let said: Vec<String> = update(kind::POD, &made(new, "n"), &made(old, "n"))
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        assert_eq!(said.iter().collect::<Vec<_>>(), expected);
    }
    let fields: Vec<String> = update(
        kind::POD,
        &made(json!({COST: "x"}), "n"),
        &made(json!({COST: "1"}), "n"),
    )
    .into_iter()
    .map(|cause| cause.field)
    .collect();
    // Said twice, as upstream asks it twice.
    assert_eq!(fields, vec![format!("metadata.annotations[{COST}]"); 2]);
}

#[test]
fn claims_are_of_one_sort_each() {
    let one = "spec.resourceClaims[0]";
    let claim = |claim: Value| pod(json!({"resourceClaims": [claim]}));
    check(
        kind::POD,
        claim(json!({"name": "a", "resourceClaimName": "x.y"})),
        &[],
    );
    check(
        kind::POD,
        pod(
            json!({"resourceClaims": [{"name": "a", "resourceClaimName": "x"}, {"name": "a"}, {"resourceClaimTemplateName": "B_"}]}),
        ),
        &[
            "spec.resourceClaims[1].name: Duplicate value: \"a\"",
            "spec.resourceClaims[1]: Invalid value: {\"Name\":\"a\",\"ResourceClaimName\":null,\"ResourceClaimTemplateName\":null}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            "spec.resourceClaims[2].name: Required value",
            &format!(
                "spec.resourceClaims[2].resourceClaimTemplateName: Invalid value: \"B_\": {}",
                meta::SUBDOMAIN_MESSAGE
            ),
        ],
    );
    check(
        kind::POD,
        claim(json!({"name": "A", "resourceClaimName": "x", "resourceClaimTemplateName": "y"})),
        &[
            &format!("{one}.name: Invalid value: \"A\": {}", meta::LABEL_MESSAGE),
            &format!(
                "{one}: Invalid value: {{\"Name\":\"A\",\"ResourceClaimName\":\"x\",\"ResourceClaimTemplateName\":\"y\"}}: at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            ),
        ],
    );
    let mut long = claim(json!({"name": "a", "resourceClaimTemplateName": "y"}));
    let name = vec!["a".repeat(60); 4].join(".") + ".bcdefghi";
    long["metadata"] = json!({"name": name});
    let said = format!(
        "{one}.name: Invalid value: \"{name}-a\": final ResourceClaim name: {}",
        meta::SUBDOMAIN_MESSAGE
    );
    check(kind::POD, long, &[&said]);
}
