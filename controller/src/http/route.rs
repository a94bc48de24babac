//! From a method and a URL to what is asked for: a pure parser.
//!
//! Knows no kinds: that a resource exists is for the caller to find out. Never panics.

use http::Method;

/// What a request asks for, when its path is one of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RequestInfo {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub(crate) verb: &'static str,
    /// Empty for the core group.
    pub(crate) group: String,
    /// `v1`.
    pub(crate) version: String,
    /// Empty for cluster scope and for all namespaces.
    pub(crate) namespace: String,
    /// Plural.
    pub(crate) resource: String,
    /// Empty for a collection.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
    /// What follows the subresource, still encoded, with its leading slash: a proxy's path.
    pub(crate) rest: String,
}

impl RequestInfo {
    /// Whether the answer may go on for as long as the client likes.
    pub(crate) fn is_stream(&self) -> bool {
        self.verb == "watch" || matches!(self.subresource.as_str(), "log" | "proxy")
    }
}

/// The request's resource; none when the path is of something else. Whether a collection is to be watched is in the query.
pub(crate) fn parse(method: &Method, path: &str, watch: bool) -> Option<RequestInfo> {
    // A bad escape or an empty segment must never turn "one object" into "the collection".
    decode(path)?;
    let head = path.find("/proxy").map_or(path, |at| &path[..at]);
    if head.contains("//") {
        return None;
    }
    let mut info = RequestInfo::default();
    let rest = if let Some(rest) = path.strip_prefix("/api/") {
        rest
    } else {
        let rest = path.strip_prefix("/apis/")?;
        let (group, rest) = rest.split_once('/')?;
        info.group = decode(group).filter(|group| !group.is_empty())?;
        rest
    };
    let (version, rest) = rest.split_once('/')?;
    info.version = decode(version).filter(|version| !version.is_empty())?;
    let mut segments = Segments { rest };
    let mut resource = segments.next_decoded()?;
    let mut prefixed_watch = false;
    if resource == "watch" {
        prefixed_watch = true;
        resource = segments.next_decoded()?;
    }
    if resource == "namespaces" {
        match segments.next_decoded() {
            None => info.resource = resource,
            Some(namespace) => match segments.next_decoded() {
                None => {
                    info.name.clone_from(&namespace);
                    (info.resource, info.namespace) = (resource, namespace);
                }
                Some(next) if info.group.is_empty() && matches!(&*next, "status" | "finalize") => {
                    info.name.clone_from(&namespace);
                    (info.resource, info.namespace, info.subresource) = (resource, namespace, next);
                }
                // No namespace is in another: a right in one would be a right to all.
                Some(next) if info.group.is_empty() && next == resource => return None,
                Some(next) => (info.namespace, info.resource) = (namespace, next),
            },
        }
    } else {
        info.resource = resource;
    }
    if info.name.is_empty() {
        info.name = segments.next_decoded().unwrap_or_default();
        info.subresource = segments.next_decoded().unwrap_or_default();
    }
    info.rest = segments.remaining();
    // The old form watches one object too.
    let collection = if prefixed_watch {
        ""
    } else {
        info.name.as_str()
    };
    info.verb = verb(method, collection, prefixed_watch || watch)?;
    Some(info)
}

fn verb(method: &Method, name: &str, watch: bool) -> Option<&'static str> {
    Some(match (method.as_str(), name.is_empty()) {
        ("GET" | "HEAD", true) if watch => "watch",
        ("GET" | "HEAD", true) => "list",
        ("GET" | "HEAD", false) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        _ => return None,
    })
}

struct Segments<'a> {
    rest: &'a str,
}

impl<'a> Segments<'a> {
    /// The next segment that is not empty.
    fn next_raw(&mut self) -> Option<&'a str> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (segment, rest) = match self.rest.find('/') {
                Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
                None => (self.rest, ""),
            };
            // Keeps the slash in front of a proxied path.
            let consumed = segment.len();
            let whole = self.rest;
            self.rest = rest;
            if !segment.is_empty() {
                if whole.len() > consumed && rest.is_empty() {
                    // A trailing slash: only a proxied path cares, and gets it back.
                    self.rest = &whole[consumed..];
                }
                return Some(segment);
            }
        }
    }

    fn next_decoded(&mut self) -> Option<String> {
        self.next_raw().and_then(decode)
    }

    fn remaining(&self) -> String {
        if self.rest.is_empty() || self.rest.starts_with('/') {
            self.rest.to_owned()
        } else {
            format!("/{}", self.rest)
        }
    }
}

/// Percent-decodes; none for a bad escape or for bytes that are not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests;
