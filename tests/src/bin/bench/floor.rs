//! The floor: what this machine and its kernel need for the least that each figure stands on.

use crate::table::{Row, Times, bytes};
use coracle_tests::wait;
use std::{
    fs::File,
    io::Write as _,
    process::{Command, Stdio},
};

/// A small object of the API.
pub(crate) const WRITE_BYTES: usize = 2048;
const WRITES: usize = 500;
const PROCESSES: usize = 100;

/// Measured once a run; everything else is held against it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    /// Append and `fdatasync` of [`WRITE_BYTES`].
    pub(crate) write: Times,
    /// A native process that does nothing, from its start to its end.
    pub(crate) process: Times,
}

impl Floor {
    pub(crate) fn measure() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir_in(".")?;
        let mut file = File::create(dir.path().join("floor"))?;
        let value = [7_u8; WRITE_BYTES];
        let mut writes = Vec::with_capacity(WRITES);
        for _ in 0..WRITES {
            let started = wait::now();
            file.write_all(&value)?;
            file.sync_data()?;
            writes.push(started.elapsed());
        }
        let mut processes = Vec::with_capacity(PROCESSES);
        for _ in 0..PROCESSES {
            let started = wait::now();
            let status = Command::new("true")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()?;
            anyhow::ensure!(status.success(), "`true` ended with {status}");
            processes.push(started.elapsed());
        }
        Ok(Self {
            write: Times::of(writes)?,
            process: Times::of(processes)?,
        })
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        let size = bytes(WRITE_BYTES as u64);
        vec![
            Row::new(format!("floor: append and fdatasync of {size}")).times(&self.write),
            Row::new("floor: a native process, start to end").times(&self.process),
        ]
    }

    /// Durable writes a second that one writer can make.
    pub(crate) fn writes_per_second(&self) -> f64 {
        1.0 / self.write.p50.as_secs_f64()
    }
}
