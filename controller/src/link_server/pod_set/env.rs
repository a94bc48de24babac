//! A container's environment: `envFrom`, then `env`, then the services.
//!
//! Source: k8s.io/kubernetes `pkg/kubelet/kubelet_pods.go`, `makeEnvironmentVariables`.

use super::{Subject, expand, field, service_env};
use coracle_api::{
    k8s_openapi::api::core::v1::{
        ConfigMap, ConfigMapKeySelector, Container, EnvFromSource, EnvVarSource, Secret,
        SecretKeySelector,
    },
    kind,
};
use coracle_link::pod::{EnvVar, Sensitive};
use std::{collections::BTreeMap, sync::Arc};

/// A resolved environment; a name is in it once.
#[derive(Debug, Default)]
pub(super) struct Env {
    /// In the order of the manifest.
    variables: Vec<(String, String)>,
    services: BTreeMap<String, String>,
}

impl Env {
    fn set(&mut self, name: String, value: String) {
        match self.variables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.variables.push((name, value)),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let own = self.variables.iter().find(|(known, _)| known == name);
        own.map(|(_, value)| value)
            .or_else(|| self.services.get(name))
            .map(String::as_str)
    }

    /// Replaces `$(NAME)`.
    pub(super) fn expand(&self, text: &str) -> String {
        expand::expand(text, |name| self.get(name))
    }

    /// The variables, services last.
    pub(super) fn into_variables(self) -> Vec<EnvVar> {
        let Self {
            variables,
            services,
        } = self;
        let known: Vec<String> = variables.iter().map(|(name, _)| name.clone()).collect();
        let services = services
            .into_iter()
            .filter(|(name, _)| !known.contains(name));
        let all: Vec<(String, String)> = variables.into_iter().chain(services).collect();
        all.into_iter()
            .map(|(name, value)| EnvVar {
                name,
                value: Sensitive(value.into_bytes()),
            })
            .collect()
    }
}

/// The environment of a container.
///
/// # Errors
/// The first reference that cannot be resolved, in upstream's words.
pub(super) fn resolve(subject: &Subject<'_>, container: &Container) -> Result<Env, String> {
    let mut env = Env {
        variables: Vec::new(),
        services: service_env::variables(subject),
    };
    for source in container.env_from.iter().flatten() {
        for (name, value) in from(subject, source)? {
            env.set(name, value);
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value_from, &variable.value) {
            (Some(source), _) => match value_from(subject, source, &container.name)? {
                Some(value) => value,
                None => continue,
            },
            (None, Some(value)) => env.expand(value),
            (None, None) => String::new(),
        };
        env.set(variable.name.clone(), value);
    }
    Ok(env)
}

fn from(subject: &Subject<'_>, source: &EnvFromSource) -> Result<Vec<(String, String)>, String> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let named = |(key, value): (&String, String)| (format!("{prefix}{key}"), value);
    if let Some(reference) = &source.config_map_ref {
        let optional = reference.optional.unwrap_or(false);
        let found = optional_or(config_map(subject, &reference.name), optional)?;
        let data = found.iter().flat_map(|map| map.data.iter().flatten());
        return Ok(data
            .map(|(key, value)| named((key, value.clone())))
            .collect());
    }
    if let Some(reference) = &source.secret_ref {
        let optional = reference.optional.unwrap_or(false);
        let found = optional_or(secret(subject, &reference.name), optional)?;
        let data = found.iter().flat_map(|secret| secret.data.iter().flatten());
        return data
            .map(|(key, value)| Ok(named((key, text(&value.0, key)?))))
            .collect();
    }
    Ok(Vec::new())
}

/// The value, or none when an optional reference leads nowhere.
fn value_from(
    subject: &Subject<'_>,
    source: &EnvVarSource,
    container: &str,
) -> Result<Option<String>, String> {
    if let Some(selector) = &source.field_ref {
        return field::of_pod(subject, selector).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        return field::of_resources(subject, selector, container).map(Some);
    }
    if let Some(selector) = &source.config_map_key_ref {
        return of_config_map(subject, selector);
    }
    if let Some(selector) = &source.secret_key_ref {
        return of_secret(subject, selector);
    }
    Err("an env valueFrom has a source that is not available here".to_owned())
}

fn of_config_map(
    subject: &Subject<'_>,
    selector: &ConfigMapKeySelector,
) -> Result<Option<String>, String> {
    let optional = selector.optional.unwrap_or(false);
    let Some(map) = optional_or(config_map(subject, &selector.name), optional)? else {
        return Ok(None);
    };
    let value = map.data.as_ref().and_then(|data| data.get(&selector.key));
    match value {
        Some(value) => Ok(Some(value.clone())),
        None if optional => Ok(None),
        None => Err(missing_key(
            subject,
            &selector.key,
            "ConfigMap",
            &selector.name,
        )),
    }
}

fn of_secret(
    subject: &Subject<'_>,
    selector: &SecretKeySelector,
) -> Result<Option<String>, String> {
    let optional = selector.optional.unwrap_or(false);
    let Some(secret) = optional_or(secret(subject, &selector.name), optional)? else {
        return Ok(None);
    };
    let value = secret
        .data
        .as_ref()
        .and_then(|data| data.get(&selector.key));
    match value {
        Some(value) => text(&value.0, &selector.key).map(Some),
        None if optional => Ok(None),
        None => Err(missing_key(
            subject,
            &selector.key,
            "Secret",
            &selector.name,
        )),
    }
}

fn missing_key(subject: &Subject<'_>, key: &str, kind: &str, name: &str) -> String {
    let namespace = subject.namespace;
    format!("couldn't find key {key} in {kind} {namespace}/{name}")
}

/// A variable is text; WASI has no other.
fn text(bytes: &[u8], key: &str) -> Result<String, String> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned)
        .map_err(|_bytes| format!("the value of key {key} is not UTF-8 text; mount it as a file"))
}

/// A missing object is no error where the reference is optional.
pub(super) fn optional_or<T>(
    found: Result<T, String>,
    optional: bool,
) -> Result<Option<T>, String> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(_missing) if optional => Ok(None),
        Err(missing) => Err(missing),
    }
}

pub(super) fn config_map(subject: &Subject<'_>, name: &str) -> Result<Arc<ConfigMap>, String> {
    let found = subject.view.get(kind::CONFIG_MAP, subject.namespace, name);
    found
        .and_then(|object| object.typed().ok())
        .ok_or_else(|| format!("configmap {name:?} not found"))
}

pub(super) fn secret(subject: &Subject<'_>, name: &str) -> Result<Arc<Secret>, String> {
    let found = subject.view.get(kind::SECRET, subject.namespace, name);
    found
        .and_then(|object| object.typed().ok())
        .ok_or_else(|| format!("secret {name:?} not found"))
}
