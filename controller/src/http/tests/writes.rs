//! Writes over a connection.

use super::client::{MAPS, Server, config_map};
use http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn a_config_map_lives() {
    let server = Server::start().await;
    let made = server
        .ask("POST", MAPS, &config_map("one", json!({})))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(made.json()["kind"], "ConfigMap");
    let path = format!("{MAPS}/one");
    let read = server.ask("GET", &path, "").await;
    assert_eq!(
        (read.status, read.json()["data"]["a"].clone()),
        (StatusCode::OK, json!("b"))
    );

    let again = server
        .ask("POST", MAPS, &config_map("one", json!({})))
        .await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.json()["reason"], "AlreadyExists");

    let mut newer = read.json();
    newer["data"]["a"] = json!("c");
    let updated = server.ask("PUT", &path, &newer.to_string()).await;
    assert_eq!(
        (updated.status, updated.json()["data"]["a"].clone()),
        (StatusCode::OK, json!("c"))
    );
    let stale = server.ask("PUT", &path, &newer.to_string()).await;
    assert_eq!(
        (stale.status, stale.json()["reason"].clone()),
        (StatusCode::CONFLICT, json!("Conflict"))
    );

    let merge = [("content-type", "application/merge-patch+json")];
    let patched = server
        .ask_with("PATCH", &path, "{\"data\":{\"d\":\"e\"}}", &merge)
        .await;
    assert_eq!(
        (patched.status, patched.json()["data"]["d"].clone()),
        (StatusCode::OK, json!("e"))
    );

    let gone = server.ask("DELETE", &path, "").await;
    assert_eq!(
        (gone.status, gone.json()["status"].clone()),
        (StatusCode::OK, json!("Success"))
    );
    assert_eq!(gone.json()["details"]["kind"], "configmaps");
    let missing = server.ask("GET", &path, "").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.json()["message"], "configmaps \"one\" not found");
    assert_eq!(
        missing.json()["details"],
        json!({"name": "one", "kind": "configmaps"})
    );
}

#[tokio::test]
async fn yaml_is_read_too() {
    let server = Server::start().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\ndata:\n  k: v\n";
    let made = server
        .ask_with("POST", MAPS, yaml, &[("content-type", "application/yaml")])
        .await;
    assert_eq!(
        (made.status, made.json()["data"]["k"].clone()),
        (StatusCode::CREATED, json!("v"))
    );
}

/// Said in go-yaml's words; what is applied is YAML, whatever it looks like.
#[tokio::test]
async fn keys_that_stand_twice_in_yaml_are_named_with_their_lines() {
    let server = Server::start().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\ndata:\n  k: v\n  k: w\n";
    let json = yaml_of_json();
    let (line_7, line_2) = (
        "line 7: key \"k\" already set in map",
        "line 2: key \"k\" already set in map",
    );
    let one = format!("{MAPS}/y?fieldManager=me");
    let (object, applied) = ("application/yaml", "application/apply-patch+yaml");
    let decoding = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n  ";
    let applying =
        "error strict decoding patch: error converting YAML to JSON: yaml: unmarshal errors:\n  ";
    for (method, path, media, body, line, refusal) in [
        ("POST", MAPS, object, yaml, line_7, decoding),
        ("PUT", one.as_str(), object, yaml, line_7, decoding),
        ("PATCH", one.as_str(), applied, yaml, line_7, applying),
        ("PATCH", one.as_str(), applied, json, line_2, applying),
    ] {
        let content = [("content-type", media)];
        let joint = if path.contains('?') { '&' } else { '?' };
        let strict = format!("{path}{joint}fieldValidation=Strict");
        let refused = server.ask_with(method, &strict, body, &content).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.json()["message"], format!("{refusal}{line}"));
        let warned = server.ask_with(method, path, body, &content).await;
        assert_eq!(warned.json()["data"], json!({"k": "w"}), "{media}");
        let said = format!("299 - \"{}\"", line.replace('"', "\\\""));
        assert_eq!(warned.headers["warning"], said.as_str());
    }
    let broken = [("content-type", applied)];
    let refused = server.ask_with("PATCH", &one, "a: [", &broken).await;
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("error decoding patch: error converting YAML to JSON: yaml: "));
}

fn yaml_of_json() -> &'static str {
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"y\"},\n\"data\":{\"k\":\"v\",\"k\":\"w\"}}"
}

