//! Who was turned away, in the log: a certificate or a token that is not ours.
//!
//! Never more than a line a second, whoever knocks; what was left out is counted in the next.

use parking_lot::Mutex;
use std::{net::SocketAddr, time::Duration};
use tokio::time::Instant;

const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Told {
    last: Option<Instant>,
    left_out: u64,
}

impl Told {
    /// How many were left out before this one, if this one is to be told.
    fn next(&mut self, now: Instant) -> Option<u64> {
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < PERIOD)
        {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

static TOLD: Mutex<Told> = Mutex::new(Told {
    last: None,
    left_out: 0,
});

/// Tells of one, by address and reason; never a secret.
pub(in crate::http) fn tell(peer: SocketAddr, why: impl FnOnce() -> String) {
    let next = TOLD.lock().next(Instant::now());
    match next {
        Some(0) => tracing::warn!(%peer, why = why(), "refused"),
        Some(left_out) => tracing::warn!(%peer, why = why(), left_out, "refused"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second() {
        let mut told = Told {
            last: None,
            left_out: 0,
        };
        let start = Instant::now();
        assert_eq!(told.next(start), Some(0));
        for _ in 0..5 {
            assert_eq!(told.next(start + PERIOD / 2), None);
        }
        assert_eq!(told.next(start + PERIOD), Some(5));
        assert_eq!(told.next(start + 2 * PERIOD), Some(0));
    }
}
