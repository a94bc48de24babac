//! Reads a container's log back: tail, since, previous, follow, without ever holding a whole file.
//!
//! Memory is always at most one block and one line.

use super::rotated;
use std::{
    io::SeekFrom,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use tokio::{
    fs::File,
    io::{
        AsyncBufReadExt as _, AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader,
    },
    sync::watch,
};

/// How much is read at once.
const BLOCK_BYTES: usize = 64 * 1024;
/// The longest record: a full line and its prefix.
const RECORD_BYTES_MAX: u64 = super::LINE_BYTES_MAX as u64 + 128;

/// What is wanted of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) follow: bool,
    pub(crate) tail_lines: Option<u64>,
    pub(crate) since: Option<jiff::Timestamp>,
    pub(crate) timestamps: bool,
    pub(crate) limit_bytes: Option<u64>,
}

/// Writes the log of one run to `out`. With `follow`, until `running` turns false and all is read.
pub(crate) async fn read(
    path: &Path,
    options: &Options,
    mut changes: watch::Receiver<u64>,
    running: impl Fn() -> bool + Send,
    out: &mut (impl AsyncWrite + Unpin + Send),
) -> std::io::Result<()> {
    let mut left = options.limit_bytes.unwrap_or(u64::MAX);
    let old = rotated(path);
    let start = start(&[old.clone(), path.to_owned()], options.tail_lines).await?;
    if let Start::Old(offset) = start
        && let Ok(mut file) = File::open(&old).await
    {
        file.seek(SeekFrom::Start(offset)).await?;
        Cursor::new(file)
            .await?
            .copy(options, &mut left, out)
            .await?;
    }
    let offset = if let Start::New(offset) = start {
        offset
    } else {
        0
    };
    let mut cursor = None;
    loop {
        changes.borrow_and_update();
        // Asked before reading: what is written until it ends is always read.
        let was_running = running();
        if cursor.is_none()
            && let Ok(mut file) = File::open(path).await
        {
            file.seek(SeekFrom::Start(offset)).await?;
            cursor = Some(Cursor::new(file).await?);
        }
        if let Some(open) = &mut cursor {
            open.copy(options, &mut left, out).await?;
            if open.is_rotated(path).await {
                open.copy(options, &mut left, out).await?;
                let mut next = Cursor::new(File::open(path).await?).await?;
                next.copy(options, &mut left, out).await?;
                cursor = Some(next);
            }
        }
        out.flush().await?;
        if !options.follow || left == 0 || !was_running {
            return Ok(());
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            // The end of a run is not a write.
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
        }
    }
}

enum Start {
    Old(u64),
    New(u64),
}

/// Where the last `tail` lines begin.
async fn start(files: &[PathBuf; 2], tail: Option<u64>) -> std::io::Result<Start> {
    let Some(tail) = tail else {
        return Ok(Start::Old(0));
    };
    let (found, offset) = match File::open(&files[1]).await {
        Ok(file) => offset_of_last(file, tail).await?,
        Err(_absent) => (0, 0),
    };
    if found >= tail {
        return Ok(Start::New(offset));
    }
    match File::open(&files[0]).await {
        Ok(file) => Ok(Start::Old(offset_of_last(file, tail - found).await?.1)),
        Err(_absent) => Ok(Start::New(offset)),
    }
}

/// How many of the last `lines` lines are in the file, and where the first of them begins.
async fn offset_of_last(mut file: File, lines: u64) -> std::io::Result<(u64, u64)> {
    let end = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok((0, end));
    }
    let (mut position, mut found) = (end, 0);
    let mut block = vec![0; BLOCK_BYTES];
    while position > 0 {
        let size = position.min(BLOCK_BYTES as u64);
        position -= size;
        file.seek(SeekFrom::Start(position)).await?;
        let size = usize::try_from(size).unwrap_or(BLOCK_BYTES);
        file.read_exact(&mut block[..size]).await?;
        for index in (0..size).rev() {
            let after = position + index as u64 + 1;
            if block[index] == b'\n' && after < end {
                found += 1;
                if found == lines {
                    return Ok((found, after));
                }
            }
        }
    }
    Ok((found + u64::from(end > 0), 0))
}

struct Cursor {
    reader: BufReader<File>,
    inode: u64,
    line: Vec<u8>,
}

impl Cursor {
    async fn new(file: File) -> std::io::Result<Self> {
        let inode = file.metadata().await?.ino();
        Ok(Self {
            reader: BufReader::with_capacity(BLOCK_BYTES, file),
            inode,
            line: Vec::new(),
        })
    }

    async fn is_rotated(&self, path: &Path) -> bool {
        match tokio::fs::metadata(path).await {
            Ok(metadata) => metadata.ino() != self.inode,
            Err(_absent) => false,
        }
    }

    /// Copies every complete record to `out`.
    async fn copy(
        &mut self,
        options: &Options,
        left: &mut u64,
        out: &mut (impl AsyncWrite + Unpin + Send),
    ) -> std::io::Result<()> {
        while *left > 0 {
            let room = RECORD_BYTES_MAX
                .saturating_sub(self.line.len() as u64)
                .max(1);
            let read = (&mut self.reader)
                .take(room)
                .read_until(b'\n', &mut self.line)
                .await?;
            if read == 0 {
                return Ok(());
            }
            if self.line.last() != Some(&b'\n') && (self.line.len() as u64) < RECORD_BYTES_MAX {
                continue;
            }
            let size = emit(&self.line, options, *left, out).await?;
            self.line.clear();
            *left = left.saturating_sub(size);
        }
        Ok(())
    }
}

