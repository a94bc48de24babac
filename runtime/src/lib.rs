//! The sandbox: one WebAssembly container is one [`Sandbox`], and one engine profile is shared by
//! the side that compiles (feature `compile`) and the side that runs (feature `run`).
//!
//! This is the only crate that names wasmtime; no type of wasmtime leaks from it. It knows
//! nothing of Kubernetes, of images or of the link.

#![warn(missing_docs)]
#![cfg_attr(
    not(any(feature = "run", feature = "compile")),
    allow(dead_code, reason = "without a side there is only the vocabulary")
)]

#[cfg(feature = "run")]
mod command;
#[cfg(feature = "compile")]
pub mod compile;
#[cfg(feature = "run")]
mod container;
#[cfg(feature = "run")]
mod cpu;
mod engine;
mod error;
#[cfg(feature = "run")]
mod host;
#[cfg(feature = "run")]
mod http;
#[cfg(feature = "run")]
mod instance;
#[cfg(feature = "run")]
mod limits;
#[cfg(feature = "run")]
mod output;
#[cfg(feature = "run")]
mod resident;
#[cfg(feature = "run")]
mod sandbox;
mod shape;
#[cfg(feature = "run")]
mod spec;

pub use engine::{Compatibility, ENGINE};
pub use error::Error;
#[cfg(feature = "run")]
pub use host::{BoxFuture, BoxedStream, ConnectError, Host, IoStream};
#[cfg(feature = "run")]
pub use sandbox::{Module, Runtime, Sandbox};
pub use shape::Shape;
#[cfg(feature = "run")]
pub use spec::{Config, Exit, HttpOptions, Limits, Mount, Output, SandboxSpec, StdStream, Usage};

#[cfg(test)]
#[cfg(all(feature = "run", feature = "compile"))]
mod tests;
