//! Kubernetes' API as pure logic: the table of kinds, selectors, quantities, patches, defaults,
//! validation and printing.
//!
//! Nothing here does I/O, knows a clock or a store; `serde_json::Value` is an object's working form
//! and `k8s_openapi` has the types. Recursion is bounded by the depth the caller admits.

#![warn(missing_docs)]

pub mod apply;
pub mod crd;
pub mod defaults;
pub mod disabled;
pub mod go;
pub mod kind;
pub mod limits;
mod meta;
pub mod pairs;
pub mod patch;
mod pod_resources;
pub mod pod_security;
pub mod priority;
pub mod protobuf;
pub mod quantity;
pub mod quota;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod validate;
pub mod view;
pub mod warnings;

pub use k8s_openapi;
pub use kind::{Kind, KindRef};
pub use meta::{Key, Revision, time};
pub use status::StatusError;
