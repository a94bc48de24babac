//! Compiled code on disk: one file and one MAC an artifact, and which reference means which.
//!
//! A file is never loaded before its MAC was checked once by this process; a file that fails is always deleted.
//! What a pod uses is never collected.

use coracle_daemon::{make_private_dir, write_private};
use parking_lot::Mutex;
use ring::{digest, hmac};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// SHA-256 of an artifact.
pub(crate) type Sha256 = [u8; 32];

/// References whose meaning is known; the one used longest ago makes room. A full disk ends most before.
const REFERENCES_MAX: usize = 4096;
/// Below this share of free disk unused code is deleted, as upstream (85 % used) ...
const FREE_LOW_PERCENT: u64 = 15;
/// ... but a large disk is not full because of what a node keeps.
const FREE_LOW_BYTES: u64 = 4 << 30;
/// Up to this share, as upstream (80 % used).
const FREE_PERCENT: u64 = 20;
/// The same of a large disk.
const FREE_BYTES: u64 = 6 << 30;
/// Extension of a file that is being received.
const PART: &str = "part";
/// Such a file is given up.
const PART_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How much of a file is hashed at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// What a reference was resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `sha256:...` of the image.
    pub(crate) image_digest: String,
    /// Of the compiled code.
    pub(crate) artifact: Sha256,
    /// Bytes of the compiled code.
    pub(crate) size: u64,
    /// Hash of the engine it was compiled for.
    pub(crate) compatibility: String,
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// Authentic.
    Good(PathBuf),
    /// Not there.
    Absent,
    /// It was changed; it is deleted now.
    Forged,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    key: hmac::Key,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By reference as the manifest writes it.
    references: BTreeMap<String, Entry>,
    /// The files that were authentic, as they were then.
    verified: HashMap<Sha256, Stamp>,
    used: HashMap<Sha256, u64>,
    uses: u64,
}

/// Tells a file from any later content of the same name; a change time can not be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file that is being received; it goes on where an earlier attempt ended.
pub(crate) struct Incoming {
    file: fs::File,
    path: PathBuf,
    context: digest::Context,
    mac: hmac::Context,
    size: u64,
}

impl Cache {
    /// Opens the cache in `dir`; `index` is what [`Cache::index`] gave once.
    pub(crate) fn open(dir: PathBuf, key: hmac::Key) -> io::Result<Self> {
        make_private_dir(&dir)?;
        for entry in fs::read_dir(&dir)?.flatten() {
            if is_left_over(&entry) {
                let _left_by_a_crash = fs::remove_file(entry.path());
            }
        }
        let references = fs::read(dir.join("index")).map_or_else(
            |_absent| BTreeMap::new(),
            |bytes| index::decode(&bytes, &key).unwrap_or_default(),
        );
        let state = State {
            references,
            ..State::default()
        };
        Ok(Self {
            dir,
            key,
            state: Mutex::new(state),
        })
    }

    /// What `reference` means here, if its code is for this engine.
    pub(crate) fn resolve(&self, reference: &str, compatibility: &str) -> Option<Entry> {
        let state = self.state.lock();
        state
            .references
            .get(reference)
            .filter(|entry| entry.compatibility == compatibility)
            .cloned()
    }

    /// Remembers what `reference` means.
    pub(crate) fn remember(&self, reference: &str, entry: Entry) -> io::Result<()> {
        let mut state = self.state.lock();
        let known = state.references.get(reference) == Some(&entry);
        if known || reference.contains(char::is_control) {
            return Ok(());
        }
        if state.references.len() >= REFERENCES_MAX {
            let oldest = state
                .references
                .iter()
                .min_by_key(|(_, entry)| state.used.get(&entry.artifact).copied().unwrap_or(0))
                .map(|(reference, _)| reference.clone());
            oldest.and_then(|oldest| state.references.remove(&oldest));
        }
        state.references.insert(reference.to_owned(), entry);
        self.save(&state)
    }

    fn save(&self, state: &State) -> io::Result<()> {
        write_private(
            &self.dir.join("index"),
            &index::encode(&state.references, &self.key),
        )
    }

