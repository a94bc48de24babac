//! Pods and templates against the levels, in upstream's words.

use super::*;
use crate::kind;
use serde_json::json;

fn at(level: Level, version: Version) -> LevelVersion {
    LevelVersion { level, version }
}

const BASELINE: LevelVersion = LevelVersion {
    level: Level::Baseline,
    version: Version::Latest,
};
const RESTRICTED: LevelVersion = LevelVersion {
    level: Level::Restricted,
    version: Version::Latest,
};

/// A pod that `restricted` takes, changed.
fn pod(change: impl Fn(&mut Value)) -> Value {
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
    }});
    change(&mut pod);
    pod
}

#[track_caller]
fn check(by: LevelVersion, change: impl Fn(&mut Value), expected: &str) {
    assert_eq!(evaluate(by, &pod(change)).details(), expected);
}

#[test]
fn a_hardened_pod_and_a_bare_one() {
    check(RESTRICTED, |_| {}, "");
    let bare =
        json!({"spec": {"containers": [{"name": "c", "image": "i"}], "securityContext": {}}});
    assert_eq!(evaluate(BASELINE, &bare).details(), "");
    let found = evaluate(RESTRICTED, &bare);
    assert_eq!(
        refusal(RESTRICTED, &found),
        "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
    assert_eq!(
        found.reasons(),
        "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    );
    let privileged = at(Level::Privileged, Version::Latest);
    assert!(evaluate(privileged, &bare).is_empty());
}

#[test]
fn baseline_looks_at_containers() {
    let context = |field: &'static str, value: Value| {
        move |pod: &mut Value| {
            pod["spec"]["containers"][0]["securityContext"][field] = value.clone();
        }
    };
    check(
        BASELINE,
        context("privileged", json!(true)),
        "privileged (container \"c\" must not set securityContext.privileged=true)",
    );
    check(
        BASELINE,
        context("capabilities", json!({"add": ["CHOWN", "NET_RAW", "BPF"]})),
        "non-default capabilities (container \"c\" must not include \"BPF\", \"NET_RAW\" in securityContext.capabilities.add)",
    );
    check(
        BASELINE,
        context("procMount", json!("Unmasked")),
        "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")",
    );
    check(
        BASELINE,
        context("seLinuxOptions", json!({"type": "x", "user": "u"})),
        "seLinuxOptions (container \"c\" set forbidden securityContext.seLinuxOptions: type \"x\"; user may not be set)",
    );
    let engine = json!({"level": "s0", "type": "container_engine_t"});
    check(BASELINE, context("seLinuxOptions", engine), "");
    check(
        BASELINE,
        context("seccompProfile", json!({"type": "Unconfined"})),
        "seccompProfile (container \"c\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
    );
    check(
        BASELINE,
        context("appArmorProfile", json!({"type": "Unconfined"})),
        "forbidden AppArmor profile (container \"c\" must not set AppArmor profile type to \"Unconfined\")",
    );
    check(
        BASELINE,
        context("windowsOptions", json!({"hostProcess": true})),
        "hostProcess (container \"c\" must not set securityContext.windowsOptions.hostProcess=true)",
    );
}

#[test]
fn baseline_looks_at_what_comes_of_the_host() {
    let of_pod = |field: &'static str, value: Value| {
        move |pod: &mut Value| pod["spec"][field] = value.clone()
    };
    let container = |field: &'static str, value: Value| {
        move |pod: &mut Value| pod["spec"]["containers"][0][field] = value.clone()
    };
    check(
        BASELINE,
        of_pod("hostNetwork", json!(true)),
        "host namespaces (hostNetwork=true)",
    );
    let volumes =
        json!([{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "hostPath": {"path": "/"}}]);
    check(
        BASELINE,
        of_pod("volumes", volumes),
        "hostPath volumes (volumes \"a\", \"b\")",
    );
    let sysctls = json!([{"name": "net.ipv4.tcp_rmem"}, {"name": "kernel.msgmax"}]);
    check(
        BASELINE,
        of_pod("securityContext", json!({"sysctls": sysctls})),
        "forbidden sysctls (kernel.msgmax)",
    );
    check(
        BASELINE,
        container("ports", json!([{"containerPort": 1, "hostPort": 80}])),
        "hostPort (container \"c\" uses hostPort 80)",
    );
    check(
        BASELINE,
        container("livenessProbe", json!({"httpGet": {"host": "a.b"}})),
        "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"a.b\")",
    );
}

