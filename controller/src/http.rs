//! The HTTPS endpoint: the Kubernetes API, the image registry, health and metrics.
//!
//! One request is answered by plain steps in order: who, may they, what, do it. Every write goes
//! through the registry and every read comes from its cache; nothing here knows the store.

mod body;
mod components;
mod connect;
mod decode;
mod discovery;
mod error;
mod fairness;
mod health;
mod issuer;
mod list;
mod listen;
mod negotiate;
mod observe;
mod openapi;
mod outbox;
mod pieces;
mod query;
mod render;
mod respond;
mod reviews;
mod right;
mod route;
mod select;
mod unread;
pub(crate) mod usage;
mod verbs;
pub mod version;
mod watch;
mod yaml;

pub use body::Body;
pub(crate) use listen::{Handle, run};

pub use self::connect::Links;
use self::{
    fairness::{Fairness, Seat, Sort},
    outbox::Outbox,
    query::Query,
    route::RequestInfo,
    unread::Unread,
    usage::Usage,
};
use crate::{
    auth::{self, Attributes, Authenticator, Authorizer, InvalidCredentials, Schemes, UserInfo},
    images::Images,
    metrics::Metrics,
    registry::Registry,
};
use bytes::Bytes;
use coracle_api::{selector::FieldSelector, status::StatusError};
use coracle_daemon::Tasks;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use jiff::Timestamp;
use rustls::ServerConfig;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::Instant};

/// A request that is no stream is answered by then; as upstream.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Everything a request may need. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct State(Arc<Shared>);

/// What [`State`] shares.
#[derive(Debug)]
pub struct Shared {
    /// The door to every object.
    pub registry: Registry,
    /// Who asks.
    pub authenticator: Authenticator,
    /// The way to the nodes.
    pub links: Links,
    /// What `/v2/` serves; none where no images are kept.
    pub images: Option<Images>,
    /// What is counted.
    pub metrics: Metrics,
    /// Where tasks run.
    pub tasks: Tasks,
    openapi: openapi::Documents,
    discovery: discovery::Discovery,
    usage: Usage,
    fairness: Fairness,
    outbox: Outbox,
}

impl std::ops::Deref for State {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl State {
    /// The state of an endpoint.
    #[must_use]
    pub fn new(
        registry: Registry,
        authenticator: Authenticator,
        links: Links,
        images: Option<Images>,
        metrics: Metrics,
        tasks: Tasks,
    ) -> Self {
        Self(Arc::new(Shared {
            registry,
            authenticator,
            links,
            images,
            metrics,
            tasks,
            openapi: openapi::Documents::default(),
            discovery: discovery::Discovery::default(),
            usage: Usage::default(),
            fairness: Fairness::default(),
            outbox: Outbox::default(),
        }))
    }
}

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// From its client certificate.
    pub(crate) user: Option<UserInfo>,
    /// When that certificate ends.
    pub(crate) until: Option<Timestamp>,
}

impl Peer {
    /// The certificate's user, as long as the certificate is valid.
    fn user_at(&self, now: Timestamp) -> Result<Option<&UserInfo>, InvalidCredentials> {
        match self.until {
            Some(until) if until < now => Err(InvalidCredentials),
            _ => Ok(self.user.as_ref()),
        }
    }
}

/// Serves until the tasks are asked to stop. Without `tls` the listener speaks plain HTTP.
pub async fn serve(
    tasks: Tasks,
    state: State,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
) {
    tasks.spawn(
        "usage samples",
        coracle_daemon::OnExit::Ignore,
        usage::sample(state.clone()),
    );
    run(tasks, listener, tls, state).await;
}

/// A request after its URL was read.
pub(crate) struct Call {
    pub(crate) peer: Arc<Peer>,
    /// Whose credentials they are.
    pub(crate) own: UserInfo,
    /// Whom they act as.
    pub(crate) user: UserInfo,
    pub(crate) query: Query,
    pub(crate) parts: Parts,
    pub(crate) body: Unread,
    /// Fields that stand more than once in the body, once it was read.
    pub(crate) duplicates: decode::Duplicates,
}

impl Call {
    pub(crate) fn accept(&self) -> &str {
        self.header(header::ACCEPT)
    }

