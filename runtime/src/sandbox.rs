//! The face of the running side: a [`Runtime`] loads a [`Module`] and starts a [`Sandbox`].

use crate::{
    BoxedStream, Compatibility, Config, Error, Exit, Host, SandboxSpec, Shape, Usage, command,
    container::Container,
    cpu::{Executor, Ticker},
    engine::{self, Pool},
    http::Server,
    instance::{self, State},
    resident::Mapped,
    shape,
};
use std::{future::Future, path::Path, sync::Arc};
use tokio::sync::Semaphore;
use wasmtime::{
    Engine,
    component::{Component, InstancePre, Linker},
};

/// The engines, the threads and the clock tick that all sandboxes of an agent share.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

/// What sandboxes need of their runtime.
pub(crate) struct Inner {
    compatibility: Compatibility,
    on_demand: Side,
    pooled: Option<(Side, Pool)>,
    /// One permit a slot of the pool.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) ticker: Ticker,
    pub(crate) executor: Executor,
}

/// An engine with its linker; there are two of one code-compatible profile.
struct Side {
    engine: Engine,
    linker: Linker<State>,
}

/// Compiled code, mapped from a file and linked with what the host grants.
#[derive(Clone)]
pub struct Module(Arc<ModuleInner>);

struct ModuleInner {
    shape: Shape,
    imports: Vec<String>,
    on_demand: Arc<Loaded>,
    pooled: Option<Arc<Loaded>>,
}

/// A component on one of the two engines, ready to be instantiated.
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) entry: Entry,
    /// The largest memory of a slot, on the pooling engine.
    pub(crate) slot_bytes: Option<usize>,
    code: Mapped,
}

/// What is called.
pub(crate) enum Entry {
    CommandP2(wasmtime_wasi::p2::bindings::CommandPre<State>),
    CommandP3(wasmtime_wasi::p3::bindings::CommandPre<State>),
    HttpP2(wasmtime_wasi_http::p2::bindings::ProxyPre<State>),
    HttpP3(wasmtime_wasi_http::p3::bindings::ServicePre<State>),
}

/// One container. Dropping the last handle kills it.
#[derive(Clone)]
pub struct Sandbox(Arc<Handle>);

struct Handle {
    container: Arc<Container>,
    server: Option<Arc<Server>>,
    /// Its code, on the one engine or on both.
    code: Vec<Arc<Loaded>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.container.end(Exit::Killed);
    }
}

impl Runtime {
    /// Makes the engines and starts the CPU threads. Must be called inside a tokio runtime, whose
    /// timers and sockets the guests use.
    pub fn new(config: Config) -> Result<Self, Error> {
        Self::for_target(&config, engine::host_target())
    }

    /// As `new`, for code of another target that this machine can run (Pulley).
    pub fn for_target(config: &Config, target: &str) -> Result<Self, Error> {
        let handle = tokio::runtime::Handle::try_current().map_err(|_none| Error::NoReactor)?;
        let on_demand = Side::new(engine::on_demand(target)?)?;
        let mut pooled = None;
        if config.pool_instances > 0
            && let Some((engine, pool)) = engine::pooling(target, config.pool_instances)?
        {
            pooled = Some((Side::new(engine)?, pool));
        }
        let mut engines = vec![on_demand.engine.weak()];
        engines.extend(pooled.as_ref().map(|(side, _)| side.engine.weak()));
        let threads = match config.cpu_threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let slots = pooled.as_ref().map_or(0, |(_, pool)| pool.slots as usize);
        Ok(Self(Arc::new(Inner {
            compatibility: Compatibility::of_target(target)?,
            on_demand,
            pooled,
            slots: Arc::new(Semaphore::new(slots)),
            ticker: Ticker::start(engines)?,
            executor: Executor::start(threads, &handle)?,
        })))
    }

    /// What code must be compiled for to load here.
    pub fn compatibility(&self) -> Compatibility {
        self.0.compatibility.clone()
    }

    /// Loads a compiled file. The caller has authenticated it: loading a forged file is running
    /// native code of the forger. The file must not change while the module lives.
    pub fn load(&self, path: &Path) -> Result<Module, Error> {
        let component = self.0.on_demand.map_file(path)?;
        let engine = &self.0.on_demand.engine;
        let (exports, imports) = {
            let ty = component.component_type();
            let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
            let exports: Vec<String> = names(ty.exports(engine).map(|(name, _)| name).collect());
            let imports: Vec<String> = names(ty.imports(engine).map(|(name, _)| name).collect());
            (exports, imports)
        };
        let Some(shape) = shape::of_exports(exports.iter().map(String::as_str)) else {
            return Err(Error::NotRunnable(
                "the component exports neither wasi:cli/run nor a wasi:http handler".to_owned(),
            ));
        };
        let on_demand = self.0.on_demand.loaded(&component, shape, &exports, None)?;
        let pooled = match &self.0.pooled {
            Some((side, pool)) if shape == Shape::Http && fits(&component, *pool) => {
                let component = side.map_file(path)?;
                Some(side.loaded(&component, shape, &exports, Some(pool.memory_bytes))?)
            }
            _ => None,
        };
        Ok(Module(Arc::new(ModuleInner {
            shape,
            imports,
            on_demand: Arc::new(on_demand),
            pooled: pooled.map(Arc::new),
        })))
    }

