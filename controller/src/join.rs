//! Join tokens: what lets a box become a node, once.
//!
//! A token is kept as a Secret in `kube-system`, because a use has to be counted durably and in one
//! order with everything else (also with several controllers), and because an administrator can list
//! and revoke it with kubectl. It is of a type of its own, since upstream's bootstrap tokens hold
//! the secret in the clear: here only its SHA-256 is stored. A wrong token never changes anything.

use crate::{
    auth::tokens::hex,
    object::Object,
    registry::{Context, DeleteOptions, Registry, Subresource},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_api::{Key, StatusError, kind};
use coracle_link::token::{ID_CHARS, JoinToken, SECRET_CHARS};
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;

/// Where tokens are kept.
pub const NAMESPACE: &str = "kube-system";
/// Their type.
pub const SECRET_TYPE: &str = "coracle.dev/join-token";
/// Their name is this and the token's identifier.
const NAME_PREFIX: &str = "join-token-";
/// Where the address of the link is told, for whoever makes tokens.
pub const ANNOUNCEMENT_PATH: &str = "/api/v1/namespaces/kube-public/configmaps/coracle-link";
const ANNOUNCEMENT: (&str, &str) = ("kube-public", "coracle-link");
/// Letters of identifiers and secrets.
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// A token lives this long unless told otherwise, as upstream's.
pub const TTL_DEFAULT: SignedDuration = SignedDuration::from_hours(24);

/// Why a token lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Unknown, revoked, or with another secret; which of them is not told.
    #[error("the join token is not valid")]
    Invalid,
    /// Too late.
    #[error("the join token has expired; make a new one with: coracle token create")]
    Expired,
    /// It let in as many as it may.
    #[error("the join token has been used already; make a new one with: coracle token create")]
    Used,
    /// The store refuses.
    #[error("the join token cannot be checked: {0}")]
    Store(String),
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    hash: String,
    expires: Timestamp,
    uses_left: u32,
}

/// A new token for the controller of this CA (DER).
pub fn generate(ca: &[u8], rng: &mut (impl Rng + rand::CryptoRng)) -> JoinToken {
    let mut letters = |count: usize| -> String {
        let letter = |_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]);
        (0..count).map(letter).collect()
    };
    JoinToken {
        id: letters(ID_CHARS),
        secret: letters(SECRET_CHARS).into(),
        ca_sha256: Sha256::digest(ca).into(),
    }
}

/// Says in a ConfigMap where the link listens.
///
/// # Errors
/// When the registry refuses.
pub async fn announce(registry: &Registry, link: SocketAddr) -> Result<(), StatusError> {
    let (namespace, name) = ANNOUNCEMENT;
    let context = Context::system("link");
    let data = json!({"listen": link.to_string()});
    let key = Key::new(namespace, name);
    let written = registry
        .modify(&context, kind::CONFIG_MAP, &key, Subresource::None, |map| {
            map["data"] = data.clone();
            Ok(())
        })
        .await;
    match written {
        Err(error) if error.code == 404 => {
            let map = json!({"metadata": {"name": name}, "data": data});
            let created = registry.create(&context, kind::CONFIG_MAP, namespace, map);
            created.await.map(|_object| ())
        }
        other => other.map(|_object| ()),
    }
}

/// The Secret of a new token.
#[must_use]
pub fn secret(id: &str, secret: &[u8], expires: Timestamp, uses: u32) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": format!("{NAME_PREFIX}{id}"), "namespace": NAMESPACE},
        "type": SECRET_TYPE,
        "data": data(&Kept { hash: hash(secret), expires, uses_left: uses }),
    })
}

fn data(kept: &Kept) -> Value {
    let encode = |text: &str| STANDARD.encode(text);
    json!({
        "token-hash": encode(&kept.hash),
        "expiration": encode(&kept.expires.to_string()),
        "uses-left": encode(&kept.uses_left.to_string()),
    })
}

fn hash(secret: &[u8]) -> String {
    hex(&Sha256::digest(secret))
}

