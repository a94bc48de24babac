//! URLs to what they ask for.

use super::{super::query::Query, *};
use proptest::prelude::*;

/// `verb group version namespace resource name subresource rest`, `-` for empty.
#[track_caller]
fn check(method: &str, url: &str, expected: &str) {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let found = parse(&method, path, Query::parse(query).flag("watch")).map_or_else(
        || "none".to_owned(),
        |info| {
            let RequestInfo {
                verb,
                group,
                version,
                namespace,
                resource,
                name,
                subresource,
                rest,
            } = info;
            [
                verb,
                &group,
                &version,
                &namespace,
                &resource,
                &name,
                &subresource,
                &rest,
            ]
            .map(|part| if part.is_empty() { "-" } else { part })
            .join(" ")
        },
    );
    assert_eq!(found, expected, "{method} {url}");
}

#[test]
fn resources() {
    check("GET", "/api/v1/pods", "list - v1 - pods - - -");
    check("GET", "/api/v1/pods?watch=true", "watch - v1 - pods - - -");
    check("GET", "/api/v1/pods?watch=0", "list - v1 - pods - - -");
    check("GET", "/api/v1/pods?watch=f", "watch - v1 - pods - - -");
    check(
        "GET",
        "/api/v1/pods?%77atch=true",
        "watch - v1 - pods - - -",
    );
    check(
        "GET",
        "/api/v1/pods?watch=false&watch=true",
        "list - v1 - pods - - -",
    );
    check("GET", "/api/v1/watch/pods", "watch - v1 - pods - - -");
    let one = "/api/v1/watch/namespaces/n/pods/p";
    check("GET", one, "watch - v1 n pods p - -");
    for inside in ["", "/b", "/a", "/b/status", "?watch=1"] {
        let path = format!("/api/v1/namespaces/a/namespaces{inside}");
        check("GET", &path, "none");
        check("DELETE", &path, "none");
    }
    check("GET", "/api/v1/watch/namespaces/a/namespaces", "none");
    check(
        "GET",
        "/api/v1/namespaces/a/pods/",
        "list - v1 a pods - - -",
    );
    check(
        "GET",
        "/api/v1/namespaces/a/pods/p",
        "get - v1 a pods p - -",
    );
    check(
        "POST",
        "/api/v1/namespaces/a/pods",
        "create - v1 a pods - - -",
    );
    check(
        "POST",
        "/api/v1/namespaces/a/pods/p/binding",
        "create - v1 a pods p binding -",
    );
    check(
        "PUT",
        "/apis/apps/v1/namespaces/a/deployments/d/scale",
        "update apps v1 a deployments d scale -",
    );
    check(
        "PATCH",
        "/apis/apps/v1/namespaces/a/deployments/d",
        "patch apps v1 a deployments d - -",
    );
    check(
        "DELETE",
        "/api/v1/namespaces/a/pods/p",
        "delete - v1 a pods p - -",
    );
    check(
        "DELETE",
        "/api/v1/namespaces/a/pods",
        "deletecollection - v1 a pods - - -",
    );
    check(
        "GET",
        "/api/v1/nodes/n/status",
        "get - v1 - nodes n status -",
    );
    check("OPTIONS", "/api/v1/pods", "none");
}

#[test]
fn namespaces() {
    check("GET", "/api/v1/namespaces", "list - v1 - namespaces - - -");
    check("GET", "/api/v1/namespaces/a", "get - v1 a namespaces a - -");
    check(
        "PUT",
        "/api/v1/namespaces/a/finalize",
        "update - v1 a namespaces a finalize -",
    );
    check(
        "PUT",
        "/api/v1/namespaces/a/status",
        "update - v1 a namespaces a status -",
    );
    check(
        "DELETE",
        "/api/v1/namespaces/a",
        "delete - v1 a namespaces a - -",
    );
    check(
        "GET",
        "/apis/x/v1/namespaces/a/status",
        "list x v1 a status - - -",
    );
}

#[test]
fn proxies_keep_the_rest_as_sent() {
    let base = "/api/v1/namespaces/a/services/http:s:80/proxy";
    check("GET", base, "get - v1 a services http:s:80 proxy -");
    check(
        "GET",
        &format!("{base}/"),
        "get - v1 a services http:s:80 proxy /",
    );
    check(
        "GET",
        &format!("{base}/x%2Fy/?q=1"),
        "get - v1 a services http:s:80 proxy /x%2Fy/",
    );
    check(
        "POST",
        &format!("{base}/x//y"),
        "create - v1 a services http:s:80 proxy /x//y",
    );
}

#[test]
fn what_is_no_resource() {
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/apps",
        "/apis/apps/v1",
        "/healthz",
        "/apis//v1/pods",
    ] {
        check("GET", path, "none");
    }
}

#[test]
fn a_broken_name_never_becomes_a_collection() {
    check("DELETE", "/api/v1/namespaces/a/pods/%zz", "none");
    check("DELETE", "/api/v1/namespaces/a/pods/%ff", "none");
    check("DELETE", "/api/v1/namespaces//pods/p", "none");
    check(
        "DELETE",
        "/api/v1/namespaces/a/pods/%41",
        "delete - v1 a pods A - -",
    );
}

proptest! {
    #[test]
    fn never_panics(path in "\\PC*", watch: bool, method in "[A-Z]{1,8}") {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let _any = parse(&method, &path, watch);
    }

    #[test]
    fn never_panics_below_the_api(path in "(/(api|apis|v1|namespaces|watch|proxy|pods|%[0-9a-z]{0,2}|[a-z]{0,3})){0,9}") {
        for method in [Method::GET, Method::DELETE] {
            if let Some(info) = parse(&method, &path, false) {
                prop_assert!(!info.resource.is_empty() && !info.version.is_empty());
            }
        }
    }
}
