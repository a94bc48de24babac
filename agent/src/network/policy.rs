//! Which hosts a pod may reach: services always, others only by annotation. Pure.

/// `coracle.dev/allowed-hosts`: a list of `host:port`, separated by commas or spaces.
pub(crate) const ALLOWED_HOSTS: &str = "coracle.dev/allowed-hosts";

/// Hosts a pod may reach besides services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    hosts: Vec<(String, Option<u16>)>,
}

impl Allowed {
    /// Reads the annotation. An entry without a port allows every port; one that is no host is ignored.
    pub(crate) fn parse(annotations: &[(String, String)]) -> Self {
        let value = annotations.iter().find(|(key, _)| key == ALLOWED_HOSTS);
        let entries = value
            .map_or("", |(_, value)| value.as_str())
            .split([',', ' ', '\n']);
        let hosts = entries
            .filter(|entry| !entry.is_empty())
            .filter_map(|entry| {
                let (host, port) = split(entry)?;
                Some((host.to_ascii_lowercase(), port))
            });
        Self {
            hosts: hosts.collect(),
        }
    }

    /// The pod may connect to `host:port`.
    pub(crate) fn allows(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts
            .iter()
            .any(|(name, only)| *name == host && only.is_none_or(|only| only == port))
    }

    /// The pod may ask for the addresses of `host`.
    pub(crate) fn resolves(&self, host: &str) -> bool {
        self.hosts
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(host))
    }
}

/// `host:port`, `[v6]:port` or a host alone.
pub(crate) fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => port.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allowed_that_is_not_named() {
        let allowed = |value: &str| Allowed::parse(&[(ALLOWED_HOSTS.to_owned(), value.to_owned())]);
        let some = allowed("example.com:443, 10.0.0.7:80 any.example\n[fd00::1]:8080 bad:port");
        assert!(some.allows("Example.com", 443));
        assert!(!some.allows("example.com", 80));
        assert!(!some.allows("sub.example.com", 443));
        assert!(some.allows("any.example", 9));
        assert!(some.allows("fd00::1", 8080));
        assert!(!some.allows("bad", 1));
        assert!(some.resolves("example.com") && !some.resolves("example.org"));
        assert_eq!(Allowed::parse(&[]), Allowed::default());
    }
}