#[test]
fn who_did_it_is_told() {
    let both = |pod: &mut Value| {
        pod["spec"]["securityContext"]["seccompProfile"]["type"] = json!("Unconfined");
        pod["spec"]["initContainers"] =
            json!([{"name": "i", "securityContext": {"seccompProfile": {"type": "x"}}}]);
    };
    check(
        BASELINE,
        both,
        "seccompProfile (pod and container \"i\" must not set securityContext.seccompProfile.type to \"Unconfined\", \"x\")",
    );
    let annotated = |pod: &mut Value| {
        pod["metadata"]["annotations"] =
            json!({"container.apparmor.security.beta.kubernetes.io/c": "unconfined"});
    };
    check(
        BASELINE,
        annotated,
        "forbidden AppArmor profile (annotation must not set AppArmor profile type to \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")",
    );
}

#[test]
fn restricted() {
    let container = |change: fn(&mut Value)| {
        move |pod: &mut Value| change(&mut pod["spec"]["containers"][0]["securityContext"])
    };
    check(
        RESTRICTED,
        container(|context| context["capabilities"]["add"] = json!(["CHOWN", "NET_BIND_SERVICE"])),
        "unrestricted capabilities (container \"c\" must not include \"CHOWN\" in securityContext.capabilities.add)",
    );
    check(
        RESTRICTED,
        container(|context| context["runAsNonRoot"] = json!(false)),
        "runAsNonRoot != true (container \"c\" must not set securityContext.runAsNonRoot=false)",
    );
    check(
        RESTRICTED,
        container(|context| context["runAsUser"] = json!(0)),
        "runAsUser=0 (container \"c\" must not set runAsUser=0)",
    );
    check(
        RESTRICTED,
        |pod| pod["spec"]["securityContext"]["runAsUser"] = json!(0),
        "runAsUser=0 (pod must not set runAsUser=0)",
    );
    check(
        RESTRICTED,
        |pod| {
            pod["spec"]["volumes"] = json!([{"name": "a", "nfs": {}}, {"name": "b", "hostPath": {}}, {"name": "c", "secret": {}}]);
        },
        "restricted volume types (volumes \"a\", \"b\" use restricted volume types \"hostPath\", \"nfs\")",
    );
    check(
        RESTRICTED,
        container(|context| context["procMount"] = json!("Unmasked")),
        "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")",
    );
}

