//! Boxes with networks of their own: Linux network namespaces on one bridge.
//!
//! Needs root, as CI has. Everything is named after this process and removed when dropped.

use anyhow::{Context as _, ensure};
use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

/// Boxes on one bridge; the machine itself is on it too, as [`Net::host`].
#[derive(Debug)]
pub struct Net {
    name: String,
    subnet: u8,
    boxes: u8,
}

impl Net {
    /// A bridge with `boxes` boxes.
    ///
    /// # Errors
    /// When this is not root's process, or `ip` is not there.
    pub fn new(boxes: u8) -> anyhow::Result<Self> {
        let pid = std::process::id();
        let subnet = u8::try_from(pid % 250)?;
        let net = Self {
            name: format!("cor{}", pid % 100_000),
            subnet,
            boxes,
        };
        let bridge = &net.name;
        let host = format!("{}/24", net.host());
        ip(&["link", "add", bridge, "type", "bridge"])?;
        ip(&["addr", "add", &host, "dev", bridge])?;
        ip(&["link", "set", bridge, "up"])?;
        for number in 0..boxes {
            let (space, veth) = (net.space(number), format!("{bridge}v{number}"));
            let address = format!("{}/24", net.address(number));
            ip(&["netns", "add", &space])?;
            ip(&[
                "link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", &space,
            ])?;
            ip(&["link", "set", &veth, "master", bridge, "up"])?;
            ip(&["-n", &space, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
            ip(&["-n", &space, "link", "set", "eth0", "up"])?;
        }
        Ok(net)
    }

    /// The machine's own address on the bridge.
    #[must_use]
    pub fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.subnet, 1)
    }

    /// The address of a box, from 0.
    #[must_use]
    pub fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.subnet, 10 + number)
    }

    /// A command that runs `program` in a box. Its process is the program itself.
    #[must_use]
    pub fn command(&self, number: u8, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.space(number)])
            .arg(program);
        command
    }

    /// Cuts a box off, or plugs it in again.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn plug(&self, number: u8, connected: bool) -> anyhow::Result<()> {
        let state = if connected { "up" } else { "down" };
        ip(&["link", "set", &format!("{}v{number}", self.name), state])
    }

    fn space(&self, number: u8) -> String {
        format!("{}n{number}", self.name)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for number in 0..self.boxes {
            let _gone = ip(&["netns", "del", &self.space(number)]);
        }
        let _gone = ip(&["link", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot start ip; it is in the package iproute2")?;
    ensure!(
        output.status.success(),
        "ip {} failed (the tests with several boxes need root): {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