#[tokio::test]
async fn owners_that_stand_twice_are_one() {
    let server = Server::start().await;
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1-2"});
    let mut map: Value = serde_json::from_str(&config_map("owned", json!({}))).unwrap();
    let only = map.clone();
    map["metadata"]["ownerReferences"] = json!([owner, owner]);
    let one = format!("{MAPS}/owned");
    let patch =
        json!([{"op": "add", "path": "/metadata/ownerReferences", "value": [owner, owner]}]);
    let (json, patched) = ("application/json", "application/json-patch+json");
    for (method, path, media, body) in [
        ("POST", MAPS, json, &map),
        ("PUT", one.as_str(), json, &map),
        ("PUT", one.as_str(), json, &only),
        ("PATCH", one.as_str(), patched, &patch),
    ] {
        let content = [("content-type", media)];
        let done = server
            .ask_with(method, path, body.to_string(), &content)
            .await;
        let owners = &done.json()["metadata"]["ownerReferences"];
        if *body == only {
            assert!(owners.is_null());
            continue;
        }
        assert_eq!(*owners, json!([owner]), "{method}");
        let warning = done.headers["warning"].to_str().unwrap();
        assert!(
            warning.contains("duplicate UID(s) observed: 1-2"),
            "{warning}"
        );
        assert_eq!(warning.contains("after mutating"), method == "PATCH");
    }
}

#[tokio::test]
async fn a_link_to_itself_is_not_stored() {
    let server = Server::start().await;
    let mut map: Value = serde_json::from_str(&config_map("linked", json!({}))).unwrap();
    map["metadata"]["selfLink"] = json!("/x");
    let one = format!("{MAPS}/linked");
    for (method, path) in [("POST", MAPS), ("PUT", one.as_str())] {
        let done = server.ask(method, path, map.to_string()).await;
        assert!(done.status.is_success() && done.json()["metadata"]["selfLink"].is_null());
    }
    let merge = [("content-type", "application/merge-patch+json")];
    let body = json!({"metadata": {"selfLink": "/x"}}).to_string();
    let done = server.ask_with("PATCH", &one, &body, &merge).await;
    assert!(done.status.is_success() && done.json()["metadata"]["selfLink"].is_null());
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let server = Server::start().await;
    for (name, tier) in [("a", "x"), ("b", "y"), ("c", "x")] {
        server
            .ask("POST", MAPS, &config_map(name, json!({"tier": tier})))
            .await;
    }
    let removed = server
        .ask("DELETE", &format!("{MAPS}?labelSelector=tier%3Dx"), "")
        .await;
    assert_eq!(removed.status, StatusCode::OK);
    assert_eq!(removed.json()["items"].as_array().unwrap().len(), 2);
    let left = server.ask("GET", MAPS, "").await.json();
    assert_eq!(left["items"][0]["metadata"]["name"], "b");
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

/// Method, path, media type, body, and the code and reason of the answer.
type Refused = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static str,
);

const JSON: &str = "application/json";
const ONE: &str = "/api/v1/namespaces/default/configmaps/a";

#[rustfmt::skip]
const REFUSED: [Refused; 18] = [
    ("POST", MAPS, JSON, "", 400, "BadRequest"),
    ("POST", MAPS, JSON, "{", 400, "BadRequest"),
    ("POST", MAPS, JSON, "[]", 400, "BadRequest"),
    ("POST", MAPS, "application/vnd.kubernetes.protobuf", "k8s", 400, "BadRequest"),
    ("POST", MAPS, "application/cbor", "k8s", 415, "UnsupportedMediaType"),
    ("POST", MAPS, JSON, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}", 400, "BadRequest"),
    ("POST", MAPS, JSON, "{\"metadata\":{\"name\":\"x_y\"}}", 422, "Invalid"),
    ("POST", "/api/v1/namespaces/default/configmaps?dryRun=Some", JSON, "{\"metadata\":{\"name\":\"d\"}}", 422, "Invalid"),
    ("POST", "/api/v1/configmaps", JSON, "{}", 405, "MethodNotAllowed"),
    ("PUT", MAPS, JSON, "{}", 405, "MethodNotAllowed"),
    ("PATCH", ONE, JSON, "{}", 415, "UnsupportedMediaType"),
    ("PATCH", ONE, "application/apply-patch+yaml", "{}", 422, "Invalid"),
    ("GET", "/api/v1/namespaces/default/nothings", JSON, "", 404, "NotFound"),
    ("GET", "/apis/apps/v9/things", JSON, "", 404, "NotFound"),
    ("GET", "/api/v1/namespaces/default/nodes", JSON, "", 404, "NotFound"),
    ("GET", "/api/v1/namespaces/default/pods/p/nothing", JSON, "", 404, "NotFound"),
    ("DELETE", "/api/v1/namespaces/default/pods/p/log", JSON, "", 405, "MethodNotAllowed"),
    ("DELETE", "/api/v1/namespaces", JSON, "", 405, "MethodNotAllowed"),
];

