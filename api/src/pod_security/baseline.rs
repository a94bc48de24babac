//! The checks of `baseline`: no known way out of a container.

use super::checks::{Violation, bad_containers, containers, name, plural, quoted, setters};
use serde_json::Value;
use std::collections::BTreeSet;

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Parameters of a kernel that are a pod's own, with the minor version that first let them pass.
const SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

pub(super) fn app_armor(pod: &Value) -> Option<Violation> {
    let mut values = BTreeSet::new();
    let mut is_bad = |of: &Value| {
        let profile = &of["securityContext"]["appArmorProfile"];
        let kind = text(&profile["type"]);
        let bad = profile.is_object() && !matches!(kind, "RuntimeDefault" | "Localhost");
        if bad {
            values.insert(kind.to_owned());
        }
        bad
    };
    let pod_did = is_bad(&pod["spec"]);
    let names = bad_containers(pod, is_bad);
    let annotations = pod["metadata"]["annotations"].as_object();
    let marks = annotations.into_iter().flatten();
    let marks: BTreeSet<String> = marks
        .filter(|(name, value)| {
            let value = text(value);
            let fine =
                value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
            name.starts_with(APP_ARMOR) && !fine
        })
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut who: Vec<String> = setters(pod_did, &names).into_iter().collect();
    if !marks.is_empty() {
        who.push(plural(marks.len(), "annotation", "annotations").to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let values: Vec<String> = values.into_iter().chain(marks).collect();
    let reason = plural(
        values.len(),
        "forbidden AppArmor profile",
        "forbidden AppArmor profiles",
    );
    let (who, values) = (who.join(" and "), quoted(values));
    let detail = format!("{who} must not set AppArmor profile type to {values}");
    Some(Violation::new(reason, detail))
}

pub(super) fn capabilities(pod: &Value) -> Option<Violation> {
    let mut found = BTreeSet::new();
    let names = bad_containers(pod, |container| {
        let added = &container["securityContext"]["capabilities"]["add"];
        let added = added.as_array().into_iter().flatten().map(text);
        let bad: Vec<&str> = added.filter(|one| !CAPABILITIES.contains(one)).collect();
        found.extend(bad.iter().map(|one| (*one).to_owned()));
        !bad.is_empty()
    });
    let who = setters(false, &names)?;
    let detail = format!(
        "{who} must not include {} in securityContext.capabilities.add",
        quoted(found)
    );
    Some(Violation::new("non-default capabilities", detail))
}

pub(super) fn host_namespaces(pod: &Value) -> Option<Violation> {
    let fields = ["hostNetwork", "hostPID", "hostIPC"];
    let set = fields.iter().filter(|field| is_true(&pod["spec"][**field]));
    let set: Vec<String> = set.map(|field| format!("{field}=true")).collect();
    (!set.is_empty()).then(|| Violation::new("host namespaces", set.join(", ")))
}

pub(super) fn host_paths(pod: &Value) -> Option<Violation> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let names: Vec<String> = volumes
        .filter(|volume| !volume["hostPath"].is_null())
        .map(name)
        .collect();
    let detail = format!(
        "{} {}",
        plural(names.len(), "volume", "volumes"),
        quoted(&names)
    );
    (!names.is_empty()).then(|| Violation::new("hostPath volumes", detail))
}

pub(super) fn host_ports(pod: &Value) -> Option<Violation> {
    let mut found = BTreeSet::new();
    let names = bad_containers(pod, |container| {
        let ports = container["ports"].as_array().into_iter().flatten();
        let ports = ports.filter_map(|port| port["hostPort"].as_i64().filter(|port| *port != 0));
        let ports: Vec<String> = ports.map(|port| port.to_string()).collect();
        let bad = !ports.is_empty();
        found.extend(ports);
        bad
    });
    let who = setters(false, &names)?;
    let uses = plural(names.len(), "uses", "use");
    let word = plural(found.len(), "hostPort", "hostPorts");
    let ports: Vec<String> = found.into_iter().collect();
    let detail = format!("{who} {uses} {word} {}", ports.join(", "));
    Some(Violation::new("hostPort", detail))
}

pub(super) fn probe_hosts(pod: &Value) -> Option<Violation> {
    let (mut names, mut found) = (BTreeSet::new(), BTreeSet::new());
    for container in containers(pod) {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
        let probes = probes.iter().map(|probe| &container[*probe]);
        let hooks = ["postStart", "preStop"];
        let hooks = hooks.iter().map(|hook| &container["lifecycle"][*hook]);
        for handler in probes.chain(hooks) {
            for way in ["httpGet", "tcpSocket"] {
                let host = text(&handler[way]["host"]);
                if !host.is_empty() {
                    names.insert(name(container));
                    found.insert(host.to_owned());
                }
            }
        }
    }
    let names: Vec<String> = names.into_iter().collect();
    let who = setters(false, &names)?;
    let uses = plural(names.len(), "uses", "use");
    let word = plural(
        found.len(),
        "probe or lifecycle host",
        "probe or lifecycle hosts",
    );
    let detail = format!("{who} {uses} {word} {}", quoted(found));
    Some(Violation::new("probe or lifecycle host", detail))
}

pub(super) fn privileged(pod: &Value) -> Option<Violation> {
    let names = bad_containers(pod, |container| {
        is_true(&container["securityContext"]["privileged"])
    });
    let who = setters(false, &names)?;
    let detail = format!("{who} must not set securityContext.privileged=true");
    Some(Violation::new("privileged", detail))
}

pub(super) fn proc_mount(pod: &Value) -> Option<Violation> {
    let mut found = BTreeSet::new();
    let names = bad_containers(pod, |container| {
        let mount = container["securityContext"]["procMount"].as_str();
        let bad = mount.filter(|mount| *mount != "Default");
        found.extend(bad.map(str::to_owned));
        bad.is_some()
    });
    let who = setters(false, &names)?;
    let detail = format!(
        "{who} must not set securityContext.procMount to {}",
        quoted(found)
    );
    Some(Violation::new("procMount", detail))
}

/// A pod with users of its own may see all of its own `/proc`.
pub(super) fn proc_mount_of_host_users(pod: &Value) -> Option<Violation> {
    super::restricted::of_host_users(pod, proc_mount)
}

pub(super) fn se_linux(pod: &Value) -> Option<Violation> {
    se_linux_of(
        pod,
        &["", "container_t", "container_init_t", "container_kvm_t"],
    )
}

pub(super) fn se_linux_with_engines(pod: &Value) -> Option<Violation> {
    let types = [
        "",
        "container_t",
        "container_init_t",
        "container_kvm_t",
        "container_engine_t",
    ];
    se_linux_of(pod, &types)
}

fn se_linux_of(pod: &Value, allowed: &[&str]) -> Option<Violation> {
    let (mut types, mut user, mut role) = (BTreeSet::new(), false, false);
    let mut is_bad = |of: &Value| {
        let options = &of["securityContext"]["seLinuxOptions"];
        let bad_type = !allowed.contains(&text(&options["type"]));
        let has = |field: &str| !text(&options[field]).is_empty();
        if bad_type {
            types.insert(text(&options["type"]).to_owned());
        }
        user |= has("user");
        role |= has("role");
        bad_type || has("user") || has("role")
    };
    let pod_did = is_bad(&pod["spec"]);
    let names = bad_containers(pod, is_bad);
    let who = setters(pod_did, &names)?;
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!(
            "{} {}",
            plural(types.len(), "type", "types"),
            quoted(types)
        ));
    }
    for (set, field) in [(user, "user"), (role, "role")] {
        if set {
            what.push(format!("{field} may not be set"));
        }
    }
    let what = what.join("; ");
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {what}");
    Some(Violation::new("seLinuxOptions", detail))
}

