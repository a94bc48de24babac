//! Gets compiled code from the controller: which it is, then its bytes, going on where a broken link left off.

use super::{
    Images, PullError,
    cache::{Entry, Incoming, Sha256},
};
use crate::{
    events,
    link_client::{Link, StreamError},
};
use coracle_link::{
    pb,
    pod::{Container, Pod},
};
use std::{path::PathBuf, time::Duration};
use tokio::io::AsyncReadExt as _;

/// A pod that starts while the link is down waits this long for it.
const LINK_LIMIT: Duration = Duration::from_secs(20);
/// The same in the middle of a transfer.
const RESUME_LIMIT: Duration = Duration::from_secs(120);
/// Attempts in a row that bring no byte.
const EMPTY_ATTEMPTS_MAX: u32 = 3;
/// Silence in the middle of a transfer.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// Larger code is refused before a byte of it is stored.
const ARTIFACT_BYTES_MAX: u64 = 512 << 20;
/// Read at once.
const BLOCK_BYTES: usize = 32 * 1024;

/// The entry of an image and the authenticated file of its code.
pub(super) async fn fetch(
    images: &Images,
    pod: &Pod,
    spec: &Container,
) -> Result<(Entry, PathBuf), PullError> {
    let link = &images.inner.link;
    if !link.connected(LINK_LIMIT).await {
        return Err(PullError::pull(StreamError::NotConnected.to_string()));
    }
    let compatibility = images.inner.runtime.compatibility();
    let request = pb::ResolveImage {
        pod_uid: pod.uid.clone(),
        image: spec.image.clone(),
        target: compatibility.target,
        compatibility_hash: compatibility.hash.clone(),
    };
    let resolved = link.resolve(request).await.map_err(refused)?;
    let entry = entry(resolved, compatibility.hash)?;
    // Two references may mean one artifact.
    let flight = images.flight(&super::cache::hex(&entry.artifact));
    let turn = flight.acquire().await;
    let _turn = turn.map_err(|closed| PullError::pull(closed.to_string()))?;
    if let Some(path) = images.check(pod, spec, &entry).await? {
        return Ok((entry, path));
    }
    let path = Box::pin(transfer(images, link, &entry)).await?;
    Ok((entry, path))
}

fn entry(image: pb::Image, compatibility: String) -> Result<Entry, PullError> {
    let is_digest = image.image_digest.starts_with("sha256:") && image.image_digest.len() == 71;
    let artifact = Sha256::try_from(&image.artifact_sha256[..]).ok();
    match artifact.filter(|_| is_digest && !image.image_digest.contains(char::is_whitespace)) {
        Some(_) if image.size > ARTIFACT_BYTES_MAX => Err(PullError::pull(format!(
            "its compiled code has {} bytes, over this agent's limit of {ARTIFACT_BYTES_MAX}",
            image.size
        ))),
        Some(artifact) => Ok(Entry {
            image_digest: image.image_digest,
            artifact,
            size: image.size,
            compatibility,
        }),
        None => Err(PullError::pull("the controller named no digests")),
    }
}

/// The controller's words; a reason it may give becomes the container's.
fn refused(error: StreamError) -> PullError {
    const REASONS: [&str; 7] = [
        "ErrImagePull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "CreateContainerError",
        "CreateContainerConfigError",
    ];
    match error {
        StreamError::Failure { reason, message } => PullError {
            reason: REASONS
                .into_iter()
                .find(|known| *known == reason)
                .unwrap_or("ErrImagePull"),
            message,
        },
        error => PullError::pull(error.to_string()),
    }
}