#[tokio::test]
async fn what_cannot_be_done_is_said_as_a_status() {
    let server = Server::start().await;
    for (method, path, media, body, code, reason) in REFUSED {
        let answer = server
            .ask_with(method, path, body, &[("content-type", media)])
            .await;
        let status = answer.json();
        assert_eq!(
            answer.status.as_u16(),
            code,
            "{method} {path} {body}: {status}"
        );
        assert_eq!(
            (&status["kind"], &status["reason"]),
            (&json!("Status"), &json!(reason))
        );
        assert_eq!(status["code"], code);
    }
}

const UNRECOGNIZED: &str = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ";
const HANDLED: &str = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: ";
const POD: &str = "Pod in version \"v1\" cannot be handled as a Pod: ";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// Method, path, media type, body; code and message, in two parts.
type Worded = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const WORDED: [Worded; 35] = [
    ("POST", MAPS, JSON, "", 400, UNRECOGNIZED, "unexpected end of JSON input (<empty>)"),
    ("POST", MAPS, JSON, "{\"a\":1,}", 400, UNRECOGNIZED, "invalid character '}' looking for beginning of object key string ({\"a\":1,})"),
    ("POST", MAPS, JSON, "[]", 400, UNRECOGNIZED, "json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" } (5b5d)"),
    ("POST", MAPS, JSON, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}", 400, "Pod in version \"v1\" cannot be handled as a ConfigMap: ", "converting (v1.Pod) to (core.ConfigMap): unknown conversion"),
    ("POST", MAPS, JSON, "{\"kind\":\"Pods\"}", 400, "Pods in version \"v1\" cannot be handled as a ConfigMap: ", "no kind \"Pods\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""),
    ("POST", MAPS, JSON, "{\"data\":1}", 400, HANDLED, "json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string"),
    ("POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Strict", JSON, "{\"a\":1,\"a\":2}", 400, HANDLED, "strict decoding error: duplicate field \"a\", unknown field \"a\""),
    ("POST", PODS, JSON, "{\"spec\":{\"overhead\":{\"cpu\":\"1zz\"}}}", 400, POD, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ("POST", PODS, JSON, "{\"spec\":{\"overhead\":{\"cpu\":\"1kk\"}}}", 400, POD, "unable to parse quantity's suffix"),
    ("PATCH", ONE, JSON_PATCH, "{}", 400, "error decoding patch: ", "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
    ("PATCH", ONE, JSON_PATCH, "null", 200, "", ""),
    ("PATCH", ONE, JSON_PATCH, "[", 400, "error decoding patch: ", "unexpected end of JSON input"),
    ("PATCH", ONE, JSON_PATCH, "[{\"op\":\"remove\",\"path\":\"/x\"}]", 422, "the server rejected our request due to an error in our request", ""),
    ("PATCH", ONE, JSON_PATCH, "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}}]", 422, " \"\" is invalid: patch: Invalid value: \"{\\\"kind\\\":\\\"Pod\\\",\\\"metadata\\\":{\\\"name\\\":\\\"a\\\"}}\": ", "converting (v1.Pod) to (core.ConfigMap): unknown conversion"),
    ("PATCH", ONE, MERGE, "[]", 400, "error decoding patch: ", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
    ("PATCH", ONE, STRATEGIC, "[]", 400, "", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
    ("PATCH", ONE, STRATEGIC, "{\"$patch\":\"x\"}", 500, "unknown patch type: x in map: map[$patch:x]", ""),
    ("PATCH", ONE, STRATEGIC, "{\"$retainKeys\":1}", 400, "invalid patch format of retainKeys", ""),
    ("PATCH", ONE, STRATEGIC, "{\"metadata\":{\"ownerReferences\":[{\"name\":\"x\"}]}}", 422, "ConfigMap \"a\" is invalid: ", "[metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty, metadata.ownerReferences.kind: Invalid value: \"\": must not be empty, metadata.ownerReferences.uid: Invalid value: \"\": must not be empty]"),
    ("PATCH", ONE, STRATEGIC, "{\"data\":{\"a\":1}}", 422, " \"\" is invalid: patch: Invalid value: \"map[data:map[a:1]]\": ", "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
    ("GET", "/api/v1/configmaps?labelSelector=a%20b", JSON, "", 400, "unable to parse requirement: ", "found 'b', expected: in, notin, =, ==, !=, gt, lt"),
    ("GET", "/api/v1/configmaps?limit=foo", JSON, "", 400, "strconv.ParseInt: parsing \"foo\": invalid syntax", ""),
    ("GET", "/api/v1/configmaps?continue=a.b", JSON, "", 400, "invalid continue token: continue key is not valid: ", "illegal base64 data at input byte 1"),
    ("GET", "/api/v1/configmaps?continue=e30", JSON, "", 400, "invalid continue token: continue key is not valid: ", "server does not recognize this encoded version "),
    ("DELETE", ONE, JSON, "{\"propagationPolicy\":\"x\"}", 422, "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"x\": supported values: ", "\"Foreground\", \"Background\", \"Orphan\", \"nil\""),
    ("DELETE", ONE, JSON, "{\"gracePeriodSeconds\":\"x\"}", 400, "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64", ""),
    ("DELETE", "/api/v1/namespaces/default/configmaps/a?dryRun=x", JSON, "", 422, "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"x\"]: ", "supported values: \"All\""),
    ("PUT", "/api/v1/namespaces/default/configmaps/a?fieldManager=%01", JSON, "{\"metadata\":{\"name\":\"a\"}}", 422, "UpdateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"\\u0001\": ", "invalid character U+0001 (at position 0)"),
    ("DELETE", ONE, JSON, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}", 400, "no kind \"Pod\" is registered for version \"v1\" in scheme ", "\"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:33\""),
    ("DELETE", ONE, JSON, "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v9\"}", 400, "no kind \"DeleteOptions\" is registered for version \"v9\" in scheme ", "\"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:33\""),
    ("GET", "/api/v1/configmaps?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vYSJ9", JSON, "", 400, "invalid continue token: continue key is not valid: ", "../a"),
    ("OPTIONS", ONE, JSON, "", 405, "the server does not allow this method on the requested resource", ""),
    ("GET", "/apis/events.k8s.io/v1/events?fieldSelector=involvedObject.kind%3DPod", JSON, "", 400, "field label not supported: ", "involvedObject.kind"),
    ("DELETE", "/api/v1/namespaces/default/configmaps/a?dryRun=All", JSON, "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"apps/v1\"}", 200, "", ""),
    ("DELETE", ONE, JSON, "{\"gracePeriodSeconds\":-5}", 200, "", ""),
];

#[tokio::test]
async fn bad_input_is_told_in_upstreams_words() {
    let server = Server::start().await;
    let made = server
        .ask("POST", MAPS, "{\"metadata\":{\"name\":\"a\"}}")
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    for (method, path, media, body, code, frame, why) in WORDED {
        let answer = server
            .ask_with(method, path, body, &[("content-type", media)])
            .await;
        let said = answer.json()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let expected = (code, format!("{frame}{why}"));
        assert_eq!(
            (answer.status.as_u16(), said),
            expected,
            "{method} {path} {body}"
        );
    }
    for path in ["/nothing", "/apis/nothing/v1/things", "/apis/nothing"] {
        let answer = server.ask("GET", path, "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.text(), "404 page not found\n", "{path}");
    }
}

#[tokio::test]
async fn a_body_over_three_mebibytes_is_refused() {
    let server = Server::start().await;
    let large = "x".repeat(3 * 1024 * 1024 + 1);
    let answer = server.ask("POST", MAPS, &large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.json()["reason"], "RequestEntityTooLarge");
}

#[tokio::test]
async fn a_deployment_is_scaled() {
    let server = Server::start().await;
    let base = "/apis/apps/v1/namespaces/default/deployments";
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{"name": "c", "image": "hello:v1"}]},
            },
        },
    });
    let made = server.ask("POST", base, &body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let path = format!("{base}/d/scale");
    let mut scale = server.ask("GET", &path, "").await.json();
    assert_eq!(
        (scale["kind"].clone(), scale["spec"]["replicas"].clone()),
        (json!("Scale"), json!(2))
    );
    assert_eq!(scale["status"]["selector"], "app=d");
    scale["spec"]["replicas"] = json!(5);
    let scaled = server.ask("PUT", &path, &scale.to_string()).await;
    assert_eq!(
        (scaled.status, scaled.json()["spec"]["replicas"].clone()),
        (StatusCode::OK, json!(5))
    );
    let stale = server.ask("PUT", &path, &scale.to_string()).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    let merge = [("content-type", "application/merge-patch+json")];
    let patched = server
        .ask_with("PATCH", &path, "{\"spec\":{\"replicas\":1}}", &merge)
        .await;
    assert_eq!(patched.json()["spec"]["replicas"], 1, "{}", patched.text());
    let refused = server
        .ask_with("PATCH", &path, "{\"spec\":{\"replicas\":-1}}", &merge)
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn what_is_empty_changes_nothing() {
    let server = Server::start().await;
    let base = "/apis/apps/v1/namespaces/default/deployments";
    let containers = json!([{"name": "c", "image": "hello:v1"}]);
    let body = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": {
        "metadata": {"labels": {"app": "d"}}, "spec": {"containers": containers}}}});
    let made = server.ask("POST", base, &body.to_string()).await.json();
    assert_eq!(made["status"], json!({}), "{made}");
    let merge = [("content-type", "application/merge-patch+json")];
    let path = format!("{base}/d");
    for patch in [
        json!({"metadata": {"annotations": {}, "finalizers": [], "ownerReferences": []}}),
        json!({"spec": {"paused": false, "minReadySeconds": 0}}),
        json!({"spec": {"template": {"spec": {"hostNetwork": false, "nodeSelector": {}, "tolerations": [], "hostname": ""}}}}),
    ] {
        let patched = server
            .ask_with("PATCH", &path, &patch.to_string(), &merge)
            .await
            .json();
        assert_eq!(patched, made, "{patch}");
    }
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let path = "/api/v1/namespaces/default/services";
    let made = server.ask("POST", path, &service.to_string()).await.json();
    assert_eq!(made["status"], json!({"loadBalancer": {}}), "{made}");
    let map = json!({"metadata": {"name": "m", "labels": {}}, "data": {}});
    let made = server.ask("POST", MAPS, &map.to_string()).await.json();
    assert!(
        made.get("data").is_none() && made["metadata"].get("labels").is_none(),
        "{made}"
    );
}

