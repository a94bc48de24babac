//! Logging to standard error, filtered by `RUST_LOG` (default `info`).
//!
//! The filter is by target and level (`info,coracle_agent=debug`) only: matching on spans' fields would
//! bring a regular expression engine, which a small agent has no room for.
//!
//! An event is one line: what others said in it can make no second one, and steers no terminal.

mod fields;

use self::fields::Fields;
use std::io::IsTerminal as _;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Starts logging at `default` unless `RUST_LOG` says otherwise. A second call does nothing.
pub fn init(default: &str) {
    let wanted = std::env::var("RUST_LOG").ok();
    let layer = tracing_subscriber::fmt::layer()
        .fmt_fields(Fields)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let _already = tracing_subscriber::registry()
        .with(layer)
        .with(filter(wanted.as_deref(), default))
        .try_init();
}

/// A text that is no filter counts as none.
fn filter(wanted: Option<&str>, default: &str) -> Targets {
    wanted
        .filter(|text| !text.trim().is_empty())
        .and_then(|text| text.parse().ok())
        .or_else(|| default.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::filter;
    use tracing_subscriber::filter::LevelFilter;

    #[test]
    fn the_variable_wins_and_nonsense_does_not() {
        let level = |wanted| filter(wanted, "info").default_level();
        assert_eq!(level(None), Some(LevelFilter::INFO));
        assert_eq!(level(Some(" ")), Some(LevelFilter::INFO));
        assert_eq!(level(Some("coracle=loud")), Some(LevelFilter::INFO));
        assert_eq!(
            level(Some("warn,coracle_agent=debug")),
            Some(LevelFilter::WARN)
        );
        let filter = filter(Some("warn,coracle_agent=debug"), "info");
        assert!(filter.would_enable("coracle_agent::link_client", &tracing::Level::DEBUG));
        assert!(!filter.would_enable("quinn", &tracing::Level::INFO));
    }
}
