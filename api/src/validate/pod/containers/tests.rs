//! What of containers is refused, in upstream's words; each row is one thing.

use crate::{KindRef, kind, validate};
use serde_json::{Value, json};

fn said_of(kind: KindRef, mut object: Value) -> Vec<String> {
    object["metadata"]["name"] = json!("a");
    crate::defaults::apply(kind, &mut object);
    validate::create(kind, &object)
        .into_iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect()
}

/// A pod of one container with these fields, and a volume of each sort.
fn pod(fields: &Value) -> Value {
    let mut container = json!({"name": "c", "image": "i:v1"});
    for (name, value) in fields.as_object().into_iter().flatten() {
        container[name] = value.clone();
    }
    json!({"spec": {"containers": [container], "volumes": [
        {"name": "v", "emptyDir": {}},
        {"name": "p", "persistentVolumeClaim": {"claimName": "p"}},
    ]}})
}

/// What is said of a container with these fields, by the path within it.
#[track_caller]
fn check(fields: Value, expected: &[&str]) {
    let said: Vec<String> = said_of(kind::POD, pod(&fields))
        .iter()
        .map(|said| said.replacen("spec.containers[0].", "", 1))
        .collect();
    assert_eq!(said, expected, "{fields}");
}

#[track_caller]
fn check_all(rows: &[(Value, &str)]) {
    for (fields, said) in rows {
        check(fields.clone(), &[said]);
    }
}

#[test]
fn containers_that_are_well() {
    check(json!({}), &[]);
    check(
        json!({
            "restartPolicy": "Never",
            "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "ports": [{"name": "http", "containerPort": 80, "hostPort": 80}, {"containerPort": 80, "hostPort": 80, "protocol": "UDP"}],
            "env": [
                {"name": "A b", "value": "x"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a.b/c']"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['A']"}}},
                {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
                {"name": "E", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
                {"name": "F", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k.k", "optional": true}}},
            ],
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}, {"secretRef": {"name": "s-"}}],
            "resources": {"limits": {"cpu": "1", "example.com/gpu": 2, "hugepages-2Mi": "4Mi"},
                "requests": {"cpu": "500m", "example.com/gpu": "2"}},
            "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
            "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a/b", "readOnly": true, "recursiveReadOnly": "Enabled"}],
            "volumeDevices": [{"name": "p", "devicePath": "/dev/p"}],
            "securityContext": {"runAsUser": 0, "procMount": "Default", "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"},
                "appArmorProfile": {"type": "RuntimeDefault"}},
            "lifecycle": {"postStart": {"exec": {"command": ["x"]}}, "preStop": {"sleep": {"seconds": 0}}},
            "livenessProbe": {"httpGet": {"port": "http", "path": ""}, "successThreshold": 0},
            "readinessProbe": {"grpc": {"port": 1}, "successThreshold": 2},
        }),
        &[],
    );
}

