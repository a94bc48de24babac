//! Tokens that are kept in Secrets: they never end by themselves, but at once with the Secret or the account.
//!
//! Upstream calls them legacy tokens. Source: k8s.io/kubernetes `pkg/serviceaccount/legacy.go`.

use super::{Accounts, ISSUER};
use crate::{
    auth::{
        UserInfo,
        impersonate::{account_groups, account_of},
        index::ACCOUNT_PREFIX,
        jwt::BadKey,
    },
    object::Object,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_api::{Key as ObjectKey, kind};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// Who says that they made them; as upstream.
pub(super) const LASTING_ISSUER: &str = "kubernetes/serviceaccount";
/// The type of Secrets that hold them.
pub const SECRET_TYPE: &str = "kubernetes.io/service-account-token";
/// Its annotation that names the account.
pub const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
/// Its annotation that tells which account of that name.
pub const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
/// Where in such a Secret the token is.
pub const TOKEN_FIELD: &str = "token";
/// A Secret with this label is kept, and its token is worth nothing until the label goes.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

/// The label of such a Secret that tells the day on which its token was last used.
pub const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Secrets that do not tell yet that their tokens were used; no more than there are.
#[derive(Debug, Default)]
pub(super) struct Used {
    secrets: Mutex<HashSet<ObjectKey>>,
    notify: Notify,
}

/// What such a token says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    account: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    uid: String,
    sub: String,
}

impl Accounts {
    /// A token for an account, worth something only in the Secret of this name.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn issue_lasting(
        &self,
        account: &Object,
        secret: &str,
    ) -> Result<Zeroizing<String>, BadKey> {
        let (namespace, name) = (&account.key.namespace, &account.key.name);
        self.0.key.sign(&Claims {
            iss: LASTING_ISSUER.to_owned(),
            namespace: namespace.clone(),
            secret: secret.to_owned(),
            account: name.clone(),
            uid: account.uid().to_owned(),
            sub: format!("{ACCOUNT_PREFIX}{namespace}:{name}"),
        })
    }

    /// Whose token it is. It says nothing of audiences: it is for the API alone.
    pub(super) fn user_of_lasting(
        &self,
        claims: &Claims,
        token: &str,
        audiences: &[&str],
    ) -> Option<(UserInfo, Vec<String>)> {
        if !audiences.contains(&ISSUER) {
            return None;
        }
        let (namespace, name) = account_of(&claims.sub)?;
        if (namespace, name) != (&claims.namespace, &claims.account) {
            return None;
        }
        let find = |of, name: &str| {
            let object = self.0.cache.get(of, &ObjectKey::new(namespace, name))?;
            (!object.is_deleting()).then_some(object)
        };
        let secret = find(kind::SECRET, &claims.secret)?;
        let labels = secret.meta.labels.as_ref();
        let is_invalid = labels
            .and_then(|labels| labels.get(INVALID_SINCE))
            .is_some_and(|since| !since.is_empty());
        if is_invalid || !holds(&secret, token) {
            return None;
        }
        let account = find(kind::SERVICE_ACCOUNT, name)?;
        if claims.uid.is_empty() || account.uid() != claims.uid {
            return None;
        }
        self.notice(&secret);
        let mut user = UserInfo::new(&*claims.sub, account_groups(namespace));
        user.uid.clone_from(&claims.uid);
        Some((user, vec![ISSUER.to_owned()]))
    }

    /// Remembers that a token was used, where its Secret does not tell so.
    fn notice(&self, secret: &Object) {
        let labels = secret.meta.labels.as_ref();
        let told = labels.and_then(|labels| labels.get(LAST_USED));
        let now = self.0.clock.now();
        // The clock of another server may be ahead by a night.
        let is_told = told.is_some_and(|told| {
            let tomorrow = now.saturating_add(DAY).unwrap_or(now);
            [now, tomorrow].iter().any(|at| *told == day(*at))
        });
        if !is_told && self.0.used.secrets.lock().insert(secret.key.clone()) {
            self.0.used.notify.notify_one();
        }
    }

    /// The Secrets whose tokens were used and that do not tell so, once there are any; and today.
    pub async fn used(&self) -> (Vec<ObjectKey>, String) {
        loop {
            let secrets: Vec<_> = self.0.used.secrets.lock().drain().collect();
            if !secrets.is_empty() {
                return (secrets, day(self.0.clock.now()));
            }
            self.0.used.notify.notified().await;
        }
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// Whether this is the token in a Secret. Its signature was looked at before: the time of a comparison says
/// nothing that its owner does not know.
fn holds(secret: &Object, token: &str) -> bool {
    secret.value()["data"][TOKEN_FIELD]
        .as_str()
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .is_some_and(|kept| kept == token.as_bytes())
}
