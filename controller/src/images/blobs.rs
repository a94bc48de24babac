//! Blobs on disk by content: `blobs/sha256/<hex>`, tags beside them.
//!
//! A blob is always complete and always has the digest of its name: it is written to a temporary
//! file, hashed, synced and renamed. Nothing here knows manifests or HTTP.

use super::reference::{Digest, is_repository, is_tag};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The content-addressed folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs {
    root: PathBuf,
}

/// Why a blob can not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("blob {0} is not here")]
    Missing(Digest),
    #[error("content has digest {actual}, not {expected}")]
    Mismatch { expected: Digest, actual: Digest },
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { what, path, source }
}

impl Blobs {
    /// Opens or creates the folder and drops uploads that a stop cut off.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let uploads = root.join("uploads");
        if uploads.exists() {
            fs::remove_dir_all(&uploads).map_err(failed("clear", &uploads))?;
        }
        for folder in [
            root.join("blobs/sha256"),
            root.join("tags"),
            root.join("compiled"),
            uploads,
        ] {
            fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Where compiled code is kept.
    pub fn compiled_dir(&self) -> PathBuf {
        self.root.join("compiled")
    }

    /// Where blobs are kept.
    pub fn blob_dir(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// Where a blob is, if it is here.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blob_dir().join(digest.hex())
    }

    /// Size in bytes, if the blob is here.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|meta| meta.len())
    }

    /// The whole blob; for manifests and modules, which are capped on their way in.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::Missing(digest.clone()))
            }
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Stores `bytes` and returns their digest.
    pub fn write(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        let target = self.path(&digest);
        if !target.exists() {
            write_durably(&target, bytes)?;
        }
        Ok(digest)
    }

    /// The file of the upload `id`.
    pub fn upload_path(&self, id: u128) -> PathBuf {
        self.root.join("uploads").join(format!("{id:032x}"))
    }

    /// How many uploads are open.
    pub fn uploads(&self) -> usize {
        fs::read_dir(self.root.join("uploads")).map_or(0, Iterator::count)
    }

    /// Drops uploads that were last written `idle` before `now`, a time of the same file system.
    pub fn drop_idle_uploads(&self, now: SystemTime, idle: Duration) {
        for entry in fs::read_dir(self.root.join("uploads"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let written = entry.metadata().and_then(|meta| meta.modified());
            let is_idle =
                written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age >= idle));
            if is_idle && fs::remove_file(entry.path()).is_ok() {
                tracing::info!(upload = ?entry.file_name(), "dropped an upload that nobody finished");
            }
        }
    }

    /// Makes a finished upload a blob, if it has the digest its sender says.
    pub fn finish_upload(&self, id: u128, expected: &Digest) -> Result<(), Error> {
        let from = self.upload_path(id);
        let actual = hash_file(&from)?;
        if actual != *expected {
            let _gone = fs::remove_file(&from);
            return Err(Error::Mismatch {
                expected: expected.clone(),
                actual,
            });
        }
        let to = self.path(expected);
        File::open(&from)
            .and_then(|file| file.sync_all())
            .map_err(failed("sync", &from))?;
        fs::rename(&from, &to).map_err(failed("rename", &from))?;
        sync_folder_of(&to)
    }

    fn tag_dir(&self, repository: &str) -> PathBuf {
        debug_assert!(is_repository(repository), "checked at the border");
        // `%` is in no repository name, so nested names can not collide with tag files.
        self.root.join("tags").join(repository.replace('/', "%"))
    }

    /// What a tag points to.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        if !is_repository(repository) || !is_tag(tag) {
            return None;
        }
        let text = fs::read_to_string(self.tag_dir(repository).join(tag)).ok()?;
        Digest::parse(text.trim()).ok()
    }

    /// Points a tag to a manifest.
    pub fn set_tag(&self, repository: &str, tag: &str, digest: &Digest) -> Result<(), Error> {
        let folder = self.tag_dir(repository);
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        write_durably(&folder.join(tag), digest.as_str().as_bytes())
    }

    /// Removes a tag; false if it was not there.
    pub fn remove_tag(&self, repository: &str, tag: &str) -> bool {
        fs::remove_file(self.tag_dir(repository).join(tag)).is_ok()
    }

    /// All tags of a repository, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        names_in(&self.tag_dir(repository))
    }

    /// All repositories, sorted.
    pub fn repositories(&self) -> Vec<String> {
        names_in(&self.root.join("tags"))
            .into_iter()
            .map(|name| name.replace('%', "/"))
            .collect()
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.ends_with(".tmp"))
        .collect();
    names.sort();
    names
}

/// SHA-256 of a file, in pieces.
pub fn hash_file(path: &Path) -> Result<Digest, Error> {
    use sha2::Digest as _;
    let mut file = File::open(path).map_err(failed("open", path))?;
    let mut hasher = sha2::Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let n = file.read(&mut piece).map_err(failed("read", path))?;
        if n == 0 {
            return Ok(Digest::from_hash(hasher.finalize().into()));
        }
        hasher.update(&piece[..n]);
    }
}

/// Writes a file so that it is either whole or not there, also after a power cut.
pub fn write_durably(target: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:08x}.tmp", rand::random::<u32>()));
    let temporary = target.with_file_name(name);
    let mut file = File::create(&temporary).map_err(failed("create", &temporary))?;
    file.write_all(bytes).map_err(failed("write", &temporary))?;
    file.sync_all().map_err(failed("sync", &temporary))?;
    fs::rename(&temporary, target).map_err(failed("rename", &temporary))?;
    sync_folder_of(target)
}

fn sync_folder_of(path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_found_by_its_digest_and_a_wrong_upload_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let digest = blobs.write(b"hello").unwrap();
        assert_eq!(blobs.read(&digest).unwrap(), b"hello");
        fs::write(blobs.upload_path(7), b"other").unwrap();
        assert!(matches!(
            blobs.finish_upload(7, &digest),
            Err(Error::Mismatch { .. })
        ));
        assert_eq!(blobs.uploads(), 0, "a refused upload leaves nothing");
        fs::write(blobs.upload_path(8), b"half").unwrap();
        let now = fs::metadata(blobs.upload_path(8))
            .unwrap()
            .modified()
            .unwrap();
        let idle = Duration::from_secs(60);
        blobs.drop_idle_uploads(now + idle / 2, idle);
        assert_eq!(blobs.uploads(), 1);
        blobs.drop_idle_uploads(now + idle, idle);
        assert_eq!(blobs.uploads(), 0);
    }

    #[test]
    fn tags_survive_reopening_and_uploads_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let digest = blobs.write(b"manifest").unwrap();
        blobs.set_tag("team/hello", "v1", &digest).unwrap();
        fs::write(blobs.upload_path(7), b"half").unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        assert_eq!(blobs.tag("team/hello", "v1"), Some(digest));
        assert_eq!(blobs.repositories(), ["team/hello"]);
        assert_eq!(blobs.uploads(), 0);
    }
}
