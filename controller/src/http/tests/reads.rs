//! Reads over a connection.

use super::client::{MAPS, Server, config_map};
use http::StatusCode;
use serde_json::json;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[tokio::test]
async fn pages_are_one_snapshot() {
    let server = Server::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        server.ask("POST", MAPS, &config_map(name, json!({}))).await;
    }
    let names = |list: &serde_json::Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = server
        .ask("GET", &format!("{MAPS}?limit=2"), "")
        .await
        .json();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    server.ask("DELETE", &format!("{MAPS}/d"), "").await;
    server.ask("POST", MAPS, &config_map("cc", json!({}))).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = server
        .ask("GET", &format!("{MAPS}?limit=10&continue={token}"), "")
        .await
        .json();
    assert_eq!(names(&rest), ["c", "d", "e"]);
    assert_eq!(
        rest["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(
        names(&server.ask("GET", &exact, "").await.json()),
        ["a", "b", "c", "d", "e"]
    );
    assert_eq!(
        names(&server.ask("GET", MAPS, "").await.json()),
        ["a", "b", "c", "cc", "e"]
    );

    let bad = server.ask("GET", &format!("{MAPS}?continue=zzz"), "").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    // Of a revision that is still to come: no list of it is known.
    let token = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6OTIyMzM3MjAzNjg1NDc3NTgwNywic3RhcnQiOiJkZWZhdWx0L2EifQ";
    let future = format!("{MAPS}?limit=1&continue={token}");
    let future = server.ask("GET", &future, "").await;
    assert_eq!(future.status, StatusCode::GATEWAY_TIMEOUT);
    let future = server
        .ask("GET", &format!("{MAPS}?resourceVersion=9999999999"), "")
        .await;
    assert_eq!(future.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(
        future.json()["details"]["causes"][0]["reason"],
        "ResourceVersionTooLarge"
    );
}

#[tokio::test]
async fn tables_and_metadata() {
    let server = Server::start().await;
    server
        .ask("POST", MAPS, &config_map("a", json!({"x": "y"})))
        .await;
    let table = server
        .ask_with("GET", MAPS, "", &[("accept", TABLE)])
        .await
        .json();
    assert_eq!(
        (table["kind"].clone(), table["apiVersion"].clone()),
        (json!("Table"), json!("meta.k8s.io/v1"))
    );
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let path = format!("{MAPS}/a?includeObject=Object");
    let one = server
        .ask_with("GET", &path, "", &[("accept", TABLE)])
        .await
        .json();
    assert_eq!(one["rows"][0]["object"]["data"]["a"], "b");
    let accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = server
        .ask_with("GET", MAPS, "", &[("accept", accept)])
        .await
        .json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"]["labels"]["x"], "y");
    assert!(list["items"][0].get("data").is_none());
    let proto = [("accept", "application/cbor")];
    let refused = server.ask_with("GET", MAPS, "", &proto).await;
    assert_eq!(
        (refused.status, refused.json()["reason"].clone()),
        (StatusCode::NOT_ACCEPTABLE, json!("NotAcceptable"))
    );
}

#[tokio::test]
async fn selectors() {
    let server = Server::start().await;
    for (name, tier) in [("a", "x"), ("b", "y")] {
        server
            .ask("POST", MAPS, &config_map(name, json!({"tier": tier})))
            .await;
    }
    for (query, expected) in [
        ("labelSelector=tier%3Dx", vec!["a"]),
        ("labelSelector=tier+in+(x,y)", vec!["a", "b"]),
        ("labelSelector=!tier", vec![]),
        ("fieldSelector=metadata.name%3Db", vec!["b"]),
        ("fieldSelector=metadata.name!%3Db", vec!["a"]),
    ] {
        let list = server
            .ask("GET", &format!("{MAPS}?{query}"), "")
            .await
            .json();
        let items = list["items"].as_array().unwrap();
        let names: Vec<_> = items
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{query}");
    }
    for query in [
        "fieldSelector=spec.nothing%3Db",
        "labelSelector=a%3D%3D%3Db%20c",
    ] {
        let refused = server.ask("GET", &format!("{MAPS}?{query}"), "").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn discovery_version_and_openapi() {
    let server = Server::start().await;
    let aggregated =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let apis = server
        .ask_with("GET", "/apis", "", &[("accept", aggregated)])
        .await;
    assert_eq!(apis.json()["kind"], "APIGroupDiscoveryList");
    assert!(
        apis.headers["content-type"]
            .to_str()
            .unwrap()
            .contains("as=APIGroupDiscoveryList")
    );
    let etag = apis.headers["etag"].to_str().unwrap();
    let same = server
        .ask_with(
            "GET",
            "/apis",
            "",
            &[("accept", aggregated), ("if-none-match", etag)],
        )
        .await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    for (path, kind) in [
        ("/api", "APIVersions"),
        ("/apis", "APIGroupList"),
        ("/apis/apps", "APIGroup"),
        ("/apis/apps/v1", "APIResourceList"),
        ("/api/v1", "APIResourceList"),
        ("/apis/metrics.k8s.io/v1beta1", "APIResourceList"),
    ] {
        assert_eq!(
            server.ask("GET", path, "").await.json()["kind"],
            kind,
            "{path}"
        );
    }
    let version = server.ask_as("GET", "/version", "", &[]).await.json();
    assert!(
        version["gitVersion"]
            .as_str()
            .unwrap()
            .starts_with("v1.35.")
    );
    let index = server.ask("GET", "/openapi/v3", "").await.json();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let document = server.ask("GET", &url, "").await;
    assert_eq!(document.json()["openapi"], "3.0.0");
    let etag = document.headers["etag"].to_str().unwrap();
    let same = server
        .ask_with("GET", &url, "", &[("if-none-match", etag)])
        .await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    let moved = server
        .ask("GET", "/openapi/v3/apis/apps/v1?hash=OLD", "")
        .await;
    assert_eq!(moved.status, StatusCode::MOVED_PERMANENTLY);
    let proto = [(
        "accept",
        "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
    )];
    assert_eq!(
        server.ask_with("GET", &url, "", &proto).await.status,
        StatusCode::NOT_ACCEPTABLE
    );
}

#[tokio::test]
async fn a_large_list_is_the_same_in_parts_whole_and_compressed() {
    let server = Server::start().await;
    for n in 0..9 {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{n}")}, "data": {"x": "x".repeat(100_000)}});
        server.make(MAPS, &map).await;
    }
    let parts = server.ask("GET", MAPS, "").await;
    assert_eq!(parts.headers.get("content-length"), None);
    let list = parts.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 9);
    let whole = server.ask("GET", &format!("{MAPS}?pretty=1"), "").await;
    assert!(whole.headers.contains_key("content-length"));
    assert_eq!(whole.json(), list);
    let gzip = [("accept-encoding", "gzip")];
    let small = server.ask_with("GET", MAPS, "", &gzip).await;
    assert_eq!(small.headers["content-encoding"], "gzip");
    assert!(small.bytes.len() < parts.bytes.len() / 10);
    let plain = crate::http::respond::gunzip(&small.bytes).unwrap();
    assert_eq!(plain, parts.bytes);
}

#[tokio::test]
async fn an_answer_before_the_body_does_not_cut_the_connection() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = Server::start().await;
    let mut stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let head = |method: &str, path: &str, length: usize| {
        let token = &server.admin;
        format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut answer = vec![0; 64 * 1024];
    for path in ["/api/v1/nothing", "/version", MAPS] {
        let method = if path == MAPS { "TRACE" } else { "POST" };
        stream
            .write_all(head(method, path, 1_000).as_bytes())
            .await
            .unwrap();
        // The answer is there before the body is.
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 40"), "{path}");
        stream.write_all(&[b'x'; 1_000]).await.unwrap();
    }
    stream
        .write_all(head("GET", "/version", 0).as_bytes())
        .await
        .unwrap();
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn openapi_v2_has_two_forms() {
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let server = Server::start().await;
    let json = server.ask("GET", "/openapi/v2", "").await;
    let document = json.json();
    assert_eq!(document["swagger"], "2.0");
    let pod = &document["definitions"]["io.k8s.api.core.v1.Pod"];
    assert!(pod["description"].as_str().unwrap().starts_with("Pod is"));
    for (accept, kind) in [
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        (
            PROTOBUF,
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        ),
    ] {
        let sent = [("accept", accept), ("accept-encoding", "gzip")];
        let small = server.ask_with("GET", "/openapi/v2", "", &sent).await;
        assert_eq!(small.headers["content-type"], kind, "{accept}");
        assert_eq!(small.headers["content-encoding"], "gzip");
        assert!(small.bytes.len() < json.bytes.len() / 4);
        let etag = small.headers["etag"].to_str().unwrap();
        let again = [("accept", accept), ("if-none-match", etag)];
        let same = server.ask_with("GET", "/openapi/v2", "", &again).await;
        assert_eq!(same.status, StatusCode::NOT_MODIFIED, "{accept}");
        assert!(same.bytes.is_empty());
    }
    let protobuf = server
        .ask_with("GET", "/openapi/v2", "", &[("accept", PROTOBUF)])
        .await;
    assert!(protobuf.bytes.starts_with(b"\x0a\x032.0\x12"));
    let foreign = server
        .ask_with("GET", "/openapi/v2", "", &[("accept", "text/html")])
        .await;
    assert_eq!(foreign.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn health_and_metrics() {
    let server = Server::start().await;
    for path in ["/healthz", "/livez", "/readyz", "/livez/ping"] {
        let answer = server.ask_as("GET", path, "", &[]).await;
        assert_eq!(
            (answer.status, answer.text()),
            (StatusCode::OK, "ok".to_owned()),
            "{path}"
        );
    }
    let verbose = server
        .ask_as("GET", "/readyz?verbose", "", &[])
        .await
        .text();
    assert!(
        verbose.contains("[+]cache ok") && verbose.ends_with("readyz check passed\n"),
        "{verbose}"
    );
    assert_eq!(
        server
            .ask_as("GET", "/healthz/nothing", "", &[])
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    server.ask("GET", MAPS, "").await;
    let metrics = server.ask("GET", "/metrics", "").await.text();
    let line = "apiserver_request_total{verb=\"list\",resource=\"configmaps\",code=\"200\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    let pretty = server
        .ask("GET", &format!("{MAPS}?pretty=true"), "")
        .await
        .text();
    assert!(
        pretty.contains("\n  \"kind\": \"ConfigMapList\""),
        "{pretty}"
    );
}

#[tokio::test]
async fn forms_are_of_what_they_are_asked_for() {
    let server = Server::start().await;
    let made = server
        .ask("POST", MAPS, r#"{"metadata":{"name":"m"}}"#)
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let one = format!("{MAPS}/m");
    let accept =
        |form: &str, version: &str| format!("application/json;as={form};v={version};g=meta.k8s.io");
    for (path, form, version, kind) in [
        (&*one, "Table", "v1beta1", "Table"),
        (MAPS, "Table", "v1beta1", "Table"),
        (
            &one,
            "PartialObjectMetadata",
            "v1beta1",
            "PartialObjectMetadata",
        ),
        (
            MAPS,
            "PartialObjectMetadataList",
            "v1",
            "PartialObjectMetadataList",
        ),
    ] {
        let accept = accept(form, version);
        let shown = server
            .ask_with("GET", path, "", &[("accept", &accept)])
            .await;
        let shown = shown.json();
        assert_eq!(shown["kind"], kind, "{shown}");
        assert_eq!(shown["apiVersion"], format!("meta.k8s.io/{version}"));
    }
    let table = format!("{MAPS}?includeObject=Foo");
    for (path, form, code, said) in [
        (
            MAPS,
            "PartialObjectMetadata",
            406,
            "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)",
        ),
        (
            &one,
            "PartialObjectMetadataList",
            406,
            "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)",
        ),
        (
            &table,
            "Table",
            400,
            "Unable to convert to Table as requested: includeObject: Invalid value: \"Foo\": must be 'Metadata', 'Object', 'None', or empty",
        ),
    ] {
        let accept = accept(form, "v1");
        let refused = server
            .ask_with("GET", path, "", &[("accept", &accept)])
            .await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["message"].as_str()),
            (code, Some(said))
        );
    }
}

#[tokio::test]
async fn the_encoding_is_the_one_that_is_liked_best() {
    let server = Server::start().await;
    let yaml = "application/yaml";
    let (json, binary) = ("application/json", "application/vnd.kubernetes.protobuf");
    let aggregated = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let table = ";as=Table;v=v1;g=meta.k8s.io";
    for (accept, paths, media) in [
        (
            yaml.to_owned(),
            &["/api", "/apis", "/apis/apps", "/api/v1", "/apis/apps/v1"][..],
            yaml,
        ),
        (
            binary.to_owned(),
            &["/api", "/apis", "/apis/apps", "/api/v1", "/apis/apps/v1"][..],
            binary,
        ),
        (
            format!("{json};q=0.5,{yaml};q=0.9"),
            &["/apis", MAPS][..],
            yaml,
        ),
        (
            format!("{json};q=0.1, {binary};q=0.9"),
            &["/apis", MAPS][..],
            binary,
        ),
        (
            format!("{json};q=0.9,{yaml};q=0.5"),
            &["/apis", MAPS][..],
            json,
        ),
        (format!("{yaml}{table}"), &[MAPS][..], yaml),
        (
            format!("{json}{table};q=0.1,{yaml}{table}"),
            &[MAPS][..],
            yaml,
        ),
    ] {
        for path in paths {
            let got = server
                .ask_with("GET", path, "", &[("accept", &accept)])
                .await;
            assert_eq!(got.status, StatusCode::OK, "{accept} {path}");
            assert_eq!(got.headers["content-type"], media, "{accept} {path}");
            assert_eq!(got.text().contains("Table"), accept.contains("Table"));
        }
    }
    for encoding in [yaml, binary] {
        let accept = format!("{encoding}{aggregated},{json}");
        let got = server
            .ask_with("GET", "/apis", "", &[("accept", &accept)])
            .await;
        assert_eq!(
            got.headers["content-type"],
            format!("{encoding}{aggregated}")
        );
    }
    let watch = format!("{MAPS}?watch=1&timeoutSeconds=1");
    let accept = format!("{yaml},{json};q=0.5");
    let refused = server
        .ask_with("GET", &watch, "", &[("accept", &accept)])
        .await;
    assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn a_method_that_is_not_there_is_no_other() {
    let server = Server::start().await;
    for (method, path, code) in [
        ("HEAD", MAPS, 405),
        ("HEAD", "/api/v1/namespaces/default", 405),
        ("HEAD", "/api/v1/nonsense", 404),
        ("HEAD", "/version", 405),
        ("HEAD", "/healthz", 200),
        ("POST", "/version", 405),
        ("PUT", "/apis/apps/v1", 405),
        ("POST", "/apis/nonsense", 404),
        ("POST", "/healthz", 200),
        ("DELETE", "/nonsense", 404),
    ] {
        let answer = server.ask(method, path, "").await;
        assert_eq!(answer.status.as_u16(), code, "{method} {path}");
    }
}

#[tokio::test]
async fn people_are_shown_indented_json() {
    let server = Server::start().await;
    server.ask("POST", MAPS, config_map("one", json!({}))).await;
    for (query, agent, is_pretty) in [
        ("", "curl/8.5.0", true),
        ("", "Wget/1.2", true),
        ("", "Mozilla/5.0 (X11)", true),
        ("", "Mozilla/4.0", false),
        ("", "kubectl/v1.35.0", false),
        ("?pretty=false", "curl/8.5.0", false),
        ("?pretty=no", "curl/8.5.0", false),
        ("?pretty=true", "kubectl/v1.35.0", true),
    ] {
        for path in [MAPS.to_owned(), format!("{MAPS}/one"), "/apis".to_owned()] {
            let path = format!("{path}{query}");
            let header = [("user-agent", agent)];
            let text = server.ask_with("GET", &path, "", &header).await.text();
            assert_eq!(text.starts_with("{\n  \""), is_pretty, "{path} {agent}");
        }
    }
    let agent = [("user-agent", "curl/8.5.0")];
    let document = server
        .ask_with("GET", "/openapi/v3/version", "", &agent)
        .await;
    let index = server
        .ask_with("GET", "/openapi/v3", "", &agent)
        .await
        .text();
    assert!(document.status == StatusCode::NOT_FOUND && index.starts_with("{\"paths\""));
}

/// What has no metadata has no table: upstream's conformance asks for the 406.
#[tokio::test]
async fn a_review_has_no_table() {
    let server = Server::start().await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let either = format!("{table},application/json");
    let asked =
        json!({"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}).to_string();
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let token = "/api/v1/namespaces/default/serviceaccounts/default/token";
    for (path, body) in [(reviews, asked.as_str()), (token, "{\"spec\":{}}")] {
        let refused = server
            .ask_with("POST", path, body, &[("accept", table)])
            .await;
        assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE, "{path}");
        let taken = server
            .ask_with("POST", path, body, &[("accept", &either)])
            .await;
        assert_ne!(taken.status, StatusCode::NOT_ACCEPTABLE, "{path}");
    }
}

#[tokio::test]
async fn a_client_says_how_long_it_waits() {
    let server = Server::start().await;
    for (timeout, status, why) in [
        (
            "invalid",
            400,
            "invalid timeout specified in the request URL - time: invalid duration \"invalid\"",
        ),
        ("5", 400, "time: missing unit in duration \"5\""),
        ("-5s", 200, ""),
        ("0s", 200, ""),
        ("10m", 200, ""),
    ] {
        let path = format!("{MAPS}?timeout={timeout}");
        let answer = server.ask("GET", &path, "").await;
        assert_eq!(answer.status.as_u16(), status, "{timeout}");
        let text = answer.text().replace("\\\"", "\"");
        assert!(text.contains(why), "{timeout}: {text}");
    }
}
