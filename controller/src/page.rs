//! The status page: a plain, read-only view for a browser on the same machine.
//!
//! Listens on loopback only, answers only to loopback names, and shows nothing before the one-time
//! token of its URL. Never reads a Secret, an environment or anything but names, states and events.

mod access;
mod view;

pub use access::Access;

use crate::{
    http::{Body, Handle, Peer},
    registry::Registry,
};
use bytes::Bytes;
use coracle_daemon::Tasks;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// Snapshots are sent at most this often.
const REFRESH_MIN: Duration = Duration::from_millis(500);
/// And at least this often, so that ages move and a dead page is noticed.
const REFRESH_MAX: Duration = Duration::from_secs(10);

const HTML: &str = include_str!("page/index.html");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

/// What a browser may do with the page: load its own script and style, talk to its own server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status page would be reachable from elsewhere.
    #[error("the status page listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address} for the status page")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Opens the page's listener.
///
/// # Errors
/// When the address is not a loopback address or cannot be bound.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        return Err(Error::NotLoopback(address));
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })
}

/// Serves the page until the tasks are asked to stop.
pub async fn serve(tasks: Tasks, registry: Registry, listener: TcpListener, access: Access) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    let page = Page {
        registry,
        access,
        port: address.port(),
        tasks: tasks.clone(),
    };
    crate::http::run(tasks, listener, None, page).await;
}

#[derive(Clone)]
struct Page {
    registry: Registry,
    access: Access,
    port: u16,
    tasks: Tasks,
}

impl Handle for Page {
    async fn handle(&self, _peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
        let mut response = self.answer(&request);
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl Page {
    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
        if !host.is_some_and(|host| is_own_host(host, self.port)) {
            return say(
                StatusCode::MISDIRECTED_REQUEST,
                "This page answers to its own address only.",
            );
        }
        if request.method() != Method::GET {
            return say(StatusCode::METHOD_NOT_ALLOWED, "This page is read-only.");
        }
        match request.uri().path() {
            // No secret in these two, and a page that asks for its token looks like the others.
            "/page.js" => return file("text/javascript; charset=utf-8", SCRIPT),
            "/page.css" => return file("text/css; charset=utf-8", STYLE),
            _ => {}
        }
        let token = request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix("token="));
        let cookie = self.access.enter(token, request.headers(), self.port);
        let Some(cookie) = cookie else {
            return say(
                StatusCode::UNAUTHORIZED,
                "Open the address that `coracle up` printed when it started; its token works once.",
            );
        };
        let mut response = match request.uri().path() {
            "/" => file("text/html; charset=utf-8", HTML),
            "/live" => self.live(),
            _ => say(StatusCode::NOT_FOUND, "Nothing here."),
        };
        if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }

    /// Server-sent events: a snapshot now, and one after each change.
    fn live(&self) -> Response<Body> {
        let cache = self.registry.cache().clone();
        let start = (self.clone(), cache.newest(), false);
        let events =
            futures_util::stream::unfold(start, |(page, mut newest, started)| async move {
                if started {
                    tokio::select! {
                        () = page.tasks.stop().cancelled() => return None,
                        () = wait_for_change(&mut newest) => {}
                    }
                }
                newest.borrow_and_update();
                let snapshot = view::snapshot(page.registry.cache(), page.registry.clock().now());
                let event = Bytes::from(format!("data: {snapshot}\n\n"));
                Some((Ok::<_, io::Error>(event), (page, newest, true)))
            });
        let mut response = Response::new(Body::stream(events));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        );
        response
    }
}

async fn wait_for_change(newest: &mut tokio::sync::watch::Receiver<coracle_api::Revision>) {
    tokio::time::sleep(REFRESH_MIN).await;
    // A closed channel and a quiet cluster look the same: the next snapshot comes by the period.
    let _quiet_or_closed = tokio::time::timeout(REFRESH_MAX, async {
        while newest.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
    .await;
}

/// Names of loopback with our port: anything else is a page of somebody else's whose name resolves
/// to this machine.
fn is_own_host(host: &str, port: u16) -> bool {
    let name = host
        .strip_suffix(&format!(":{port}"))
        .unwrap_or(if port == 80 { host } else { "" });
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

fn file(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn say(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = file("text/plain; charset=utf-8", text);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, own) in [
            ("127.0.0.1:6480", true),
            ("localhost:6480", true),
            ("[::1]:6480", true),
            ("127.0.0.1", false),
            ("127.0.0.1:80", false),
            ("evil.example:6480", false),
            ("127.0.0.1.evil.example:6480", false),
            ("", false),
        ] {
            assert_eq!(is_own_host(host, 6480), own, "{host}");
        }
        assert!(is_own_host("localhost", 80));
    }

    #[tokio::test]
    async fn other_addresses_are_refused() {
        let error = listen("0.0.0.0:0".parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::NotLoopback(_)));
        assert!(listen("127.0.0.1:0".parse().unwrap()).await.is_ok());
    }
}
