//! Who gets in, over TLS.

use super::client::{MAPS, Server};
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn strangers_get_401_and_others_403() {
    let server = Server::start().await;
    let nobody = server.ask_as("GET", MAPS, "", &[]).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        nobody.json(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401})
    );
    let wrong = server
        .ask_as(
            "GET",
            "/version",
            "",
            &[("authorization", "Bearer nonsense")],
        )
        .await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    for path in ["/api", "/metrics", "/openapi/v3", "/nothing"] {
        assert_eq!(
            server.ask_as("GET", path, "", &[]).await.status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    let spaced = format!("Bearer  {}", server.admin);
    for (path, code) in [(MAPS, 401), ("/healthz", 200)] {
        let header = [("authorization", spaced.as_str())];
        let ignored = server.ask_as("GET", path, "", &header).await;
        assert_eq!(ignored.status.as_u16(), code, "{path}");
        let warned = ignored.headers["warning"].to_str().unwrap();
        assert!(
            warned.contains("extra space before the bearer token"),
            "{warned}"
        );
    }
    let bearer = format!("Bearer {}", server.reader);
    let other = server
        .ask_as("GET", MAPS, "", &[("authorization", &bearer)])
        .await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
    assert_eq!(
        other.json()["message"],
        "configmaps is forbidden: User \"reader\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let as_other = server
        .ask_with("GET", MAPS, "", &[("impersonate-user", "ann")])
        .await;
    assert_eq!(as_other.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn whoami_and_can_i() {
    let server = Server::start().await;
    let who = server
        .ask(
            "POST",
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            "{}",
        )
        .await;
    assert_eq!(who.status, StatusCode::CREATED);
    assert_eq!(
        who.json()["status"]["userInfo"],
        json!({"username": "admin", "groups": ["system:masters", "system:authenticated"]})
    );
    let body = json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "a"}}});
    let can = server
        .ask(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            &body.to_string(),
        )
        .await;
    assert_eq!(can.json()["status"]["allowed"], true);
    let empty = server
        .ask(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "{\"spec\":{}}",
        )
        .await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn the_image_registry_asks_for_a_password() {
    let server = Server::start().await;
    let asked = server.ask_as("GET", "/v2/", "", &[]).await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
    assert!(
        asked.headers["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Basic realm=")
    );
    assert_eq!(asked.json()["errors"][0]["code"], "UNAUTHORIZED");
}
