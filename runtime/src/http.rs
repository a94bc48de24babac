//! Serves an HTTP container: connections, the wait for an instance, and one request's life.
//!
//! A request runs on the thread of its connection as long as it is quick; the moment a guest uses
//! up a turn it moves to the CPU threads, so a guest that computes never holds up other
//! connections. A client that goes away takes its request with it.

mod body;
mod call;

use crate::{
    BoxedStream, Exit, StdStream,
    container::Container,
    cpu::Preempted,
    instance::End,
    limits::{Refusal, WAIT},
    sandbox::Loaded,
};
use body::{Body, InFlight};
use call::{Instance, Outcome, Reply};
use http::{HeaderValue, Request, Response, StatusCode, header::RETRY_AFTER};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use parking_lot::Mutex;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use wasmtime_wasi_http::{Error, WasiBody};

/// Live instances of one container, whatever its memory limit.
const INSTANCES_MAX: usize = 1024;
/// Requests that wait for an instance; more are refused at once.
const QUEUE_MAX: usize = 1024;
/// Traps in a row that make a crash of the container.
const TRAPS_MAX: u32 = 5;
/// Idle instances kept for reuse.
const IDLE_MAX: usize = 16;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long an instance that no request waits for may take: the first, and a probe's.
const INSTANCE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the clients of a container that has ended have to take their last answers.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// The server of one HTTP container.
pub(crate) struct Server {
    container: Arc<Container>,
    on_demand: Arc<Loaded>,
    pooled: Option<Arc<Loaded>>,
    instances: Arc<Semaphore>,
    waiting: AtomicUsize,
    traps_in_a_row: AtomicU32,
    idle: Mutex<Vec<Instance>>,
    in_flight: Arc<InFlight>,
    draining: CancellationToken,
}

