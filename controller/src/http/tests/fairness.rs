//! A client that floods, and the others.

use super::client::{MAPS, Server};
use crate::{
    auth::{MASTERS, UserInfo},
    http::fairness::Sort,
};
use bytes::Bytes;
use coracle_daemon::OnExit;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::{net::Ipv4Addr, time::Duration};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// More than one client's share of the seats.
const FLOOD: usize = 230;

/// A request whose body never ends: it keeps its seat.
async fn unfinished(server: &Server, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST {MAPS} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn read_by(server: &Server, token: &str) -> StatusCode {
    let bearer = format!("Bearer {token}");
    let answer = server
        .ask_as("GET", MAPS, "", &[("authorization", &bearer)])
        .await;
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.json()["reason"], "TooManyRequests");
    }
    answer.status
}

/// Asks until the answer is the one that has to come.
async fn until(server: &Server, token: &str, wanted: StatusCode) {
    let asked = async {
        while read_by(server, token).await != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(20), asked).await;
    asked.unwrap_or_else(|_| panic!("{wanted} within twenty seconds"));
}

#[tokio::test]
async fn a_flood_takes_no_seats_from_others() {
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
    let server = Server::start().await;
    let rules =
        json!([{"verbs": ["list", "create"], "apiGroups": [""], "resources": ["configmaps"]}]);
    let role = json!({"metadata": {"name": "maps"}, "rules": rules});
    let everyone = json!([{"kind": "Group", "name": "system:authenticated"}]);
    let binding = json!({"metadata": {"name": "maps"}, "subjects": everyone,
        "roleRef": {"kind": "Role", "name": "maps"}});
    server.make(&format!("{RBAC}/roles"), &role).await;
    server.make(&format!("{RBAC}/rolebindings"), &binding).await;
    server
        .make(ACCOUNTS, &json!({"metadata": {"name": "other"}}))
        .await;
    let other = server
        .ask("POST", &format!("{ACCOUNTS}/other/token"), "{\"spec\":{}}")
        .await;
    let other = other.json()["status"]["token"].as_str().unwrap().to_owned();

    let mut flood = Vec::new();
    for _ in 0..FLOOD {
        flood.push(unfinished(&server, &server.reader).await);
    }
    until(&server, &server.reader, StatusCode::TOO_MANY_REQUESTS).await;
    // Somebody else is served, and the administrator.
    assert_eq!(read_by(&server, &other).await, StatusCode::OK);
    assert_eq!(read_by(&server, &server.admin).await, StatusCode::OK);
    let metrics = server.ask("GET", "/metrics", "").await.text();
    let counted = "coracle_requests_rejected_total{too_many=\"requests of the client\"}";
    assert!(metrics.contains(counted), "{metrics}");
    // Who is watched over asks whether we live; nobody may be in the way of that.
    let alive = server.ask_as("GET", "/livez", "", &[]).await;
    assert_eq!(alive.status, StatusCode::OK);
    drop(flood);
    until(&server, &server.reader, StatusCode::OK).await;
}

/// What is written out for one client takes seats by its size; a write is not refused when it is done.
#[tokio::test]
async fn a_large_answer_takes_more_seats() {
    let server = Server::start().await;
    // Indented, each of many fields stands far to the right.
    let leaves = (0..40_000).map(|n| (format!("f:{n}"), json!({})));
    let fields = (0..60).fold(leaves.collect(), |inner: Value, _| json!({"f:a": inner}));
    let managed = json!([{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}]);
    let map = json!({"metadata": {"name": "large", "managedFields": managed}});
    let made = server.ask("POST", MAPS, map.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());

    let admin = UserInfo::new("admin", [MASTERS.to_owned()]);
    let address = Ipv4Addr::LOCALHOST.into();
    let take = |seats| {
        server
            .state
            .fairness
            .seat(&admin, address, Sort::Request(seats))
    };
    let taken = take(198).unwrap();
    let path = format!("{MAPS}/large");
    let pretty = server.ask("GET", &format!("{path}?pretty=true"), "").await;
    assert_eq!(pretty.status, StatusCode::TOO_MANY_REQUESTS);
    let plain = server.ask("GET", &path, "").await;
    assert_eq!(plain.status, StatusCode::OK);
    let merge = [("content-type", "application/merge-patch+json")];
    let patch = "{\"data\":{\"a\":\"b\"}}";
    let written = server
        .ask_with("PATCH", &format!("{path}?pretty=true"), patch, &merge)
        .await;
    assert_eq!(written.status, StatusCode::OK);
    assert_eq!(written.json()["data"]["a"], "b");
    assert!(!written.text().ends_with('\n'), "as it is stored");
    drop(taken);
    let pretty = server.ask("GET", &format!("{path}?pretty=true"), "").await;
    assert_eq!(pretty.status, StatusCode::OK);
    assert!(pretty.bytes.len() > 4 << 20);
}

/// A connection whose client reads a little of each body and no more.
async fn connect(server: &Server) -> http2::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1024)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    server.tasks.spawn("client", OnExit::Ignore, async move {
        let _ended = connection.await;
    });
    sender
}

async fn get(
    sender: &mut http2::SendRequest<Empty<Bytes>>,
    path: &str,
    token: &str,
) -> Response<Incoming> {
    let request = Request::get(format!("http://test{path}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Empty::new())
        .unwrap();
    sender.ready().await.unwrap();
    sender.send_request(request).await.unwrap()
}

/// Pushes a blob as the administrator; its path.
async fn blob(server: &Server, bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("/v2/x/blobs/uploads/?digest=sha256:{hex}");
    let pushed = server.ask("POST", &path, bytes).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{}", pushed.text());
    format!("/v2/x/blobs/sha256:{hex}")
}

/// Lets `reader` pull, and list ConfigMaps.
async fn let_pull(server: &Server) {
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
    let rules = json!([{"verbs": ["get"], "apiGroups": ["coracle.dev"], "resources": ["images"]},
        {"verbs": ["list"], "apiGroups": [""], "resources": ["configmaps"]}]);
    let role = json!({"metadata": {"name": "pull"}, "rules": rules});
    let binding = json!({"metadata": {"name": "pull"}, "subjects": [{"kind": "User", "name": "reader"}],
        "roleRef": {"kind": "ClusterRole", "name": "pull"}});
    server.make(&format!("{RBAC}/clusterroles"), &role).await;
    let path = format!("{RBAC}/clusterrolebindings");
    server.make(&path, &binding).await;
}

#[tokio::test]
async fn who_pulls_and_reads_nothing_takes_no_seats_from_others() {
    let server = Server::with_images().await;
    let_pull(&server).await;
    let path = blob(&server, &vec![7; 256 * 1024]).await;
    let mut client = connect(&server).await;
    let mut held = Vec::new();
    // Half of the seats of people.
    for _ in 0..200 {
        let pulled = get(&mut client, &path, &server.reader).await;
        assert_eq!(pulled.status(), StatusCode::OK, "{}", held.len());
        held.push(pulled);
    }
    let refused = get(&mut client, &path, &server.reader).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    let said = refused.into_body().collect().await.unwrap().to_bytes();
    let said: Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["errors"][0]["code"], "TOOMANYREQUESTS");
    // The same seats as those of the API, and no other's.
    until(&server, &server.reader, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(server.ask("GET", "/v2/", "").await.status, StatusCode::OK);
    drop(held);
    until(&server, &server.reader, StatusCode::OK).await;
    let pulled = get(&mut client, &path, &server.reader).await;
    assert_eq!(pulled.status(), StatusCode::OK);
}
