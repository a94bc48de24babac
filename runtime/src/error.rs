//! The errors of this crate. Display never repeats the cause; print the chain once.

use std::path::PathBuf;

/// What can go wrong before a sandbox runs; how a running one ended is an `Exit`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine could not be made with these settings on this machine.
    #[error("cannot create the WebAssembly engine")]
    Engine(#[source] BoxError),
    /// The bytes are not WebAssembly, or not of a kind that can run here.
    #[error("{0}")]
    NotRunnable(String),
    /// The component asks for something that no host capability grants.
    #[error("import {name} is not available")]
    MissingImport {
        /// The import, as the component names it.
        name: String,
    },
    /// Wrapping a preview 1 core module or compiling failed.
    #[error("cannot compile the component")]
    Compile(#[source] BoxError),
    /// The target is unknown, or the compiler has no back end for it.
    #[error("cannot compile for target {target}")]
    Target {
        /// The target asked for.
        target: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// A compiled file is damaged, or made for another engine.
    #[error("cannot load compiled code from {}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The component could not be linked or instantiated.
    #[error("cannot start the component")]
    Start(#[source] BoxError),
    /// A mounted directory cannot be opened.
    #[error("cannot open {} to mount it at {guest}", host.display())]
    Mount {
        /// The directory of the host.
        host: PathBuf,
        /// Where the guest should see it.
        guest: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// Reading or writing of a child's streams failed.
    #[error("cannot exchange data with the compiling process")]
    Io(#[from] std::io::Error),
    /// `Runtime::new` was called outside a tokio runtime.
    #[error("the sandbox runtime must be created inside a tokio runtime")]
    NoReactor,
}

/// A cause from a library.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
