//! Absolute references as Go's `url.ParseRequestURI` takes them: what rules and formats ask of one.

/// A parsed reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) text: String,
    pub(super) scheme: String,
    /// With the port.
    pub(super) host: String,
    /// As it is written.
    pub(super) path: String,
    pub(super) query: String,
}

/// Longest reference that is read.
const TEXT_BYTES_MAX: usize = 64 * 1024;

impl Url {
    /// A reference with a scheme, or a path that starts with `/`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let control = |c: char| c.is_ascii_control();
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.contains(control) {
            return None;
        }
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !rest.starts_with('/') {
            // An opaque one: `mailto:a@b`.
            return (!scheme.is_empty()).then(|| Self::new(text, scheme, "", "", query));
        }
        let authority = rest.strip_prefix("//").filter(|_| !scheme.is_empty());
        let (host, path) = match authority {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let host = host.rsplit_once('@').map_or(host, |(_user, host)| host);
        (is_host(host) && is_escaped(path)).then(|| Self::new(text, scheme, host, path, query))
    }

    fn new(text: &str, scheme: &str, host: &str, path: &str, query: &str) -> Self {
        Self {
            text: text.to_owned(),
            scheme: scheme.to_ascii_lowercase(),
            host: host.to_owned(),
            path: path.replace(' ', "%20"),
            query: query.to_owned(),
        }
    }

    /// The host without its port and brackets.
    pub(super) fn hostname(&self) -> &str {
        let (host, _) = self.split_port();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, or nothing.
    pub(super) fn port(&self) -> &str {
        self.split_port().1
    }

    fn split_port(&self) -> (&str, &str) {
        match self.host.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (&self.host, ""),
        }
    }

    /// Names and values of the query, decoded, in order.
    pub(super) fn query_pairs(&self) -> Vec<(String, String)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(value))
            })
            .collect()
    }
}

/// The scheme and what follows it; nothing where the text is no absolute reference.
fn scheme(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('/') {
        return Some(("", text));
    }
    let (scheme, rest) = text.split_once(':')?;
    let letters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let valid =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(letters);
    valid.then_some((scheme, rest))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) => (name, port.strip_prefix(':').unwrap_or(port)),
            None => return false,
        },
        None => host.rsplit_once(':').unwrap_or((host, "")),
    };
    let letter =
        |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "-._~!$&'()*+,;=:\"%<>".contains(c);
    port.chars().all(|c| c.is_ascii_digit())
        && name.chars().all(letter)
        && (host.starts_with('[') || !name.contains(':'))
}

/// Every `%` is followed by two hexadecimal digits.
fn is_escaped(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| {
        let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        *byte != b'%' || (hex(at + 1) && hex(at + 2))
    })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3);
        match (
            bytes[at],
            digits.and_then(|hex| u8::from_str_radix(hex, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = Url::parse("https://u:p@[::1]:80/a%20b?k=v&k=w+x").unwrap();
        assert_eq!(
            (
                url.scheme.as_str(),
                url.host.as_str(),
                url.hostname(),
                url.port()
            ),
            ("https", "[::1]:80", "::1", "80")
        );
        assert_eq!(url.path, "/a%20b");
        let pairs = [("k", "v"), ("k", "w x")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(url.query_pairs(), pairs);
        for text in [
            "",
            "a",
            "a/b",
            "http://a b/",
            "http://x:y/",
            "/%zz",
            "1a:b",
            "::",
        ] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
        for text in ["/", "mailto:a@b", "http://example.com", "HTTP://x"] {
            assert!(Url::parse(text).is_some(), "{text}");
        }
    }
}
