//! Pulls images of other registries into the local blobs.
//!
//! The registry is hostile: everything is capped, and every blob is hashed as it arrives.

use super::{
    artifact,
    blobs::{self, Blobs},
    distribution::BLOB_BYTES_MAX,
    reference::{Digest, Reference, Target},
};
use oci_client::{
    Client, Reference as OciReference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    manifest::{IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE},
    secrets::RegistryAuth,
};
use std::time::Duration;

/// For one request to a registry.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Credentials for one registry, from a pull secret.
#[derive(Clone, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct Credentials {
    /// Host (and port) they are for.
    pub registry: String,
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.registry)
    }
}

/// Why a pull failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot pull {image}: {message}")]
    Pull { image: String, message: String },
    #[error("cannot pull {image}: its blob {digest} is larger than {BLOB_BYTES_MAX} bytes")]
    TooLarge { image: String, digest: Digest },
    #[error("cannot store {image}")]
    Store {
        image: String,
        #[source]
        source: blobs::Error,
    },
}

/// Pulls manifest, config and layers; returns the manifest's digest.
pub(crate) async fn pull(
    blobs: &Blobs,
    reference: &Reference,
    credentials: &[Credentials],
) -> Result<Digest, Error> {
    let image = reference.to_string();
    let failed = |error: &dyn std::fmt::Display| Error::Pull {
        image: image.clone(),
        message: error.to_string(),
    };
    let registry = reference.registry.as_deref().unwrap_or_default();
    let oci = match &reference.target {
        Target::Tag(tag) => OciReference::with_tag(
            registry.to_owned(),
            reference.repository.clone(),
            tag.clone(),
        ),
        Target::Digest(digest) => OciReference::with_digest(
            registry.to_owned(),
            reference.repository.clone(),
            digest.to_string(),
        ),
    };
    let client = client(registry);
    let auth = credentials
        .iter()
        .find(|c| c.registry == registry)
        .map_or(RegistryAuth::Anonymous, |c| {
            RegistryAuth::Basic(c.username.clone(), c.password.clone())
        });
    client
        .auth(&oci, &auth, RegistryOperation::Pull)
        .await
        .map_err(|error| failed(&error))?;
    let accepted = [OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE];
    let (manifest, _digest) = client
        .pull_manifest_raw(&oci, &auth, &accepted)
        .await
        .map_err(|error| failed(&error))?;
    let digest = Digest::of(&manifest);
    if let Target::Digest(expected) = &reference.target
        && *expected != digest
    {
        return Err(failed(&format!(
            "the registry sent a manifest with digest {digest}"
        )));
    }
    for blob in artifact::blobs(&manifest).map_err(|error| failed(&error))? {
        if blobs.size(&blob).is_none() {
            pull_blob(&client, &oci, blobs, &blob, &image).await?;
        }
    }
    blobs.write(&manifest).map_err(|source| Error::Store {
        image: image.clone(),
        source,
    })
}

/// Plain HTTP only towards this machine, as Docker does.
fn client(registry: &str) -> Client {
    let host = registry
        .rsplit_once(':')
        .map_or(registry, |(host, _port)| host);
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    Client::new(ClientConfig {
        protocol: if local {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        },
        read_timeout: Some(REQUEST_TIMEOUT),
        connect_timeout: Some(REQUEST_TIMEOUT),
        ..ClientConfig::default()
    })
}

async fn pull_blob(
    client: &Client,
    oci: &OciReference,
    blobs: &Blobs,
    digest: &Digest,
    image: &str,
) -> Result<(), Error> {
    use futures_util::StreamExt as _;
    use tokio::io::AsyncWriteExt as _;
    let failed = |error: &dyn std::fmt::Display| Error::Pull {
        image: image.to_owned(),
        message: error.to_string(),
    };
    let mut stream = client
        .pull_blob_stream(oci, digest.as_str())
        .await
        .map_err(|error| failed(&error))?;
    let id: u128 = rand::random();
    let path = blobs.upload_path(id);
    let mut file = tokio::fs::File::create(&path)
        .await
        .map_err(|error| failed(&error))?;
    let mut len = 0u64;
    while let Some(piece) = stream.stream.next().await {
        let piece = piece.map_err(|error| failed(&error))?;
        len += piece.len() as u64;
        if len > BLOB_BYTES_MAX {
            let _gone = tokio::fs::remove_file(&path).await;
            return Err(Error::TooLarge {
                image: image.to_owned(),
                digest: digest.clone(),
            });
        }
        file.write_all(&piece)
            .await
            .map_err(|error| failed(&error))?;
    }
    file.flush().await.map_err(|error| failed(&error))?;
    drop(file);
    let (blobs, expected) = (blobs.clone(), digest.clone());
    tokio::task::spawn_blocking(move || blobs.finish_upload(id, &expected))
        .await
        .map_err(|stopped| failed(&stopped))?
        .map_err(|source| Error::Store {
            image: image.to_owned(),
            source,
        })
}
