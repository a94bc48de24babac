//! As whom a pod runs, what it shares with its machine, and of which system it is.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `validatePodSpecSecurityContext`,
//! `validateWindowsHostProcessPod`, `validateHostUsers`, `validateOS`.

use super::scheduling::supported;
use crate::{
    status::Cause,
    validate::{elements, rules, text},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ID_MAX: i64 = i32::MAX as i64;
const SYSCTL_MAX: usize = 253;
const APP_ARMOR_MAX: usize = 4095;
const CREDENTIAL_SPEC_KIB_MAX: usize = 64;
const USER_DOMAIN_MAX: usize = 256;
const USER_MAX: usize = 104;
const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
/// Of a pod and of its security context a pod of Windows has none of these, in the order upstream looks.
const NOT_OF_WINDOWS: [(&str, bool); 15] = [
    ("appArmorProfile", true),
    ("seLinuxOptions", true),
    ("hostUsers", false),
    ("hostPID", false),
    ("hostIPC", false),
    ("seccompProfile", true),
    ("fsGroup", true),
    ("fsGroupChangePolicy", true),
    ("sysctls", true),
    ("shareProcessNamespace", false),
    ("runAsUser", true),
    ("runAsGroup", true),
    ("supplementalGroups", true),
    ("supplementalGroupsPolicy", true),
    ("seLinuxChangePolicy", true),
];
const CONTAINERS_NOT_OF_WINDOWS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

pub(super) fn context(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (context, path) = (&spec["securityContext"], format!("{path}.securityContext"));
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&context[field], format!("{path}.{field}"), causes);
    }
    for (path, group) in elements(context, "supplementalGroups", &path) {
        id(group, path, causes);
    }
    if spec["shareProcessNamespace"] == true && spec["hostPID"] == true {
        causes.push(Cause::invalid(
            format!("{path}.shareProcessNamespace"),
            &json!(true),
            "ShareProcessNamespace and HostPID cannot both be enabled",
        ));
    }
    sysctls(spec, &path, causes);
    let one_of = |field: &str, known: &[&str], causes: &mut Vec<Cause>| {
        supported(&context[field], known, format!("{path}.{field}"), causes);
    };
    one_of("fsGroupChangePolicy", &["Always", "OnRootMismatch"], causes);
    let seccomp = format!("{path}.seccompProfile");
    seccomp_profile(&context["seccompProfile"], &seccomp, causes);
    let windows = format!("{path}.windowsOptions");
    windows_options(&context["windowsOptions"], &windows, causes);
    let armor = format!("{path}.appArmorProfile");
    app_armor_profile(&context["appArmorProfile"], &armor, causes);
    one_of("supplementalGroupsPolicy", &["Merge", "Strict"], causes);
    one_of("seLinuxChangePolicy", &["MountOption", "Recursive"], causes);
}

fn id(value: &Value, path: String, causes: &mut Vec<Cause>) {
    if value.as_i64().is_some_and(|id| !(0..=ID_MAX).contains(&id)) {
        let detail = format!("must be between 0 and {ID_MAX}, inclusive");
        causes.push(Cause::invalid(path, value, &detail));
    }
}