fn read(value: &Value) -> Option<Kept> {
    if value["type"] != SECRET_TYPE {
        return None;
    }
    let text = |field: &str| {
        let bytes = STANDARD.decode(value["data"][field].as_str()?).ok()?;
        String::from_utf8(bytes).ok()
    };
    Some(Kept {
        hash: text("token-hash")?,
        expires: text("expiration")?.parse().ok()?,
        uses_left: text("uses-left")?.parse().ok()?,
    })
}

/// Whether the token lets someone in now. What is wrong is told only to who knows the secret.
fn check(kept: Option<&Kept>, secret: &[u8], now: Timestamp) -> Result<(), Refusal> {
    let hash = hash(secret);
    // Compared also where there is none, so that the time says nothing.
    let stored = kept.map_or("", |kept| kept.hash.as_str());
    if !is_equal(stored.as_bytes(), hash.as_bytes()) {
        return Err(Refusal::Invalid);
    }
    match kept {
        None => Err(Refusal::Invalid),
        Some(kept) if kept.expires <= now => Err(Refusal::Expired),
        Some(kept) if kept.uses_left == 0 => Err(Refusal::Used),
        Some(_) => Ok(()),
    }
}

/// Looks at every byte, whatever the first ones say.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut differs = u8::from(a.len() != b.len());
    for (index, byte) in b.iter().enumerate() {
        differs |= a.get(index).copied().unwrap_or(0) ^ byte;
    }
    std::hint::black_box(differs) == 0
}

/// The tokens of a cluster. A clone is another handle to them.
#[derive(Debug, Clone)]
pub struct Tokens {
    registry: Registry,
}

impl Tokens {
    /// The tokens kept in a registry.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Keeps a new token.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn keep(
        &self,
        id: &str,
        bytes: &[u8],
        ttl: SignedDuration,
        uses: u32,
    ) -> Result<(), StatusError> {
        let now = self.registry.clock().now();
        let expires = now.saturating_add(ttl).unwrap_or(now);
        let value = secret(id, bytes, expires, uses);
        self.registry
            .create(&Context::system("join"), kind::SECRET, NAMESPACE, value)
            .await
            .map(|_object| ())
    }

    /// Whether a Node of this name is there.
    pub(crate) fn has_node(&self, name: &str) -> bool {
        let node = Key::cluster(name);
        self.registry.cache().get(kind::NODE, &node).is_some()
    }

    fn key(id: &str) -> Option<Key> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let valid = id.len() == ID_CHARS && id.bytes().all(plain);
        valid.then(|| Key::new(NAMESPACE, format!("{NAME_PREFIX}{id}")))
    }

    /// Whether a token lets someone in; uses nothing up.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, id: &str, secret: &[u8]) -> Result<(), Refusal> {
        let object = Self::key(id).and_then(|key| self.registry.cache().get(kind::SECRET, &key));
        let kept = object.and_then(|object| read(&object.value()));
        check(kept.as_ref(), secret, self.registry.clock().now())
    }

    /// Uses a token once; the use is on disk when this returns.
    ///
    /// # Errors
    /// Why it lets nobody in.
    pub async fn redeem(&self, id: &str, secret: &[u8]) -> Result<(), Refusal> {
        self.check(id, secret)?;
        let key = Self::key(id).ok_or(Refusal::Invalid)?;
        let now = self.registry.clock().now();
        let mut refusal = None;
        let context = Context::system("join");
        let written = self
            .registry
            .modify(&context, kind::SECRET, &key, Subresource::None, |value| {
                let kept = read(value);
                if let Err(why) = check(kept.as_ref(), secret, now) {
                    refusal = Some(why);
                    return Err(StatusError::bad_request("refused"));
                }
                if let Some(mut kept) = kept {
                    kept.uses_left -= 1;
                    value["data"] = data(&kept);
                }
                Ok(())
            })
            .await;
        match (written, refusal) {
            (Ok(_), _) => Ok(()),
            (Err(_), Some(why)) => Err(why),
            (Err(error), None) if error.code == 404 => Err(Refusal::Invalid),
            (Err(error), None) => Err(Refusal::Store(error.message)),
        }
    }

    /// Removes tokens that have expired.
    pub async fn sweep(&self) {
        let now = self.registry.clock().now();
        let context = Context::system("join");
        for object in self.registry.cache().list(kind::SECRET, Some(NAMESPACE)) {
            if !is_expired(&object, now) {
                continue;
            }
            let options = DeleteOptions {
                uid: Some(object.uid().to_owned()),
                ..DeleteOptions::default()
            };
            let removed = self
                .registry
                .delete(&context, kind::SECRET, &object.key, options);
            if let Err(error) = removed.await {
                tracing::warn!(name = %object.key.name, error = %error.message, "cannot remove an expired join token");
            }
        }
    }
}

