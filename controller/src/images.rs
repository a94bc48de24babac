//! The image registry: an OCI distribution endpoint, a pull-through of others, compiled code.
//!
//! Everything is content-addressed on disk and hashed on arrival. A module is inspected before it
//! is stored under a name and compiled in a child process, never here. Knows nothing of pods;
//! the caller says what is in use.

pub mod artifact;
pub mod blobs;
mod collect;
pub mod compile;
mod credentials;
pub mod distribution;
pub mod reference;
mod upstream;

pub use compile::{Program, Target};
pub use credentials::docker_config_credentials;
pub use upstream::Credentials;

use blobs::Blobs;
use collect::Candidate;
use coracle_runtime::{Shape, compile as wasm};
use parking_lot::Mutex;
use reference::{Digest, Reference};
use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// Compiled files whose hash is remembered; each is some 100 bytes.
const HASHES_MAX: usize = 4096;
/// What is younger than this is never collected: its manifest may still be on its way.
const COLLECT_AGE_MIN: Duration = Duration::from_secs(3600);

/// Why an image can not be run, with the reason a pod shows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Name(#[from] reference::Error),
    #[error("image {0} is not in the registry; push it with: coracle push FILE.wasm {0}")]
    NotFound(Reference),
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    #[error("image {image} cannot be run: {message}")]
    Unusable { image: Reference, message: String },
    #[error("image {image} cannot be run on this node")]
    Compile {
        image: Reference,
        #[source]
        source: compile::Error,
    },
    #[error("the image store failed for {image}")]
    Store {
        image: Reference,
        #[source]
        source: blobs::Error,
    },
}

impl Error {
    /// The reason in a container's waiting state.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Name(_) => "InvalidImageName",
            Self::NotFound(_) | Self::Upstream(_) | Self::Unusable { .. } | Self::Store { .. } => {
                "ErrImagePull"
            }
            Self::Compile { .. } => "CreateContainerError",
        }
    }

    /// Display and the cause in one line, for a status message.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// The registry and repository an image is pulled from, as pull secrets name them; none for the built-in
/// registry and for what is no name.
#[must_use]
pub fn pulled_from(image: &str) -> Option<String> {
    let reference = Reference::parse(image).ok()?;
    Some(format!("{}/{}", reference.registry?, reference.repository))
}

/// Code an agent can run.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Digest of the manifest, for `imageID`.
    pub image_digest: Digest,
    /// The compiled code.
    pub artifact: PathBuf,
    /// Its SHA-256.
    pub artifact_sha256: [u8; 32],
    /// Its size, bytes.
    pub size: u64,
    /// What the module is.
    pub shape: Shape,
}

/// The image store. A clone is another handle to it.
#[derive(Debug, Clone)]
pub struct Images(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    blobs: Blobs,
    compiler: compile::Compiler,
    /// Names of this registry that people may write before a repository: `127.0.0.1:6443/app`.
    own_hosts: Vec<String>,
    hashes: Mutex<HashMap<PathBuf, [u8; 32]>>,
}

impl Images {
    /// Opens or creates the store in `dir`.
    pub fn open(
        dir: &Path,
        program: Program,
        own_hosts: Vec<String>,
    ) -> Result<Self, blobs::Error> {
        let blobs = Blobs::open(dir)?;
        let compiler = compile::Compiler::new(program, blobs.compiled_dir());
        Ok(Self(Arc::new(Inner {
            blobs,
            compiler,
            own_hosts,
            hashes: Mutex::default(),
        })))
    }

    fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    /// Resolves, checks and compiles an image for a node.
    pub async fn prepare(
        &self,
        image: &str,
        credentials: &[Credentials],
        target: &Target,
    ) -> Result<Prepared, Error> {
        let reference = self.parse(image)?;
        let manifest = self.resolve(&reference, credentials).await?;
        let (module, shape) = self.module(&reference, &manifest).await?;
        let wasm = self.blobs().path(&module);
        let artifact = self
            .0
            .compiler
            .compile(&module, &wasm, target)
            .await
            .map_err(|source| Error::Compile {
                image: reference.clone(),
                source,
            })?;
        let (artifact_sha256, size) = self.hash(&artifact).map_err(|source| Error::Store {
            image: reference,
            source,
        })?;
        Ok(Prepared {
            image_digest: manifest,
            artifact,
            artifact_sha256,
            size,
            shape,
        })
    }

    /// A reference, with our own address taken for the built-in registry.
    fn parse(&self, image: &str) -> Result<Reference, reference::Error> {
        let mut reference = Reference::parse(image)?;
        if reference
            .registry
            .as_ref()
            .is_some_and(|host| self.0.own_hosts.contains(host))
        {
            reference.registry = None;
        }
        Ok(reference)
    }

    async fn resolve(
        &self,
        reference: &Reference,
        credentials: &[Credentials],
    ) -> Result<Digest, Error> {
        if reference.registry.is_some() {
            return Ok(upstream::pull(self.blobs(), reference, credentials).await?);
        }
        let digest = match &reference.target {
            reference::Target::Digest(digest) => Some(digest.clone()),
            reference::Target::Tag(tag) => self.blobs().tag(&reference.repository, tag),
        };
        digest
            .filter(|digest| self.blobs().size(digest).is_some())
            .ok_or_else(|| Error::NotFound(reference.clone()))
    }

