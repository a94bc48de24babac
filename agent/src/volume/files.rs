//! Files of a ConfigMap or Secret volume, replaced in one step by a symbolic link, as the kubelet does:
//! `name -> ..data/name`, `..data -> ..REVISION/`.

use coracle_daemon::make_private_dir;
use coracle_link::pod::File;
use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

/// Makes the volume at `root` hold exactly `files`. Paths have been checked.
pub(super) fn replace(root: &Path, files: &[File]) -> io::Result<()> {
    let data = root.join("..data");
    let old = fs::read_link(&data).ok();
    if old.is_some() && is_same(&data, files) {
        return Ok(());
    }
    let name = format!("..{:016x}", rand::random::<u64>());
    let fresh = root.join(&name);
    make_private_dir(&fresh)?;
    for file in files {
        write(&fresh, file)?;
    }
    let link = root.join("..data_tmp");
    let _left_by_a_crash = fs::remove_file(&link);
    symlink(&name, &link)?;
    fs::rename(&link, &data)?;
    let tops = tops(files);
    for top in &tops {
        let shown = root.join(top);
        if fs::symlink_metadata(&shown).is_err() {
            symlink(Path::new("..data").join(top), &shown)?;
        }
    }
    for entry in fs::read_dir(root)?.flatten() {
        let name = PathBuf::from(entry.file_name());
        let hidden = name.as_os_str().as_encoded_bytes().starts_with(b"..");
        if !hidden && !tops.contains(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    old.map_or(Ok(()), |old| fs::remove_dir_all(root.join(old)))
}

/// First parts of all paths.
fn tops(files: &[File]) -> BTreeSet<PathBuf> {
    let first = |file: &File| {
        Path::new(&file.path)
            .components()
            .next()
            .map(|part| part.as_os_str().into())
    };
    files.iter().filter_map(first).collect()
}

fn is_same(data: &Path, files: &[File]) -> bool {
    let unchanged = |file: &File| {
        let path = data.join(&file.path);
        fs::read(&path).is_ok_and(|content| content == file.data.0)
            && fs::metadata(&path)
                .is_ok_and(|found| found.permissions().mode() & 0o777 == mode(file))
    };
    count(data) == files.len() && files.iter().all(unchanged)
}

fn count(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                count(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

/// The agent has to read it itself.
fn mode(file: &File) -> u32 {
    file.mode & 0o777 | 0o400
}

fn write(root: &Path, file: &File) -> io::Result<()> {
    let path = root.join(&file.path);
    path.parent().map_or(Ok(()), make_private_dir)?;
    let mut open = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    open.write_all(&file.data.0)?;
    open.set_permissions(fs::Permissions::from_mode(mode(file)))
}
