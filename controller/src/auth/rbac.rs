//! Rules of roles: what one allows, and what a set of them covers. Pure.
//!
//! Source: k8s.io/kubernetes `pkg/apis/rbac/v1/evaluation_helpers.go`, k8s.io/component-helpers
//! `auth/rbac/validation`.

use super::{Attributes, UserInfo};
use coracle_api::k8s_openapi::api::rbac::v1::PolicyRule;
use std::collections::{BTreeMap, BTreeSet};

/// Single permissions that a role may break down to before it is compared with what its writer holds: the
/// comparison is made while other writes wait. Upstream's `admin` has under a thousand.
const PERMISSIONS_MAX: usize = 10_000;
/// Comparisons of one check, for the same reason: half a second of them.
const COMPARISONS_MAX: usize = 20_000_000;

/// Every resource, group, verb or path.
const ALL: &str = "*";

/// Whether a rule allows what is asked.
#[must_use]
pub fn allows(rule: &PolicyRule, asked: &Attributes<'_>) -> bool {
    if !has_or_all(&rule.verbs, asked.verb) {
        return false;
    }
    if asked.resource.is_empty() {
        return list(rule.non_resource_urls.as_ref())
            .iter()
            .any(|url| url == ALL || url_covers(url, asked.path));
    }
    has_or_all(list(rule.api_groups.as_ref()), asked.group)
        && list(rule.resources.as_ref())
            .iter()
            .any(|resource| resource_matches(resource, asked))
        && names_match(list(rule.resource_names.as_ref()), asked.name)
}

fn list(list: Option<&Vec<String>>) -> &[String] {
    list.map_or(&[], Vec::as_slice)
}

fn has_or_all(list: &[String], wanted: &str) -> bool {
    list.iter().any(|one| one == ALL || one == wanted)
}

/// `pods`, `pods/log`, `*/scale` or `*`.
fn resource_matches(resource: &str, asked: &Attributes<'_>) -> bool {
    if resource == ALL {
        return true;
    }
    match resource.split_once('/') {
        None => asked.subresource.is_empty() && resource == asked.resource,
        Some((of, sub)) => {
            !asked.subresource.is_empty()
                && sub == asked.subresource
                && (of == ALL || of == asked.resource)
        }
    }
}

/// No names are all names; a request without a name is for none of them.
fn names_match(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|one| one == name)
}

/// A star stands for the rest of a path, at its end only.
fn url_covers(url: &str, path: &str) -> bool {
    url == path || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
}

/// One permission of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permission<'a> {
    Resource {
        group: &'a str,
        resource: &'a str,
        verb: &'a str,
        /// Empty for every name.
        name: Option<&'a str>,
    },
    Path {
        url: &'a str,
        verb: &'a str,
    },
}

impl Permission<'_> {
    fn is_covered_by(&self, rule: &PolicyRule) -> bool {
        match *self {
            Self::Resource {
                group,
                resource,
                verb,
                name,
            } => {
                let names = list(rule.resource_names.as_ref());
                let part = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
                has_or_all(&rule.verbs, verb)
                    && has_or_all(list(rule.api_groups.as_ref()), group)
                    && list(rule.resources.as_ref()).iter().any(|one| {
                        one == ALL || one == resource || part.as_deref() == Some(one.as_str())
                    })
                    && (names.is_empty()
                        || name.is_some_and(|name| names.iter().any(|one| one == name)))
            }
            Self::Path { url, verb } => {
                has_or_all(&rule.verbs, verb)
                    && list(rule.non_resource_urls.as_ref())
                        .iter()
                        .any(|one| url_covers(one, url))
            }
        }
    }
}

/// A role has more permissions than can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rules are too many to compare with those held (more than {PERMISSIONS_MAX} single permissions, or \
     {COMPARISONS_MAX} comparisons); only a member of system:masters may grant them at once"
)]
pub struct TooMany;

