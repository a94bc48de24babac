//! Static API tokens: a file of SHA-256 hashes, never of tokens.
//!
//! One line a token: `<hex hash> <user> <group>,<group>`. The file is read again when it changed.

use super::UserInfo;
use parking_lot::Mutex;
use rand::RngCore;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How often a change of the file is looked for: a revoked token works at most this much longer.
const RELOAD_PERIOD: Duration = Duration::from_secs(1);
/// A longer token is refused before it is hashed.
const TOKEN_BYTES_MAX: usize = 4096;

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("cannot use the API tokens of {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is not in the form.
    #[error("line {line} of {} is not `<sha256> <user> <groups>`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A user or group that would not survive the form.
    #[error("the user or group {name:?} has a space, comma or control character in it")]
    Name {
        /// It.
        name: String,
    },
}

/// The known tokens. A clone shares them.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Mutex<File>>);

#[derive(Debug)]
struct File {
    path: Option<PathBuf>,
    stamp: Option<Stamp>,
    looked: Instant,
    users: Users,
}

/// By the hash of their token.
type Users = HashMap<String, UserInfo>;
/// What tells one version of the file from the next.
type Stamp = (std::time::SystemTime, u64);

impl Tokens {
    /// The tokens of a file, which need not exist yet.
    ///
    /// # Errors
    /// When it exists and cannot be read or understood.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (stamp, users) = read(path)?;
        Ok(Self(Arc::new(Mutex::new(File {
            path: Some(path.to_owned()),
            stamp,
            looked: Instant::now(),
            users,
        }))))
    }

    /// No tokens.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new(Mutex::new(File {
            path: None,
            stamp: None,
            looked: Instant::now(),
            users: HashMap::new(),
        })))
    }

    /// Whose token this is.
    #[must_use]
    pub fn user(&self, token: &str) -> Option<UserInfo> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let hash = hash(token);
        let mut file = self.0.lock();
        file.reload(RELOAD_PERIOD);
        if !file.users.contains_key(&hash) {
            // It may have been made this moment, and whoever made it uses it at once.
            file.reload(Duration::ZERO);
        }
        file.users.get(&hash).cloned()
    }
}

impl File {
    fn reload(&mut self, period: Duration) {
        let Some(path) = &self.path else { return };
        if self.looked.elapsed() < period {
            return;
        }
        self.looked = Instant::now();
        if stamp(path) == self.stamp {
            return;
        }
        match read(path) {
            Ok((stamp, users)) => (self.stamp, self.users) = (stamp, users),
            Err(error) => tracing::warn!(%error, "keeping the API tokens read before"),
        }
    }
}

/// Makes a new token for `user`, adds its hash to the file, and returns it. It cannot be read back.
///
/// # Errors
/// When the names do not fit the form or the file cannot be written.
pub fn issue(
    path: &Path,
    user: &str,
    groups: &[&str],
    rng: &mut impl RngCore,
) -> Result<String, Error> {
    for name in groups.iter().chain([&user]) {
        if name.is_empty()
            || name
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == ',')
        {
            return Err(Error::Name {
                name: (*name).to_owned(),
            });
        }
    }
    let mut secret = [0_u8; 24];
    rng.fill_bytes(&mut secret);
    let token = format!("coracle-{}", hex(&secret));
    let line = format!("{} {user} {}\n", hash(&token), groups.join(","));
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(line.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(token)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn read(path: &Path) -> Result<(Option<Stamp>, Users), Error> {
    let stamp = stamp(path);
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Ok((None, HashMap::new()));
        }
        Err(source) => {
            return Err(Error::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    let users = parse(&text).map_err(|line| Error::Line {
        path: path.to_owned(),
        line,
    })?;
    Ok((stamp, users))
}

/// The users by hash, or the number of the first bad line.
fn parse(text: &str) -> Result<Users, usize> {
    let mut users = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(hash), Some(user), groups, None) = (
            words.next(),
            words.next(),
            words.next().unwrap_or_default(),
            words.next(),
        ) else {
            return Err(number + 1);
        };
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(number + 1);
        }
        let groups = groups
            .split(',')
            .filter(|group| !group.is_empty())
            .map(str::to_owned);
        users.insert(
            hash.to_ascii_lowercase(),
            UserInfo::new(user, groups.collect::<Vec<_>>()),
        );
    }
    Ok(users)
}

fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn an_issued_token_is_known_and_its_file_does_not_hold_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let token = issue(&path, "ann", &["system:masters"], &mut rng).unwrap();
        let tokens = Tokens::open(&path).unwrap();
        let user = tokens.user(&token).unwrap();
        assert_eq!((user.name.as_str(), user.is_master()), ("ann", true));
        assert_eq!(tokens.user("coracle-0"), None);
        assert_eq!(tokens.user(""), None);
        assert!(!fs::read_to_string(&path).unwrap().contains(&token));
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(parse("# ok\n\nxyz user").unwrap_err(), 3);
        assert_eq!(parse("abc").unwrap_err(), 1);
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        assert!(issue(Path::new("/nowhere/t"), "a b", &[], &mut rng).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_token_stops_working() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let token = issue(&path, "ann", &[], &mut rng).unwrap();
        let tokens = Tokens::open(&path).unwrap();
        assert!(tokens.user(&token).is_some());
        fs::write(&path, "").unwrap();
        tokio::time::advance(RELOAD_PERIOD).await;
        assert!(tokens.user(&token).is_none());
    }
}
