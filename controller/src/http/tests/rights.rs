//! Roles, bindings and what they let through: allowed, 403 and 401 by each kind of credential.

use super::client::{Answer, MAPS, Server, config_map};
use crate::pki::test_request;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";

/// Somebody with a bearer token.
struct Person<'a> {
    server: &'a Server,
    token: String,
}

impl Person<'_> {
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask_with(method, path, body, &[]).await
    }

    async fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.server.ask_as(method, path, body, &all).await
    }

    async fn reads(&self, path: &str) -> u16 {
        self.ask("GET", path, &Value::Null).await.status.as_u16()
    }
}

impl Server {
    fn reader(&self) -> Person<'_> {
        Person {
            server: self,
            token: self.reader.clone(),
        }
    }

    /// As the administrator, and it must be created.
    async fn create(&self, path: &str, object: Value) {
        let created = self.ask("POST", path, object.to_string()).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.text());
    }

    /// Grants rules to `reader` in the namespace `default`, by a role and a binding of this name.
    async fn grant(&self, name: &str, rules: Value) {
        self.create(ROLES, json!({"metadata": {"name": name}, "rules": rules}))
            .await;
        self.create(BINDINGS, to_reader(name, "Role", name)).await;
    }

    async fn account_token(&self, name: &str, spec: Value) -> Answer {
        let path = format!("/api/v1/namespaces/default/serviceaccounts/{name}/token");
        self.ask("POST", &path, json!({"spec": spec}).to_string())
            .await
    }
}

fn to_reader(name: &str, kind: &str, role: &str) -> Value {
    json!({"metadata": {"name": name}, "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": "reader"}]})
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

