//! One instance of a component: what its store holds, what its imports are linked to, and how
//! its end is understood.
//!
//! A guest sees its args, env, mounts, stdio, clocks and random; sockets and HTTP only through
//! the agent's `Host`. Never creates a Rust backtrace: an error here may happen per request.

use crate::{
    Error, Exit, Host, SandboxSpec, StdStream,
    cpu::Preempted,
    host::{
        Hooks, OpenFiles, PodNet, PodSockets, PodSocketsView, add_files_to_linker, check_socket,
    },
    limits::{InstanceMemory, Refusal},
    output::{Budget, GuestStream},
};
use std::{
    fmt::Write as _,
    sync::{Arc, atomic::AtomicU32},
};
use wasmtime::{Engine, Store, UpdateDeadline, WasmBacktrace, component::Linker};
use wasmtime_wasi::{
    FsPerms, I32Exit, ResourceTable, WasiCtx, WasiCtxView, WasiView,
    sockets::{WasiSockets, WasiSocketsCtx, WasiSocketsCtxView},
};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Files, sockets, streams, timers and requests that one instance holds. The files of a container
/// have a count of their own.
const HANDLES_MAX: usize = 4096;
/// Bytes that one host call may copy out of the guest.
const HOSTCALL_BYTES_MAX: usize = 16 << 20;
/// Random bytes that one call may ask for.
const RANDOM_BYTES_MAX: u64 = 1 << 20;
/// Headers of one request or response, in memory.
const HEADER_BYTES_MAX: usize = 128 << 10;
/// A trap's message with its backtrace.
const TRAP_BYTES_MAX: usize = 4096;
/// Ticks until a guest first yields: at least one whole tick.
const TURN_TICKS: u64 = 2;

/// What a store holds.
pub(crate) struct State {
    wasi: WasiCtx,
    /// For interfaces whose sockets are not rewritten yet: everything is refused.
    no_sockets: WasiSocketsCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    net: PodNet,
    table: ResourceTable,
    files: OpenFiles,
    memory: InstanceMemory,
    host_called: bool,
}

impl State {
    pub(crate) fn files(&mut self) -> &mut OpenFiles {
        &mut self.files
    }

    /// Whether the guest has called the host since this was last asked.
    pub(crate) fn take_host_called(&mut self) -> bool {
        std::mem::take(&mut self.host_called)
    }

    fn pod_sockets(&mut self) -> PodSocketsView<'_> {
        self.host_called = true;
        PodSocketsView {
            inner: WasiSocketsCtxView {
                ctx: self.wasi.sockets(),
                table: &mut self.table,
            },
            net: &mut self.net,
        }
    }

    fn refused_sockets(&mut self) -> WasiSocketsCtxView<'_> {
        self.host_called = true;
        WasiSocketsCtxView {
            ctx: &mut self.no_sockets,
            table: &mut self.table,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.host_called = true;
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.host_called = true;
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Everything a component may import.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<State>, Error> {
    let mut linker = Linker::new(engine);
    add_all(&mut linker).map_err(|e| Error::Engine(e.into()))?;
    Ok(linker)
}

fn add_all(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi::p3::cli::add_to_linker(linker)?;
    wasmtime_wasi::p3::clocks::add_to_linker(linker)?;
    wasmtime_wasi::p3::filesystem::add_to_linker(linker)?;
    wasmtime_wasi::p3::random::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    {
        use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup, types};
        types::add_to_linker::<State, WasiSockets>(linker, State::refused_sockets)?;
        ip_name_lookup::add_to_linker::<State, WasiSockets>(linker, State::refused_sockets)?;
    }
    // Shadow the stock TCP with the pod's own.
    linker.allow_shadowing(true);
    {
        use wasmtime_wasi::p2::bindings::sockets::tcp;
        tcp::add_to_linker::<State, PodSockets>(linker, State::pod_sockets)?;
    }
    // And the stock files, whose number has no limit.
    add_files_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The name of the import that is missing, from wasmtime's words for it.
pub(crate) fn link_error(error: wasmtime::Error) -> Error {
    let text = format!("{error:#}");
    let name = text
        .contains("component imports")
        .then(|| text.split('`').nth(1).map(str::to_owned))
        .flatten();
    match name {
        Some(name) => Error::MissingImport { name },
        None => Error::Start(error.into()),
    }
}

fn wasi(spec: &SandboxSpec, log: &Arc<Budget>) -> Result<WasiCtx, Error> {
    let stream = |stream| GuestStream::new(stream, Arc::clone(&spec.output), Arc::clone(log));
    let mut wasi = WasiCtx::builder();
    wasi.args(&spec.args)
        .stdout(stream(StdStream::Stdout))
        .stderr(stream(StdStream::Stderr))
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(true)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .socket_addr_check(|address, usage| {
            let allowed = check_socket(address, usage);
            Box::pin(async move { allowed })
        });
    for (index, (name, value)) in spec.env.iter().enumerate() {
        // A later variable of the same name wins, as in a container.
        if !spec.env[index + 1..].iter().any(|(later, _)| later == name) {
            wasi.env(name, value);
        }
    }
    for mount in &spec.mounts {
        let perms = if mount.read_only {
            FsPerms::ReadOnly
        } else {
            FsPerms::ReadWrite
        };
        wasi.preopened_dir(&mount.host, &mount.guest, perms)
            .map_err(|e| Error::Mount {
                host: mount.host.clone(),
                guest: mount.guest.clone(),
                source: e.into(),
            })?;
    }
    Ok(wasi.build())
}

/// What an instance shares with the other instances of its container.
pub(crate) struct Shared<'a> {
    pub(crate) spec: &'a SandboxSpec,
    pub(crate) host: &'a Arc<dyn Host>,
    pub(crate) log: &'a Arc<Budget>,
    pub(crate) open_files: &'a Arc<AtomicU32>,
}

