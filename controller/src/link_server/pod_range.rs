//! Blocks of pod addresses, one a node, from the cluster's range.
//!
//! A block is never given to two nodes: those in the cache and those just handed out both count.

use crate::cache::Cache;
use coracle_api::kind;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    str::FromStr,
    sync::Arc,
};

/// Bits of a node's block: 256 addresses.
const BLOCK_BITS: u32 = 24;
/// Upstream's most common range.
pub const DEFAULT: &str = "10.244.0.0/16";

/// The addresses that pods of this cluster have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodRange {
    first: u32,
    bits: u32,
}

/// Addresses of Services: 10.96.0.0/16.
const SERVICES: PodRange = PodRange {
    first: 10 << 24 | 96 << 16,
    bits: 16,
};

/// Why a range cannot be the pods'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is none.
    #[error(
        "{0:?} is not an IPv4 range of at least one block of 256 addresses, like 10.244.0.0/16"
    )]
    NoRange(String),
    /// It is taken.
    #[error(
        "{0:?} overlaps the addresses of Services, 10.96.0.0/16; take another, like 10.244.0.0/16"
    )]
    Services(String),
}

impl FromStr for PodRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::NoRange(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(refused)?;
        let address: Ipv4Addr = address.parse().map_err(|_address| refused())?;
        let bits: u32 = bits.parse().map_err(|_number| refused())?;
        if !(8..=BLOCK_BITS).contains(&bits) {
            return Err(refused());
        }
        let first = u32::from(address);
        if first & (u32::MAX >> bits) != 0 {
            return Err(refused());
        }
        let range = Self { first, bits };
        if range.overlaps(SERVICES) {
            return Err(Error::Services(text.to_owned()));
        }
        Ok(range)
    }
}

impl Default for PodRange {
    fn default() -> Self {
        Self {
            first: u32::from(Ipv4Addr::new(10, 244, 0, 0)),
            bits: 16,
        }
    }
}

impl PodRange {
    /// One of two ranges that overlap holds the other.
    fn overlaps(self, other: Self) -> bool {
        let shift = 32 - self.bits.min(other.bits);
        self.first >> shift == other.first >> shift
    }

    /// The first block that is not taken.
    fn free(self, taken: &BTreeSet<String>) -> Option<String> {
        let blocks = 1_u32 << (BLOCK_BITS - self.bits);
        (0..blocks)
            .map(|block| {
                let first = Ipv4Addr::from(self.first + (block << (32 - BLOCK_BITS)));
                format!("{first}/{BLOCK_BITS}")
            })
            .find(|block| !taken.contains(block))
    }
}

/// Hands out blocks. A clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    range: PodRange,
    /// Handed out and perhaps not in the cache yet, by node.
    recent: Arc<Mutex<HashMap<String, String>>>,
}

impl Blocks {
    pub(crate) fn new(range: PodRange) -> Self {
        Self {
            range,
            recent: Arc::default(),
        }
    }

    /// The block of a node: its own if it has one, else a free one; none when the range is full.
    pub(crate) fn block(&self, cache: &Cache, node: &str) -> Option<String> {
        let mut recent = self.recent.lock();
        let mut taken = BTreeSet::new();
        for object in cache.list(kind::NODE, None) {
            let value = object.value();
            let Some(block) = value["spec"]["podCIDR"].as_str() else {
                continue;
            };
            if object.key.name == node {
                return Some(block.to_owned());
            }
            taken.insert(block.to_owned());
            recent.remove(&object.key.name);
        }
        if let Some(block) = recent.get(node) {
            return Some(block.clone());
        }
        taken.extend(recent.values().cloned());
        let block = self.range.free(&taken)?;
        recent.insert(node.to_owned(), block.clone());
        Some(block)
    }

    /// A join that came to nothing.
    pub(crate) fn give_back(&self, node: &str) {
        self.recent.lock().remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use coracle_api::Revision;
    use serde_json::json;

    #[test]
    fn ranges() {
        assert_eq!(DEFAULT.parse(), Ok(PodRange::default()));
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/25",
            "10.0.0.1/16",
            "x/16",
            "10.0.0.0/4",
        ] {
            assert!(bad.parse::<PodRange>().is_err(), "{bad}");
        }
        for taken in ["10.96.0.0/16", "10.0.0.0/8", "10.96.3.0/24"] {
            let error = taken.parse::<PodRange>().unwrap_err();
            assert_eq!(error, Error::Services(taken.to_owned()));
        }
        assert!("10.97.0.0/16".parse::<PodRange>().is_ok());
    }

    #[test]
    fn blocks_are_never_shared() {
        let node = json!({"metadata": {"name": "a"}, "spec": {"podCIDR": "10.1.0.0/24"}});
        let node = Object::new(kind::NODE, Revision(1), node).unwrap();
        let cache = Cache::new(vec![node], Revision(1));
        let blocks = Blocks::new("10.1.0.0/22".parse().unwrap());
        let block = |name| blocks.block(&cache, name);
        assert_eq!(block("a").as_deref(), Some("10.1.0.0/24"));
        assert_eq!(block("b").as_deref(), Some("10.1.1.0/24"));
        assert_eq!(block("c").as_deref(), Some("10.1.2.0/24"));
        assert_eq!(block("b").as_deref(), Some("10.1.1.0/24"));
        assert_eq!(block("d").as_deref(), Some("10.1.3.0/24"));
        assert_eq!(block("e"), None);
        blocks.give_back("c");
        assert_eq!(block("e").as_deref(), Some("10.1.2.0/24"));
    }
}
