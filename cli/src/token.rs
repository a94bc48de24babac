//! `coracle token`: tokens for the API and the image registry.

use anyhow::Context as _;
use coracle_controller::auth::{MASTERS, tokens};
use rand::{SeedableRng as _, rngs::StdRng};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token for a user and print it; it cannot be shown again
    Create {
        /// Name of the user
        user: String,
        /// A group of the user; may be given several times
        #[arg(long = "group", default_value = MASTERS, value_name = "GROUP")]
        groups: Vec<String>,
        /// The controller's data directory
        #[arg(long, default_value = "./.coracle", value_name = "DIR")]
        data_dir: PathBuf,
    },
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::Create {
        user,
        groups,
        data_dir,
    } = command;
    anyhow::ensure!(
        data_dir.join("pki").is_dir(),
        "cannot make a token: {} is no controller's data directory; give it with --data-dir DIR",
        data_dir.display()
    );
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let token = tokens::issue(
        &data_dir.join("tokens"),
        user,
        &groups,
        &mut StdRng::from_os_rng(),
    )
    .with_context(|| format!("cannot make a token for {user}"))?;
    println!("{token}");
    Ok(())
}
