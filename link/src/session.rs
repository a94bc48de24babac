//! The session of one node: what is sent of the desired state, and what the agent then has. Without I/O, without a clock.
//!
//! An agent is never told what it already has: it says at its start what it keeps, by digest, and acknowledges what it
//! takes. Only a pod set that was received can ever end a pod: a lost connection says nothing.

use crate::{convert::DecodeError, pb, pod::Pod};
use prost::Message as _;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 16;
/// Pod sets on their way at once; more wait until one is acknowledged.
pub const UNACKNOWLEDGED_MAX: u64 = 4;
/// A pod set is cut into several above this, so that none comes near the limit of a frame. One pod may be larger.
const POD_SET_BYTES_MAX: usize = 1 << 20;
/// The largest pod that can be sent: what a frame holds, less room for the names of all others.
pub const POD_BYTES_MAX: usize = crate::frame::TO_AGENT_BYTES_MAX - (1 << 20);
/// Pods of one node: far above what a box carries, a bound for what a hello may announce.
pub const PODS_MAX: usize = 20_000;

/// What tells one content of a pod from another.
pub type Digest = [u8; DIGEST_BYTES];

/// A pod ready to be sent: encoded once, compared by digest.
#[derive(Clone)]
pub struct Outgoing {
    digest: Digest,
    pod: Arc<pb::Pod>,
    bytes: usize,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing")
            .field("uid", &self.pod.uid)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Outgoing {
    /// The digest leaves the revision out: a pod whose object changed in nothing an agent needs is not sent again.
    #[must_use]
    pub fn new(pod: &Pod) -> Self {
        let mut pod = pb::Pod::from(pod);
        let revision = std::mem::take(&mut pod.revision);
        let bytes = zeroize::Zeroizing::new(pod.encode_to_vec());
        let full = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&full.as_ref()[..DIGEST_BYTES]);
        pod.revision = revision;
        Self {
            digest,
            bytes: bytes.len(),
            pod: Arc::new(pod),
        }
    }

    /// Of the content.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its size on the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The pod's uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.pod.uid
    }
}

/// The controller's side: what the agent of one connection has been told.
#[derive(Debug)]
pub struct PodSetSender {
    told: HashMap<String, Digest>,
    sequence: u64,
    acknowledged: u64,
    started: bool,
}

impl PodSetSender {
    /// For an agent that has `have`.
    #[must_use]
    pub fn new(have: Vec<pb::HavePod>) -> Self {
        let told = have.into_iter().take(PODS_MAX).filter_map(|have| {
            let digest = Digest::try_from(&have.digest[..]).ok()?;
            Some((have.uid, digest))
        });
        Self {
            told: told.collect(),
            sequence: 0,
            acknowledged: 0,
            started: false,
        }
    }

    /// Whether another pod set may be sent now.
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.sequence - self.acknowledged < UNACKNOWLEDGED_MAX
    }

    /// The agent has taken everything up to `sequence`.
    pub fn acknowledge(&mut self, sequence: u64) {
        self.acknowledged = sequence.min(self.sequence).max(self.acknowledged);
    }

    /// True once the agent has taken everything that was sent.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.started && self.acknowledged == self.sequence
    }

    /// The next pod set that brings the agent nearer to `desired` (by uid); none when it has everything.
    pub fn next(&mut self, desired: &BTreeMap<String, Outgoing>) -> Option<pb::PodSet> {
        let full = !self.started;
        let mut changed = Vec::new();
        let mut bytes = 0;
        for (uid, pod) in desired {
            if self.told.get(uid) == Some(&pod.digest) {
                continue;
            }
            if bytes > 0 && bytes + pod.bytes > POD_SET_BYTES_MAX {
                break; // The rest is the next one's.
            }
            bytes += pod.bytes;
            changed.push(pb::PodSpec {
                pod: Some(pb::Pod::clone(&pod.pod)),
                digest: pod.digest.to_vec(),
            });
            self.told.insert(uid.clone(), pod.digest);
        }
        let gone: Vec<String> = self
            .told
            .keys()
            .filter(|uid| !desired.contains_key(*uid))
            .cloned()
            .collect();
        for uid in &gone {
            self.told.remove(uid);
        }
        if !full && changed.is_empty() && gone.is_empty() {
            return None;
        }
        let sent: HashSet<&str> = changed
            .iter()
            .filter_map(|spec| spec.pod.as_ref())
            .map(|pod| pod.uid.as_str())
            .collect();
        // Also those whose new content is only in the next pod set: they are wanted.
        let kept = |uid: &&String| full && !sent.contains(uid.as_str());
        let kept = desired.keys().filter(kept).cloned().collect();
        self.started = true;
        self.sequence += 1;
        Some(pb::PodSet {
            sequence: self.sequence,
            full,
            changed,
            removed: if full { Vec::new() } else { gone },
            kept,
        })
    }
}

