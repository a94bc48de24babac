//! hello-http: says which pod on which node answered.
//!
//! The smallest server: behind a Service one sees who of the copies answers. Nothing is kept
//! between two requests, because each gets a fresh instance.
//!
//! - `GET /` answers `Hello from POD on NODE`, with `GREETING` in place of `Hello` if it is set.
//! - `GET /healthz` answers `ok`, for probes.
//!
//! Environment: `POD_NAME`, `NODE_NAME` (downward API), `GREETING`.

use wstd::http::{Body, Error, Method, Request, Response, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => (StatusCode::OK, hello()),
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "ok\n".to_owned()),
        (_, "/" | "/healthz") => (
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is answered here\n".to_owned(),
        ),
        (_, path) => (StatusCode::NOT_FOUND, format!("nothing is at {path}\n")),
    };
    Ok(Response::builder()
        .status(status)
        .header("content-type", "text/plain; charset=utf-8")
        .body(text.into())?)
}

fn hello() -> String {
    let greeting = variable("GREETING", "Hello");
    let pod = variable("POD_NAME", "a pod");
    let node = variable("NODE_NAME", "a node");
    format!("{greeting} from {pod} on {node}\n")
}

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
