//! The contract of a store, on the embedded one.

use super::*;

fn write(key: &str, value: Option<&'static [u8]>, revision: u64) -> Write {
    Write {
        key: key.to_owned(),
        value: value.map(bytes::Bytes::from_static),
        revision: Revision(revision),
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    store.write(write("/a", Some(b"1"), 1)).await.unwrap();
    store.write(write("/b", Some(b"2"), 2)).await.unwrap();
    store.write(write("/a", Some(b"3"), 3)).await.unwrap();
    store.write(write("/b", None, 4)).await.unwrap();
    // As a kill would leave it: the log is not folded into the file.
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    drop(store);
    for dir in [dir, copy] {
        let (entries, revision) = Embedded::open(dir.path()).unwrap().load().unwrap();
        assert_eq!(revision, Revision(4), "a deletion counts too");
        let all: Vec<_> = entries
            .iter()
            .map(|e| (e.key.as_str(), e.value.as_slice(), e.revision.0))
            .collect();
        assert_eq!(all, [("/a", &b"3"[..], 3)]);
    }
}

#[tokio::test]
async fn many_writers_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let writes: Vec<_> = (1..=500)
        .map(|n| store.write(write(&format!("/{n:03}"), Some(b"x"), n)))
        .collect();
    for committed in writes {
        committed.await.unwrap();
    }
    assert_eq!(store.load().unwrap().0.len(), 500);
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _store = Embedded::open(dir.path()).unwrap();
    let error = Embedded::open(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("is in use by another coracle process"),
        "{error}"
    );
}

#[test]
fn nobody_else_may_look_into_the_store() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let _store = Embedded::open(dir.path()).unwrap();
    let mode = fs::metadata(dir.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_damaged_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite");
    let garbage = b"this is not a database, whatever its name says".repeat(100);
    fs::write(&path, &garbage).unwrap();
    let error = Embedded::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is damaged"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), garbage);
}
