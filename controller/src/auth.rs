//! Who asks, and whether they may: client certificates, API tokens, tokens of service accounts, and the
//! authorizer.
//!
//! Denied until granted. Cluster objects are read from the cache, at the moment of the question; no secret
//! is ever part of an error.

pub mod accounts;
mod authorize;
mod authorizer;
mod certificate;
mod impersonate;
mod index;
pub mod jwt;
pub mod node;
pub mod rbac;
pub mod tokens;

pub use accounts::Accounts;
pub(crate) use authorize::is_public;
pub use authorize::{Attributes, forbidden};
pub use authorizer::{Authorizer, Decision};
pub use certificate::{end_of_certificate, user_of_certificate};
pub use impersonate::{account_groups, account_of, impersonate};
pub use tokens::Tokens;

use base64::Engine as _;
use http::{HeaderMap, HeaderName, header};
use std::collections::BTreeMap;

/// The group that may do everything.
pub const MASTERS: &str = "system:masters";
/// The group of everyone who proved who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The user of a request without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Where a user's `extra` says which credential it came with.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// A user as Kubernetes describes one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserInfo {
    /// Unique name.
    pub name: String,
    /// Unique over time, or empty.
    pub uid: String,
    /// Groups, the implied ones included.
    pub groups: Vec<String>,
    /// Whatever else the authenticator knows.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user of these groups, with the group every authenticated user is in.
    #[must_use]
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self {
            name: name.into(),
            groups,
            ..Self::default()
        }
    }

    /// The user of a request without credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// True for [`UserInfo::anonymous`].
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// True for members of [`MASTERS`].
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// Whether a header says who asks, or as whom.
pub(crate) fn is_credential(name: &HeaderName) -> bool {
    name == header::AUTHORIZATION || name.as_str().starts_with(impersonate::PREFIX)
}

/// What is said of a token that is not looked at, as upstream: there is a second space before it.
pub(crate) const SPACE_BEFORE_TOKEN: &str = "the provided Authorization header contains extra space before the bearer token, and is ignored";

/// Whether a request's token is not looked at.
pub(crate) fn hides_token(headers: &HeaderMap) -> bool {
    let value = headers.get(header::AUTHORIZATION);
    let value = value.and_then(|value| value.to_str().ok());
    value.and_then(bearer) == Some("")
}

/// The token of a header of the scheme `Bearer`: what is between the first two spaces.
///
/// Source: k8s.io/apiserver `pkg/authentication/request/bearertoken`.
fn bearer(value: &str) -> Option<&str> {
    let mut parts = value.trim().split(' ');
    let scheme = parts.next()?;
    parts
        .next()
        .filter(|_token| scheme.eq_ignore_ascii_case("bearer"))
}

/// Credentials were given and are not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credentials are not valid")]
pub struct InvalidCredentials;

/// Which `Authorization` schemes an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schemes {
    /// `Bearer` alone: the Kubernetes API.
    Bearer,
    /// `Bearer`, and `Basic` with an API token as its password: the image registry.
    BearerAndBasic,
}

/// Turns a certificate or a header into a user.
#[derive(Debug, Clone)]
pub struct Authenticator {
    tokens: Tokens,
    accounts: Option<Accounts>,
}

impl Authenticator {
    /// An authenticator of client certificates and of these API tokens.
    #[must_use]
    pub fn new(tokens: Tokens) -> Self {
        Self {
            tokens,
            accounts: None,
        }
    }

    /// The same, which also knows tokens of service accounts.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = Some(accounts);
        self
    }

    /// What makes tokens of service accounts, where there are any.
    #[must_use]
    pub fn accounts(&self) -> Option<&Accounts> {
        self.accounts.as_ref()
    }

    /// Who sent a request with these headers over a connection with this certificate's user.
    ///
    /// # Errors
    /// When credentials are present and none is valid; without any the user is anonymous.
    pub fn authenticate(
        &self,
        certificate: Option<&UserInfo>,
        headers: &HeaderMap,
        schemes: Schemes,
    ) -> Result<UserInfo, InvalidCredentials> {
        if let Some(user) = certificate {
            return Ok(user.clone());
        }
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Ok(UserInfo::anonymous());
        };
        let value = value.to_str().map_err(|_not_text| InvalidCredentials)?;
        let token = match bearer(value) {
            Some("") => return Ok(UserInfo::anonymous()),
            Some(token) => token.to_owned(),
            None if schemes == Schemes::Bearer => return Err(InvalidCredentials),
            None => {
                let (scheme, rest) = value.trim().split_once(' ').ok_or(InvalidCredentials)?;
                let rest = scheme.eq_ignore_ascii_case("basic").then_some(rest.trim());
                rest.and_then(basic_password).ok_or(InvalidCredentials)?
            }
        };
        self.user_of(&token, &[accounts::ISSUER])
            .map(|(user, _audiences)| user)
            .ok_or(InvalidCredentials)
    }

    /// Whose token this is, and which of `audiences` it is for. An API token is for the API alone.
    #[must_use]
    pub fn user_of(&self, token: &str, audiences: &[&str]) -> Option<(UserInfo, Vec<String>)> {
        if jwt::looks_signed(token) {
            return self.accounts.as_ref()?.user(token, audiences);
        }
        let api = accounts::ISSUER;
        let user = audiences
            .contains(&api)
            .then(|| self.tokens.user(token))??;
        Some((user, vec![api.to_owned()]))
    }
}

fn basic_password(encoded: &str) -> Option<String> {
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':')
        .map(|(_user, password)| password.to_owned())
}

#[cfg(test)]
mod tests;
