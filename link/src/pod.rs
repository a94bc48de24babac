//! A pod as an agent needs it: every reference resolved by the controller.
//!
//! Secrets arrive as plain bytes on an authenticated link; they are zeroed by their owner and
//! never logged (`Debug` of `Bytes` values here prints lengths only).

use std::fmt;

/// Bytes that may be a secret: `Debug` never prints them; zeroed on drop.
#[derive(Clone, PartialEq, Eq, Default, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct Sensitive(pub Vec<u8>);

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sensitive({} bytes)", self.0.len())
    }
}

/// One pod bound to this node.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The revision of the object this was resolved from.
    pub revision: u64,
    /// `metadata.labels`.
    pub labels: Vec<(String, String)>,
    /// `metadata.annotations`.
    pub annotations: Vec<(String, String)>,
    /// `spec.restartPolicy`.
    pub restart_policy: RestartPolicy,
    /// `spec.terminationGracePeriodSeconds`, seconds.
    pub grace_period_secs: u64,
    /// Set once deletion was asked for: the grace period in seconds that is then in force.
    pub deletion_grace_secs: Option<u64>,
    /// The pod's host name, by default its name.
    pub hostname: String,
    /// `spec.activeDeadlineSeconds`, seconds.
    pub active_deadline_secs: Option<u64>,
    /// Run in order, each to its end, before `containers`.
    pub init_containers: Vec<Container>,
    /// Run together.
    pub containers: Vec<Container>,
    /// Resolved volumes.
    pub volumes: Vec<Volume>,
    /// `spec.serviceAccountName`.
    pub service_account: String,
}

/// `spec.restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Restart whatever the exit code.
    Always,
    /// Restart unless the exit code is 0.
    OnFailure,
    /// Never restart.
    Never,
}

/// `imagePullPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Resolve the tag at every start.
    Always,
    /// Use what this node has.
    IfNotPresent,
    /// Never ask the controller.
    Never,
}

/// One container, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// The image as the manifest writes it.
    pub image: String,
    /// When to ask the controller for it.
    pub pull_policy: PullPolicy,
    /// Arguments after argv[0].
    pub args: Vec<String>,
    /// Environment, in order, all references resolved.
    pub env: Vec<EnvVar>,
    /// Why the environment or volumes could not be resolved: `CreateContainerConfigError` with this message.
    pub config_error: Option<String>,
    /// Ports it declares.
    pub ports: Vec<Port>,
    /// Where volumes appear in the guest.
    pub mounts: Vec<Mount>,
    /// Upper bounds.
    pub limits: Resources,
    /// What it was scheduled with.
    pub requests: Resources,
    /// Startup probe.
    pub startup: Option<Probe>,
    /// Readiness probe.
    pub readiness: Option<Probe>,
    /// Liveness probe.
    pub liveness: Option<Probe>,
    /// Requests one HTTP instance may serve in its life (`coracle.dev/max-invocations`, default 1).
    pub max_invocations: u32,
    /// Requests one HTTP instance may serve at once (`coracle.dev/max-concurrency`, default 1).
    pub max_concurrency: u32,
    /// An init container with `restartPolicy: Always`.
    pub sidecar: bool,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value; may come from a Secret.
    pub value: Sensitive,
}

/// CPU and memory; absent means not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Bytes.
    pub memory_bytes: Option<u64>,
}

/// A declared container port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name, or empty.
    pub name: String,
    /// The port the guest (or the agent for an HTTP component) opens.
    pub container_port: u16,
    /// `TCP` or `UDP`.
    pub protocol: Protocol,
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A volume mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Name of the pod's volume.
    pub volume: String,
    /// Path in the guest.
    pub path: String,
    /// Path inside the volume; empty for its root.
    pub sub_path: String,
    /// No writes.
    pub read_only: bool,
}

/// A probe with upstream's defaults already applied. Times in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub action: ProbeAction,
    /// Wait after the start.
    pub initial_delay_secs: u32,
    /// Between two probes.
    pub period_secs: u32,
    /// For one probe.
    pub timeout_secs: u32,
    /// Successes in a row until it counts as passed.
    pub success_threshold: u32,
    /// Failures in a row until it counts as failed.
    pub failure_threshold: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAction {
    /// HTTP GET; 200..400 passes.
    HttpGet {
        /// Port in the pod.
        port: u16,
        /// Path and query.
        path: String,
        /// Extra headers.
        headers: Vec<(String, String)>,
    },
    /// TCP connect.
    TcpSocket {
        /// Port in the pod.
        port: u16,
    },
}

/// A volume of the pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Its name in the pod.
    pub name: String,
    /// What is in it.
    pub source: VolumeSource,
}

/// What a volume holds.
#[derive(Debug, Clone, PartialEq)]
pub enum VolumeSource {
    /// An empty folder that lives as long as the pod.
    EmptyDir {
        /// `medium: Memory`.
        memory: bool,
        /// Upper bound in bytes.
        size_limit: Option<u64>,
    },
    /// Files from a ConfigMap.
    ConfigMap(Vec<File>),
    /// Files from a Secret: only ever in memory or on tmpfs.
    Secret(Vec<File>),
    /// A folder of the node.
    HostPath(String),
}

/// A file of a resolved volume.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// Path relative to the volume's root; never absolute, never with `..`.
    pub path: String,
    /// Content.
    pub data: Sensitive,
    /// Unix mode bits.
    pub mode: u32,
}
