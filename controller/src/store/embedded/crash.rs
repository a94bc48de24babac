//! Kill points inside a commit, for the test that kills a controller and counts what is left.
//!
//! `CORACLE_CRASH_AT=STAGE:N` ends the process, without a word, when the N-th commit reaches the stage. Never
//! in a build without debug assertions: there it costs nothing and cannot be turned on.

/// How far a commit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// All rows are in the transaction, which is open.
    Written,
    /// The transaction is on disk, nobody was told.
    Committed,
    /// Everybody was told.
    Answered,
}

/// The point where this process dies, if any.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CrashPoint {
    at: Option<(Stage, u32)>,
}

impl CrashPoint {
    /// What the environment says.
    pub(super) fn from_environment() -> Self {
        if cfg!(debug_assertions)
            && let Ok(text) = std::env::var("CORACLE_CRASH_AT")
        {
            return Self::parse(&text);
        }
        Self::default()
    }

    fn parse(text: &str) -> Self {
        let parsed = text.split_once(':').and_then(|(stage, count)| {
            let stage = match stage {
                "written" => Stage::Written,
                "committed" => Stage::Committed,
                "answered" => Stage::Answered,
                _ => return None,
            };
            Some((stage, count.parse().ok()?))
        });
        Self { at: parsed }
    }

    /// A commit has reached `stage`.
    pub(super) fn pass(&mut self, stage: Stage) {
        if let Some((at, left)) = &mut self.at
            && *at == stage
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                std::process::abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_point_and_counts_to_it() {
        let mut point = CrashPoint::parse("committed:3");
        point.pass(Stage::Committed);
        point.pass(Stage::Written);
        assert_eq!(point.at, Some((Stage::Committed, 2)));
        assert_eq!(CrashPoint::parse("elsewhere:1"), CrashPoint::default());
        assert_eq!(CrashPoint::parse("written"), CrashPoint::default());
    }
}
