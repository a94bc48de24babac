//! Reads a kubeconfig: where the API is and how to prove who we are.
//!
//! Only what our own kubeconfigs and `kubectl config view --flatten --minify` hold; nothing is run
//! (no exec plugins).

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::path::Path;

/// The API endpoint and our credentials, PEM.
#[derive(Debug)]
pub(crate) struct Kubeconfig {
    /// `https://host:port`.
    pub(crate) server: String,
    /// The CA that signed the server's certificate.
    pub(crate) ca: Vec<u8>,
    /// Client certificate and key.
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
    /// Bearer token.
    pub(crate) token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
    contexts: Vec<NamedContext>,
    current_context: String,
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority_data: String,
}

#[derive(Debug, Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Debug, Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

impl Kubeconfig {
    /// Reads the current context of a file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read the kubeconfig {} (give it with --kubeconfig FILE)",
                path.display()
            )
        })?;
        Self::parse(&text).with_context(|| format!("cannot use the kubeconfig {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let file: File = serde_yaml_ng::from_str(text)?;
        let Some(context) = file
            .contexts
            .into_iter()
            .find(|context| context.name == file.current_context)
        else {
            bail!("it has no context {:?}", file.current_context);
        };
        let Some(cluster) = file
            .clusters
            .into_iter()
            .find(|cluster| cluster.name == context.context.cluster)
        else {
            bail!("it has no cluster {:?}", context.context.cluster);
        };
        let Some(user) = file
            .users
            .into_iter()
            .find(|user| user.name == context.context.user)
        else {
            bail!("it has no user {:?}", context.context.user);
        };
        let decode = |text: &str| {
            STANDARD
                .decode(text)
                .context("a certificate in it is not base64")
        };
        let client = match (
            &user.user.client_certificate_data,
            &user.user.client_key_data,
        ) {
            (Some(certificate), Some(key)) => Some((decode(certificate)?, decode(key)?)),
            _ => None,
        };
        Ok(Self {
            server: cluster.cluster.server,
            ca: decode(&cluster.cluster.certificate_authority_data)?,
            client,
            token: user.user.token,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_current_context() {
        let text = "
current-context: b
clusters:
- {name: c, cluster: {server: 'https://h:1', certificate-authority-data: aGk=}}
users:
- {name: u, user: {token: t}}
contexts:
- {name: a, context: {cluster: x, user: x}}
- {name: b, context: {cluster: c, user: u}}
";
        let config = Kubeconfig::parse(text).unwrap();
        assert_eq!(config.server, "https://h:1");
        assert_eq!(config.ca, b"hi");
        assert_eq!(config.token.as_deref(), Some("t"));
    }

    #[test]
    fn says_what_is_missing() {
        let error =
            Kubeconfig::parse("{current-context: a, clusters: [], users: [], contexts: []}")
                .unwrap_err();
        assert_eq!(error.to_string(), "it has no context \"a\"");
    }
}
