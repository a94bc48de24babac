//! The volumes of a pod on this machine: made before its first container, removed with it.
//!
//! A Secret is never written to anything but tmpfs. No path ever leaves the volume it belongs to.

use coracle_daemon::make_private_dir;
use coracle_link::pod::{Container, Pod, VolumeSource};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

pub(crate) mod files;
pub(crate) mod size;

/// `f_type` of tmpfs.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Why a volume can not be had. Becomes a `CreateContainerConfigError` or `FailedMount`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "volume \"{0}\" is a hostPath {1}, and the agent was not started with --allow-host-path for it"
    )]
    HostPath(String, String),
    #[error("hostPath {1} of volume \"{0}\" does not exist or is not a directory")]
    NoHostPath(String, String),
    #[error(
        "volume \"{0}\" must be in memory, and neither /dev/shm nor /run is a tmpfs this agent may write"
    )]
    NoTmpfs(String),
    #[error("volume mount refers to volume \"{0}\", which the pod does not have")]
    Unknown(String),
    #[error("\"{path}\" in volume \"{volume}\" is absolute or contains \"..\"")]
    Escapes { volume: String, path: String },
    #[error("subPath \"{path}\" of volume \"{volume}\" is a file; only a directory can be mounted")]
    SubPathFile { volume: String, path: String },
    #[error("cannot write volume \"{volume}\"")]
    Write {
        volume: String,
        #[source]
        source: io::Error,
    },
}

/// A directory a guest sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) read_only: bool,
}

/// Where the volumes of all pods are.
#[derive(Debug, Clone)]
pub(crate) struct Volumes {
    disk: PathBuf,
    tmpfs: Option<PathBuf>,
    host_paths: Vec<PathBuf>,
}

impl Volumes {
    /// `disk` is in the data directory; `host_paths` are the prefixes the operator allows.
    pub(crate) fn new(disk: PathBuf, host_paths: Vec<PathBuf>) -> Self {
        let tmpfs = tmpfs_for(&disk);
        Self {
            disk,
            tmpfs,
            host_paths,
        }
    }

    /// Makes all volumes of the pod, or brings their files up to date.
    pub(crate) fn sync(&self, pod: &Pod) -> Result<(), Error> {
        for volume in &pod.volumes {
            let name = &volume.name;
            let path = self.path(pod, name, &volume.source)?;
            let write = |source| Error::Write {
                volume: name.clone(),
                source,
            };
            match &volume.source {
                VolumeSource::EmptyDir { .. } => make_private_dir(&path).map_err(write)?,
                VolumeSource::ConfigMap(content) | VolumeSource::Secret(content) => {
                    for file in content {
                        inside(name, &file.path)?;
                    }
                    make_private_dir(&path).map_err(write)?;
                    files::replace(&path, content).map_err(write)?;
                }
                VolumeSource::HostPath(host) => {
                    if !path.is_dir() {
                        return Err(Error::NoHostPath(name.clone(), host.clone()));
                    }
                }
            }
        }
        Ok(())
    }

    /// What `container` sees of the pod's volumes.
    pub(crate) fn mounts(&self, pod: &Pod, container: &Container) -> Result<Vec<Mounted>, Error> {
        container
            .mounts
            .iter()
            .map(|mount| {
                let volume = pod
                    .volumes
                    .iter()
                    .find(|volume| volume.name == mount.volume);
                let volume = volume.ok_or_else(|| Error::Unknown(mount.volume.clone()))?;
                inside(&volume.name, &mount.sub_path)?;
                let root = self.path(pod, &volume.name, &volume.source)?;
                let fixed = matches!(
                    volume.source,
                    VolumeSource::ConfigMap(_) | VolumeSource::Secret(_)
                );
                let host = sub_path(&root, &volume.name, &mount.sub_path, fixed)?;
                Ok(Mounted {
                    host,
                    guest: mount.path.clone(),
                    read_only: mount.read_only || fixed,
                })
            })
            .collect()
    }

