//! Pods as a whole.

use super::*;

/// A pod with one container, of which this is said.
pub(super) fn pod(said: Value) -> Value {
    let mut spec = json!({"containers": [{"name": "c", "image": "i:v1"}]});
    for (field, value) in said.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    json!({"spec": spec})
}

#[track_caller]
fn refused(spec: Value, said: &str) {
    check(kind::POD, pod(spec), &[&format!("spec.{said}")]);
}

#[test]
fn nobody_debugs_a_new_pod() {
    let debug = json!({"ephemeralContainers": [{"name": "d", "image": "i:v1"}]});
    let pod = pod(debug.clone());
    let of_pod = "spec.ephemeralContainers: Forbidden: cannot be set on create";
    let said: Vec<String> = create(kind::POD, &named(pod))
        .into_iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    assert!(said.iter().any(|said| said == of_pod), "{said:?}");
    let mut template = selecting(json!({}));
    template["spec"]["template"]["spec"]["ephemeralContainers"] =
        debug["ephemeralContainers"].clone();
    let said = create(kind::DEPLOYMENT, &named(template));
    let field = "spec.template.spec.ephemeralContainers";
    assert!(
        said.iter().any(|cause| cause.field == field
            && cause.message == "Forbidden: ephemeral containers not allowed in pod template"),
        "{said:?}"
    );
}

fn named(mut object: Value) -> Value {
    object["metadata"]["name"] = json!("a");
    object
}

#[test]
fn templates_are_pods_too() {
    for of in [kind::DEPLOYMENT, kind::REPLICA_SET, kind::DAEMON_SET] {
        let mut object = selecting(json!({}));
        object["spec"]["template"]["spec"]["hostPID"] = json!(true);
        object["spec"]["template"]["spec"]["shareProcessNamespace"] = json!(true);
        object["spec"]["template"]["spec"]["volumes"] = json!([{"name": "v", "hostPath": {}}]);
        let said = [
            "spec.template.spec.volumes[0].hostPath.path: Required value",
            "spec.template.spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
        ];
        check(of, object, &said);
    }
    let template = json!({"template": {"spec": {"hostname": "A", "containers": [{"name": "c", "image": "i:v1"}]}}});
    let said = format!(
        "template.spec.hostname: Invalid value: \"A\": {}",
        meta::LABEL_MESSAGE
    );
    check(kind::POD_TEMPLATE, template, &[&said]);
}

#[test]
fn ports_of_the_machine() {
    let with = |port: Value| json!({"hostNetwork": true, "containers": [{"name": "c", "image": "i:v1", "ports": [port]}]});
    check(kind::POD, pod(with(json!({"containerPort": 80}))), &[]);
    refused(
        with(json!({"containerPort": 80, "hostPort": 81})),
        "containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
    );
}

