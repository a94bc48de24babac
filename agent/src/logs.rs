//! Container output on disk, in the form of CRI: `TIME STREAM F|P TEXT`, one file a run, rotated.
//!
//! Memory is always bounded: a line longer than [`LINE_BYTES_MAX`] becomes parts, a file longer than
//! [`FILE_BYTES_MAX`] moves to `.1` and replaces the one that was there. Writing is synchronous, so a guest that
//! floods its output waits for the disk. Reading is in `logs/reader.rs`.

use coracle_daemon::Clock;
use parking_lot::Mutex;
use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::watch;

pub(crate) mod reader;
pub(crate) mod request;

/// A longer line is written in parts, as containerd does.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;
/// A longer file is rotated.
pub(crate) const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Runs of a container whose logs are kept: this one and the one before.
const RUNS_KEPT: u32 = 2;

/// `stdout` or `stderr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Where the logs of all pods are.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    dir: PathBuf,
    clock: Clock,
    /// What a reader follows: counts writes and rotations of every container.
    written: Arc<watch::Sender<u64>>,
}

impl Logs {
    pub(crate) fn new(dir: PathBuf, clock: Clock) -> Self {
        Self {
            dir,
            clock,
            written: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The file of one run.
    pub(crate) fn path(&self, uid: &str, container: &str, run: u32) -> PathBuf {
        self.dir
            .join(uid)
            .join(container)
            .join(format!("{run}.log"))
    }

    /// Changes whenever any container has written.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Starts the log of a run and removes those of runs long ago. The file is made by the first line.
    pub(crate) fn open(&self, uid: &str, container: &str, run: u32) -> io::Result<Writer> {
        let path = self.path(uid, container, run);
        if let Some(dir) = path.parent() {
            coracle_daemon::make_private_dir(dir)?;
            remove_before(dir, (run + 1).saturating_sub(RUNS_KEPT));
        }
        let open = Open {
            file: None,
            size: fs::metadata(&path).map_or(0, |found| found.len()),
            path,
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        Ok(Writer {
            open: Mutex::new(open),
            clock: self.clock.clone(),
            written: Arc::clone(&self.written),
        })
    }

    /// Removes all logs of a pod.
    pub(crate) fn remove(&self, uid: &str) {
        if let Err(error) = fs::remove_dir_all(self.dir.join(uid))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(uid, %error, "cannot remove logs");
        }
    }

    /// Uids that have logs.
    pub(crate) fn pods(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

fn remove_before(dir: &Path, first: u32) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let run = name
            .to_str()
            .and_then(|name| name.split('.').next()?.parse::<u32>().ok());
        if run.is_some_and(|run| run < first) {
            let _best_effort = fs::remove_file(entry.path());
        }
    }
}

/// The log of one run.
#[derive(Debug)]
pub(crate) struct Writer {
    open: Mutex<Open>,
    clock: Clock,
    written: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Open {
    /// None until the first line, and after a write has failed until the next one works.
    file: Option<fs::File>,
    path: PathBuf,
    size: u64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Writer {
    /// Takes output of the guest; complete lines go to disk at once.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) {
        let time = self.clock.now().to_string();
        let mut open = self.open.lock();
        let mut records = Vec::with_capacity(bytes.len() + 64);
        let pending = open.pending(stream);
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LINE_BYTES_MAX - pending.len();
            let end = rest.iter().take(room).position(|byte| *byte == b'\n');
            let taken = end.unwrap_or_else(|| room.min(rest.len()));
            pending.extend_from_slice(&rest[..taken]);
            rest = &rest[taken + usize::from(end.is_some())..];
            if end.is_some() || pending.len() == LINE_BYTES_MAX {
                record(&mut records, &time, stream, end.is_some(), pending);
                pending.clear();
            }
        }
        open.append(&records);
        drop(open);
        if !records.is_empty() {
            self.written.send_modify(|count| *count += 1);
        }
    }

    /// Writes what has no line end yet.
    pub(crate) fn flush(&self) {
        let time = self.clock.now().to_string();
        let mut open = self.open.lock();
        let mut records = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let line = std::mem::take(open.pending(stream));
            if !line.is_empty() {
                record(&mut records, &time, stream, true, &line);
            }
        }
        open.append(&records);
        drop(open);
        self.written.send_modify(|count| *count += 1);
    }
}

fn record(into: &mut Vec<u8>, time: &str, stream: Stream, full: bool, line: &[u8]) {
    into.extend_from_slice(time.as_bytes());
    into.extend_from_slice(match stream {
        Stream::Stdout => b" stdout ",
        Stream::Stderr => b" stderr ",
    });
    into.extend_from_slice(if full { b"F " } else { b"P " });
    into.extend_from_slice(line);
    into.push(b'\n');
}

impl Open {
    fn pending(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn append(&mut self, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        let size = records.len() as u64;
        if self.size > 0 && self.size + size > FILE_BYTES_MAX {
            self.file = None;
            if let Err(error) = fs::rename(&self.path, rotated(&self.path)) {
                tracing::warn!(path = %self.path.display(), %error, "cannot rotate a log");
            }
            self.size = 0;
        }
        if let Err(error) = self.write(records) {
            // A full disk loses output, never the guest.
            tracing::debug!(path = %self.path.display(), %error, "cannot write a log");
            self.file = None;
            return;
        }
        self.size += size;
    }

    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            closed => {
                let file = fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&self.path)?;
                closed.insert(file)
            }
        };
        file.write_all(records)
    }
}

