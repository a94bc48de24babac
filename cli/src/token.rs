//! `coracle token create`: what lets a box join, or with `--user` what lets a person use the API.
//!
//! A join token is made through the API, like any other object; an API token is a line in the
//! controller's data directory, so that it can be made when nothing else works.

use crate::{client::Client, kubeconfig::Kubeconfig};
use anyhow::{Context as _, bail};
use coracle_controller::{
    auth::{MASTERS, tokens},
    join,
};
use coracle_daemon::Clock;
use http::Method;
use rand::{SeedableRng as _, rngs::StdRng};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
};

/// Boxes that one token may let in at most.
const USES_MAX: i64 = 100_000;
/// A documentation address: nothing is sent, the kernel only says which of ours it would use.
const FAR_AWAY: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token and print the command that joins a box with it; with --user a token for the API
    Create(Create),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// The controller's data directory
    #[arg(long, default_value = "./.coracle", value_name = "DIR")]
    data_dir: PathBuf,
    /// How to reach the controller [default: kubeconfig in the data directory]
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    kubeconfig: Option<PathBuf>,
    /// How long the token lets boxes in, as 30m, 24h or 7d
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = ttl, conflicts_with = "user")]
    ttl: jiff::SignedDuration,
    /// How many boxes it lets in
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=USES_MAX), conflicts_with = "user")]
    uses: u32,
    /// Address that the box shall dial [default: this machine's, and the port agents dial]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "user")]
    address: Option<String>,
    /// Make a token for the API and the image registry for this user instead; it is shown once
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A group of the user; may be given several times
    #[arg(long = "group", default_value = MASTERS, value_name = "GROUP", requires = "user")]
    groups: Vec<String>,
}

/// A number and one of the letters s, m, h, d.
fn ttl(text: &str) -> Result<jiff::SignedDuration, String> {
    let refused = || format!("{text:?} is not a time like 30m, 24h or 7d");
    let unit = text.chars().last().ok_or_else(refused)?;
    let secs: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(refused()),
    };
    let number: i64 = text[..text.len() - 1]
        .parse()
        .map_err(|_number| refused())?;
    let secs = number.checked_mul(secs).filter(|secs| *secs > 0);
    secs.map(jiff::SignedDuration::from_secs)
        .ok_or_else(refused)
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Create(create) = command;
    let text = match &create.user {
        Some(user) => for_user(&create, user)?,
        None => for_box(&create).await?,
    };
    say(&text);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn say(text: &str) {
    println!("{text}");
}

fn for_user(create: &Create, user: &str) -> anyhow::Result<String> {
    let data_dir = &create.data_dir;
    anyhow::ensure!(
        data_dir.join("pki").is_dir(),
        "cannot make a token: {} is no controller's data directory; give it with --data-dir DIR",
        data_dir.display()
    );
    let groups: Vec<&str> = create.groups.iter().map(String::as_str).collect();
    let mut rng = StdRng::from_os_rng();
    tokens::issue(&data_dir.join("tokens"), user, &groups, &mut rng)
        .with_context(|| format!("cannot make a token for {user}"))
}

async fn for_box(create: &Create) -> anyhow::Result<String> {
    let path = match &create.kubeconfig {
        Some(path) => path.clone(),
        None => create.data_dir.join("kubeconfig"),
    };
    let config = Kubeconfig::read(&path)?;
    let client = Client::new(&config)?;
    let address = match &create.address {
        Some(address) => with_port(address)?,
        None => link_address(&client, &config.server).await?,
    };
    let ca = CertificateDer::from_pem_slice(&config.ca).context("the kubeconfig has no CA")?;
    let token = join::generate(&ca, &mut StdRng::from_os_rng());
    let now = Clock::system().now();
    let expires = now.checked_add(create.ttl).context("--ttl is too long")?;
    let secret = join::secret(&token.id, token.secret.as_bytes(), expires, create.uses);
    let path = format!("/api/v1/namespaces/{}/secrets", join::NAMESPACE);
    client
        .send(Method::POST, &path, "application/json", secret.to_string())
        .await?
        .success("cannot make a join token")?;
    Ok(format!(
        "coracle agent --join {}@{address}",
        token.reveal().as_str()
    ))
}

/// An address that a box can dial.
fn with_port(address: &str) -> anyhow::Result<String> {
    let port = address
        .rsplit_once(':')
        .map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(1..))) {
        bail!(
            "cannot make a join command for {address}: --address wants a host and a port, as in box.example:6443"
        );
    }
    Ok(address.to_owned())
}

/// Where a box finds the link: what the controller announces, or an address of this machine.
async fn link_address(client: &Client, server: &str) -> anyhow::Result<String> {
    let path = join::ANNOUNCEMENT_PATH;
    let what = "cannot ask the controller where agents dial";
    let answer = client
        .send(Method::GET, path, "application/json", "")
        .await?;
    let map: serde_json::Value = serde_json::from_slice(&answer.success(what)?.body)?;
    let listen: SocketAddr = map["data"]["listen"]
        .as_str()
        .context(what)?
        .parse()
        .context(what)?;
    if !listen.ip().is_unspecified() {
        return Ok(listen.to_string());
    }
    let uri: http::Uri = server.parse()?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if local {
        return Ok(SocketAddr::new(own_address(), listen.port()).to_string());
    }
    Ok(format!(
        "{}:{}",
        uri.host().unwrap_or_default(),
        listen.port()
    ))
}

/// The address other machines most likely reach this one at.
fn own_address() -> IpAddr {
    let asked = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(FAR_AWAY)?;
        socket.local_addr()
    });
    asked.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(ttl("24h").unwrap().as_secs(), 86_400);
        assert_eq!(ttl("30m").unwrap().as_secs(), 1_800);
        assert_eq!(ttl("7d").unwrap().as_secs(), 604_800);
        for bad in ["", "h", "1", "-1h", "0s", "1y", "99999999999999999d", "ü"] {
            assert!(ttl(bad).is_err(), "{bad}");
        }
    }
}
