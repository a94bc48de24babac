//! Which wasm module an OCI manifest means.
//!
//! Pure: bytes of a manifest in, digest of the layer out. Accepted: the CNCF Wasm OCI artifact,
//! runwasi's and wasmCloud's older layers, and a `.wasm` file in an ordinary image's layers.

use super::reference::Digest;
use serde::Deserialize;
use serde_json::json;
use std::io::Read;

/// Config of the CNCF Wasm OCI artifact.
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// Layer of the CNCF Wasm OCI artifact.
pub const LAYER_TYPE: &str = "application/wasm";
/// The OCI image manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Layers that are a bare wasm binary.
const WASM_LAYERS: [&str; 5] = [
    LAYER_TYPE,
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.component.v1+wasm",
];
/// Layers that are a tar archive.
const TAR_LAYERS: [&str; 4] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar",
];
/// More layers than any wasm image has.
const LAYERS_MAX: usize = 128;

/// Why a manifest is no wasm image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("the manifest is not a valid OCI image manifest: {0}")]
    Manifest(String),
    #[error(
        "the image has no wasm layer (its layers are {0}); Coracle runs WebAssembly, not containers"
    )]
    NoWasm(String),
    #[error("the image has {0} wasm layers; exactly one is supported")]
    Many(usize),
    #[error("the image's layers hold no .wasm file; Coracle runs WebAssembly, not containers")]
    NoFile,
    #[error("a layer of the image is not a readable tar archive: {0}")]
    Tar(String),
    #[error("the .wasm file in the image is larger than {0} bytes")]
    TooLarge(u64),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// A descriptor of a manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
}

/// Where the module is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// A layer is the module.
    Layer(Digest),
    /// A `.wasm` file in one of these tar layers, the last one first.
    InTar(Vec<Digest>),
}

fn parse(manifest: &[u8]) -> Result<Manifest, Error> {
    let parsed: Manifest =
        serde_json::from_slice(manifest).map_err(|error| Error::Manifest(error.to_string()))?;
    if parsed.layers.len() > LAYERS_MAX {
        return Err(Error::Manifest(format!("{} layers", parsed.layers.len())));
    }
    Ok(parsed)
}

fn digest(descriptor: &Descriptor) -> Result<Digest, Error> {
    Digest::parse(&descriptor.digest).map_err(|error| Error::Manifest(error.to_string()))
}

/// Every blob a manifest refers to: config and layers.
pub fn blobs(manifest: &[u8]) -> Result<Vec<Digest>, Error> {
    let manifest = parse(manifest)?;
    manifest
        .config
        .iter()
        .chain(&manifest.layers)
        .map(digest)
        .collect()
}

/// The module of a manifest.
pub fn module(manifest: &[u8]) -> Result<Module, Error> {
    let manifest = parse(manifest)?;
    let with = |types: &[&str]| -> Vec<&Descriptor> {
        manifest
            .layers
            .iter()
            .filter(|layer| types.contains(&layer.media_type.as_str()))
            .collect()
    };
    match with(&WASM_LAYERS).as_slice() {
        [one] => return Ok(Module::Layer(digest(one)?)),
        [] => {}
        many => return Err(Error::Many(many.len())),
    }
    let tars = with(&TAR_LAYERS);
    if tars.is_empty() {
        let mut types: Vec<&str> = manifest
            .layers
            .iter()
            .map(|layer| layer.media_type.as_str())
            .take(8)
            .collect();
        types.dedup();
        return Err(Error::NoWasm(types.join(", ")));
    }
    Ok(Module::InTar(
        tars.into_iter()
            .rev()
            .map(digest)
            .collect::<Result<_, _>>()?,
    ))
}