    /// Starts a container. An HTTP container has started when one instance could be made. What
    /// goes wrong inside the guest is not an error here but an early exit.
    pub async fn start(
        &self,
        module: &Module,
        spec: SandboxSpec,
        host: Arc<dyn Host>,
    ) -> Result<Sandbox, Error> {
        let container = Arc::new(Container::new(Arc::clone(&self.0), spec, host));
        // From here on a failure drops the handle, which ends the container.
        let mut handle = Handle {
            container,
            server: None,
            code: [Some(&module.0.on_demand), module.0.pooled.as_ref()]
                .into_iter()
                .flatten()
                .map(Arc::clone)
                .collect(),
        };
        match module.0.shape {
            Shape::Command => command::start(&handle.container, &module.0.on_demand)?,
            Shape::Http => {
                // Whatever the limit: most guests stay far below it, and one that outgrows its slot
                // moves the container to the other engine.
                let pooled = module.0.pooled.clone();
                let on_demand = Arc::clone(&module.0.on_demand);
                let server = Arc::new(Server::new(
                    Arc::clone(&handle.container),
                    on_demand,
                    pooled,
                ));
                server.first_instance().await?;
                handle.server = Some(server);
            }
        }
        Ok(Sandbox(Arc::new(handle)))
    }
}

/// Whether every core module of the component has room in a slot.
fn fits(component: &Component, pool: Pool) -> bool {
    component.resources_required().is_some_and(|needs| {
        let initial = needs.max_initial_memory_size.unwrap_or(0);
        needs.num_memories <= 2 && needs.num_tables <= 4 && initial <= pool.memory_bytes as u64
    })
}

impl Side {
    fn new(engine: Engine) -> Result<Self, Error> {
        let linker = instance::linker(&engine)?;
        Ok(Self { engine, linker })
    }

    #[expect(
        unsafe_code,
        reason = "mapping compiled code is the point; see the comment"
    )]
    fn map_file(&self, path: &Path) -> Result<Component, Error> {
        // SAFETY: the file is the output of this profile's compiler, unchanged: the contract of
        // `Runtime::load` has the caller authenticate it first and never change it afterwards.
        unsafe { Component::deserialize_file(&self.engine, path) }.map_err(|e| Error::Load {
            path: path.to_owned(),
            source: e.into(),
        })
    }

    fn loaded(
        &self,
        component: &Component,
        shape: Shape,
        exports: &[String],
        slot_bytes: Option<usize>,
    ) -> Result<Loaded, Error> {
        let pre = self
            .linker
            .instantiate_pre(component)
            .map_err(instance::link_error)?;
        let entry = entry(pre, shape, exports).map_err(|e| Error::Start(e.into()))?;
        Ok(Loaded {
            engine: self.engine.clone(),
            entry,
            slot_bytes,
            code: Mapped::new(component.image_range()),
        })
    }
}

fn entry(pre: InstancePre<State>, shape: Shape, exports: &[String]) -> wasmtime::Result<Entry> {
    let has = |prefix: &str| exports.iter().any(|name| name.starts_with(prefix));
    Ok(match shape {
        Shape::Command if has("wasi:cli/run@0.2.") => {
            Entry::CommandP2(wasmtime_wasi::p2::bindings::CommandPre::new(pre)?)
        }
        Shape::Command => Entry::CommandP3(wasmtime_wasi::p3::bindings::CommandPre::new(pre)?),
        Shape::Http if has("wasi:http/incoming-handler@0.2.") => {
            Entry::HttpP2(wasmtime_wasi_http::p2::bindings::ProxyPre::new(pre)?)
        }
        Shape::Http => Entry::HttpP3(wasmtime_wasi_http::p3::bindings::ServicePre::new(pre)?),
    })
}

impl Module {
    /// A command or a server.
    pub fn shape(&self) -> Shape {
        self.0.shape
    }

    /// The interfaces the component imports.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }
}

impl Sandbox {
    /// A command or a server.
    pub fn shape(&self) -> Shape {
        if self.0.server.is_some() {
            Shape::Http
        } else {
            Shape::Command
        }
    }

    /// Resolves when the container has ended; every call gets the same answer.
    pub fn exited(&self) -> impl Future<Output = Exit> + Send + 'static {
        self.0.container.exited()
    }

    /// Stops gracefully. HTTP: no new requests; the exit comes when the running ones have
    /// ended. Command: nothing (wasm has no signals); call `kill` when the grace period is over.
    pub fn stop(&self) {
        if let Some(server) = &self.0.server {
            server.stop();
        }
    }

    /// Ends it now.
    pub fn kill(&self) {
        self.0.container.end(Exit::Killed);
    }

    /// Whether it could serve now: an HTTP container makes an instance, as a request does. A
    /// command is asked by connecting to its port; here only whether it still runs.
    pub fn probe(&self) -> impl Future<Output = bool> + Send + 'static {
        let (server, container) = (self.0.server.clone(), Arc::clone(&self.0.container));
        async move {
            match server {
                Some(server) => server.probe().await,
                None => !container.ended.is_cancelled(),
            }
        }
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        let code = self
            .0
            .code
            .iter()
            .map(|loaded| loaded.code.resident_bytes());
        Usage {
            code_bytes: code.sum(),
            ..self.0.container.usage()
        }
    }

    /// Serves one client connection of an HTTP container, HTTP/1.1 or HTTP/2 with prior
    /// knowledge. The future ends with the connection; of a command, at once.
    pub fn serve(&self, stream: BoxedStream) -> impl Future<Output = ()> + Send + 'static {
        let server = self.0.server.clone();
        async move {
            if let Some(server) = server {
                server.serve(stream).await;
            }
        }
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("compatibility", &self.0.compatibility)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("shape", &self.0.shape)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("spec", &self.0.container.spec)
            .finish_non_exhaustive()
    }
}
