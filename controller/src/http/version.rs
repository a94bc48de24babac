//! `/version`: which Kubernetes this API is.

use serde_json::{Value, json};

/// The Kubernetes version whose API is served.
pub(crate) const MAJOR: &str = "1";
pub(crate) const MINOR: &str = "35";
/// What clients compare; a semantic version with ours as its build part.
pub const GIT_VERSION: &str = concat!("v1.35.0+coracle.", env!("CARGO_PKG_VERSION"));

/// `version.Info`.
pub(crate) fn info() -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{architecture}", std::env::consts::OS),
    })
}