/// The first `.wasm` file of a tar layer (plain or gzip), at most `bytes_max` long.
pub fn wasm_in_tar(layer: &[u8], bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
    if layer.starts_with(&[0x1f, 0x8b]) {
        // A cap on what is unpacked, so that a small layer can not fill the memory.
        find_in_tar(
            flate2::read::GzDecoder::new(layer).take(4 * bytes_max),
            bytes_max,
        )
    } else {
        find_in_tar(layer, bytes_max)
    }
}

fn find_in_tar(reader: impl Read, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
    let unreadable = |error: std::io::Error| Error::Tar(error.to_string());
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let is_wasm = entry
            .path()
            .is_ok_and(|path| path.extension().is_some_and(|e| e == "wasm"));
        if !is_wasm || !entry.header().entry_type().is_file() {
            continue;
        }
        if entry.size() > bytes_max {
            return Err(Error::TooLarge(bytes_max));
        }
        let mut wasm = Vec::new();
        entry
            .take(bytes_max)
            .read_to_end(&mut wasm)
            .map_err(unreadable)?;
        return Ok(Some(wasm));
    }
    Ok(None)
}

/// Config and manifest of a CNCF Wasm OCI artifact for one module.
///
/// `world` and the names come from the binary; `created` is RFC 3339.
#[must_use]
pub fn describe(
    wasm: &[u8],
    component: Option<(&[String], &[String])>,
    created: &str,
) -> (Vec<u8>, Vec<u8>) {
    let layer = Digest::of(wasm);
    let mut config = json!({
        "created": created,
        "architecture": "wasm",
        "os": if component.is_some() { "wasip2" } else { "wasip1" },
        "layerDigests": [layer.as_str()],
    });
    if let Some((imports, exports)) = component {
        config["component"] = json!({ "imports": imports, "exports": exports, "target": null });
    }
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": CONFIG_TYPE, "digest": Digest::of(&config).as_str(), "size": config.len() },
        "layers": [{ "mediaType": LAYER_TYPE, "digest": layer.as_str(), "size": wasm.len() }],
    });
    (config, manifest.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(types: &[&str]) -> Vec<u8> {
        let layers: Vec<_> = types
            .iter()
            .map(|media| json!({"mediaType": media, "digest": Digest::of(media.as_bytes()).as_str(), "size": 1}))
            .collect();
        json!({"schemaVersion": 2, "layers": layers})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn finds_the_module_in_each_kind_of_image() {
        for media in WASM_LAYERS {
            assert_eq!(
                module(&manifest(&[media])),
                Ok(Module::Layer(Digest::of(media.as_bytes())))
            );
        }
        let tar = TAR_LAYERS[1];
        assert_eq!(
            module(&manifest(&[tar])),
            Ok(Module::InTar(vec![Digest::of(tar.as_bytes())]))
        );
        let helm = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
        assert_eq!(
            module(&manifest(&[helm])),
            Err(Error::NoWasm(helm.to_owned()))
        );
        assert!(matches!(module(b"{"), Err(Error::Manifest(_))));
    }

    #[test]
    fn an_artifact_we_describe_is_one_we_accept() {
        let (config, manifest) = describe(b"\0asm", Some((&[], &[])), "2026-01-01T00:00:00Z");
        assert_eq!(module(&manifest), Ok(Module::Layer(Digest::of(b"\0asm"))));
        assert_eq!(
            blobs(&manifest).unwrap(),
            [Digest::of(&config), Digest::of(b"\0asm")]
        );
    }

    #[test]
    fn takes_the_wasm_file_out_of_a_layer() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_cksum();
        builder
            .append_data(&mut header, "app/x.wasm", &b"\0asm"[..])
            .unwrap();
        let layer = builder.into_inner().unwrap();
        assert_eq!(
            wasm_in_tar(&layer, 100).unwrap().as_deref(),
            Some(&b"\0asm"[..])
        );
        assert_eq!(wasm_in_tar(&layer, 3), Err(Error::TooLarge(3)));
        assert!(wasm_in_tar(&[0x1f, 0x8b, 0, 1, 2], 100).is_err());
    }
}