    fn path(&self, pod: &Pod, name: &str, source: &VolumeSource) -> Result<PathBuf, Error> {
        inside(name, name)?;
        inside(name, &pod.uid)?;
        let below = |root: &Path| root.join(&pod.uid).join(name);
        match source {
            VolumeSource::EmptyDir { memory: false, .. } | VolumeSource::ConfigMap(_) => {
                Ok(below(&self.disk))
            }
            VolumeSource::EmptyDir { memory: true, .. } | VolumeSource::Secret(_) => self
                .tmpfs
                .as_deref()
                .map(below)
                .ok_or_else(|| Error::NoTmpfs(name.to_owned())),
            VolumeSource::HostPath(path) => self.host_path(name, path),
        }
    }

    /// Resolved first, so that no symbolic link leads out of an allowed prefix.
    fn host_path(&self, name: &str, path: &str) -> Result<PathBuf, Error> {
        let refused = || Error::HostPath(name.to_owned(), path.to_owned());
        let given = Path::new(path);
        let is_plain = given.is_absolute()
            && given
                .components()
                .all(|part| !matches!(part, Component::ParentDir));
        if !is_plain
            || !self
                .host_paths
                .iter()
                .any(|prefix| given.starts_with(prefix))
        {
            return Err(refused());
        }
        let missing = |_absent: io::Error| Error::NoHostPath(name.to_owned(), path.to_owned());
        let real = given.canonicalize().map_err(missing)?;
        let allowed = self.host_paths.iter().any(|prefix| {
            prefix
                .canonicalize()
                .is_ok_and(|prefix| real.starts_with(prefix))
        });
        if allowed { Ok(real) } else { Err(refused()) }
    }

    /// Removes all volumes of a pod.
    pub(crate) fn remove(&self, uid: &str) {
        for root in [Some(&self.disk), self.tmpfs.as_ref()]
            .into_iter()
            .flatten()
        {
            if let Err(error) = fs::remove_dir_all(root.join(uid))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(uid, %error, "cannot remove volumes");
            }
        }
    }

    /// Uids that have volumes.
    pub(crate) fn pods(&self) -> Vec<String> {
        let roots = [Some(&self.disk), self.tmpfs.as_ref()]
            .into_iter()
            .flatten();
        let entries = roots.flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten());
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

/// A folder of our own on the first tmpfs that can be written; its name tells two agents of a machine apart.
fn tmpfs_for(disk: &Path) -> Option<PathBuf> {
    let disk = std::path::absolute(disk).ok()?;
    let hash = ring::digest::digest(&ring::digest::SHA256, disk.as_os_str().as_encoded_bytes());
    let name = format!("coracle-{}", crate::image::cache::hex(&hash.as_ref()[..8]));
    ["/dev/shm", "/run"].iter().find_map(|root| {
        let root = Path::new(root);
        let kind = rustix::fs::statfs(root).ok()?.f_type;
        let path = root.join(&name);
        let tmpfs = u64::try_from(kind).is_ok_and(|kind| kind == TMPFS_MAGIC);
        (tmpfs && own_dir(&path).is_ok()).then_some(path)
    })
}

