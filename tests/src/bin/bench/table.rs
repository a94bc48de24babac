//! The one table: what was measured, against what, and whether that is good enough.
//!
//! Pure. A figure that could not be taken is a row too, so that nothing is silently left out.

use std::{fmt::Write as _, time::Duration};

/// One line of the table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    what: String,
    p50: String,
    p99: String,
    baseline: String,
    ratio: String,
    goal: String,
    met: Option<bool>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    /// A single figure; goes where the median goes.
    pub(crate) fn value(mut self, value: impl Into<String>) -> Self {
        self.p50 = value.into();
        self
    }

    pub(crate) fn p99(mut self, value: impl Into<String>) -> Self {
        self.p99 = value.into();
        self
    }

    /// Median and p99 of times.
    pub(crate) fn times(self, times: &Times) -> Self {
        self.value(duration(times.p50)).p99(duration(times.p99))
    }

    /// What it is held against, taken in the same run: a name, its figure, and ours divided by it.
    pub(crate) fn baseline(mut self, what: impl Into<String>, ratio: f64) -> Self {
        self.baseline = what.into();
        self.ratio = if ratio < 10.0 {
            format!("{ratio:.2}")
        } else {
            format!("{ratio:.0}")
        };
        self
    }

    pub(crate) fn goal(mut self, goal: impl Into<String>, met: bool) -> Self {
        self.goal = goal.into();
        self.met = Some(met);
        self
    }

    /// A part that did not run; the log says why.
    pub(crate) fn failed(part: &str) -> Self {
        Self::new(format!("{part}: not measured")).goal("a figure", false)
    }

    fn cells(&self) -> [&str; 7] {
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        [
            &self.what,
            &self.p50,
            &self.p99,
            &self.baseline,
            &self.ratio,
            &self.goal,
            met,
        ]
    }
}

const HEAD: [&str; 7] = [
    "what",
    "p50",
    "p99",
    "baseline, same run",
    "ratio",
    "goal",
    "met",
];

/// The table as Markdown, its columns aligned for a terminal.
pub(crate) fn render(rows: &[Row]) -> String {
    let cells: Vec<[String; 7]> = rows
        .iter()
        .map(|row| row.cells().map(|cell| cell.replace('|', "/")))
        .collect();
    let mut widths = HEAD.map(|head| head.chars().count());
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: [&str; 7]| {
        text.push('|');
        for (cell, width) in cells.iter().zip(widths) {
            let _infallible = write!(text, " {cell:width$} |");
        }
        text.push('\n');
    };
    line(HEAD);
    let rules = widths.map(|width| "-".repeat(width));
    line(rules.each_ref().map(String::as_str));
    for row in &cells {
        line(row.each_ref().map(String::as_str));
    }
    text
}

/// Sorted times of one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Times {
    /// Of at least one time; by the nearest rank.
    pub(crate) fn of(mut times: Vec<Duration>) -> anyhow::Result<Self> {
        anyhow::ensure!(!times.is_empty(), "no time was taken");
        times.sort_unstable();
        let rank = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
        Ok(Self {
            p50: rank(50),
            p99: rank(99),
        })
    }

    /// Ours divided by theirs, by the medians.
    pub(crate) fn ratio(self, baseline: Self) -> f64 {
        self.p50.as_secs_f64() / baseline.p50.as_secs_f64()
    }

    /// Whether both are within these milliseconds.
    pub(crate) fn within(self, p50: f64, p99: f64) -> bool {
        self.p50.as_secs_f64() * 1e3 <= p50 && self.p99.as_secs_f64() * 1e3 <= p99
    }
}

/// A time in the unit a person would use.
pub(crate) fn duration(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1e3 {
        format!("{micros:.0} us")
    } else if micros < 100e3 {
        format!("{:.2} ms", micros / 1e3)
    } else if micros < 1e6 {
        format!("{:.0} ms", micros / 1e3)
    } else {
        format!("{:.2} s", micros / 1e6)
    }
}

/// Bytes in MB of 10^6, or in kB where that says more.
#[expect(clippy::cast_precision_loss, reason = "a figure for a person")]
pub(crate) fn bytes(bytes: u64) -> String {
    if bytes < 1_000_000 {
        format!("{:.1} kB", bytes as f64 / 1e3)
    } else {
        format!("{:.2} MB", bytes as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let of = |n: u64| Times::of((1..=n).rev().map(Duration::from_millis).collect());
        let check = |n, p50, p99| {
            let times = of(n).unwrap();
            assert_eq!(times.p50, Duration::from_millis(p50), "{n}");
            assert_eq!(times.p99, Duration::from_millis(p99), "{n}");
        };
        check(1, 1, 1);
        check(2, 1, 2);
        check(100, 50, 99);
        check(1000, 500, 990);
        assert!(of(0).is_err());
        assert!(of(100).unwrap().within(50.0, 99.0));
        assert!(!of(100).unwrap().within(50.0, 98.0));
    }

    #[test]
    fn a_table_is_markdown() {
        let rows = [
            Row::new("a|b")
                .value("1 ms")
                .baseline("x: 2 ms", 0.5)
                .goal("<= 1 ms", true),
            Row::failed("c"),
        ];
        let text = render(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[2].contains("a/b") && lines[2].contains("0.50"),
            "{text}"
        );
        assert!(
            lines[3].contains("c: not measured") && lines[3].contains("NO"),
            "{text}"
        );
        assert!(
            lines.iter().all(|line| line.len() == lines[0].len()),
            "{text}"
        );
    }

    #[test]
    fn figures_are_for_people() {
        for (micros, text) in [
            (207, "207 us"),
            (1_480, "1.48 ms"),
            (231_000, "231 ms"),
            (3_540_000, "3.54 s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
        assert_eq!(bytes(4_083_856), "4.08 MB");
        assert_eq!(bytes(20_500), "20.5 kB");
    }
}
