//! Volumes with their content: what ConfigMaps, Secrets and the downward API hold becomes files.
//!
//! A path of a file is always relative and never leaves its volume. Whatever holds a secret becomes a
//! secret volume as a whole: the agent keeps those in memory only.

use super::{Subject, env, field};
use coracle_api::{
    k8s_openapi::api::core::v1::{
        ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret, Volume as ApiVolume, VolumeProjection,
    },
    quantity::Quantity,
};
use coracle_link::pod::{File, Sensitive, Volume, VolumeSource};
use std::collections::BTreeMap;

/// Upstream's default mode of files.
const DEFAULT_MODE: i32 = 0o644;
/// Permission bits.
const MODE_MASK: i32 = 0o777;

/// All volumes that can be resolved, and what is wrong with the first that cannot.
pub(super) fn resolve(subject: &Subject<'_>) -> (Vec<Volume>, Option<String>) {
    let (mut volumes, mut error) = (Vec::new(), None);
    for volume in subject.spec.volumes.iter().flatten() {
        match source(subject, volume) {
            Ok(source) => volumes.push(Volume {
                name: volume.name.clone(),
                source,
            }),
            Err(why) if error.is_none() => {
                let name = &volume.name;
                error = Some(format!(
                    "MountVolume.SetUp failed for volume {name:?} : {why}"
                ));
            }
            Err(_one_is_told) => {}
        }
    }
    (volumes, error)
}

fn source(subject: &Subject<'_>, volume: &ApiVolume) -> Result<VolumeSource, String> {
    if let Some(empty) = &volume.empty_dir {
        let limit = empty.size_limit.as_ref().map(|limit| {
            let bytes = Quantity::parse(&limit.0).map(|limit| limit.value());
            bytes.ok().and_then(|bytes| u64::try_from(bytes).ok())
        });
        return Ok(VolumeSource::EmptyDir {
            memory: empty.medium.as_deref() == Some("Memory"),
            size_limit: limit.flatten().filter(|bytes| *bytes > 0),
        });
    }
    if let Some(map) = &volume.config_map {
        let what = Keys {
            items: map.items.as_deref(),
            mode: map.default_mode,
            optional: map.optional.unwrap_or(false),
        };
        return of_config_map(subject, &map.name, &what).map(VolumeSource::ConfigMap);
    }
    if let Some(secret) = &volume.secret {
        let what = Keys {
            items: secret.items.as_deref(),
            mode: secret.default_mode,
            optional: secret.optional.unwrap_or(false),
        };
        let name = secret.secret_name.as_deref().unwrap_or_default();
        return of_secret(subject, name, &what).map(VolumeSource::Secret);
    }
    if let Some(path) = &volume.host_path {
        return match path.type_.as_deref() {
            None | Some("" | "Directory" | "DirectoryOrCreate") => {
                Ok(VolumeSource::HostPath(path.path.clone()))
            }
            Some(other) => Err(format!(
                "hostPath type {other} is not available; use Directory"
            )),
        };
    }
    if let Some(downward) = &volume.downward_api {
        let items = downward.items.iter().flatten();
        return downward_files(subject, items, downward.default_mode).map(VolumeSource::ConfigMap);
    }
    if let Some(projected) = &volume.projected {
        return of_projections(
            subject,
            projected.sources.as_deref().unwrap_or_default(),
            projected.default_mode,
        );
    }
    Err(format!(
        "volumes of this type ({}) are not available; there are configMap, secret, emptyDir, hostPath, downwardAPI and projected",
        type_of(volume)
    ))
}

/// The name of the source field.
fn type_of(volume: &ApiVolume) -> String {
    let fields = serde_json::to_value(volume).unwrap_or_default();
    let fields = fields.as_object().into_iter().flatten();
    let source = fields
        .map(|(field, _)| field)
        .find(|field| *field != "name");
    source.map_or_else(|| "none".to_owned(), String::clone)
}

/// Which keys become files, and how.
struct Keys<'a> {
    items: Option<&'a [KeyToPath]>,
    mode: Option<i32>,
    optional: bool,
}

fn of_config_map(subject: &Subject<'_>, name: &str, keys: &Keys<'_>) -> Result<Vec<File>, String> {
    let found = env::optional_or(env::config_map(subject, name), keys.optional)?;
    let content = found.as_deref().map(config_map_content).unwrap_or_default();
    files(&content, keys, |key| {
        format!("configmap references non-existent config key: {key}")
    })
}