    /// The field selector of a list or a watch.
    pub(crate) fn fields(&self) -> &str {
        self.query.get("fieldSelector").unwrap_or_default()
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

impl Handle for State {
    async fn handle(&self, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if path == "/v2" || path.starts_with("/v2/") {
            let body = Unread::new(body, self.tasks.clone());
            let method = parts.method.clone();
            let response = self.image_registry(&peer, parts, body).await;
            return respond::head(response, &method);
        }
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let info = route::parse(&parts.method, path, query.flag("watch"));
        let kinds = self.registry.cache().kinds();
        let counted = observe::Counted::new(kinds, info.as_ref(), &parts.method);
        let headers = parts.headers.clone();
        let method = parts.method.clone();
        let is_read = matches!(method, Method::GET | Method::HEAD);
        let mut seat = None;
        let call = Call {
            peer: Arc::clone(&peer),
            own: UserInfo::anonymous(),
            user: UserInfo::anonymous(),
            query: query.clone(),
            parts,
            body: Unread::new(body, self.tasks.clone()),
            duplicates: decode::Duplicates::default(),
        };
        let answered = self.answer(info, call, &mut seat).await;
        let response = match answered {
            Ok(response) => response,
            Err(error) => {
                if error.code >= 500 {
                    tracing::warn!(peer = %peer.address, code = error.code, message = %error.message, "request failed");
                }
                error::reply(&error)
            }
        };
        let accept = headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok());
        let plain = response.body().bytes().cloned();
        let mut response = respond::translate(response, accept.unwrap_or_default());
        if peer.user.is_none() && auth::hides_token(&headers) {
            respond::warn(&mut response, &[auth::SPACE_BEFORE_TOKEN.to_owned()]);
        }
        counted.finish(&self.metrics, response.status(), started);
        let finished = respond::finish(response, &headers, &query);
        let finished = respond::head(finished, &method);
        let response = self.widen(&mut seat, finished, is_read, plain);
        // Who reads slowly keeps the seat: the answer is held for them.
        response.map(|body| body.held_by(seat))
    }
}

/// What a request asks for, as far as rights go.
struct Asked<'a> {
    info: Option<&'a RequestInfo>,
    /// Of one that is for no resource.
    method: &'a str,
    path: &'a str,
    fields: &'a str,
}

impl State {
    /// Who, may they, is there room, what, do it.
    async fn answer(
        &self,
        info: Option<RequestInfo>,
        mut call: Call,
        seat: &mut Option<Seat>,
    ) -> Result<Response<Body>, StatusError> {
        let method = call.parts.method.as_str().to_ascii_lowercase();
        let asked = Asked {
            info: info.as_ref(),
            method: &method,
            path: call.parts.uri.path(),
            fields: call.fields(),
        };
        let own = self.who(&call.peer, &call.parts.headers)?;
        let user = self.may(&own, &call.parts.headers, &asked)?;
        (call.own, call.user) = (own, user);
        *seat = self.seat(&call, info.as_ref())?;
        if info.as_ref().is_some_and(RequestInfo::is_stream) {
            return self.dispatch(info, call).await;
        }
        let _in_flight = self.metrics.in_flight();
        let limit = call.query.timeout()?.unwrap_or(ANSWER_MAX);
        tokio::time::timeout(limit.min(ANSWER_MAX), self.dispatch(info, call))
            .await
            .unwrap_or_else(|_elapsed| Err(error::timed_out()))
    }

    /// Whose credentials a request brings.
    fn who(&self, peer: &Peer, headers: &HeaderMap) -> Result<UserInfo, StatusError> {
        peer.user_at(self.registry.clock().now())
            .and_then(|user| {
                self.authenticator
                    .authenticate(user, headers, Schemes::Bearer)
            })
            .map_err(|_invalid| {
                listen::refusals::tell(peer.address, || {
                    "credentials that are not valid".to_owned()
                });
                error::unauthorized()
            })
    }

    /// As whom somebody acts, when they may do what is asked.
    fn may(
        &self,
        own: &UserInfo,
        headers: &HeaderMap,
        asked: &Asked<'_>,
    ) -> Result<UserInfo, StatusError> {
        let authorizer = self.registry.authorizer();
        let refuse = |refused| {
            if own.is_anonymous() {
                error::unauthorized()
            } else {
                refused
            }
        };
        let user = auth::impersonate(authorizer, own.clone(), headers).map_err(refuse)?;
        authorize(authorizer, &user, asked).map_err(refuse)?;
        Ok(user)
    }