#[tokio::test]
async fn a_binding_lets_through_and_its_end_is_the_end() {
    let server = Server::start().await;
    let reader = server.reader();
    assert_eq!(reader.reads(MAPS).await, 403);
    server
        .grant("maps", json!([rule(&["get", "list"], "", &["configmaps"])]))
        .await;
    assert_eq!(reader.reads(MAPS).await, 200);
    assert_eq!(reader.reads("/api/v1/configmaps").await, 403);
    assert_eq!(
        reader
            .reads("/api/v1/namespaces/kube-system/configmaps")
            .await,
        403
    );
    assert_eq!(
        reader
            .reads(&format!("{MAPS}?watch=1&timeoutSeconds=1"))
            .await,
        403
    );
    let map: Value = serde_json::from_str(&config_map("a", json!({}))).unwrap();
    let written = reader.ask("POST", MAPS, &map).await;
    assert_eq!(
        written.json()["message"],
        "configmaps is forbidden: User \"reader\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let gone = server.ask("DELETE", &format!("{BINDINGS}/maps"), "").await;
    assert_eq!(gone.status, StatusCode::OK);
    assert_eq!(reader.reads(MAPS).await, 403);
}

#[tokio::test]
async fn everyone_who_is_known_may_discover_and_ask_about_themselves() {
    let server = Server::start().await;
    let reader = server.reader();
    for path in [
        "/api",
        "/apis",
        "/apis/apps/v1",
        "/openapi/v3",
        "/version",
        "/readyz",
    ] {
        assert_eq!(reader.reads(path).await, 200, "{path}");
    }
    assert_eq!(reader.reads("/metrics").await, 403);
    let who = reader
        .ask(
            "POST",
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            &json!({}),
        )
        .await;
    assert_eq!(who.json()["status"]["userInfo"]["username"], "reader");
    let review = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    assert_eq!(
        reader.ask("POST", review, &json!({})).await.status,
        StatusCode::FORBIDDEN
    );
    let token = "/apis/authentication.k8s.io/v1/tokenreviews";
    assert_eq!(
        reader.ask("POST", token, &json!({})).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn names_in_a_rule_hold_for_lists_by_name_alone() {
    let server = Server::start().await;
    let reader = server.reader();
    for name in ["a", "b"] {
        server.ask("POST", MAPS, config_map(name, json!({}))).await;
    }
    let mut named = rule(&["get", "list", "watch"], "", &["configmaps"]);
    named["resourceNames"] = json!(["a"]);
    server.grant("a", json!([named])).await;
    assert_eq!(reader.reads(&format!("{MAPS}/a")).await, 200);
    assert_eq!(reader.reads(&format!("{MAPS}/b")).await, 403);
    assert_eq!(reader.reads(MAPS).await, 403);
    let listed = reader
        .ask(
            "GET",
            &format!("{MAPS}?fieldSelector=metadata.name%3Da"),
            &Value::Null,
        )
        .await;
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        reader
            .reads(&format!("{MAPS}?fieldSelector=metadata.name%3Db"))
            .await,
        403
    );
    assert_eq!(
        reader
            .reads(&format!("{MAPS}?fieldSelector=metadata.name!%3Da"))
            .await,
        403
    );
    let both = format!("{MAPS}?fieldSelector=metadata.name%3Da&fieldSelector=metadata.name%3Db");
    let listed = reader.ask("GET", &both, &Value::Null).await;
    assert!(
        !listed.text().contains("\"name\":\"b\""),
        "{}",
        listed.text()
    );
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold() {
    let server = Server::start().await;
    let reader = server.reader();
    let all = &["create", "get", "patch", "update"];
    server
        .grant(
            "roles",
            json!([
                rule(all, "rbac.authorization.k8s.io", &["roles", "rolebindings"]),
                rule(&["get"], "", &["pods"]),
            ]),
        )
        .await;
    let role = |name: &str, verbs: &[&str]| json!({"metadata": {"name": name}, "rules": [rule(verbs, "", &["pods"])]});
    let made = reader.ask("POST", ROLES, &role("pods", &["get"])).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let refused = reader
        .ask("POST", ROLES, &role("more", &["get", "delete", "list"]))
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(
        refused.json()["message"],
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"reader\" (groups=[\"readers\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"list\"]}"
    );
    // By no way of writing.
    let own = format!("{ROLES}/pods");
    let put = reader.ask("PUT", &own, &role("pods", &["*"])).await;
    assert_eq!(put.status, StatusCode::FORBIDDEN);
    let rules = json!({"rules": [rule(&["*"], "*", &["*"])]});
    for media in [
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ] {
        let header = [("content-type", media)];
        let patched = reader.ask_with("PATCH", &own, &rules, &header).await;
        assert_eq!(patched.status, StatusCode::FORBIDDEN, "{media}");
    }
    let header = [("content-type", "application/json-patch+json")];
    let json_patch = json!([{"op": "replace", "path": "/rules/0/verbs", "value": ["*"]}]);
    let patched = reader.ask_with("PATCH", &own, &json_patch, &header).await;
    assert_eq!(patched.status, StatusCode::FORBIDDEN);
    let header = [("content-type", "application/apply-patch+yaml")];
    let mut applied = role("new", &["*"]);
    applied["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
    applied["kind"] = json!("Role");
    let applied = reader
        .ask_with(
            "PATCH",
            &format!("{ROLES}/new?fieldManager=t"),
            &applied,
            &header,
        )
        .await;
    assert_eq!(applied.status, StatusCode::FORBIDDEN);
    // A dry run says the same.
    let tried = reader
        .ask(
            "POST",
            &format!("{ROLES}?dryRun=All"),
            &role("more", &["*"]),
        )
        .await;
    assert_eq!(tried.status, StatusCode::FORBIDDEN);
    // What leaves the rules alone is no grant.
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    let header = [("content-type", "application/merge-patch+json")];
    let labelled = reader.ask_with("PATCH", &own, &label, &header).await;
    assert_eq!(labelled.status, StatusCode::OK, "{}", labelled.text());
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn nobody_binds_more_than_they_hold() {
    let server = Server::start().await;
    let reader = server.reader();
    server
        .grant(
            "binder",
            json!([
                rule(
                    &["create", "update", "patch"],
                    "rbac.authorization.k8s.io",
                    &["rolebindings"]
                ),
                rule(&["get"], "", &["pods"]),
            ]),
        )
        .await;
    server
        .create(
            ROLES,
            json!({"metadata": {"name": "pods"}, "rules": [rule(&["get"], "", &["pods"])]}),
        )
        .await;
    let made = reader
        .ask("POST", BINDINGS, &to_reader("fine", "Role", "pods"))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let refused = reader
        .ask(
            "POST",
            BINDINGS,
            &to_reader("root", "ClusterRole", "cluster-admin"),
        )
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let said = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}"), "{said}");
    let unknown = reader
        .ask("POST", BINDINGS, &to_reader("lost", "ClusterRole", "lost"))
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let changed = reader
        .ask(
            "PUT",
            &format!("{BINDINGS}/fine"),
            &to_reader("fine", "ClusterRole", "cluster-admin"),
        )
        .await;
    assert_eq!(changed.status, StatusCode::FORBIDDEN);
    // Who may bind a role may bind it whatever is in it.
    let mut bind = rule(&["bind"], "rbac.authorization.k8s.io", &["clusterroles"]);
    bind["resourceNames"] = json!(["cluster-admin"]);
    server.grant("bind", json!([bind])).await;
    let made = reader
        .ask(
            "POST",
            BINDINGS,
            &to_reader("root", "ClusterRole", "cluster-admin"),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(
        reader.reads("/api/v1/namespaces/default/secrets").await,
        200
    );
    assert_eq!(reader.reads("/api/v1/secrets").await, 403);
    let changed = server
        .ask(
            "PUT",
            &format!("{BINDINGS}/fine"),
            to_reader("fine", "ClusterRole", "view").to_string(),
        )
        .await;
    assert_eq!(changed.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(changed.text().contains("cannot change roleRef"));
}

#[tokio::test]
async fn who_may_patch_may_not_create_by_applying() {
    let server = Server::start().await;
    let reader = server.reader();
    server
        .grant(
            "patch",
            json!([rule(&["get", "patch"], "", &["configmaps"])]),
        )
        .await;
    let header = [("content-type", "application/apply-patch+yaml")];
    let map: Value = serde_json::from_str(&config_map("a", json!({}))).unwrap();
    let path = format!("{MAPS}/a?fieldManager=t");
    let applied = reader.ask_with("PATCH", &path, &map, &header).await;
    assert_eq!(applied.status, StatusCode::FORBIDDEN);
    server.ask("POST", MAPS, map.to_string()).await;
    let applied = reader.ask_with("PATCH", &path, &map, &header).await;
    assert_eq!(applied.status, StatusCode::OK);
}

#[tokio::test]
async fn acting_as_others_is_a_right_of_its_own() {
    let server = Server::start().await;
    let reader = server.reader();
    let refused = reader
        .ask_with("GET", MAPS, &Value::Null, &[("impersonate-user", "ann")])
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(
        refused.json()["message"],
        "users \"ann\" is forbidden: User \"reader\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
    let mut users = rule(&["impersonate"], "", &["users"]);
    users["resourceNames"] = json!(["ann"]);
    server
        .create(
            &format!("{RBAC}/clusterroles"),
            json!({"metadata": {"name": "as"}, "rules": [users]}),
        )
        .await;
    server
        .create(
            &format!("{RBAC}/clusterrolebindings"),
            to_reader("as", "ClusterRole", "as"),
        )
        .await;
    let whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let who = reader
        .ask_with("POST", whoami, &json!({}), &[("impersonate-user", "ann")])
        .await;
    assert_eq!(
        who.json()["status"]["userInfo"],
        json!({"username": "ann", "groups": ["system:authenticated"]})
    );
    for headers in [
        &[("impersonate-user", "bob")][..],
        &[
            ("impersonate-user", "ann"),
            ("impersonate-group", "system:masters"),
        ],
        &[("impersonate-user", "ann"), ("impersonate-uid", "u")],
        &[("impersonate-user", "ann"), ("impersonate-extra-a", "x")],
        &[("impersonate-user", "system:serviceaccount:default:default")],
    ] {
        let refused = reader.ask_with("POST", whoami, &json!({}), headers).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    // A stranger stays one.
    let stranger = server
        .ask_as("GET", MAPS, "", &[("impersonate-user", "admin")])
        .await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    // Who acts as nobody has not lost their own name: they are refused, not asked to log in.
    let nobody = server
        .ask_with("GET", MAPS, "", &[("impersonate-user", "system:anonymous")])
        .await;
    assert_eq!(nobody.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_service_account_by_its_token() {
    let server = Server::start().await;
    server
        .create(
            "/api/v1/namespaces/default/serviceaccounts",
            json!({"metadata": {"name": "robot"}}),
        )
        .await;
    let made = server
        .account_token("robot", json!({"expirationSeconds": 900}))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let robot = Person {
        server: &server,
        token: made.json()["status"]["token"].as_str().unwrap().to_owned(),
    };
    let refused = robot.ask("GET", MAPS, &Value::Null).await;
    assert_eq!(
        refused.json()["message"],
        "configmaps is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    server
        .create(
            ROLES,
            json!({"metadata": {"name": "maps"}, "rules": [rule(&["list"], "", &["configmaps"])]}),
        )
        .await;
    server
        .create(
            BINDINGS,
            json!({"metadata": {"name": "robot"}, "roleRef": {"kind": "Role", "name": "maps"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot"}]}),
        )
        .await;
    assert_eq!(robot.reads(MAPS).await, 200);
    let keys = robot.ask("GET", "/openid/v1/jwks", &Value::Null).await;
    assert_eq!(keys.json()["keys"][0]["crv"], "P-256");
    let about = "/.well-known/openid-configuration";
    assert_eq!(robot.reads(about).await, 200);
    assert_eq!(server.reader().reads(about).await, 403);
    let review = json!({"spec": {"token": robot.token}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let known = server.ask("POST", path, review.to_string()).await.json();
    assert_eq!(known["status"]["authenticated"], true);
    assert_eq!(
        known["status"]["user"]["username"],
        "system:serviceaccount:default:robot"
    );
    assert_eq!(known["spec"], review["spec"]);
    let gone = server
        .ask(
            "DELETE",
            "/api/v1/namespaces/default/serviceaccounts/robot",
            "",
        )
        .await;
    assert_eq!(gone.status, StatusCode::OK);
    assert_eq!(robot.reads(MAPS).await, 401);
    assert_eq!(robot.reads("/version").await, 401);
    let unknown = server.ask("POST", path, review.to_string()).await.json();
    assert_eq!(unknown["status"]["authenticated"], Value::Null);
    // Somebody of the same name is somebody else.
    server
        .create(
            "/api/v1/namespaces/default/serviceaccounts",
            json!({"metadata": {"name": "robot"}}),
        )
        .await;
    assert_eq!(robot.reads(MAPS).await, 401);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn tokens_for_others_and_for_objects() {
    let server = Server::start().await;
    let vault = server
        .account_token("default", json!({"audiences": ["vault"]}))
        .await
        .json();
    let token = vault["status"]["token"].as_str().unwrap();
    let other = Person {
        server: &server,
        token: token.to_owned(),
    };
    assert_eq!(
        other.reads("/version").await,
        401,
        "it is for somebody else"
    );
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let review =
        |audience: &str| json!({"spec": {"token": token, "audiences": [audience]}}).to_string();
    let known = server.ask("POST", path, review("vault")).await.json();
    assert_eq!(known["status"]["audiences"], json!(["vault"]));
    assert_eq!(
        known["spec"],
        json!({"token": token, "audiences": ["vault"]})
    );
    let unknown = server.ask("POST", path, review("else")).await.json();
    assert_eq!(unknown["status"]["authenticated"], Value::Null);
    assert_eq!(unknown["spec"]["token"], token);

    for (spec, code, said) in [
        (
            json!({"expirationSeconds": 599}),
            422,
            "may not specify a duration less than 10 minutes",
        ),
        (
            json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}),
            404,
            "pods \"none\" not found",
        ),
        (
            json!({"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "a"}}),
            400,
            "cannot bind token to object of type",
        ),
        (
            json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "other"}}),
            409,
            "does not match the UID in record",
        ),
    ] {
        if code == 409 {
            let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:v1"}]}});
            server.create("/api/v1/namespaces/default/pods", pod).await;
        }
        let refused = server.account_token("default", spec.clone()).await;
        assert_eq!(refused.status.as_u16(), code, "{spec}");
        assert!(
            refused.text().contains(said)
                || refused.json()["message"].as_str().unwrap().contains(said),
            "{}",
            refused.text()
        );
    }
    let none = server.account_token("none", json!({})).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let bound = json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}});
    let made = server.account_token("default", bound).await.json();
    let pod = Person {
        server: &server,
        token: made["status"]["token"].as_str().unwrap().to_owned(),
    };
    assert_eq!(pod.reads("/version").await, 200);
    server
        .ask("DELETE", "/api/v1/namespaces/default/pods/p", "")
        .await;
    assert_eq!(pod.reads("/version").await, 401);
    // Who may not ask for one gets none.
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let refused = server.reader().ask("POST", path, &json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_pod_needs_its_account() {
    let server = Server::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |account: &str| json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": account, "containers": [{"name": "c", "image": "i:v1"}]}});
    let refused = server.ask("POST", pods, pod("none").to_string()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(
        refused.json()["message"],
        "pods \"p\" is forbidden: error looking up service account default/none: serviceaccount \"none\" not found"
    );
    let mut by_old_name = pod("");
    by_old_name["spec"]["serviceAccount"] = json!("none");
    let refused = server.ask("POST", pods, by_old_name.to_string()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let made = server.ask("POST", pods, pod("").to_string()).await.json();
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(made["spec"]["volumes"], Value::Null, "no token is mounted");
}

#[tokio::test]
async fn the_image_registry_asks_the_roles() {
    let server = Server::start().await;
    let reader = server.reader();
    assert_eq!(reader.reads("/v2/").await, 403);
    let images = rule(&["get"], "coracle.dev", &["images"]);
    server
        .create(
            &format!("{RBAC}/clusterroles"),
            json!({"metadata": {"name": "pull"}, "rules": [images]}),
        )
        .await;
    server
        .create(
            &format!("{RBAC}/clusterrolebindings"),
            to_reader("pull", "ClusterRole", "pull"),
        )
        .await;
    // This server keeps none, but says so only to who may know.
    assert_eq!(reader.reads("/v2/").await, 404);
    let as_other = server
        .ask_with("GET", "/v2/", "", &[("impersonate-user", "ann")])
        .await;
    assert_eq!(as_other.status, StatusCode::FORBIDDEN);
    let pushed = reader
        .ask("POST", "/v2/a/blobs/uploads/", &Value::Null)
        .await;
    assert_eq!(pushed.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_review_with_a_selector_that_says_nothing_is_refused() {
    let server = Server::start().await;
    let selector =
        json!({"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "Exists"}]});
    let twice = "may not specified at the same time as requirements";
    let twice = format!("labelSelector.rawSelector: Invalid value: \"a=b\": {twice}");
    let nothing = "when spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required";
    let nothing = format!("labelSelector.requirements: Required value: {nothing}");
    for (selector, why) in [(selector, twice), (json!({}), nothing)] {
        let attributes = json!({"namespace": "default", "labelSelector": selector});
        for (path, kind) in [
            ("subjectaccessreviews", "SubjectAccessReview"),
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
            (
                "namespaces/default/localsubjectaccessreviews",
                "LocalSubjectAccessReview",
            ),
        ] {
            let review = json!({"spec": {"user": "reader", "resourceAttributes": attributes}});
            let path = format!("/apis/authorization.k8s.io/v1/{path}");
            let refused = server.ask("POST", &path, review.to_string()).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
            let said = format!(
                "{kind}.authorization.k8s.io \"\" is invalid: spec.resourceAttributes.{why}"
            );
            assert_eq!(refused.json()["message"], said);
        }
    }
}

#[tokio::test]
async fn reviews_answer_for_others_and_list_everything() {
    let server = Server::start().await;
    server
        .grant("maps", json!([rule(&["get"], "", &["configmaps"])]))
        .await;
    let asks = |resource: &str, user: &str| json!({"spec": {"user": user, "resourceAttributes": {"verb": "get", "resource": resource, "namespace": "default"}}});
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    for path in [path, local] {
        let yes = server
            .ask("POST", path, asks("configmaps", "reader").to_string())
            .await
            .json();
        assert_eq!(yes["status"]["allowed"], true, "{yes}");
        assert_eq!(
            yes["status"]["reason"],
            "RBAC: allowed by RoleBinding \"maps/default\" of Role \"maps\" to User \"reader\""
        );
        let no = server
            .ask("POST", path, asks("secrets", "reader").to_string())
            .await
            .json();
        assert_eq!(no["status"], json!({"allowed": false}));
    }
    let nobody = server
        .ask("POST", path, asks("secrets", "").to_string())
        .await;
    assert_eq!(nobody.status, StatusCode::UNPROCESSABLE_ENTITY);
    let elsewhere = local.replace("default", "kube-system");
    let refused = server
        .ask("POST", &elsewhere, asks("secrets", "reader").to_string())
        .await;
    assert_eq!(
        refused.json()["details"],
        json!({"group": "authorization.k8s.io", "kind": "LocalSubjectAccessReview", "causes": [{
            "reason": "FieldValueInvalid", "field": "spec.resourceAttributes.namespace",
            "message": "Invalid value: \"default\": must match metadata.namespace"}]})
    );

    let rules = server
        .reader()
        .ask(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
            &json!({"spec": {"namespace": "default"}}),
        )
        .await
        .json();
    let status = &rules["status"];
    assert_eq!(status["incomplete"], false);
    assert!(
        status["resourceRules"]
            .as_array()
            .unwrap()
            .contains(&rule(&["get"], "", &["configmaps"])),
        "{status}"
    );
    assert!(
        status["resourceRules"]
            .to_string()
            .contains("selfsubjectaccessreviews")
    );
    assert!(
        status["nonResourceRules"]
            .to_string()
            .contains("/openapi/*")
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn certificates_are_asked_for_approved_and_restricted() {
    let server = Server::start().await;
    let reader = server.reader();
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let asked = |name: &str, groups: &[&str]| {
        json!({"metadata": {"name": name}, "spec": {"request": STANDARD.encode(test_request("ann", groups)),
            "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"], "username": "root"}})
    };
    let verbs = rule(
        &["create", "get", "update", "patch"],
        "certificates.k8s.io",
        &[
            "certificatesigningrequests",
            "certificatesigningrequests/approval",
            "certificatesigningrequests/status",
        ],
    );
    server
        .create(
            &format!("{RBAC}/clusterroles"),
            json!({"metadata": {"name": "csr"}, "rules": [verbs]}),
        )
        .await;
    server
        .create(
            &format!("{RBAC}/clusterrolebindings"),
            to_reader("csr", "ClusterRole", "csr"),
        )
        .await;
    let made = reader.ask("POST", path, &asked("ann", &["dev"])).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let mut csr = made.json();
    assert_eq!(csr["spec"]["username"], "reader");
    for group in ["system:masters", "system:nodes"] {
        let refused = server
            .ask("POST", path, asked("root", &["dev", group]).to_string())
            .await;
        assert_eq!(
            refused.json()["message"],
            format!(
                "certificatesigningrequests.certificates.k8s.io \"root\" is forbidden: use of kubernetes.io/kube-apiserver-client signer with {group} group is not allowed"
            )
        );
    }
    let mut broken = asked("bad", &[]);
    broken["spec"]["request"] = json!(STANDARD.encode("nonsense"));
    let refused = server.ask("POST", path, broken.to_string()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused
            .text()
            .contains("PEM block type must be CERTIFICATE REQUEST")
    );

    csr["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "r"}]);
    let approval = format!("{path}/ann/approval");
    let refused = reader.ask("PUT", &approval, &csr).await;
    assert_eq!(
        refused.json()["message"],
        "certificatesigningrequests.certificates.k8s.io \"ann\" is forbidden: user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\""
    );
    // Nor through another door.
    csr["status"]["certificate"] = json!("eA==");
    csr["spec"]["username"] = json!("root");
    let through_main = reader.ask("PUT", &format!("{path}/ann"), &csr).await.json();
    assert_eq!(through_main["status"], json!({}), "{through_main}");
    assert_eq!(through_main["spec"]["username"], "reader");
    csr["metadata"]["resourceVersion"] = Value::Null;
    let through_status = reader.ask("PUT", &format!("{path}/ann/status"), &csr).await;
    assert!(
        through_status
            .text()
            .contains("user not permitted to sign requests"),
        "{}",
        through_status.text()
    );
    let through_status = server
        .ask("PUT", &format!("{path}/ann/status"), csr.to_string())
        .await;
    assert!(
        through_status
            .text()
            .contains("updates may not add a condition of type"),
        "{}",
        through_status.text()
    );

    server
        .create(
            &format!("{RBAC}/clusterrolebindings"),
            to_reader(
                "approve",
                "ClusterRole",
                "system:certificates.k8s.io:kube-apiserver-client-approver",
            ),
        )
        .await;
    let approved = reader.ask("PUT", &approval, &csr).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text());
    let approved = approved.json();
    let condition = &approved["status"]["conditions"][0];
    assert_eq!(condition["type"], "Approved");
    for time in ["lastUpdateTime", "lastTransitionTime"] {
        assert!(condition[time].is_string(), "{condition}");
    }
    assert_eq!(approved["status"]["certificate"], Value::Null);
    assert_eq!(approved["spec"]["username"], "reader");
}

#[tokio::test]
async fn a_review_has_no_metadata() {
    let server = Server::start().await;
    let path = |name: &str| format!("/apis/authorization.k8s.io/v1/{name}");
    let local = path("namespaces/default/localsubjectaccessreviews");
    let (empty, local_why) = ("must be empty", "must be empty except for namespace");
    for (path, why) in [
        (path("subjectaccessreviews"), empty),
        (path("selfsubjectaccessreviews"), empty),
        (local, local_why),
    ] {
        let attributes = json!({"namespace": "default", "verb": "get", "resource": "pods"});
        let mut review = json!({"spec": {"user": "reader", "resourceAttributes": attributes}});
        for metadata in [
            json!(null),
            json!({"creationTimestamp": null, "labels": {}, "name": ""}),
            json!({"namespace": "default", "managedFields": [{"manager": "a"}]}),
        ] {
            review["metadata"] = metadata;
            let answer = server.ask("POST", &path, review.to_string()).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        }
        review["metadata"] = json!({"name": "x"});
        let refused = server.ask("POST", &path, review.to_string()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        let causes = &refused.json()["details"]["causes"];
        let message = causes[0]["message"].as_str().unwrap();
        assert_eq!(causes[0]["field"], "metadata");
        assert!(message.ends_with(&format!(": {why}")), "{message}");
    }
}

/// A right in one namespace must never reach what is of the whole cluster.
#[tokio::test]
async fn the_clusters_objects_are_in_no_namespace() {
    let server = Server::start().await;
    let of_cluster = coracle_api::kind::KINDS
        .iter()
        .filter(|kind| !kind.namespaced)
        .map(|kind| (kind.api_version(), kind.plural))
        .chain([("metrics.k8s.io/v1beta1".to_owned(), "nodes")]);
    for (version, plural) in of_cluster {
        let root = if version.contains('/') { "apis" } else { "api" };
        let path = format!("/{root}/{version}/namespaces/default/{plural}");
        for path in [path.clone(), format!("{path}/a"), format!("{path}?watch=1")] {
            let answer = server.ask("GET", &path, "").await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    for review in ["subjectaccessreviews", "selfsubjectaccessreviews"] {
        let path = format!("/apis/authorization.k8s.io/v1/namespaces/default/{review}");
        let answer = server.ask("POST", &path, "{}").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}