fn is_expired(object: &Object, now: Timestamp) -> bool {
    object.key.name.starts_with(NAME_PREFIX)
        && read(&object.value()).is_some_and(|kept| kept.expires <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Embedded;
    use coracle_daemon::{Clock, Tasks};
    use std::{sync::Arc, time::Duration};

    async fn tokens(dir: &std::path::Path, clock: &Clock, tasks: &Tasks) -> Tokens {
        let store = Arc::new(Embedded::open(&dir.join("store")).unwrap());
        let registry = Registry::open(store, clock.clone(), tasks).unwrap();
        registry.bootstrap().await.unwrap();
        Tokens::new(registry)
    }

    #[tokio::test]
    async fn a_token_is_used_as_often_as_it_says_and_its_secret_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (clock, tasks) = (
            Clock::manual("2026-03-01T00:00:00Z".parse().unwrap()),
            Tasks::new(),
        );
        let tokens = tokens(dir.path(), &clock, &tasks).await;
        tokens
            .keep("abc123", b"word", TTL_DEFAULT, 2)
            .await
            .unwrap();
        assert_eq!(
            tokens.redeem("abc123", b"wrong").await,
            Err(Refusal::Invalid)
        );
        assert_eq!(
            tokens.redeem("xyz789", b"word").await,
            Err(Refusal::Invalid)
        );
        assert_eq!(tokens.redeem("../x", b"word").await, Err(Refusal::Invalid));
        assert_eq!(tokens.redeem("abc123", b"word").await, Ok(()));
        assert_eq!(tokens.redeem("abc123", b"word").await, Ok(()));
        assert_eq!(tokens.redeem("abc123", b"word").await, Err(Refusal::Used));
        let secrets = tokens.registry.cache().list(kind::SECRET, Some(NAMESPACE));
        let text = String::from_utf8_lossy(&secrets[0].raw).into_owned();
        assert!(!text.contains(&STANDARD.encode("word")), "{text}");
        drop(tokens);
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_token_expires_and_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let (clock, tasks) = (
            Clock::manual("2026-03-01T00:00:00Z".parse().unwrap()),
            Tasks::new(),
        );
        let tokens = tokens(dir.path(), &clock, &tasks).await;
        tokens
            .keep("abc123", b"word", TTL_DEFAULT, 1)
            .await
            .unwrap();
        clock.advance(Duration::from_secs(24 * 3600 - 1));
        assert_eq!(tokens.check("abc123", b"word"), Ok(()));
        tokens.sweep().await;
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            tokens.redeem("abc123", b"wrong").await,
            Err(Refusal::Invalid)
        );
        assert_eq!(
            tokens.redeem("abc123", b"word").await,
            Err(Refusal::Expired)
        );
        tokens.sweep().await;
        assert_eq!(
            tokens.redeem("abc123", b"word").await,
            Err(Refusal::Invalid)
        );
        drop(tokens);
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
    }

    #[test]
    fn equality() {
        assert!(is_equal(b"abc", b"abc"));
        for (a, b) in [("abc", "abd"), ("ab", "abc"), ("abcd", "abc"), ("", "a")] {
            assert!(!is_equal(a.as_bytes(), b.as_bytes()), "{a} {b}");
        }
    }
}