fn sysctls(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (path, sysctl) in elements(&spec["securityContext"], "sysctls", path) {
        let (name, path) = (text(sysctl, "name"), format!("{path}.name"));
        if name.is_empty() {
            causes.push(Cause::required(path.clone(), ""));
        } else if !is_sysctl(name) {
            let detail = format!(
                "must have at most {SYSCTL_MAX} characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
            );
            causes.push(Cause::invalid(path.clone(), &json!(name), &detail));
        } else if seen.contains(name) {
            causes.push(Cause::duplicate(path.clone(), &json!(name)));
        }
        seen.insert(name);
        let dotted = name.replace('/', ".");
        let begins = |starts: &[&str]| starts.iter().any(|start| dotted.starts_with(start));
        let shared = if spec["hostNetwork"] == true && begins(&["net."]) {
            "may not be specified when 'hostNetwork' is true"
        } else if spec["hostIPC"] == true
            && (dotted == "kernel.sem" || begins(&["kernel.shm", "kernel.msg", "fs.mqueue."]))
        {
            "may not be specified when 'hostIPC' is true"
        } else {
            continue;
        };
        causes.push(Cause::invalid(path, &json!(name), shared));
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_segment = |segment: &str| {
        segment.starts_with(edge)
            && segment.ends_with(edge)
            && segment.chars().all(|c| edge(c) || c == '-' || c == '_')
    };
    name.len() <= SYSCTL_MAX && name.split(['.', '/']).all(is_segment)
}

fn seccomp_profile(profile: &Value, path: &str, causes: &mut Vec<Cause>) {
    if profile.is_null() {
        return;
    }
    let (kind, at) = (text(profile, "type"), format!("{path}.type"));
    if kind.is_empty() {
        let detail = "type is required when seccompProfile is set";
        causes.push(Cause::required(at, detail));
    } else if !PROFILES.contains(&kind) {
        causes.push(Cause::unsupported(at, &json!(kind), &PROFILES));
    }
    let (file, path) = (
        &profile["localhostProfile"],
        format!("{path}.localhostProfile"),
    );
    match (kind, file.as_str()) {
        ("Localhost", None) => {
            let detail = "must be set when seccomp type is Localhost";
            causes.push(Cause::required(path, detail));
        }
        ("Localhost", Some(file)) => rules::descending(file, &path, causes),
        (_, Some(_)) => {
            let detail = "can only be set when seccomp type is Localhost";
            causes.push(Cause::invalid(path, profile, detail));
        }
        _ => {}
    }
}

fn app_armor_profile(profile: &Value, path: &str, causes: &mut Vec<Cause>) {
    if profile.is_null() {
        return;
    }
    let name = &profile["localhostProfile"];
    let (at, path) = (format!("{path}.type"), format!("{path}.localhostProfile"));
    match (text(profile, "type"), name.as_str()) {
        ("Localhost", None | Some("")) => {
            let detail = "must be set when AppArmor type is Localhost";
            causes.push(Cause::required(path, detail));
        }
        ("Localhost", Some(file)) => {
            if file.trim() != file {
                let detail = "must not be padded with whitespace";
                causes.push(Cause::invalid(path.clone(), name, detail));
            }
            if file.len() > APP_ARMOR_MAX {
                causes.push(Cause::too_long(path, APP_ARMOR_MAX));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(_)) => {
            let detail = "can only be set when AppArmor type is Localhost";
            causes.push(Cause::invalid(path, name, detail));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => {
            let detail = "type is required when appArmorProfile is set";
            causes.push(Cause::required(at, detail));
        }
        (other, _) => causes.push(Cause::unsupported(at, &json!(other), &PROFILES)),
    }
}

fn windows_options(options: &Value, path: &str, causes: &mut Vec<Cause>) {
    if let Some(name) = options["gmsaCredentialSpecName"].as_str() {
        rules::subdomain(name, format!("{path}.gmsaCredentialSpecName"), causes);
    }
    if let Some(spec) = options["gmsaCredentialSpec"].as_str() {
        let detail = if spec.is_empty() {
            "gmsaCredentialSpec cannot be an empty string".to_owned()
        } else if spec.len() > CREDENTIAL_SPEC_KIB_MAX * 1024 {
            format!("gmsaCredentialSpec size must be under {CREDENTIAL_SPEC_KIB_MAX} KiB")
        } else {
            String::new()
        };
        if !detail.is_empty() {
            let path = format!("{path}.gmsaCredentialSpec");
            causes.push(Cause::invalid(path, &json!(spec), &detail));
        }
    }
    if let Some(name) = options["runAsUserName"].as_str() {
        let path = format!("{path}.runAsUserName");
        let problems = user_name(name);
        causes.extend(
            problems
                .iter()
                .map(|why| Cause::invalid(path.clone(), &json!(name), why)),
        );
    }
}

fn user_name(name: &str) -> Vec<String> {
    let alone = |why: &str| vec![why.to_owned()];
    if name.is_empty() {
        return alone("runAsUserName cannot be an empty string");
    }
    if name.chars().any(char::is_control) {
        return alone("runAsUserName cannot contain control characters");
    }
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        [user] => ("", *user),
        [domain, user] => (*domain, *user),
        _ => return alone("runAsUserName cannot contain more than one backslash"),
    };
    let mut problems = Vec::new();
    if domain.len() >= USER_DOMAIN_MAX {
        problems.push(format!(
            "runAsUserName's Domain length must be under {USER_DOMAIN_MAX} characters"
        ));
    }
    if user.is_empty() {
        problems.push("runAsUserName's User cannot be empty".to_owned());
    } else if user.len() > USER_MAX {
        problems.push(format!(
            "runAsUserName's User length must not be longer than {USER_MAX} characters"
        ));
    }
    if !user.is_empty() && user.chars().all(|c| c == '.' || c == ' ') {
        problems.push("runAsUserName's User cannot contain only periods or spaces".to_owned());
    }
    if user.contains([
        '"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']',
    ]) {
        problems.push(
            "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"
                .to_owned(),
        );
    }
    problems
}

/// Every container in the order upstream visits them.
fn containers<'a>(spec: &'a Value, path: &str) -> Vec<(String, &'a Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| elements(spec, list, path))
        .collect()
}

