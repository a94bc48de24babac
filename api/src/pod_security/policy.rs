//! What a namespace's labels ask for.

use crate::status::Cause;
use serde_json::{Value, json};
use std::fmt;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// How much pods may do, from everything to little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everything.
    Privileged,
    /// No known way out of a container.
    Baseline,
    /// Hardened as one should.
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err("must be one of privileged, baseline, restricted"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

/// The version of Kubernetes whose checks count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The newest there is.
    Latest,
    /// 1 and this.
    Minor(u32),
}

impl Version {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const WHY: &str = "must be \"latest\" or \"v1.x\"";
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let digits = text.strip_prefix("v1.").ok_or(WHY)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || (digits.len() > 1 && digits.starts_with('0')) {
            return Err(WHY);
        }
        digits.parse().map(Self::Minor).map_err(|_error| WHY)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Minor(minor) => write!(f, "v1.{minor}"),
        }
    }
}

/// Which checks count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LevelVersion {
    /// How much may be done.
    pub level: Level,
    /// As of when.
    pub version: Version,
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

const EVERYTHING: LevelVersion = LevelVersion {
    level: Level::Privileged,
    version: Version::Latest,
};

/// What becomes of pods that violate what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// These are refused.
    pub enforce: LevelVersion,
    /// These are written down.
    pub audit: LevelVersion,
    /// Who makes these is warned.
    pub warn: LevelVersion,
}

/// One pair of labels as it was read.
struct Mode {
    value: LevelVersion,
    has_level: bool,
    has_version: bool,
    is_valid: bool,
}

impl Policy {
    /// Of the labels of a namespace, with what is wrong with them. What cannot be read counts as `restricted` where
    /// it is enforced, and as nothing where it is only told.
    #[must_use]
    pub fn of(labels: &Value) -> (Self, Vec<Cause>) {
        let mut causes = Vec::new();
        let enforce = read(labels, "enforce", Level::Restricted, &mut causes);
        let audit = read(labels, "audit", Level::Privileged, &mut causes);
        let mut warn = read(labels, "warn", Level::Privileged, &mut causes);
        let stricter = enforce.value.level > warn.value.level;
        if !warn.has_level && enforce.has_level && enforce.is_valid && stricter {
            // What would be refused is warned of where it is only described.
            warn.value.level = enforce.value.level;
            if !warn.has_version {
                warn.value.version = enforce.value.version;
            }
        }
        let policy = Self {
            enforce: enforce.value,
            audit: audit.value,
            warn: warn.value,
        };
        (policy, causes)
    }
}

fn read(labels: &Value, mode: &str, broken: Level, causes: &mut Vec<Cause>) -> Mode {
    let mut read = Mode {
        value: EVERYTHING,
        has_level: false,
        has_version: false,
        is_valid: true,
    };
    let mut wrong = |label: &str, value: &str, why: &str| {
        let field = format!("metadata.labels[{label}]");
        causes.push(Cause::invalid(field, &json!(value), why));
    };
    let label = format!("{PREFIX}{mode}");
    if let Some(text) = labels[&label].as_str() {
        read.has_level = true;
        read.value.level = Level::parse(text).unwrap_or_else(|why| {
            wrong(&label, text, why);
            read.is_valid = false;
            broken
        });
    }
    let label = format!("{PREFIX}{mode}-version");
    if let Some(text) = labels[&label].as_str() {
        read.has_version = true;
        read.value.version = Version::parse(text).unwrap_or_else(|why| {
            wrong(&label, text, why);
            Version::Latest
        });
    }
    read
}