    /// Seats for a request, of those that whose credentials it brings may have. Probes of health need none.
    fn seat(&self, call: &Call, info: Option<&RequestInfo>) -> Result<Option<Seat>, StatusError> {
        let sort = match info {
            Some(info) if info.is_stream() => Sort::Stream,
            Some(info) => {
                let cache = self.registry.cache();
                let kinds = cache.kinds();
                let kind = kinds.find(&info.group, &info.version, &info.resource);
                let objects = kind.map_or(0, |kind| cache.count(kind));
                let (bytes, is_streamed) = match kind {
                    Some(kind) if info.verb == "list" => (
                        list::bytes(cache, kind, &info.namespace, &call.query),
                        list::is_streamed(call),
                    ),
                    _ => (0, false),
                };
                Sort::Request(fairness::width(info.verb, objects, bytes, is_streamed))
            }
            None if auth::is_public(call.parts.uri.path()) => return Ok(None),
            None => Sort::Request(1),
        };
        let seat = self.fairness.seat(&call.own, call.peer.address.ip(), sort);
        seat.map(Some).map_err(|refusal| {
            self.metrics.rejected(refusal.of(sort));
            error::too_many_requests()
        })
    }

    /// An answer that is held whole takes seats by its size. Where there are none, it has to be asked for again; of what is
    /// done, the answer is the plain JSON.
    fn widen(
        &self,
        seat: &mut Option<Seat>,
        response: Response<Body>,
        is_read: bool,
        plain: Option<Bytes>,
    ) -> Response<Body> {
        let whole = response.body().bytes().map_or(0, Bytes::len);
        let seats = fairness::whole_width(whole);
        let widened = seat.as_mut().map_or(Ok(()), |seat| seat.widen(seats));
        match (widened, plain) {
            (Ok(()), _) => response,
            (Err(_), Some(plain)) if !is_read && response.status().is_success() => {
                respond::json_bytes(response.status(), plain)
            }
            (Err(refusal), _) => {
                self.metrics.rejected(refusal.of(Sort::Request(seats)));
                error::reply(&error::too_many_requests())
            }
        }
    }

    async fn dispatch(
        &self,
        info: Option<RequestInfo>,
        call: Call,
    ) -> Result<Response<Body>, StatusError> {
        let kinds = self.registry.cache().kinds();
        let has_kind = info.as_ref().is_some_and(|info| {
            let found = kinds.find(&info.group, &info.version, &info.resource);
            found.is_some()
        });
        let is_nowhere = !has_kind && !discovery::is_ours(call.parts.uri.path());
        match self.find(info, call).await {
            // Upstream's own places answer with a Status, and all others in plain words.
            Err(refused) if is_nowhere && refused == error::no_such_resource() => {
                Ok(respond::text(StatusCode::NOT_FOUND, health::NO_PAGE))
            }
            answered => answered,
        }
    }

    async fn find(
        &self,
        info: Option<RequestInfo>,
        call: Call,
    ) -> Result<Response<Body>, StatusError> {
        if let Some(info) = info {
            return verbs::handle(self, &info, call).await;
        }
        let path = call.parts.uri.path().trim_end_matches('/');
        // Whatever the method, as upstream.
        if let Some(response) = health::answer(self, path, &call.query) {
            return Ok(response);
        }
        if !matches!(call.parts.method, Method::GET | Method::HEAD) {
            let read = route::parse(&Method::GET, call.parts.uri.path(), false);
            let kinds = self.registry.cache().kinds();
            let is_kind = read.is_some_and(|info| {
                let found = kinds.find(&info.group, &info.version, &info.resource);
                found.is_some()
            });
            let is_known = is_kind || path == "/version" || discovery::has(self, path);
            return Err(if is_known {
                error::method_not_allowed()
            } else {
                error::no_such_resource()
            });
        }
        match path {
            "/version" if call.parts.method == Method::HEAD => Err(error::method_not_allowed()),
            "/version" => Ok(respond::ok(&version::info())),
            "/metrics" => Ok(observe::metrics(self)),
            _ => {
                if let Some(answer) = issuer::answer(self, path) {
                    return answer;
                }
                if let Some(rest) = path.strip_prefix("/openapi") {
                    return openapi::answer(self, rest, &call).await;
                }
                discovery::answer(self, path, &call)
            }
        }
    }

