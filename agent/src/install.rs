//! The systemd unit of an agent: rendered by a pure function, written and removed by two thin ones.

use crate::{Config, Join, link_client};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where the unit goes.
const UNIT: &str = "/etc/systemd/system/coracle-agent.service";

/// Where a program goes that the unit could not see where it is.
const PROGRAMS: &str = "/usr/local/bin";
/// What the unit hides from the agent (`ProtectHome`, `PrivateTmp`).
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];
/// systemd makes it when it is the init of this machine.
const SYSTEMD: &str = "/run/systemd/system";

/// What the unit runs.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The program.
    pub program: PathBuf,
    /// Words after it: none for `coracle-agent`, `agent` for `coracle`.
    pub words: Vec<String>,
    /// Where the agent keeps its state.
    pub data_dir: PathBuf,
    /// `TOKEN@ADDR`, needed once; kept out of the unit, in a file only root can read.
    pub join: Option<Join>,
    /// Further flags.
    pub flags: Vec<String>,
    /// Folders of the machine that pods may write.
    pub host_paths: Vec<PathBuf>,
}

impl Unit {
    /// A unit that runs `program WORDS` with the flags that make this configuration.
    #[must_use]
    pub fn of(program: PathBuf, words: &[&str], config: &Config) -> Self {
        let standard = Config::new(PathBuf::new(), String::new());
        let mut flags = vec!["--node-name".to_owned(), config.node_name.clone()];
        let mut flag = |name: &str, value: String| flags.extend([name.to_owned(), value]);
        for (key, value) in &config.labels {
            flag("--label", format!("{key}={value}"));
        }
        if config.pods_max != standard.pods_max {
            flag("--max-pods", config.pods_max.to_string());
        }
        if config.node_port_address != standard.node_port_address {
            flag("--node-port-address", config.node_port_address.to_string());
        }
        if config.pool_instances != standard.pool_instances {
            flag("--pool-instances", config.pool_instances.to_string());
        }
        if let Some(bytes) = config.disk_free_min {
            flag("--min-free-disk", bytes.to_string());
        }
        if config.metered {
            flags.push("--metered".to_owned());
        }
        let mut flag = |name: &str, value: String| flags.extend([name.to_owned(), value]);
        for path in &config.host_paths {
            flag("--allow-host-path", path.display().to_string());
        }
        Self {
            program,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            data_dir: config.data_dir.clone(),
            join: config.join.clone(),
            flags,
            host_paths: config.host_paths.clone(),
        }
    }
}

/// Why the unit can not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not root.
    #[error("installing a service needs root; run the same command with sudo")]
    NotRoot,
    /// Another init.
    #[error(
        "this machine is not run by systemd ({SYSTEMD} does not exist); start the agent from its init system instead"
    )]
    NoSystemd,
    /// A path or flag systemd would read as something else.
    #[error("\"{0}\" contains a line break or a quote; systemd units can not hold it")]
    Unprintable(String),
    /// A relative path.
    #[error("{0} is not an absolute path")]
    Relative(PathBuf),
    /// The unit protects homes and temporary folders.
    #[error(
        "the service may not see {0}; give --data-dir a folder outside of homes and temporary folders, such as /var/lib/coracle-agent"
    )]
    Hidden(PathBuf),
    /// No way to become a node.
    #[error(
        "{0} holds no node yet: give --join TOKEN@ADDR, which `coracle token create` prints on the controller"
    )]
    NotJoined(PathBuf),
    /// A file can not be written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// systemctl said no.
    #[error("systemctl {command} failed: {why}")]
    Systemctl {
        /// Its arguments.
        command: String,
        /// The last line it wrote.
        why: String,
    },
}

