//! THE table of checks: which there are, since when, and what they replace.

use super::{Level, LevelVersion, Version, baseline, restricted};
use serde_json::Value;

/// What is wrong with a pod by one check: a word for it, and the particulars.
pub(super) struct Violation {
    pub(super) reason: String,
    pub(super) detail: String,
}

impl Violation {
    pub(super) fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            detail: detail.into(),
        }
    }
}

/// Looks at a pod, or a template of one.
pub(super) type Check = fn(&Value) -> Option<Violation>;

/// One check: its forms by the minor version each counts from, and the check of the lower level that it replaces.
struct Row {
    id: &'static str,
    forms: &'static [(u32, Check)],
    replaces: &'static str,
}

const fn row(id: &'static str, forms: &'static [(u32, Check)]) -> Row {
    Row {
        id,
        forms,
        replaces: "",
    }
}

const fn replacing(
    replaces: &'static str,
    id: &'static str,
    forms: &'static [(u32, Check)],
) -> Row {
    Row {
        id,
        forms,
        replaces,
    }
}

/// In the order of their names, which is the order of the texts.
const BASELINE: [Row; 12] = [
    row("appArmorProfile", &[(0, baseline::app_armor)]),
    row("capabilities_baseline", &[(0, baseline::capabilities)]),
    row("hostNamespaces", &[(0, baseline::host_namespaces)]),
    row("hostPathVolumes", &[(0, baseline::host_paths)]),
    row("hostPorts", &[(0, baseline::host_ports)]),
    row("hostProbesAndHostLifecycle", &[(34, baseline::probe_hosts)]),
    row("privileged", &[(0, baseline::privileged)]),
    row(
        "procMount",
        &[
            (0, baseline::proc_mount),
            (35, baseline::proc_mount_of_host_users),
        ],
    ),
    row(
        "seLinuxOptions",
        &[
            (0, baseline::se_linux),
            (31, baseline::se_linux_with_engines),
        ],
    ),
    row(
        "seccompProfile_baseline",
        &[(0, baseline::seccomp_annotations), (19, baseline::seccomp)],
    ),
    row(
        "sysctls",
        &[
            (0, baseline::sysctls),
            (27, baseline::sysctls_27),
            (29, baseline::sysctls_29),
            (32, baseline::sysctls_32),
        ],
    ),
    row("windowsHostProcess", &[(0, baseline::host_process)]),
];
const RESTRICTED: [Row; 7] = [
    row(
        "allowPrivilegeEscalation",
        &[
            (8, restricted::escalation),
            (25, |pod| {
                restricted::but_windows(pod, restricted::escalation)
            }),
        ],
    ),
    replacing(
        "capabilities_baseline",
        "capabilities_restricted",
        &[
            (22, restricted::capabilities),
            (25, |pod| {
                restricted::but_windows(pod, restricted::capabilities)
            }),
        ],
    ),
    replacing(
        "procMount",
        "procMount_restricted",
        &[(35, baseline::proc_mount)],
    ),
    replacing(
        "hostPathVolumes",
        "restrictedVolumes",
        &[(0, restricted::volumes)],
    ),
    row(
        "runAsNonRoot",
        &[
            (0, restricted::non_root),
            (35, |pod| {
                restricted::of_host_users(pod, restricted::non_root)
            }),
        ],
    ),
    row(
        "runAsUser",
        &[
            (23, restricted::user),
            (35, |pod| restricted::of_host_users(pod, restricted::user)),
        ],
    ),
    replacing(
        "seccompProfile_baseline",
        "seccompProfile_restricted",
        &[
            (19, restricted::seccomp),
            (25, |pod| restricted::but_windows(pod, restricted::seccomp)),
        ],
    ),
];

impl Row {
    /// The form of a version; none where there was no such check yet.
    fn form(&self, version: Version) -> Option<Check> {
        let since = |(minor, _): &&(u32, Check)| match version {
            Version::Latest => true,
            Version::Minor(wanted) => *minor <= wanted,
        };
        self.forms.iter().rev().find(since).map(|(_, check)| *check)
    }
}

/// What is wrong with a pod.
#[derive(Default)]
pub struct Violations(Vec<Violation>);

impl std::fmt::Debug for Violations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.details())
    }
}

impl Violations {
    /// Nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In short.
    #[must_use]
    pub fn reasons(&self) -> String {
        let reasons: Vec<&str> = self.0.iter().map(|one| one.reason.as_str()).collect();
        reasons.join(", ")
    }

    /// With the particulars.
    #[must_use]
    pub fn details(&self) -> String {
        let told = |one: &Violation| match one.detail.as_str() {
            "" => one.reason.clone(),
            detail => format!("{} ({detail})", one.reason),
        };
        let told: Vec<String> = self.0.iter().map(told).collect();
        told.join(", ")
    }
}

/// Looks at a pod, or a template of one, by the checks of a level.
#[must_use]
pub fn evaluate(by: LevelVersion, pod: &Value) -> Violations {
    let upper: &[Row] = match by.level {
        Level::Privileged => return Violations::default(),
        Level::Baseline => &[],
        Level::Restricted => &RESTRICTED,
    };
    let is_replaced = |row: &&Row| {
        upper
            .iter()
            .any(|other| other.replaces == row.id && other.form(by.version).is_some())
    };
    let lower = BASELINE.iter().filter(|row| !is_replaced(row));
    let checks = lower.chain(upper).filter_map(|row| row.form(by.version));
    Violations(checks.filter_map(|check| check(pod)).collect())
}

/// Every container of a pod, in upstream's order.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
}

pub(super) fn name(of: &Value) -> String {
    of["name"].as_str().unwrap_or_default().to_owned()
}

/// The names of the containers that `is_bad`.
pub(super) fn bad_containers(pod: &Value, mut is_bad: impl FnMut(&Value) -> bool) -> Vec<String> {
    containers(pod)
        .filter(|container| is_bad(container))
        .map(name)
        .collect()
}

pub(super) fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items
        .into_iter()
        .map(|item| format!("\"{}\"", item.as_ref()))
        .collect();
    items.join(", ")
}

pub(super) fn plural(count: usize, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

/// `container "a"`, or `containers "a", "b"`.
pub(super) fn told(names: &[String]) -> String {
    let word = plural(names.len(), "container", "containers");
    format!("{word} {}", quoted(names))
}

/// Who did it: the pod itself, containers, or both; none for nobody.
pub(super) fn setters(pod_did: bool, names: &[String]) -> Option<String> {
    let pod = pod_did.then(|| "pod".to_owned());
    let containers = (!names.is_empty()).then(|| told(names));
    let all: Vec<String> = pod.into_iter().chain(containers).collect();
    (!all.is_empty()).then(|| all.join(" and "))
}