/// Before there were fields for it.
pub(super) fn seccomp_annotations(pod: &Value) -> Option<Violation> {
    let keys = containers(pod).map(|container| format!("{SECCOMP_CONTAINER}{}", name(container)));
    let annotations = &pod["metadata"]["annotations"];
    let bad = keys.chain([SECCOMP_POD.to_owned()]).filter_map(|key| {
        let value = annotations[&key].as_str()?;
        let fine = matches!(value, "runtime/default" | "docker/default")
            || value.starts_with("localhost/");
        (!fine).then(|| format!("{key}={value:?}"))
    });
    let bad: BTreeSet<String> = bad.collect();
    if bad.is_empty() {
        return None;
    }
    let word = plural(bad.len(), "annotation", "annotations");
    let bad: Vec<String> = bad.into_iter().collect();
    let detail = format!("forbidden {word} {}", bad.join(", "));
    Some(Violation::new("seccompProfile", detail))
}

pub(super) fn seccomp(pod: &Value) -> Option<Violation> {
    let mut found = BTreeSet::new();
    let mut is_bad = |of: &Value| {
        let profile = &of["securityContext"]["seccompProfile"];
        let kind = text(&profile["type"]);
        let bad = profile.is_object() && !matches!(kind, "RuntimeDefault" | "Localhost");
        if bad {
            found.insert(kind.to_owned());
        }
        bad
    };
    let pod_did = is_bad(&pod["spec"]);
    let names = bad_containers(pod, is_bad);
    let who = setters(pod_did, &names)?;
    let detail = format!(
        "{who} must not set securityContext.seccompProfile.type to {}",
        quoted(found)
    );
    Some(Violation::new("seccompProfile", detail))
}

pub(super) fn sysctls(pod: &Value) -> Option<Violation> {
    sysctls_of(pod, 0)
}

pub(super) fn sysctls_27(pod: &Value) -> Option<Violation> {
    sysctls_of(pod, 27)
}

pub(super) fn sysctls_29(pod: &Value) -> Option<Violation> {
    sysctls_of(pod, 29)
}

pub(super) fn sysctls_32(pod: &Value) -> Option<Violation> {
    sysctls_of(pod, 32)
}

fn sysctls_of(pod: &Value, minor: u32) -> Option<Violation> {
    let set = &pod["spec"]["securityContext"]["sysctls"];
    let names = set.as_array().into_iter().flatten().map(name);
    let is_allowed = |wanted: &String| {
        SYSCTLS
            .iter()
            .any(|(name, since)| name == wanted && *since <= minor)
    };
    let bad: Vec<String> = names.filter(|name| !is_allowed(name)).collect();
    (!bad.is_empty()).then(|| Violation::new("forbidden sysctls", bad.join(", ")))
}

pub(super) fn host_process(pod: &Value) -> Option<Violation> {
    let is_bad = |of: &Value| is_true(&of["securityContext"]["windowsOptions"]["hostProcess"]);
    let pod_did = is_bad(&pod["spec"]);
    let names = bad_containers(pod, is_bad);
    let who = setters(pod_did, &names)?;
    let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    Some(Violation::new("hostProcess", detail))
}
