//! What an agent observes of its pods. Times are milliseconds since 1970 by the agent's clock.

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have started.
    Pending,
    /// At least one container runs or is being restarted.
    Running,
    /// All ended with 0 and none restarts.
    Succeeded,
    /// All ended, at least one not with 0, and none restarts.
    Failed,
}

/// The status of one pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodStatus {
    /// Of the pod.
    pub uid: String,
    /// Of the pod.
    pub namespace: String,
    /// Of the pod.
    pub name: String,
    /// Revision of the spec this was computed from.
    pub observed_revision: u64,
    /// Summary.
    pub phase: Phase,
    /// Short reason, or empty.
    pub reason: String,
    /// Sentence, or empty.
    pub message: String,
    /// The pod's address, or empty.
    pub pod_ip: String,
    /// When the agent took it up.
    pub start_time_ms: i64,
    /// Typed facts.
    pub conditions: Vec<Condition>,
    /// In the order of the spec.
    pub init_containers: Vec<ContainerStatus>,
    /// In the order of the spec.
    pub containers: Vec<ContainerStatus>,
    /// The agent has stopped and cleaned up everything of a deleted pod: the object may go.
    pub released: bool,
}

/// A pod or node condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `Ready`, `Initialized`, `ContainersReady`, `PodScheduled`, ...
    pub kind: String,
    /// True, false, or unknown when absent.
    pub status: Option<bool>,
    /// CamelCase, or empty.
    pub reason: String,
    /// Sentence, or empty.
    pub message: String,
    /// When `status` last changed.
    pub last_transition_ms: i64,
}

/// The status of one container.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// The image as the manifest writes it.
    pub image: String,
    /// The image with its digest, or empty while unknown.
    pub image_id: String,
    /// `coracle://<id>`, or empty before the first start.
    pub container_id: String,
    /// Passes its readiness probe.
    pub ready: bool,
    /// Passed its startup probe.
    pub started: bool,
    /// How often it was restarted.
    pub restart_count: u32,
    /// Now.
    pub state: ContainerState,
    /// The run before this one.
    pub last_state: Option<Terminated>,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq)]
pub enum ContainerState {
    /// Not running yet, or not running now.
    Waiting {
        /// `ContainerCreating`, `CrashLoopBackOff`, `ErrImagePull`, ...
        reason: String,
        /// Sentence, or empty.
        message: String,
    },
    /// Running.
    Running {
        /// Since.
        started_at_ms: i64,
    },
    /// Ended.
    Terminated(Terminated),
}

/// One ended run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminated {
    /// 0..=255; 137 for a kill or the memory limit, 134 for a trap.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, ...
    pub reason: String,
    /// Sentence or wasm backtrace.
    pub message: String,
    /// Start of the run.
    pub started_at_ms: i64,
    /// End of the run.
    pub finished_at_ms: i64,
    /// `coracle://<id>`.
    pub container_id: String,
}

/// Something an agent wants people to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Of the pod; empty for the node itself.
    pub pod_uid: String,
    /// Of the pod.
    pub namespace: String,
    /// Of the pod.
    pub name: String,
    /// `spec.containers{NAME}`, or empty.
    pub field_path: String,
    /// A warning, else normal.
    pub warning: bool,
    /// CamelCase.
    pub reason: String,
    /// Sentence.
    pub message: String,
    /// When.
    pub time_ms: i64,
}