#[test]
fn names_images_and_policies() {
    check(
        json!({"name": "", "image": ""}),
        &["name: Required value", "image: Required value"],
    );
    check_all(&[
        (
            json!({"image": " i:v1"}),
            "image: Invalid value: \" i:v1\": must not have leading or trailing whitespace",
        ),
        (
            json!({"terminationMessagePolicy": "Log"}),
            "terminationMessagePolicy: Unsupported value: \"Log\": supported values: \"File\", \"FallbackToLogsOnError\"",
        ),
        (
            json!({"imagePullPolicy": "Sometimes"}),
            "imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ),
        (
            json!({"restartPolicy": "Sometimes"}),
            "restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
        ),
        (
            json!({"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]}),
            "restartPolicy: Required value: must specify restartPolicy when restart rules are used",
        ),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Stop", "exitCodes": {"operator": "In", "values": [1]}}]}),
            "restartPolicyRules[0].action: Unsupported value: \"Stop\": supported values: \"Restart\"",
        ),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "Equals", "values": [1]}}]}),
            "restartPolicyRules[0].exitCodes.operator: Unsupported value: \"Equals\": supported values: \"In\", \"NotIn\"",
        ),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": vec![json!({"action": "Restart", "exitCodes": {"operator": "In"}}); 21]}),
            "restartPolicyRules: Too long: may not be more than 20 bytes",
        ),
        (
            json!({"resizePolicy": [{"resourceName": "disk", "restartPolicy": "NotRequired"}]}),
            "resizePolicy: Unsupported value: \"disk\": supported values: \"cpu\", \"memory\"",
        ),
        (
            json!({"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "Maybe"}]}),
            "resizePolicy: Unsupported value: \"Maybe\": supported values: \"NotRequired\", \"RestartContainer\"",
        ),
        (
            json!({"resizePolicy": vec![json!({"resourceName": "cpu", "restartPolicy": "NotRequired"}); 2]}),
            "resizePolicy[1]: Duplicate value: \"cpu\"",
        ),
    ]);
    let mut never = pod(
        &json!({"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}),
    );
    never["spec"]["restartPolicy"] = json!("Never");
    let said = "spec.containers[0].resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when `restartPolicy` is 'Never'";
    assert_eq!(said_of(kind::POD, never), [said]);
}

#[test]
fn ports() {
    check_all(&[
        (
            json!({"ports": [{"name": "a_b", "containerPort": 1}]}),
            "ports[0].name: Invalid value: \"a_b\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            json!({"ports": [{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]}),
            "ports[1].name: Duplicate value: \"a\"",
        ),
        (
            json!({"ports": [{}]}),
            "ports[0].containerPort: Required value",
        ),
        (
            json!({"ports": [{"containerPort": 1, "hostPort": 65536}]}),
            "ports[0].hostPort: Invalid value: 65536: must be between 1 and 65535, inclusive",
        ),
        (
            json!({"ports": [{"containerPort": 1, "hostPort": 8}, {"containerPort": 2, "hostPort": 8}]}),
            "ports[1].hostPort: Duplicate value: \"TCP//8\"",
        ),
        (
            json!({"ports": [{"containerPort": 1, "protocol": "http"}]}),
            "ports[0].protocol: Unsupported value: \"http\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
fn what_a_container_may_do() {
    let escalation = |context: Value| {
        let mut context = context;
        context["allowPrivilegeEscalation"] = json!(false);
        said_of(kind::POD, pod(&json!({"securityContext": context})))
    };
    for (context, why) in [
        (
            json!({"privileged": true}),
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
        (
            json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}}),
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
        ),
    ] {
        let said = escalation(context);
        assert!(
            said.len() == 1
                && said[0].starts_with("spec.containers[0].securityContext: Invalid value: {")
                && said[0].ends_with(why),
            "{said:?}"
        );
    }
    for (context, said) in [
        (
            json!({"runAsUser": -1}),
            "runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ),
        (
            json!({"runAsGroup": 2_147_483_648_i64}),
            "runAsGroup: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive",
        ),
        (
            json!({"procMount": "Mine"}),
            "procMount: Unsupported value: \"Mine\": supported values: \"Default\", \"Unmasked\"",
        ),
        (
            json!({"procMount": "Unmasked"}),
            "procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
        ),
        (
            json!({"seccompProfile": {"type": "None"}}),
            "seccompProfile.type: Unsupported value: \"None\": supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\"",
        ),
        (
            json!({"seccompProfile": {"type": "Localhost"}}),
            "seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ),
        (
            json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "/p"}}),
            "seccompProfile.localhostProfile: Invalid value: \"/p\": must be a relative path",
        ),
        (
            json!({"seccompProfile": {"type": "Unconfined", "localhostProfile": "p"}}),
            "seccompProfile.localhostProfile: Invalid value: {\"localhostProfile\":\"p\",\"type\":\"Unconfined\"}: can only be set when seccomp type is Localhost",
        ),
        (
            json!({"appArmorProfile": {"type": ""}}),
            "appArmorProfile.type: Required value: type is required when appArmorProfile is set",
        ),
        (
            json!({"appArmorProfile": {"type": "Localhost"}}),
            "appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost",
        ),
        (
            json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": " p"}}),
            "appArmorProfile.localhostProfile: Invalid value: \" p\": must not be padded with whitespace",
        ),
        (
            json!({"appArmorProfile": {"type": "Unconfined", "localhostProfile": "p"}}),
            "appArmorProfile.localhostProfile: Invalid value: \"p\": can only be set when AppArmor type is Localhost",
        ),
    ] {
        let fields = json!({"securityContext": context});
        check(fields, &[&format!("securityContext.{said}")]);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
fn hooks_and_probes() {
    let get = |get: Value| json!({"livenessProbe": {"httpGet": get}});
    let exec = |mut probe: Value| {
        probe["exec"] = json!({"command": ["x"]});
        probe
    };
    check_all(&[
        (
            json!({"lifecycle": {"postStart": {}}}),
            "lifecycle.postStart: Required value: must specify a handler type",
        ),
        (
            json!({"lifecycle": {"preStop": {"exec": {}}}}),
            "lifecycle.preStop.exec.command: Required value",
        ),
        (
            json!({"lifecycle": {"preStop": {"exec": {"command": ["x"]}, "sleep": {"seconds": 1}}}}),
            "lifecycle.preStop.sleep: Forbidden: may not specify more than 1 handler type",
        ),
        (
            json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}),
            "lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
        ),
        (
            json!({"lifecycle": {"preStop": {"tcpSocket": {"port": 0}}}}),
            "lifecycle.preStop.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            json!({"readinessProbe": {}}),
            "readinessProbe: Required value: must specify a handler type",
        ),
        (
            json!({"readinessProbe": {"exec": {"command": []}}}),
            "readinessProbe.exec.command: Required value",
        ),
        (
            get(json!({"port": 80, "scheme": "ftp"})),
            "livenessProbe.httpGet.scheme: Unsupported value: \"ftp\": supported values: \"HTTP\", \"HTTPS\"",
        ),
        (
            get(json!({"port": "a_port"})),
            "livenessProbe.httpGet.port: Invalid value: \"a_port\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            get(json!({"port": 80, "httpHeaders": [{"name": "a b", "value": ""}]})),
            "livenessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
        ),
        (
            json!({"startupProbe": {"grpc": {"port": 70000}}}),
            "startupProbe.grpc.port: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            json!({"startupProbe": exec(json!({"successThreshold": 2}))}),
            "startupProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            json!({"livenessProbe": exec(json!({"periodSeconds": -1}))}),
            "livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            json!({"livenessProbe": exec(json!({"terminationGracePeriodSeconds": 0}))}),
            "livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            json!({"readinessProbe": exec(json!({"terminationGracePeriodSeconds": 5}))}),
            "readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
        ),
        (
            json!({"readinessProbe": exec(json!({"successThreshold": -1}))}),
            "readinessProbe.successThreshold: Invalid value: -1: must be greater than or equal to 0",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
fn variables() {
    let from = |from: Value| json!({"env": [{"name": "A", "valueFrom": from}]});
    let field = |path: &str| from(json!({"fieldRef": {"fieldPath": path}}));
    check_all(&[
        (
            json!({"env": [{"name": "A=B"}]}),
            "env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
        (
            json!({"env": [{"name": ""}]}),
            "env[0].name: Required value",
        ),
        (
            from(json!({})),
            "env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        (
            json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            "env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        ),
        (
            from(
                json!({"fieldRef": {"fieldPath": "metadata.name"}, "secretKeyRef": {"name": "s", "key": "k"}}),
            ),
            "env[0].valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
        ),
        (
            field(""),
            "env[0].valueFrom.fieldRef.fieldPath: Required value",
        ),
        (
            field("spec.foo"),
            "env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.foo\": error converting fieldPath: field label not supported: spec.foo",
        ),
        (
            field("status.phase"),
            "env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
        ),
        (
            field("spec.nodeName['x']"),
            "env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nodeName['x']\": error converting fieldPath: field label does not support subscript: spec.nodeName['x']",
        ),
        (
            from(json!({"resourceFieldRef": {"resource": "limits.disk"}})),
            "env[0].valueFrom.resourceFieldRef.resource: Unsupported value: \"limits.disk\": supported values: \"limits.cpu\", \"limits.ephemeral-storage\", \"limits.memory\", \"requests.cpu\", \"requests.ephemeral-storage\", \"requests.memory\"",
        ),
        (
            from(json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}})),
            "env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
        ),
        (
            from(json!({"secretKeyRef": {"name": "s"}})),
            "env[0].valueFrom.secretKeyRef.key: Required value",
        ),
        (
            from(json!({"configMapKeyRef": {"name": "m", "key": ".."}})),
            "env[0].valueFrom.configMapKeyRef.key: Invalid value: \"..\": must not be '..'",
        ),
        (
            from(json!({"fileKeyRef": {"key": "K", "path": "f"}})),
            "env[0].valueFrom.fileKeyRef.volumeName: Required value",
        ),
        (
            json!({"envFrom": [{}]}),
            "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
        ),
        (
            json!({"envFrom": [{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]}),
            "envFrom: Invalid value: \"\": may not have more than one field specified at a time",
        ),
        (
            json!({"envFrom": [{"secretRef": {}}]}),
            "envFrom[0].secretRef.name: Required value",
        ),
        (
            json!({"envFrom": [{"prefix": "=", "secretRef": {"name": "a"}}]}),
            "envFrom[0].prefix: Invalid value: \"=\": a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
    ]);
    for (fields, said) in [
        (
            from(json!({"secretKeyRef": {"key": "k"}})),
            "secretKeyRef.name: Invalid value: \"\": a lowercase RFC 1123 subdomain",
        ),
        (
            field("metadata.labels['-a']"),
            "fieldRef: Invalid value: \"-a\": name part must consist of",
        ),
    ] {
        let found = said_of(kind::POD, pod(&fields));
        let said = format!("spec.containers[0].env[0].valueFrom.{said}");
        assert!(found.len() == 1 && found[0].starts_with(&said), "{found:?}");
    }
}

#[test]
fn resources() {
    check_all(&[
        (
            json!({"resources": {"requests": {"pods": 1}}}),
            "resources.requests[pods]: Invalid value: \"pods\": must be a standard resource for containers",
        ),
        (
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            json!({"resources": {"requests": {"example.com/gpu": 1}, "limits": {"example.com/gpu": 2}}}),
            "resources.requests: Invalid value: \"1\": must be equal to example.com/gpu limit of 2",
        ),
        (
            json!({"resources": {"requests": {"example.com/gpu": 1}}}),
            "resources.limits: Required value: Limit must be set for non overcommitable resources",
        ),
        (
            json!({"resources": {"limits": {"hugepages-2Mi": "2Mi"}}}),
            "resources: Forbidden: HugePages require cpu or memory",
        ),
        (
            json!({"resources": {"claims": [{"name": "x"}]}}),
            "resources.claims[0]: Not found: \"x\": must be one of the names in pod.spec.resourceClaims which is empty",
        ),
    ]);
    // A request that is not written is its limit, and is checked as such.
    check(
        json!({"resources": {"limits": {"example.com/gpu": "1500m"}}}),
        &[
            "resources.limits[example.com/gpu]: Invalid value: \"1500m\": must be an integer",
            "resources.requests[example.com/gpu]: Invalid value: \"1500m\": must be an integer",
        ],
    );
    check(
        json!({"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "-1"}}}),
        &[
            "resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
            "resources.requests: Invalid value: \"1Gi\": must be less than or equal to memory limit of -1",
        ],
    );
    check(
        json!({"resources": {"requests": {"disk": "1"}}}),
        &[
            "resources.requests[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified",
            "resources.requests[disk]: Invalid value: \"disk\": must be a standard resource for containers",
        ],
    );
    check(
        json!({"resources": {"limits": {"cpu": 1, "hugepages-2Mi": "3Mi"}}}),
        &[
            "resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
            "resources.requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
fn mounts_and_devices() {
    let mount = |mut fields: Value| {
        fields["name"] = json!("v");
        fields["mountPath"] = json!("/v");
        json!({"volumeMounts": [fields]})
    };
    let device = |name: &str, path: &str| json!({"name": name, "devicePath": path});
    check_all(&[
        (
            json!({"volumeMounts": [{"name": "x", "mountPath": "/v"}]}),
            "volumeMounts[0].name: Not found: \"x\"",
        ),
        (
            json!({"volumeMounts": [{"name": "v"}]}),
            "volumeMounts[0].mountPath: Required value",
        ),
        (
            json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "p", "mountPath": "/v"}]}),
            "volumeMounts[1].mountPath: Invalid value: \"/v\": must be unique",
        ),
        (
            mount(json!({"subPath": "/a"})),
            "volumeMounts.subPath: Invalid value: \"/a\": must be a relative path",
        ),
        (
            mount(json!({"subPath": "a/../b"})),
            "volumeMounts.subPath: Invalid value: \"a/../b\": must not contain '..'",
        ),
        (
            mount(json!({"subPathExpr": "../$(A)"})),
            "volumeMounts.subPathExpr: Invalid value: \"../$(A)\": must not contain '..'",
        ),
        (
            mount(json!({"subPath": "a", "subPathExpr": "b"})),
            "volumeMounts[0].subPathExpr: Invalid value: \"b\": subPathExpr and subPath are mutually exclusive",
        ),
        (
            mount(json!({"mountPropagation": "Both"})),
            "volumeMounts.mountPropagation: Unsupported value: \"Both\": supported values: \"Bidirectional\", \"HostToContainer\", \"None\"",
        ),
        (
            mount(json!({"mountPropagation": "Bidirectional"})),
            "volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
        ),
        (
            mount(json!({"recursiveReadOnly": "Yes"})),
            "volumeMounts.recursiveReadOnly: Unsupported value: \"Yes\": supported values: \"Disabled\", \"Enabled\", \"IfPossible\"",
        ),
        (
            mount(json!({"recursiveReadOnly": "Enabled"})),
            "volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
        ),
        (
            mount(
                json!({"recursiveReadOnly": "Enabled", "readOnly": true, "mountPropagation": "HostToContainer"}),
            ),
            "volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified",
        ),
        (
            json!({"volumeDevices": [device("x", "/d")]}),
            "volumeDevices[0].name: Not found: \"x\"",
        ),
        (
            json!({"volumeDevices": [device("v", "/d")]}),
            "volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
        ),
        (
            json!({"volumeDevices": [device("p", "/a/../d")]}),
            "volumeDevices[0].devicePath: Invalid value: \"/a/../d\": can not contain backsteps ('..')",
        ),
    ]);
    check(
        json!({"volumeDevices": [device("p", "/d"), device("p", "/d")]}),
        &[
            "volumeDevices[1].name: Invalid value: \"p\": must be unique",
            "volumeDevices[1].devicePath: Invalid value: \"/d\": must be unique",
        ],
    );
    check(
        json!({"volumeMounts": [{"name": "p", "mountPath": "/d"}], "volumeDevices": [device("p", "/d")]}),
        &[
            "volumeMounts[0].name: Invalid value: \"p\": must not already exist in volumeDevices",
            "volumeMounts[0].mountPath: Invalid value: \"/d\": must not already exist as a path in volumeDevices",
            "volumeDevices[0].name: Invalid value: \"p\": must not already exist in volumeMounts",
            "volumeDevices[0].devicePath: Invalid value: \"/d\": must not already exist as a path in volumeMounts",
        ],
    );
}

#[test]
fn the_lists_of_a_pod() {
    let of = |init: Value| {
        let mut pod = pod(&json!({}));
        pod["spec"]["initContainers"] = json!([init]);
        pod
    };
    let init = |fields: Value| {
        let mut container = json!({"name": "i", "image": "i:v1"});
        for (name, value) in fields.as_object().into_iter().flatten() {
            container[name] = value.clone();
        }
        of(container)
    };
    let probe = || json!({"exec": {"command": ["x"]}});
    let only_sidecars = "may not be set for init containers without restartPolicy=Always";
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let said = said_of(kind::POD, init(json!({field: probe()})));
        let expected = format!("spec.initContainers[0].{field}: Forbidden: {only_sidecars}");
        assert_eq!(said, [expected]);
        let sidecar = init(json!({field: probe(), "restartPolicy": "Always"}));
        assert_eq!(said_of(kind::POD, sidecar), [""; 0]);
    }
    for (pod, said) in [
        (
            init(json!({"lifecycle": {"preStop": probe()}})),
            "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
        ),
        (
            init(json!({"lifecycle": {"preStop": {}}, "restartPolicy": "Always"})),
            "spec.initContainers[0].lifecycle.preStop: Required value: must specify a handler type",
        ),
        (
            init(json!({"name": "c"})),
            "spec.initContainers[0].name: Duplicate value: \"c\"",
        ),
        (
            init(json!({"image": "i:v1 "})),
            "spec.initContainers[0].image: Invalid value: \"i:v1 \": must not have leading or trailing whitespace",
        ),
    ] {
        assert_eq!(said_of(kind::POD, pod), [said]);
    }
    let mut twice = pod(&json!({}));
    let again = twice["spec"]["containers"][0].clone();
    twice["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(again);
    let said = "spec.containers[1].name: Duplicate value: \"c\"";
    assert_eq!(said_of(kind::POD, twice), [said]);
}

#[test]
fn ephemeral_containers() {
    let mut debugged = pod(&json!({}));
    debugged["spec"]["ephemeralContainers"] = json!([
        {"name": "c", "image": "i:v1", "targetContainerName": "x", "ports": [{"containerPort": 1}], "resources": {},
            "lifecycle": {"preStop": {}}, "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a"}]},
        {"name": "d", "image": "i:v1", "targetContainerName": "c"},
    ]);
    let said = [
        "spec.ephemeralContainers[0].name: Duplicate value: \"c\"",
        "spec.ephemeralContainers[0].targetContainerName: Not found: \"x\"",
        "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
        "spec.ephemeralContainers[0].lifecycle: Forbidden: cannot be set for an Ephemeral Container",
        "spec.ephemeralContainers[0].volumeMounts[0].subPath: Forbidden: cannot be set for an Ephemeral Container",
    ];
    let mut created = said.to_vec();
    created.push("spec.ephemeralContainers: Forbidden: cannot be set on create");
    assert_eq!(said_of(kind::POD, debugged.clone()), created);
    let template = json!({"template": {"spec": debugged["spec"]}});
    let mut in_template: Vec<String> = said.map(|said| format!("template.{said}")).to_vec();
    in_template.push("template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template".to_owned());
    assert_eq!(said_of(kind::POD_TEMPLATE, template), in_template);
}

/// Blanks around an image are refused of pods only, as upstream; all else of templates too.
#[test]
fn templates() {
    let template = |fields: Value| json!({"template": {"spec": pod(&fields)["spec"]}});
    let blank = template(json!({"image": "i:v1 "}));
    assert_eq!(said_of(kind::POD_TEMPLATE, blank), [""; 0]);
    let hook = template(json!({"lifecycle": {"preStop": {}}}));
    let said = "template.spec.containers[0].lifecycle.preStop: Required value: must specify a handler type";
    assert_eq!(said_of(kind::POD_TEMPLATE, hook), [said]);
}
