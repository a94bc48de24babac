//! What makes a token worth nothing.

use super::*;
use crate::cache::{Change, ChangeKind};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_api::Revision;
use serde_json::json;
use std::time::Duration;

/// A key as the data directory keeps one.
pub(crate) fn key() -> Key {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    Key::from_pkcs8(&pair.serialize_der()).unwrap()
}

struct World {
    cache: Cache,
    clock: Clock,
    accounts: Accounts,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual("2026-03-01T00:00:00Z".parse().unwrap());
        let cache = Cache::new(Vec::new(), Revision(0));
        let world = Self {
            accounts: Accounts::new(key(), cache.clone(), clock.clone()),
            cache,
            clock,
        };
        world.put(kind::SERVICE_ACCOUNT, "robot", json!({}));
        world.put(
            kind::POD,
            "p",
            json!({"spec": {"nodeName": "box", "containers": []}}),
        );
        world.put(kind::SECRET, "s", json!({}));
        world.put(kind::NODE, "box", json!({}));
        world
    }

    fn put(&self, of: KindRef, name: &str, mut value: Value) {
        let revision = Revision(self.cache.revision().0 + 1);
        value["metadata"]["name"] = json!(name);
        if of.namespaced {
            value["metadata"]["namespace"] = json!("n");
        }
        if value["metadata"]["uid"].is_null() {
            value["metadata"]["uid"] = json!(format!("{name}-uid"));
        }
        let object = Arc::new(Object::new(of, revision, value).unwrap());
        let previous = self.cache.get(of, &object.key);
        self.commit(object, previous, ChangeKind::Modified);
    }

    fn remove(&self, of: KindRef, name: &str) {
        let object = self.get(of, name);
        let revision = Revision(self.cache.revision().0 + 1);
        let last = Arc::new(Object::new(of, revision, object.value()).unwrap());
        self.commit(last, Some(object), ChangeKind::Deleted);
    }

    fn commit(&self, object: Arc<Object>, previous: Option<Arc<Object>>, kind_of: ChangeKind) {
        self.cache
            .commit(vec![Change::new(object, previous, kind_of)]);
    }

    fn get(&self, of: KindRef, name: &str) -> Arc<Object> {
        let key = ObjectKey::new(if of.namespaced { "n" } else { "" }, name);
        self.cache.get(of, &key).unwrap()
    }

    fn issue(&self, bound: Option<(KindRef, &str)>) -> Zeroizing<String> {
        let wanted = Wanted {
            audiences: vec![ISSUER.to_owned(), "vault".to_owned()],
            life: SignedDuration::from_secs(3600),
            bound: bound.map(|(of, name)| self.get(of, name)),
        };
        let account = self.get(kind::SERVICE_ACCOUNT, "robot");
        self.accounts.issue(&account, wanted).unwrap().token
    }

    fn knows(&self, token: &str) -> bool {
        self.accounts.user(token, &[ISSUER]).is_some()
    }
}

#[test]
fn a_token_is_its_account() {
    let world = World::new();
    let token = world.issue(Some((kind::POD, "p")));
    let (user, audiences) = world.accounts.user(&token, &["other", "vault"]).unwrap();
    assert_eq!(audiences, ["vault"]);
    assert_eq!(user.name, "system:serviceaccount:n:robot");
    assert_eq!(user.uid, "robot-uid");
    assert_eq!(
        user.groups,
        [
            "system:serviceaccounts",
            "system:serviceaccounts:n",
            "system:authenticated"
        ]
    );
    let extra: Vec<(&str, &str)> = user
        .extra
        .iter()
        .map(|(name, values)| {
            (
                name.trim_start_matches("authentication.kubernetes.io/"),
                values[0].as_str(),
            )
        })
        .collect();
    assert!(extra[0].0 == "credential-id" && extra[0].1.starts_with("JTI="));
    assert_eq!(
        extra[1..],
        [
            ("node-name", "box"),
            ("node-uid", "box-uid"),
            ("pod-name", "p"),
            ("pod-uid", "p-uid")
        ]
    );
    assert!(world.accounts.user(&token, &["other"]).is_none());
    assert!(world.accounts.user(&token, &[]).is_none());
    let other = World::new();
    assert!(!other.knows(&token), "another key");
}

#[test]
fn a_token_ends() {
    let world = World::new();
    let token = world.issue(None);
    world.clock.advance(Duration::from_secs(3599));
    assert!(world.knows(&token));
    world.clock.advance(Duration::from_secs(1));
    assert!(!world.knows(&token));
}

#[test]
fn a_token_is_not_yet_valid_before_it_was_made() {
    let world = World::new();
    let key = key();
    let mut early = Accounts::new(key, world.cache.clone(), world.clock.clone());
    world.clock.advance(Duration::from_secs(10));
    let account = world.get(kind::SERVICE_ACCOUNT, "robot");
    let wanted = Wanted {
        audiences: vec![ISSUER.to_owned()],
        life: SignedDuration::from_secs(3600),
        bound: None,
    };
    let token = early.issue(&account, wanted).unwrap().token;
    Arc::get_mut(&mut early.0).unwrap().clock =
        Clock::manual("2026-03-01T00:00:00Z".parse().unwrap());
    assert!(early.user(&token, &[ISSUER]).is_none());
}