#[test]
fn users_of_its_own_and_windows() {
    let root = |pod: &mut Value| {
        pod["spec"]["hostUsers"] = json!(false);
        pod["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
        pod["spec"]["containers"][0]["securityContext"]["procMount"] = json!("Unmasked");
    };
    check(BASELINE, root, "");
    check(
        RESTRICTED,
        root,
        "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")",
    );
    let windows = |pod: &mut Value| {
        pod["spec"] = json!({"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}, "containers": [{"name": "c"}]});
    };
    check(RESTRICTED, windows, "");
}

#[test]
fn older_versions_have_their_own_checks() {
    let baseline = |minor| at(Level::Baseline, Version::Minor(minor));
    let keepalive = |pod: &mut Value| {
        pod["spec"]["securityContext"]["sysctls"] = json!([{"name": "net.ipv4.tcp_fin_timeout"}]);
    };
    check(
        baseline(28),
        keepalive,
        "forbidden sysctls (net.ipv4.tcp_fin_timeout)",
    );
    check(baseline(29), keepalive, "");
    let probe = |pod: &mut Value| {
        pod["spec"]["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"host": "a"}});
    };
    check(baseline(33), probe, "");
    let bare = json!({"spec": {"containers": [{"name": "c"}]}});
    let old = at(Level::Restricted, Version::Minor(7));
    assert_eq!(evaluate(old, &bare).reasons(), "runAsNonRoot != true");
    let annotated = |pod: &mut Value| {
        pod["metadata"]["annotations"] = json!({"seccomp.security.alpha.kubernetes.io/pod": "x"});
    };
    check(
        baseline(18),
        annotated,
        "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"x\")",
    );
    check(baseline(19), annotated, "");
    check(at(Level::Baseline, Version::Minor(99)), keepalive, "");
}

#[test]
fn labels_are_a_policy() {
    let shown = |labels: Value| {
        let (policy, causes) = Policy::of(&labels);
        let causes: Vec<String> = causes
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let modes = [policy.enforce, policy.audit, policy.warn].map(|mode| mode.to_string());
        (modes.join(" "), causes.join("; "))
    };
    for (labels, modes, causes) in [
        (
            json!(null),
            "privileged:latest privileged:latest privileged:latest",
            "",
        ),
        (
            json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.30"}),
            "baseline:v1.30 privileged:latest baseline:v1.30",
            "",
        ),
        (
            json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted"}),
            "baseline:latest privileged:latest restricted:latest",
            "",
        ),
        (
            json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "privileged"}),
            "restricted:latest privileged:latest privileged:latest",
            "",
        ),
        (
            json!({"pod-security.kubernetes.io/enforce": "strict", "pod-security.kubernetes.io/audit-version": "v1.01"}),
            "restricted:latest privileged:latest privileged:latest",
            "metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, baseline, restricted; \
             metadata.labels[pod-security.kubernetes.io/audit-version]: Invalid value: \"v1.01\": must be \"latest\" or \"v1.x\"",
        ),
    ] {
        assert_eq!(shown(labels), (modes.to_owned(), causes.to_owned()));
    }
}

#[test]
fn who_tightens_hears_of_what_is_there() {
    let policy = |level: &str| Policy::of(&json!({"pod-security.kubernetes.io/enforce": level})).0;
    let (open, strict) = (policy("privileged"), policy("restricted"));
    assert_eq!(tightened(&open, &strict), None);
    assert_eq!(tightened(&strict, &strict), None);
    assert_eq!(tightened(&policy("baseline"), &strict), None);
    assert_eq!(tightened(&strict, &open), Some(RESTRICTED));
    let mut existing = Existing::default();
    let host = pod(|pod| pod["spec"]["hostPID"] = json!(true));
    for name in ["c", "a", "b"] {
        existing.add(RESTRICTED, name, &host);
    }
    existing.add(RESTRICTED, "fine", &pod(|_| {}));
    let root = pod(|pod| pod["spec"]["securityContext"]["runAsUser"] = json!(0));
    existing.add(RESTRICTED, "r", &root);
    assert_eq!(
        existing.warnings("n", RESTRICTED, (5, 6)),
        [
            "new PodSecurity enforce level only checked against the first 5 of 6 existing pods",
            "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"restricted:latest\"",
            "a (and 2 other pods): host namespaces",
            "r: runAsUser=0",
        ]
    );
}

#[test]
fn where_the_pod_is() {
    let object =
        json!({"spec": {"template": {"a": 1}, "jobTemplate": {"spec": {"template": {"b": 1}}}}});
    let found = |of| pod_of(of, &object).cloned().unwrap_or_default();
    assert_eq!(found(kind::DEPLOYMENT), json!({"a": 1}));
    assert_eq!(found(kind::CRON_JOB), json!({"b": 1}));
    assert_eq!(found(kind::POD), object);
    assert_eq!(found(kind::SERVICE), Value::Null);
}

#[test]
fn a_new_image_is_looked_at() {
    let old = pod(|pod| pod["spec"]["containers"][0]["image"] = json!("a"));
    let new = pod(|pod| pod["spec"]["containers"][0]["image"] = json!("b"));
    assert!(is_significant(&new, &old));
    let labelled = pod(|pod| {
        pod["spec"]["containers"][0]["image"] = json!("a");
        pod["metadata"]["labels"] = json!({"x": "y"});
    });
    assert!(!is_significant(&labelled, &old));
}
