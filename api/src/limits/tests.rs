//! What is given and what is refused, by one LimitRange.

use super::*;

fn range(limit: Value) -> Value {
    json!({"spec": {"limits": [limit]}})
}

fn pod(resources: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
}

#[track_caller]
fn check_defaults(limit: Value, resources: Value, expected: Value, annotation: Value) {
    let mut pod = pod(resources);
    set_defaults(&range(limit), &mut pod);
    assert_eq!(pod["spec"]["containers"][0]["resources"], expected);
    assert_eq!(pod["metadata"]["annotations"][ANNOTATION], annotation);
}

#[test]
fn defaults_fill_what_is_not_there() {
    let limit = json!({"type": "Container", "default": {"cpu": "500m", "memory": "64Mi"}, "defaultRequest": {"cpu": "100m"}});
    check_defaults(
        limit.clone(),
        Value::Null,
        json!({"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m"}}),
        json!(
            "LimitRanger plugin set: cpu request for container c; cpu, memory limit for container c"
        ),
    );
    check_defaults(
        limit.clone(),
        json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}),
        json!({"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "1"}}),
        json!("LimitRanger plugin set: memory limit for container c"),
    );
    let all = json!({"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "1"}});
    check_defaults(limit, all.clone(), all, Value::Null);
    let of_pods = json!({"type": "Pod", "max": {"cpu": "1"}});
    check_defaults(of_pods, Value::Null, Value::Null, Value::Null);
}

#[test]
fn init_containers_get_them_too() {
    let mut pod =
        json!({"spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}});
    let limit = json!({"type": "Container", "default": {"cpu": "1"}});
    set_defaults(&range(limit), &mut pod);
    assert_eq!(
        pod["metadata"]["annotations"][ANNOTATION],
        "LimitRanger plugin set: cpu limit for container c; cpu limit for init container i"
    );
}

#[track_caller]
fn check(limit: Value, resources: Value, expected: &str) {
    let said = check_pod(&range(limit), &pod(resources));
    assert_eq!(said.err().unwrap_or_default(), expected);
}

#[test]
fn bounds_of_a_container() {
    let resources = |request: &str, limit: &str| json!({"requests": {"cpu": request}, "limits": {"cpu": limit}});
    let bound = |field: &str, value: &str| json!({"type": "Container", field: {"cpu": value}});
    check(bound("max", "1"), resources("500m", "1"), "");
    check(
        bound("max", "1"),
        resources("500m", "2"),
        "maximum cpu usage per Container is 1, but limit is 2",
    );
    check(
        bound("max", "1"),
        json!({}),
        "maximum cpu usage per Container is 1.  No limit is specified",
    );
    check(
        bound("max", "1"),
        resources("1500m", "1"),
        "maximum cpu usage per Container is 1, but request is 1500m",
    );
    check(
        bound("min", "500m"),
        resources("100m", "1"),
        "minimum cpu usage per Container is 500m, but request is 100m",
    );
    check(
        bound("min", "500m"),
        json!({}),
        "minimum cpu usage per Container is 500m.  No request is specified",
    );
    check(
        bound("min", "500m"),
        resources("500m", "100m"),
        "minimum cpu usage per Container is 500m, but limit is 100m",
    );
    check(bound("maxLimitRequestRatio", "2"), resources("1", "2"), "");
    check(
        bound("maxLimitRequestRatio", "2"),
        resources("300m", "1"),
        "cpu max limit to request ratio per Container is 2, but provided ratio is 3.333333",
    );
    check(
        bound("maxLimitRequestRatio", "2"),
        json!({"limits": {"cpu": "1"}}),
        "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
    );
    check(
        bound("maxLimitRequestRatio", "2"),
        json!({"requests": {"cpu": "1"}}),
        "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0",
    );
    let both = json!({"type": "Container", "max": {"cpu": "1", "memory": "1Gi"}});
    check(
        both,
        json!({"requests": {}, "limits": {"cpu": "2", "memory": "2Gi"}}),
        "[maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Container is 1Gi, but limit is 2Gi]",
    );
}

#[test]
fn bounds_of_a_pod_are_about_its_sum() {
    let container = json!({"name": "c", "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}}});
    let pod = json!({"spec": {"containers": [container, container]}});
    let max = |memory: &str| range(json!({"type": "Pod", "max": {"memory": memory}}));
    assert_eq!(check_pod(&max("128Mi"), &pod), Ok(()));
    assert_eq!(
        check_pod(&max("100Mi"), &pod),
        Err("maximum memory usage per Pod is 100Mi, but limit is 128Mi".to_owned())
    );
}

#[test]
fn bounds_of_a_claim_are_about_its_request() {
    let claim = |storage: &str| json!({"spec": {"resources": {"requests": {"storage": storage}}}});
    let limit = range(
        json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}),
    );
    for (claim, expected) in [
        (claim("1Gi"), ""),
        (
            claim("1Mi"),
            "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi",
        ),
        (
            claim("3Gi"),
            "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi",
        ),
        (
            json!({}),
            "[minimum storage usage per PersistentVolumeClaim is 1Gi.  No request is specified, maximum storage usage per PersistentVolumeClaim is 2Gi.  No request is specified]",
        ),
    ] {
        let said = check_claim(&limit, &claim).err().unwrap_or_default();
        assert_eq!(said, expected);
    }
}