    fn path(&self, artifact: &Sha256) -> PathBuf {
        self.dir.join(format!("{}.code", hex(artifact)))
    }

    fn mac_path(&self, artifact: &Sha256) -> PathBuf {
        self.dir.join(format!("{}.mac", hex(artifact)))
    }

    /// The file of `artifact`, authenticated. Reads the whole file the first time: not for an async task.
    pub(crate) fn check(&self, artifact: &Sha256) -> io::Result<Checked> {
        let path = self.path(artifact);
        {
            let mut state = self.state.lock();
            state.uses += 1;
            let uses = state.uses;
            state.used.insert(*artifact, uses);
            let stamp = fs::metadata(&path).map(|found| Stamp::of(&found)).ok();
            if stamp.is_some() && state.verified.get(artifact).copied() == stamp {
                return Ok(Checked::Good(path));
            }
        }
        let mut file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Checked::Absent),
            Err(error) => return Err(error),
        };
        // Taken before reading: what changes meanwhile is read again the next time.
        let stamp = Stamp::of(&file.metadata()?);
        let mut context = hmac::Context::with_key(&self.key);
        context.update(artifact);
        each_block(&mut file, |block| context.update(block))?;
        let stored = fs::read(self.mac_path(artifact)).unwrap_or_default();
        // Compared through a second MAC: equal exactly when the first are, in constant time.
        let stored = hmac::sign(&self.key, &stored);
        if hmac::verify(&self.key, context.sign().as_ref(), stored.as_ref()).is_err() {
            self.forget(artifact);
            return Ok(Checked::Forged);
        }
        self.state.lock().verified.insert(*artifact, stamp);
        Ok(Checked::Good(path))
    }

    /// Deletes an artifact.
    pub(crate) fn forget(&self, artifact: &Sha256) {
        self.state.lock().verified.remove(artifact);
        for path in [self.path(artifact), self.mac_path(artifact)] {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "cannot delete compiled code");
            }
        }
    }

    /// Starts to receive the code with hash `artifact`, or goes on. Never twice at once for one artifact. Reads
    /// what is there already: not for an async task.
    pub(crate) fn receive(&self, artifact: &Sha256) -> io::Result<Incoming> {
        let path = self.dir.join(format!("{}.{PART}", hex(artifact)));
        let mut file = fs::OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(artifact);
        let (mut context, mut size) = (digest::Context::new(&digest::SHA256), 0);
        each_block(&mut file, |block| {
            context.update(block);
            mac.update(block);
            size += block.len() as u64;
        })?;
        Ok(Incoming {
            file,
            path,
            context,
            mac,
            size,
        })
    }

    /// Takes what was received, if it is what was announced.
    pub(crate) fn accept(&self, incoming: Incoming, artifact: &Sha256) -> io::Result<PathBuf> {
        let Incoming {
            file,
            path,
            context,
            mac,
            ..
        } = incoming;
        let received = context.finish();
        if received.as_ref() != artifact {
            let _best_effort = fs::remove_file(&path);
            let text = format!(
                "the code has SHA-256 {}, not {}",
                hex(received.as_ref()),
                hex(artifact)
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        file.sync_data()?;
        write_private(&self.mac_path(artifact), mac.sign().as_ref())?;
        let target = self.path(artifact);
        fs::rename(&path, &target)?;
        let stamp = Stamp::of(&file.metadata()?);
        let mut state = self.state.lock();
        state.verified.insert(*artifact, stamp);
        state.uses += 1;
        let uses = state.uses;
        state.used.insert(*artifact, uses);
        Ok(target)
    }

    /// Deletes artifacts nobody uses, the least recently used first, until `bytes` are free. Returns what was freed.
    pub(crate) fn collect(&self, bytes: u64, in_use: &HashSet<Sha256>) -> u64 {
        let mut candidates = self.artifacts();
        candidates.retain(|(artifact, _)| !in_use.contains(artifact));
        {
            let state = self.state.lock();
            candidates.sort_by_key(|(artifact, _)| state.used.get(artifact).copied().unwrap_or(0));
        }
        let mut freed = 0;
        for (artifact, size) in candidates {
            if freed >= bytes {
                break;
            }
            self.forget(&artifact);
            let mut state = self.state.lock();
            state
                .references
                .retain(|_, entry| entry.artifact != artifact);
            if let Err(error) = self.save(&state) {
                tracing::warn!(%error, "cannot write the image index");
            }
            freed += size;
        }
        freed
    }

    fn artifacts(&self) -> Vec<(Sha256, u64)> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let path = entry.path();
                let name = path.file_stem().filter(|_| is_code(&path))?.to_str()?;
                Some((unhex(name)?, entry.metadata().ok()?.len()))
            })
            .collect()
    }
}

