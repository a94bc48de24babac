//! Requests that end on a node: logs, and the proxies of pods and services.
//!
//! Finds the pod and its node in the cache; the bytes ride on the node's link.

mod links;
mod log;
mod proxy;

pub use links::Links;
pub(crate) use log::log;
pub(crate) use proxy::{pod_proxy, service_proxy};
