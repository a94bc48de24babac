//! Whether SQLite's write-ahead log is whole.
//!
//! SQLite takes the first frame that does not fit for the end of the log, which is right after a power cut and
//! wrong after a flash that forgot a bit: commits behind it would be lost without a word. A power cut tears
//! the last transaction only, as each is synced before the next begins; so more than one commit behind a bad
//! frame means damage. Source: sqlite.org, "WAL-mode File Format".

use std::{
    fs::File,
    io::{self, BufReader, Read as _},
    path::Path,
};

const HEADER_LEN: usize = 32;
const FRAME_HEADER_LEN: usize = 24;
/// With checksums over little-endian words; the next number says big-endian.
const MAGIC: u32 = 0x377f_0682;
const PAGE_BYTES_MAX: u32 = 65_536;

/// Checks the log beside a database, if there is one. Says what is wrong with it.
pub(super) fn check(database: &Path) -> io::Result<Option<String>> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    match File::open(Path::new(&path)) {
        Ok(file) => read(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

/// The running checksum of the format, over whole pairs of words.
fn sum(mut state: [u32; 2], bytes: &[u8], big_endian: bool) -> [u32; 2] {
    for pair in bytes.chunks_exact(8) {
        let read = |half: &[u8]| {
            let word = word(half, 0);
            if big_endian { word } else { word.swap_bytes() }
        };
        let (one, two) = pair.split_at(4);
        state[0] = state[0].wrapping_add(read(one)).wrapping_add(state[1]);
        state[1] = state[1].wrapping_add(read(two)).wrapping_add(state[0]);
    }
    state
}

fn read(file: File) -> io::Result<Option<String>> {
    // The header is synced before the first frame: a log that has frames has a whole header.
    if file.metadata()?.len() <= HEADER_LEN as u64 {
        return Ok(None);
    }
    let mut reader = BufReader::new(file);
    let mut header = [0; HEADER_LEN];
    reader.read_exact(&mut header)?;
    let big_endian = word(&header, 0) == MAGIC + 1;
    let page_bytes = word(&header, 8);
    let mut state = sum([0, 0], &header[..24], big_endian);
    let is_whole = word(&header, 0) | 1 == MAGIC + 1
        && page_bytes.is_power_of_two()
        && (512..=PAGE_BYTES_MAX).contains(&page_bytes)
        && state == [word(&header, 24), word(&header, 28)];
    if !is_whole {
        return Ok(Some("the header of its log is damaged".to_owned()));
    }
    let mut frame = vec![0; FRAME_HEADER_LEN + page_bytes as usize];
    let (mut number, mut bad, mut lost) = (0_u64, None, 0);
    while fill(&mut reader, &mut frame)? {
        number += 1;
        // What an earlier round of the log left behind has other salts.
        let is_of_this_round = frame[8..16] == header[16..24];
        if bad.is_none() {
            state = sum(state, &frame[..8], big_endian);
            state = sum(state, &frame[FRAME_HEADER_LEN..], big_endian);
            if is_of_this_round && state == [word(&frame, 16), word(&frame, 20)] {
                continue;
            }
            bad = Some(number);
        }
        let is_commit = word(&frame, 4) != 0;
        lost += u64::from(is_of_this_round && is_commit);
    }
    Ok(bad.filter(|_| lost > 1).map(|bad| {
        format!("frame {bad} of its log is damaged, and {lost} commits from there on would be lost")
    }))
}

/// Reads a whole frame; false at the end, also in the middle of one.
fn fill(reader: &mut impl io::Read, frame: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(frame) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use std::fs;

    /// A database whose last commits are in its log, as a kill leaves it.
    fn killed(dir: &Path) -> (std::path::PathBuf, Vec<u8>) {
        let (live, copy) = (dir.join("live"), dir.join("copy"));
        let connection = Connection::open(&live).unwrap();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        connection
            .execute_batch("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)")
            .unwrap();
        for number in 0..20 {
            connection
                .execute("INSERT INTO t VALUES (?1, zeroblob(3000))", [number])
                .unwrap();
        }
        fs::copy(&live, &copy).unwrap();
        let wal = fs::read(dir.join("live-wal")).unwrap();
        fs::write(dir.join("copy-wal"), &wal).unwrap();
        (copy, wal)
    }

    #[test]
    fn a_flipped_bit_is_found_and_a_torn_end_is_not_one() {
        let dir = tempfile::tempdir().unwrap();
        let (database, whole) = killed(dir.path());
        let found = |wal: &[u8]| {
            fs::write(dir.path().join("copy-wal"), wal).unwrap();
            check(&database).unwrap()
        };
        assert_eq!(found(&whole), None);
        let frame = FRAME_HEADER_LEN + 4096;
        for at in [
            HEADER_LEN + 3 * frame + 500,
            HEADER_LEN + 5 * frame + 9,
            HEADER_LEN + 2 * frame + 17,
        ] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(found(&flipped).unwrap().contains("would be lost"), "{at}");
        }
        for at in [0, 9, 20, 30] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(found(&flipped).is_some(), "{at}");
        }
        for end in [
            0,
            10,
            HEADER_LEN,
            HEADER_LEN + 100,
            whole.len() - 1,
            whole.len() - frame - 7,
        ] {
            assert_eq!(found(&whole[..end]), None, "{end}");
        }
        let mut torn = whole.clone();
        let last = torn.len() - 100;
        torn[last] ^= 1;
        assert_eq!(found(&torn), None, "the last commit may be torn");
        let no_log = dir.path().join("nothing");
        assert_eq!(check(&no_log).unwrap(), None);
    }
}
