//! What an agent says of its node.

use crate::status::Condition;

/// Facts of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeInfo {
    /// `amd64`, `arm64`, `arm`.
    pub architecture: String,
    /// What the controller compiles for: a target triple, or `pulley64`, `pulley32`.
    pub target: String,
    /// Hex hash of engine version and settings; compiled code must match it.
    pub compatibility_hash: String,
    /// `PRETTY_NAME` of os-release.
    pub os_image: String,
    /// `uname -r`.
    pub kernel_version: String,
    /// Version of the agent.
    pub agent_version: String,
    /// `wasmtime://48.0.8`.
    pub runtime_version: String,
    /// `/etc/machine-id`, or empty.
    pub machine_id: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// All of the machine: thousandths of a core.
    pub capacity_cpu_millis: u64,
    /// All of the machine: bytes.
    pub capacity_memory_bytes: u64,
    /// Of the data directory's file system: bytes.
    pub capacity_storage_bytes: u64,
    /// For pods.
    pub allocatable_cpu_millis: u64,
    /// For pods: bytes.
    pub allocatable_memory_bytes: u64,
    /// How many pods.
    pub pods_max: u32,
    /// Address other hosts reach it at, as the agent sees it.
    pub address: String,
    /// Host name.
    pub hostname: String,
    /// Labels the operator gave the agent.
    pub labels: Vec<(String, String)>,
    /// `MemoryPressure`, `DiskPressure`, `PIDPressure`, `Ready`.
    pub conditions: Vec<Condition>,
}

/// What a node and its pods use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeUsage {
    /// CPU time of the agent process since its start, nanoseconds.
    pub cpu_nanos: u64,
    /// Resident bytes of the agent process.
    pub memory_bytes: u64,
    /// When it was read, milliseconds since 1970.
    pub time_ms: i64,
    /// Each container.
    pub containers: Vec<ContainerUsage>,
}

/// What one container uses.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContainerUsage {
    /// Of the pod.
    pub pod_uid: String,
    /// Of the pod.
    pub namespace: String,
    /// Of the pod.
    pub pod: String,
    /// Of the container.
    pub container: String,
    /// CPU time since its start, nanoseconds.
    pub cpu_nanos: u64,
    /// Bytes now.
    pub memory_bytes: u64,
    /// HTTP requests served.
    pub requests: u64,
    /// HTTP requests that ended in a trap.
    pub traps: u64,
}