#[test]
fn dns() {
    let none = |config: Value| json!({"dnsPolicy": "None", "dnsConfig": config});
    let config = |config: Value| json!({"dnsConfig": config});
    for spec in [
        none(json!({"nameservers": ["1.2.3.4", "::1"]})),
        config(
            json!({"searches": [".", "a.b.", "_tcp.a_b.c"], "options": [{"name": "ndots", "value": "2"}]}),
        ),
    ] {
        check(kind::POD, pod(spec), &[]);
    }
    refused(
        json!({"dnsPolicy": "Mine"}),
        "dnsPolicy: Unsupported value: \"Mine\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"",
    );
    refused(
        json!({"dnsPolicy": "None"}),
        "dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
    );
    refused(
        none(json!({})),
        "dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None",
    );
    refused(
        config(json!({"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]})),
        "dnsConfig.nameservers: Invalid value: [\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1.1.4\"]: must not have more than 3 nameservers",
    );
    refused(
        config(json!({"nameservers": ["x"]})),
        "dnsConfig.nameservers[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
    );
    refused(
        config(json!({"options": [{"value": "2"}]})),
        "dnsConfig.options[0]: Required value: must not be empty",
    );
    let fields = |searches: Vec<String>| {
        let pod = named(pod(config(json!({"searches": searches}))));
        let said = create(kind::POD, &pod);
        said.into_iter()
            .map(|cause| cause.field)
            .collect::<Vec<_>>()
    };
    assert_eq!(fields(vec!["A".to_owned()]), ["spec.dnsConfig.searches[0]"]);
    assert_eq!(
        fields(vec!["a".to_owned(); 33]),
        ["spec.dnsConfig.searches"]
    );
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63)].join(".");
    assert_eq!(fields(vec![long; 11]), ["spec.dnsConfig.searches"]);
}

#[test]
fn names_and_numbers() {
    let label = |field: &str| format!("{field}: Invalid value: \"A\": {}", meta::LABEL_MESSAGE);
    let domain =
        |field: &str| format!("{field}: Invalid value: \"A\": {}", meta::SUBDOMAIN_MESSAGE);
    for field in ["hostname", "subdomain"] {
        refused(json!({field: "A"}), &label(field));
    }
    for field in [
        "serviceAccountName",
        "priorityClassName",
        "runtimeClassName",
        "hostnameOverride",
    ] {
        refused(json!({field: "A"}), &domain(field));
    }
    refused(
        json!({"hostnameOverride": "a", "setHostnameAsFQDN": true}),
        "hostnameOverride: Forbidden: may not be specified when `setHostnameAsFQDN` is true",
    );
    for secs in [0, 2_147_483_648_i64] {
        refused(
            json!({"activeDeadlineSeconds": secs}),
            &format!(
                "activeDeadlineSeconds: Invalid value: {secs}: must be between 1 and 2147483647, inclusive"
            ),
        );
    }
    refused(
        json!({"restartPolicy": "Sometimes"}),
        "restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
    );
    refused(
        json!({"preemptionPolicy": "X"}),
        "preemptionPolicy: Unsupported value: \"X\": supported values: \"PreemptLowerPriority\", \"Never\"",
    );
    refused(
        json!({"readinessGates": [{"conditionType": "a b"}]}),
        &format!(
            "readinessGates[0].conditionType: Invalid value: \"a b\": {}",
            meta::QUALIFIED_MESSAGE
        ),
    );
    refused(
        json!({"hostAliases": [{"ip": "x"}]}),
        "hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
    );
    refused(
        json!({"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["A"]}]}),
        &domain("hostAliases[0].hostnames[0]"),
    );
}

#[test]
fn resources_of_the_whole() {
    let whole = |resources: Value| json!({"resources": resources});
    check(
        kind::POD,
        pod(whole(
            json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}),
        )),
        &[],
    );
    for (resources, said) in [
        (
            json!({"claims": []}),
            "claims: Forbidden: claims cannot be set for Resources at pod-level",
        ),
        (
            json!({"limits": {"x.io/y": "1"}}),
            "limits[x.io/y]: Unsupported value: \"x.io/y\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
        ),
        (
            json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            "requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
    ] {
        refused(whole(resources), &format!("resources.{said}"));
    }
    refused(
        whole(json!({"limits": {"hugepages-2Mi": "2Mi"}})),
        "resources: Forbidden: HugePages require cpu or memory",
    );
    let containers =
        |resources: Value| json!([{"name": "c", "image": "i:v1", "resources": resources}]);
    refused(
        json!({"resources": {"requests": {"cpu": "1"}}, "containers": containers(json!({"requests": {"cpu": "2"}}))}),
        "resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 2",
    );
    // Of a limit without a request both are told: the request is the limit, or what the containers ask for.
    check(
        kind::POD,
        pod(whole(json!({"limits": {"cpu": "-1"}}))),
        &[
            "spec.resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
    check(
        kind::POD,
        pod(
            json!({"resources": {"limits": {"cpu": "1"}}, "containers": containers(json!({"limits": {"cpu": "2"}}))}),
        ),
        &[
            "spec.resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            "spec.resources.containers[0][cpu].limits: Invalid value: \"2\": must be less than or equal to pod limits of 1",
        ],
    );
    refused(
        json!({"overhead": {"cpu": "-1"}}),
        "overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
    );
    refused(
        json!({"overhead": {"gold": "1"}}),
        "overhead.limits[gold]: Invalid value: \"gold\": must be a standard resource for containers",
    );
}

#[test]
fn security_contexts() {
    let context = |context: Value| json!({"securityContext": context});
    for (field, id) in [
        ("runAsUser", -1),
        ("runAsGroup", 2_147_483_648_i64),
        ("fsGroup", -1),
    ] {
        refused(
            context(json!({field: id})),
            &format!(
                "securityContext.{field}: Invalid value: {id}: must be between 0 and 2147483647, inclusive"
            ),
        );
    }
    let sysctl = |name: &str| json!({"sysctls": [{"name": name, "value": "1"}]});
    for (given, said) in [
        (
            json!({"supplementalGroups": [1, -1]}),
            "supplementalGroups[1]: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ),
        (sysctl(""), "sysctls[0].name: Required value"),
        (
            sysctl("A"),
            "sysctls[0].name: Invalid value: \"A\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        ),
        (
            json!({"sysctls": [{"name": "net.a", "value": "1"}, {"name": "net.a", "value": "2"}]}),
            "sysctls[1].name: Duplicate value: \"net.a\"",
        ),
        (
            json!({"fsGroupChangePolicy": "X"}),
            "fsGroupChangePolicy: Unsupported value: \"X\": supported values: \"Always\", \"OnRootMismatch\"",
        ),
        (
            json!({"supplementalGroupsPolicy": "X"}),
            "supplementalGroupsPolicy: Unsupported value: \"X\": supported values: \"Merge\", \"Strict\"",
        ),
        (
            json!({"seLinuxChangePolicy": "X"}),
            "seLinuxChangePolicy: Unsupported value: \"X\": supported values: \"MountOption\", \"Recursive\"",
        ),
    ] {
        refused(context(given), &format!("securityContext.{said}"));
    }
    let mut shared = context(sysctl("net/a"));
    shared["hostNetwork"] = json!(true);
    refused(
        shared,
        "securityContext.sysctls[0].name: Invalid value: \"net/a\": may not be specified when 'hostNetwork' is true",
    );
}

#[test]
fn profiles() {
    let seccomp = |profile: Value| json!({"seccompProfile": profile});
    let armor = |profile: Value| json!({"appArmorProfile": profile});
    for (given, said) in [
        (
            seccomp(json!({})),
            "seccompProfile.type: Required value: type is required when seccompProfile is set",
        ),
        (
            seccomp(json!({"type": "X"})),
            "seccompProfile.type: Unsupported value: \"X\": supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\"",
        ),
        (
            seccomp(json!({"type": "Localhost"})),
            "seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ),
        (
            seccomp(json!({"type": "Localhost", "localhostProfile": "a/../b"})),
            "seccompProfile.localhostProfile: Invalid value: \"a/../b\": must not contain '..'",
        ),
        (
            seccomp(json!({"type": "Unconfined", "localhostProfile": "a"})),
            "seccompProfile.localhostProfile: Invalid value: {\"localhostProfile\":\"a\",\"type\":\"Unconfined\"}: can only be set when seccomp type is Localhost",
        ),
        (
            armor(json!({"type": "X"})),
            "appArmorProfile.type: Unsupported value: \"X\": supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\"",
        ),
        (
            armor(json!({"type": "Localhost", "localhostProfile": " a"})),
            "appArmorProfile.localhostProfile: Invalid value: \" a\": must not be padded with whitespace",
        ),
        (
            armor(json!({"type": "Unconfined", "localhostProfile": "a"})),
            "appArmorProfile.localhostProfile: Invalid value: \"a\": can only be set when AppArmor type is Localhost",
        ),
        (
            json!({"windowsOptions": {"runAsUserName": "a\\b\\c"}}),
            "windowsOptions.runAsUserName: Invalid value: \"a\\\\b\\\\c\": runAsUserName cannot contain more than one backslash",
        ),
    ] {
        let spec = json!({"securityContext": given});
        refused(spec, &format!("securityContext.{said}"));
    }
}

#[test]
fn what_is_shared_with_the_machine() {
    refused(
        json!({"hostPID": true, "shareProcessNamespace": true}),
        "securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
    );
    refused(
        json!({"hostUsers": false, "hostIPC": true}),
        "HostIPC: Forbidden: when `pod.Spec.HostUsers` is false",
    );
    refused(
        json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
        "hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
    );
    check(kind::POD, pod(json!({"os": {"name": "linux"}})), &[]);
    check(kind::POD, pod(json!({"os": {"name": "windows"}})), &[]);
    refused(
        json!({"os": {"name": "wasi"}}),
        "os: Unsupported value: \"wasi\": supported values: \"linux\", \"windows\"",
    );
    refused(
        json!({"os": {"name": ""}}),
        "os.name: Required value: cannot be empty",
    );
    refused(
        json!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {}}}),
        "securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
    );
    refused(
        json!({"os": {"name": "windows"}, "hostIPC": true}),
        "hostIPC: Forbidden: cannot be set for a windows pod",
    );
    refused(
        json!({"os": {"name": "windows"}, "securityContext": {"fsGroup": 1}}),
        "securityContext.fsGroup: Forbidden: cannot be set for a windows pod",
    );
}