/// Half a file of index or MAC, or half an artifact that nobody came back for.
fn is_left_over(entry: &fs::DirEntry) -> bool {
    let path = entry.path();
    let is = |extension: &str| path.extension().is_some_and(|found| found == extension);
    let is_old = || {
        let changed = entry.metadata().and_then(|found| found.modified());
        changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > PART_AGE_MAX))
    };
    is("tmp") || is(PART) && is_old()
}

fn each_block(file: &mut fs::File, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(()),
            size => visit(&block[..size]),
        }
    }
}

fn is_code(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "code")
}

impl Incoming {
    /// Writes the next part.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.context.update(bytes);
        self.mac.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Bytes so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What was received is of no use.
    pub(crate) fn discard(self) {
        let _best_effort = fs::remove_file(&self.path);
    }
}

/// How much must go on a file system with `available` of `total` bytes; none while enough is free.
pub(crate) fn excess(available: u64, total: u64) -> Option<u64> {
    let share = |percent: u64, enough: u64| (total / 100 * percent).min(enough);
    let low = share(FREE_LOW_PERCENT, FREE_LOW_BYTES);
    (available < low).then(|| share(FREE_PERCENT, FREE_BYTES) - available)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &str) -> Option<Sha256> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(out)
}

/// The index file: a MAC, then one line an entry. Private to this device, so its form may change.
mod index {
    use super::{BTreeMap, Entry, hex, hmac, unhex};

    const MAC_BYTES: usize = 32;

    pub(super) fn encode(references: &BTreeMap<String, Entry>, key: &hmac::Key) -> Vec<u8> {
        let mut text = String::new();
        for (reference, entry) in references {
            let Entry {
                image_digest,
                artifact,
                size,
                compatibility,
            } = entry;
            let line = [
                reference,
                image_digest,
                &hex(artifact),
                &size.to_string(),
                compatibility,
            ];
            text.push_str(&line.map(String::as_str).join("\t"));
            text.push('\n');
        }
        [hmac::sign(key, text.as_bytes()).as_ref(), text.as_bytes()].concat()
    }

    /// None when it is damaged: everything is then resolved again.
    pub(super) fn decode(bytes: &[u8], key: &hmac::Key) -> Option<BTreeMap<String, Entry>> {
        let (mac, text) = bytes.split_at_checked(MAC_BYTES)?;
        hmac::verify(key, text, mac).ok()?;
        let text = std::str::from_utf8(text).ok()?;
        text.lines().map(line).collect()
    }

    fn line(line: &str) -> Option<(String, Entry)> {
        let mut fields = line.split('\t');
        let reference = fields.next()?.to_owned();
        let entry = Entry {
            image_digest: fields.next()?.to_owned(),
            artifact: unhex(fields.next()?)?,
            size: fields.next()?.parse().ok()?,
            compatibility: fields.next()?.to_owned(),
        };
        Some((reference, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"a key of a device")
    }

    fn put(cache: &Cache, content: &[u8]) -> Sha256 {
        let mut artifact = [0; 32];
        artifact.copy_from_slice(digest::digest(&digest::SHA256, content).as_ref());
        let mut incoming = cache.receive(&artifact).unwrap();
        incoming.write(content).unwrap();
        cache.accept(incoming, &artifact).unwrap();
        artifact
    }

    #[test]
    fn one_flipped_byte_is_never_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let artifact = put(
            &Cache::open(dir.path().to_owned(), key()).unwrap(),
            b"compiled code",
        );
        let path = dir.path().join(format!("{}.code", hex(&artifact)));

        let cache = Cache::open(dir.path().to_owned(), key()).unwrap();
        assert_eq!(cache.check(&artifact).unwrap(), Checked::Good(path.clone()));

        let mut content = fs::read(&path).unwrap();
        content[3] ^= 1;
        fs::write(&path, content).unwrap();
        let cache = Cache::open(dir.path().to_owned(), key()).unwrap();
        assert_eq!(cache.check(&artifact).unwrap(), Checked::Forged);
        assert_eq!(cache.check(&artifact).unwrap(), Checked::Absent);
    }