/// The text of the unit.
pub fn render(unit: &Unit) -> Result<String, Error> {
    for path in [&unit.data_dir, &unit.program]
        .into_iter()
        .chain(&unit.host_paths)
    {
        if !path.is_absolute() {
            return Err(Error::Relative(path.clone()));
        }
    }
    let (program, data_dir) = (
        unit.program.display().to_string(),
        unit.data_dir.display().to_string(),
    );
    let mut words = vec![program.as_str()];
    words.extend(unit.words.iter().map(String::as_str));
    words.extend(["--data-dir", data_dir.as_str()]);
    words.extend(unit.flags.iter().map(String::as_str));
    let command: Vec<String> = words.into_iter().map(quote).collect::<Result<_, _>>()?;
    let mut writable = vec![quote(&data_dir)?, "/dev/shm".to_owned()];
    for path in &unit.host_paths {
        writable.push(quote(&path.display().to_string())?);
    }
    Ok(format!(
        "[Unit]\n\
         Description=Coracle agent: runs WebAssembly pods on this machine\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         ExecStart={command}\n\
         EnvironmentFile=-{data}/join.env\n\
         Environment=RUST_LIB_BACKTRACE=0 MALLOC_ARENA_MAX=2\n\
         Restart=always\n\
         RestartSec=2\n\
         KillSignal=SIGTERM\n\
         TimeoutStopSec=40\n\
         LimitNOFILE=1048576\n\
         UMask=0077\n\
         NoNewPrivileges=yes\n\
         CapabilityBoundingSet=\n\
         AmbientCapabilities=\n\
         ProtectSystem=strict\n\
         ReadWritePaths={writable}\n\
         ProtectHome=yes\n\
         PrivateTmp=yes\n\
         PrivateDevices=no\n\
         ProtectKernelTunables=yes\n\
         ProtectKernelModules=yes\n\
         ProtectKernelLogs=yes\n\
         ProtectControlGroups=yes\n\
         ProtectClock=yes\n\
         ProtectHostname=yes\n\
         RestrictNamespaces=yes\n\
         RestrictRealtime=yes\n\
         RestrictSUIDSGID=yes\n\
         RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK\n\
         LockPersonality=yes\n\
         SystemCallArchitectures=native\n\
         SystemCallFilter=@system-service\n\
         OOMScoreAdjust=-500\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        command = command.join(" "),
        data = quote(&data_dir)?,
        writable = writable.join(" "),
    ))
}

/// `%`, `$` and backslashes are systemd's own; a quote or line break can not be had.
fn quote(word: &str) -> Result<String, Error> {
    if word.contains(['"', '\'', '\n', '\r']) {
        return Err(Error::Unprintable(word.to_owned()));
    }
    let word = word
        .replace('\\', "\\\\")
        .replace('%', "%%")
        .replace('$', "$$");
    let plain = !word.is_empty() && !word.contains(char::is_whitespace);
    Ok(if plain { word } else { format!("\"{word}\"") })
}

/// Writes the unit and starts it. Returns what it did, a sentence each.
pub fn install(unit: &Unit) -> Result<Vec<String>, Error> {
    let mut unit = unit.clone();
    require_systemd_and_root()?;
    unit.data_dir = absolute(&unit.data_dir)?;
    if is_hidden(&unit.data_dir) {
        return Err(Error::Hidden(unit.data_dir));
    }
    let has_joined = unit.data_dir.join(link_client::CERTIFICATE).exists();
    if unit.join.is_none() && !has_joined {
        return Err(Error::NotJoined(unit.data_dir));
    }
    let mut did = Vec::new();
    let program = place(&unit.program)?;
    if program != unit.program {
        did.push(format!(
            "copied {} to {} (the service may not see homes and temporary folders)",
            unit.program.display(),
            program.display()
        ));
        unit.program = program;
    }
    let text = render(&unit)?;
    make_private_dir(&unit.data_dir)?;
    did.push(format!(
        "made {} (readable by root only)",
        unit.data_dir.display()
    ));
    if let Some(Join { token, address }) = &unit.join {
        let line = format!("{token}@{address}");
        if line.contains(['\n', '\r', '"', '\'', '\\']) {
            return Err(Error::Unprintable("--join".to_owned()));
        }
        let join = unit.data_dir.join("join.env");
        write(&join, format!("CORACLE_JOIN={line}\n").as_bytes())?;
        did.push(format!(
            "wrote the join token to {} (used once)",
            join.display()
        ));
    }
    write(Path::new(UNIT), text.as_bytes())?;
    did.push(format!("wrote {UNIT}"));
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "coracle-agent.service"])?;
    systemctl(&["restart", "coracle-agent.service"])?;
    did.push("enabled and started coracle-agent.service".to_owned());
    did.push("its log: journalctl -u coracle-agent".to_owned());
    Ok(did)
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

fn is_hidden(path: &Path) -> bool {
    HIDDEN.iter().any(|hidden| path.starts_with(hidden))
}

