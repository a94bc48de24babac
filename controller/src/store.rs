//! Durable keys and values with one revision counter.
//!
//! A write is answered only after it is on disk. The store knows keys and bytes, no kinds; history is
//! the cache's matter, the store keeps the newest value of each key.

mod embedded;

pub use embedded::Embedded;

use bytes::Bytes;
use coracle_api::Revision;
use std::{future::Future, path::PathBuf, pin::Pin};

/// Why the store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("data directory {} is in use by another coracle process; stop that one or choose another --data-dir", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Its content is not what we wrote.
    #[error("the store {} is damaged ({detail}); nothing was changed: restore it from a backup, or move it away to start anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check says.
        detail: String,
    },
    /// The file system refuses.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// Verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A commit failed; the writes in it did not happen.
    #[error("cannot commit to the store")]
    Commit(#[source] rusqlite::Error),
    /// The writer has ended.
    #[error("the store is closed")]
    Closed,
}

/// A key and its new value, or none to delete it.
#[derive(Debug, Clone)]
pub struct Write {
    /// `/registry/<resource>/<namespace>/<name>`.
    pub key: String,
    /// The value; never logged.
    pub value: Option<Bytes>,
    /// The counter's value for this write; the caller hands them out, ascending.
    pub revision: Revision,
}

/// A stored value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// When it was written.
    pub revision: Revision,
}

/// The result of a commit, when it is on disk.
pub type Committed = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// What every store does; the embedded one is the default.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Everything, with the highest revision ever handed out.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&self) -> Result<(Vec<Entry>, Revision), Error>;

    /// Queues a write; writes reach the disk in the order of these calls, many in one commit.
    fn write(&self, write: Write) -> Committed;
}
