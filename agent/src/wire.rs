//! Specs and statuses as bytes for the checkpoint: the messages of the link, so that they grow as the wire does.

use coracle_link::{pb, pod::Pod, session::Digest, status::PodStatus};
use prost::Message as _;
use zeroize::Zeroizing;

/// A spec with its digest. May hold secrets.
pub(crate) fn encode_pod(pod: &Pod, digest: &Digest) -> Zeroizing<Vec<u8>> {
    let spec = pb::PodSpec {
        pod: Some(pod.into()),
        digest: digest.to_vec(),
    };
    Zeroizing::new(spec.encode_to_vec())
}

/// None for what this version can not run.
pub(crate) fn decode_pod(bytes: &[u8]) -> Option<(Pod, Digest)> {
    let spec = pb::PodSpec::decode(bytes).ok()?;
    let digest = Digest::try_from(&spec.digest[..]).ok()?;
    Some((Pod::try_from(spec.pod?).ok()?, digest))
}

pub(crate) fn encode_status(status: &PodStatus) -> Vec<u8> {
    pb::PodStatus::from(status).encode_to_vec()
}

pub(crate) fn decode_status(bytes: &[u8]) -> Option<PodStatus> {
    PodStatus::try_from(pb::PodStatus::decode(bytes).ok()?).ok()
}