    /// The module of a stored manifest and what it is.
    async fn module(
        &self,
        reference: &Reference,
        manifest: &Digest,
    ) -> Result<(Digest, Shape), Error> {
        let (images, manifest) = (self.clone(), manifest.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let bytes = images
                .blobs()
                .read(&manifest)
                .map_err(|error| error.to_string())?;
            images.check(&bytes)
        });
        let unusable = |message| Error::Unusable {
            image: reference.clone(),
            message,
        };
        checked
            .await
            .map_err(|_stopped| unusable("the controller is stopping".to_owned()))?
            .map_err(unusable)
    }

    /// Says in a sentence why a manifest that is being pushed could never run.
    async fn check_manifest(&self, manifest: &[u8]) -> Result<(), String> {
        let (images, manifest) = (self.clone(), manifest.to_vec());
        tokio::task::spawn_blocking(move || images.check(&manifest).map(|_found| ()))
            .await
            .unwrap_or_else(|_stopped| Err("the controller is stopping".to_owned()))
    }

    fn check(&self, manifest: &[u8]) -> Result<(Digest, Shape), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let module = match artifact::module(manifest).map_err(|error| text(&error))? {
            artifact::Module::Layer(digest) => digest,
            artifact::Module::InTar(layers) => self.unpack(&layers)?,
        };
        if self
            .blobs()
            .size(&module)
            .is_some_and(|bytes| bytes > distribution::BLOB_BYTES_MAX)
        {
            return Err(format!(
                "its module is larger than {} bytes",
                distribution::BLOB_BYTES_MAX
            ));
        }
        let bytes = self.blobs().read(&module).map_err(|error| text(&error))?;
        let inspection = wasm::inspect(&bytes).map_err(|error| text(&error))?;
        Ok((module, inspection.shape))
    }

    /// Takes the module out of tar layers, so that it is a blob of its own.
    fn unpack(&self, layers: &[Digest]) -> Result<Digest, String> {
        for layer in layers {
            let bytes = self
                .blobs()
                .read(layer)
                .map_err(|error| error.to_string())?;
            if let Some(wasm) = artifact::wasm_in_tar(&bytes, distribution::BLOB_BYTES_MAX)
                .map_err(|error| error.to_string())?
            {
                return self.blobs().write(&wasm).map_err(|error| error.to_string());
            }
        }
        Err(artifact::Error::NoFile.to_string())
    }

    fn hash(&self, path: &Path) -> Result<([u8; 32], u64), blobs::Error> {
        use sha2::Digest as _;
        let size = |source| blobs::Error::Io {
            what: "read",
            path: path.to_owned(),
            source,
        };
        let len = fs::metadata(path).map_err(size)?.len();
        if let Some(hash) = self.0.hashes.lock().get(path) {
            return Ok((*hash, len));
        }
        let bytes = fs::read(path).map_err(size)?;
        let hash: [u8; 32] = sha2::Sha256::digest(&bytes).into();
        let mut hashes = self.0.hashes.lock();
        if hashes.len() >= HASHES_MAX {
            hashes.clear();
        }
        hashes.insert(path.to_owned(), hash);
        Ok((hash, len))
    }

    /// Frees disk space when the file system is fuller than the high mark. `images` are the image
    /// names of all pods; `now` is seconds since 1970. Returns the bytes freed.
    pub fn collect(&self, images: &HashSet<String>, now: u64) -> u64 {
        let Ok(stat) = rustix::fs::statvfs(self.blobs().blob_dir()) else {
            return 0;
        };
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        let used = total.saturating_sub(stat.f_bavail.saturating_mul(stat.f_frsize));
        let Some(free) = collect::bytes_to_free(used, total) else {
            return 0;
        };
        let in_use = self.in_use(images);
        let young = now.saturating_sub(COLLECT_AGE_MIN.as_secs());
        let mut candidates = candidates(&self.blobs().blob_dir());
        candidates.extend(candidates_of_code(&self.blobs().compiled_dir()));
        candidates.retain(|candidate| candidate.last_used < young);
        let mut freed = 0;
        for candidate in collect::plan(candidates, &in_use, free) {
            if fs::remove_file(&candidate.path).is_ok() {
                freed += candidate.bytes;
                self.0.hashes.lock().remove(&candidate.path);
            }
        }
        tracing::info!(freed, wanted = free, "collected images");
        freed
    }

    /// Hexadecimal names of all blobs that a tag or a pod reaches.
    fn in_use(&self, images: &HashSet<String>) -> HashSet<String> {
        let tagged = self
            .blobs()
            .repositories()
            .into_iter()
            .flat_map(|repository| {
                let tags = self.blobs().tags(&repository);
                tags.into_iter()
                    .filter_map(move |tag| self.blobs().tag(&repository, &tag))
            });
        let by_digest = images
            .iter()
            .filter_map(|image| match self.parse(image).ok()?.target {
                reference::Target::Digest(digest) => Some(digest),
                reference::Target::Tag(_) => None,
            });
        let mut in_use = HashSet::new();
        for manifest in tagged.chain(by_digest) {
            in_use.insert(manifest.hex().to_owned());
            let bytes = self.blobs().read(&manifest).unwrap_or_default();
            in_use.extend(
                artifact::blobs(&bytes)
                    .unwrap_or_default()
                    .iter()
                    .map(|blob| blob.hex().to_owned()),
            );
        }
        in_use
    }
}

fn candidates(folder: &Path) -> Vec<Candidate> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let meta = entry.metadata().ok()?;
            let used = meta
                .accessed()
                .or_else(|_unsupported| meta.modified())
                .ok()?;
            Some(Candidate {
                path: entry.path(),
                bytes: meta.len(),
                last_used: used.duration_since(UNIX_EPOCH).ok()?.as_secs(),
                blob: entry.file_name().into_string().ok()?,
            })
        })
        .collect()
}

fn candidates_of_code(folder: &Path) -> Vec<Candidate> {
    let mut found = candidates(folder);
    for candidate in &mut found {
        candidate.blob.truncate(64);
    }
    found
}

#[cfg(test)]
mod tests;
