//! Tokens in Secrets: a Secret of the type gets one for the account that it names, and goes with that account.
//!
//! Source: k8s.io/kubernetes `pkg/controller/serviceaccount/tokens_controller.go`.

use super::service_account::CA_FIELD;
use crate::{
    auth::{
        Accounts,
        accounts::{ACCOUNT_NAME, ACCOUNT_UID, LAST_USED, SECRET_TYPE, TOKEN_FIELD},
    },
    cache::Change,
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, DeleteOptions, Registry, Subresource},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_api::{Key, KindRef, StatusError, kind};
use coracle_daemon::Tasks;
use serde_json::{Value, json};
use std::{fmt, sync::Arc};

const NAMESPACE_FIELD: &str = "namespace";

/// The reconciler.
#[derive(Debug)]
pub(super) struct AccountTokens {
    pub(super) registry: Registry,
    pub(super) accounts: Accounts,
    pub(super) ca_pem: String,
}

/// A Secret and the account that it named when it was last seen: an account may refer to what is gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Held {
    secret: Key,
    secret_uid: String,
    account: String,
    /// Empty for one that has no token yet.
    account_uid: String,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.secret, self.account)
    }
}

/// What a Secret of the type is to its account; none for any other.
fn held(secret: &Object) -> Option<Held> {
    let annotations = secret.meta.annotations.as_ref()?;
    let account = annotations.get(ACCOUNT_NAME)?.clone();
    if account.is_empty() || secret.value()["type"] != SECRET_TYPE {
        return None;
    }
    Some(Held {
        secret: secret.key.clone(),
        secret_uid: secret.uid().to_owned(),
        account,
        account_uid: annotations.get(ACCOUNT_UID).cloned().unwrap_or_default(),
    })
}

/// Whether a Secret lacks something of a token that is whole.
fn is_incomplete(secret: &Value, ca_pem: &str) -> bool {
    let data = |field: &str| secret["data"][field].as_str().unwrap_or_default();
    let is_other_ca = !ca_pem.is_empty() && data(CA_FIELD) != STANDARD.encode(ca_pem);
    is_other_ca || data(NAMESPACE_FIELD).is_empty() || data(TOKEN_FIELD).is_empty()
}

/// Adds to a Secret what it lacks; a token that is there stays.
fn complete(secret: &mut Value, account: &Object, token: &str, ca_pem: &str) {
    if !secret["data"].is_object() {
        secret["data"] = json!({});
    }
    let data = &mut secret["data"];
    if !ca_pem.is_empty() {
        data[CA_FIELD] = json!(STANDARD.encode(ca_pem));
    }
    for (field, text) in [
        (NAMESPACE_FIELD, account.key.namespace.as_str()),
        (TOKEN_FIELD, token),
    ] {
        if data[field].as_str().is_none_or(str::is_empty) {
            data[field] = json!(STANDARD.encode(text));
        }
    }
    secret["metadata"]["annotations"][ACCOUNT_UID] = json!(account.uid());
}

impl Reconciler for AccountTokens {
    const NAME: &'static str = "account-token";
    type Key = Held;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::SERVICE_ACCOUNT, kind::SECRET]
    }

    fn keys(&self, change: &Change) -> Vec<Held> {
        let object = &change.object;
        if object.kind == kind::SECRET {
            return held(object).into_iter().collect();
        }
        let namespace = Some(object.key.namespace.as_str());
        let secrets = self.registry.cache().list(kind::SECRET, namespace);
        let own = secrets.iter().filter_map(|secret| held(secret));
        own.filter(|held| held.account == object.key.name).collect()
    }

    async fn reconcile(&self, seen: &Held) -> Result<Next, StatusError> {
        let cache = self.registry.cache();
        let secret = cache.get(kind::SECRET, &seen.secret);
        let secret = secret.filter(|secret| secret.uid() == seen.secret_uid);
        // What it says now counts, where it still says something.
        let now = secret.as_deref().and_then(held);
        let held = now.as_ref().unwrap_or(seen);
        let account = Key::new(&*held.secret.namespace, &*held.account);
        let account = cache.get(kind::SERVICE_ACCOUNT, &account);
        let account =
            account.filter(|found| held.account_uid.is_empty() || found.uid() == held.account_uid);
        let done = match (secret, account) {
            (None, None) => Ok(()),
            (None, Some(account)) => self.forget(&account, &held.secret.name).await,
            (Some(secret), None) => self.remove(&secret).await,
            (Some(secret), Some(account)) => self.fill(&secret, &account).await,
        };
        or_changed(done)?;
        Ok(Next::AwaitChange)
    }
}

