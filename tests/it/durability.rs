//! What must be true after a controller was killed, and of a data directory it cannot use.

use anyhow::Context as _;
use coracle_tests::{Controller, coracle_refused, http};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Clients that write at once.
const CLIENTS: usize = 4;
/// Kills in CI; `CORACLE_KILLS` asks for more.
const KILLS: usize = 10;
/// More writes than any kill point lets a client make.
const WRITES_MAX: usize = 2000;

/// A client that creates one object after another and writes down which were acknowledged.
struct Client {
    number: usize,
    next: usize,
    acknowledged: fs::File,
}

impl Client {
    fn new(dir: &Path, number: usize) -> anyhow::Result<Self> {
        let acknowledged = fs::File::create(dir.join(format!("acknowledged-{number}")))?;
        Ok(Self {
            number,
            next: 0,
            acknowledged,
        })
    }

    /// Writes until the controller is gone. The write that was under way is sent again the next time,
    /// and then "already exists" says that it had happened.
    fn run(&mut self, proxy: &str, total: &AtomicUsize) -> anyhow::Result<()> {
        for _ in 0..WRITES_MAX {
            let name = format!("m-{}-{}", self.number, self.next);
            let body = format!(r#"{{"metadata":{{"name":"{name}","labels":{{"kills":"yes"}}}}}}"#);
            match http(
                proxy,
                "POST",
                "/api/v1/namespaces/default/configmaps",
                &body,
            ) {
                Ok((201 | 409, _)) => {}
                _ => return Ok(()),
            }
            writeln!(self.acknowledged, "{name}")?;
            self.next += 1;
            total.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::bail!("client {} was never interrupted", self.number)
    }
}

/// One life of the controller, ended inside a commit or from outside.
fn life(dir: &Path, clients: &mut [Client], kill: usize) -> anyhow::Result<()> {
    let stage = ["written", "committed", "answered", ""][kill % 4];
    // A start has some writes of its own before it is up.
    let at = format!("{stage}:{}", 32 + kill * 7 % 23);
    let environment = [("CORACLE_CRASH_AT", at.as_str())];
    let controller =
        Controller::start_with(dir, if stage.is_empty() { &[] } else { &environment })?;
    let proxy = controller.proxy()?;
    let total = AtomicUsize::new(0);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let (proxy, total) = (proxy.address.as_str(), &total);
        let running: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(move || client.run(proxy, total)))
            .collect();
        if stage.is_empty() {
            // From outside, somewhere within the writes that follow this many.
            while total.load(Ordering::Relaxed) < 20 + kill * 13 % 50
                && running.iter().any(|client| !client.is_finished())
            {
                std::thread::yield_now();
            }
            controller.kill()?;
        }
        for client in running {
            client
                .join()
                .map_err(|_panic| anyhow::anyhow!("a client panicked"))??;
        }
        Ok(())
    })
}

#[test]
fn acknowledged_writes_survive_kills() -> anyhow::Result<()> {
    let (data, files) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|n| Client::new(files.path(), n))
        .collect::<anyhow::Result<_>>()?;
    let kills = std::env::var("CORACLE_KILLS").map_or(Ok(KILLS), |text| text.parse())?;
    // What every cluster has is written by the time of the first kill.
    Controller::start(data.path())?.stop(Duration::from_secs(20))?;
    for kill in 0..kills {
        life(data.path(), &mut clients, kill).with_context(|| format!("kill {kill}"))?;
    }
    let controller = Controller::start(data.path())?;
    let names = controller.ok(&["get", "configmaps", "-l", "kills=yes", "-o", "name"], "")?;
    let mut left: BTreeSet<&str> = names
        .lines()
        .filter_map(|line| line.strip_prefix("configmap/"))
        .collect();
    for client in &clients {
        let acknowledged =
            fs::read_to_string(files.path().join(format!("acknowledged-{}", client.number)))?;
        assert!(
            acknowledged.lines().count() >= kills,
            "client {} wrote next to nothing",
            client.number
        );
        for name in acknowledged.lines() {
            assert!(left.remove(name), "{name} was acknowledged and is gone");
        }
        // The one write that was under way at the last kill.
        left.remove(format!("m-{}-{}", client.number, client.next).as_str());
    }
    assert!(left.is_empty(), "nobody wrote {left:?}");
    Ok(())
}

