//! What an agent is told at its start.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

/// Pods on a node unless told otherwise, as upstream.
pub const PODS_MAX_DEFAULT: u32 = 110;

/// How to become a node.
#[derive(Clone, PartialEq, Eq)]
pub struct Join {
    /// The token, with the CA's hash in it. Needed once.
    pub token: String,
    /// `HOST:PORT` of the controller's link.
    pub address: String,
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A `TOKEN@ADDR` that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--join wants TOKEN@HOST:PORT, as `coracle token create` prints it")]
pub struct JoinError;

impl std::str::FromStr for Join {
    type Err = JoinError;

    fn from_str(text: &str) -> Result<Self, JoinError> {
        let (token, address) = text.rsplit_once('@').ok_or(JoinError)?;
        let (host, port) = address.rsplit_once(':').ok_or(JoinError)?;
        if token.is_empty() || host.is_empty() || port.parse::<u16>().is_err() {
            return Err(JoinError);
        }
        Ok(Self {
            token: token.to_owned(),
            address: address.to_owned(),
        })
    }
}

/// Everything an agent is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The node's name.
    pub node_name: String,
    /// Not needed once the node has joined.
    pub join: Option<Join>,
    /// Labels of the node.
    pub labels: Vec<(String, String)>,
    /// How many pods the node takes.
    pub pods_max: u32,
    /// Where node ports listen.
    pub node_port_address: IpAddr,
    /// Folders of the machine that a hostPath volume may use.
    pub host_paths: Vec<PathBuf>,
    /// The link is paid by the byte: a lost controller or node is noticed in minutes, not seconds.
    pub metered: bool,
    /// Less free bytes than this on the data directory's disk are pressure; none: the usual threshold.
    pub disk_free_min: Option<u64>,
    /// Slots of the instance pool for HTTP containers; 0 turns it off.
    pub pool_instances: u32,
    /// Threads for guests that compute; 0 means one for each CPU.
    pub cpu_threads: usize,
    /// Wall time.
    pub clock: coracle_daemon::Clock,
}

impl Config {
    /// With defaults for everything else.
    #[must_use]
    pub fn new(data_dir: PathBuf, node_name: String) -> Self {
        let runtime = coracle_runtime::Config::default();
        Self {
            data_dir,
            node_name,
            join: None,
            labels: Vec::new(),
            pods_max: PODS_MAX_DEFAULT,
            node_port_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            host_paths: Vec::new(),
            metered: false,
            disk_free_min: None,
            pool_instances: runtime.pool_instances,
            cpu_threads: runtime.cpu_threads,
            clock: coracle_daemon::Clock::system(),
        }
    }
}

/// `key=value`.
pub fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is KEY=VALUE".to_owned()),
    }
}

/// Bytes, as `500Mi`, `2Gi` or `1000000`: a whole number with one of Kubernetes' suffixes, or none.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor: Option<u64> = match &text[digits.len()..] {
        "" => Some(1),
        "k" => Some(1000),
        "M" => Some(1_000_000),
        "G" => Some(1_000_000_000),
        "Ki" => Some(1 << 10),
        "Mi" => Some(1 << 20),
        "Gi" => Some(1 << 30),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| "a size is a whole number, with k, M, G, Ki, Mi or Gi for more".to_owned())
}

/// A node's name has to be a DNS label or subdomain, as upstream's.
#[must_use]
pub fn is_node_name(name: &str) -> bool {
    let plain = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !label.is_empty()
            && label.bytes().all(|byte| inner(byte) || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(plain)
}

/// The host's name as a node name.
#[must_use]
pub fn default_node_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_lowercase();
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_matches(['-', '.']).to_owned();
    if is_node_name(&name) {
        name
    } else {
        "node".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_is_token_at_address() {
        let join: Join = "abc.def@10.0.0.1:6443".parse().unwrap();
        assert_eq!(
            (join.token.as_str(), join.address.as_str()),
            ("abc.def", "10.0.0.1:6443")
        );
        assert!(!format!("{join:?}").contains("abc"));
        for bad in [
            "",
            "abc",
            "abc@",
            "@host:1",
            "abc@host",
            "abc@host:x",
            "abc@:1",
        ] {
            assert_eq!(bad.parse::<Join>(), Err(JoinError), "{bad}");
        }
    }

    #[test]
    fn names() {
        for good in ["node", "a-b.c1"] {
            assert!(is_node_name(good), "{good}");
        }
        for bad in ["", "Node", "-a", "a-", "a..b", "a_b", "../x"] {
            assert!(!is_node_name(bad), "{bad}");
        }
        assert!(is_node_name(&default_node_name()));
        assert_eq!(parse_label("a=b"), Ok(("a".to_owned(), "b".to_owned())));
        assert!(parse_label("a").is_err());
    }
}