impl AccountTokens {
    async fn fill(&self, secret: &Object, account: &Arc<Object>) -> Result<(), StatusError> {
        let value = secret.value();
        // Of one that never changes nothing can be added.
        if !is_incomplete(&value, &self.ca_pem) || value["immutable"] == true {
            return Ok(());
        }
        let token = self.accounts.issue_lasting(account, &secret.key.name);
        let token = token.map_err(|error| StatusError::internal(error.to_string()))?;
        let (uid, name) = (secret.uid(), account.key.name.as_str());
        let write = |value: &mut Value| {
            let meta = &value["metadata"];
            // Another Secret, or another account: the change brings it back here.
            if meta["uid"] == uid && meta["annotations"][ACCOUNT_NAME] == name {
                complete(value, account, &token, &self.ca_pem);
            }
            Ok(())
        };
        self.modify(secret, write).await
    }

    async fn remove(&self, secret: &Object) -> Result<(), StatusError> {
        let options = DeleteOptions {
            uid: Some(secret.uid().to_owned()),
            ..DeleteOptions::default()
        };
        let context = context();
        let deleted = self
            .registry
            .delete(&context, kind::SECRET, &secret.key, options);
        deleted.await.map(|_deleted| ())
    }

    /// Takes a Secret that is gone off the list of its account.
    async fn forget(&self, account: &Object, secret: &str) -> Result<(), StatusError> {
        let refers = |value: &Value| {
            let listed = value["secrets"].as_array().into_iter().flatten();
            listed.clone().any(|one| one["name"] == secret)
        };
        if !refers(&account.value()) {
            return Ok(());
        }
        let write = |value: &mut Value| {
            let listed = value["secrets"].as_array_mut();
            if let Some(listed) = listed {
                listed.retain(|one| one["name"] != secret);
            }
            Ok(())
        };
        self.modify(account, write).await
    }

    async fn modify(
        &self,
        object: &Object,
        write: impl FnMut(&mut Value) -> Result<(), StatusError>,
    ) -> Result<(), StatusError> {
        let (context, part) = (context(), Subresource::None);
        let written = self
            .registry
            .modify(&context, object.kind, &object.key, part, write);
        written.await.map(|_object| ())
    }
}

/// Writes on Secrets the day on which their tokens were used. Ends with the tasks.
pub(super) async fn mark_used(registry: Registry, accounts: Accounts, tasks: Tasks) {
    loop {
        let (secrets, today) = tokio::select! {
            () = tasks.stop().cancelled() => return,
            used = accounts.used() => used,
        };
        let write = |value: &mut Value| {
            value["metadata"]["labels"][LAST_USED] = json!(today);
            Ok(())
        };
        let (context, part) = (context(), Subresource::None);
        for key in secrets {
            let written = registry.modify(&context, kind::SECRET, &key, part, write);
            if let Err(error) = or_changed(written.await.map(|_object| ())) {
                tracing::warn!(%key, %error, "cannot tell that a token was used");
            }
        }
    }
}

fn context() -> Context {
    Context::system("tokens-controller")
}

/// What is gone or another by now comes back here by its own change.
fn or_changed(result: Result<(), StatusError>) -> Result<(), StatusError> {
    match result {
        Err(error) if matches!(error.code, 404 | 409) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::Revision;

    #[test]
    fn what_a_secret_lacks_is_added_and_a_token_stays() {
        let meta = json!({"name": "robot", "namespace": "n", "uid": "u"});
        let account = json!({"metadata": meta});
        let account = Object::new(kind::SERVICE_ACCOUNT, Revision(1), account).unwrap();
        let encoded = |text: &str| STANDARD.encode(text);
        for (data, ca, lacks, token) in [
            (Value::Null, "ca", true, "new"),
            (json!({"token": ""}), "ca", true, "new"),
            (json!({"token": encoded("old")}), "ca", true, "old"),
            (
                json!({"token": encoded("old"), "namespace": encoded("n"), "ca.crt": encoded("other")}),
                "ca",
                true,
                "old",
            ),
            (
                json!({"token": encoded("old"), "namespace": encoded("n"), "ca.crt": encoded("ca")}),
                "ca",
                false,
                "old",
            ),
            (
                json!({"token": encoded("old"), "namespace": encoded("n")}),
                "",
                false,
                "old",
            ),
        ] {
            let mut secret =
                json!({"metadata": {"annotations": {ACCOUNT_NAME: "robot"}}, "data": data});
            assert_eq!(is_incomplete(&secret, ca), lacks, "{data}");
            complete(&mut secret, &account, "new", ca);
            assert!(!is_incomplete(&secret, ca), "{secret}");
            assert_eq!(secret["data"]["token"], encoded(token));
            let annotations = json!({ACCOUNT_NAME: "robot", ACCOUNT_UID: "u"});
            assert_eq!(secret["metadata"]["annotations"], annotations);
        }
    }
}
