//! Image references: `hello:v1`, `registry.example/team/app@sha256:…`.
//!
//! A pure parser; the grammar is the OCI distribution specification's. A name without a registry
//! host always means the built-in registry.

use std::fmt;

/// Longest repository name, as the distribution specification has it.
const REPOSITORY_BYTES_MAX: usize = 255;
/// Longest tag, as the distribution specification has it.
const TAG_BYTES_MAX: usize = 128;

/// Why a reference or a part of one is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error(
        "image reference {0:?} has no valid repository name (lower case letters, digits and . _ - between /)"
    )]
    Repository(String),
    #[error("image reference {0:?} has an invalid tag (letters, digits and . _ -, at most 128)")]
    Tag(String),
    #[error("image reference {0:?} has an invalid digest (want sha256: and 64 hexadecimal digits)")]
    Digest(String),
}

/// A parsed reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host (and port) of another registry; none for the built-in one.
    pub registry: Option<String>,
    /// `team/app`.
    pub repository: String,
    /// What names the manifest.
    pub target: Target,
}

/// Tag or digest; a digest wins where both are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    Tag(String),
    Digest(Digest),
}

/// A SHA-256 digest in its printed form, `sha256:<64 hex>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// Checks the form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let valid = text.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Digest(text.to_owned()))
        }
    }

    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self::from_hash(sha2::Sha256::digest(bytes).into())
    }

    /// From a finished hash.
    #[must_use]
    pub fn from_hash(hash: [u8; 32]) -> Self {
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in hash {
            text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        Self(text)
    }

    /// `sha256:…`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        match &self.target {
            Target::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Target::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

impl Reference {
    /// Parses `text`; a missing tag is `latest`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(Digest::parse(digest).map_err(|_form| Error::Digest(text.to_owned()))?),
            ),
            None => (text, None),
        };
        let (registry, rest) = match rest.split_once('/') {
            Some((host, rest)) if is_host(host) => (Some(host.to_owned()), rest),
            _ => (None, rest),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if !is_repository(repository) {
            return Err(Error::Repository(text.to_owned()));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(Error::Tag(text.to_owned()));
        }
        let target = match digest {
            Some(digest) => Target::Digest(digest),
            None => Target::Tag(tag.unwrap_or("latest").to_owned()),
        };
        Ok(Self {
            registry,
            repository: repository.to_owned(),
            target,
        })
    }
}

/// As Docker's rule: a dot, a colon, or `localhost` makes the first part a host.
fn is_host(part: &str) -> bool {
    part == "localhost"
        || (part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && part.contains(['.', ':'])
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".:-[]".contains(&b)))
}

/// `[a-z0-9]+([._-]+[a-z0-9]+)*` between slashes, at most 255 bytes.
#[must_use]
pub fn is_repository(name: &str) -> bool {
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(bytes.first())
            && edge(bytes.last())
            && !part.contains("..")
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b))
    };
    !name.is_empty() && name.len() <= REPOSITORY_BYTES_MAX && name.split('/').all(part)
}

/// `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
#[must_use]
pub fn is_tag(tag: &str) -> bool {
    let bytes = tag.as_bytes();
    bytes.len() <= TAG_BYTES_MAX
        && bytes
            .first()
            .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, registry: Option<&str>, printed: &str) {
        let parsed = Reference::parse(text).expect("parses");
        assert_eq!(parsed.registry.as_deref(), registry, "{text}");
        assert_eq!(parsed.to_string(), printed);
    }

    #[test]
    fn references() {
        let hex = "a".repeat(64);
        check("hello", None, "hello:latest");
        check("hello:v1", None, "hello:v1");
        check("team/hello:v1", None, "team/hello:v1");
        check(
            "ghcr.io/team/hello:v1",
            Some("ghcr.io"),
            "ghcr.io/team/hello:v1",
        );
        check(
            "localhost:5000/hello",
            Some("localhost:5000"),
            "localhost:5000/hello:latest",
        );
        check(
            &format!("hello:v1@sha256:{hex}"),
            None,
            &format!("hello@sha256:{hex}"),
        );
    }

    #[test]
    fn refused() {
        for text in [
            "",
            ":",
            "Hello",
            "hello:",
            "a//b",
            "-a",
            "../etc",
            "a/../b",
            "hello:a b",
            "x@sha256:1",
            "x@md5:1",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_leaves_its_folder(text in "\\PC{0,80}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert!(!reference.repository.split('/').any(|part| part == ".." || part == "." || part.is_empty()));
            }
        }
    }
}