fn break_down(rules: &[PolicyRule]) -> Result<Vec<Permission<'_>>, TooMany> {
    let mut permissions = Vec::new();
    for rule in rules {
        let (groups, resources) = (
            list(rule.api_groups.as_ref()),
            list(rule.resources.as_ref()),
        );
        let (names, urls) = (
            list(rule.resource_names.as_ref()),
            list(rule.non_resource_urls.as_ref()),
        );
        // Counted before it is made.
        let of_resources = [groups.len(), resources.len(), names.len().max(1)]
            .iter()
            .fold(rule.verbs.len(), |all, part| all.saturating_mul(*part));
        let of_urls = rule.verbs.len().saturating_mul(urls.len());
        if permissions
            .len()
            .saturating_add(of_resources)
            .saturating_add(of_urls)
            > PERMISSIONS_MAX
        {
            return Err(TooMany);
        }
        for verb in &rule.verbs {
            for (group, resource) in groups
                .iter()
                .flat_map(|group| resources.iter().map(move |resource| (group, resource)))
            {
                let mut add = |name| {
                    permissions.push(Permission::Resource {
                        group,
                        resource,
                        verb,
                        name,
                    });
                };
                if names.is_empty() {
                    add(None);
                }
                names.iter().for_each(|name| add(Some(name)));
            }
            permissions.extend(urls.iter().map(|url| Permission::Path { url, verb }));
        }
    }
    Ok(permissions)
}

/// The texts of a rule.
fn size(rule: &PolicyRule) -> usize {
    let lists = [
        &rule.api_groups,
        &rule.resources,
        &rule.resource_names,
        &rule.non_resource_urls,
    ];
    lists.iter().fold(rule.verbs.len(), |all, texts| {
        all + list(texts.as_ref()).len()
    })
}

/// What of `wanted` the rules in `held` do not cover, in upstream's form; empty when they cover it all.
///
/// # Errors
/// When there is too much to compare.
pub fn missing(held: &[PolicyRule], wanted: &[PolicyRule]) -> Result<BTreeSet<String>, TooMany> {
    let mut lines = BTreeSet::new();
    // What differs by verb alone is said in one line.
    let mut simple: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let permissions = break_down(wanted)?;
    let size = held.iter().map(size).fold(0, usize::saturating_add);
    if permissions.len().saturating_mul(size) > COMPARISONS_MAX {
        return Err(TooMany);
    }
    for permission in permissions {
        if held.iter().any(|rule| permission.is_covered_by(rule)) {
            continue;
        }
        match permission {
            Permission::Resource {
                group,
                resource,
                verb,
                name: None,
            } => {
                let verbs = simple.entry((group, resource)).or_default();
                if !verbs.contains(&verb) {
                    verbs.push(verb);
                }
            }
            Permission::Resource {
                group,
                resource,
                verb,
                name: Some(name),
            } => {
                lines.insert(format!(
                    "{{APIGroups:[{group:?}], Resources:[{resource:?}], ResourceNames:[{name:?}], Verbs:[{verb:?}]}}"
                ));
            }
            Permission::Path { url, verb } => {
                lines.insert(format!("{{NonResourceURLs:[{url:?}], Verbs:[{verb:?}]}}"));
            }
        }
    }
    for ((group, resource), verbs) in simple {
        lines.insert(format!(
            "{{APIGroups:[{group:?}], Resources:[{resource:?}], Verbs:{}}}",
            quoted(&verbs)
        ));
    }
    Ok(lines)
}

/// Why a user may not grant what is missing.
#[must_use]
pub fn escalation(user: &UserInfo, missing: &BTreeSet<String>) -> String {
    let lines: Vec<&str> = missing.iter().map(String::as_str).collect();
    format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        lines.join("\n")
    )
}

/// A list of texts as upstream prints it: `["a" "b"]`.
fn quoted(list: &[impl AsRef<str>]) -> String {
    let each: Vec<String> = list
        .iter()
        .map(|one| format!("{:?}", one.as_ref()))
        .collect();
    format!("[{}]", each.join(" "))
}

#[cfg(test)]
mod tests;