/// Made by us, or refused: /dev/shm is everybody's.
fn own_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result,
    }
    let metadata = fs::symlink_metadata(path)?;
    let mine = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !mine {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn inside(volume: &str, path: &str) -> Result<(), Error> {
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if Path::new(path).components().all(plain) {
        return Ok(());
    }
    Err(Error::Escapes {
        volume: volume.to_owned(),
        path: path.to_owned(),
    })
}

/// A folder inside a volume; made if it is a guest's to write.
fn sub_path(root: &Path, volume: &str, path: &str, fixed: bool) -> Result<PathBuf, Error> {
    if path.is_empty() {
        return Ok(root.to_owned());
    }
    let write = |source| Error::Write {
        volume: volume.to_owned(),
        source,
    };
    let full = root.join(path);
    if !fixed && !full.exists() {
        make_private_dir(&full).map_err(write)?;
    }
    // A guest may have put a link there.
    let real = full.canonicalize().map_err(write)?;
    if !real.starts_with(root.canonicalize().map_err(write)?) {
        return Err(Error::Escapes {
            volume: volume.to_owned(),
            path: path.to_owned(),
        });
    }
    if real.is_dir() {
        return Ok(real);
    }
    Err(Error::SubPathFile {
        volume: volume.to_owned(),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use coracle_link::pod::{File, Mount, RestartPolicy, Sensitive, Volume};

    fn pod(source: VolumeSource, sub_path: &str) -> Pod {
        let mut pod = testing::pod(RestartPolicy::Always, &[], &["a"]);
        pod.volumes.push(Volume {
            name: "v".to_owned(),
            source,
        });
        pod.containers[0].mounts.push(Mount {
            volume: "v".to_owned(),
            path: "/v".to_owned(),
            sub_path: sub_path.to_owned(),
            read_only: false,
        });
        pod
    }

    fn text(path: &str, data: &str) -> File {
        File {
            path: path.to_owned(),
            data: Sensitive(data.into()),
            mode: 0o640,
        }
    }

    #[test]
    fn a_config_map_changes_under_a_mounted_folder() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(dir.path().to_owned(), Vec::new());
        let first = vec![text("a", "1"), text("sub/b", "2"), text("gone", "x")];
        let first = pod(VolumeSource::ConfigMap(first), "");
        volumes.sync(&first).unwrap();
        let mounted = volumes
            .mounts(&first, &first.containers[0])
            .unwrap()
            .remove(0);
        let read = |path: &str| fs::read_to_string(mounted.host.join(path)).ok();
        assert_eq!(
            (read("a"), read("sub/b")),
            (Some("1".to_owned()), Some("2".to_owned()))
        );
        assert!(mounted.read_only);
        let second = pod(
            VolumeSource::ConfigMap(vec![text("a", "3"), text("sub/b", "2")]),
            "",
        );
        volumes.sync(&second).unwrap();
        assert_eq!((read("a"), read("gone")), (Some("3".to_owned()), None));
        let mode = fs::metadata(mounted.host.join("a"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640);
        volumes.remove("uid-1");
        assert!(volumes.pods().is_empty());
    }

    #[test]
    fn a_secret_is_on_tmpfs_or_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let mut volumes = Volumes::new(dir.path().join("disk"), Vec::new());
        let pod = pod(VolumeSource::Secret(vec![text("key", "hidden")]), "");
        if volumes.tmpfs.is_some() {
            volumes.sync(&pod).unwrap();
            let host = volumes
                .mounts(&pod, &pod.containers[0])
                .unwrap()
                .remove(0)
                .host;
            assert!(!host.starts_with(dir.path()));
            volumes.remove(&pod.uid);
            assert!(!host.exists());
            let _cleanup = volumes.tmpfs.take().map(fs::remove_dir);
        }
        volumes.tmpfs = None;
        assert!(matches!(volumes.sync(&pod), Err(Error::NoTmpfs(_))));
    }

    #[test]
    fn nothing_leaves_its_volume() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(dir.path().to_owned(), vec![dir.path().join("shared")]);
        for path in ["../x", "/etc/passwd", "a/../../b"] {
            let pod = pod(VolumeSource::ConfigMap(vec![text(path, "")]), "");
            assert!(
                matches!(volumes.sync(&pod), Err(Error::Escapes { .. })),
                "{path}"
            );
        }
        let empty = || VolumeSource::EmptyDir {
            memory: false,
            size_limit: None,
        };
        let up = pod(empty(), "../..");
        assert!(volumes.mounts(&up, &up.containers[0]).is_err());
        let link = pod(empty(), "link");
        volumes.sync(&link).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("uid-1/v/link")).unwrap();
        assert!(matches!(
            volumes.mounts(&link, &link.containers[0]),
            Err(Error::Escapes { .. })
        ));
    }

    #[test]
    fn a_host_path_needs_the_operators_leave() {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("shared");
        fs::create_dir(&shared).unwrap();
        let volumes = Volumes::new(dir.path().join("disk"), vec![shared.clone()]);
        let host = |path: &Path| pod(VolumeSource::HostPath(path.display().to_string()), "");
        volumes.sync(&host(&shared)).unwrap();
        std::os::unix::fs::symlink("/etc", shared.join("etc")).unwrap();
        for path in [dir.path().to_owned(), shared.join(".."), shared.join("etc")] {
            let result = volumes.sync(&host(&path));
            assert!(
                matches!(result, Err(Error::HostPath(..))),
                "{}",
                path.display()
            );
        }
    }
}
