//! Credentials of other registries, from the Secrets that pods name as `imagePullSecrets`.
//!
//! Pure: the data of a Secret in, credentials for one image out. Nothing here is ever logged.
//! Source: the formats of `~/.docker/config.json` and `~/.dockercfg`; k8s.io/kubernetes `pkg/credentialprovider`.

use super::Credentials;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The key of a Secret of type `kubernetes.io/dockerconfigjson`.
const CONFIG_JSON: &str = ".dockerconfigjson";
/// The key of a Secret of the older type `kubernetes.io/dockercfg`.
const CONFIG: &str = ".dockercfg";
/// What Docker calls its own registry in these files.
const DOCKER_HUB: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "docker.io"];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// The credentials that the `data` of a pull Secret holds for `registry`: a host with its port, or a
/// host and a repository (`ghcr.io/team/app`); the longest entry that covers it wins. None where the Secret
/// has no such entry or cannot be read.
#[must_use]
pub fn docker_config_credentials(data: &Value, registry: &str) -> Option<Credentials> {
    let decode = |key: &str| {
        let text = data.get(key)?.as_str()?;
        STANDARD.decode(text).ok().map(Zeroizing::new)
    };
    let auths = match decode(CONFIG_JSON) {
        Some(bytes) => serde_json::from_slice::<Config>(&bytes).ok()?.auths,
        None => serde_json::from_slice(&decode(CONFIG)?).ok()?,
    };
    let (host, path) = split(registry);
    auths
        .iter()
        .filter(|(pattern, _)| covers(pattern, host, path))
        .max_by_key(|(pattern, _)| (split(pattern).1.len(), !pattern.contains('*')))
        .and_then(|(_, entry)| credentials(host, entry))
}

/// Host and path of `https://HOST/PATH/`; the API version that old files end in is no path.
fn split(text: &str) -> (&str, &str) {
    let bare = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let (host, path) = bare
        .unwrap_or(text)
        .split_once('/')
        .unwrap_or((bare.unwrap_or(text), ""));
    let path = path.trim_matches('/');
    (
        host,
        if matches!(path, "v1" | "v2") {
            ""
        } else {
            path
        },
    )
}

fn covers(pattern: &str, host: &str, path: &str) -> bool {
    let (pattern_host, pattern_path) = split(pattern);
    let inside = path
        .strip_prefix(pattern_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || pattern_path.is_empty());
    // Asked for a host alone, an entry for a part of it is better than none.
    let inside = inside || path.is_empty();
    inside
        && (is_host(pattern_host, host)
            || (DOCKER_HUB.contains(&pattern_host) && DOCKER_HUB.contains(&host)))
}

/// Label by label; `*` stands for any characters within a label but never for the port.
fn is_host(pattern: &str, host: &str) -> bool {
    let ((pattern, port), (host, own_port)) = (port(pattern), port(host));
    let (patterns, labels) = (pattern.split('.'), host.split('.'));
    port == own_port
        && pattern.split('.').count() == host.split('.').count()
        && patterns
            .zip(labels)
            .all(|(pattern, label)| matches(pattern, label))
}

fn port(host: &str) -> (&str, &str) {
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (host, ""),
    }
}

/// A label against a pattern with at most one `*`.
fn matches(pattern: &str, label: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(label),
        Some((start, end)) => {
            label.len() >= start.len() + end.len()
                && label.starts_with(start)
                && label.ends_with(end)
        }
    }
}

fn credentials(host: &str, entry: &Entry) -> Option<Credentials> {
    let (username, password) = if entry.auth.is_empty() {
        (entry.username.clone(), entry.password.clone())
    } else {
        let decoded = Zeroizing::new(STANDARD.decode(entry.auth.trim()).ok()?);
        let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        // Docker pads old entries with zeros.
        (name.to_owned(), password.trim_end_matches('\0').to_owned())
    };
    let registry = host.to_owned();
    (!username.is_empty() || !password.is_empty()).then_some(Credentials {
        registry,
        username,
        password,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret(config: &Value) -> Value {
        json!({CONFIG_JSON: STANDARD.encode(config.to_string())})
    }

    #[track_caller]
    fn check(auths: &Value, registry: &str, expected: Option<(&str, &str)>) {
        let found = docker_config_credentials(&secret(&json!({"auths": auths})), registry);
        let found = found
            .as_ref()
            .map(|c| (c.username.as_str(), c.password.as_str()));
        assert_eq!(found, expected, "{registry}");
    }

    #[test]
    fn finds_the_entry_of_a_registry() {
        let auth = |user: &str| json!({"auth": STANDARD.encode(format!("{user}:p:w"))});
        let plain = json!({"username": "u", "password": "p"});
        check(&json!({"ghcr.io": plain}), "ghcr.io", Some(("u", "p")));
        check(&json!({"ghcr.io": plain}), "quay.io", None);
        check(
            &json!({"https://ghcr.io/v2/": auth("a")}),
            "ghcr.io",
            Some(("a", "p:w")),
        );
        check(
            &json!({"https://index.docker.io/v1/": auth("a")}),
            "docker.io",
            Some(("a", "p:w")),
        );
        check(
            &json!({"127.0.0.1:5000": auth("a")}),
            "127.0.0.1:5000",
            Some(("a", "p:w")),
        );
        check(
            &json!({"127.0.0.1:5000": auth("a")}),
            "127.0.0.1:5001",
            None,
        );
        check(
            &json!({"*.example.com": auth("a")}),
            "r.example.com",
            Some(("a", "p:w")),
        );
        check(&json!({"*.example.com": auth("a")}), "example.com", None);
        check(
            &json!({"*.example.com": auth("a")}),
            "a.b.example.com",
            None,
        );
        let both = json!({"ghcr.io": auth("all"), "ghcr.io/team": auth("team")});
        check(&both, "ghcr.io/team/app", Some(("team", "p:w")));
        check(&both, "ghcr.io/teams/app", Some(("all", "p:w")));
        check(&json!({"ghcr.io": {}}), "ghcr.io", None);
        check(
            &json!({"ghcr.io": {"auth": "not base64!"}}),
            "ghcr.io",
            None,
        );
    }

    #[test]
    fn reads_the_older_form_and_refuses_nonsense() {
        let old = json!({CONFIG: STANDARD.encode(json!({"ghcr.io": {"username": "u", "password": "p"}}).to_string())});
        let found = docker_config_credentials(&old, "ghcr.io").unwrap();
        assert_eq!(
            (found.registry.as_str(), found.username.as_str()),
            ("ghcr.io", "u")
        );
        for data in [
            json!(null),
            json!({}),
            json!({CONFIG_JSON: "e30="}),
            json!({CONFIG_JSON: "%"}),
            json!({CONFIG_JSON: 1}),
        ] {
            assert!(
                docker_config_credentials(&data, "ghcr.io").is_none(),
                "{data}"
            );
        }
    }
}