/// A fresh store for one instance.
pub(crate) fn store(
    engine: &Engine,
    shared: &Shared<'_>,
    memory: InstanceMemory,
    preempted: Arc<Preempted>,
) -> Result<Store<State>, Error> {
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(HEADER_BYTES_MAX);
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES_MAX);
    let state = State {
        wasi: wasi(shared.spec, shared.log)?,
        no_sockets: WasiSocketsCtx::default(),
        http,
        hooks: Hooks {
            host: Arc::clone(shared.host),
        },
        net: PodNet::new(Arc::clone(shared.host)),
        table,
        files: OpenFiles::new(Arc::clone(shared.open_files)),
        memory,
        host_called: false,
    };
    let mut store = Store::new(engine, state);
    store.limiter_async(|state| &mut state.memory);
    store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
    store.set_epoch_deadline(TURN_TICKS);
    store.epoch_deadline_callback(move |_store| {
        preempted.set();
        Ok(UpdateDeadline::Yield(1))
    });
    Ok(store)
}

/// Gives a reused instance a whole turn again.
pub(crate) fn new_turn(store: &mut Store<State>) {
    store.set_epoch_deadline(TURN_TICKS);
}

/// How a guest's call ended when it did not return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// `wasi:cli/exit`.
    Exited(i32),
    Refused(Refusal),
    Trapped(String),
}

impl End {
    pub(crate) fn of(error: &wasmtime::Error) -> Self {
        if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
            return Self::Exited(*code);
        }
        if let Some(refusal) = refusal(error) {
            return Self::Refused(refusal);
        }
        Self::Trapped(trap_message(error))
    }

    pub(crate) fn into_exit(self) -> Exit {
        match self {
            Self::Exited(code) => Exit::Code(code),
            Self::Refused(_) => Exit::OutOfMemory,
            Self::Trapped(message) => Exit::Trap { message },
        }
    }
}

fn refusal(error: &wasmtime::Error) -> Option<Refusal> {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return Some(*refusal);
    }
    if error
        .downcast_ref::<wasmtime::PoolConcurrencyLimitError>()
        .is_some()
    {
        return Some(Refusal::Busy);
    }
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Refusal>())
        .copied()
}

/// The cause, then the wasm backtrace, bounded. Names are those of the module's name section; Rust's are demangled.
fn trap_message(error: &wasmtime::Error) -> String {
    let mut message = error.root_cause().to_string();
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        message.push_str("\nwasm backtrace:");
        for (number, frame) in backtrace.frames().iter().enumerate() {
            let module = frame.module().name().unwrap_or("<module>");
            let name = frame.func_name().unwrap_or("<function>");
            let name = rustc_demangle::demangle(name);
            let offset = frame.module_offset().unwrap_or(0);
            // Writing to a String cannot fail.
            let _ = write!(message, "\n{number:>4}: {offset:#8x} - {module}!{name:#}");
            if message.len() > TRAP_BYTES_MAX {
                break;
            }
        }
    }
    if message.len() > TRAP_BYTES_MAX {
        let end = message.floor_char_boundary(TRAP_BYTES_MAX);
        message.truncate(end);
    }
    message
}
