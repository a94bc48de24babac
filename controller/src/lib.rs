//! The controller: API server, store, scheduler, controllers, link server and image registry.
//!
//! Imports go one way: `http -> registry -> store`; the cache is fed by the registry and read by all.

mod api_service;
pub mod auth;
pub mod cache;
mod client_ca;
pub mod controllers;
pub mod events;
pub mod http;
pub mod images;
pub mod join;
pub mod kinds;
pub mod link_server;
pub mod liveness;
pub mod metrics;
pub mod object;
pub mod page;
pub mod pki;
pub mod policy;
mod readiness;
pub mod reconcile;
pub mod registry;
pub mod scheduler;
pub mod start;
pub mod store;
mod taint;
