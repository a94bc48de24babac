//! Addresses of pods: stable for the life of a pod, from the node's block.
//!
//! Pure. An address is never given to two pods at once.

use std::{
    collections::{HashMap, HashSet},
    net::Ipv4Addr,
};

/// The block when the controller has not told one.
pub(crate) const DEFAULT_CIDR: &str = "10.244.0.0/24";

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    first: u32,
    size: u32,
}

impl Block {
    /// `10.244.3.0/24`; none if it is not a block of at least four addresses.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok().filter(|bits| (8..=30).contains(bits))?;
        let size = 1_u32 << (32 - bits);
        Some(Self {
            first: u32::from(address) & !(size - 1),
            size,
        })
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address).wrapping_sub(self.first) < self.size
    }
}

/// Who has which address.
#[derive(Debug)]
pub(crate) struct Addresses {
    block: Block,
    by_uid: HashMap<String, Ipv4Addr>,
    taken: HashSet<Ipv4Addr>,
    next: u32,
}

impl Addresses {
    pub(crate) fn new(block: Block) -> Self {
        Self {
            block,
            by_uid: HashMap::new(),
            taken: HashSet::new(),
            next: 2,
        }
    }

    /// New pods get addresses of this block; those that have one keep it.
    pub(crate) fn set_block(&mut self, block: Block) {
        if self.block != block {
            self.block = block;
            self.next = 2;
        }
    }

    /// The pod's address; `wanted` is what it had before the agent was restarted.
    pub(crate) fn assign(&mut self, uid: &str, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        if let Some(address) = self.by_uid.get(uid) {
            return Some(*address);
        }
        let free = wanted.filter(|wanted| !self.taken.contains(wanted));
        let address = free.or_else(|| self.pick())?;
        self.taken.insert(address);
        self.by_uid.insert(uid.to_owned(), address);
        Some(address)
    }

    /// The first two and the last address of a block are never a pod's.
    fn pick(&mut self) -> Option<Ipv4Addr> {
        let usable = self.block.size - 3;
        for step in 0..usable {
            let offset = 2 + (self.next - 2 + step) % usable;
            let address = Ipv4Addr::from(self.block.first + offset);
            if !self.taken.contains(&address) {
                self.next = offset + 1;
                return Some(address);
            }
        }
        self.overflow()
    }

    /// A full block: the rest of its /16, so that `maxPods` and not the block limits a node.
    fn overflow(&self) -> Option<Ipv4Addr> {
        let base = self.block.first & 0xffff_0000;
        (2..0xffff_u32)
            .map(|offset| Ipv4Addr::from(base + 0xffff - offset))
            .find(|address| !self.block.contains(*address) && !self.taken.contains(address))
    }

    /// The pod is gone.
    pub(crate) fn release(&mut self, uid: &str) {
        if let Some(address) = self.by_uid.remove(uid) {
            self.taken.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_stable_and_distinct() {
        let mut addresses = Addresses::new(Block::parse("10.244.7.0/29").unwrap());
        let mut give = |uid: &str| addresses.assign(uid, None).unwrap().to_string();
        assert_eq!(give("a"), "10.244.7.2");
        assert_eq!(give("b"), "10.244.7.3");
        assert_eq!(give("a"), "10.244.7.2");
        addresses.release("a");
        // Not at once given to another: old connections die first.
        assert_eq!(
            addresses.assign("c", None).unwrap().to_string(),
            "10.244.7.4"
        );
        let wanted = "10.244.7.3".parse().ok();
        assert_eq!(
            addresses.assign("d", wanted).unwrap().to_string(),
            "10.244.7.5"
        );
        for uid in ["e", "f", "g", "h"] {
            assert!(addresses.assign(uid, None).is_some(), "{uid}");
        }
        let distinct: HashSet<_> = addresses.by_uid.values().collect();
        assert_eq!(distinct.len(), addresses.by_uid.len());
    }

    #[test]
    fn blocks() {
        assert!(Block::parse(DEFAULT_CIDR).is_some());
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/31",
            "x/24",
            "::/64",
        ] {
            assert_eq!(Block::parse(bad), None, "{bad}");
        }
    }
}