/// What the agent is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Every pod that is wanted: those with new content, and those to be left as they are. All others go.
    Full {
        /// New or changed.
        changed: Vec<Pod>,
        /// uids; some may not be there (yet).
        kept: Vec<String>,
    },
    /// These are new or changed, those go.
    Delta {
        /// New or changed.
        changed: Vec<Pod>,
        /// uids.
        removed: Vec<String>,
    },
}

/// A pod set that can not be taken; the connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// One is missing, or they start with a delta.
    #[error("pod set {got} came after {last}")]
    Sequence {
        /// Of the one that came.
        got: u64,
        /// Of the one before.
        last: u64,
    },
    /// A pod without content or digest.
    #[error("a pod of the set has no content or no digest")]
    Incomplete,
    /// More than any box carries.
    #[error("more than {PODS_MAX} pods were sent for one node")]
    TooMany,
}

/// A pod of a set that was left out, because this version can not run it.
pub type Skipped = (String, DecodeError);

/// The agent's side of one connection. Outlives it: what the agent has is told again at the next.
#[derive(Debug, Default)]
pub struct PodSetReceiver {
    have: HashMap<String, Digest>,
    last: u64,
}

impl PodSetReceiver {
    /// With pods from before, whose digests were kept.
    pub fn new(have: impl IntoIterator<Item = (String, Digest)>) -> Self {
        Self {
            have: have.into_iter().collect(),
            last: 0,
        }
    }

    /// A new connection: what goes into its hello.
    pub fn connect(&mut self) -> Vec<pb::HavePod> {
        self.last = 0;
        let have = self.have.iter().map(|(uid, digest)| pb::HavePod {
            uid: uid.clone(),
            digest: digest.to_vec(),
        });
        have.collect()
    }

    /// The digest of a pod the agent has.
    #[must_use]
    pub fn digest(&self, uid: &str) -> Option<&Digest> {
        self.have.get(uid)
    }

    /// Takes a pod set. A single pod that can not be understood is skipped and named; the others are taken.
    ///
    /// # Errors
    /// When sets are missing or malformed as a whole.
    pub fn take(&mut self, set: pb::PodSet) -> Result<(Update, Vec<Skipped>), Error> {
        let expected = self.last + 1;
        if set.sequence != expected || set.full != (expected == 1) {
            return Err(Error::Sequence {
                got: set.sequence,
                last: self.last,
            });
        }
        let (mut changed, mut skipped, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for spec in set.changed {
            let pod = spec.pod.ok_or(Error::Incomplete)?;
            let digest = Digest::try_from(&spec.digest[..]).map_err(|_size| Error::Incomplete)?;
            let uid = pod.uid.clone();
            match Pod::try_from(pod) {
                Ok(pod) => changed.push(pod),
                Err(error) => skipped.push((uid.clone(), error)),
            }
            digests.push((uid, digest));
        }
        self.last = set.sequence;
        if set.full {
            let wanted: HashSet<&String> = set
                .kept
                .iter()
                .chain(digests.iter().map(|(uid, _)| uid))
                .collect();
            self.have.retain(|uid, _| wanted.contains(uid));
        }
        for uid in &set.removed {
            self.have.remove(uid);
        }
        self.have.extend(digests);
        if self.have.len() > PODS_MAX {
            return Err(Error::TooMany);
        }
        let update = if set.full {
            Update::Full {
                changed,
                kept: set.kept,
            }
        } else {
            Update::Delta {
                changed,
                removed: set.removed,
            }
        };
        Ok((update, skipped))
    }
}

#[cfg(test)]
mod tests;
