//! The checks of `restricted`: hardened as one should.

use super::{
    baseline,
    checks::{Check, Violation, bad_containers, name, plural, quoted, setters, told},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Sources of volumes that bring nothing of the host.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// All others that have a name.
const OTHER_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

/// A check that says nothing to a pod for Windows, which has no such fields.
pub(super) fn but_windows(pod: &Value, check: Check) -> Option<Violation> {
    if pod["spec"]["os"]["name"] == "windows" {
        return None;
    }
    check(pod)
}

/// A check that says nothing to a pod with users of its own.
pub(super) fn of_host_users(pod: &Value, check: Check) -> Option<Violation> {
    if pod["spec"]["hostUsers"] == false {
        return None;
    }
    check(pod)
}

pub(super) fn escalation(pod: &Value) -> Option<Violation> {
    let names = bad_containers(pod, |container| {
        container["securityContext"]["allowPrivilegeEscalation"] != false
    });
    let who = setters(false, &names)?;
    let detail = format!("{who} must set securityContext.allowPrivilegeEscalation=false");
    Some(Violation::new("allowPrivilegeEscalation != false", detail))
}

pub(super) fn capabilities(pod: &Value) -> Option<Violation> {
    let has = |container: &Value, list: &str, wanted: fn(&str) -> bool| -> Vec<String> {
        let names = container["securityContext"]["capabilities"][list].as_array();
        let names = names.into_iter().flatten().filter_map(Value::as_str);
        names
            .filter(|name| wanted(name))
            .map(str::to_owned)
            .collect()
    };
    let keeping = bad_containers(pod, |container| {
        has(container, "drop", |name| name == "ALL").is_empty()
    });
    let mut found = BTreeSet::new();
    let adding = bad_containers(pod, |container| {
        let added = has(container, "add", |name| name != "NET_BIND_SERVICE");
        let bad = !added.is_empty();
        found.extend(added);
        bad
    });
    let mut details = Vec::new();
    if !keeping.is_empty() {
        let who = told(&keeping);
        details.push(format!(
            "{who} must set securityContext.capabilities.drop=[\"ALL\"]"
        ));
    }
    if !adding.is_empty() {
        let who = told(&adding);
        details.push(format!(
            "{who} must not include {} in securityContext.capabilities.add",
            quoted(found)
        ));
    }
    let detail = details.join("; ");
    (!details.is_empty()).then(|| Violation::new("unrestricted capabilities", detail))
}

pub(super) fn volumes(pod: &Value) -> Option<Violation> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let is_fine = |volume: &&Value| VOLUMES.iter().any(|source| !volume[*source].is_null());
    let bad: Vec<&Value> = volumes.filter(|volume| !is_fine(volume)).collect();
    if bad.is_empty() {
        return None;
    }
    let source = |volume: &Value| {
        let mut sources = OTHER_VOLUMES.iter();
        sources.find(|source| !volume[**source].is_null()).copied()
    };
    let sources: BTreeSet<&str> = bad
        .iter()
        .map(|volume| source(volume).unwrap_or("unknown"))
        .collect();
    let names: Vec<String> = bad.iter().map(|volume| name(volume)).collect();
    let detail = format!(
        "{} {} {} {} {}",
        plural(names.len(), "volume", "volumes"),
        quoted(&names),
        plural(names.len(), "uses", "use"),
        plural(
            sources.len(),
            "restricted volume type",
            "restricted volume types"
        ),
        quoted(sources)
    );
    Some(Violation::new("restricted volume types", detail))
}

pub(super) fn non_root(pod: &Value) -> Option<Violation> {
    let asked = |of: &Value| of["securityContext"]["runAsNonRoot"].as_bool();
    let reason = "runAsNonRoot != true";
    let of_pod = asked(&pod["spec"]);
    let refusing = bad_containers(pod, |container| asked(container) == Some(false));
    if let Some(who) = setters(of_pod == Some(false), &refusing) {
        let detail = format!("{who} must not set securityContext.runAsNonRoot=false");
        return Some(Violation::new(reason, detail));
    }
    let silent = bad_containers(pod, |container| {
        of_pod != Some(true) && asked(container).is_none()
    });
    let who = setters(false, &silent)?;
    let detail = format!("pod or {who} must set securityContext.runAsNonRoot=true");
    Some(Violation::new(reason, detail))
}

pub(super) fn user(pod: &Value) -> Option<Violation> {
    let is_root = |of: &Value| of["securityContext"]["runAsUser"] == 0;
    let names = bad_containers(pod, is_root);
    let who = setters(is_root(&pod["spec"]), &names)?;
    let detail = format!("{who} must not set runAsUser=0");
    Some(Violation::new("runAsUser=0", detail))
}

pub(super) fn seccomp(pod: &Value) -> Option<Violation> {
    if let Some(bad) = baseline::seccomp(pod) {
        return Some(bad);
    }
    // What is set is right.
    let is_set = |of: &Value| of["securityContext"]["seccompProfile"].is_object();
    let of_pod = is_set(&pod["spec"]);
    let silent = bad_containers(pod, |container| !of_pod && !is_set(container));
    let who = setters(false, &silent)?;
    let detail = format!(
        "pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""
    );
    Some(Violation::new("seccompProfile", detail))
}