/// Processes of the machine itself: all of a pod's are, or none.
pub(super) fn host_process(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let whole = spec["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let all = containers(spec, path);
    let mut count = 0;
    for (path, container) in &all {
        let own = container["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
        if let (Some(whole), Some(own)) = (whole, own)
            && whole != own
        {
            let detail = format!(
                "pod hostProcess value must be identical if both are specified, was {whole}"
            );
            let path = format!("{path}.securityContext.windowsOptions.hostProcess");
            causes.push(Cause::invalid(path, &json!(own), &detail));
        }
        count += usize::from(own.or(whole) == Some(true));
    }
    if count == 0 {
        return;
    }
    if count != all.len() {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        causes.push(Cause::invalid(path, &json!(""), detail));
    }
    if spec["hostNetwork"] != true {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        let path = format!("{path}.hostNetwork");
        causes.push(Cause::invalid(path, &json!(false), detail));
    }
}

/// Who has users of its own shares nothing else with its machine.
pub(super) fn host_users(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if spec["hostUsers"] != false {
        return;
    }
    // The last two are miswritten upstream.
    let shared = [
        ("hostNetwork", "hostNetwork"),
        ("hostPID", "HostPID"),
        ("hostIPC", "HostIPC"),
    ];
    for (_, name) in shared.iter().filter(|(field, _)| spec[*field] == true) {
        let detail = "when `pod.Spec.HostUsers` is false";
        causes.push(Cause::forbidden(format!("{path}.{name}"), detail));
    }
}

pub(super) fn system(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if spec["os"].is_null() {
        return;
    }
    match text(&spec["os"], "name") {
        "" => causes.push(Cause::required(
            format!("{path}.os.name"),
            "cannot be empty",
        )),
        "linux" => linux(spec, path, causes),
        "windows" => windows(spec, path, causes),
        other => causes.push(Cause::unsupported(
            format!("{path}.os"),
            &json!(other),
            &["linux", "windows"],
        )),
    }
}

fn linux(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut all = containers(spec, path);
    all.insert(0, (path.to_owned(), spec));
    for (path, of) in all {
        if !of["securityContext"]["windowsOptions"].is_null() {
            let path = format!("{path}.securityContext.windowsOptions");
            let detail = "windows options cannot be set for a linux pod";
            causes.push(Cause::forbidden(path, detail));
        }
    }
}

fn windows(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let detail = "cannot be set for a windows pod";
    for (field, in_context) in NOT_OF_WINDOWS {
        let (of, path) = if in_context {
            (&spec["securityContext"], format!("{path}.securityContext"))
        } else {
            (spec, path.to_owned())
        };
        let value = &of[field];
        let off = matches!(field, "hostPID" | "hostIPC") && *value != true;
        if !rules::is_absent(value) && !off {
            causes.push(Cause::forbidden(format!("{path}.{field}"), detail));
        }
    }
    for (path, container) in containers(spec, path) {
        for field in CONTAINERS_NOT_OF_WINDOWS {
            if !container["securityContext"][field].is_null() {
                let path = format!("{path}.securityContext.{field}");
                causes.push(Cause::forbidden(path, detail));
            }
        }
    }
}
