//! What the agent says of its machine: capacity, versions, pressure, and what the process uses.
//!
//! Never guesses: what can not be read is empty or left out.

use coracle_link::{node::NodeInfo, status::Condition};
use std::{fs, net::IpAddr, path::Path};

/// Kept back for the agent and the system.
const RESERVED_CPU_MILLIS: u64 = 50;
/// Kept back for the agent and the system: this much, or a tenth of a small machine.
const RESERVED_MEMORY_BYTES: u64 = 64 << 20;
/// Less free memory than this is pressure, as upstream's default eviction threshold.
const MEMORY_PRESSURE_BYTES: u64 = 100 << 20;
/// Less free disk than this share is pressure, as upstream's default eviction threshold ...
const DISK_PRESSURE_PERCENT: u64 = 10;
/// ... but a tenth of a large disk is more than enough for what a node keeps.
const DISK_PRESSURE_BYTES: u64 = 2 << 30;

/// What does not change while the agent runs.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) data_dir: &'a Path,
    pub(crate) target: String,
    pub(crate) compatibility_hash: String,
    pub(crate) runtime_version: String,
    pub(crate) pods_max: u32,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) address: Option<IpAddr>,
    /// Less free disk than this is pressure; none: the usual threshold.
    pub(crate) disk_free_min: Option<u64>,
}

/// All that is known of the node.
pub(crate) fn info(facts: &Facts<'_>, now_ms: i64) -> NodeInfo {
    let cpu = std::thread::available_parallelism().map_or(1000, |count| count.get() as u64 * 1000);
    let memory = meminfo("MemTotal").unwrap_or(0);
    let system = rustix::system::uname();
    let text = |path: &str| {
        fs::read_to_string(path).map_or_else(|_| String::new(), |text| text.trim().to_owned())
    };
    let disk = disk(facts.data_dir);
    NodeInfo {
        architecture: architecture().to_owned(),
        target: facts.target.clone(),
        compatibility_hash: facts.compatibility_hash.clone(),
        os_image: pretty_name(&text("/etc/os-release")),
        kernel_version: system.release().to_string_lossy().into_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        runtime_version: facts.runtime_version.clone(),
        machine_id: text("/etc/machine-id"),
        boot_id: text("/proc/sys/kernel/random/boot_id"),
        capacity_cpu_millis: cpu,
        capacity_memory_bytes: memory,
        capacity_storage_bytes: disk.map_or(0, |disk| disk.total),
        allocatable_cpu_millis: cpu - RESERVED_CPU_MILLIS.min(cpu / 10),
        allocatable_memory_bytes: memory - RESERVED_MEMORY_BYTES.min(memory / 10),
        pods_max: facts.pods_max,
        address: facts
            .address
            .map_or_else(String::new, |address| address.to_string()),
        hostname: system.nodename().to_string_lossy().into_owned(),
        labels: facts.labels.clone(),
        conditions: conditions(
            meminfo("MemAvailable"),
            disk.is_some_and(|disk| disk.is_low(facts.disk_free_min)),
            now_ms,
        ),
    }
}

/// Kubernetes' word for this processor.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn pretty_name(os_release: &str) -> String {
    let line = os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.unwrap_or("Linux").trim_matches('"').to_owned()
}

fn meminfo(key: &str) -> Option<u64> {
    parse_meminfo(&fs::read_to_string("/proc/meminfo").ok()?, key)
}

fn parse_meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) total: u64,
    pub(crate) available: u64,
}

impl Disk {
    /// Less is free than `min` bytes, or than the usual threshold.
    fn is_low(self, min: Option<u64>) -> bool {
        let share = self.total / 100 * DISK_PRESSURE_PERCENT;
        self.available < min.unwrap_or_else(|| share.min(DISK_PRESSURE_BYTES))
    }
}

/// The file system that `path` is on.
pub(crate) fn disk(path: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(Disk {
        total: found.f_blocks * found.f_frsize,
        available: found.f_bavail * found.f_frsize,
    })
}

fn conditions(memory_available: Option<u64>, low_disk: bool, now_ms: i64) -> Vec<Condition> {
    let condition = |kind: &str, status, reason: &str, message: &str| Condition {
        kind: kind.to_owned(),
        status: Some(status),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_ms: now_ms,
    };
    let low_memory = memory_available.is_some_and(|available| available < MEMORY_PRESSURE_BYTES);
    vec![
        if low_memory {
            condition(
                "MemoryPressure",
                true,
                "KubeletHasInsufficientMemory",
                "kubelet has insufficient memory available",
            )
        } else {
            condition(
                "MemoryPressure",
                false,
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            )
        },
        if low_disk {
            condition(
                "DiskPressure",
                true,
                "KubeletHasDiskPressure",
                "kubelet has disk pressure",
            )
        } else {
            condition(
                "DiskPressure",
                false,
                "KubeletHasNoDiskPressure",
                "kubelet has no disk pressure",
            )
        },
        condition(
            "PIDPressure",
            false,
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        condition(
            "Ready",
            true,
            "KubeletReady",
            "kubelet is posting ready status",
        ),
    ]
}

/// Transition times stay while a condition does.
pub(crate) fn keep_transitions(new: &mut NodeInfo, old: &NodeInfo) {
    for condition in &mut new.conditions {
        let same = old
            .conditions
            .iter()
            .find(|known| known.kind == condition.kind && known.status == condition.status);
        if let Some(same) = same {
            condition.last_transition_ms = same.last_transition_ms;
        }
    }
}

/// CPU time of this process, nanoseconds.
pub(crate) fn process_cpu_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// Resident bytes of this process.
pub(crate) fn process_memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_says() {
        let text = "MemTotal:        2048 kB\nMemAvailable:    1024 kB\n";
        assert_eq!(parse_meminfo(text, "MemTotal"), Some(2 << 20));
        assert_eq!(parse_meminfo(text, "Mem"), None);
        assert_eq!(
            pretty_name("ID=x\nPRETTY_NAME=\"A Linux 1\"\n"),
            "A Linux 1"
        );
        assert_eq!(pretty_name(""), "Linux");
        assert!(process_cpu_nanos() > 0);
        assert!(process_memory_bytes() > 0);
    }

    #[test]
    fn pressure() {
        let reason = |memory, low_disk| {
            let conditions = conditions(memory, low_disk, 0);
            conditions
                .iter()
                .map(|condition| condition.reason.clone())
                .take(2)
                .collect::<Vec<_>>()
        };
        let fine = ["KubeletHasSufficientMemory", "KubeletHasNoDiskPressure"];
        assert_eq!(reason(None, false), fine);
        assert_eq!(reason(Some(1 << 30), false), fine);
        let low = ["KubeletHasInsufficientMemory", "KubeletHasDiskPressure"];
        assert_eq!(reason(Some(1 << 20), true), low);
    }

    #[test]
    fn a_full_disk() {
        // Of how many bytes, how many are free, the wanted minimum, whether that is low.
        let table = [
            (1000, 500, None, false),
            (1000, 99, None, true),
            (1 << 40, 3 << 30, None, false),
            (1 << 40, 1 << 30, None, true),
            (1 << 40, 1 << 30, Some(1 << 20), false),
            (1000, 500, Some(501), true),
            (1000, 0, Some(0), false),
        ];
        for (total, available, min, low) in table {
            let disk = Disk { total, available };
            assert_eq!(disk.is_low(min), low, "{disk:?} {min:?}");
        }
    }
}