    /// The image registry. Its clients bring a token as the password of any user.
    async fn image_registry(&self, peer: &Peer, parts: Parts, body: Unread) -> Response<Body> {
        let known = peer
            .user_at(self.registry.clock().now())
            .and_then(|user| {
                self.authenticator
                    .authenticate(user, &parts.headers, Schemes::BearerAndBasic)
            })
            .ok()
            .filter(|user| !user.is_anonymous());
        let Some(own) = known else {
            let mut response = registry_refusal(
                StatusCode::UNAUTHORIZED,
                "UNAUTHORIZED",
                "log in with an API token as the password",
            );
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"coracle\", charset=\"UTF-8\""),
            );
            return response;
        };
        let authorizer = self.registry.authorizer();
        let user = match auth::impersonate(authorizer, own.clone(), &parts.headers) {
            Ok(user) => user,
            Err(refused) => {
                return registry_refusal(StatusCode::FORBIDDEN, "DENIED", &refused.message);
            }
        };
        let verb = image_verb(&parts.method);
        let asked = Attributes {
            verb,
            group: IMAGES.0,
            resource: IMAGES.1,
            ..Attributes::default()
        };
        if !authorizer.allows(&user, &asked) {
            let message = format!(
                "user {:?} may not use the image registry: they cannot {verb} {}.{}",
                user.name, IMAGES.1, IMAGES.0
            );
            return registry_refusal(StatusCode::FORBIDDEN, "DENIED", &message);
        }
        match self
            .fairness
            .seat(&own, peer.address.ip(), Sort::Request(1))
        {
            Ok(seat) => self.serve_images(parts, body, seat).await,
            Err(refusal) => {
                self.metrics.rejected(refusal.of(Sort::Request(1)));
                registry_is_busy()
            }
        }
    }

    /// Answers in a seat, which whoever sends or reads slowly keeps.
    async fn serve_images(&self, parts: Parts, mut body: Unread, seat: Seat) -> Response<Body> {
        let answered = match (&self.images, body.take()) {
            (Some(images), Some(body)) => {
                let request = Request::from_parts(parts, body);
                images.handle(request).await.map(Body::wrap)
            }
            _ => registry_refusal(
                StatusCode::NOT_FOUND,
                "NAME_UNKNOWN",
                "this controller keeps no images",
            ),
        };
        answered.map(|body| body.held_by(Some(seat)))
    }
}

/// What rules call the images: group and resource. They are no kind, and are granted as a whole.
const IMAGES: (&str, &str) = ("coracle.dev", "images");

/// `get` to pull, `create` to push, `delete` to remove.
fn image_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "get",
        Method::DELETE => "delete",
        _ => "create",
    }
}

fn registry_refusal(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let errors =
        serde_json::json!({"errors": [{"code": code, "message": message, "detail": null}]});
    respond::json(status, &errors)
}

/// As [`error::too_many_requests`], in the registry's words.
fn registry_is_busy() -> Response<Body> {
    let busy = error::too_many_requests();
    let mut response = registry_refusal(
        StatusCode::TOO_MANY_REQUESTS,
        "TOOMANYREQUESTS",
        &busy.message,
    );
    let wait = busy.details.map_or(0, |details| details.retry_after_secs);
    respond::set(&mut response, header::RETRY_AFTER, &wait.to_string());
    response
}

/// 403 for what the user may not.
fn authorize(
    authorizer: &Authorizer,
    user: &UserInfo,
    asked: &Asked<'_>,
) -> Result<(), StatusError> {
    let named = named_by(asked.fields);
    let attributes = match asked.info {
        Some(info) => Attributes {
            verb: info.verb,
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            // Who lists or watches one object by its name asks for that object.
            name: match info.verb {
                "list" | "watch" if info.name.is_empty() => &named,
                _ => &info.name,
            },
            path: "",
            fields: asked.fields,
        },
        None => Attributes {
            verb: asked.method,
            path: asked.path,
            ..Attributes::default()
        },
    };
    let decision = authorizer.decide(user, &attributes);
    if decision.allowed {
        return Ok(());
    }
    Err(auth::forbidden(user, &attributes, &decision.reason))
}

/// The name that a field selector asks for, read as the list itself reads it.
fn named_by(fields: &str) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let selector = FieldSelector::parse(fields).ok();
    selector
        .and_then(|selector| selector.name().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