/// Where a full file goes.
pub(crate) fn rotated(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> (tempfile::TempDir, Logs, Writer) {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual("2026-01-02T03:04:05.678Z".parse().unwrap());
        let logs = Logs::new(dir.path().to_owned(), clock);
        let writer = logs.open("uid", "main", 0).unwrap();
        (dir, logs, writer)
    }

    #[test]
    fn lines_are_whole_and_streams_do_not_mix() {
        let (_dir, logs, writer) = writer();
        writer.write(Stream::Stdout, b"one\ntw");
        writer.write(Stream::Stderr, b"err\n");
        writer.write(Stream::Stdout, b"o\n\nrest");
        writer.flush();
        let text = fs::read_to_string(logs.path("uid", "main", 0)).unwrap();
        let time = "2026-01-02T03:04:05.678Z";
        let expect = [
            "stdout F one",
            "stderr F err",
            "stdout F two",
            "stdout F ",
            "stdout F rest",
        ];
        assert_eq!(text, expect.map(|line| format!("{time} {line}\n")).concat());
    }

    #[test]
    fn a_long_line_becomes_parts_and_a_long_file_two() {
        let (_dir, logs, writer) = writer();
        let block = vec![b'x'; 3 * LINE_BYTES_MAX];
        for _ in 0..300 {
            writer.write(Stream::Stdout, &block);
        }
        let path = logs.path("uid", "main", 0);
        let (new, old) = (
            fs::metadata(&path).unwrap().len(),
            fs::metadata(rotated(&path)).unwrap().len(),
        );
        assert!(
            new <= FILE_BYTES_MAX && old <= FILE_BYTES_MAX,
            "{new} {old}"
        );
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.lines().all(|line| line.contains(" stdout P ")),
            "parts"
        );
    }

    #[test]
    fn logs_of_old_runs_go() {
        let (_dir, logs, writer) = writer();
        writer.write(Stream::Stdout, b"first\n");
        let second = logs.open("uid", "main", 1).unwrap();
        second.write(Stream::Stdout, b"second\n");
        assert!(logs.path("uid", "main", 0).exists());
        logs.open("uid", "main", 2).unwrap();
        assert!(!logs.path("uid", "main", 0).exists());
        assert!(logs.path("uid", "main", 1).exists());
        assert_eq!(logs.pods(), ["uid"]);
    }
}
