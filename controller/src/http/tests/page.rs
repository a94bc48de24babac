//! The status page over a real connection.

use super::client::Server;
use crate::page::{self, Access};
use http::StatusCode;
use http_body_util::BodyExt as _;
use rand::SeedableRng as _;

#[tokio::test]
async fn the_page_opens_with_its_token_and_lives() {
    let mut server = Server::start().await;
    let access = Access::new(rand::rngs::StdRng::seed_from_u64(11));
    let token = access.token().unwrap();
    let listener = page::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    server.address = listener.local_addr().unwrap();
    let registry = server.registry.clone();
    let serving = page::serve(server.tasks.clone(), registry, listener, access);
    server
        .tasks
        .spawn("page", coracle_daemon::OnExit::Ignore, serving);
    let host = server.address.to_string();

    let foreign = server
        .ask_as("GET", "/", "", &[("host", "evil.example")])
        .await;
    assert_eq!(foreign.status, StatusCode::MISDIRECTED_REQUEST);
    let stranger = server.ask_as("GET", "/", "", &[("host", &host)]).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let entered = server
        .ask_as("GET", &format!("/?token={token}"), "", &[("host", &host)])
        .await;
    assert_eq!(entered.status, StatusCode::OK);
    assert!(entered.text().contains("<title>Coracle</title>"));
    assert!(
        entered.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    let cookie = entered.headers["set-cookie"]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let again = server
        .ask_as("GET", &format!("/?token={token}"), "", &[("host", &host)])
        .await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
    let written = server
        .ask_as("POST", "/", "", &[("host", &host), ("cookie", &cookie)])
        .await;
    assert_eq!(written.status, StatusCode::METHOD_NOT_ALLOWED);

    let live = server
        .open("GET", "/live", "", &[("host", &host), ("cookie", &cookie)])
        .await;
    assert_eq!(live.headers()["content-type"], "text/event-stream");
    let frame = live
        .into_body()
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap();
    let text = String::from_utf8_lossy(&frame);
    let snapshot: serde_json::Value =
        serde_json::from_str(text.trim().trim_start_matches("data: ")).unwrap();
    assert_eq!(snapshot["pods_total"], 0);
}
