//! Which files of the image store may go when the disk fills.
//!
//! A pure plan: tagged images are the registry's own and always stay; what a pod uses always
//! stays; the rest goes, oldest use first, until enough is free.

use std::{collections::HashSet, path::PathBuf};

/// Collection starts above this share of the file system, percent, as the kubelet's default.
pub(crate) const HIGH_PERCENT: u64 = 85;
/// And frees until this share, percent, as the kubelet's default.
pub(crate) const LOW_PERCENT: u64 = 80;

/// A file that could go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Where it is.
    pub path: PathBuf,
    /// Its size, bytes.
    pub bytes: u64,
    /// When it was last used, seconds since 1970.
    pub last_used: u64,
    /// The blob it is or was made from, hexadecimal.
    pub blob: String,
}

/// What the marks keep free of a disk never exceeds this: of a large one a share would be far more than images need.
const FREE_BYTES_MAX: u64 = 10 << 30;

/// How many bytes to free, or none.
#[must_use]
pub(crate) fn bytes_to_free(used: u64, total: u64) -> Option<u64> {
    let mark = |percent: u64| total - (total / 100 * (100 - percent)).min(FREE_BYTES_MAX);
    (total > 0 && used > mark(HIGH_PERCENT)).then(|| used - mark(LOW_PERCENT))
}

/// What goes, in order.
#[must_use]
pub(crate) fn plan(
    mut candidates: Vec<Candidate>,
    in_use: &HashSet<String>,
    free: u64,
) -> Vec<Candidate> {
    candidates.retain(|candidate| !in_use.contains(&candidate.blob));
    candidates.sort_by(|a, b| (a.last_used, &a.path).cmp(&(b.last_used, &b.path)));
    let mut freed = 0;
    candidates
        .into_iter()
        .take_while(|candidate| {
            let wanted = freed < free;
            freed += candidate.bytes;
            wanted
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(blob: &str, bytes: u64, last_used: u64) -> Candidate {
        Candidate {
            path: PathBuf::from(blob),
            bytes,
            last_used,
            blob: blob.to_owned(),
        }
    }

    #[test]
    fn frees_the_oldest_first_and_never_what_is_in_use() {
        let all = vec![
            candidate("new", 10, 3),
            candidate("used", 10, 1),
            candidate("old", 10, 2),
        ];
        let in_use = HashSet::from(["used".to_owned()]);
        let names = |free| -> Vec<String> {
            plan(all.clone(), &in_use, free)
                .into_iter()
                .map(|c| c.blob)
                .collect()
        };
        assert_eq!(names(0), Vec::<String>::new());
        assert_eq!(names(10), ["old"]);
        assert_eq!(names(1000), ["old", "new"]);
    }

    #[test]
    fn starts_above_the_high_mark_and_frees_to_the_low_one() {
        assert_eq!(bytes_to_free(85, 100), None);
        assert_eq!(bytes_to_free(86, 100), Some(6));
        assert_eq!(bytes_to_free(0, 0), None);
    }
}
