//! How much of mapped code is in memory, from `/proc/self/pagemap` (Linux `Documentation/admin-guide/mm/pagemap.rst`).
//!
//! Code is mapped from a file: what was never run is not in memory, and what several containers run is there once.

use parking_lot::Mutex;
use std::{fs::File, ops::Range, os::unix::fs::FileExt as _};
use tokio::time::{Duration, Instant};

/// How old an answer may be: nobody asks more often than every some seconds, but once for each container.
const AGE_MAX: Duration = Duration::from_secs(10);
const ENTRY_BYTES: usize = 8;
/// Set in an entry whose page is in memory.
const PRESENT: u64 = 1 << 63;
/// Entries read at once.
const CHUNK: usize = 512;

/// Addresses of one mapping, and what was seen of it last.
pub(crate) struct Mapped {
    addresses: Range<usize>,
    seen: Mutex<Option<(Instant, u64)>>,
}

impl Mapped {
    pub(crate) fn new(addresses: Range<*const u8>) -> Self {
        Self {
            addresses: addresses.start.addr()..addresses.end.addr(),
            seen: Mutex::new(None),
        }
    }

    /// Bytes in memory; 0 where the kernel does not say.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let mut seen = self.seen.lock();
        match *seen {
            Some((at, bytes)) if at.elapsed() < AGE_MAX => bytes,
            _ => {
                let bytes = count(&self.addresses).unwrap_or(0);
                *seen = Some((Instant::now(), bytes));
                bytes
            }
        }
    }
}

fn count(addresses: &Range<usize>) -> std::io::Result<u64> {
    let page = rustix::param::page_size();
    let pagemap = File::open("/proc/self/pagemap")?;
    let (mut number, end) = (addresses.start / page, addresses.end.div_ceil(page));
    let (mut buffer, mut present) = ([0; CHUNK * ENTRY_BYTES], 0_u64);
    while number < end {
        let wanted = (end - number).min(CHUNK);
        let entries = &mut buffer[..wanted * ENTRY_BYTES];
        pagemap.read_exact_at(entries, (number * ENTRY_BYTES) as u64)?;
        for entry in entries.as_chunks::<ENTRY_BYTES>().0 {
            present += u64::from(u64::from_ne_bytes(*entry) & PRESENT != 0);
        }
        number += wanted;
    }
    Ok(present * page as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_were_touched_are_counted() {
        let page = rustix::param::page_size();
        let mut memory = vec![0_u8; 64 * page];
        let all = Mapped::new(memory.as_ptr_range());
        for at in (0..memory.len()).step_by(page) {
            memory[at] = 1;
        }
        let bytes = usize::try_from(all.resident_bytes()).unwrap();
        assert!((64 * page..=65 * page).contains(&bytes), "{bytes}");
        assert_eq!(count(&(page..page)).unwrap(), 0);
    }
}
