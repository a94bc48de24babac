//! Compiles a module for a target, once, in a child process.
//!
//! The compiler reads hostile input, so it never runs in the controller: a child gets the module
//! on its standard input and a limit of memory and time, and answers on its standard output.

use super::{blobs, reference::Digest};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    sync::Semaphore,
};

/// Longest compilation.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(120);
/// Address space of the child, bytes.
const COMPILE_MEMORY_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Largest compiled code, bytes: about 3 times the largest module that compiles in time.
const COMPILED_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Longest error text taken from the child.
const ERROR_BYTES_MAX: u64 = 4096;

/// Why a module could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot compile {module} for {target}: {message}")]
    Refused {
        module: Digest,
        target: String,
        message: String,
    },
    #[error("cannot run the compiler {program}")]
    Start {
        program: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot store compiled code")]
    Store(#[from] blobs::Error),
}

/// What an agent needs code for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Target triple, or `pulley64`, `pulley32`.
    pub triple: String,
    /// Hash of engine version and settings.
    pub compatibility_hash: String,
}

/// The program that compiles: `PROGRAM ARGS… TRIPLE < module > code`.
#[derive(Debug, Clone)]
pub struct Program {
    /// Path of the program.
    pub path: PathBuf,
    /// Arguments before the triple.
    pub args: Vec<String>,
}

/// Runs one child at a time: a compilation takes all cores it can get.
#[derive(Debug)]
pub struct Compiler {
    program: Program,
    dir: PathBuf,
    turn: Semaphore,
}

impl Compiler {
    /// Keeps its results in `dir`.
    #[must_use]
    pub fn new(program: Program, dir: PathBuf) -> Self {
        Self {
            program,
            dir,
            turn: Semaphore::new(1),
        }
    }

    /// Where the code of `module` for `target` is kept.
    fn path(&self, module: &Digest, target: &Target) -> PathBuf {
        self.dir.join(format!(
            "{}-{}-{}",
            module.hex(),
            sanitize(&target.triple),
            sanitize(&target.compatibility_hash)
        ))
    }

    /// The compiled code, from the cache or from the child.
    pub async fn compile(
        &self,
        module: &Digest,
        wasm: &Path,
        target: &Target,
    ) -> Result<PathBuf, Error> {
        let path = self.path(module, target);
        if path.exists() {
            return Ok(path);
        }
        let _turn = self.turn.acquire().await;
        if path.exists() {
            return Ok(path);
        }
        let code = self.run(module, wasm, &target.triple).await?;
        blobs::write_durably(&path, &code)?;
        tracing::info!(%module, target = target.triple, bytes = code.len(), "compiled");
        Ok(path)
    }

    async fn run(&self, module: &Digest, wasm: &Path, triple: &str) -> Result<Vec<u8>, Error> {
        let refused = |message: String| Error::Refused {
            module: module.clone(),
            target: triple.to_owned(),
            message,
        };
        let start = |source| Error::Start {
            program: self.program.path.clone(),
            source,
        };
        let input = tokio::fs::read(wasm)
            .await
            .map_err(|error| refused(error.to_string()))?;
        let mut child = Command::new(&self.program.path)
            .args(&self.program.args)
            .arg(triple)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_clear()
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        limit_memory(&child);
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(refused("the compiler has no pipes".to_owned()));
        };
        let send = async move {
            let _cut_off = stdin.write_all(&input).await;
            drop(stdin);
        };
        let (mut code, mut error) = (Vec::new(), Vec::new());
        let mut capped = stdout.take(COMPILED_BYTES_MAX);
        let mut capped_error = stderr.take(ERROR_BYTES_MAX);
        let all = async {
            let ((), read, _error_read) = tokio::join!(
                send,
                capped.read_to_end(&mut code),
                capped_error.read_to_end(&mut error)
            );
            read.and(child.wait().await)
        };
        let status = tokio::time::timeout(COMPILE_TIMEOUT, all)
            .await
            .map_err(|_late| {
                refused(format!(
                    "it took longer than {} s",
                    COMPILE_TIMEOUT.as_secs()
                ))
            })?
            .map_err(|error| refused(error.to_string()))?;
        if !status.success() {
            let said = String::from_utf8_lossy(&error);
            return Err(refused(if said.trim().is_empty() {
                format!("the compiler ended with {status}")
            } else {
                said.trim().to_owned()
            }));
        }
        Ok(code)
    }
}

fn limit_memory(child: &tokio::process::Child) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let limit = Rlimit {
        current: Some(COMPILE_MEMORY_MAX),
        maximum: Some(COMPILE_MEMORY_MAX),
    };
    if let Some(Err(error)) = pid.map(|pid| prlimit(Some(pid), Resource::As, limit)) {
        tracing::warn!(%error, "cannot limit the compiler's memory");
    }
}

/// A file name part from what an agent says of itself.
fn sanitize(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .take(80)
        .collect()
}