    #[test]
    fn code_of_another_device_or_another_name_is_forged() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().to_owned(), key()).unwrap();
        let (a, b) = (put(&cache, b"code a"), put(&cache, b"code b"));
        for extension in ["code", "mac"] {
            let name = |artifact| dir.path().join(format!("{}.{extension}", hex(artifact)));
            fs::copy(name(&a), name(&b)).unwrap();
        }
        let again = Cache::open(dir.path().to_owned(), key()).unwrap();
        assert_eq!(again.check(&b).unwrap(), Checked::Forged);
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another device");
        let other = Cache::open(dir.path().to_owned(), other).unwrap();
        assert_eq!(other.check(&a).unwrap(), Checked::Forged);
    }

    #[test]
    fn what_is_not_what_was_announced_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().to_owned(), key()).unwrap();
        let mut incoming = cache.receive(&[7; 32]).unwrap();
        incoming.write(b"something else").unwrap();
        assert!(cache.accept(incoming, &[7; 32]).is_err());
        assert_eq!(cache.check(&[7; 32]).unwrap(), Checked::Absent);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_change_while_the_agent_runs_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().to_owned(), key()).unwrap();
        let artifact = put(&cache, b"compiled code");
        let path = cache.path(&artifact);
        assert_eq!(cache.check(&artifact).unwrap(), Checked::Good(path.clone()));
        fs::write(&path, b"compiled code that is other").unwrap();
        assert_eq!(cache.check(&artifact).unwrap(), Checked::Forged);
    }

    #[test]
    fn receiving_goes_on_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut artifact = [0; 32];
        artifact.copy_from_slice(digest::digest(&digest::SHA256, b"first, second").as_ref());
        let cache = Cache::open(dir.path().to_owned(), key()).unwrap();
        cache.receive(&artifact).unwrap().write(b"first, ").unwrap();
        let cache = Cache::open(dir.path().to_owned(), key()).unwrap();
        let mut incoming = cache.receive(&artifact).unwrap();
        assert_eq!(incoming.size(), 7);
        incoming.write(b"second").unwrap();
        let path = cache.accept(incoming, &artifact).unwrap();
        assert_eq!(fs::read(path).unwrap(), b"first, second");
    }

    #[test]
    fn references_survive_and_collection_spares_what_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().to_owned(), key()).unwrap();
        let (a, b) = (put(&cache, b"code a"), put(&cache, b"code b, longer"));
        let entry = |artifact| Entry {
            image_digest: "sha256:1".to_owned(),
            artifact,
            size: 6,
            compatibility: "abc".to_owned(),
        };
        cache.remember("a:v1", entry(a)).unwrap();
        cache.remember("b:v1", entry(b)).unwrap();
        let cache = Cache::open(dir.path().to_owned(), key()).unwrap();
        assert_eq!(cache.resolve("a:v1", "abc"), Some(entry(a)));
        assert_eq!(cache.resolve("a:v1", "another engine"), None);
        assert_eq!(cache.collect(1, &HashSet::from([a])), 14);
        assert_eq!(cache.resolve("b:v1", "abc"), None);
        assert!(matches!(cache.check(&a).unwrap(), Checked::Good(_)));
        assert_eq!(cache.check(&b).unwrap(), Checked::Absent);
    }

    #[test]
    fn thresholds() {
        assert_eq!(excess(16, 100), None);
        assert_eq!(excess(10, 100), Some(10));
        assert_eq!(excess(0, 0), None);
        assert_eq!(excess(5 << 30, 250 << 30), None);
        assert_eq!(excess(3 << 30, 250 << 30), Some(3 << 30));
    }
}
