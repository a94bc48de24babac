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
    /// In and out of its network namespace, IP headers and above.
    pub(crate) network: u64,
}

impl Counters {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let io = read(pid, "io")?;
        let written = number(&io, "write_bytes:")?;
        Ok(Self {
            cpu: cpu(pid)?,
            written,
            network: network(&read(pid, "net/netstat")?)?,
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

/// Bytes of IPv4 in and out, from `netstat`: the kernel's own neighbour discovery and multicast are not the link's.
fn network(text: &str) -> anyhow::Result<u64> {
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, counters) = rows.next().zip(rows.next()).context("no IpExt counters")?;
    let mut bytes = 0;
    for (name, counter) in names.split_whitespace().zip(counters.split_whitespace()) {
        if matches!(name, "InOctets" | "OutOctets") {
            bytes += counter.parse::<u64>()?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_in_and_out_are_summed() {
        let text = "TcpExt: SyncookiesSent InOctets
TcpExt: 7 9
IpExt: InNoRoutes InOctets OutOctets InMcastOctets
IpExt: 0 1000 500 77
";
        assert_eq!(network(text).unwrap(), 1500);
        assert!(network("").is_err());
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
