//! Who asks, and whether they may: client certificates, API tokens, and the authorizer.
//!
//! Until RBAC exists only the group `system:masters` may use the API. Nothing here reads a cluster
//! object, and no secret is ever part of an error.

mod authorize;
mod certificate;
pub mod tokens;

pub use authorize::{Attributes, allowed, forbidden};
pub use certificate::{end_of_certificate, user_of_certificate};
pub use tokens::Tokens;

use base64::Engine as _;
use http::{HeaderMap, header};
use std::collections::BTreeMap;

/// The group that may do everything.
pub const MASTERS: &str = "system:masters";
/// The group of everyone who proved who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The user of a request without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";

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
}

impl Authenticator {
    /// An authenticator of client certificates and of these API tokens.
    #[must_use]
    pub fn new(tokens: Tokens) -> Self {
        Self { tokens }
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
            return impersonated(user.clone(), headers);
        }
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Ok(UserInfo::anonymous());
        };
        let value = value.to_str().map_err(|_not_text| InvalidCredentials)?;
        let (scheme, rest) = value.trim().split_once(' ').ok_or(InvalidCredentials)?;
        let token = if scheme.eq_ignore_ascii_case("bearer") {
            rest.trim().to_owned()
        } else if scheme.eq_ignore_ascii_case("basic") && schemes == Schemes::BearerAndBasic {
            basic_password(rest.trim()).ok_or(InvalidCredentials)?
        } else {
            return Err(InvalidCredentials);
        };
        let user = self.tokens.user(&token).ok_or(InvalidCredentials)?;
        impersonated(user, headers)
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

/// `--as` and `--as-group`: who may do everything may also act as someone else.
///
/// A header that is ignored would let a command run with more rights than its author asked for.
fn impersonated(user: UserInfo, headers: &HeaderMap) -> Result<UserInfo, InvalidCredentials> {
    let text = |name: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let Some(name) = text("impersonate-user").next() else {
        let stray = headers.contains_key("impersonate-group")
            || headers.contains_key("impersonate-uid")
            || headers
                .keys()
                .any(|name| name.as_str().starts_with("impersonate-extra-"));
        return if stray {
            Err(InvalidCredentials)
        } else {
            Ok(user)
        };
    };
    if !user.is_master() {
        return Err(InvalidCredentials);
    }
    let mut other = UserInfo::new(name, text("impersonate-group"));
    other.uid = text("impersonate-uid").next().unwrap_or_default();
    Ok(other)
}

#[cfg(test)]
mod tests;
