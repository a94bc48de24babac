//! Tokens of service accounts: what one says, and whether it is still true.
//!
//! A token is believed only while its service account and the object it is bound to are there, each with the
//! uid it was made for: both are looked up each time, and nothing is remembered. Source: k8s.io/kubernetes
//! `pkg/serviceaccount/claims.go`.

mod lasting;

pub use lasting::{ACCOUNT_NAME, ACCOUNT_UID, LAST_USED, SECRET_TYPE, TOKEN_FIELD};

use super::{
    CREDENTIAL_ID, UserInfo,
    impersonate::{account_groups, account_of},
    index::ACCOUNT_PREFIX,
    jwt::{BadKey, Key},
};
use crate::{cache::Cache, object::Object};
use coracle_api::{Key as ObjectKey, KindRef, k8s_openapi::api::core::v1::Pod, kind};
use coracle_daemon::Clock;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Who makes the tokens, and the audience of the API.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// An object that is being deleted vouches for its tokens for this much longer; as upstream.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    about: About,
    nbf: i64,
    sub: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct About {
    namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Named>,
    serviceaccount: Named,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    name: String,
    uid: String,
}

impl Named {
    fn of(object: &Object) -> Self {
        Self {
            name: object.key.name.clone(),
            uid: object.uid().to_owned(),
        }
    }
}

/// What is wanted of a token.
#[derive(Debug)]
pub struct Wanted {
    /// Who shall take it.
    pub audiences: Vec<String>,
    /// For how long.
    pub life: SignedDuration,
    /// A Pod, Secret or Node without which it is worth nothing.
    pub bound: Option<Arc<Object>>,
}

/// A token that was made.
#[derive(Debug)]
pub struct Issued {
    /// It; never logged.
    pub token: Zeroizing<String>,
    /// When it ends.
    pub until: Timestamp,
}

/// Makes and reads tokens. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct Accounts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: Key,
    cache: Cache,
    clock: Clock,
    /// Secrets whose tokens were used.
    used: lasting::Used,
}

impl Accounts {
    /// Tokens by this key, of the service accounts that the cache shows.
    #[must_use]
    pub fn new(key: Key, cache: Cache, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            key,
            cache,
            clock,
            used: lasting::Used::default(),
        }))
    }

    /// A token for a service account.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn issue(&self, account: &Object, wanted: Wanted) -> Result<Issued, BadKey> {
        let now = self.0.clock.now();
        let until = now.saturating_add(wanted.life).unwrap_or(Timestamp::MAX);
        let bound = |kind: KindRef| {
            let object = wanted.bound.as_ref();
            object
                .filter(|object| object.kind == kind)
                .map(|object| Named::of(object))
        };
        let node = bound(kind::NODE).or_else(|| self.node_of(wanted.bound.as_deref()));
        let (namespace, name) = (&account.key.namespace, &account.key.name);
        let claims = Claims {
            exp: until.as_second(),
            iat: now.as_second(),
            iss: ISSUER.to_owned(),
            jti: unique(),
            about: About {
                namespace: namespace.clone(),
                node,
                pod: bound(kind::POD),
                secret: bound(kind::SECRET),
                serviceaccount: Named::of(account),
            },
            nbf: now.as_second(),
            sub: format!("{ACCOUNT_PREFIX}{namespace}:{name}"),
            aud: wanted.audiences,
        };
        let token = self.0.key.sign(&claims)?;
        Ok(Issued { token, until })
    }

    /// The key by which anybody may verify a token, as a JSON Web Key.
    #[must_use]
    pub fn public_key(&self) -> serde_json::Value {
        self.0.key.public()
    }

    /// The node that a pod is on: its token says so.
    fn node_of(&self, pod: Option<&Object>) -> Option<Named> {
        let pod = pod.filter(|object| object.kind == kind::POD)?;
        let typed = pod.typed::<Pod>().ok()?;
        let name = typed.spec.as_ref()?.node_name.as_deref()?;
        let node = self.0.cache.get(kind::NODE, &ObjectKey::cluster(name))?;
        Some(Named::of(&node))
    }

    /// Whose token this is, and which of `audiences` it is for; none when it is for none of them, or is no
    /// longer true.
    #[must_use]
    pub fn user(&self, token: &str, audiences: &[&str]) -> Option<(UserInfo, Vec<String>)> {
        let claims: Value = self.0.key.verify(token)?;
        if claims["iss"] == lasting::LASTING_ISSUER {
            let claims = lasting::Claims::deserialize(claims).ok()?;
            return self.user_of_lasting(&claims, token, audiences);
        }
        let claims = Claims::deserialize(claims).ok()?;
        let now = self.0.clock.now().as_second();
        if claims.iss != ISSUER || now >= claims.exp || now < claims.nbf {
            return None;
        }
        let meant: Vec<String> = audiences
            .iter()
            .filter(|wanted| claims.aud.iter().any(|one| one == *wanted))
            .map(|one| (*one).to_owned())
            .collect();
        if meant.is_empty() {
            return None;
        }
        let about = &claims.about;
        let (namespace, name) = account_of(&claims.sub)?;
        if (namespace, name) != (&about.namespace, &about.serviceaccount.name) {
            return None;
        }
        let vouches = |of: KindRef, named: Option<&Named>| {
            named.is_none_or(|named| self.is_there(of, namespace, named))
        };
        let is_true = self.is_there(kind::SERVICE_ACCOUNT, namespace, &about.serviceaccount)
            && vouches(kind::POD, about.pod.as_ref())
            && vouches(kind::SECRET, about.secret.as_ref())
            // Beside a pod the node is only told; alone the token is bound to it.
            && (about.pod.is_some() || vouches(kind::NODE, about.node.as_ref()));
        is_true.then(|| (user_of(&claims), meant))
    }

    fn is_there(&self, of: KindRef, namespace: &str, named: &Named) -> bool {
        let key = ObjectKey::new(if of.namespaced { namespace } else { "" }, &*named.name);
        let Some(object) = self.0.cache.get(of, &key) else {
            return false;
        };
        let earliest = self.0.clock.now().saturating_sub(LEEWAY);
        let going = object.meta.deletion_timestamp.as_ref();
        let gone = going.is_some_and(|time| earliest.is_ok_and(|earliest| time.0 < earliest));
        !gone && !named.uid.is_empty() && object.uid() == named.uid
    }
}

fn user_of(claims: &Claims) -> UserInfo {
    let about = &claims.about;
    let mut user = UserInfo::new(&*claims.sub, account_groups(&about.namespace));
    user.uid.clone_from(&about.serviceaccount.uid);
    let id = format!("JTI={}", claims.jti);
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![id]);
    let mut tell = |name: &str, value: String| {
        user.extra
            .insert(format!("authentication.kubernetes.io/{name}"), vec![value]);
    };
    for (what, named) in [("pod", &about.pod), ("node", &about.node)] {
        if let Some(named) = named {
            tell(&format!("{what}-name"), named.name.clone());
            tell(&format!("{what}-uid"), named.uid.clone());
        }
    }
    user
}

/// A random UUID.
fn unique() -> String {
    let hex = super::tokens::hex(&rand::random::<u128>().to_be_bytes());
    let parts = [
        &hex[..8],
        &hex[8..12],
        &format!("4{}", &hex[13..16]),
        &format!("a{}", &hex[17..20]),
        &hex[20..],
    ];
    parts.join("-")
}

#[cfg(test)]
pub(crate) mod tests;
