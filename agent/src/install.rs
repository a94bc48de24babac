//! The systemd unit of an agent: rendered by a pure function, written and removed by two thin ones.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where the unit goes.
const UNIT: &str = "/etc/systemd/system/coracle-agent.service";

/// What the unit runs.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The program and its first arguments: `/usr/local/bin/coracle-agent`, or `/usr/local/bin/coracle agent`.
    pub command: Vec<String>,
    /// Where the agent keeps its state.
    pub data_dir: PathBuf,
    /// `TOKEN@ADDR`; kept out of the unit, in a file only root can read.
    pub join: String,
    /// Further flags.
    pub flags: Vec<String>,
}

/// Why the unit can not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not root.
    #[error("installing a service needs root; run the same command with sudo")]
    NotRoot,
    /// A path or flag systemd would read as something else.
    #[error("\"{0}\" contains a line break or a quote; systemd units can not hold it")]
    Unprintable(String),
    /// A relative path.
    #[error("{0} is not an absolute path")]
    Relative(PathBuf),
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
    #[error("systemctl {0} failed")]
    Systemctl(String),
}

/// The text of the unit.
pub fn render(unit: &Unit) -> Result<String, Error> {
    let mut words: Vec<&str> = unit.command.iter().map(String::as_str).collect();
    let data_dir = unit.data_dir.display().to_string();
    if !unit.data_dir.is_absolute() {
        return Err(Error::Relative(unit.data_dir.clone()));
    }
    words.extend(["--data-dir", data_dir.as_str()]);
    words.extend(unit.flags.iter().map(String::as_str));
    let command: Vec<String> = words.into_iter().map(quote).collect::<Result<_, _>>()?;
    Ok(format!(
        "[Unit]\n\
         Description=Coracle agent: runs WebAssembly pods on this machine\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         ExecStart={command}\n\
         EnvironmentFile=-{data}/join.env\n\
         Environment=RUST_LIB_BACKTRACE=0\n\
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
         ReadWritePaths={data} /dev/shm\n\
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
    let text = render(unit)?;
    if unit.join.contains(['\n', '\r', '"', '\'']) {
        return Err(Error::Unprintable(unit.join.clone()));
    }
    require_root()?;
    let mut did = Vec::new();
    make_private_dir(&unit.data_dir)?;
    did.push(format!(
        "made {} (readable by root only)",
        unit.data_dir.display()
    ));
    let join = unit.data_dir.join("join.env");
    write(&join, format!("CORACLE_JOIN={}\n", unit.join).as_bytes())?;
    did.push(format!(
        "wrote the join token to {} (used once)",
        join.display()
    ));
    write(Path::new(UNIT), text.as_bytes())?;
    did.push(format!("wrote {UNIT}"));
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "--now", "coracle-agent.service"])?;
    did.push("enabled and started coracle-agent.service".to_owned());
    Ok(did)
}

/// Stops and removes the unit; the data directory stays. Returns what it did, a sentence each.
pub fn uninstall() -> Result<Vec<String>, Error> {
    require_root()?;
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

fn require_root() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Error::NotRoot)
    }
}

fn make_private_dir(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    crate::device_key::write_private(path, bytes).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

fn systemctl(arguments: &[&str]) -> Result<(), Error> {
    let status = Command::new("systemctl")
        .args(arguments)
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => Err(Error::Systemctl(arguments.join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(data_dir: &str) -> Unit {
        Unit {
            command: vec!["/usr/local/bin/coracle-agent".to_owned()],
            data_dir: data_dir.into(),
            join: "secret@host:6443".to_owned(),
            flags: vec!["--label".to_owned(), "room=a 100% b".to_owned()],
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
}
