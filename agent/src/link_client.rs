//! The agent's end of the link. Until the wire lands: never connected.

use crate::{
    Config, Shared,
    device_key::DeviceKey,
    network::{self, ServiceRef},
    sync_loop::Update,
};
use coracle_link::route::Endpoint;
use coracle_runtime::{BoxedStream, Runtime};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
#[derive(Debug, Clone)]
pub(crate) struct Link;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Error;
pub(crate) struct Client;
pub(crate) fn new(_c: &Config, _k: Arc<DeviceKey>, _r: &Runtime) -> Result<(Link, Client), Error> {
    Ok((Link, Client))
}
impl Client {
    pub(crate) async fn run(
        self,
        s: Arc<Shared>,
        _u: mpsc::Sender<Update>,
        _g: Duration,
    ) -> Result<(), Error> {
        s.tasks.stop().cancelled().await;
        Ok(())
    }
}
impl Link {
    pub(crate) fn is_connected(&self) -> bool {
        false
    }
    pub(crate) async fn connect_service(
        &self,
        _s: &ServiceRef,
        _e: &Endpoint,
    ) -> Result<BoxedStream, network::Error> {
        Err(network::Error::NoRoute)
    }
}
