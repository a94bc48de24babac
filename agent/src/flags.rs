//! The command line of an agent, shared by `coracle-agent` and `coracle agent`.

use crate::{
    Config, Join,
    config::{self, JoinError},
    install::{self, Unit},
};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Where an agent keeps its state if it is not told.
const DATA_DIR: &str = "./.coracle-agent";
/// The same for a service.
const SERVICE_DATA_DIR: &str = "/var/lib/coracle-agent";

/// Runs an agent, or makes it a service of this machine.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// Instead of running.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// How to run.
    #[command(flatten)]
    pub flags: Flags,
}

/// What can be done instead of running.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Write and start a systemd unit that runs the agent from now on
    Install(Flags),
    /// Stop the service and remove its unit; the data directory stays
    Uninstall,
}

/// How an agent runs.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// What `coracle token create` printed; needed once
    #[arg(long, value_name = "TOKEN@ADDR")]
    join: Option<Join>,
    /// Where the node's key, certificate, pods, images and logs are kept
    /// [default: ./.coracle-agent, or /var/lib/coracle-agent for a service]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Name of the node [default: the host's name]
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// Label of the node; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = config::parse_label)]
    label: Vec<(String, String)>,
    /// How many pods the node takes
    #[arg(long, value_name = "N", default_value_t = config::PODS_MAX_DEFAULT)]
    max_pods: u32,
    /// Where node ports listen
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0")]
    node_port_address: IpAddr,
    /// Folder that hostPath volumes may use; may be repeated; without it there are none
    #[arg(long, value_name = "PREFIX")]
    allow_host_path: Vec<PathBuf>,
    /// Spend few bytes on the link; a loss is then noticed in two minutes, not in ten seconds
    #[arg(long)]
    metered: bool,
    /// Less free disk than this is disk pressure: the node then takes no new pods
    /// [default: 2Gi, or a tenth of a small disk]
    #[arg(long, value_name = "SIZE", value_parser = config::parse_size)]
    min_free_disk: Option<u64>,
    /// Instances of HTTP containers that are kept ready to be filled
    #[arg(long, value_name = "N")]
    pool_instances: Option<u32>,
}

impl Flags {
    /// What an agent that runs from now on is told. The service's token comes by `CORACLE_JOIN`.
    pub fn config(self) -> Result<Config, String> {
        let from_unit = || {
            std::env::var("CORACLE_JOIN")
                .ok()
                .filter(|join| !join.is_empty())
        };
        let join = match &self.join {
            Some(join) => Some(join.clone()),
            None => from_unit()
                .map(|join| join.parse())
                .transpose()
                .map_err(|error: JoinError| error.to_string())?,
        };
        let mut config = self.into_config(DATA_DIR)?;
        config.join = join;
        Ok(config)
    }

    fn into_config(self, data_dir: &str) -> Result<Config, String> {
        let node_name = self.node_name.unwrap_or_else(config::default_node_name);
        if !config::is_node_name(&node_name) {
            return Err(format!(
                "\"{node_name}\" is not a node name: lower-case letters, digits, '-' and '.'"
            ));
        }
        let data_dir = self.data_dir.unwrap_or_else(|| data_dir.into());
        let mut config = Config::new(data_dir, node_name);
        config.join = self.join;
        config.labels = self.label;
        config.pods_max = self.max_pods;
        config.node_port_address = self.node_port_address;
        config.metered = self.metered;
        config.host_paths = self.allow_host_path;
        config.disk_free_min = self.min_free_disk;
        if let Some(pool_instances) = self.pool_instances {
            config.pool_instances = pool_instances;
        }
        Ok(config)
    }
}

impl Action {
    /// Does it; returns what was done, a sentence each. `words` follow the program in the unit.
    pub fn perform(self, program: &Path, words: &[&str]) -> Result<Vec<String>, String> {
        let done = match self {
            Self::Install(flags) => {
                let config = flags.into_config(SERVICE_DATA_DIR)?;
                install::install(&Unit::of(program.to_owned(), words, &config))
            }
            Self::Uninstall => install::uninstall(),
        };
        done.map_err(|error| crate::events::chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn config(line: &str) -> Result<Config, String> {
        let program =
            Program::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        program.arguments.flags.config()
    }

    #[test]
    fn flags_become_a_configuration() {
        let made = config(
            "x --join t@h:1 --node-name box --label a=b --label c= --max-pods 5 --data-dir /d",
        );
        let made = made.unwrap();
        assert_eq!((made.node_name.as_str(), made.pods_max), ("box", 5));
        assert_eq!(made.labels.len(), 2);
        assert_eq!(made.data_dir, Path::new("/d"));
        assert_eq!(config("x").unwrap().data_dir, Path::new(DATA_DIR));
        let free = |line: &str| config(line).map(|config| config.disk_free_min);
        assert_eq!(free("x"), Ok(None));
        assert_eq!(free("x --min-free-disk 500Mi"), Ok(Some(500 << 20)));
        for size in ["", "Gi", "1.5Gi", "2gb", "-1", "99999999999Gi"] {
            let refused = free(&format!("x --min-free-disk={size}")).unwrap_err();
            assert!(refused.contains("a size is a whole number"), "{refused}");
        }
        assert!(config("x --node-name Box").unwrap_err().contains("\"Box\""));
        assert!(
            config("x --join nonsense")
                .unwrap_err()
                .contains("TOKEN@HOST:PORT")
        );
        let program = Program::try_parse_from(["x", "install", "--join", "t@h:1"]).unwrap();
        assert!(matches!(program.arguments.action, Some(Action::Install(_))));
    }
}
