//! The embedded store: SQLite in WAL mode, one writer thread, group commit.
//!
//! `docs/adr/0001-embedded-store.md` says why. All writes that wait when the thread is free go into one
//! transaction and one `fsync`. `synchronous=FULL`: a power cut loses nothing that was answered.

mod crash;
mod wal;

use super::{Committed, Entry, Error, Store, Write};
use coracle_api::Revision;
use crash::{CrashPoint, Stage};
use rusqlite::{Connection, OpenFlags, config::DbConfig, params};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};
use tokio::sync::oneshot;

/// Writes that may wait for the disk; more block their caller's turn.
const QUEUE_MAX: usize = 4096;
/// Writes in one transaction: bounds the time the first of them waits for the last.
const BATCH_MAX: usize = 1024;
/// Pages of 4 KiB SQLite keeps: reads come from the watch cache, so little is enough.
const CACHE_KIB: i64 = 1024;
/// Checkpoint when the log has this many pages: bounds the size of the log file to about 4 MiB.
const CHECKPOINT_PAGES: i64 = 1000;

type Request = (Write, oneshot::Sender<Result<(), Error>>);

/// The store in one directory. Closed when dropped, after what waits is written.
#[derive(Debug)]
pub struct Embedded {
    path: PathBuf,
    queue: Option<mpsc::SyncSender<Request>>,
    writer: Option<thread::JoinHandle<()>>,
    /// Held as long as the store is open.
    _lock: File,
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { what, path, source }
}

impl Embedded {
    /// Opens or creates the store in `dir`.
    ///
    /// # Errors
    /// When another process has it, it is damaged, or the disk refuses.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        // Every Secret is in here, and the folder above may be one that everybody reads.
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(dir, private).map_err(io_error("protect", dir))?;
        let lock_path = dir.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io_error("open", &lock_path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_held| Error::Locked {
            path: dir.to_owned(),
        })?;
        let path = dir.join("store.sqlite");
        let connection = open(&path)?;
        let (queue, requests) = mpsc::sync_channel(QUEUE_MAX);
        let writer = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write_all(connection, &requests))
            .map_err(io_error("start the writer of", &path))?;
        Ok(Self {
            path,
            queue: Some(queue),
            writer: Some(writer),
            _lock: lock,
        })
    }
}

/// What SQLite found, as part of a sentence.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn open(path: &Path) -> Result<Connection, Error> {
    let damaged = |error: rusqlite::Error| Error::Damaged {
        path: path.to_owned(),
        detail: one_line(&error.to_string()),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let unreadable = io_error("read the log of", path);
    if let Some(detail) = wal::check(path).map_err(unreadable)? {
        return Err(Error::Damaged {
            path: path.to_owned(),
            detail,
        });
    }
    let connection = Connection::open_with_flags(path, flags).map_err(damaged)?;
    // A start that is refused leaves the files as they are: the log is not folded into the database by it.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(damaged)?;
    // Before anything is written: a damaged file stays as it is.
    let check: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(damaged)?;
    if check != "ok" {
        return Err(Error::Damaged {
            path: path.to_owned(),
            detail: one_line(&check),
        });
    }
    let setup = || -> rusqlite::Result<()> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL);
             CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL);
             INSERT OR IGNORE INTO counter VALUES (0, 0);",
        )
    };
    setup().map_err(damaged)?;
    Ok(connection)
}

/// The writer thread: takes what waits, commits it once, answers all.
fn write_all(mut connection: Connection, requests: &mpsc::Receiver<Request>) {
    let mut crash = CrashPoint::from_environment();
    let mut has_written = false;
    while let Ok(first) = requests.recv() {
        let mut batch = vec![first];
        batch.extend(requests.try_iter().take(BATCH_MAX - 1));
        match commit(
            &mut connection,
            batch.iter().map(|(write, _)| write),
            &mut crash,
        ) {
            Ok(()) => {
                has_written = true;
                crash.pass(Stage::Committed);
                for (_, answer) in batch {
                    drop(answer.send(Ok(())));
                }
                crash.pass(Stage::Answered);
            }
            Err(error) => {
                tracing::error!(%error, writes = batch.len(), "a commit failed");
                let mut cause = Some(error);
                for (_, answer) in batch {
                    let error = cause.take().map_or(Error::Closed, Error::Commit);
                    drop(answer.send(Err(error)));
                }
                // What the cache was promised is not on disk: nothing may be written after it.
                return;
            }
        }
    }
    // A clean end folds the log into the file; a start that was refused has written nothing.
    if !has_written {
        return;
    }
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "cannot fold the store's log");
    }
}

fn commit<'a>(
    connection: &mut Connection,
    writes: impl Iterator<Item = &'a Write>,
    crash: &mut CrashPoint,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let mut newest = 0;
    {
        let mut put = transaction.prepare_cached(
            "INSERT INTO objects (key, value, revision) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET value = ?2, revision = ?3",
        )?;
        let mut delete = transaction.prepare_cached("DELETE FROM objects WHERE key = ?1")?;
        for write in writes {
            let revision = i64::try_from(write.revision.0).unwrap_or(i64::MAX);
            newest = newest.max(revision);
            match &write.value {
                Some(value) => put.execute(params![write.key, value.as_ref(), revision])?,
                None => delete.execute([&write.key])?,
            };
        }
    }
    transaction.execute("UPDATE counter SET revision = max(revision, ?1)", [newest])?;
    crash.pass(Stage::Written);
    transaction.commit()
}

impl Store for Embedded {
    fn load(&self) -> Result<(Vec<Entry>, Revision), Error> {
        let damaged = |error: rusqlite::Error| Error::Damaged {
            path: self.path.clone(),
            detail: error.to_string(),
        };
        let read = || -> rusqlite::Result<(Vec<Entry>, Revision)> {
            let connection =
                Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let unsigned = |n: i64| Revision(u64::try_from(n).unwrap_or(0));
            let counter =
                connection.query_row("SELECT revision FROM counter", [], |row| row.get(0))?;
            let mut statement =
                connection.prepare("SELECT key, value, revision FROM objects ORDER BY key")?;
            let entries = statement
                .query_map([], |row| {
                    Ok(Entry {
                        key: row.get(0)?,
                        value: row.get(1)?,
                        revision: unsigned(row.get(2)?),
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok((entries, unsigned(counter)))
        };
        read().map_err(damaged)
    }

    fn write(&self, write: Write) -> Committed {
        let (answer, answered) = oneshot::channel();
        let queued = self
            .queue
            .as_ref()
            .is_some_and(|queue| queue.send((write, answer)).is_ok());
        Box::pin(async move {
            if !queued {
                return Err(Error::Closed);
            }
            answered.await.unwrap_or(Err(Error::Closed))
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _panicked = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