/// What holds a namespace is written by itself, and only in names that somebody looks for.
#[tokio::test]
async fn what_holds_a_namespace() {
    let server = Server::start().await;
    let (namespaces, one) = ("/api/v1/namespaces", "/api/v1/namespaces/held");
    let space = |finalizers: Value| json!({"metadata": {"name": "held"}, "spec": {"finalizers": finalizers}});
    let refused = server
        .ask("POST", namespaces, &space(json!(["x"])).to_string())
        .await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.json()["details"]["causes"][0]["field"],
        "spec.finalizers"
    );
    let held = json!(["example.com/wait", "kubernetes"]);
    let made = server
        .ask(
            "POST",
            namespaces,
            &space(json!(["example.com/wait"])).to_string(),
        )
        .await;
    assert_eq!(made.json()["spec"]["finalizers"], held);
    // A PUT of the namespace itself is not about them.
    let put = server
        .ask("PUT", one, &space(json!(["x"])).to_string())
        .await;
    assert_eq!(put.json()["spec"]["finalizers"], held);
    let finalize = format!("{one}/finalize");
    let refused = server
        .ask(
            "PUT",
            &finalize,
            &space(json!(["kubernetes", "x"])).to_string(),
        )
        .await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.json()["details"]["causes"][0]["field"],
        "spec.finalizers[1]"
    );
    let put = server
        .ask("PUT", &finalize, &space(json!(["kubernetes"])).to_string())
        .await;
    assert_eq!(put.json()["spec"]["finalizers"], json!(["kubernetes"]));
}

#[tokio::test]
async fn a_namespace_that_goes_says_so_to_programs() {
    let server = Server::start().await;
    let namespaces = "/api/v1/namespaces";
    let space =
        json!({"metadata": {"name": "going"}, "spec": {"finalizers": ["example.com/wait"]}});
    let made = server
        .ask("POST", namespaces, &space.to_string())
        .await
        .json();
    assert_eq!(
        made["spec"]["finalizers"],
        json!(["example.com/wait", "kubernetes"])
    );
    server
        .ask("DELETE", &format!("{namespaces}/going"), "")
        .await;
    let map = json!({"metadata": {"name": "m"}}).to_string();
    let refused = server
        .ask("POST", &format!("{namespaces}/going/configmaps"), &map)
        .await
        .json();
    assert_eq!(
        refused["details"]["causes"],
        json!([{"reason": "NamespaceTerminating", "message": "namespace going is being terminated", "field": "metadata.namespace"}])
    );
}
