//! Logging to standard error, filtered by `RUST_LOG` (default `info`).

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Starts logging at `default` unless `RUST_LOG` says otherwise. A second call does nothing.
pub fn init(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new(default));
    let _already = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}
