//! What the agent says about a sandbox, and what it hears back. Plain data; no behaviour.

use std::{path::PathBuf, sync::Arc};

/// How a [`crate::Runtime`] is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Slots of the instance pool, for all HTTP containers whose memory limit fits a slot.
    /// 0 turns the pool off.
    pub pool_instances: u32,
    /// Threads for guests that compute. 0 means one for each CPU.
    pub cpu_threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pool_instances: 128,
            cpu_threads: 0,
        }
    }
}

/// Everything a container may see and use.
#[derive(Clone)]
pub struct SandboxSpec {
    /// Names the container in logs and in traps.
    pub id: String,
    /// The argument vector, the program's name first.
    pub args: Vec<String>,
    /// Environment variables; a later one of the same name wins.
    pub env: Vec<(String, String)>,
    /// Directories the guest may open.
    pub mounts: Vec<Mount>,
    /// What the container may use.
    pub limits: Limits,
    /// Where stdout and stderr go.
    pub output: Arc<dyn Output>,
    /// How an HTTP container makes instances; a command ignores it.
    pub http: HttpOptions,
}

impl std::fmt::Debug for SandboxSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the environment: it holds secrets.
        f.debug_struct("SandboxSpec")
            .field("id", &self.id)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A directory of the host that the guest sees.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The directory on the host.
    pub host: PathBuf,
    /// Its path in the guest.
    pub guest: String,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// What a container may use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// The sum of all linear memories and tables over all live instances.
    pub memory_bytes: Option<u64>,
    /// CPU rate in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// Weight against other containers when the CPU threads are busy (`requests.cpu`).
    pub cpu_shares_millis: u32,
}

/// How an HTTP container makes instances.
#[derive(Debug, Clone, Copy)]
pub struct HttpOptions {
    /// Requests an instance serves before it is dropped; 1 is a fresh instance for each.
    pub max_invocations: u32,
    /// Requests an instance serves at one time (wasi:http 0.3 only; 0.2 is always 1).
    pub max_concurrency: u32,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            max_invocations: 1,
            max_concurrency: 1,
        }
    }
}

/// The two output streams of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StdStream {
    /// Standard output.
    Stdout,
    /// Standard error; the runtime writes the backtrace of a trapped request here too.
    Stderr,
}

/// Takes what a guest writes. Bytes come as the guest wrote them, not cut into lines.
///
/// Must return quickly and never block: it is called on the thread that runs the guest.
pub trait Output: Send + Sync {
    /// One write of the guest.
    fn write(&self, stream: StdStream, bytes: &[u8]);
}

/// How a sandbox ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The program ended by itself. An HTTP container that was stopped ends with 0.
    Code(i32),
    /// The program trapped; an HTTP container trapped too often.
    Trap {
        /// The trap and its wasm backtrace, at most 4 KiB.
        message: String,
    },
    /// The program needed more memory than its limit.
    OutOfMemory,
    /// `kill`, or the deadline of `stop`.
    Killed,
}

/// What a sandbox has used so far and uses now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of its guests.
    pub cpu_nanos: u64,
    /// Linear memories and tables of its live instances.
    pub memory_bytes: u64,
    /// What of its compiled code is in memory; containers of one image share it.
    pub code_bytes: u64,
    /// Requests answered by a guest or refused.
    pub requests: u64,
    /// Requests that ended in a trap.
    pub traps: u64,
    /// Live instances.
    pub instances: u32,
}