async fn transfer(images: &Images, link: &Link, entry: &Entry) -> Result<PathBuf, PullError> {
    let artifact = entry.artifact;
    let inner = std::sync::Arc::clone(&images.inner);
    let opened = tokio::task::spawn_blocking(move || inner.cache.receive(&artifact)).await;
    let mut incoming = match opened {
        Ok(Ok(incoming)) => incoming,
        Ok(Err(error)) => return Err(unwritable(&error)),
        Err(error) => return Err(PullError::pull(error.to_string())),
    };
    if incoming.size() > entry.size {
        incoming.discard();
        return Err(PullError::pull(
            "what was received earlier is longer than the code; starting anew",
        ));
    }
    let mut empty = 0;
    while incoming.size() < entry.size {
        let before = incoming.size();
        let Err(broken) = part(link, entry, &mut incoming).await else {
            continue;
        };
        empty = if incoming.size() > before {
            0
        } else {
            empty + 1
        };
        let fatal = matches!(broken, Broken::Disk(_) | Broken::Refused(_));
        if fatal || empty >= EMPTY_ATTEMPTS_MAX || !link.connected(RESUME_LIMIT).await {
            return Err(broken.into_error());
        }
        tracing::info!(
            bytes = incoming.size(),
            of = entry.size,
            "a transfer of code was cut and goes on"
        );
    }
    let inner = std::sync::Arc::clone(&images.inner);
    let accepted =
        tokio::task::spawn_blocking(move || inner.cache.accept(incoming, &artifact)).await;
    match accepted {
        Ok(Ok(path)) => Ok(path),
        Ok(Err(error)) => {
            let text = format!("cannot keep its compiled code: {}", events::chain(&error));
            Err(PullError::pull(text))
        }
        Err(error) => Err(PullError::pull(error.to_string())),
    }
}

/// Why a part of a transfer ended early.
enum Broken {
    Link(String),
    Refused(PullError),
    Disk(std::io::Error),
}

impl Broken {
    fn into_error(self) -> PullError {
        match self {
            Self::Link(text) => PullError::pull(format!("its transfer was cut: {text}")),
            Self::Refused(error) => error,
            Self::Disk(error) => unwritable(&error),
        }
    }
}

fn unwritable(error: &std::io::Error) -> PullError {
    PullError::pull(format!("cannot write its compiled code: {error}"))
}

/// Receives as much as one stream brings; success is all of it.
async fn part(link: &Link, entry: &Entry, incoming: &mut Incoming) -> Result<(), Broken> {
    let mut reader = match link.fetch(&entry.artifact, incoming.size()).await {
        Ok(reader) => reader,
        Err(error @ StreamError::Failure { .. }) => return Err(Broken::Refused(refused(error))),
        Err(error) => return Err(Broken::Link(error.to_string())),
    };
    let mut block = vec![0; BLOCK_BYTES];
    while incoming.size() < entry.size {
        let room = entry.size - incoming.size();
        let room = usize::try_from(room)
            .unwrap_or(BLOCK_BYTES)
            .min(BLOCK_BYTES);
        let read = tokio::time::timeout(SILENCE_LIMIT, reader.read(&mut block[..room])).await;
        match read {
            Ok(Ok(0)) => return Err(Broken::Link("the stream ended".to_owned())),
            Ok(Ok(size)) => incoming.write(&block[..size]).map_err(Broken::Disk)?,
            Ok(Err(error)) => return Err(Broken::Link(error.to_string())),
            Err(_elapsed) => return Err(Broken::Link("the controller fell silent".to_owned())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_checked_before_it_is_used() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let image = |digest: &str, artifact: usize, size| pb::Image {
            image_digest: digest.to_owned(),
            artifact_sha256: vec![7; artifact],
            size,
        };
        assert!(entry(image(&digest, 32, 5), "c".to_owned()).is_ok());
        for bad in [
            image("", 32, 5),
            image("sha256:\t", 32, 5),
            image(&digest, 31, 5),
            image(&digest, 32, u64::MAX),
        ] {
            assert!(entry(bad, String::new()).is_err());
        }
    }

    #[test]
    fn a_reason_is_one_that_is_known() {
        let failure = |reason: &str| {
            refused(StreamError::Failure {
                reason: reason.to_owned(),
                message: "m".to_owned(),
            })
        };
        assert_eq!(failure("InvalidImageName").reason, "InvalidImageName");
        assert_eq!(failure("<script>").reason, "ErrImagePull");
        assert_eq!(refused(StreamError::NotConnected).reason, "ErrImagePull");
    }
}