fn refused(dir: &Path) -> anyhow::Result<String> {
    let dir = dir.to_string_lossy();
    let any = "127.0.0.1:0";
    let listen = ["--listen", any, "--link-listen", any, "--page-listen", any];
    coracle_refused(&[&["controller", "--data-dir", &dir][..], &listen].concat())
}

#[test]
fn a_data_directory_has_one_controller() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let _controller = Controller::start(dir.path())?;
    let said = refused(dir.path())?;
    assert!(said.starts_with("coracle: data directory"), "{said}");
    assert!(said.contains("in use by another coracle process"), "{said}");
    Ok(())
}

/// Every file below a folder with its content.
fn content(dir: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(content(&path)?);
        } else {
            found.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(found)
}

/// What happens to the bytes of a file.
type Damage = fn(&mut Vec<u8>);

#[test]
fn a_damaged_data_directory_is_not_touched() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    for n in 0..20 {
        controller.ok(
            &[
                "create",
                "configmap",
                &format!("m{n}"),
                "--from-literal=a=b",
            ],
            "",
        )?;
    }
    // A clean end folds the log into the file.
    controller.stop(Duration::from_secs(20))?;
    let store = dir.path().join("store/store.sqlite");
    let whole = fs::read(&store)?;
    let damages: [(&str, Damage); 2] = [
        ("its head", |bytes| bytes[..64].fill(b'x')),
        ("all of it", |bytes| bytes.fill(b'x')),
    ];
    for (what, damage) in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&store, &bytes)?;
        let before = content(dir.path())?;
        let said = refused(dir.path())?;
        assert!(
            said.starts_with("coracle: the store ") && said.contains("is damaged"),
            "{what}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
        let after = content(dir.path())?;
        let changed: Vec<_> = before
            .iter()
            .filter(|(path, bytes)| after.get(*path) != Some(bytes))
            .map(|(path, _)| path)
            .collect();
        assert!(changed.is_empty(), "{what}: changed {changed:?}");
        let new: Vec<_> = after
            .keys()
            .filter(|path| !before.contains_key(*path))
            .collect();
        assert!(new.is_empty(), "{what}: made {new:?}");
    }
    // What a power cut leaves on flash, and what a hand removes: never taken for a new cluster.
    fs::write(&store, b"")?;
    check_incomplete(dir.path(), "store/store.sqlite")?;
    fs::write(&store, &whole)?;
    let (pki, away) = (dir.path().join("pki"), dir.path().join("away"));
    fs::rename(&pki, &away)?;
    check_incomplete(dir.path(), "pki/ca.key")?;
    fs::rename(&away, &pki)?;
    for part in ["pki/ca.crt", "pki/sa.key"] {
        let path = dir.path().join(part);
        fs::rename(&path, &away)?;
        check_incomplete(dir.path(), part)?;
        assert!(!path.exists(), "{part} is made anew");
        fs::rename(&away, &path)?;
    }
    // What was saved before is whole again.
    let controller = Controller::start(dir.path())?;
    assert_eq!(
        controller.ok(&["get", "configmap", "m19", "-o", "jsonpath={.data.a}"], "")?,
        "b"
    );
    Ok(())
}

fn check_incomplete(dir: &Path, part: &str) -> anyhow::Result<()> {
    let said = refused(dir)?;
    assert!(
        said.contains("has been used before") && said.contains(part),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    Ok(())
}

#[test]
fn a_path_that_is_no_directory_is_one_sentence() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("file");
    fs::write(&file, "hello")?;
    let said = refused(&file)?;
    assert!(
        said.starts_with("coracle: cannot create ") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(fs::read_to_string(&file)?, "hello");
    Ok(())
}
