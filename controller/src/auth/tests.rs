//! Who asks, and what they may.

use super::*;
use rand::SeedableRng as _;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}

#[test]
fn schemes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let admin = tokens::issue(&path, "admin", &[MASTERS], &mut rng).unwrap();
    let authenticator = Authenticator::new(Tokens::open(&path).unwrap());
    let ask = |pairs: &[(&'static str, &str)], schemes| {
        authenticator
            .authenticate(None, &headers(pairs), schemes)
            .map(|user| user.name)
    };
    let bearer = |token: &str| format!("Bearer {token}");
    let basic = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(format!("x:{admin}"))
    );

    let late = tokens::issue(&path, "late", &["readers"], &mut rng).unwrap();
    let header = bearer(&late);
    let name = ask(&[("authorization", &header)], Schemes::Bearer).unwrap();
    assert_eq!(name, "late", "a new token works at once");

    assert_eq!(ask(&[], Schemes::Bearer).unwrap(), ANONYMOUS);
    assert_eq!(
        ask(&[("authorization", &bearer(&admin))], Schemes::Bearer).unwrap(),
        "admin"
    );
    assert!(ask(&[("authorization", &bearer("nonsense"))], Schemes::Bearer).is_err());
    for (header, name) in [
        (format!(" bEARER {admin} "), "admin"),
        (format!("Bearer {admin} x  y"), "admin"),
        (format!("Bearer  {admin}"), ANONYMOUS),
        (format!("Bearer   {admin} x"), ANONYMOUS),
    ] {
        let pairs = [("authorization", header.as_str())];
        assert_eq!(ask(&pairs, Schemes::Bearer).unwrap(), name, "{header}");
        let is_hidden = name == ANONYMOUS;
        assert_eq!(hides_token(&headers(&pairs)), is_hidden, "{header}");
    }
    assert!(!hides_token(&headers(&[("authorization", &basic)])));
    assert!(ask(&[("authorization", "Bearer")], Schemes::Bearer).is_err());
    assert!(ask(&[("authorization", &basic)], Schemes::Bearer).is_err());
    assert_eq!(
        ask(&[("authorization", &basic)], Schemes::BearerAndBasic).unwrap(),
        "admin"
    );
    assert!(ask(&[("authorization", "Basic !!")], Schemes::BearerAndBasic).is_err());
}

#[test]
fn refusals_are_worded_as_upstream_words_them() {
    let user = UserInfo::new("x", []);
    let pods = Attributes {
        verb: "list",
        resource: "pods",
        namespace: "default",
        ..Attributes::default()
    };
    assert_eq!(
        forbidden(&user, &pods, "").message,
        "pods is forbidden: User \"x\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let scale = Attributes {
        verb: "patch",
        group: "apps",
        resource: "deployments",
        subresource: "scale",
        namespace: "a",
        name: "d",
        ..Attributes::default()
    };
    assert_eq!(
        forbidden(&user, &scale, "RBAC: no such role").message,
        "deployments.apps \"d\" is forbidden: User \"x\" cannot patch resource \"deployments/scale\" in API group \"apps\" in the namespace \"a\": RBAC: no such role"
    );
    let nodes = Attributes {
        verb: "list",
        resource: "nodes",
        ..Attributes::default()
    };
    assert!(
        forbidden(&user, &nodes, "")
            .message
            .ends_with("at the cluster scope")
    );
    let path = Attributes {
        verb: "get",
        path: "/apis",
        ..Attributes::default()
    };
    assert_eq!(
        forbidden(&user, &path, "").message,
        "forbidden: User \"x\" cannot get path \"/apis\""
    );
}