#[test]
fn what_it_stands_on_must_be_there() {
    for of in [
        None,
        Some((kind::POD, "p")),
        Some((kind::SECRET, "s")),
        Some((kind::NODE, "box")),
    ] {
        let (of_kind, name) = of.unwrap_or((kind::SERVICE_ACCOUNT, "robot"));
        // Gone.
        let world = World::new();
        let token = world.issue(of);
        assert!(world.knows(&token), "{name}");
        world.remove(of_kind, name);
        assert!(!world.knows(&token), "{name} is gone");
        // There again, but another one.
        world.put(of_kind, name, json!({"metadata": {"uid": "another"}}));
        assert!(!world.knows(&token), "{name} is another");
        // Being deleted since long.
        let world = World::new();
        let token = world.issue(of);
        world.put(
            of_kind,
            name,
            json!({"metadata": {"deletionTimestamp": "2026-03-01T00:00:00Z"}}),
        );
        world.clock.advance(Duration::from_secs(60));
        assert!(world.knows(&token));
        world.clock.advance(Duration::from_secs(1));
        assert!(!world.knows(&token), "{name} is long going");
    }
}

#[test]
fn a_pods_token_outlives_its_node_object() {
    let world = World::new();
    let token = world.issue(Some((kind::POD, "p")));
    world.remove(kind::NODE, "box");
    assert!(world.knows(&token));
}

/// A Secret with a token of `robot` in it.
fn put_lasting(world: &World) -> Zeroizing<String> {
    let account = world.get(kind::SERVICE_ACCOUNT, "robot");
    let token = world.accounts.issue_lasting(&account, "kept").unwrap();
    let data = json!({"token": STANDARD.encode(token.as_bytes())});
    world.put(kind::SECRET, "kept", json!({"data": data}));
    token
}

#[test]
fn a_token_in_a_secret_says_what_upstreams_says() {
    let world = World::new();
    let token = put_lasting(&world);
    let claims: Value = world.accounts.0.key.verify(&token).unwrap();
    let expected = json!({
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": "n",
        "kubernetes.io/serviceaccount/secret.name": "kept",
        "kubernetes.io/serviceaccount/service-account.name": "robot",
        "kubernetes.io/serviceaccount/service-account.uid": "robot-uid",
        "sub": "system:serviceaccount:n:robot",
    });
    assert_eq!(claims, expected);
    world.clock.advance(Duration::from_secs(100 * 365 * 86_400));
    let (user, audiences) = world.accounts.user(&token, &["vault", ISSUER]).unwrap();
    assert_eq!(audiences, [ISSUER]);
    assert_eq!(user.name, "system:serviceaccount:n:robot");
    assert_eq!(user.uid, "robot-uid");
    assert_eq!(user.groups[1], "system:serviceaccounts:n");
    assert!(user.extra.is_empty());
    assert!(world.accounts.user(&token, &["vault"]).is_none());
}

#[test]
fn a_token_in_a_secret_ends_with_what_it_stands_on() {
    for (of, name, change) in [
        // Gone.
        (kind::SECRET, "kept", None),
        (kind::SERVICE_ACCOUNT, "robot", None),
        // Going; without the leeway that other tokens have.
        (
            kind::SECRET,
            "kept",
            Some(json!({"deletionTimestamp": "2026-03-01T00:00:00Z"})),
        ),
        (
            kind::SERVICE_ACCOUNT,
            "robot",
            Some(json!({"deletionTimestamp": "2026-03-01T00:00:00Z"})),
        ),
        // Another of the name.
        (
            kind::SERVICE_ACCOUNT,
            "robot",
            Some(json!({"uid": "another"})),
        ),
        // Marked by who cleans up.
        (
            kind::SECRET,
            "kept",
            Some(json!({"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-03-01"}})),
        ),
    ] {
        let world = World::new();
        let token = put_lasting(&world);
        assert!(world.knows(&token));
        let mut value = world.get(of, name).value();
        match &change {
            None => world.remove(of, name),
            Some(change) => {
                for (field, new) in change.as_object().unwrap() {
                    value["metadata"][field] = new.clone();
                }
                world.put(of, name, value);
            }
        }
        assert!(!world.knows(&token), "{name}: {change:?}");
    }
    // Its Secret holds another one.
    let world = World::new();
    let token = put_lasting(&world);
    world.put(kind::SECRET, "kept", json!({"data": {"token": "eA=="}}));
    assert!(!world.knows(&token));
}

#[tokio::test]
async fn the_use_of_a_token_is_told_once_a_day() {
    let world = World::new();
    let token = put_lasting(&world);
    let is_used = async || {
        let used = world.accounts.used();
        let used = tokio::time::timeout(Duration::from_millis(1), used).await;
        used.ok()
    };
    assert!(is_used().await.is_none());
    assert!(world.knows(&token) && world.knows(&token));
    let (secrets, today) = is_used().await.unwrap();
    assert_eq!(secrets, [ObjectKey::new("n", "kept")]);
    assert_eq!(today, "2026-03-01");
    assert!(is_used().await.is_none());
    for (told, again) in [
        ("2026-03-01", false),
        ("2026-03-02", false),
        ("2026-02-28", true),
    ] {
        let mut value = world.get(kind::SECRET, "kept").value();
        value["metadata"]["labels"] = json!({LAST_USED: told});
        world.put(kind::SECRET, "kept", value);
        assert!(world.knows(&token));
        assert_eq!(is_used().await.is_some(), again, "{told}");
    }
}
