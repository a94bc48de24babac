//! What the kernel says of a process: memory, CPU, disk, descriptors and its network.

use anyhow::Context as _;
use std::{fs, time::Duration};

/// Bytes of a process that are in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Shared pages are divided by their users.
    pub(crate) pss: u64,
    /// Pages of this process alone.
    pub(crate) private: u64,
    /// The kernel's page tables for it; no other figure shows them.
    pub(crate) page_tables: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let rollup = read(pid, "smaps_rollup")?;
        let status = read(pid, "status")?;
        let private = kilobytes(&rollup, "Private_Clean:")? + kilobytes(&rollup, "Private_Dirty:")?;
        Ok(Self {
            pss: kilobytes(&rollup, "Pss:")?,
            private,
            page_tables: kilobytes(&status, "VmPTE:")?,
        })
    }
}

/// Counters of a process that only grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters {
    pub(crate) cpu: Duration,
    /// Handed to a disk; a file that is deleted before it was written back does not count.
    pub(crate) written: u64,
    /// In and out on every interface but loopback, IP headers and above.
    pub(crate) network: u64,
}

impl Counters {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let io = read(pid, "io")?;
        let written = number(&io, "write_bytes:")?;
        Ok(Self {
            cpu: cpu(pid)?,
            written,
            network: network(&read(pid, "net/dev")?)?,
        })
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            written: self.written.saturating_sub(before.written),
            network: self.network.saturating_sub(before.network),
        }
    }
}

/// Time on a CPU of all threads, in nanoseconds: `stat` has only hundredths of a second.
fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let mut nanos = 0_u64;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while we look.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let first = text.split_whitespace().next().unwrap_or("0");
        nanos += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Open descriptors.
pub(crate) fn descriptors(pid: u32) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Mappings of memory; the kernel allows 65,530 unless told otherwise.
pub(crate) fn maps(pid: u32) -> anyhow::Result<usize> {
    Ok(read(pid, "maps")?.lines().count())
}

/// Threads.
pub(crate) fn threads(pid: u32) -> anyhow::Result<u64> {
    number(&read(pid, "status")?, "Threads:")
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

fn kilobytes(text: &str, field: &str) -> anyhow::Result<u64> {
    Ok(number(text, field)? * 1024)
}

fn number(text: &str, field: &str) -> anyhow::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    let word = word.with_context(|| format!("no {field} in {text:?}"))?;
    Ok(word.parse()?)
}

/// Bytes of the Ethernet header, which the counters of an interface include.
const ETHERNET: u64 = 14;

fn network(text: &str) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for line in text.lines().skip(2) {
        let Some((name, rest)) = line.split_once(':') else {
            continue;
        };
        if name.trim() == "lo" {
            continue;
        }
        let counters: Vec<u64> = rest
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        for (bytes_at, packets_at) in [(0, 1), (8, 9)] {
            let counter = |at: usize| counters.get(at).copied().unwrap_or(0);
            bytes += counter(bytes_at).saturating_sub(ETHERNET * counter(packets_at));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_summed_without_loopback() {
        let text = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     999       9    0    0    0     0          0         0      999       9    0    0    0     0       0          0
  eth0:    1140      10    0    0    0     0          0         0      570       5    0    0    0     0       0          0
";
        assert_eq!(network(text).unwrap(), 1000 + 500);
    }

    #[test]
    fn this_process_has_figures() {
        let me = std::process::id();
        let memory = Memory::of(me).unwrap();
        assert!(memory.pss >= memory.private / 2 && memory.page_tables > 0);
        assert!(descriptors(me).unwrap() > 2 && maps(me).unwrap() > 2);
        assert!(threads(me).unwrap() >= 1);
        let before = Counters::of(me).unwrap();
        assert!(Counters::of(me).unwrap().since(before).cpu < Duration::from_secs(5));
    }
}