fn of_secret(subject: &Subject<'_>, name: &str, keys: &Keys<'_>) -> Result<Vec<File>, String> {
    let found = env::optional_or(env::secret(subject, name), keys.optional)?;
    let content = found.as_deref().map(secret_content).unwrap_or_default();
    files(&content, keys, |key| {
        format!("references non-existent secret key: {key}")
    })
}

type Content<'a> = BTreeMap<&'a str, &'a [u8]>;

fn config_map_content(map: &ConfigMap) -> Content<'_> {
    let text = map.data.iter().flatten();
    let text = text.map(|(key, value)| (key.as_str(), value.as_bytes()));
    let binary = map.binary_data.iter().flatten();
    let binary = binary.map(|(key, value)| (key.as_str(), value.0.as_slice()));
    text.chain(binary).collect()
}

fn secret_content(secret: &Secret) -> Content<'_> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.as_str(), value.0.as_slice()))
        .collect()
}

fn files(
    content: &Content<'_>,
    keys: &Keys<'_>,
    missing: impl Fn(&str) -> String,
) -> Result<Vec<File>, String> {
    let Some(items) = keys.items.filter(|items| !items.is_empty()) else {
        let all = content.iter();
        return all.map(|(key, data)| file(key, data, keys.mode)).collect();
    };
    let mut files = Vec::new();
    for item in items {
        match content.get(item.key.as_str()) {
            Some(data) => files.push(file(&item.path, data, item.mode.or(keys.mode))?),
            None if keys.optional => {}
            None => return Err(missing(&item.key)),
        }
    }
    Ok(files)
}

fn file(path: &str, data: &[u8], mode: Option<i32>) -> Result<File, String> {
    let inside = !path.is_empty()
        && !path.starts_with('/')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.starts_with("..");
    if !inside {
        return Err(format!(
            "path {path:?} must be relative and inside the volume"
        ));
    }
    let mode = mode.unwrap_or(DEFAULT_MODE) & MODE_MASK;
    Ok(File {
        path: path.to_owned(),
        data: Sensitive(data.to_vec()),
        mode: u32::try_from(mode).unwrap_or(0),
    })
}

fn downward_files<'a>(
    subject: &Subject<'_>,
    items: impl Iterator<Item = &'a DownwardAPIVolumeFile>,
    mode: Option<i32>,
) -> Result<Vec<File>, String> {
    items
        .map(|item| {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(selector), _) => field::of_pod(subject, selector)?,
                (None, Some(selector)) => field::of_resources(subject, selector, "")?,
                (None, None) => return Err(format!("item {:?} names no field", item.path)),
            };
            file(&item.path, value.as_bytes(), item.mode.or(mode))
        })
        .collect()
}

fn of_projections(
    subject: &Subject<'_>,
    sources: &[VolumeProjection],
    mode: Option<i32>,
) -> Result<VolumeSource, String> {
    let (mut files, mut secret) = (Vec::new(), false);
    for source in sources {
        if let Some(map) = &source.config_map {
            let what = Keys {
                items: map.items.as_deref(),
                mode,
                optional: map.optional.unwrap_or(false),
            };
            files.extend(of_config_map(subject, &map.name, &what)?);
        }
        if let Some(one) = &source.secret {
            let what = Keys {
                items: one.items.as_deref(),
                mode,
                optional: one.optional.unwrap_or(false),
            };
            files.extend(of_secret(subject, &one.name, &what)?);
            secret = true;
        }
        if let Some(downward) = &source.downward_api {
            let items = downward.items.iter().flatten();
            files.extend(downward_files(subject, items, mode)?);
        }
        if source.service_account_token.is_some() {
            return Err("projected service account tokens are not available yet".to_owned());
        }
        if source.cluster_trust_bundle.is_some() || source.pod_certificate.is_some() {
            return Err(
                "projected trust bundles and pod certificates are not available".to_owned(),
            );
        }
    }
    // A later source wins where two write the same path, as upstream.
    let mut by_path: BTreeMap<String, File> = BTreeMap::new();
    for file in files {
        by_path.insert(file.path.clone(), file);
    }
    let files = by_path.into_values().collect();
    Ok(if secret {
        VolumeSource::Secret(files)
    } else {
        VolumeSource::ConfigMap(files)
    })
}
