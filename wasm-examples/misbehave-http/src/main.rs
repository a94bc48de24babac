//! misbehave-http: breaks the rules on request, by path.
//!
//! `GET /` answers `ok`; `GET /loop`, `/allocate`, `/trap`, `/exit/7`, `/flood`, `/hoard`,
//! `/recurse` and `/slow/1500` (milliseconds) do what they say and, if they come back, answer
//! `done`.

use misbehave::Mode;
use wstd::{
    http::{Body, Error, Request, Response, StatusCode},
    task::sleep,
    time::Duration,
};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let path = request.uri().path().trim_matches('/');
    let (status, text) = match Mode::parse(path.split('/')) {
        _ if path.is_empty() => (StatusCode::OK, "ok\n".to_owned()),
        // As a well-written guest waits: the thread is free meanwhile.
        Ok(Mode::Slow(millis)) => {
            sleep(Duration::from_millis(millis)).await;
            (StatusCode::OK, "done\n".to_owned())
        }
        Ok(mode) => {
            mode.run();
            (StatusCode::OK, "done\n".to_owned())
        }
        Err(message) => (StatusCode::NOT_FOUND, format!("{message}\n")),
    };
    Ok(Response::builder().status(status).body(text.into())?)
}
