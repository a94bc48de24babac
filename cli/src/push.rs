//! `coracle push FILE NAME:TAG`: makes a CNCF Wasm OCI artifact of a module and pushes it.

use crate::{client::Client, kubeconfig::Kubeconfig};
use anyhow::{Context as _, bail};
use bytes::Bytes;
use coracle_controller::images::{
    artifact,
    distribution::BLOB_BYTES_MAX,
    reference::{Digest, Reference, Target},
};
use coracle_runtime::compile::{Inspection, Kind, inspect};
use http::{Method, StatusCode, header};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The module or component
    file: PathBuf,
    /// Name and tag in the controller's registry, as in hello:v1
    name: String,
    /// How to reach the controller
    #[arg(long, default_value = ".coracle/kubeconfig", value_name = "FILE")]
    kubeconfig: PathBuf,
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&Kubeconfig::read(&arguments.kubeconfig)?)?;
    destination(&arguments.name)?;
    let wasm = read_module(&arguments.file)?;
    let digest = push(&client, wasm, &arguments.name).await?;
    println!("pushed {} ({digest})", arguments.name);
    println!("use it in a manifest as  image: {}", arguments.name);
    Ok(())
}

fn read_module(path: &Path) -> anyhow::Result<Vec<u8>> {
    let what = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(what)?;
    let mut wasm = Vec::new();
    // One byte more than is taken, so that a larger file is seen, and a device has an end.
    file.take(BLOB_BYTES_MAX + 1)
        .read_to_end(&mut wasm)
        .with_context(what)?;
    if wasm.len() as u64 > BLOB_BYTES_MAX {
        let max = BLOB_BYTES_MAX / (1024 * 1024);
        bail!("cannot push {}: it has more than {max} MiB", path.display());
    }
    Ok(wasm)
}

/// The repository and the tag of a name in the controller's registry.
fn destination(name: &str) -> anyhow::Result<(String, String)> {
    let Reference {
        registry,
        repository,
        target,
    } = Reference::parse(name)?;
    if let Some(registry) = registry {
        bail!(
            "cannot push to {name}: this command pushes to the controller's registry, not to {registry}"
        );
    }
    match target {
        Target::Tag(tag) => Ok((repository, tag)),
        Target::Digest(_) => bail!("cannot push to {name}: give a tag, not a digest"),
    }
}

/// Pushes `wasm` under `name`; returns the manifest's digest.
pub(crate) async fn push(client: &Client, wasm: Vec<u8>, name: &str) -> anyhow::Result<Digest> {
    let (repository, tag) = destination(name)?;
    let repository = &repository;
    let inspection = inspect(&wasm).with_context(|| format!("cannot push {name}"))?;
    let (config, manifest) = describe(&wasm, &inspection);
    push_blob(client, repository, wasm.into()).await?;
    push_blob(client, repository, config.into()).await?;
    let digest = Digest::of(&manifest);
    let path = format!("/v2/{repository}/manifests/{tag}");
    let answer = client
        .send(Method::PUT, &path, artifact::MANIFEST_TYPE, manifest)
        .await?;
    answer.success(&format!("cannot push {name}"))?;
    Ok(digest)
}

fn describe(wasm: &[u8], inspection: &Inspection) -> (Vec<u8>, Vec<u8>) {
    let component = (inspection.kind == Kind::Component)
        .then_some((&inspection.imports[..], &inspection.exports[..]));
    // No time of creation: the same module is the same artifact, whenever it is pushed.
    artifact::describe(wasm, component, "1970-01-01T00:00:00Z")
}

async fn push_blob(client: &Client, repository: &str, blob: Bytes) -> anyhow::Result<()> {
    let digest = Digest::of(&blob);
    let path = format!("/v2/{repository}/blobs/{digest}");
    let there = client
        .send(
            Method::HEAD,
            &path,
            "application/octet-stream",
            Bytes::new(),
        )
        .await?;
    if there.status == StatusCode::OK {
        return Ok(());
    }
    let what = format!("cannot push a blob of {repository}");
    let path = format!("/v2/{repository}/blobs/uploads/");
    let started = client
        .send(
            Method::POST,
            &path,
            "application/octet-stream",
            Bytes::new(),
        )
        .await?
        .success(&what)?;
    let location = started
        .headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .with_context(|| format!("{what}: the controller named no upload"))?;
    let path = format!("{location}?digest={digest}");
    client
        .send(Method::PUT, &path, "application/octet-stream", blob)
        .await?
        .success(&what)?;
    Ok(())
}
