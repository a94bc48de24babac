//! One instance of an HTTP component, and one call of its handler.

use crate::{
    instance::{self, State},
    sandbox::{Entry, Loaded},
};
use http::{Request, Response};
use parking_lot::Mutex;
use std::{future::poll_fn, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime_wasi_http::{WasiBody, WasiHttpView as _, p2, p3};

/// An instance with its store and the permits it holds.
pub(super) struct Instance {
    // Declared first: the instance goes before its slot is given to another.
    store: Store<State>,
    proxy: Proxy,
    invocations: u32,
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

enum Proxy {
    P2(p2::bindings::Proxy),
    P3(Arc<p3::bindings::Service>),
}

impl Instance {
    pub(super) async fn make(
        mut store: Store<State>,
        loaded: &Loaded,
        permits: [Option<OwnedSemaphorePermit>; 2],
    ) -> wasmtime::Result<Self> {
        let proxy = match &loaded.entry {
            Entry::HttpP2(pre) => Proxy::P2(pre.instantiate_async(&mut store).await?),
            Entry::HttpP3(pre) => Proxy::P3(Arc::new(pre.instantiate_async(&mut store).await?)),
            Entry::CommandP2(_) | Entry::CommandP3(_) => {
                return Err(wasmtime::Error::msg(
                    "a command was started as an HTTP component",
                ));
            }
        };
        Ok(Self {
            store,
            proxy,
            invocations: 0,
            _permits: permits,
        })
    }

    /// Requests it has served so far.
    pub(super) fn invocations(&self) -> u32 {
        self.invocations
    }

    /// Whether the guest called the host in its last call.
    pub(super) fn host_called(&mut self) -> bool {
        self.store.data_mut().take_host_called()
    }

    /// Calls the handler; the response's head goes to `reply` as soon as it is there.
    pub(super) async fn call(
        &mut self,
        request: Request<WasiBody>,
        reply: &Reply,
    ) -> wasmtime::Result<()> {
        self.invocations += 1;
        instance::new_turn(&mut self.store);
        match &self.proxy {
            Proxy::P2(proxy) => call_p2(&mut self.store, proxy, request, reply).await,
            Proxy::P3(service) => {
                let service = Arc::clone(service);
                call_p3(&mut self.store, &service, request, reply).await
            }
        }
    }
}

async fn call_p2(
    store: &mut Store<State>,
    proxy: &p2::bindings::Proxy,
    request: Request<WasiBody>,
    reply: &Reply,
) -> wasmtime::Result<()> {
    use p2::bindings::http::types::Scheme;

    let reply = reply.clone();
    let mut view = store.data_mut().http();
    let request = view.new_incoming_request(Scheme::Http, with_host(request))?;
    let out = view.new_response_outparam_from_callback(move |response| {
        reply.send(match response {
            Ok(response) => Outcome::Response(response.map(|body| {
                use http_body_util::BodyExt as _;
                body.map_err(Into::into).boxed_unsync()
            })),
            Err(_code) => Outcome::Failed,
        });
    })?;
    store.data_mut().take_host_called();
    proxy
        .wasi_http_incoming_handler()
        .call_handle(store, request, out)
        .await
}

async fn call_p3(
    store: &mut Store<State>,
    service: &p3::bindings::Service,
    request: Request<WasiBody>,
    reply: &Reply,
) -> wasmtime::Result<()> {
    let (request, processed) =
        p3::Request::from_http(store.data_mut().http().hooks, with_host(request));
    store.data_mut().take_host_called();
    store
        .run_concurrent(async |accessor| -> wasmtime::Result<()> {
            match service.handle(accessor, request).await? {
                Ok(response) => {
                    let response =
                        accessor.with(|mut store| response.into_http(&mut store, processed))?;
                    reply.send(Outcome::Response(response));
                }
                Err(_code) => reply.send(Outcome::Failed),
            }
            // The guest may still write the body, or work after the response.
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            Ok(())
        })
        .await?
}

/// HTTP/1.0 clients (and health checks) may send no host; guests always see one.
fn with_host(mut request: Request<WasiBody>) -> Request<WasiBody> {
    if request.uri().authority().is_none() && !request.headers().contains_key(http::header::HOST) {
        let host = http::HeaderValue::from_static("localhost");
        request.headers_mut().insert(http::header::HOST, host);
    }
    request
}

/// What becomes of a request, as far as its head.
pub(super) enum Outcome {
    Response(Response<WasiBody>),
    /// No memory or instance in time: 503.
    Refused,
    /// A trap, or no response: 500.
    Failed,
}

/// Takes the first outcome of a request; later ones are dropped.
#[derive(Clone)]
pub(super) struct Reply {
    sender: Arc<Mutex<Option<oneshot::Sender<Outcome>>>>,
    client: CancellationToken,
}

impl Reply {
    /// `client` is cancelled when the client goes away.
    pub(super) fn new(client: CancellationToken) -> (Self, oneshot::Receiver<Outcome>) {
        let (sender, receiver) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        (Self { sender, client }, receiver)
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sender.lock().is_none()
    }

    /// Nobody waits any more. What a guest makes of a stream that broke is not held against it.
    pub(super) fn is_abandoned(&self) -> bool {
        self.client.is_cancelled()
    }

    pub(super) fn send(&self, outcome: Outcome) {
        if let Some(sender) = self.sender.lock().take() {
            // A client that went away wants no answer.
            let _ = sender.send(outcome);
        }
    }
}
