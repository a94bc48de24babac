//! Acting as somebody else: the `Impersonate-` headers, each checked by the verb `impersonate`.
//!
//! A header is never ignored: that would let a command run with more rights than its author asked for.
//! Source: k8s.io/apiserver `pkg/endpoints/filters/impersonation`.

use super::{
    ANONYMOUS, AUTHENTICATED, Attributes, Authorizer, UNAUTHENTICATED, UserInfo,
    authorize::forbidden, index::ACCOUNT_PREFIX,
};
use coracle_api::{
    StatusError,
    validate::{is_dns_label, is_dns_subdomain},
};
use http::HeaderMap;
use std::collections::BTreeMap;

/// How all of these headers begin.
pub(super) const PREFIX: &str = "impersonate-";
const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA_PREFIX: &str = "impersonate-extra-";
/// The group of what is no core resource.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Whom a request with these headers acts as; itself without any.
///
/// # Errors
/// 403 when the user may not act so; 500, as upstream, when it is not said as whom.
pub fn impersonate(
    authorizer: &Authorizer,
    user: UserInfo,
    headers: &HeaderMap,
) -> Result<UserInfo, StatusError> {
    let Some(wanted) = Wanted::read(headers)? else {
        return Ok(user);
    };
    for asked in wanted.asked() {
        let decision = authorizer.decide(&user, &asked);
        if !decision.allowed {
            return Err(forbidden(&user, &asked, &decision.reason));
        }
    }
    Ok(wanted.into_user())
}

/// The namespace and name of a service account's user.
#[must_use]
pub fn account_of(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(ACCOUNT_PREFIX)?.split_once(':')?;
    (is_dns_label(namespace) && is_dns_subdomain(name)).then_some((namespace, name))
}

/// What the headers ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    fn read(headers: &HeaderMap) -> Result<Option<Self>, StatusError> {
        let mut wanted = Self::default();
        let mut any = false;
        for (name, value) in headers {
            let name = name.as_str();
            if !name.starts_with(PREFIX) {
                continue;
            }
            any = true;
            let Ok(value) = value.to_str().map(str::to_owned) else {
                return Err(StatusError::bad_request(format!(
                    "the header {name} is no text"
                )));
            };
            match name {
                // As upstream the first one counts.
                USER if wanted.user.is_empty() => wanted.user = value,
                UID if wanted.uid.is_empty() => wanted.uid = value,
                USER | UID => {}
                GROUP => wanted.groups.push(value),
                _ => match name.strip_prefix(EXTRA_PREFIX) {
                    Some(key) => wanted.extra.entry(unescape(key)).or_default().push(value),
                    None => {
                        let why = format!("the header {name} is not known");
                        return Err(StatusError::bad_request(why));
                    }
                },
            }
        }
        if any && wanted.user.is_empty() {
            return Err(StatusError::internal(
                "requested groups, a uid or extras without impersonating a user",
            ));
        }
        Ok(any.then_some(wanted))
    }

    /// What has to be allowed, one by one.
    fn asked(&self) -> Vec<Attributes<'_>> {
        let of = |group, resource, name| Attributes {
            verb: "impersonate",
            group,
            resource,
            name,
            ..Attributes::default()
        };
        let mut asked = vec![match account_of(&self.user) {
            Some((namespace, name)) => Attributes {
                namespace,
                ..of("", "serviceaccounts", name)
            },
            None => of("", "users", &self.user),
        }];
        asked.extend(self.groups.iter().map(|name| of("", "groups", name)));
        for (key, values) in &self.extra {
            asked.extend(values.iter().map(|value| Attributes {
                subresource: key,
                ..of(AUTHENTICATION, "userextras", value)
            }));
        }
        if !self.uid.is_empty() {
            asked.push(of(AUTHENTICATION, "uids", &self.uid));
        }
        asked
    }

    fn into_user(mut self) -> UserInfo {
        if self.groups.is_empty()
            && let Some((namespace, _name)) = account_of(&self.user)
        {
            self.groups = account_groups(namespace).to_vec();
        }
        let has = |groups: &[String], name: &str| groups.iter().any(|group| group == name);
        let implied = if self.user == ANONYMOUS {
            UNAUTHENTICATED
        } else {
            AUTHENTICATED
        };
        let said = has(&self.groups, UNAUTHENTICATED)
            || (self.user != ANONYMOUS && has(&self.groups, AUTHENTICATED));
        if !said {
            self.groups.push(implied.to_owned());
        }
        UserInfo {
            name: self.user,
            uid: self.uid,
            groups: self.groups,
            extra: self.extra,
        }
    }
}

/// The groups of every service account of a namespace.
#[must_use]
pub fn account_groups(namespace: &str) -> [String; 2] {
    [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
    ]
}

/// A key of an extra may have letters that a header's name may not: they come percent-encoded.
fn unescape(key: &str) -> String {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    let bytes = key.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let pair = bytes
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
        decoded.push(pair.unwrap_or(bytes[at]));
        at += if pair.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).unwrap_or_else(|_| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(http::HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(pairs: &[(&'static str, &str)], asked: &[&str], groups: &[&str]) {
        let wanted = Wanted::read(&headers(pairs)).unwrap().unwrap();
        let found: Vec<String> = wanted
            .asked()
            .iter()
            .map(|one| {
                format!(
                    "{}/{}/{} {}/{}",
                    one.group, one.resource, one.subresource, one.namespace, one.name
                )
            })
            .collect();
        assert_eq!(found, asked);
        assert_eq!(wanted.into_user().groups, groups);
    }

    #[test]
    fn what_the_headers_ask_for() {
        check(
            &[(USER, "ann")],
            &["/users/ /ann"],
            &["system:authenticated"],
        );
        check(
            &[(USER, "ann"), (GROUP, "a"), (GROUP, "b")],
            &["/users/ /ann", "/groups/ /a", "/groups/ /b"],
            &["a", "b", "system:authenticated"],
        );
        check(
            &[(USER, "system:serviceaccount:n:robot")],
            &["/serviceaccounts/ n/robot"],
            &[
                "system:serviceaccounts",
                "system:serviceaccounts:n",
                "system:authenticated",
            ],
        );
        check(
            &[(USER, "system:serviceaccount:n:Robot")],
            &["/users/ /system:serviceaccount:n:Robot"],
            &["system:authenticated"],
        );
        check(
            &[(USER, ANONYMOUS)],
            &["/users/ /system:anonymous"],
            &["system:unauthenticated"],
        );
        check(
            &[
                (USER, "ann"),
                (UID, "u"),
                ("impersonate-extra-a.b%2fc", "x"),
            ],
            &[
                "/users/ /ann",
                "authentication.k8s.io/userextras/a.b/c /x",
                "authentication.k8s.io/uids/ /u",
            ],
            &["system:authenticated"],
        );
    }

    #[test]
    fn a_header_is_never_ignored() {
        for (pairs, code) in [
            (&[(GROUP, "g")][..], 500),
            (&[(UID, "u")], 500),
            (&[("impersonate-extra-a", "x")], 500),
            (&[("impersonate-other", "x"), (USER, "ann")], 400),
        ] {
            assert_eq!(
                Wanted::read(&headers(pairs)).unwrap_err().code,
                code,
                "{pairs:?}"
            );
        }
        assert_eq!(Wanted::read(&headers(&[])).unwrap(), None);
    }
}
