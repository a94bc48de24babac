//! The face of the running side: a [`Runtime`] loads a [`Module`] and starts a [`Sandbox`].

use crate::{BoxedStream, Compatibility, Config, Error, Exit, Host, SandboxSpec, Shape, Usage};
use std::{future::Future, path::Path, sync::Arc};

/// The engines, the threads and the clock tick that all sandboxes of an agent share.
#[derive(Clone, Debug)]
pub struct Runtime {
    compatibility: Compatibility,
}

/// Compiled code, mapped from a file and linked with what the host grants.
#[derive(Clone, Debug)]
pub struct Module {
    shape: Shape,
    imports: Arc<[String]>,
}

/// One container. Dropping the last handle kills it.
#[derive(Clone, Debug)]
pub struct Sandbox {
    shape: Shape,
}

impl Runtime {
    /// Makes the engines and starts the CPU threads. Must be called inside a tokio runtime.
    pub fn new(config: Config) -> Result<Self, Error> {
        let _ = config;
        Ok(Self {
            compatibility: Compatibility::of_this_host()?,
        })
    }

    /// What code must be compiled for to load here.
    pub fn compatibility(&self) -> Compatibility {
        self.compatibility.clone()
    }

    /// Loads a compiled file. The caller has authenticated it: loading a forged file is running
    /// native code of the forger.
    pub fn load(&self, path: &Path) -> Result<Module, Error> {
        let _ = path;
        Err(Error::NotRunnable("loading is not here yet".to_owned()))
    }

    /// Starts a container. An HTTP container is started when one instance could be made.
    pub async fn start(
        &self,
        module: &Module,
        spec: SandboxSpec,
        host: Arc<dyn Host>,
    ) -> Result<Sandbox, Error> {
        let _ = (spec, host);
        Ok(Sandbox {
            shape: module.shape,
        })
    }
}

impl Module {
    /// A command or a server.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The interfaces the component imports.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }
}

impl Sandbox {
    /// A command or a server.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Resolves when the container has ended; every call gets the same answer.
    pub fn exited(&self) -> impl Future<Output = Exit> + Send + 'static {
        std::future::pending()
    }

    /// Stops gracefully. HTTP: no new requests; the exit comes when the running ones have
    /// ended. Command: nothing (wasm has no signals); call `kill` when the grace period is over.
    pub fn stop(&self) {}

    /// Ends it now.
    pub fn kill(&self) {}

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        Usage::default()
    }

    /// Serves one client connection of an HTTP container, HTTP/1.1 or HTTP/2 with prior
    /// knowledge. The future ends with the connection.
    pub fn serve(&self, stream: BoxedStream) -> impl Future<Output = ()> + Send + 'static {
        drop(stream);
        std::future::ready(())
    }
}