async fn emit(
    record: &[u8],
    options: &Options,
    left: u64,
    out: &mut (impl AsyncWrite + Unpin + Send),
) -> std::io::Result<u64> {
    let Some(record) = Record::parse(record) else {
        return Ok(0);
    };
    if let Some(since) = options.since {
        let time: Option<jiff::Timestamp> = record.time.parse().ok();
        if time.is_none_or(|time| time < since) {
            return Ok(0);
        }
    }
    let mut text = Vec::with_capacity(record.text.len() + 40);
    if options.timestamps {
        text.extend_from_slice(record.time.as_bytes());
        text.push(b' ');
    }
    text.extend_from_slice(record.text);
    if record.full {
        text.push(b'\n');
    }
    text.truncate(usize::try_from(left).unwrap_or(usize::MAX));
    out.write_all(&text).await?;
    Ok(text.len() as u64)
}

struct Record<'a> {
    time: &'a str,
    full: bool,
    text: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        let _stream = parts.next()?;
        let full = parts.next()? == b"F";
        Some(Self {
            time,
            full,
            text: parts.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Logs, Stream};
    use coracle_daemon::Clock;
    use std::time::Duration;

    struct Fixture {
        _dir: tempfile::TempDir,
        logs: Logs,
        clock: Clock,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
        let logs = Logs::new(dir.path().to_owned(), clock.clone());
        Fixture {
            logs,
            clock,
            _dir: dir,
        }
    }

    impl Fixture {
        async fn text(&self, options: Options) -> String {
            let path = self.logs.path("uid", "main", 0);
            let mut out = Vec::new();
            read(&path, &options, self.logs.changes(), || false, &mut out)
                .await
                .unwrap();
            String::from_utf8(out).unwrap()
        }
    }

    #[tokio::test]
    async fn tail_since_timestamps_and_limit() {
        let fixture = fixture();
        let writer = fixture.logs.open("uid", "main", 0).unwrap();
        for index in 0..5 {
            writer.write(Stream::Stdout, format!("line {index}\n").as_bytes());
            fixture.clock.advance(Duration::from_secs(1));
        }
        let all = "line 0\nline 1\nline 2\nline 3\nline 4\n";
        assert_eq!(fixture.text(Options::default()).await, all);
        let tail = |tail| Options {
            tail_lines: Some(tail),
            ..Options::default()
        };
        assert_eq!(fixture.text(tail(2)).await, "line 3\nline 4\n");
        assert_eq!(fixture.text(tail(0)).await, "");
        assert_eq!(fixture.text(tail(99)).await, all);
        let since = "2026-01-02T03:04:08Z".parse().ok();
        let options = Options {
            since,
            timestamps: true,
            ..Options::default()
        };
        let expect = "2026-01-02T03:04:08Z line 3\n2026-01-02T03:04:09Z line 4\n";
        assert_eq!(fixture.text(options).await, expect);
        let options = Options {
            limit_bytes: Some(9),
            ..Options::default()
        };
        assert_eq!(fixture.text(options).await, "line 0\nli");
    }

    #[tokio::test]
    async fn a_tail_crosses_the_rotation() {
        let fixture = fixture();
        let writer = fixture.logs.open("uid", "main", 0).unwrap();
        let line = format!("{}\n", "y".repeat(super::super::LINE_BYTES_MAX - 1));
        let path = fixture.logs.path("uid", "main", 0);
        let mut written = 0_u64;
        while !rotated(&path).exists() {
            writer.write(Stream::Stdout, line.as_bytes());
            written += 1;
        }
        let count = |text: String| text.lines().count() as u64;
        assert_eq!(count(fixture.text(Options::default()).await), written);
        let options = Options {
            tail_lines: Some(5),
            ..Options::default()
        };
        assert_eq!(count(fixture.text(options).await), 5);
    }

    #[tokio::test]
    async fn follow_ends_with_the_run_and_has_everything() {
        let fixture = fixture();
        let writer = fixture.logs.open("uid", "main", 0).unwrap();
        writer.write(Stream::Stdout, b"first\n");
        let running = std::sync::atomic::AtomicBool::new(true);
        let path = fixture.logs.path("uid", "main", 0);
        let options = Options {
            follow: true,
            ..Options::default()
        };
        let mut out = Vec::new();
        let is_running = || running.load(std::sync::atomic::Ordering::SeqCst);
        let reading = read(
            &path,
            &options,
            fixture.logs.changes(),
            is_running,
            &mut out,
        );
        let writing = async {
            tokio::task::yield_now().await;
            writer.write(Stream::Stdout, b"second\n");
            writer.write(Stream::Stdout, b"third");
            writer.flush();
            running.store(false, std::sync::atomic::Ordering::SeqCst);
        };
        let (result, ()) = tokio::join!(reading, writing);
        result.unwrap();
        assert_eq!(out, b"first\nsecond\nthird\n");
    }
}