/// Where the service can run the program; a copy, if it can not where it is.
fn place(program: &Path) -> Result<PathBuf, Error> {
    let program = absolute(program)?;
    if !is_hidden(&program) {
        return Ok(program);
    }
    let name = program.file_name().unwrap_or("coracle-agent".as_ref());
    let target = Path::new(PROGRAMS).join(name);
    let temporary = target.with_added_extension("new");
    let write = |source| Error::Write {
        path: target.clone(),
        source,
    };
    fs::copy(&program, &temporary).map_err(write)?;
    // In one step: a running program can not be written over.
    fs::rename(&temporary, &target).map_err(write)?;
    Ok(target)
}

/// Stops and removes the unit; the data directory stays. Returns what it did, a sentence each.
pub fn uninstall() -> Result<Vec<String>, Error> {
    require_systemd_and_root()?;
    if !Path::new(UNIT).exists() {
        return Ok(vec![format!("{UNIT} does not exist; nothing to do")]);
    }
    systemctl(&["disable", "--now", "coracle-agent.service"])?;
    let path = PathBuf::from(UNIT);
    fs::remove_file(&path).map_err(|source| Error::Write { path, source })?;
    systemctl(&["daemon-reload"])?;
    Ok(vec![
        "stopped and disabled coracle-agent.service".to_owned(),
        format!("removed {UNIT}"),
        "left the data directory in place; remove it to forget this node's key".to_owned(),
    ])
}

fn require_systemd_and_root() -> Result<(), Error> {
    if !Path::new(SYSTEMD).is_dir() {
        return Err(Error::NoSystemd);
    }
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Error::NotRoot)
    }
}

fn make_private_dir(path: &Path) -> Result<(), Error> {
    coracle_daemon::make_private_dir(path).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    coracle_daemon::write_private(path, bytes).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

fn systemctl(arguments: &[&str]) -> Result<(), Error> {
    let failed = |why: String| Error::Systemctl {
        command: arguments.join(" "),
        why,
    };
    let output = Command::new("systemctl")
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().last().unwrap_or("it says nothing");
            Err(failed(last.to_owned()))
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(data_dir: &str) -> Unit {
        Unit {
            program: "/usr/local/bin/coracle-agent".into(),
            words: Vec::new(),
            data_dir: data_dir.into(),
            join: "secret@host:6443".parse().ok(),
            flags: vec!["--label".to_owned(), "room=a 100% b".to_owned()],
            host_paths: vec!["/srv/data".into()],
        }
    }

    #[test]
    fn the_unit_is_hardened_and_holds_no_token() {
        let text = render(&unit("/var/lib/coracle")).unwrap();
        let exec = "ExecStart=/usr/local/bin/coracle-agent --data-dir /var/lib/coracle --label \"room=a 100%% b\"\n";
        assert!(text.contains(exec), "{text}");
        for line in [
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "Restart=always",
            "CapabilityBoundingSet=",
            "ReadWritePaths=/var/lib/coracle /dev/shm /srv/data",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
        assert!(!text.contains("secret"));
        assert!(
            !text.contains("MemoryDenyWriteExecute"),
            "compiled code is mapped executable"
        );
    }

    #[test]
    fn what_systemd_would_misread_is_refused() {
        assert!(matches!(render(&unit("relative")), Err(Error::Relative(_))));
        assert!(matches!(
            render(&unit("/a\nExecStartPre=/bin/evil")),
            Err(Error::Unprintable(_))
        ));
    }

    #[test]
    fn the_flags_make_the_same_configuration() {
        let mut config = Config::new("/var/lib/coracle".into(), "box".to_owned());
        let words = Unit::of("/usr/bin/coracle".into(), &["agent"], &config);
        assert_eq!(words.flags, ["--node-name", "box"]);
        config.labels = vec![("a".to_owned(), "b".to_owned())];
        (config.pods_max, config.host_paths) = (7, vec!["/srv".into()]);
        let words = Unit::of("/usr/bin/coracle".into(), &["agent"], &config).flags;
        let expect = "--node-name box --label a=b --max-pods 7 --allow-host-path /srv";
        assert_eq!(words.join(" "), expect);
    }

    #[test]
    fn what_the_service_may_not_see() {
        for hidden in ["/home/me/coracle", "/root/x", "/tmp/x"] {
            assert!(is_hidden(Path::new(hidden)), "{hidden}");
        }
        assert!(!is_hidden(Path::new("/usr/local/bin/coracle")));
        let place = place(Path::new("/usr/bin/coracle")).unwrap();
        assert_eq!(place, Path::new("/usr/bin/coracle"));
    }
}
