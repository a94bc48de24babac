//! How much an emptyDir holds, and which one holds more than it may.

use super::Volumes;
use coracle_link::pod::{Pod, VolumeSource};
use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf, time::Duration};

/// Between two looks, as upstream's eviction.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);
/// Files looked at; a guest with more of them is not worth more of the disk's time.
const ENTRIES_MAX: u32 = 100_000;
/// `st_blocks` counts in these.
const BLOCK_BYTES: u64 = 512;

/// An emptyDir that is too full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) volume: String,
    pub(crate) limit: u64,
}

impl Excess {
    /// Upstream's sentence.
    pub(crate) fn message(&self) -> String {
        format!(
            "Usage of EmptyDir volume \"{}\" exceeds the limit \"{}\". ",
            self.volume,
            quantity(self.limit)
        )
    }
}

/// Some volume of the pod has a limit.
pub(crate) fn is_limited(pod: &Pod) -> bool {
    pod.volumes
        .iter()
        .any(|volume| limit(pod, &volume.source).is_some())
}

/// What is in memory is limited by the pod's own memory limits if nothing else is said, as upstream.
fn limit(pod: &Pod, source: &VolumeSource) -> Option<u64> {
    match source {
        VolumeSource::EmptyDir {
            size_limit: Some(limit),
            ..
        } => Some(*limit),
        VolumeSource::EmptyDir { memory: true, .. } => {
            pod.containers.iter().try_fold(0_u64, |sum, container| {
                Some(sum.saturating_add(container.limits.memory_bytes?))
            })
        }
        VolumeSource::EmptyDir { .. }
        | VolumeSource::ConfigMap(_)
        | VolumeSource::Secret(_)
        | VolumeSource::HostPath(_) => None,
    }
}

impl Volumes {
    /// The first volume of the pod that holds more than it may. Reads the disk: not for an async task.
    pub(crate) fn excess(&self, pod: &Pod) -> Option<Excess> {
        pod.volumes.iter().find_map(|volume| {
            let limit = limit(pod, &volume.source)?;
            let path = self.path(pod, &volume.name, &volume.source).ok()?;
            (used(path) > limit).then(|| Excess {
                volume: volume.name.clone(),
                limit,
            })
        })
    }
}

/// Bytes on disk below `root`; links are not followed.
fn used(root: PathBuf) -> u64 {
    let (mut bytes, mut entries, mut open) = (0, 0, vec![root]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            entries += 1;
            if entries > ENTRIES_MAX {
                return bytes;
            }
            bytes += metadata.blocks() * BLOCK_BYTES;
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    bytes
}

/// `10Mi`: the largest binary unit that divides it, as Kubernetes prints.
fn quantity(bytes: u64) -> String {
    let units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let (mut value, mut unit) = (bytes, 0);
    while value > 0 && value.is_multiple_of(1024) && unit + 1 < units.len() {
        (value, unit) = (value / 1024, unit + 1);
    }
    format!("{value}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use coracle_link::pod::{RestartPolicy, Volume};

    #[test]
    fn an_empty_dir_that_is_too_full() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(dir.path().to_owned(), Vec::new());
        let mut pod = testing::pod(RestartPolicy::Always, &[], &["a"]);
        assert!(!is_limited(&pod));
        pod.volumes.push(Volume {
            name: "v".to_owned(),
            source: VolumeSource::EmptyDir {
                memory: false,
                size_limit: Some(64 << 10),
            },
        });
        assert!(is_limited(&pod));
        volumes.sync(&pod).unwrap();
        assert_eq!(volumes.excess(&pod), None);
        let file = dir.path().join("uid-1/v/sub/file");
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, vec![1; 128 << 10]).unwrap();
        let message = volumes.excess(&pod).unwrap().message();
        let expect = "Usage of EmptyDir volume \"v\" exceeds the limit \"64Ki\". ";
        assert_eq!(message, expect);
    }

    #[test]
    fn quantities() {
        let shown = [0, 1000, 1024, 10 << 20, 3 << 30].map(quantity);
        assert_eq!(shown, ["0", "1000", "1Ki", "10Mi", "3Gi"]);
    }
}
