//! Secrets that hold tokens of service accounts.

use super::*;
use crate::auth::accounts::ISSUER;
use base64::{Engine as _, engine::general_purpose::STANDARD};

const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

fn secret(name: &str, account: &str) -> Value {
    json!({"metadata": {"name": name, "annotations": {NAME: account}},
        "type": "kubernetes.io/service-account-token"})
}

async fn filled(cluster: &Cluster, name: &str) -> Value {
    let is_filled = |cache: &Cache| {
        let found = cache.get(kind::SECRET, &key(name));
        found.is_some_and(|found| found.value()["data"]["token"].is_string())
    };
    cluster.until("a token", is_filled).await;
    cluster.value(kind::SECRET, name)
}

async fn gone(cluster: &Cluster, name: &str) {
    let is_gone = |cache: &Cache| cache.get(kind::SECRET, &key(name)).is_none();
    cluster.until("no secret", is_gone).await;
}

#[tokio::test]
async fn a_secret_gets_a_token_and_goes_with_its_account() {
    let cluster = start_cluster().await;
    let account =
        json!({"metadata": {"name": "robot"}, "secrets": [{"name": "one"}, {"name": "other"}]});
    let account = cluster.create(kind::SERVICE_ACCOUNT, account).await;
    cluster.create(kind::SECRET, secret("one", "robot")).await;
    let kept = filled(&cluster, "one").await;
    let data = |field: &str| {
        let decoded = STANDARD.decode(kept["data"][field].as_str().unwrap());
        String::from_utf8(decoded.unwrap()).unwrap()
    };
    assert_eq!(data("ca.crt"), "the CA");
    assert_eq!(data("namespace"), "default");
    assert_eq!(kept["metadata"]["annotations"][UID], account.uid());
    let token = data("token");
    let (user, _audiences) = cluster.accounts.user(&token, &[ISSUER]).unwrap();
    assert_eq!(user.name, "system:serviceaccount:default:robot");
    let today = cluster
        .registry
        .clock()
        .now()
        .strftime("%Y-%m-%d")
        .to_string();
    let is_marked = |cache: &Cache| {
        let secret = cache.get(kind::SECRET, &key("one")).unwrap();
        let label = "kubernetes.io/legacy-token-last-used";
        secret.value()["metadata"]["labels"][label] == today.as_str()
    };
    cluster.until("a day of use", is_marked).await;

    // What is gone is not told of.
    cluster
        .delete(kind::SECRET, "one", Propagation::Background)
        .await;
    assert!(cluster.accounts.user(&token, &[ISSUER]).is_none());
    let is_forgotten = |cache: &Cache| {
        let account = cache.get(kind::SERVICE_ACCOUNT, &key("robot")).unwrap();
        account.value()["secrets"] == json!([{"name": "other"}])
    };
    cluster.until("one name", is_forgotten).await;

    cluster.create(kind::SECRET, secret("two", "robot")).await;
    filled(&cluster, "two").await;
    cluster
        .delete(kind::SERVICE_ACCOUNT, "robot", Propagation::Background)
        .await;
    gone(&cluster, "two").await;
    cluster.create(kind::SECRET, secret("three", "robot")).await;
    gone(&cluster, "three").await;
}

#[tokio::test]
async fn another_account_of_the_name_does_not_keep_it() {
    let cluster = start_cluster().await;
    let mut other = secret("s", "default");
    other["metadata"]["annotations"][UID] = json!("another");
    cluster.create(kind::SECRET, other).await;
    gone(&cluster, "s").await;
    // Of another type the annotation says nothing.
    let mut plain = secret("plain", "nobody");
    plain["type"] = json!("Opaque");
    cluster.create(kind::SECRET, plain).await;
    cluster.create(kind::SECRET, secret("s", "default")).await;
    filled(&cluster, "s").await;
    let plain = cluster.value(kind::SECRET, "plain");
    assert_eq!(plain["data"], Value::Null);
}