type Guest = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Server {
    pub(crate) fn new(
        container: Arc<Container>,
        on_demand: Arc<Loaded>,
        pooled: Option<Arc<Loaded>>,
    ) -> Self {
        let draining = CancellationToken::new();
        let in_flight = InFlight::new(Arc::clone(&container), draining.clone());
        Self {
            container,
            on_demand,
            pooled,
            instances: Arc::new(Semaphore::new(INSTANCES_MAX)),
            waiting: AtomicUsize::new(0),
            traps_in_a_row: AtomicU32::new(0),
            idle: Mutex::default(),
            in_flight: Arc::new(in_flight),
            draining,
        }
    }

    /// Makes one instance, so that a component that cannot start says so now.
    pub(crate) async fn first_instance(self: &Arc<Self>) -> Result<(), crate::Error> {
        match self.instance_on_cpu_threads().await? {
            Ok(instance) => {
                self.keep(instance);
                Ok(())
            }
            Err(Unmade::Guest(End::Refused(Refusal::Busy | Refusal::Outgrown))) => {
                // Not the component's fault: the pool is busy. Its requests wait or are refused.
                tracing::debug!(sandbox = %self.container.spec.id, "no instance free at the start");
                Ok(())
            }
            Err(Unmade::Guest(end)) => {
                self.container.end(end.into_exit());
                Ok(())
            }
            Err(Unmade::Host(error)) => Err(error),
        }
    }

    /// Whether an instance can be made now, as a request would; a busy container is a live one.
    pub(crate) async fn probe(self: &Arc<Self>) -> bool {
        if self.draining.is_cancelled() || self.container.ended.is_cancelled() {
            return false;
        }
        match self.instance_on_cpu_threads().await {
            Ok(Ok(instance)) => {
                self.keep(instance);
                true
            }
            Ok(Err(unmade)) => matches!(self.unmade(unmade), Outcome::Refused),
            Err(error) => {
                tracing::debug!(sandbox = %self.container.spec.id, %error, "a probe failed");
                false
            }
        }
    }

    async fn instance_on_cpu_threads(
        self: &Arc<Self>,
    ) -> Result<Result<Instance, Unmade>, crate::Error> {
        let (sender, receiver) = oneshot::channel();
        let server = Arc::clone(self);
        self.container.spawn(self.container.metered(async move {
            let made = server.make_instance(Arc::new(Preempted::default())).await;
            let _ = sender.send(made);
        }));
        match tokio::time::timeout(INSTANCE_TIMEOUT, receiver).await {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(_gone)) => Err(crate::Error::Start("making an instance failed".into())),
            Err(_elapsed) => Err(crate::Error::Start(
                "making an instance took too long".into(),
            )),
        }
    }

    /// No new requests; the container ends when the running ones have ended.
    pub(crate) fn stop(&self) {
        self.draining.cancel();
        self.in_flight.look();
    }

    /// Serves one connection until it closes, the container ends or it is drained.
    pub(crate) async fn serve(self: Arc<Self>, stream: BoxedStream) {
        let ended = self.container.ended.clone();
        let draining = self.draining.clone();
        let service = service_fn(move |request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(128);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut drained = false;
        loop {
            tokio::select! {
                biased;
                () = ended.cancelled() => break,
                () = draining.cancelled(), if !drained => {
                    drained = true;
                    connection.as_mut().graceful_shutdown();
                }
                closed = &mut connection => {
                    if let Err(error) = closed {
                        tracing::debug!(%error, "connection to an HTTP container failed");
                    }
                    return;
                }
            }
        }
        // Requests under way are told that it is over, rather than cut off.
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, connection).await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        self.container.requests.fetch_add(1, Ordering::Relaxed);
        let Some(in_flight) = InFlight::enter(&self.in_flight) else {
            return refuse(StatusCode::SERVICE_UNAVAILABLE);
        };
        let cancel = CancellationToken::new();
        let (reply, head) = Reply::new(cancel.clone());
        let preempted = Arc::new(Preempted::default());
        let abandon = cancel.clone().drop_guard();
        let work = Arc::clone(&self).run(request, reply, Arc::clone(&preempted));
        let guest: Guest = Box::pin(self.container.metered(work));
        let outcome = tokio::select! {
            biased;
            outcome = self.drive(guest, head, &preempted, &cancel, abandon) => outcome,
            () = self.container.ended.cancelled() => None,
        };
        match outcome {
            Some((Outcome::Response(response), abandon)) => {
                response.map(|body| Body::guest(body, in_flight, abandon))
            }
            Some((Outcome::Refused, _)) => refuse(StatusCode::SERVICE_UNAVAILABLE),
            Some((Outcome::Failed, _)) | None => refuse(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// Polls the guest here until its response's head is there. It moves to the CPU threads when
    /// it has computed for a whole turn, or still has a body to write.
    async fn drive(
        &self,
        guest: Guest,
        mut head: oneshot::Receiver<Outcome>,
        preempted: &Preempted,
        cancel: &CancellationToken,
        // The last, so dropped first: a client that leaves is known before a response it did not take breaks.
        abandon: DropGuard,
    ) -> Option<(Outcome, DropGuard)> {
        let mut guest = Some(guest);
        let outcome = poll_fn(|cx| {
            if let Some(running) = &mut guest {
                if running.as_mut().poll(cx).is_ready() {
                    guest = None;
                } else if preempted.take()
                    && let Some(guest) = guest.take()
                {
                    self.move_to_cpu_threads(guest, cancel);
                }
            }
            Pin::new(&mut head).poll(cx)
        })
        .await;
        if let Some(guest) = guest {
            self.move_to_cpu_threads(guest, cancel);
        }
        Some((outcome.ok()?, abandon))
    }

    fn move_to_cpu_threads(&self, guest: Guest, cancel: &CancellationToken) {
        let cancel = cancel.clone();
        self.container.spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = guest => {}
            }
        });
    }

    /// One request from the wait for an instance to its end.
    async fn run(
        self: Arc<Self>,
        request: Request<Incoming>,
        reply: Reply,
        preempted: Arc<Preempted>,
    ) {
        let spare = self.spare(&request);
        let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
        if self.attempt(request, &reply, &preempted).await == Attempt::Outgrown {
            match spare {
                // The next attempt is on the engine without slots.
                Some(request) => {
                    self.attempt(request, &reply, &preempted).await;
                }
                None => reply.send(Outcome::Refused),
            }
        }
    }

    /// A copy of a request without a body, in case the guest outgrows its slot of the pool.
    fn spare(&self, request: &Request<Incoming>) -> Option<Request<WasiBody>> {
        if self.pooled.is_none()
            || self.container.memory.outgrown()
            || !request.body().is_end_stream()
        {
            return None;
        }
        let none = Empty::new().map_err(Error::from).boxed_unsync();
        let mut spare = Request::new(none);
        spare.method_mut().clone_from(request.method());
        spare.uri_mut().clone_from(request.uri());
        spare.headers_mut().clone_from(request.headers());
        Some(spare)
    }

    async fn attempt(
        &self,
        request: Request<WasiBody>,
        reply: &Reply,
        preempted: &Arc<Preempted>,
    ) -> Attempt {
        let reused = self.idle.lock().pop();
        let made = match reused {
            Some(instance) => Ok(instance),
            None => self.make_instance(Arc::clone(preempted)).await,
        };
        let mut instance = match made {
            Ok(instance) => instance,
            Err(unmade) => {
                reply.send(self.unmade(unmade));
                return Attempt::Over;
            }
        };
        match instance.call(request, reply).await {
            Ok(()) => {
                self.traps_in_a_row.store(0, Ordering::Relaxed);
                // A guest that returned without a response has failed; harmless if it has one.
                reply.send(Outcome::Failed);
                self.keep(instance);
                Attempt::Over
            }
            Err(error) => {
                let started = instance.host_called();
                // Asked before the instance goes: its end breaks the body, and then the client seems to have left.
                let abandoned = reply.is_abandoned();
                drop(instance);
                let end = End::of(&error);
                if end == End::Refused(Refusal::Outgrown) && !reply.is_sent() {
                    return Attempt::Outgrown;
                }
                if matches!(end, End::Trapped(_)) && abandoned {
                    tracing::debug!(sandbox = %self.container.spec.id, ?end, "a request trapped after its client went away");
                    return Attempt::Over;
                }
                reply.send(self.ended(end, started));
                Attempt::Over
            }
        }
    }

    async fn make_instance(&self, preempted: Arc<Preempted>) -> Result<Instance, Unmade> {
        let busy = || Unmade::Guest(End::Refused(Refusal::Busy));
        let pooled = self
            .pooled
            .as_ref()
            .filter(|_| !self.container.memory.outgrown());
        let loaded = pooled.unwrap_or(&self.on_demand);
        let permits = [
            Some(self.permit(&self.instances).await.ok_or_else(busy)?),
            match pooled {
                Some(_) => Some(
                    self.permit(&self.container.runtime.slots)
                        .await
                        .ok_or_else(busy)?,
                ),
                None => None,
            },
        ];
        let store = self.container.store(loaded, true, Arc::clone(&preempted));
        let store = store.map_err(Unmade::Host)?;
        Instance::make(store, loaded, permits)
            .await
            .map_err(|error| Unmade::Guest(End::of(&error)))
    }

    /// Waits in the bounded queue for at most a second.
    async fn permit(&self, semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(semaphore).try_acquire_owned() {
            return Some(permit);
        }
        // Another container's idle instances are none of our business; our own are.
        self.idle.lock().clear();
        let waiting = Waiting::enter(&self.waiting)?;
        let permit = tokio::time::timeout(WAIT, Arc::clone(semaphore).acquire_owned()).await;
        drop(waiting);
        permit.ok()?.ok()
    }

    /// Keeps an instance for the next request, if it may serve one.
    fn keep(&self, instance: Instance) {
        if instance.invocations() >= self.container.spec.http.max_invocations
            || instance.invocations() == 0 && self.container.spec.http.max_invocations <= 1
            || self.draining.is_cancelled()
        {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(instance);
        }
    }

    fn unmade(&self, unmade: Unmade) -> Outcome {
        match unmade {
            Unmade::Guest(end) => self.ended(end, false),
            Unmade::Host(error) => {
                tracing::warn!(sandbox = %self.container.spec.id, %error, "cannot make an instance");
                Outcome::Failed
            }
        }
    }

    /// What a request's bad end means for the client and for the container.
    fn ended(&self, end: End, started: bool) -> Outcome {
        match end {
            End::Refused(Refusal::Busy | Refusal::Outgrown) => Outcome::Refused,
            End::Refused(Refusal::OutOfMemory) => {
                self.container.end(Exit::OutOfMemory);
                Outcome::Failed
            }
            End::Exited(_code) => Outcome::Failed,
            End::Trapped(message) => {
                self.container.traps.fetch_add(1, Ordering::Relaxed);
                let line = format!("request trapped: {message}\n");
                self.container
                    .spec
                    .output
                    .write(StdStream::Stderr, line.as_bytes());
                let in_a_row = self.traps_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                if in_a_row >= TRAPS_MAX || !started {
                    self.container.end(Exit::Trap { message });
                }
                Outcome::Failed
            }
        }
    }
}

/// Whether the request is over, or may be tried again.
#[derive(PartialEq, Eq)]
enum Attempt {
    Over,
    Outgrown,
}

/// Why there is no instance.
enum Unmade {
    Guest(End),
    Host(crate::Error),
}

/// One place in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < QUEUE_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that no guest gave.
fn refuse(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
